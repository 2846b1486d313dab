import { Random } from './random';
import { HOST_SECONDS } from '../closed-loop-requests';

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
  public readonly clients: number = 0;
  private readonly gaps: Random;
  private readonly kinds: WeightedDraws;
  private readonly fixedGap: number;
  private readonly shortShare: number;
  private readonly shortGap: number;
  private readonly longGap: number;
  private now = 0;

  constructor(seed: number, public readonly requests: number, requestsPerSecond: number, scv: number, weights: Float64Array) {
    this.gaps = new Random(seed, 0);
    this.kinds = new WeightedDraws(seed, weights);
    const mean = 1 / requestsPerSecond;
    const spread = scv < 1 ? Math.sqrt(scv) : 1;
    const share = scv > 1 ? (1 + Math.sqrt((scv - 1) / (scv + 1))) / 2 : 1;
    this.fixedGap = (1 - spread) * mean;
    this.shortShare = share;
    this.shortGap = scv > 1 ? mean / (2 * share) : spread * mean;
    this.longGap = scv > 1 ? mean / (2 * (1 - share)) : 0;
  }

  public seconds(): number {
    const gap = this.shortShare === 1 || this.gaps.uniform() < this.shortShare ? this.shortGap : this.longGap;
    this.now += this.fixedGap + gap * this.gaps.exponential();
    return this.now;
  }

  public kind(): number {
    return this.kinds.next();
  }
}

/**
 * Requests of clients that each send the next one when the last one is answered. Each class of requests has as many kinds, one after the other, and its
 * requests are of them in turn.
 */
export class ClientArrivals implements Arrivals {
  private readonly classes: WeightedDraws;
  private started = 0;
  private sent = 0;

  /**
   * @param weights of the classes.
   * @param kindsOfClass kinds that each of them has.
   */
  constructor(
    seed: number, public readonly requests: number, public readonly clients: number, weights: Float64Array, private readonly kindsOfClass: number,
  ) {
    this.classes = new WeightedDraws(seed, weights);
  }

  /** All start at once, as load generators do: an idle engine begins with the first of them alone, as the others have not passed the host. */
  public seconds(): number {
    return this.started++ * HOST_SECONDS;
  }

  public kind(): number {
    return this.classes.next() * this.kindsOfClass + this.sent++ % this.kindsOfClass;
  }
}

/** Kinds by their weights, by Walker's alias method: each place keeps its own kind with some probability and gives another one otherwise. */
class WeightedDraws {
  private readonly random: Random;
  private readonly keep: Float64Array;
  private readonly other: Int32Array;

  constructor(seed: number, weights: Float64Array) {
    this.random = new Random(seed, 1);
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
    this.keep = keep;
    this.other = other;
  }

  public next(): number {
    const place = this.random.uniform() * this.keep.length;
    const kind = Math.floor(place);
    return place - kind < this.keep[kind] ? kind : this.other[kind];
  }
}
