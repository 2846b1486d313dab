import { Launch, efaLaunchesOf, isCapacityBlock, launchData, launchProperty, launchesOf, zonesOfUse } from '../launches';
import { Rule, found, notChecked } from '../rule';
import { Link, Resource, Unknown, Value } from '../template-graph';
import { differentZones } from '../zones';

const FAMILY = 'topology';

export const TOPOLOGY_RULES: Rule[] = [
  {
    id: 'EfaGroupSpansZones',
    family: FAMILY,
    severity: 'error',
    title: 'What launches EFA instances launches them in one Availability Zone',
    why: 'EFA traffic cannot cross Availability Zones: nothing fails at deployment, and transfers between the zones never arrive',
    mend: 'give it subnets of one Availability Zone only',
    source: 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa.html#efa-limits',
    *check(graph) {
      for (const launch of efaLaunchesOf(graph)) {
        for (const use of launch.uses) {
          const zones = zonesOfUse(use);
          const pairs = zones.flatMap((zone, index) => zones.slice(index + 1).map((other) => differentZones(zone, other)));
          if (pairs.includes(true)) {
            yield found(use.resource, use.subnetsProperty, zones, 'EFA instances are launched in several Availability Zones');
          } else if (pairs.includes(undefined) || use.subnets instanceof Unknown) {
            yield notChecked(use.resource, use.subnetsProperty, 'the Availability Zone of a subnet is not known');
          }
        }
      }
    },
  },
  {
    id: 'ZoneOutsideRegion',
    family: FAMILY,
    severity: 'error',
    title: "An Availability Zone is one of the stack's region",
    why: 'the deployment fails: a stack is deployed in one region',
    mend: "name a zone of the stack's region, or set the stack's env.region to the region of the zone",
    source: 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-regions-availability-zones.html',
    *check(graph) {
      const places: { resource: Resource; property: string; zone: Value }[] = [];
      for (const resource of graph.resources) {
        for (const property of ZONE_PROPERTIES[resource.type] ?? []) {
          for (const zone of [resource.get(...property.split('.'))].flat()) {
            places.push({ resource, property, zone: zone ?? '' });
          }
        }
      }
      for (const { resource, property, zone } of places) {
        const region = resource.region;
        if (region !== undefined && typeof zone === 'string' && /^[a-z]+(-[a-z]+)+-\d/.test(zone) && !zone.startsWith(region)) {
          yield found(resource, property, zone, `the stack is deployed in ${region}`);
        }
      }
    },
  },
  {
    id: 'EfaPlacementStrategy',
    family: FAMILY,
    severity: 'warning',
    title: 'A placement group of EFA instances is a cluster',
    why: 'a spread or partition group takes seven instances or partitions in a zone and places them apart, so launches run out of capacity',
    mend: 'set Strategy to "cluster", or use no placement group',
    source: 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-strategies.html',
    *check(graph) {
      for (const launch of efaLaunchesOf(graph)) {
        for (const { group } of placementsOf(launch)) {
          const strategy = group instanceof Link && group.resource.type === 'AWS::EC2::PlacementGroup' ? group.resource.get('Strategy') : undefined;
          if (group instanceof Link && (strategy === 'spread' || strategy === 'partition')) {
            yield found(group.resource, 'Strategy', strategy, 'EFA instances are launched into this placement group');
          }
        }
      }
    },
  },
  {
    id: 'PlacementGroupWithCapacityBlock',
    family: FAMILY,
    severity: 'warning',
    title: 'A Capacity Block is used without a placement group',
    why: 'instances of a block are already close together; a placement group makes launches fail with InsufficientInstanceCapacity '
      + 'though the block has room',
    mend: 'drop the placement group',
    source: 'https://github.com/eksctl-io/eksctl/issues/8220',
    *check(graph) {
      for (const launch of launchesOf(graph).filter(isCapacityBlock)) {
        for (const { resource, property, group } of placementsOf(launch)) {
          yield found(resource, property, group, 'instances of a Capacity Block are launched into a placement group');
        }
      }
    },
  },
];

/** Where a type names Availability Zones. */
const ZONE_PROPERTIES: { readonly [type: string]: readonly string[] } = {
  'AWS::EC2::Subnet': ['AvailabilityZone'],
  'AWS::EC2::Instance': ['AvailabilityZone'],
  'AWS::EC2::CapacityReservation': ['AvailabilityZone'],
  'AWS::EC2::LaunchTemplate': ['LaunchTemplateData.Placement.AvailabilityZone'],
  'AWS::AutoScaling::AutoScalingGroup': ['AvailabilityZones'],
};

function placementsOf(launch: Launch): { resource: Resource; property: string; group: Value }[] {
  const own = ['GroupName', 'GroupId'].map((name) => (
    { resource: launch.template, property: launchProperty('Placement', name), group: launchData(launch, 'Placement', name) }
  ));
  const ofGroups = launch.uses.map(({ resource }) => ({ resource, property: 'PlacementGroup', group: resource.get('PlacementGroup') }));
  return [...own, ...ofGroups].flatMap(({ group, ...place }) => group === undefined || group instanceof Unknown ? [] : [{ ...place, group }]);
}
