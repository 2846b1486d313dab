import { Hardware } from '../hardware';
import { PoolSpec } from './deployment-spec';

/** A price of one instance, UltraServer or replica. */
export interface Price {
  readonly usdPerHour: number;
  readonly source: string;
}

/** Ways to buy an instance: those that prices are listed for, and Capacity Reservations, which are billed as On-Demand. */
export const PURCHASE_OPTIONS = ['on-demand', 'spot', 'capacity-block', 'reservation'];

/**
 * The price that the spec gives, or the cheapest sourced price of the way that the spec says it is bought, or of any list price (Spot is none);
 * undefined where there is none.
 */
export function poolPrice(pool: PoolSpec): Price | undefined {
  if (pool.usdPerInstanceHour !== undefined) {
    return { usdPerHour: pool.usdPerInstanceHour, source: pool.priceSource ?? 'given in the spec' };
  }
  const billed = pool.purchaseOption === 'reservation' ? 'on-demand' : pool.purchaseOption;
  const listed = (Hardware.accelerated(pool.hardware)?.prices ?? [])
    .filter((price) => (billed === undefined ? price.purchase !== 'spot' : price.purchase === billed));
  if (listed.length === 0) {
    return undefined;
  }
  const cheapest = listed.reduce((best, price) => (price.usdPerHour < best.usdPerHour ? price : best));
  // Spot prices hold in one zone on one day
  const seen = [cheapest.purchase, cheapest.zone, cheapest.zone && cheapest.asOf].filter((part) => part !== undefined).join(' ');
  return { usdPerHour: cheapest.usdPerHour, source: `${seen}: ${cheapest.source}` };
}

/**
 * USD per million output tokens of a fleet at a rate of tokens, idle time included.
 */
export function usdPerMillionTokens(usdPerHour: number, tokensPerSecond: number): number {
  return usdPerHour / 3600 / tokensPerSecond * 1e6;
}
