import { Launch, LaunchUse, launchData, launchesOf, reservationTarget } from './launches';
import { Link, Resource, TemplateGraph, Value, asInteger, asList, same } from '../graph/template-graph';

/** A launch that runs in one Capacity Reservation of the graph and nowhere else. */
export interface ReservedLaunch {
  readonly launch: Launch;
  /** What launches into the reservation. */
  readonly uses: LaunchUse[];
  /** Instance types that are launched into it, each once. */
  readonly types: Value[];
  readonly reservation: Resource;
}

/** How many instances a group may have. */
export interface GroupSize {
  /** Path below `Properties`. */
  readonly property: string;
  readonly instances: number;
}

const RESERVATION_TYPE = 'AWS::EC2::CapacityReservation';
const launchesOfGraph = new WeakMap<TemplateGraph, ReservedLaunch[]>();

/**
 * Launches whose target is a Capacity Reservation of the graph; an id or a parameter says nothing of what is reserved.
 *
 * @param graph the templates.
 */
export function reservedLaunchesOf(graph: TemplateGraph): ReservedLaunch[] {
  let launches = launchesOfGraph.get(graph);
  if (!launches) {
    // most templates reserve nothing.
    launches = graph.ofType(RESERVATION_TYPE).length === 0 ? [] : launchesOf(graph).flatMap(reservedLaunches);
    launchesOfGraph.set(graph, launches);
  }
  return launches;
}

/**
 * The largest number of instances that a group may have; undefined where it is not known.
 *
 * @param use what launches.
 */
export function sizeOf(use: LaunchUse): GroupSize | undefined {
  if (use.kind === 'Instance') {
    return { property: 'InstanceType', instances: 1 };
  }
  const path = use.kind === 'Nodegroup' ? ['ScalingConfig', 'MaxSize'] : ['MaxSize'];
  const instances = asInteger(use.resource.get(...path));
  return instances === undefined ? undefined : { property: path.join('.'), instances };
}

/**
 * Instance types that one use of a launch launches.
 *
 * @param launch what is launched.
 * @param use what launches it.
 */
export function typesOf(launch: Launch, use: LaunchUse): Value[] {
  const own = launchData(launch, 'InstanceType');
  return use.instanceTypes.length > 0 ? use.instanceTypes : own === undefined ? [] : [own];
}

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
    const types = launch.uses.length === 0 ? launch.instanceTypes : distinct(rest.flatMap((use) => typesOf(launch, use)));
    result.push({ launch, uses: rest, types, reservation: target });
  }
  for (const use of overriding) {
    const specification = (...path: string[]) => use.resource.get('CapacityReservationSpecification', ...path);
    const ids = asList(specification('CapacityReservationTarget', 'CapacityReservationIds')) ?? [];
    const reservation = reservationOf(ids[0]);
    // with several reservations, or with On-Demand capacity as well, what does not fit in one goes elsewhere.
    if (reservation && ids.length === 1 && specification('CapacityReservationPreference') === 'capacity-reservations-only') {
      result.push({ launch, uses: [use], types: typesOf(launch, use), reservation });
    }
  }
  return result;
}

function reservationOf(target: Value | undefined): Resource | undefined {
  return target instanceof Link && target.resource.type === RESERVATION_TYPE ? target.resource : undefined;
}

function distinct(values: readonly Value[]): Value[] {
  return values.filter((value, index) => values.findIndex((other) => other === value || same(value, other) === true) === index);
}
