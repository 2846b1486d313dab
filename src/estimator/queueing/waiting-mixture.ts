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

/** Exponentials that two waits of one have, and one of two moments. */
const EXPONENTIALS = 4;

/**
 * Latency of a mix of request classes that wait several times: each class has its own fixed time, all waits are zero with some probability. Otherwise the first has
 * two moments: it is two exponentials, in a row where it varies less than one, one of the two where it varies more (Whitt,
 * doi:10.1002/j.1538-7305.1982.tb03430.x). The others are exponential. Percentiles come from the distribution of the sum, not from a sum of percentiles.
 *
 * Holds its own buffers, so that asking for percentiles allocates nothing.
 */
export class WaitingMixture {
  /** Fixed seconds of each class; filled by the caller before `quantiles`. */
  public readonly fixedSeconds: Float64Array;
  private readonly weights: Float64Array;
  private readonly order: Int32Array;
  /** Chance to wait for longer than some time: a sum of so many exponentials of it. */
  private readonly shares = new Float64Array(EXPONENTIALS);
  private readonly rates = new Float64Array(EXPONENTIALS);
  private exponentials = 0;
  /** These exponentials of those classes whose fixed times are over, at some time and at a later one. */
  private readonly sums = new Float64Array(EXPONENTIALS);
  private readonly later = new Float64Array(EXPONENTIALS);
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
   * Takes the first wait, and forgets all others: its probability, its mean given that it occurs, and its squared coefficient of variation then; below 0.5 taken
   * for 0.5.
   */
  public prepare(probability: number, mean: number, scv: number): void {
    const { shares, rates } = this;
    const waits = mean > NO_WAIT_SECONDS ? probability : 0;
    const rate = waits > 0 ? 1 / mean : 1;
    let part: number;
    if (scv >= 1) {
      const unevenness = Math.sqrt((scv - 1) / (scv + 1));
      part = (1 + unevenness) / 2;
      rates[0] = 2 * part * rate;
      rates[1] = 2 * (1 - part) * rate;
    } else {
      const unevenness = Math.sqrt(2 * Math.max(LEAST_SCV, scv) - 1);
      part = (1 + 1 / unevenness) / 2;
      rates[0] = 2 * rate / (1 + unevenness);
      rates[1] = 2 * rate / (1 - unevenness);
    }
    shares[0] = waits * part;
    shares[1] = waits * (1 - part);
    this.exponentials = 2;
  }

  /**
   * Takes a wait more, one or two of them: its probability and its mean given that it occurs.
   */
  public wait(probability: number, mean: number): void {
    if (!(mean > NO_WAIT_SECONDS && probability > 0)) {
      return;
    }
    const { shares, rates, exponentials } = this;
    let rate = 1 / mean;
    // the partial fractions below need distinct rates
    for (let i = 0; i < exponentials; i++) {
      if (Math.abs(rate - rates[i]) < APART * rate) {
        rate *= 1 + 2 * APART;
        i = -1;
      }
    }
    let own = 1;
    for (let i = 0; i < exponentials; i++) {
      const both = shares[i] * rate / (rate - rates[i]);
      own -= both;
      shares[i] = (1 - probability) * shares[i] + probability * both;
    }
    shares[exponentials] = probability * own;
    rates[exponentials] = rate;
    this.exponentials += 1;
  }

  /**
   * For each share, the shortest time that at least that share of the requests stay within, in seconds.
   *
   * @param shares ascending, each above 0 and below 1.
   * @param out where the answers go, from index `at` on.
   */
  public quantiles(shares: readonly number[], out: Float64Array, at: number): void {
    this.sort();
    const { fixedSeconds, weights, order, sums, later, exponentials } = this;
    let next = 0;
    const share = () => shares[next] - ROUNDING;
    this.below = 0;
    sums.fill(0);
    let now = fixedSeconds[order[0]];
    for (let i = 0; i < order.length && next < shares.length; i++) {
      const step = fixedSeconds[order[i]] - now;
      if (step > 0) {
        let beyond = 0;
        for (let j = 0; j < exponentials; j++) {
          later[j] = sums[j] === 0 ? 0 : sums[j] * Math.exp(-this.rates[j] * step);
          beyond += later[j];
        }
        // shares that are reached between two classes' fixed times
        for (; next < shares.length && this.below - beyond >= share(); next++) {
          out[at + next] = now + this.solve(share(), step);
        }
        sums.set(later);
        now += step;
      }
      const weight = weights[order[i]];
      this.below += weight;
      let waiting = 0;
      for (let j = 0; j < exponentials; j++) {
        sums[j] += weight * this.shares[j];
        waiting += sums[j];
      }
      for (; next < shares.length && this.below - waiting >= share(); next++) {
        out[at + next] = now;
      }
    }
    let slowest = Infinity;
    for (let j = 0; j < exponentials; j++) {
      slowest = Math.min(slowest, this.rates[j]);
    }
    for (let reach = 1 / slowest; next < shares.length; next++) {
      while (this.within(reach) < share() && reach < 1e12) {
        reach *= 2;
      }
      out[at + next] = now + this.solve(share(), reach);
    }
  }

  private within(seconds: number): number {
    const { rates, sums, exponentials } = this;
    let within = this.below;
    for (let j = 0; j < exponentials; j++) {
      within -= sums[j] * Math.exp(-rates[j] * seconds);
    }
    return within;
  }

  /** Newton's method, and halving where it leaves what is left to search. */
  private solve(share: number, reach: number): number {
    const { rates, sums, exponentials } = this;
    let low = 0;
    let high = reach;
    let seconds = reach / 2;
    for (let i = 0; i < 60 && high - low > PRECISION * high; i++) {
      let beyond = 0;
      let density = 0;
      for (let j = 0; j < exponentials; j++) {
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
