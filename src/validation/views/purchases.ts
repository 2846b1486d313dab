import { Launch, LaunchUse, launchData, reservationTarget } from './launches';
import { Unknown, Value } from '../graph/template-graph';

/** Ways to pay for a launch; `reservation` is an On-Demand Capacity Reservation, or one whose kind only its id tells. */
export type PurchaseKind = 'on-demand' | 'spot' | 'capacity-block' | 'interruptible-capacity-reservation' | 'reservation';

/** Values of MarketType. */
export const MARKETS: readonly string[] = ['spot', 'capacity-block', 'interruptible-capacity-reservation'];

/**
 * How instances of a launch are bought; undefined where that is not certain.
 *
 * @param launch what is launched.
 * @param use what launches it.
 */
export function purchaseOf(launch: Launch, use: LaunchUse): PurchaseKind | undefined {
  if (use.kind === 'Fleet' || use.resource.get('MixedInstancesPolicy', 'InstancesDistribution') !== undefined) {
    // a fleet and a distribution mix purchases.
    return undefined;
  }
  const given = [
    launchData(launch, 'InstanceMarketOptions', 'MarketType'),
    use.kind === 'Nodegroup' ? NODE_GROUP_MARKETS.get(use.resource.get('CapacityType')) : undefined,
    reservationOf(launch, use),
  ].filter((value) => value !== undefined);
  const [market] = given;
  if (given.some((value) => value instanceof Unknown) || (use.kind === 'Nodegroup' && use.resource.get('CapacityType') instanceof Unknown)) {
    return undefined;
  }
  if (market === undefined) {
    return 'on-demand';
  }
  return market === 'reservation' || (typeof market === 'string' && MARKETS.includes(market)) ? market as PurchaseKind : undefined;
}

const NODE_GROUP_MARKETS = new Map<Value | undefined, Value>([['SPOT', 'spot'], ['CAPACITY_BLOCK', 'capacity-block']]);

function reservationOf(launch: Launch, use: LaunchUse): Value | undefined {
  const path = 'CapacityReservationSpecification';
  const given = [
    reservationTarget(launch),
    use.resource.get(path, 'CapacityReservationTarget'),
    // a launch that runs in reservations only takes any that matches.
    onlyReserved(launchData(launch, path, 'CapacityReservationPreference')),
    onlyReserved(use.resource.get(path, 'CapacityReservationPreference')),
  ].filter((value) => value !== undefined);
  return given.find((value) => value instanceof Unknown) ?? (given.length > 0 ? 'reservation' : undefined);
}

function onlyReserved(preference: Value | undefined): Value | undefined {
  return preference === 'capacity-reservations-only' || preference instanceof Unknown ? preference : undefined;
}
