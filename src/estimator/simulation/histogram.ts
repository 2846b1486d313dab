/* eslint-disable no-bitwise -- buckets are the upper bits of a number */
const MANTISSA_BITS = 9;
const SHIFT = 20 - MANTISSA_BITS;
/** The least and the greatest exponent of two that are told apart. */
const LEAST = -40;
const GREATEST = 40;
const float = new Float64Array(1);
const words = new Uint32Array(float.buffer);
const FIRST = (LEAST + 1023) << MANTISSA_BITS;
const BUCKETS = (GREATEST - LEAST) << MANTISSA_BITS;

/** Most that a quantile is off, relative to itself: half a bucket. */
export const QUANTILE_ERROR = 2 ** -(MANTISSA_BITS + 1);

/**
 * Mean, extremes and quantiles of up to 2^32 positive figures in fixed memory: 512 buckets to each power of two.
 */
export class Histogram {
  public count = 0;
  public sum = 0;
  public min = Infinity;
  public max = 0;
  private readonly counts = new Uint32Array(BUCKETS);

  /**
   * @param value above 0; figures beyond 2^-40 to 2^40 are put into the outermost buckets.
   */
  public add(value: number): void {
    this.count++;
    this.sum += value;
    if (value < this.min) {
      this.min = value;
    }
    if (value > this.max) {
      this.max = value;
    }
    float[0] = value;
    // the bits of a positive number ascend with the number
    const bucket = (words[1] >>> SHIFT) - FIRST;
    this.counts[bucket < 0 ? 0 : bucket < BUCKETS ? bucket : BUCKETS - 1]++;
  }

  /**
   * The smallest figure that at least this share of the figures do not exceed, within `QUANTILE_ERROR`; 0 if there are none.
   */
  public quantile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.count));
    let below = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      below += this.counts[bucket];
      if (below >= rank) {
        float[0] = 0;
        words[1] = (bucket + FIRST) << SHIFT;
        const middle = float[0] + 2 ** (LEAST + (bucket >> MANTISSA_BITS)) * QUANTILE_ERROR;
        return Math.min(this.max, Math.max(this.min, middle));
      }
    }
    return 0;
  }
}
