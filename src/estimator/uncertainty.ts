import { Range } from './estimate';

/** Draws of the uncertainty analysis. */
export const DRAWS = 64;

/** Share of the draws below the lower and above the upper end of an interval: 80 % lie inside. */
const TAIL = 0.1;

/**
 * Standard-normal deviates of a Latin hypercube: in each dimension every one of the `DRAWS` strata occurs once, in a shuffled order.
 *
 * Seeded by the dimension alone, and integer arithmetic shuffles, so the draws are the same on every platform and do not change when a
 * dimension is added.
 *
 * @param first the first of the dimensions.
 * @returns deviates by dimension, then draw.
 */
export function latinHypercube(dimensions: number, first = 0): Float64Array[] {
  return Array.from({ length: dimensions }, (_, i) => {
    const column = STRATA.slice();
    let state = 12345 + 7919 * (first + i);
    for (let last = DRAWS - 1; last > 0; last--) {
      // Lehmer's generator of Park and Miller: products stay below 2^53
      state = state * 48271 % 2147483647;
      const j = state % (last + 1);
      [column[last], column[j]] = [column[j], column[last]];
    }
    return column;
  });
}

/**
 * The 80 % interval of the draws, which contains the centre. Sorts `draws`.
 *
 * @param relativeSigma what such figures are off by whatever the coefficients are, as a standard deviation of the logarithm: it widens the interval as what is
 * independent does.
 */
export function interval(centre: number, draws: Float64Array, relativeSigma = 0): Range {
  draws.sort();
  return widened({ value: centre, low: Math.min(centre, quantile(draws, TAIL)), high: Math.max(centre, quantile(draws, 1 - TAIL)) }, relativeSigma);
}

/** An interval with what figures are off by besides, as a standard deviation of the logarithm. */
export function widened({ value, low, high }: Range, relativeSigma: number): Range {
  if (relativeSigma === 0 || value === 0) {
    return { value, low, high };
  }
  const beside = EIGHTY_PERCENT * relativeSigma;
  const times = (explained: number) => Math.exp(Math.hypot(Math.log(explained), beside));
  return { value, low: value / times(value / low), high: value * times(high / value) };
}

function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

/** Acklam's rational approximation of the standard normal's quantiles, relative error below 1.2e-9. */
export function normalQuantile(share: number): number {
  const a = [-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716, 2.506628277459239];
  const b = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572];
  const c = [-0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783];
  const d = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416];
  const poly = (k: number[], x: number) => k.reduce((sum, v) => sum * x + v, 0);
  if (share > 0.97575) {
    return -normalQuantile(1 - share);
  }
  if (share < 0.02425) {
    const q = Math.sqrt(-2 * Math.log(share));
    return poly(c, q) / (poly(d, q) * q + 1);
  }
  const q = share - 0.5;
  const r = q * q;
  return q * poly(a, r) / (poly(b, r) * r + 1);
}

/** Standard deviations of a normal distribution, either way, that hold 80 % of it. */
export const EIGHTY_PERCENT = normalQuantile(1 - TAIL);

const STRATA = Float64Array.from({ length: DRAWS }, (_, i) => normalQuantile((i + 0.5) / DRAWS));
