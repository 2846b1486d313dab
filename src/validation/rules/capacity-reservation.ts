import { Link, Resource, TemplateGraph, Unknown, Value, asInteger, asList, linked, same, show, valueAt } from '../graph/template-graph';
import { Rule, found, notChecked } from '../rule';
import { largestSizeOf } from '../views/group-sizes';
import { Launch, LaunchUse, launchData, launchProperty, launchesOf, reservationTarget, zonesOfUse } from '../views/launches';
import { hasHole, partialText } from '../views/partial-text';
import { isWithoutPlacement, placementsOf } from '../views/placements';
import { purchaseOf } from '../views/purchases';
import { reservedLaunchesOf } from '../views/reserved-launches';
import { differentZones, severalZones, zoneOf } from '../views/zones';

const FAMILY = 'capacity-reservation';
const LAUNCH_GUIDE = 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-reservations-launch.html';
const RESERVATION_TYPE = 'AWS::EC2::CapacityReservation';
const SPECIFICATION = 'CapacityReservationSpecification';

export const CAPACITY_RESERVATION_RULES: Rule[] = [
  {
    id: 'ReservationInstanceTypeMismatch',
    family: FAMILY,
    severity: 'error',
    title: 'A launch into a Capacity Reservation is of the type that is reserved',
    why: 'the launch is refused, and the reservation is paid for unused',
    mend: 'launch the instance type of the reservation, or reserve the one that is launched',
    source: LAUNCH_GUIDE,
    *check(graph) {
      for (const { launch, types, reservation } of reservedLaunchesOf(graph)) {
        const reserved = reservation.get('InstanceType');
        if (reserved === undefined) {
          continue;
        }
        for (const type of types) {
          const equal = same(type, reserved);
          if (equal === false) {
            yield found(launch.template, launchProperty(launch, 'InstanceType'), type, `the reservation ${reservation.logicalId} is of ${show(reserved)}`);
          } else if (equal === undefined) {
            yield notChecked(launch.template, launchProperty(launch, 'InstanceType'), type instanceof Unknown ? type : 'the reserved type is not known');
          }
        }
      }
    },
  },
  {
    id: 'ReservationZoneMismatch',
    family: FAMILY,
    severity: 'error',
    title: 'A launch into a Capacity Reservation is in the zone of the reservation',
    why: 'the launch is refused, and the reservation is paid for unused',
    mend: "launch into a subnet of the reservation's Availability Zone",
    source: LAUNCH_GUIDE,
    *check(graph) {
      for (const { launch, uses, reservation } of reservedLaunchesOf(graph)) {
        const isEfa = launch.interfaces.some((nic) => nic.isEfa);
        const reserved = reservation.get('AvailabilityZone') ?? reservation.get('AvailabilityZoneId');
        if (reserved === undefined) {
          continue;
        }
        // of EFA instances in several zones the topology rules speak.
        for (const use of uses.filter((each) => !(isEfa && severalZones(zonesOfUse(each))))) {
          const different = zonesOfUse(use).map((zone) => differentZones(zone, zoneOf(reserved)));
          if (different.includes(true)) {
            yield found(use.resource, use.subnetsProperty, zonesOfUse(use), `the reservation ${reservation.logicalId} is in ${show(reserved)}`);
          } else if (different.includes(undefined)) {
            yield notChecked(use.resource, use.subnetsProperty, 'the Availability Zone of the subnet or of the reservation is not known');
          }
        }
      }
    },
  },
  {
    id: 'ReservationTenancyMismatch',
    family: FAMILY,
    severity: 'error',
    title: 'A launch into a Capacity Reservation has the tenancy of the reservation',
    why: 'the launch is refused, and the reservation is paid for unused',
    mend: "set Placement.Tenancy of the launch template to the reservation's Tenancy, or reserve with the tenancy of the launch",
    source: LAUNCH_GUIDE,
    *check(graph) {
      for (const { launch, uses, reservation } of reservedLaunchesOf(graph)) {
        const reserved = reservation.get('Tenancy') ?? 'default';
        const tenancies = uses.map((use) => tenancyOf(launch, use)).filter((tenancy) => tenancy !== undefined);
        const different = tenancies.find((tenancy) => same(tenancy, reserved) === false);
        if (different !== undefined) {
          yield found(launch.template, launchProperty(launch, 'Placement', 'Tenancy'), different,
            `the launch has another tenancy than the reservation ${reservation.logicalId}, ${show(reserved)}`);
        }
      }
    },
  },
  {
    id: 'ReservationTooSmall',
    family: FAMILY,
    severity: 'warning',
    title: 'A group that launches into a Capacity Reservation grows no larger than the reservation',
    why: 'launches beyond the reservation fail for want of capacity',
    mend: 'lower the size of the group, or reserve more instances',
    source: LAUNCH_GUIDE,
    *check(graph) {
      for (const { uses, reservation } of reservedLaunchesOf(graph)) {
        const count = asInteger(reservation.get('InstanceCount'));
        for (const use of uses) {
          const size = largestSizeOf(use, graph);
          if (count !== undefined && size && size.instances > count) {
            yield found(size.resource, size.property, size.instances,
              `${use.resource.logicalId} may grow beyond the reservation ${reservation.logicalId}, of ${count} instances`);
          }
        }
      }
    },
  },
  {
    id: 'ReservationPlacementGroupMismatch',
    family: FAMILY,
    severity: 'error',
    title: 'A launch into a Capacity Reservation of a placement group is not in another placement group',
    why: 'what is reserved in one placement group is not to be had in another: the launch fails for want of capacity, and the reservation is paid for unused',
    mend: "launch into the reservation's placement group",
    source: 'https://github.com/aws/aws-parallelcluster/pull/4365',
    *check(graph) {
      for (const { launch, reservation } of reservedLaunchesOf(graph)) {
        const name = partialText(reservation.get('PlacementGroupArn'))?.split(':placement-group/')[1];
        for (const { resource, property, group } of placementsOf(launch)) {
          if (name !== undefined && !hasHole(name) && typeof group === 'string' && !property.endsWith('GroupId') && group !== name) {
            yield found(resource, property, group, `the reservation ${reservation.logicalId} is of the placement group ${JSON.stringify(name)}`);
          }
        }
      }
    },
  },
  {
    id: 'ReservationOutsidePlacementGroup',
    family: FAMILY,
    severity: 'warning',
    title: 'A launch and its Capacity Reservation are both in a placement group, or both in none',
    why: 'launches fail with InsufficientInstanceCapacity though the reservation has room: what is reserved outside a placement group need not be near it',
    mend: 'set PlacementGroupArn of the reservation to the placement group of the launch, or use no placement group',
    source: 'https://github.com/terraform-aws-modules/terraform-aws-eks/pull/3730',
    *check(graph) {
      for (const { launch, reservation } of reservedLaunchesOf(graph)) {
        const arn = reservation.get('PlacementGroupArn');
        const [place] = placementsOf(launch);
        if (arn === undefined && place) {
          yield found(place.resource, place.property, place.group, `the reservation ${reservation.logicalId} is of no placement group`);
        } else if (partialText(arn)?.startsWith('arn:') && isWithoutPlacement(launch)) {
          yield found(reservation, 'PlacementGroupArn', arn, `${launch.template.logicalId} is launched into no placement group`);
        }
      }
    },
  },
  {
    id: 'ReservationUnused',
    family: FAMILY,
    severity: 'warning',
    title: 'A targeted Capacity Reservation is named by what launches its instance type',
    why: 'only launches that name a targeted reservation run in it: it is paid for unused, and the launches are paid for beside it',
    mend: 'name the reservation in CapacityReservationSpecification.CapacityReservationTarget, or set InstanceMatchCriteria to "open"',
    source: 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-reservations.html',
    *check(graph) {
      const targeted = graph.ofType(RESERVATION_TYPE).filter((reservation) => reservation.get('InstanceMatchCriteria') === 'targeted');
      if (targeted.length === 0) {
        return;
      }
      for (const reservation of targeted.filter((candidate) => !graph.isReferredTo(candidate))) {
        const type = reservation.get('InstanceType');
        const launch = launchesOf(graph).find((candidate) => candidate.template.stack === reservation.stack && candidate.uses.length > 0
          && candidate.instanceTypes.length === 1 && typeof type === 'string' && same(candidate.instanceTypes[0], type) === true
          && candidate.uses.every((use) => purchaseOf(candidate, use) === 'on-demand'));
        if (launch) {
          yield found(reservation, 'InstanceMatchCriteria', 'targeted',
            `nothing names the reservation, and ${launch.template.logicalId} launches ${show(type)} without it`);
        }
      }
    },
  },
  {
    id: 'ReservationPreferenceConflict',
    family: FAMILY,
    severity: 'error',
    title: 'A Capacity Reservation is targeted only with a preference that allows a target',
    why: 'the request is refused: "You can\'t specify CapacityReservationPreference as default or none and provide a CapacityReservationTarget in the same request"',
    mend: 'set CapacityReservationPreference to "capacity-reservations-only", or drop the target',
    source: 'https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CapacityReservationSpecification.html',
    *check(graph) {
      const places = [
        ...graph.ofType('AWS::EC2::LaunchTemplate').map((resource) => ({ resource, path: ['LaunchTemplateData', SPECIFICATION], forbidden: ['open', 'none'] })),
        ...graph.ofType('AWS::AutoScaling::AutoScalingGroup').map((resource) => ({ resource, path: [SPECIFICATION], forbidden: ['default', 'none'] })),
      ];
      for (const { resource, path, forbidden } of places) {
        const preference = resource.get(...path, 'CapacityReservationPreference');
        const target = resource.get(...path, 'CapacityReservationTarget');
        if (typeof preference === 'string' && forbidden.includes(preference) && target !== undefined && !(target instanceof Unknown)) {
          yield found(resource, [...path, 'CapacityReservationPreference'].join('.'), preference, 'a Capacity Reservation is targeted beside this preference');
        }
      }
    },
  },
  {
    id: 'ReservationGroupConfiguration',
    family: FAMILY,
    severity: 'error',
    title: 'A resource group that launches target is a pool of Capacity Reservations',
    why: 'only a group of configuration AWS::EC2::CapacityReservationPool, which takes Capacity Reservations alone, can be targeted by a launch',
    mend: 'configure it with AWS::EC2::CapacityReservationPool, and with AWS::ResourceGroups::Generic whose allowed-resource-types is AWS::EC2::CapacityReservation',
    source: 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/create-group.html',
    *check(graph) {
      for (const group of targetedGroups(graph)) {
        const configuration = asList(group.get('Configuration'));
        if (configuration === undefined || configuration.some((item) => item instanceof Unknown || valueAt(item, 'Type') instanceof Unknown)) {
          continue;
        }
        const item = (type: string) => configuration.find((candidate) => valueAt(candidate, 'Type') === type);
        const generic = item('AWS::ResourceGroups::Generic');
        if (item('AWS::EC2::CapacityReservationPool') === undefined) {
          yield found(group, 'Configuration', group.get('Configuration'), 'launches target the group, but it is no pool of Capacity Reservations');
        } else if (generic === undefined || onlyReservations(generic) === false) {
          yield found(group, 'Configuration', group.get('Configuration'), 'launches target the group, but it takes more than Capacity Reservations');
        }
      }
    },
  },
  {
    id: 'ReservationEndDate',
    family: FAMILY,
    severity: 'error',
    title: 'A Capacity Reservation has an EndDate if, and only if, it is limited',
    why: 'CreateCapacityReservation is refused',
    mend: 'with EndDateType "limited" set EndDate, with "unlimited" drop it',
    source: 'https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-ec2-capacityreservation.html#cfn-ec2-capacityreservation-enddatetype',
    *check(graph) {
      for (const reservation of graph.ofType(RESERVATION_TYPE)) {
        const [type, date] = [reservation.get('EndDateType'), reservation.get('EndDate')];
        if (type === 'limited' && date === undefined) {
          yield found(reservation, 'EndDate', undefined, 'the reservation is limited, but has no EndDate');
        } else if (type === 'unlimited' && date !== undefined && !(date instanceof Unknown)) {
          yield found(reservation, 'EndDate', date, 'the reservation is unlimited, but has an EndDate');
        }
      }
    },
  },
];

/** The tenancy that instances get; undefined where the VPC, which may set it for all, is not known. */
function tenancyOf(launch: Launch, use: LaunchUse): Value | undefined {
  const own = (use.kind === 'Instance' ? use.resource.get('Tenancy') : undefined) ?? launchData(launch, 'Placement', 'Tenancy');
  if (own === 'dedicated' || own === 'host') {
    return own;
  }
  const [subnet] = Array.isArray(use.subnets) ? use.subnets : [];
  const vpc = subnet instanceof Link ? subnet.resource.get('VpcId') : undefined;
  if (own instanceof Unknown || !(vpc instanceof Link) || vpc.resource.type !== 'AWS::EC2::VPC') {
    return undefined;
  }
  return vpc.resource.get('InstanceTenancy') ?? 'default';
}

function targetedGroups(graph: TemplateGraph): Set<Resource> {
  const targets = [
    ...launchesOf(graph).map(reservationTarget),
    ...graph.ofType('AWS::AutoScaling::AutoScalingGroup')
      .flatMap((group) => asList(group.get(SPECIFICATION, 'CapacityReservationTarget', 'CapacityReservationResourceGroupArns')) ?? []),
  ];
  return new Set(targets.flatMap((target) => linked(target, 'AWS::ResourceGroups::Group') ?? []));
}

function onlyReservations(generic: Value): boolean | undefined {
  const parameters = asList(valueAt(generic, 'Parameters'));
  const allowed = parameters?.find((parameter) => valueAt(parameter, 'Name') === 'allowed-resource-types');
  const values = asList(valueAt(allowed, 'Values'));
  if (parameters === undefined || values === undefined || [...parameters, ...values].some((value) => value instanceof Unknown)) {
    return undefined;
  }
  return values.length === 1 && values[0] === 'AWS::EC2::CapacityReservation';
}
