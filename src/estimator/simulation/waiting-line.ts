import { Sequence, SequenceList } from './sequence';

/**
 * Who waits for a place in an engine: the lowest rank is first, and within a rank who came first.
 */
export class WaitingLine {
  public size = 0;
  private readonly ranks: SequenceList[] = [];

  /** Who is first; undefined if nobody waits. */
  public get first(): Sequence | undefined {
    for (let rank = 0; this.size > 0; rank++) {
      const { first } = this.ranks[rank];
      if (first !== undefined) {
        return first;
      }
    }
    return undefined;
  }

  /** One comes. */
  public push(sequence: Sequence): void {
    this.of(sequence).push(sequence);
    this.size += 1;
  }

  /** One comes back, and is first of its rank. */
  public unshift(sequence: Sequence): void {
    this.of(sequence).unshift(sequence);
    this.size += 1;
  }

  /** Takes the first away; there must be one. */
  public shift(): Sequence {
    const sequence = this.first!;
    this.ranks[sequence.rank].remove(sequence);
    this.size -= 1;
    return sequence;
  }

  /** Takes all away. */
  public clear(): Sequence[] {
    this.size = 0;
    return this.ranks.flatMap((list) => list.clear());
  }

  private of({ rank }: Sequence): SequenceList {
    while (this.ranks.length <= rank) {
      this.ranks.push(new SequenceList());
    }
    return this.ranks[rank];
  }
}
