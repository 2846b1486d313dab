import { Hardware } from '../hardware';
import { PoolSpec } from './deployment-spec';

/** A price of one instance, UltraServer or replica. */
export interface Price {
  readonly usdPerHour: number;
  readonly source: string;
}

/**
 * The price that the spec gives, or the cheapest sourced list price (Spot is no list price); undefined where there is none.
 */
export function poolPrice(pool: PoolSpec): Price | undefined {
  if (pool.usdPerInstanceHour !== undefined) {
    return { usdPerHour: pool.usdPerInstanceHour, source: pool.priceSource ?? 'given in the spec' };
  }
  const listed = (Hardware.accelerated(pool.hardware)?.prices ?? []).filter((price) => price.purchase !== 'spot');
  if (listed.length === 0) {
    return undefined;
  }
  const cheapest = listed.reduce((best, price) => (price.usdPerHour < best.usdPerHour ? price : best));
  return { usdPerHour: cheapest.usdPerHour, source: `${cheapest.purchase}: ${cheapest.source}` };
}

/**
 * USD per million output tokens of a fleet at a rate of tokens, idle time included.
 */
export function usdPerMillionTokens(usdPerHour: number, tokensPerSecond: number): number {
  return usdPerHour / 3600 / tokensPerSecond * 1e6;
}
