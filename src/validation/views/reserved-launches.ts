import { Launch, LaunchUse, launchesOf, reservationTarget, typesOfUse } from './launches';
import { viewOf } from './view';
import { Resource, Value, asList, distinctValues, linked } from '../graph/template-graph';

/** A launch that runs in one Capacity Reservation of the graph and nowhere else. */
export interface ReservedLaunch {
  readonly launch: Launch;
  /** What launches into the reservation. */
  readonly uses: LaunchUse[];
  /** Instance types that are launched into it, each once. */
  readonly types: Value[];
  readonly reservation: Resource;
}

const RESERVATION_TYPE = 'AWS::EC2::CapacityReservation';

/** Launches whose target is a Capacity Reservation of the graph; an id or a parameter says nothing of what is reserved. */
export const reservedLaunchesOf = viewOf((graph): ReservedLaunch[] => (
  // most templates reserve nothing.
  graph.ofType(RESERVATION_TYPE).length === 0 ? [] : launchesOf(graph).flatMap(reservedLaunches)
));

function reservedLaunches(launch: Launch): ReservedLaunch[] {
  // a preference of the group goes before what the launch template says.
  const overriding = launch.uses.filter(({ resource }) => {
    const preference = resource.get('CapacityReservationSpecification', 'CapacityReservationPreference');
    return preference !== undefined && preference !== 'default';
  });
  const rest = launch.uses.filter((use) => !overriding.includes(use));
  const result: ReservedLaunch[] = [];
  const target = reservationOf(reservationTarget(launch));
  if (target && (rest.length > 0 || launch.uses.length === 0)) {
    const types = launch.uses.length === 0 ? launch.instanceTypes : distinctValues(rest.flatMap((use) => typesOfUse(launch, use)));
    result.push({ launch, uses: rest, types, reservation: target });
  }
  for (const use of overriding) {
    const specification = (...path: string[]) => use.resource.get('CapacityReservationSpecification', ...path);
    const ids = asList(specification('CapacityReservationTarget', 'CapacityReservationIds')) ?? [];
    const reservation = reservationOf(ids[0]);
    // with several reservations, or with On-Demand capacity as well, what does not fit in one goes elsewhere.
    if (reservation && ids.length === 1 && specification('CapacityReservationPreference') === 'capacity-reservations-only') {
      result.push({ launch, uses: [use], types: typesOfUse(launch, use), reservation });
    }
  }
  return result;
}

function reservationOf(target: Value | undefined): Resource | undefined {
  return linked(target, RESERVATION_TYPE);
}
