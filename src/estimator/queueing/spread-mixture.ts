import { normalQuantile } from '../uncertainty';

/** Shares of the requests that percentiles are given for. */
export const SHARES = [0.5, 0.9, 0.95, 0.99];

/** Shares at whose quantiles a spread is cut: between two cuts it is taken as even. Those of percentiles are among them, which are exact of a part alone. */
const CUT_SHARES = [0, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1];
/** The share that lies beyond the outermost cuts, either way. */
const BEYOND = 0.001;

/** How far the cuts are from the mean of a normal spread, in deviations. */
export const CUTS = CUT_SHARES.map((share) => normalQuantile(Math.min(1 - BEYOND, Math.max(BEYOND, share))));

/** The cut at each of the shares that percentiles are given for. */
export const CUT_OF_SHARE = SHARES.map((share) => CUT_SHARES.indexOf(share));

/** Cuts are distinct that differ by this share. */
const APART = 1e-10;

/**
 * Percentiles of a mixture of spreads, each of which is given by its quantiles at `CUTS`.
 *
 * Holds its own buffers, so that asking for percentiles allocates nothing.
 */
export class SpreadMixture {
  private readonly weights: Float64Array;
  /** Cuts of all parts, one part's after another's. */
  private readonly cuts: Float64Array;
  private readonly order: Int32Array;
  /** By how much the share of all that is in a unit changes at each of them. */
  private readonly changes: Float64Array;

  /** @param parts how many it has at most; those that are not set have no weight. */
  constructor(parts: number) {
    this.weights = new Float64Array(parts);
    this.cuts = new Float64Array(parts * CUTS.length);
    this.changes = new Float64Array(parts * CUTS.length);
    this.order = Int32Array.from(this.cuts, (_, i) => i);
  }

  /**
   * Sets what a part has of the whole; its cuts follow.
   */
  public weigh(part: number, weight: number): void {
    this.weights[part] = weight;
  }

  /**
   * Sets a cut of a part, those of a part in ascending order.
   */
  public cut(part: number, cut: number, value: number): void {
    const at = part * CUTS.length + cut;
    this.cuts[at] = cut === 0 ? value : Math.max(value, this.cuts[at - 1] * (1 + APART));
  }

  /**
   * For each of `SHARES`, the value that this share of the whole is below.
   *
   * @param out where the answers go, from index `at` on.
   */
  public quantiles(out: Float64Array, at: number): void {
    const { cuts, order, changes } = this;
    this.sort();
    this.weighParts();
    let next = 0;
    let below = 0;
    let density = 0;
    let now = cuts[order[0]];
    for (let i = 0; i < order.length && next < SHARES.length; i++) {
      const value = cuts[order[i]];
      const within = below + density * (value - now);
      for (; next < SHARES.length && within >= SHARES[next]; next++) {
        out[at + next] = now + (SHARES[next] - below) / density;
      }
      below = within;
      now = value;
      density += changes[order[i]];
    }
    // what rounding has left out
    for (; next < SHARES.length; next++) {
      out[at + next] = now;
    }
  }

  /** Takes by how much what is in a unit changes at each cut. */
  private weighParts(): void {
    const { weights, cuts, changes } = this;
    for (let part = 0, place = 0; part < weights.length; part++) {
      let before = 0;
      for (let cut = 0; cut < CUTS.length; cut++, place++) {
        const isPassed = cut + 1 === CUTS.length || weights[part] === 0;
        const density = isPassed ? 0 : weights[part] * (CUT_SHARES[cut + 1] - CUT_SHARES[cut]) / (cuts[place + 1] - cuts[place]);
        changes[place] = density - before;
        before = density;
      }
    }
  }

  // insertion sort: nearly sorted already, as the parts keep their order from one draw to the next
  private sort(): void {
    const { order, cuts } = this;
    for (let i = 1; i < order.length; i++) {
      const item = order[i];
      const key = cuts[item];
      let j = i - 1;
      while (j >= 0 && cuts[order[j]] > key) {
        order[j + 1] = order[j];
        j--;
      }
      order[j + 1] = item;
    }
  }
}
