import { Deque } from './deque';
import { CountedMemory, EngineMemory, Holder } from './engine-memory';
import { Coefficients } from '../phases/coefficients';
import { mixedStepSeconds, writingStep } from '../phases/mixed';
import { prefillAttentionFlops } from '../phases/prefill';
import { EngineShape, ModelShape, kvReadBytes } from '../phases/shapes';

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

/** A request and what became of it; times are seconds from the start, as the engine sees them. */
export interface MixedRequest {
  readonly arrivalSeconds: number;
  readonly inputTokens: number;
  /** Kind of the prompt, for engines that find prompts by their contents. */
  readonly kind?: number;
  /** Tokens of the prompt that the prefix cache holds; none unless given. Engines that find prompts by their contents write what they found. */
  cachedTokens?: number;
  readonly outputTokens: number;
  /** Of those who wait the lowest is first; 0 unless given. */
  readonly rank?: number;
  firstTokenSeconds: number;
  lastTokenSeconds: number;
}

/** A request in the engine. */
interface Sequence extends Holder {
  readonly request: MixedRequest;
  /** Tokens to have read: what was written before the sequence lost its place is read again. */
  toRead: number;
  read: number;
  written: number;
  /** Whether it has lost its place before. */
  isBack: boolean;
}

/** Tokens of a prompt that a step reads. */
interface Chunk {
  readonly sequence: Sequence;
  readonly tokens: number;
}

/** What an engine is at: a step that reads prompts, or steps in a row that only write. */
interface Work {
  readonly startSeconds: number;
  readonly chunks: readonly Chunk[];
  /** How many of the sequences, the first ones, write. */
  readonly writers: number;
  steps: number;
  /** Seconds of the first step, and what each further one takes longer. */
  readonly stepSeconds: number;
  readonly slopeSeconds: number;
}

/**
 * One engine that reads prompts and writes tokens in the same steps, as vLLM and the like do with chunked prefill.
 *
 * Sequences that write go first; prompts fill what is left of a step, the most urgent first and then in order of arrival; where the KV cache is full, of
 * the least urgent sequences the newest loses its place and is read again later. Steps between two events, in which nothing but the contexts change, are taken in one piece of arithmetic.
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

  private readonly running: Sequence[] = [];
  /** Who waits, by rank. */
  private readonly waiting: Deque<Sequence>[] = [];
  private waitingCount = 0;
  private work?: Work;

  constructor(
    private readonly model: ModelShape,
    private readonly engine: EngineShape,
    private readonly k: Coefficients,
    private readonly limits: MixedEngineLimits,
    private readonly memory: EngineMemory = new CountedMemory(model, limits.kvTokens, limits.blockTokens),
  ) {}

  /**
   * Answers requests that come on their own.
   *
   * @param requests in order of arrival; what becomes of them is written into them.
   */
  public replay(requests: readonly MixedRequest[]): void {
    for (const request of requests) {
      while (this.endsSeconds < request.arrivalSeconds) {
        this.end();
      }
      this.join(request, request.arrivalSeconds);
    }
    while (this.endsSeconds < Infinity) {
      this.end();
    }
  }

  /**
   * Takes a request, which waits for the running step to end.
   *
   * @param now when it comes, no later than the end of the work in hand.
   */
  public join(request: MixedRequest, now: number): void {
    const { rank = 0 } = request;
    const isNext = this.waiting.every((queue, other) => queue.size === 0 || other > rank);
    const { kind = 0, inputTokens } = request;
    // the last token of a prompt is read even if it is cached: the next one follows from it
    const cachedTokens = Math.min(request.cachedTokens ?? 0, inputTokens - 1);
    this.queueOf(rank).push({ request, kind, cachedTokens, toRead: inputTokens, read: 0, written: 0, held: 0, blocks: [], isBack: false });
    this.waitingCount += 1;
    if (this.work !== undefined) {
      if (isNext && this.running.length < this.limits.sequences) {
        this.cut(this.work, now);
      }
    } else if (this.endsSeconds === Infinity) {
      // whoever comes at the same time is there when the first step begins
      this.endsSeconds = now;
    }
  }

  /**
   * Ends the work in hand and begins what comes next.
   *
   * @param finished is told of each request whose last token was written; requests that it joins are there when the next step begins.
   */
  public end(finished: (request: MixedRequest) => void = () => {}): void {
    const now = this.endsSeconds;
    if (this.work !== undefined) {
      const { work } = this;
      this.work = undefined;
      this.conclude(work, now).forEach(finished);
    }
    this.begin(now);
  }

  /** Goes down and loses what it has; returns the requests. It takes others at once. */
  public fail(now: number): MixedRequest[] {
    const lost = [...this.running, ...this.waiting.flatMap((queue) => queue.clear())].map(({ request }) => request);
    this.busySeconds += this.work === undefined ? 0 : now - this.work.startSeconds;
    this.work = undefined;
    this.running.length = 0;
    this.waitingCount = 0;
    this.memory.clear();
    this.endsSeconds = Infinity;
    return lost;
  }

  /** Writes down what work has brought about. Returns the requests that have their last token. */
  private conclude({ chunks, writers, steps, startSeconds }: Work, now: number): MixedRequest[] {
    const { running } = this;
    this.busySeconds += now - startSeconds;
    this.writingSteps += writers > 0 ? steps : 0;
    this.writtenTokens += writers * steps;
    let left = writers;
    for (const sequence of running) {
      if (left > 0 && sequence.read === sequence.toRead) {
        left -= 1;
        this.memory.hold(sequence, contextOf(sequence) + steps - 1);
        sequence.written += steps;
      }
    }
    for (const { sequence, tokens } of chunks) {
      sequence.read += tokens;
      if (sequence.read === sequence.toRead) {
        sequence.written += 1;
        if (sequence.written === 1) {
          sequence.request.firstTokenSeconds = now;
        }
      }
    }
    const ended: MixedRequest[] = [];
    let kept = 0;
    for (const sequence of running) {
      if (sequence.written === sequence.request.outputTokens) {
        this.memory.release(sequence);
        sequence.request.lastTokenSeconds = now;
        ended.push(sequence.request);
      } else {
        running[kept++] = sequence;
      }
    }
    running.length = kept;
    return ended;
  }

  /** Settles what is done next, until the end of a step in which a prompt is read or a sequence ends, if nobody comes. */
  private begin(now: number): void {
    const { limits, running, memory } = this;
    this.endsSeconds = Infinity;
    if (running.length === 0 && this.waitingCount === 0) {
      return;
    }
    let budget = limits.stepTokens;
    let writers = 0;
    let kvBytesRead = 0;
    for (let i = 0; i < running.length && budget > 0; i++) {
      const sequence = running[i];
      if (sequence.read < sequence.toRead) {
        continue;
      }
      const context = contextOf(sequence);
      const more = memory.sizeOf(context) - sequence.held;
      let isOut = false;
      while (more > memory.free && running.length > 1 && !isOut) {
        const victim = this.leastUrgent(i);
        this.throwOut(victim);
        isOut = victim === i;
      }
      if (isOut) {
        i -= 1;
        continue;
      }
      budget -= 1;
      writers += 1;
      memory.hold(sequence, context);
      kvBytesRead += kvReadBytes(this.model, context);
    }
    const chunks = this.readPrompts(budget);
    let newTokens = 0;
    let attentionFlops = 0;
    let prompts = 0;
    for (const { sequence, tokens } of chunks) {
      attentionFlops += prefillAttentionFlops(this.model, tokens, sequence.read);
      newTokens += tokens;
      prompts += sequence.read + tokens === sequence.toRead ? 1 : 0;
    }
    const stepSeconds = mixedStepSeconds(
      this.model, this.engine, this.k, { sequences: writers, kvBytesRead, newTokens, attentionFlops, prompts });
    const writing = chunks.length > 0 ? { steps: 1, slopeSeconds: 0 } : this.writingSpan(writers, kvBytesRead, stepSeconds);
    this.work = { startSeconds: now, chunks, writers, stepSeconds, ...writing };
    this.endsSeconds = now + secondsOf(this.work, this.work.steps);
  }

  /** The prompts that a step reads, and how many tokens of each. */
  private readPrompts(budget: number): Chunk[] {
    const { running, waiting, limits, memory } = this;
    const chunks: Chunk[] = [];
    let left = budget;
    const read = (sequence: Sequence) => {
      const tokens = Math.min(sequence.toRead - sequence.read, left);
      left -= tokens;
      memory.written(sequence, sequence.read, sequence.read + tokens);
      chunks.push({ sequence, tokens });
    };
    for (const sequence of running) {
      if (left > 0 && sequence.read < sequence.toRead) {
        read(sequence);
      }
    }
    // one that alone is larger than the cache is let in, as nothing would come of waiting.
    while (left > 0 && this.waitingCount > 0 && running.length < limits.sequences) {
      const queue = waiting.find(({ size }) => size > 0)!;
      if (running.length > 0 && memory.demand(queue.first!, queue.first!.toRead) > memory.free) {
        break;
      }
      const sequence = queue.shift();
      this.waitingCount -= 1;
      running.push(sequence);
      sequence.read = memory.admit(sequence, sequence.toRead);
      if (!sequence.isBack) {
        sequence.request.cachedTokens = sequence.read;
      }
      read(sequence);
    }
    return chunks;
  }

  /** How many steps go by before anything but the contexts changes, and what each takes longer than the one before. */
  private writingSpan(writers: number, kvBytesRead: number, stepSeconds: number): { steps: number; slopeSeconds: number } {
    const { model, running, memory } = this;
    let steps = writers < running.length ? 1 : Infinity;
    let growth = 0;
    for (const sequence of running) {
      const context = contextOf(sequence);
      steps = Math.min(steps, sequence.request.outputTokens - sequence.written);
      if (context < model.attendedTokens) {
        growth += model.kvBytesPerTokenFull;
        steps = Math.min(steps, Math.max(1, Math.floor(model.attendedTokens - context)));
      }
      if (context < model.windowAttendedTokens) {
        growth += model.kvBytesPerTokenWindowed;
        steps = Math.min(steps, Math.max(1, Math.floor(model.windowAttendedTokens - context)));
      }
    }
    if (memory.free < Infinity && !this.hasRoom(steps)) {
      // the most that it has room for; for one it has, as it was made
      let most = 1;
      for (let least = steps; least - most > 1;) {
        const middle = Math.floor((most + least) / 2);
        [most, least] = this.hasRoom(middle) ? [middle, least] : [most, middle];
      }
      steps = most;
    }
    return { steps, slopeSeconds: mixedStepSeconds(model, this.engine, this.k, writingStep(writers, kvBytesRead + growth)) - stepSeconds };
  }

  /** Whether the KV cache has room for so many steps in which all sequences write. */
  private hasRoom(steps: number): boolean {
    const { memory } = this;
    let left = memory.free;
    for (let i = 0; i < this.running.length && left >= 0; i++) {
      left -= memory.sizeOf(contextOf(this.running[i]) + steps - 1) - this.running[i].held;
    }
    return left >= 0;
  }

  /** Lets steps that only write end with the first one that ends at a time or after it. */
  private cut(work: Work, until: number): void {
    const { stepSeconds, slopeSeconds, startSeconds } = work;
    // the root of the time that is left, put right where rounding was not.
    const [a, b, c] = [slopeSeconds / 2, stepSeconds - slopeSeconds / 2, startSeconds - until];
    let count = Math.max(1, Math.min(work.steps, Math.ceil(a > 0 ? (Math.sqrt(b * b - 4 * a * c) - b) / (2 * a) : -c / b)));
    while (count > 1 && startSeconds + secondsOf(work, count - 1) >= until) {
      count -= 1;
    }
    while (count < work.steps && startSeconds + secondsOf(work, count) < until) {
      count += 1;
    }
    work.steps = count;
    this.endsSeconds = startSeconds + secondsOf(work, count);
  }

  /** Of the sequences from a place on, the last of the least urgent. */
  private leastUrgent(from: number): number {
    const { running } = this;
    let least = from;
    for (let i = from + 1; i < running.length; i++) {
      if (rankOf(running[i].request) >= rankOf(running[least].request)) {
        least = i;
      }
    }
    return least;
  }

  /** A sequence loses its place, and is first of its rank to get one again. */
  private throwOut(place: number): void {
    const [sequence] = this.running.splice(place, 1);
    this.memory.release(sequence);
    this.preemptions += 1;
    this.waitingCount += 1;
    sequence.toRead = contextOf(sequence);
    sequence.read = 0;
    sequence.isBack = true;
    this.queueOf(rankOf(sequence.request)).unshift(sequence);
  }

  private queueOf(rank: number): Deque<Sequence> {
    while (this.waiting.length <= rank) {
      this.waiting.push(new Deque());
    }
    return this.waiting[rank];
  }
}

function secondsOf({ stepSeconds, slopeSeconds }: Work, steps: number): number {
  return steps * stepSeconds + slopeSeconds * steps * (steps - 1) / 2;
}

function contextOf({ request, written }: Sequence): number {
  return request.inputTokens + written;
}

function rankOf({ rank = 0 }: MixedRequest): number {
  return rank;
}
