import { Sequence, rankOf } from './sequence';

/**
 * Who waits for a place in an engine: the lowest rank is first, and within a rank who came first.
 */
export class WaitingLine {
  public size = 0;
  /** Of each rank. */
  private readonly heads: (Sequence | undefined)[] = [];
  private readonly tails: (Sequence | undefined)[] = [];

  /** Who is first; undefined if nobody waits. */
  public get first(): Sequence | undefined {
    for (let rank = 0; this.size > 0; rank++) {
      const head = this.heads[rank];
      if (head !== undefined) {
        return head;
      }
    }
    return undefined;
  }

  /** One comes. */
  public push(sequence: Sequence): void {
    const rank = rankOf(sequence.request);
    const tail = this.tails[rank];
    if (tail === undefined) {
      this.heads[rank] = sequence;
    } else {
      tail.next = sequence;
    }
    this.tails[rank] = sequence;
    sequence.next = undefined;
    this.size += 1;
  }

  /** One comes back, and is first of its rank. */
  public unshift(sequence: Sequence): void {
    const rank = rankOf(sequence.request);
    sequence.next = this.heads[rank];
    this.heads[rank] = sequence;
    this.tails[rank] ??= sequence;
    this.size += 1;
  }

  /** Takes the first away; there must be one. */
  public shift(): Sequence {
    const sequence = this.first!;
    const rank = rankOf(sequence.request);
    this.heads[rank] = sequence.next;
    if (sequence.next === undefined) {
      this.tails[rank] = undefined;
    }
    this.size -= 1;
    return sequence;
  }

  /** Takes all away. */
  public clear(): Sequence[] {
    const all: Sequence[] = [];
    while (this.size > 0) {
      all.push(this.shift());
    }
    return all;
  }
}
