import { Holder } from './engine-memory';

/** A request in an engine, and what has become of it. Who makes it tells the first ones; the others are the engine's. */
export class Sequence implements Holder {
  /** Kind of the prompt, for engines that find prompts by their contents. */
  public kind = 0;
  /** Of those who wait the lowest is first. */
  public rank = 0;
  public inputTokens = 0;
  /** Tokens of the prompt that the prefix cache holds. Engines that find prompts by their contents write what they found. */
  public cachedTokens = 0;
  public outputTokens = 0;

  /** When its first token was written, in seconds as the engine sees them. */
  public firstTokenSeconds = NaN;
  public held = 0;
  public heldTokens = 0;
  public readonly blocks: number[] = [];
  /** How many got a place in the engine before it did. */
  public order = 0;
  /** Tokens to have read: what was written before the sequence lost its place is read again. */
  public toRead = 0;
  public read = 0;
  /** Tokens that the step in hand reads. */
  public chunk = 0;
  /** Tokens that it has written, those left out that it wrote in a batch that it is still in. */
  public written = 0;
  /** Its place in a batch, and the step of the batch before which it would have had no token; -1 for the place outside of one. */
  public place = -1;
  public since = 0;
  /** Whether it has lost its place in the engine before. */
  public isBack = false;
  /** Its neighbours in the list that it is in. */
  public next: Sequence | undefined = undefined;
  public previous: Sequence | undefined = undefined;

  /** It comes to an engine. */
  public come(): void {
    // the last token of a prompt is read even if it is cached: the next one follows from it
    this.cachedTokens = Math.min(this.cachedTokens, this.inputTokens - 1);
    this.toRead = this.inputTokens;
    this.read = 0;
    this.written = 0;
    this.isBack = false;
  }
}

/** Sequences one after the other, any of which can be taken out; each is in one list at most. */
export class SequenceList {
  public size = 0;
  public first: Sequence | undefined = undefined;
  private last: Sequence | undefined = undefined;

  public push(sequence: Sequence): void {
    const { last } = this;
    sequence.previous = last;
    sequence.next = undefined;
    if (last === undefined) {
      this.first = sequence;
    } else {
      last.next = sequence;
    }
    this.last = sequence;
    this.size += 1;
  }

  public unshift(sequence: Sequence): void {
    const { first } = this;
    sequence.previous = undefined;
    sequence.next = first;
    if (first === undefined) {
      this.last = sequence;
    } else {
      first.previous = sequence;
    }
    this.first = sequence;
    this.size += 1;
  }

  /** Takes one out, which must be there. */
  public remove({ next, previous }: Sequence): void {
    if (previous === undefined) {
      this.first = next;
    } else {
      previous.next = next;
    }
    if (next === undefined) {
      this.last = previous;
    } else {
      next.previous = previous;
    }
    this.size -= 1;
  }

  /** Takes all out. */
  public clear(): Sequence[] {
    const all: Sequence[] = [];
    for (let sequence = this.first; sequence !== undefined; sequence = sequence.next) {
      all.push(sequence);
    }
    this.first = undefined;
    this.last = undefined;
    this.size = 0;
    return all;
  }
}
