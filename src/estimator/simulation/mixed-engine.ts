import { Coefficients } from '../phases/coefficients';
import { mixedStepSeconds } from '../phases/mixed';
import { prefillAttentionFlops } from '../phases/prefill';
import { EngineShape, ModelShape, kvReadBytes } from '../phases/shapes';

/** What bounds the steps of an engine. */
export interface MixedEngineLimits {
  /** Sequences that are worked on at once: `max_num_seqs` of vLLM. */
  readonly sequences: number;
  /** Tokens of a step, written and read ones together: `max_num_batched_tokens`. */
  readonly stepTokens: number;
  /** Tokens that the KV cache holds; Infinity if it never fills. */
  readonly kvTokens: number;
}

/** A request and what became of it; times are seconds from the start, as the engine sees them. */
export interface MixedRequest {
  readonly arrivalSeconds: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  firstTokenSeconds: number;
  lastTokenSeconds: number;
}

/** A request in the engine. */
interface Sequence {
  readonly request: MixedRequest;
  /** Tokens to read: what was written before the sequence lost its place is read again. */
  toRead: number;
  read: number;
  written: number;
  /** Tokens of it in the KV cache, or promised to it. */
  held: number;
}

/**
 * One engine that reads prompts and writes tokens in the same steps, as vLLM and the like do with chunked prefill.
 *
 * Sequences that write go first; prompts fill what is left of a step, in order of arrival; where the KV cache is full, the newest sequence loses its
 * place and is read again later. Steps between two events, in which nothing but the contexts change, are taken in one piece of arithmetic.
 */
export class MixedEngine {
  private readonly running: Sequence[] = [];
  private readonly waiting: Sequence[] = [];
  private seconds = 0;
  private usedTokens = 0;

  constructor(
    private readonly model: ModelShape,
    private readonly engine: EngineShape,
    private readonly k: Coefficients,
    private readonly limits: MixedEngineLimits,
  ) {}

  /**
   * Answers requests that come on their own.
   *
   * @param requests in order of arrival; what becomes of them is written into them.
   */
  public replay(requests: readonly MixedRequest[]): void {
    let next = 0;
    while (next < requests.length || !this.isIdle) {
      if (this.isIdle) {
        this.seconds = Math.max(this.seconds, requests[next].arrivalSeconds);
      }
      while (next < requests.length && requests[next].arrivalSeconds <= this.seconds) {
        this.take(requests[next++]);
      }
      this.advance(next < requests.length ? requests[next].arrivalSeconds : Infinity);
    }
  }

  /**
   * Answers requests of clients that each send the next one when the last is answered.
   *
   * @param clients how many; all send their first request at once.
   * @param requests how many in all.
   * @param inputTokens of each.
   * @param outputTokens of each.
   * @returns the requests in order of arrival.
   */
  public closedLoop(clients: number, requests: number, inputTokens: number, outputTokens: number): MixedRequest[] {
    const all: MixedRequest[] = [];
    const send = () => {
      if (all.length < requests) {
        all.push({ arrivalSeconds: this.seconds, inputTokens, outputTokens, firstTokenSeconds: NaN, lastTokenSeconds: NaN });
        this.take(all[all.length - 1]);
      }
    };
    for (let client = 0; client < clients; client++) {
      send();
    }
    while (!this.isIdle) {
      for (let finished = this.advance(Infinity); finished > 0; finished--) {
        send();
      }
    }
    return all;
  }

  private get isIdle(): boolean {
    return this.running.length === 0 && this.waiting.length === 0;
  }

  private take(request: MixedRequest): void {
    this.waiting.push({ request, toRead: request.inputTokens, read: 0, written: 0, held: 0 });
  }

  /**
   * Goes on to the next event: the end of a step in which a prompt is read or a sequence ends, or the first step that ends at or after a time.
   *
   * @returns how many sequences ended.
   */
  private advance(until: number): number {
    const { limits, running } = this;
    let budget = limits.stepTokens;
    let writers = 0;
    let kvBytesRead = 0;
    for (let i = 0; i < running.length && budget > 0; i++) {
      const sequence = running[i];
      if (sequence.read < sequence.toRead) {
        continue;
      }
      while (this.usedTokens >= limits.kvTokens && running.length > i + 1) {
        this.throwOut();
      }
      budget -= 1;
      writers += 1;
      this.hold(sequence, 1);
      kvBytesRead += kvReadBytes(this.model, contextOf(sequence));
    }
    const chunks = this.readPrompts(budget);
    if (chunks.length === 0) {
      return this.write(writers, kvBytesRead, until);
    }
    let newTokens = 0;
    let attentionFlops = 0;
    let prompts = 0;
    for (const { sequence, tokens } of chunks) {
      attentionFlops += prefillAttentionFlops(this.model, tokens, sequence.read);
      newTokens += tokens;
      prompts += sequence.read + tokens === sequence.toRead ? 1 : 0;
    }
    this.seconds += mixedStepSeconds(this.model, this.engine, this.k, writers, kvBytesRead, newTokens, attentionFlops, prompts);
    let left = writers;
    for (const sequence of running) {
      if (left > 0 && sequence.read === sequence.toRead) {
        left -= 1;
        sequence.written += 1;
      }
    }
    for (const { sequence, tokens } of chunks) {
      sequence.read += tokens;
      if (sequence.read === sequence.toRead) {
        sequence.written += 1;
        if (sequence.written === 1) {
          sequence.request.firstTokenSeconds = this.seconds;
        }
      }
    }
    return this.end();
  }

  /** The prompts that a step reads, and how many tokens of each. */
  private readPrompts(budget: number): { sequence: Sequence; tokens: number }[] {
    const { running, waiting, limits } = this;
    const chunks: { sequence: Sequence; tokens: number }[] = [];
    let left = budget;
    const read = (sequence: Sequence) => {
      const tokens = Math.min(sequence.toRead - sequence.read, left);
      left -= tokens;
      chunks.push({ sequence, tokens });
    };
    for (const sequence of running) {
      if (left > 0 && sequence.read < sequence.toRead) {
        read(sequence);
      }
    }
    // one that alone is larger than the cache is let in, as nothing would come of waiting.
    while (left > 0 && waiting.length > 0 && running.length < limits.sequences
      && (this.usedTokens + waiting[0].toRead <= limits.kvTokens || running.length === 0)) {
      const sequence = waiting.shift()!;
      running.push(sequence);
      this.hold(sequence, sequence.toRead);
      read(sequence);
    }
    return chunks;
  }

  /** Steps in which the first `writers` sequences write and nothing is read; the tokens of the first step are held already. */
  private write(writers: number, kvBytesRead: number, until: number): number {
    const { model, running, limits } = this;
    let steps = writers < running.length ? 1 : Infinity;
    let growth = 0;
    for (const sequence of running) {
      const context = contextOf(sequence);
      steps = Math.min(steps, sequence.request.outputTokens - sequence.written);
      for (const [limit, bytes] of [[model.attendedTokens, model.kvBytesPerTokenFull], [model.windowAttendedTokens, model.kvBytesPerTokenWindowed]]) {
        if (context < limit) {
          growth += bytes;
          steps = Math.min(steps, Math.max(1, Math.floor(limit - context)));
        }
      }
    }
    if (limits.kvTokens < Infinity) {
      steps = Math.min(steps, 1 + Math.max(0, Math.floor((limits.kvTokens - this.usedTokens) / writers)));
    }
    const first = mixedStepSeconds(model, this.engine, this.k, writers, kvBytesRead, 0, 0, 0);
    const slope = mixedStepSeconds(model, this.engine, this.k, writers, kvBytesRead + growth, 0, 0, 0) - first;
    const seconds = (count: number) => count * first + slope * count * (count - 1) / 2;
    if (this.seconds + seconds(steps) > until) {
      // the root of the time to the next arrival, put right where rounding was not.
      const [a, b, c] = [slope / 2, first - slope / 2, this.seconds - until];
      let count = Math.max(1, Math.min(steps, Math.ceil(a > 0 ? (Math.sqrt(b * b - 4 * a * c) - b) / (2 * a) : -c / b)));
      while (count > 1 && this.seconds + seconds(count - 1) >= until) {
        count -= 1;
      }
      while (count < steps && this.seconds + seconds(count) < until) {
        count += 1;
      }
      steps = count;
    }
    this.seconds += seconds(steps);
    let left = writers;
    for (const sequence of running) {
      if (left > 0 && sequence.read === sequence.toRead) {
        left -= 1;
        sequence.written += steps;
        this.hold(sequence, steps - 1);
      }
    }
    return this.end();
  }

  private end(): number {
    const { running } = this;
    let kept = 0;
    for (const sequence of running) {
      if (sequence.written === sequence.request.outputTokens) {
        sequence.request.lastTokenSeconds = this.seconds;
        this.hold(sequence, -sequence.held);
      } else {
        running[kept++] = sequence;
      }
    }
    const ended = running.length - kept;
    running.length = kept;
    return ended;
  }

  private throwOut(): void {
    const sequence = this.running.pop()!;
    this.hold(sequence, -sequence.held);
    sequence.toRead = contextOf(sequence);
    sequence.read = 0;
    this.waiting.unshift(sequence);
  }

  private hold(sequence: Sequence, tokens: number): void {
    sequence.held += tokens;
    this.usedTokens += tokens;
  }
}

function contextOf({ request, written }: Sequence): number {
  return request.inputTokens + written;
}
