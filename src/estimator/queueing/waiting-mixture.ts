// a shorter mean is no wait, and its rate may not be a number
const NO_WAIT_SECONDS = 1e-9;

/**
 * Latency of a mix of request classes that wait twice: each class has its own fixed time, both waits are zero with some probability and
 * exponential otherwise. Percentiles come from the distribution of the sum, not from a sum of percentiles.
 *
 * Holds its own buffers, so that asking for percentiles allocates nothing.
 */
export class WaitingMixture {
  /** Fixed seconds of each class; filled by the caller before `prepare`. */
  public readonly fixedSeconds: Float64Array;
  private readonly weights: Float64Array;
  private readonly order: Int32Array;
  private pa = 0;
  private ra = 0;
  private pb = 0;
  private rb = 0;
  private below = 0;
  private sumA = 0;
  private sumB = 0;

  /**
   * @param weights share of each class; they sum to 1.
   */
  constructor(weights: Float64Array) {
    this.weights = weights;
    this.fixedSeconds = new Float64Array(weights.length);
    this.order = Int32Array.from(weights, (_, i) => i);
  }

  /**
   * Takes the fixed times as they are now, and the two waits: probability of each and its mean given that it occurs.
   */
  public prepare(probability1: number, mean1: number, probability2: number, mean2: number): void {
    const waits1 = probability1 > 0 && mean1 > NO_WAIT_SECONDS;
    const waits2 = probability2 > 0 && mean2 > NO_WAIT_SECONDS;
    const c1 = waits1 ? probability1 : 0;
    const c2 = waits2 ? probability2 : 0;
    this.ra = waits1 ? 1 / mean1 : 1;
    this.rb = waits2 ? 1 / mean2 : 1;
    if (waits1 && waits2 && Math.abs(this.ra - this.rb) < 1e-6 * this.ra) {
      // the partial fractions below need distinct rates
      this.rb = this.ra * (1 + 1e-6);
    }
    const both = waits1 && waits2 ? c1 * c2 / (this.rb - this.ra) : 0;
    this.pa = c1 * (1 - c2) + both * this.rb;
    this.pb = c2 * (1 - c1) - both * this.ra;
    this.sort();
  }

  /**
   * For each share, the shortest time that at least that share of the requests stay within, in seconds.
   *
   * @param shares ascending, each above 0 and below 1.
   * @param out where the answers go, from index `at` on.
   */
  public quantiles(shares: readonly number[], out: Float64Array, at: number): void {
    const { fixedSeconds, weights, order, ra, rb } = this;
    let next = 0;
    this.below = 0;
    this.sumA = 0;
    this.sumB = 0;
    let now = fixedSeconds[order[0]];
    for (let i = 0; i < order.length && next < shares.length; i++) {
      const step = fixedSeconds[order[i]] - now;
      if (step > 0) {
        const laterA = this.sumA === 0 ? 0 : this.sumA * Math.exp(-ra * step);
        const laterB = this.sumB === 0 ? 0 : this.sumB * Math.exp(-rb * step);
        // shares that are reached between two classes' fixed times
        while (next < shares.length && this.below - laterA - laterB >= shares[next]) {
          out[at + next] = now + this.solve(shares[next], step);
          next++;
        }
        this.sumA = laterA;
        this.sumB = laterB;
        now += step;
      }
      const weight = weights[order[i]];
      this.below += weight;
      this.sumA += weight * this.pa;
      this.sumB += weight * this.pb;
      while (next < shares.length && this.below - this.sumA - this.sumB >= shares[next]) {
        out[at + next++] = now;
      }
    }
    for (let reach = 1 / Math.min(ra, rb); next < shares.length; next++) {
      while (this.within(reach) < shares[next] && reach < 1e12) {
        reach *= 2;
      }
      out[at + next] = now + this.solve(shares[next], reach);
    }
  }

  private within(seconds: number): number {
    return this.below - this.sumA * Math.exp(-this.ra * seconds) - this.sumB * Math.exp(-this.rb * seconds);
  }

  private solve(share: number, reach: number): number {
    if (this.pb === 0 && this.below > share) {
      return Math.min(reach, Math.max(0, Math.log(this.sumA / (this.below - share)) / this.ra));
    }
    let low = 0;
    let high = reach;
    for (let i = 0; i < 34; i++) {
      const middle = (low + high) / 2;
      if (this.within(middle) >= share) {
        high = middle;
      } else {
        low = middle;
      }
    }
    return high;
  }

  // insertion sort: nearly sorted already, as the classes keep their order from one draw to the next
  private sort(): void {
    const { order, fixedSeconds } = this;
    for (let i = 1; i < order.length; i++) {
      const item = order[i];
      const key = fixedSeconds[item];
      let j = i - 1;
      while (j >= 0 && fixedSeconds[order[j]] > key) {
        order[j + 1] = order[j];
        j--;
      }
      order[j + 1] = item;
    }
  }
}
