import { Link, Resource, Unknown, Value, asList, isTrue, same, valueAt } from '../graph/template-graph';
import { Rule, found, notChecked } from '../rule';
import { Launch, LaunchUse, efaLaunchesOf, isCapacityBlock, launchData, launchProperty, launchesOf, zonesOfUse } from '../views/launches';
import { placementsOf, strategyOf } from '../views/placements';
import { differentZones, isOutsideRegion, severalZones } from '../views/zones';

const FAMILY = 'topology';
const EFA_GUIDE = 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa.html#efa-limits';
const PLACEMENT_GUIDE = 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-strategies.html';

/** Families that no cluster placement group takes: burstable ones, and two by name. */
const NOT_IN_A_CLUSTER = /^(t\d\w*|mac1|m7i-flex)\./;

export const TOPOLOGY_RULES: Rule[] = [
  {
    id: 'EfaGroupSpansZones',
    family: FAMILY,
    severity: 'error',
    title: 'What launches EFA instances launches them in one Availability Zone',
    why: 'EFA traffic cannot cross Availability Zones: nothing fails at deployment, and transfers between the zones never arrive',
    mend: 'give it subnets of one Availability Zone only',
    source: EFA_GUIDE,
    *check(graph) {
      for (const launch of efaLaunchesOf(graph)) {
        for (const use of launch.uses.filter((each) => !choosesOneZone(each))) {
          const zones = zonesOfUse(use);
          const several = severalZones(zones);
          if (several) {
            yield found(use.resource, use.subnetsProperty, zones, 'EFA instances are launched in several Availability Zones');
          } else if (several === undefined || use.subnets instanceof Unknown || use.zones instanceof Unknown) {
            yield notChecked(use.resource, use.subnetsProperty, 'the Availability Zone of a subnet is not known');
          }
        }
      }
    },
  },
  {
    id: 'EfaGroupSpansVpcs',
    family: FAMILY,
    severity: 'error',
    title: 'What launches EFA instances launches them in one VPC',
    why: 'EFA traffic cannot cross VPCs: transfers between them never arrive',
    mend: 'give it subnets of one VPC only',
    source: EFA_GUIDE,
    *check(graph) {
      for (const launch of efaLaunchesOf(graph)) {
        for (const use of launch.uses) {
          if (spansVpcs(use)) {
            yield found(use.resource, use.subnetsProperty, use.subnets, 'EFA instances are launched in subnets of several VPCs');
          }
        }
      }
    },
  },
  {
    id: 'EfaPeersInSeveralZones',
    family: FAMILY,
    severity: 'warning',
    title: 'Launches that share a fabric security group are in one Availability Zone',
    why: 'EFA traffic cannot cross Availability Zones: the launches may send to each other, but nothing arrives',
    mend: 'launch them in subnets of one Availability Zone, or give fleets that do not talk to each other a fabric security group each',
    source: EFA_GUIDE,
    *check(graph) {
      for (const [group, members] of fabricMembers(efaLaunchesOf(graph))) {
        const zones: ZoneMember[][] = [];
        const known = members.every((member) => {
          const compared = zones.map(([{ zone }]) => differentZones(zone, member.zone));
          const mates = compared.indexOf(false);
          if (mates === -1) {
            zones.push([member]);
          } else {
            zones[mates].push(member);
          }
          return !compared.includes(undefined);
        });
        // where each zone has several launches, they are replicas of one whole.
        const lonely = zones.filter((mates) => mates.length === 1).pop();
        if (known && zones.length > 1 && lonely) {
          const [{ use, zone }] = lonely;
          const other = members.find((member) => member !== lonely[0]) ?? lonely[0];
          yield found(use.resource, use.subnetsProperty, zone,
            `its EFA interfaces share the security group ${group.logicalId} with ${other.use.resource.logicalId} in another zone`);
        }
      }
    },
  },
  {
    id: 'SecurityGroupOutsideVpc',
    family: FAMILY,
    severity: 'error',
    title: 'Security groups of a launch belong to the VPC of its subnets, or are associated with it',
    why: 'the group is refused, "One or more security groups in the launch template are not linked to the VPCs configured in the Auto Scaling group", '
      + 'or the launch is, "Security group and subnet belong to different networks"',
    mend: 'use a security group of the VPC that the subnets belong to, or associate it with an AWS::EC2::SecurityGroupVpcAssociation',
    source: 'https://github.com/mludvig/aws-ethereum-miner/issues/12',
    *check(graph) {
      const associated = graph.ofType('AWS::EC2::SecurityGroupVpcAssociation').map((association) => association.get('GroupId'));
      if (graph.hasUnseenResources || associated.some((group) => group instanceof Unknown)) {
        return;
      }
      const elsewhere = associated.flatMap((group) => group instanceof Link ? [group.resource] : []);
      for (const launch of launchesOf(graph)) {
        const vpcs = launch.uses.filter((use) => !spansVpcs(use)).flatMap(vpcsOfUse);
        const reported = new Set<Resource>(elsewhere);
        for (const { group, property } of securityGroupsOf(launch)) {
          const vpc = group.resource.get('VpcId');
          if (vpc !== undefined && !reported.has(group.resource) && vpcs.some((other) => same(vpc, other) === false)) {
            reported.add(group.resource);
            yield found(launch.template, property, group, `the security group ${group.resource.logicalId} belongs to another VPC than the subnets`);
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
      // one wrong region is one mistake, however many zones are written after it.
      const places = new Map<string, { resource: Resource; property: string; zone: Value; more: number }>();
      for (const [type, properties] of Object.entries(ZONE_PROPERTIES)) {
        for (const resource of graph.ofType(type)) {
          for (const property of properties) {
            for (const zone of [resource.get(...property.split('.'))].flat()) {
              const first = places.get(resource.stack);
              if (resource.region === undefined || zone === undefined || !isOutsideRegion(zone, resource.region)) {
                continue;
              }
              if (first) {
                first.more++;
              } else {
                places.set(resource.stack, { resource, property, zone, more: 0 });
              }
            }
          }
        }
      }
      for (const { resource, property, zone, more } of places.values()) {
        yield found(resource, property, zone, `the zone is of another region than the stack, ${resource.region}${more > 0 ? `; so it is at ${more} more place${more === 1 ? '' : 's'}` : ''}`);
      }
    },
  },
  {
    id: 'EfaPlacementStrategy',
    family: FAMILY,
    severity: 'warning',
    title: 'A placement group of EFA instances is a cluster',
    why: 'a spread group runs at most seven instances in a zone, and a partition group puts partitions on racks apart: both keep EFA peers from each other',
    mend: 'set Strategy to "cluster", or use no placement group',
    source: PLACEMENT_GUIDE,
    *check(graph) {
      // a Capacity Block wants no placement group at all, of whatever strategy.
      for (const launch of efaLaunchesOf(graph).filter((each) => !isCapacityBlock(each))) {
        for (const { group } of placementsOf(launch)) {
          const strategy = strategyOf(group);
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
    why: 'instances of a block are already close together; a placement group that the block was not made in makes launches fail with '
      + 'InsufficientInstanceCapacity though the block has room',
    mend: 'drop the placement group',
    source: 'https://github.com/aws/aws-parallelcluster/pull/6311',
    *check(graph) {
      for (const launch of launchesOf(graph).filter(isCapacityBlock)) {
        for (const { resource, property, group } of placementsOf(launch)) {
          yield found(resource, property, group, 'instances of a Capacity Block are launched into a placement group');
        }
      }
    },
  },
  {
    id: 'ClusterPlacementInstanceType',
    family: FAMILY,
    severity: 'error',
    title: 'A cluster placement group takes no burstable, mac1 or m7i-flex instances',
    why: 'the launch is refused: "Cluster placement groups are not supported by the instance type"',
    mend: 'use another instance type, or launch it outside the cluster placement group',
    source: PLACEMENT_GUIDE,
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        const place = placementsOf(launch).find(({ group }) => strategyOf(group) === 'cluster');
        const types = place ? launch.instanceTypes.filter((type) => typeof type === 'string' && NOT_IN_A_CLUSTER.test(type)) : [];
        if (place && types.length > 0) {
          yield found(place.resource, place.property, types, 'the instance type is not supported in a cluster placement group');
        }
      }
    },
  },
  {
    id: 'DedicatedHostInPlacementGroup',
    family: FAMILY,
    severity: 'error',
    title: 'Instances on Dedicated Hosts are in no placement group',
    why: 'EC2 does not launch Dedicated Hosts in placement groups',
    mend: 'drop the placement group, or the Dedicated Host',
    source: 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-groups.html',
    *check(graph) {
      for (const launch of launchesOf(graph)) {
        const [place] = placementsOf(launch);
        const tenancy = launchData(launch, 'Placement', 'Tenancy') ?? (launch.root.length === 0 ? launchData(launch, 'Tenancy') : undefined);
        if (place && tenancy === 'host') {
          yield found(place.resource, place.property, place.group, 'instances on Dedicated Hosts are launched into a placement group');
        }
      }
    },
  },
];

/** Where a type names Availability Zones; subnets first, since the others follow them. */
const ZONE_PROPERTIES: { readonly [type: string]: readonly string[] } = {
  'AWS::EC2::Subnet': ['AvailabilityZone', 'AvailabilityZoneId'],
  'AWS::EC2::Instance': ['AvailabilityZone'],
  'AWS::EC2::CapacityReservation': ['AvailabilityZone', 'AvailabilityZoneId'],
  'AWS::EC2::LaunchTemplate': ['LaunchTemplateData.Placement.AvailabilityZone'],
  'AWS::AutoScaling::AutoScalingGroup': ['AvailabilityZones', 'AvailabilityZoneIds'],
};

interface ZoneMember {
  readonly use: LaunchUse;
  readonly zone: Value;
}

/** Security groups of EFA interfaces with the launches that are certainly in one zone each. */
function fabricMembers(launches: readonly Launch[]): Map<Resource, ZoneMember[]> {
  const result = new Map<Resource, ZoneMember[]>();
  for (const launch of launches) {
    const placed = launch.uses.map((use) => ({ use, zones: zonesOfUse(use) }))
      .filter(({ zones }) => zones.length > 0 && severalZones(zones) === false);
    const [first] = placed;
    // one template launched in several zones makes fleets of one kind, not peers.
    if (!first || placed.length < launch.uses.length || severalZones(placed.map(({ zones }) => zones[0])) !== false) {
      continue;
    }
    const groups = launch.interfaces.filter(({ isEfa }) => isEfa).flatMap(({ values }) => asList(valueAt(values, 'Groups')) ?? []);
    for (const group of new Set(groups.filter(isSecurityGroup).map(({ resource }) => resource))) {
      const members = result.get(group) ?? [];
      members.push({ use: first.use, zone: first.zones[0] });
      result.set(group, members);
    }
  }
  return result;
}

function securityGroupsOf(launch: Launch): { group: Link; property: string }[] {
  const own = [{ property: launchProperty(launch, 'SecurityGroupIds'), groups: launchData(launch, 'SecurityGroupIds') }];
  const ofInterfaces = launch.interfaces.map(({ property, values }) => ({ property: `${property}.Groups`, groups: valueAt(values, 'Groups') }));
  return [...own, ...ofInterfaces]
    .flatMap(({ property, groups }) => (asList(groups) ?? []).filter(isSecurityGroup).map((group) => ({ group, property })));
}

function isSecurityGroup(value: Value): value is Link {
  return value instanceof Link && value.resource.type === 'AWS::EC2::SecurityGroup';
}

function vpcsOfUse(use: LaunchUse): Value[] {
  const subnets = Array.isArray(use.subnets) ? use.subnets : [];
  return subnets.map((subnet) => subnet instanceof Link ? subnet.resource.get('VpcId') : undefined).filter((vpc) => vpc !== undefined);
}

function spansVpcs(use: LaunchUse): boolean {
  const vpcs = vpcsOfUse(use);
  return vpcs.some((vpc, index) => index > 0 && same(vpcs[0], vpc) === false);
}

// a fleet may be told to launch all that it launches at once into whichever of its zones has room.
function choosesOneZone({ kind, resource }: LaunchUse): boolean {
  return kind === 'Fleet' && ['OnDemandOptions', 'SpotOptions'].some((options) => isTrue(resource.get(options, 'SingleAvailabilityZone')));
}
