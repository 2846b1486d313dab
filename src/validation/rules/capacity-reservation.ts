import { Launch, launchProperty, launchesOf, reservationTarget, zonesOfUse } from '../launches';
import { Rule, found, notChecked } from '../rule';
import { Link, Resource, TemplateGraph, Unknown, asInteger, same, show } from '../template-graph';
import { differentZones, zoneOf } from '../zones';

const FAMILY = 'capacity-reservation';
const LAUNCH_GUIDE = 'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-reservations-launch.html';

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
      for (const { launch, reservation } of reservedLaunches(graph)) {
        const reserved = reservation.get('InstanceType');
        if (reserved === undefined) {
          continue;
        }
        for (const type of launch.instanceTypes) {
          const equal = same(type, reserved);
          if (equal === false) {
            yield found(launch.template, launchProperty('InstanceType'), type, `the reservation ${reservation.logicalId} is of ${show(reserved)}`);
          } else if (equal === undefined) {
            yield notChecked(launch.template, launchProperty('InstanceType'), type instanceof Unknown ? type : 'the reserved type is not known');
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
      for (const { launch, reservation } of reservedLaunches(graph)) {
        const reserved = reservation.get('AvailabilityZone') ?? reservation.get('AvailabilityZoneId');
        if (reserved === undefined) {
          continue;
        }
        for (const use of launch.uses) {
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
    id: 'ReservationTooSmall',
    family: FAMILY,
    severity: 'warning',
    title: 'A group that launches into a Capacity Reservation grows no larger than the reservation',
    why: 'launches beyond the reservation fail for want of capacity',
    mend: 'lower the maximum size of the group, or reserve more instances',
    source: LAUNCH_GUIDE,
    *check(graph) {
      for (const { launch, reservation } of reservedLaunches(graph)) {
        const count = asInteger(reservation.get('InstanceCount'));
        for (const { kind, resource } of launch.uses) {
          const path = kind === 'Nodegroup' ? ['ScalingConfig', 'MaxSize'] : ['MaxSize'];
          const size = asInteger(resource.get(...path));
          if (count !== undefined && size !== undefined && size > count) {
            yield found(resource, path.join('.'), size, `the reservation ${reservation.logicalId} is of ${count} instances`);
          }
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
      for (const reservation of graph.ofType('AWS::EC2::CapacityReservation')) {
        const [type, date] = [reservation.get('EndDateType'), reservation.get('EndDate')];
        if (type === 'limited' && date === undefined) {
          yield found(reservation, 'EndDate', undefined, 'the reservation is limited, but has no EndDate');
        } else if (type === 'unlimited' && date !== undefined) {
          yield found(reservation, 'EndDate', date, 'the reservation is unlimited, but has an EndDate');
        }
      }
    },
  },
];

// launches whose target is a reservation of the graph; an id or a parameter says nothing of what is reserved.
function* reservedLaunches(graph: TemplateGraph): Iterable<{ launch: Launch; reservation: Resource }> {
  for (const launch of launchesOf(graph)) {
    const target = reservationTarget(launch);
    if (target instanceof Link && target.resource.type === 'AWS::EC2::CapacityReservation') {
      yield { launch, reservation: target.resource };
    }
  }
}
