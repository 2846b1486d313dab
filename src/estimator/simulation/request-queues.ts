import { Requests } from './requests';

/**
 * Queues of requests before engines, one for each engine and rank: the lowest rank is first, and within a rank who came first.
 */
export class RequestQueues {
  private readonly heads: Int32Array;
  private readonly tails: Int32Array;

  /**
   * @param requests that queue; one stands in one queue at most.
   * @param engines how many.
   * @param ranks how many.
   */
  constructor(private readonly requests: Requests, engines: number, private readonly ranks: number) {
    this.heads = new Int32Array(engines * ranks).fill(-1);
    this.tails = new Int32Array(engines * ranks);
  }

  public push(engine: number, rank: number, place: number): void {
    const { heads, tails, requests: { next } } = this;
    const queue = engine * this.ranks + rank;
    next[place] = -1;
    if (heads[queue] < 0) {
      heads[queue] = place;
    } else {
      next[tails[queue]] = place;
    }
    tails[queue] = place;
  }

  /** Who is first before an engine; -1 if nobody waits. */
  public first(engine: number): number {
    const { heads, ranks } = this;
    const end = (engine + 1) * ranks;
    for (let queue = engine * ranks; queue < end; queue++) {
      if (heads[queue] >= 0) {
        return heads[queue];
      }
    }
    return -1;
  }

  /** Takes the first away; there must be one. */
  public pop(engine: number): void {
    const { heads } = this;
    let queue = engine * this.ranks;
    while (heads[queue] < 0) {
      queue++;
    }
    heads[queue] = this.requests.next[heads[queue]];
  }
}
