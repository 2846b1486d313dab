import { CountedMemory, EngineMemory } from './engine-memory';
import { Sequence, SequenceList } from './sequence';
import { StepTimes } from './step-times';
import { WaitingLine } from './waiting-line';
import { WritingBatch } from './writing-batch';
import { Coefficients } from '../phases/coefficients';
import { prefillAttentionFlops } from '../phases/prefill';
import { EngineShape, ModelShape } from '../phases/shapes';

/** What bounds the steps of an engine. */
export interface MixedEngineLimits {
  /** Sequences that are worked on at once: `max_num_seqs` of vLLM. */
  readonly sequences: number;
  /** Tokens of a step, written and read ones together: `max_num_batched_tokens`. */
  readonly stepTokens: number;
  /** Tokens that the KV cache holds, each in all layers; Infinity if it never fills. */
  readonly kvTokens: number;
  /** Tokens of a block of the KV cache: a sequence holds whole ones. */
  readonly blockTokens: number;
}

/**
 * One engine that reads prompts and writes tokens in the same steps, as vLLM and the like do with chunked prefill.
 *
 * Sequences that write go first; prompts fill what is left of a step, the most urgent first and then in order of arrival; where the KV cache is full, of
 * the least urgent sequences the newest loses its place and is read again later. Steps between two events, in which nothing but the contexts change, are taken in
 * one piece of arithmetic, and what sequences take of the cache as they write is counted for each of them only where it may be full.
 */
export class MixedEngine {
  /** When the work in hand ends; Infinity if there is none. */
  public endsSeconds = Infinity;
  /** Seconds of all work that has ended, its steps that wrote, and the tokens that they wrote. */
  public busySeconds = 0;
  public writingSteps = 0;
  public writtenTokens = 0;
  /** Times that a sequence lost its place because the KV cache was full. */
  public preemptions = 0;

  /** Who has a place, in the order in which they got it: first who writes, then who would if a step took more tokens, then who still reads. */
  private readonly running = new SequenceList();
  /** How many of them have read their prompts. */
  private haveRead = 0;
  /** The first of them who does not write, and the first who still reads. */
  private nextToWrite: Sequence | undefined = undefined;
  private nextToRead: Sequence | undefined = undefined;
  /** Places that were given so far. */
  private places = 0;
  private readonly batch: WritingBatch;
  private readonly waiting = new WaitingLine();
  /** Tokens of those who write that the memory has not counted yet. */
  private uncountedTokens = 0;

  /** The work in hand: a step that reads prompts, of so many, or steps in a row that only write. */
  private isWorking = false;
  private startSeconds = 0;
  private chunks = 0;
  private steps = 0;
  /** Seconds of its first step, and what each further one takes longer. */
  private stepSeconds = 0;
  private slopeSeconds = 0;
  /** A step that reads prompts, the same object for all of them. */
  private readonly step = { sequences: 0, kvBytesRead: 0, newTokens: 0, attentionFlops: 0, prompts: 0 };

  constructor(
    private readonly model: ModelShape,
    engine: EngineShape,
    k: Coefficients,
    private readonly limits: MixedEngineLimits,
    private readonly memory: EngineMemory = new CountedMemory(model, limits.kvTokens, limits.blockTokens),
    private readonly times = new StepTimes(model, engine, k),
  ) {
    this.batch = new WritingBatch(model);
  }

  /**
   * Takes a request, which waits for the running step to end.
   *
   * @param now when it comes, no later than the end of the work in hand.
   */
  public join(sequence: Sequence, now: number): void {
    const { first } = this.waiting;
    const isNext = first === undefined || first.rank > sequence.rank;
    sequence.come();
    this.waiting.push(sequence);
    if (this.isWorking) {
      if (isNext && this.running.size < this.limits.sequences) {
        this.cut(now);
      }
    } else if (this.endsSeconds === Infinity) {
      // whoever comes at the same time is there when the first step begins
      this.endsSeconds = now;
    }
  }

  /**
   * Ends the work in hand and begins what comes next.
   *
   * @param finished is told of each request that has its last token, and when it was written.
   */
  public end(finished: (sequence: Sequence, now: number) => void): void {
    const now = this.endsSeconds;
    if (this.isWorking) {
      this.isWorking = false;
      this.conclude(now, finished);
    }
    this.begin(now);
  }

  /** Goes down and loses what it has; returns the requests, which it does not take again. It takes others at once. */
  public fail(now: number): Sequence[] {
    const lost = [...this.running.clear(), ...this.waiting.clear()];
    this.busySeconds += this.isWorking ? now - this.startSeconds : 0;
    this.isWorking = false;
    this.haveRead = 0;
    this.nextToWrite = undefined;
    this.nextToRead = undefined;
    this.batch.clear();
    this.uncountedTokens = 0;
    this.memory.clear();
    this.endsSeconds = Infinity;
    return lost;
  }

  /** Writes down what work has brought about. */
  private conclude(now: number, finished: (sequence: Sequence, now: number) => void): void {
    const { batch, steps, memory } = this;
    this.busySeconds += now - this.startSeconds;
    this.writingSteps += batch.size > 0 ? steps : 0;
    this.writtenTokens += batch.size * steps;
    if (memory.isOrdered) {
      this.count(steps - 1);
    }
    this.uncountedTokens += batch.size * steps;
    batch.advance(steps);
    for (let sequence = batch.takeEnded(); sequence !== undefined; sequence = batch.takeEnded()) {
      this.uncountedTokens -= batch.contextOf(sequence) - sequence.heldTokens;
      this.takeOut(sequence);
      finished(sequence, now);
    }
    // only the last can have tokens left to read, as each before it had the step take all of its own.
    for (let left = this.chunks; left > 0; left--) {
      const sequence = this.nextToRead!;
      sequence.read += sequence.chunk;
      if (sequence.read === sequence.toRead) {
        this.haveRead += 1;
        this.nextToRead = sequence.next;
        sequence.written += 1;
        if (sequence.written === 1) {
          sequence.firstTokenSeconds = now;
        }
        if (sequence.written === sequence.outputTokens) {
          this.takeOut(sequence);
          finished(sequence, now);
        }
      }
    }
  }

  /** Settles what is done next, until the end of a step in which a prompt is read or a sequence ends, if nobody comes. */
  private begin(now: number): void {
    const { limits, running, batch, memory, times } = this;
    this.endsSeconds = Infinity;
    if (running.size === 0 && this.waiting.size === 0) {
      return;
    }
    this.fillBatch();
    if (memory.most(batch.size, this.uncountedTokens) > memory.free) {
      this.makeRoom();
    } else if (memory.isOrdered) {
      this.count(0);
    }
    this.readPrompts(limits.stepTokens - batch.size);
    this.steps = 1;
    this.slopeSeconds = 0;
    if (this.chunks > 0) {
      this.stepSeconds = this.readingSeconds();
    } else {
      this.stepSeconds = times.writingSeconds(batch.size, batch.kvBytesRead);
      this.slopeSeconds = times.secondsPerKvByte * batch.growthBytes;
      this.steps = this.stepsWithRoom(batch.stepsToChange);
    }
    this.isWorking = true;
    this.startSeconds = now;
    this.endsSeconds = now + this.secondsOf(this.steps);
  }

  /** As many of those who have read their prompts write as a step takes. */
  private fillBatch(): void {
    const { batch } = this;
    const most = Math.min(this.haveRead, this.limits.stepTokens);
    while (batch.size < most) {
      const sequence = this.nextToWrite!;
      this.uncountedTokens += batch.contextOf(sequence) - sequence.heldTokens;
      batch.join(sequence);
      this.nextToWrite = sequence.next;
    }
  }

  /** Has the memory count what those who write take, so many tokens more than they have. */
  private count(more: number): void {
    const { batch, running, memory } = this;
    for (let sequence = running.first; sequence !== this.nextToWrite; sequence = sequence!.next) {
      memory.hold(sequence!, batch.contextOf(sequence!) + more);
    }
    this.uncountedTokens = -more * batch.size;
  }

  /** Each takes in turn what it needs for the next step; where there is not enough, the least urgent lose their places. */
  private makeRoom(): void {
    const { batch, running, memory } = this;
    this.count(-1);
    for (let sequence = running.first; sequence !== this.nextToWrite;) {
      const taker: Sequence = sequence!;
      const context = batch.contextOf(taker);
      const more = memory.sizeOf(context) - taker.held;
      while (more > memory.free && running.size > 1 && taker.place >= 0) {
        sequence = taker.next;
        this.throwOut(leastUrgent(taker));
      }
      if (taker.place >= 0) {
        memory.hold(taker, context);
        sequence = taker.next;
      }
    }
    this.uncountedTokens = 0;
  }

  /** Settles which prompts a step reads, and how many tokens of each. */
  private readPrompts(budget: number): void {
    const { running, waiting, limits, memory } = this;
    let left = budget;
    this.chunks = 0;
    for (let sequence = this.nextToRead; left > 0 && sequence !== undefined; sequence = sequence.next) {
      left -= this.read(sequence, left);
    }
    // one that alone is larger than the cache is let in, as nothing would come of waiting.
    while (left > 0 && waiting.size > 0 && running.size < limits.sequences) {
      if (running.size > 0 && !this.hasRoomFor(waiting.first!)) {
        break;
      }
      const sequence = waiting.shift();
      sequence.order = this.places++;
      running.push(sequence);
      this.nextToWrite ??= sequence;
      this.nextToRead ??= sequence;
      sequence.read = memory.admit(sequence, sequence.toRead);
      if (!sequence.isBack) {
        sequence.cachedTokens = sequence.read;
      }
      left -= this.read(sequence, left);
    }
  }

  /** A step reads of a prompt what is left of it, or what it takes; returns the tokens. */
  private read(sequence: Sequence, most: number): number {
    sequence.chunk = Math.min(sequence.toRead - sequence.read, most);
    this.memory.written(sequence, sequence.read, sequence.read + sequence.chunk);
    this.chunks += 1;
    return sequence.chunk;
  }

  /** Whether one that waits has room beside those who are there. */
  private hasRoomFor(sequence: Sequence): boolean {
    const { memory, batch } = this;
    const demand = memory.demand(sequence, sequence.toRead);
    if (demand <= memory.free && demand + memory.most(batch.size, this.uncountedTokens) > memory.free) {
      this.count(0);
    }
    return demand <= memory.free;
  }

  /** Seconds of a step that reads prompts. */
  private readingSeconds(): number {
    const { model, batch, step } = this;
    step.sequences = batch.size;
    step.kvBytesRead = batch.kvBytesRead;
    step.newTokens = 0;
    step.attentionFlops = 0;
    step.prompts = 0;
    let sequence = this.nextToRead;
    for (let left = this.chunks; left > 0; left--) {
      const { chunk, read, toRead, next } = sequence!;
      step.newTokens += chunk;
      step.attentionFlops += prefillAttentionFlops(model, chunk, read);
      step.prompts += read + chunk === toRead ? 1 : 0;
      sequence = next;
    }
    return this.times.readingSeconds(step);
  }

  /** Of so many steps that only write, how many the KV cache has room for. */
  private stepsWithRoom(steps: number): number {
    const { memory, batch } = this;
    if (memory.most(batch.size, this.uncountedTokens + batch.size * (steps - 1)) <= memory.free) {
      return steps;
    }
    this.count(0);
    // for one it has, as it was made
    let most = 1;
    for (let least = steps + 1; least - most > 1;) {
      const middle = Math.floor((most + least) / 2);
      [most, least] = this.hasRoom(middle) ? [middle, least] : [most, middle];
    }
    return most;
  }

  /** Whether the KV cache has room for so many steps in which the batch writes. */
  private hasRoom(steps: number): boolean {
    const { memory, batch, running } = this;
    let left = memory.free;
    for (let sequence = running.first; sequence !== this.nextToWrite && left >= 0; sequence = sequence!.next) {
      left -= memory.sizeOf(batch.contextOf(sequence!) + steps - 1) - sequence!.held;
    }
    return left >= 0;
  }

  /** Lets steps that only write end with the first one that ends at a time or after it. */
  private cut(until: number): void {
    const { stepSeconds, slopeSeconds, startSeconds, steps } = this;
    const wanted = until - startSeconds;
    const linear = stepSeconds - slopeSeconds / 2;
    // the root may be off in the last digit.
    let count = Math.max(1, Math.min(steps, Math.ceil(2 * wanted / (linear + Math.sqrt(linear * linear + 2 * slopeSeconds * wanted)))));
    while (count > 1 && startSeconds + this.secondsOf(count - 1) >= until) {
      count -= 1;
    }
    while (count < steps && startSeconds + this.secondsOf(count) < until) {
      count += 1;
    }
    this.steps = count;
    this.endsSeconds = startSeconds + this.secondsOf(count);
  }

  /** Seconds of the first steps of the work in hand. */
  private secondsOf(steps: number): number {
    return steps * this.stepSeconds + this.slopeSeconds * steps * (steps - 1) / 2;
  }

  /** A sequence loses its place, and is first of its rank to get one again; of those who could not write one may. */
  private throwOut(sequence: Sequence): void {
    const { batch, waiting } = this;
    if (sequence.place >= 0) {
      batch.remove(sequence);
    }
    this.takeOut(sequence);
    this.preemptions += 1;
    sequence.toRead = batch.contextOf(sequence);
    sequence.read = 0;
    sequence.isBack = true;
    waiting.unshift(sequence);
    this.fillBatch();
  }

  /** A sequence that does not write any more gives up its place. */
  private takeOut(sequence: Sequence): void {
    if (this.nextToWrite === sequence) {
      this.nextToWrite = sequence.next;
    }
    if (this.nextToRead === sequence) {
      this.nextToRead = sequence.next;
    }
    this.haveRead -= sequence.read === sequence.toRead ? 1 : 0;
    this.running.remove(sequence);
    this.memory.release(sequence);
  }
}

/** Of a sequence and those after it, the last of the least urgent. */
function leastUrgent(first: Sequence): Sequence {
  let least = first;
  for (let { next } = first; next !== undefined; next = next.next) {
    if (next.rank >= least.rank) {
      least = next;
    }
  }
  return least;
}
