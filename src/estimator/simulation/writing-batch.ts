import { Sequence } from './sequence';
import { TaskHeap } from './task-heap';
import { ModelShape, kvReadBytes } from '../phases/shapes';

/** Layers that read a token of the KV cache for each of so many tokens at most. */
interface LayerKind {
  readonly bytes: number;
  readonly most: number;
}

/**
 * The sequences of an engine that write a token in each step, and what they read of the KV cache. Whatever the steps, they are taken in one piece of arithmetic.
 */
export class WritingBatch {
  public size = 0;
  /** KV bytes that the next step reads, and what each step after it reads more. */
  public kvBytesRead = 0;
  public growthBytes = 0;

  private step = 0;
  /** By place; nobody where it is free, as who was there may be in another engine by now. */
  private readonly sequences: (Sequence | undefined)[] = [];
  private readonly freePlaces: number[] = [];
  /** Places by the step after which they have their last token. */
  private readonly leaving = new TaskHeap();
  /** Places and kinds of layers by the step after which these read no more than before. */
  private readonly bending = new TaskHeap();
  private readonly layerKinds: readonly LayerKind[];

  constructor(private readonly model: ModelShape) {
    this.layerKinds = [
      { bytes: model.kvBytesPerTokenFull, most: model.attendedTokens },
      { bytes: model.kvBytesPerTokenWindowed, most: model.windowAttendedTokens },
    ].filter(({ bytes }) => bytes > 0);
  }

  /** Steps until a sequence ends, or what steps read grows otherwise than before. */
  public get stepsToChange(): number {
    return Math.min(this.leaving.key, this.bending.key) - this.step;
  }

  /** Tokens of a sequence, in the batch or not. */
  public contextOf(sequence: Sequence): number {
    return sequence.place < 0 ? sequence.inputTokens + sequence.written : this.step - sequence.since;
  }

  /** A sequence writes with the others from the next step on. */
  public join(sequence: Sequence): void {
    const { step, layerKinds } = this;
    const context = this.contextOf(sequence);
    const ends = step + sequence.outputTokens - sequence.written;
    const place = this.freePlaces.length > 0 ? this.freePlaces.pop()! : this.sequences.length;
    this.sequences[place] = sequence;
    sequence.place = place;
    sequence.since = step - context;
    this.size += 1;
    this.kvBytesRead += kvReadBytes(this.model, context);
    this.growthBytes += this.growthOf(context);
    this.leaving.push(ends, sequence.order, place);
    for (let kind = 0; kind < layerKinds.length; kind++) {
      const bends = step + Math.ceil(layerKinds[kind].most - context);
      if (bends > step && bends <= ends) {
        this.bending.push(bends, sequence.order, place * layerKinds.length + kind);
      }
    }
  }

  /** All write so many tokens, no more than `stepsToChange`. */
  public advance(steps: number): void {
    const { layerKinds, bending } = this;
    this.step += steps;
    this.kvBytesRead += this.growthBytes * steps;
    while (bending.key <= this.step) {
      const task = bending.pop();
      const { bytes, most } = layerKinds[task % layerKinds.length];
      const context = this.contextOf(this.sequences[Math.floor(task / layerKinds.length)]!);
      this.kvBytesRead -= bytes * (context - most);
      this.growthBytes -= bytes;
    }
  }

  /** Takes out a sequence that has its last token, in the order of their places in the engine; undefined if none has. */
  public takeEnded(): Sequence | undefined {
    if (this.leaving.key > this.step) {
      return undefined;
    }
    const sequence = this.sequences[this.leaving.pop()]!;
    const context = this.contextOf(sequence);
    this.kvBytesRead -= kvReadBytes(this.model, context);
    this.growthBytes -= this.growthOf(context);
    this.putOut(sequence);
    return sequence;
  }

  /** Takes out a sequence, wherever it is. */
  public remove(sequence: Sequence): void {
    const others = this.sequences.filter((one): one is Sequence => one !== undefined && one !== sequence);
    this.putOut(sequence);
    others.forEach((one) => this.putOut(one));
    this.clear();
    others.forEach((one) => this.join(one));
  }

  /** Takes out all, who are of no use any more. */
  public clear(): void {
    this.size = 0;
    this.kvBytesRead = 0;
    this.growthBytes = 0;
    this.sequences.length = 0;
    this.freePlaces.length = 0;
    this.leaving.size = 0;
    this.bending.size = 0;
  }

  private putOut(sequence: Sequence): void {
    this.freePlaces.push(sequence.place);
    this.sequences[sequence.place] = undefined;
    sequence.written = this.step - sequence.since - sequence.inputTokens;
    sequence.place = -1;
    this.size -= 1;
  }

  private growthOf(context: number): number {
    const { kvBytesPerTokenFull, attendedTokens, kvBytesPerTokenWindowed, windowAttendedTokens } = this.model;
    return (context < attendedTokens ? kvBytesPerTokenFull : 0) + (context < windowAttendedTokens ? kvBytesPerTokenWindowed : 0);
  }
}
