import { Random } from './random';

/**
 * When requests come, and of what kind they are.
 */
export interface Arrivals {
  /** Requests in all. */
  readonly requests: number;
  /** Clients that send the next request as soon as the last one is answered; 0 if requests come on their own. */
  readonly clients: number;
  /** When the next request comes, or the next client sends its first one, in seconds; ascending, and all clients' first ones before one is answered. */
  seconds(): number;
  /** The kind of the next request. */
  kind(): number;
}

/** Requests as recorded. */
export class RecordedArrivals implements Arrivals {
  public readonly clients = 0;
  public readonly requests: number;
  private at = 0;

  /**
   * @param times seconds of each request, ascending.
   * @param kinds kind of each request.
   */
  constructor(private readonly times: Float64Array, private readonly kinds: Int32Array) {
    this.requests = times.length;
  }

  public seconds(): number {
    return this.times[this.at];
  }

  public kind(): number {
    return this.kinds[this.at++];
  }
}

/**
 * Requests at random: kinds by their weights; gaps of the given mean and squared coefficient of variation.
 *
 * Up to 1 a gap is a fixed part and an exponential part, which is Poisson at 1; above 1 it is one of two exponentials of equal share of the time.
 * Gaps and kinds have a generator each, and a gap is a multiple of the mean, so that other rates meet the same requests.
 */
export class RandomArrivals implements Arrivals {
  private readonly gaps: Random;
  private readonly draws: Random;
  private readonly fixedGap: number;
  private readonly shortShare: number;
  private readonly shortGap: number;
  private readonly longGap: number;
  private readonly keep: Float64Array;
  private readonly other: Int32Array;
  private now = 0;

  constructor(
    seed: number, public readonly requests: number, public readonly clients: number, requestsPerSecond: number, scv: number, weights: Float64Array,
  ) {
    this.gaps = new Random(seed, 0);
    this.draws = new Random(seed, 1);
    const mean = 1 / requestsPerSecond;
    const spread = scv < 1 ? Math.sqrt(scv) : 1;
    const share = scv > 1 ? (1 + Math.sqrt((scv - 1) / (scv + 1))) / 2 : 1;
    this.fixedGap = (1 - spread) * mean;
    this.shortShare = share;
    this.shortGap = scv > 1 ? mean / (2 * share) : spread * mean;
    this.longGap = scv > 1 ? mean / (2 * (1 - share)) : 0;
    [this.keep, this.other] = aliases(weights);
  }

  public seconds(): number {
    if (this.clients > 0) {
      // all at once, as load generators do
      return 0;
    }
    const gap = this.shortShare === 1 || this.gaps.uniform() < this.shortShare ? this.shortGap : this.longGap;
    this.now += this.fixedGap + gap * this.gaps.exponential();
    return this.now;
  }

  public kind(): number {
    const place = this.draws.uniform() * this.keep.length;
    const kind = Math.floor(place);
    return place - kind < this.keep[kind] ? kind : this.other[kind];
  }
}

// Walker's alias method: each place keeps its own kind with some probability and gives another one otherwise
function aliases(weights: Float64Array): [Float64Array, Int32Array] {
  const n = weights.length;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const keep = weights.map((weight) => weight / total * n);
  const other = Int32Array.from(weights, (_, i) => i);
  const below: number[] = [];
  const above: number[] = [];
  keep.forEach((share, i) => (share < 1 ? below : above).push(i));
  while (below.length > 0 && above.length > 0) {
    const small = below.pop()!;
    const large = above[above.length - 1];
    other[small] = large;
    keep[large] -= 1 - keep[small];
    if (keep[large] < 1) {
      below.push(above.pop()!);
    }
  }
  for (const i of [...below, ...above]) {
    keep[i] = 1;
  }
  return [keep, other];
}
