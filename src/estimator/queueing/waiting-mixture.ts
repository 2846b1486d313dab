// a shorter mean is no wait, and its rate may not be a number
const NO_WAIT_SECONDS = 1e-9;

/** Rates are distinct that differ by this share. */
const APART = 1e-6;

/** Of percentiles, as a share. */
const PRECISION = 1e-9;

/** Of all requests, what counts as none: a share that is reached between two classes but for the last of a wait is that of the shorter ones. */
const ROUNDING = 1e-12;

/** The least squared coefficient of variation that two exponentials in a row have, and a little more, so that their rates are distinct. */
const LEAST_SCV = 0.5001;

/**
 * Latency of a mix of request classes that wait twice: each class has its own fixed time, both waits are zero with some probability. Otherwise the second is
 * exponential, and the first has two moments: it is two exponentials, in a row where it varies less than one, one of the two where it varies more (Whitt,
 * doi:10.1002/j.1538-7305.1982.tb03430.x). Percentiles come from the distribution of the sum, not from a sum of percentiles.
 *
 * Holds its own buffers, so that asking for percentiles allocates nothing.
 */
export class WaitingMixture {
  /** Fixed seconds of each class; filled by the caller before `prepare`. */
  public readonly fixedSeconds: Float64Array;
  private readonly weights: Float64Array;
  private readonly order: Int32Array;
  /** Chance to wait for longer than some time: a sum of three exponentials of it. */
  private readonly shares = new Float64Array(3);
  private readonly rates = Float64Array.of(1, 1, 1);
  /** These exponentials of those classes whose fixed times are over. */
  private readonly sums = new Float64Array(3);
  private below = 0;

  /**
   * @param weights share of each class; they sum to 1.
   */
  constructor(weights: Float64Array) {
    this.weights = weights;
    this.fixedSeconds = new Float64Array(weights.length);
    this.order = Int32Array.from(weights, (_, i) => i);
  }

  /**
   * Takes the fixed times as they are now, and the two waits: probability of each and its mean given that it occurs, and the first one's squared coefficient of
   * variation then; below 0.5 taken for 0.5.
   */
  public prepare(probability1: number, mean1: number, scv1: number, probability2: number, mean2: number): void {
    const { shares, rates } = this;
    const c1 = mean1 > NO_WAIT_SECONDS ? probability1 : 0;
    const c2 = mean2 > NO_WAIT_SECONDS ? probability2 : 0;
    const rate = c1 > 0 ? 1 / mean1 : 1;
    let part: number;
    if (scv1 >= 1) {
      const unevenness = Math.sqrt((scv1 - 1) / (scv1 + 1));
      part = (1 + unevenness) / 2;
      rates[0] = 2 * part * rate;
      rates[1] = 2 * (1 - part) * rate;
    } else {
      const unevenness = Math.sqrt(2 * Math.max(LEAST_SCV, scv1) - 1);
      part = (1 + 1 / unevenness) / 2;
      rates[0] = 2 * rate / (1 + unevenness);
      rates[1] = 2 * rate / (1 - unevenness);
    }
    let second = c2 > 0 ? 1 / mean2 : 1;
    // the partial fractions below need distinct rates
    while (Math.abs(second - rates[0]) < APART * second || Math.abs(second - rates[1]) < APART * second) {
      second *= 1 + 2 * APART;
    }
    rates[2] = second;
    shares[0] = c1 * part * (1 - c2 + c2 * second / (second - rates[0]));
    shares[1] = c1 * (1 - part) * (1 - c2 + c2 * second / (second - rates[1]));
    shares[2] = c2 * (1 - c1 - c1 * (part * rates[0] / (second - rates[0]) + (1 - part) * rates[1] / (second - rates[1])));
    this.sort();
  }

  /**
   * For each share, the shortest time that at least that share of the requests stay within, in seconds.
   *
   * @param shares ascending, each above 0 and below 1.
   * @param out where the answers go, from index `at` on.
   */
  public quantiles(shares: readonly number[], out: Float64Array, at: number): void {
    const { fixedSeconds, weights, order, rates, sums } = this;
    const [share0, share1, share2] = this.shares;
    const [rate0, rate1, rate2] = rates;
    let next = 0;
    const share = () => shares[next] - ROUNDING;
    this.below = 0;
    sums.fill(0);
    let now = fixedSeconds[order[0]];
    for (let i = 0; i < order.length && next < shares.length; i++) {
      const step = fixedSeconds[order[i]] - now;
      if (step > 0) {
        const later0 = sums[0] === 0 ? 0 : sums[0] * Math.exp(-rate0 * step);
        const later1 = sums[1] === 0 ? 0 : sums[1] * Math.exp(-rate1 * step);
        const later2 = sums[2] === 0 ? 0 : sums[2] * Math.exp(-rate2 * step);
        // shares that are reached between two classes' fixed times
        for (; next < shares.length && this.below - later0 - later1 - later2 >= share(); next++) {
          out[at + next] = now + this.solve(share(), step);
        }
        sums[0] = later0;
        sums[1] = later1;
        sums[2] = later2;
        now += step;
      }
      const weight = weights[order[i]];
      this.below += weight;
      sums[0] += weight * share0;
      sums[1] += weight * share1;
      sums[2] += weight * share2;
      for (; next < shares.length && this.below - sums[0] - sums[1] - sums[2] >= share(); next++) {
        out[at + next] = now;
      }
    }
    for (let reach = 1 / Math.min(rate0, rate1, rate2); next < shares.length; next++) {
      while (this.within(reach) < share() && reach < 1e12) {
        reach *= 2;
      }
      out[at + next] = now + this.solve(share(), reach);
    }
  }

  private within(seconds: number): number {
    const { rates, sums } = this;
    return this.below - sums[0] * Math.exp(-rates[0] * seconds) - sums[1] * Math.exp(-rates[1] * seconds) - sums[2] * Math.exp(-rates[2] * seconds);
  }

  /** Newton's method, and halving where it leaves what is left to search. */
  private solve(share: number, reach: number): number {
    const { rates, sums } = this;
    let low = 0;
    let high = reach;
    let seconds = reach / 2;
    for (let i = 0; i < 60 && high - low > PRECISION * high; i++) {
      let beyond = 0;
      let density = 0;
      for (let j = 0; j < sums.length; j++) {
        const part = sums[j] * Math.exp(-rates[j] * seconds);
        beyond += part;
        density += rates[j] * part;
      }
      const excess = this.below - beyond - share;
      if (excess >= 0) {
        high = seconds;
      } else {
        low = seconds;
      }
      const better = seconds - excess / density;
      if (Math.abs(better - seconds) <= PRECISION * seconds) {
        return better;
      }
      seconds = better > low && better < high ? better : (low + high) / 2;
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
