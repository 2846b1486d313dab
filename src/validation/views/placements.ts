import { Launch, launchData, launchProperty } from './launches';
import { Link, Resource, Unknown, Value } from '../graph/template-graph';

/** A placement group that a launch is put into. */
export interface Placement {
  readonly resource: Resource;
  /** Path of the group's name or id below `Properties`. */
  readonly property: string;
  /** Not unknown: an unknown name may stand for no group at all. */
  readonly group: Value;
}

/**
 * The placement groups that a launch names, in the launch template and in what launches from it.
 *
 * @param launch the launch.
 */
export function placementsOf(launch: Launch): Placement[] {
  return namedPlacements(launch).filter((place): place is Placement => place.group !== undefined && !(place.group instanceof Unknown));
}

/**
 * True where certainly no placement group is named.
 *
 * @param launch the launch.
 */
export function isWithoutPlacement(launch: Launch): boolean {
  return namedPlacements(launch).every(({ group }) => group === undefined);
}

/**
 * The strategy of a placement group of these templates; undefined for any other group.
 *
 * @param group the group as a template names it.
 */
export function strategyOf(group: Value): Value | undefined {
  const known = group instanceof Link && group.resource.type === 'AWS::EC2::PlacementGroup';
  // CloudFormation makes a cluster where no strategy is given.
  return known ? group.resource.get('Strategy') ?? 'cluster' : undefined;
}

function namedPlacements(launch: Launch): { resource: Resource; property: string; group: Value | undefined }[] {
  const own = ['GroupName', 'GroupId'].map((name) => (
    { resource: launch.template, property: launchProperty(launch, 'Placement', name), group: launchData(launch, 'Placement', name) }
  ));
  const ofUses = launch.uses.map(({ kind, resource }) => {
    const property = kind === 'Instance' ? 'PlacementGroupName' : 'PlacementGroup';
    return { resource, property, group: resource.get(property) };
  });
  return [...own, ...ofUses];
}
