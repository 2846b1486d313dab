import { LaunchUse } from './launches';
import { Link, Resource, TemplateGraph, asInteger, asList, same, valueAt } from '../graph/template-graph';

/** A size that a group may grow to. */
export interface GroupSize {
  /** The group, or the scheduled action that changes it. */
  readonly resource: Resource;
  /** Path below `Properties`. */
  readonly property: string;
  /** Undefined where it is not known. */
  readonly instances?: number;
  /** False for a scheduled action that may be of another group. */
  readonly isCertain: boolean;
}

/**
 * Every size that an Auto Scaling group may grow to: its own, and those of scheduled actions.
 *
 * @param group the group.
 * @param graph the graph.
 */
export function groupSizesOf(group: Resource, graph: TemplateGraph): GroupSize[] {
  const scheduled = graph.ofType('AWS::AutoScaling::ScheduledAction').flatMap((action): GroupSize[] => {
    const [name, size] = [action.get('AutoScalingGroupName'), action.get('MaxSize')];
    const isOfGroup = name === undefined ? undefined : same(name, new Link(group, 'Ref'));
    return size === undefined || isOfGroup === false ? []
      : [{ resource: action, property: 'MaxSize', instances: asInteger(size), isCertain: isOfGroup === true }];
  });
  return [{ resource: group, property: 'MaxSize', instances: asInteger(group.get('MaxSize')), isCertain: true }, ...scheduled];
}

interface KnownSize extends GroupSize {
  readonly instances: number;
}

/**
 * The largest number of instances that a use certainly may launch; undefined where it is not known.
 *
 * @param use what launches.
 * @param graph the graph.
 */
export function largestSizeOf(use: LaunchUse, graph: TemplateGraph): KnownSize | undefined {
  return sizesOf(use, graph)
    .filter((size): size is KnownSize => size.isCertain && size.instances !== undefined)
    .reduce<KnownSize | undefined>((largest, size) => largest && largest.instances >= size.instances ? largest : size, undefined);
}

function sizesOf({ kind, resource }: LaunchUse, graph: TemplateGraph): GroupSize[] {
  switch (kind) {
    case 'AutoScalingGroup':
      // overrides with launch templates of their own share the size of the group.
      return asList(resource.get('MixedInstancesPolicy', 'LaunchTemplate', 'Overrides'))
        ?.some((override) => valueAt(override, 'LaunchTemplateSpecification') !== undefined) ? [] : groupSizesOf(resource, graph);
    case 'Nodegroup':
      return [{ resource, property: 'ScalingConfig.MaxSize', instances: asInteger(resource.get('ScalingConfig', 'MaxSize')), isCertain: true }];
    case 'Instance':
      return [{ resource, property: 'InstanceType', instances: 1, isCertain: true }];
    case 'Fleet':
      return [];
  }
}
