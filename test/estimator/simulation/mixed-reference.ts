import { Prompt, ReferenceBlocks } from './blocks-reference';
import { Coefficients } from '../../../src/estimator/phases/coefficients';
import { mixedStepSeconds } from '../../../src/estimator/phases/mixed';
import { prefillAttentionFlops } from '../../../src/estimator/phases/prefill';
import { EngineShape, ModelShape, kvBytes, kvReadBytes } from '../../../src/estimator/phases/shapes';
import { InstanceFailure } from '../../../src/estimator/simulation';
import { MixedEngineLimits } from '../../../src/estimator/simulation/mixed-engine';
import { MixedRequest } from '../../../src/estimator/simulation/replay';

interface Sequence { request: MixedRequest; toRead: number; read: number; written: number; held: number; isBack: boolean }
interface Chunk { sequence: Sequence; from: number; tokens: number }

/** What prompts are made of, and blocks of an engine, where prompts find what others have left. */
export interface ReferenceCaching { readonly ids: readonly (readonly number[])[]; readonly blocks: number }

const readAtFirst = ({ cachedTokens = 0, inputTokens }: MixedRequest) => Math.min(cachedTokens, inputTokens - 1);

/** An engine with chunked prefill, step by step: every step asks every sequence. Slow, and easy to check by reading. */
class SteppedEngine {
  public ends = Infinity;
  public isUp = true;
  /** When it was last given a request. */
  public turn = 0;
  private waiting: Sequence[] = [];
  private running: Sequence[] = [];
  private writers: Sequence[] = [];
  private chunks: Chunk[] = [];
  private cache?: ReferenceBlocks;
  private readonly prompts = new Map<MixedRequest, Prompt>();

  constructor(
    private readonly model: ModelShape,
    private readonly engine: EngineShape,
    private readonly k: Coefficients,
    private readonly limits: MixedEngineLimits,
    private readonly caching?: ReferenceCaching,
  ) {
    this.cache = this.newCache();
  }


  public get requests(): number {
    return this.waiting.length + this.running.length;
  }

  public add(request: MixedRequest, now: number): void {
    const at = this.waiting.findIndex((one) => (one.request.rank ?? 0) > (request.rank ?? 0));
    const sequence = { request, toRead: request.inputTokens, read: 0, written: 0, held: 0, isBack: false };
    this.prompts.set(request, { inputTokens: request.inputTokens, ids: this.caching?.ids[request.kind!] ?? [] });
    this.waiting.splice(at < 0 ? this.waiting.length : at, 0, sequence);
    if (this.ends === Infinity) {
      this.ends = now;
    }
  }

  public fail(): MixedRequest[] {
    const lost = [...this.running, ...this.waiting].map(({ request }) => request);
    this.cache = this.newCache();
    Object.assign(this, { waiting: [], running: [], writers: [], chunks: [], ends: Infinity });
    return lost;
  }

  /** Ends the running step and begins the next one; gives the requests that have their last token. */
  public step(): MixedRequest[] {
    const now = this.ends;
    this.chunks.forEach(({ sequence, tokens }) => { sequence.read += tokens; });
    const ended: MixedRequest[] = [];
    for (const sequence of [...this.writers, ...this.chunks.map((chunk) => chunk.sequence).filter((one) => one.read === one.toRead)]) {
      sequence.written += 1;
      if (sequence.written === 1) {
        sequence.request.firstTokenSeconds = now;
      }
      if (sequence.written === sequence.request.outputTokens) {
        sequence.request.lastTokenSeconds = now;
        ended.push(sequence.request);
      }
    }
    ended.forEach((request) => this.cache?.release(this.prompts.get(request)!));
    this.running = this.running.filter((one) => one.written < one.request.outputTokens);
    this.begin(now);
    return ended;
  }

  private newCache(): ReferenceBlocks | undefined {
    return this.caching && new ReferenceBlocks(this.caching.blocks, this.limits.blockTokens);
  }

  private begin(now: number): void {
    const { limits, model, running, waiting, cache } = this;
    this.writers = [];
    this.chunks = [];
    if (this.requests === 0) {
      this.ends = Infinity;
      return;
    }
    const limit = limits.kvTokens * (model.kvBytesPerTokenFull + model.kvBytesPerTokenWindowed);
    const bytes = (tokens: number) => tokens === 0 ? 0 : kvBytes(model, Math.ceil(tokens / limits.blockTokens) * limits.blockTokens);
    const used = () => running.reduce((sum, { held }) => sum + bytes(held), 0);
    const mayGrow = ({ request, held }: Sequence, tokens: number) => cache === undefined ? used() + bytes(tokens) - bytes(held) <= limit
      : Math.ceil(tokens / limits.blockTokens) - cache.blocksOf(this.prompts.get(request)!) <= cache.freeCount;
    const mayEnter = ({ request, toRead }: Sequence) => cache === undefined ? used() + bytes(toRead) <= limit
      : cache.fits(this.prompts.get(request)!, toRead, toRead);
    let budget = limits.stepTokens;
    for (let i = 0; i < running.length && budget > 0; i++) {
      if (running[i].read < running[i].toRead) {
        continue;
      }
      const context = running[i].request.inputTokens + running[i].written;
      const own = running[i];
      while (running.includes(own) && running.length > 1 && !mayGrow(own, context)) {
        const others = running.slice(i);
        const worst = Math.max(...others.map((one) => one.request.rank ?? 0));
        const lost = others.filter((one) => (one.request.rank ?? 0) === worst).pop()!;
        running.splice(running.indexOf(lost), 1);
        const at = waiting.findIndex((one) => (one.request.rank ?? 0) >= worst);
        cache?.release(this.prompts.get(lost.request)!);
        const again = { ...lost, toRead: lost.request.inputTokens + lost.written, read: 0, held: 0, isBack: true };
        waiting.splice(at < 0 ? waiting.length : at, 0, again);
      }
      if (!running.includes(own)) {
        i -= 1;
        continue;
      }
      running[i].held = context;
      cache?.grow(this.prompts.get(own.request)!, context);
      budget -= 1;
      this.writers.push(running[i]);
    }
    const read = (sequence: Sequence) => {
      const tokens = Math.min(budget, sequence.toRead - sequence.read);
      this.chunks.push({ sequence, from: sequence.read, tokens });
      cache?.write(this.prompts.get(sequence.request)!, sequence.read, sequence.read + tokens);
      budget -= tokens;
    };
    running.filter((one) => one.read < one.toRead).forEach((one) => budget > 0 && read(one));
    while (budget > 0 && waiting.length > 0 && running.length < limits.sequences
      && (running.length === 0 || mayEnter(waiting[0]))) {
      const sequence = waiting.shift()!;
      const prompt = this.prompts.get(sequence.request)!;
      sequence.held = sequence.toRead;
      sequence.read = cache === undefined ? readAtFirst(sequence.request) : cache.admit(prompt, sequence.toRead);
      cache?.grow(prompt, sequence.toRead);
      if (!sequence.isBack) {
        sequence.request.cachedTokens = sequence.read;
      }
      running.push(sequence);
      read(sequence);
    }
    this.ends = now + mixedStepSeconds(model, this.engine, this.k, {
      sequences: this.writers.length,
      kvBytesRead: this.writers.reduce((sum, one) => sum + kvReadBytes(model, one.request.inputTokens + one.written), 0),
      newTokens: this.chunks.reduce((sum, { tokens }) => sum + tokens, 0),
      attentionFlops: this.chunks.reduce((sum, { from, tokens }) => sum + prefillAttentionFlops(model, tokens, from), 0),
      prompts: this.chunks.filter(({ sequence, from, tokens }) => from + tokens === sequence.toRead).length,
    });
  }
}

/**
 * A fleet of such engines; a request goes to the one with the fewest, of equal ones to the one that was given none for longest.
 *
 * @param requests in order of arrival; with clients only the first ones' arrivals are given, the others' are set as they come.
 * @param clients 0 if requests come on their own.
 * @param delaySeconds from the last token to the answer, and so to the client's next request.
 * @param caching of prompts that begin alike; what they find is written into the requests.
 * @param failures of engines, on their own clock, none of an engine that is down; the last token of a request that fails is at the failure, its first one is NaN.
 */
export function mixedReference(
  engines: number, model: ModelShape, engine: EngineShape, k: Coefficients, limits: MixedEngineLimits,
  requests: readonly MixedRequest[], clients = 0, delaySeconds = 0, failures: readonly InstanceFailure[] = [], caching?: ReferenceCaching,
): MixedRequest[] {
  const all = requests.map((one) => ({ ...one }));
  const coming = clients === 0 ? [...all] : all.slice(0, clients);
  let sent = coming.length;
  const fleet = Array.from({ length: engines }, () => new SteppedEngine(model, engine, k, limits, caching));
  let turn = 0;
  const turns = failures.flatMap(({ instance, atSeconds, untilSeconds = Infinity }) => (
    [{ at: atSeconds, engine: fleet[instance], isUp: false }, { at: untilSeconds, engine: fleet[instance], isUp: true }]
  )).sort((a, b) => a.at - b.at);
  const ended = (now: number) => {
    if (clients > 0 && sent < all.length) {
      Object.assign(all[sent], { arrivalSeconds: now + delaySeconds });
      coming.push(all[sent++]);
    }
  };
  const fail = (request: MixedRequest, now: number) => {
    Object.assign(request, { firstTokenSeconds: NaN, lastTokenSeconds: now });
    ended(now);
  };
  for (;;) {
    const next = fleet.reduce((best, one) => (one.ends < best.ends ? one : best));
    const arrival = coming.length > 0 ? coming[0].arrivalSeconds : Infinity;
    if (turns.length > 0 && turns[0].at <= Math.min(next.ends, arrival) && Math.min(next.ends, arrival) < Infinity) {
      const { at, engine: turned, isUp } = turns.shift()!;
      turned.isUp = isUp;
      (isUp ? [] : turned.fail()).forEach((request) => fail(request, at));
    } else if (arrival <= next.ends && arrival < Infinity) {
      const request = coming.shift()!;
      const up = fleet.filter(({ isUp }) => isUp);
      if (up.length === 0) {
        fail(request, arrival);
      } else {
        const [chosen] = up.sort((a, b) => a.requests - b.requests || a.turn - b.turn);
        chosen.turn = ++turn;
        chosen.add(request, arrival);
      }
    } else if (next.ends === Infinity) {
      return all;
    } else {
      next.step().forEach(({ lastTokenSeconds }) => ended(lastTokenSeconds));
    }
  }
}
