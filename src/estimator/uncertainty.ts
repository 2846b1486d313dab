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
 * @returns deviates by dimension, then draw.
 */
export function latinHypercube(dimensions: number): Float64Array[] {
  return Array.from({ length: dimensions }, (_, dimension) => {
    const column = STRATA.slice();
    let state = 12345 + 7919 * dimension;
    for (let i = DRAWS - 1; i > 0; i--) {
      // Lehmer's generator of Park and Miller: products stay below 2^53
      state = state * 48271 % 2147483647;
      const j = state % (i + 1);
      [column[i], column[j]] = [column[j], column[i]];
    }
    return column;
  });
}

/**
 * The 80 % interval of the draws, widened to contain the centre and to what a spread around it covers. Sorts `draws`.
 *
 * @param relativeSigma standard deviation of the logarithm by which such figures are known to be off at least.
 */
export function interval(
  centre: number, draws: Float64Array, relativeSigma = 0,
): { readonly value: number; readonly low: number; readonly high: number } {
  draws.sort();
  const times = Math.exp(relativeSigma * normalQuantile(1 - TAIL));
  return {
    value: centre,
    low: Math.min(centre / times, quantile(draws, TAIL)),
    high: Math.max(centre * times, quantile(draws, 1 - TAIL)),
  };
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

const STRATA = Float64Array.from({ length: DRAWS }, (_, i) => normalQuantile((i + 0.5) / DRAWS));
