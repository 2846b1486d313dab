import { ClosedLoop, MeasuredEngine } from './measurements';
import { mean } from './score';
import { NEARLY_ALIKE, ROUNDS, loopLengths } from '../closed-loop-requests';
import { Coefficients } from '../phases/coefficients';
import { mixedStepSeconds } from '../phases/mixed';
import { prefillAttentionFlops } from '../phases/prefill';
import { kvReadBytes } from '../phases/shapes';

/** Steps per doubling of a step's tokens that are told apart; those that are not are taken at their means, as all else in a step's time is linear. */
const STEPS_PER_DOUBLING = 32;

/** How often the mean request waits for steps that are alike, and sums over them. */
interface Steps {
  count: number;
  sequences: number;
  kvBytesRead: number;
  newTokens: number;
  attentionFlops: number;
  prompts: number;
}

interface Request {
  readonly inputTokens: number;
  readonly outputTokens: number;
  read: number;
  /** After how many steps of those that write it has written all, once it writes. */
  end: number;
}

/**
 * The steps of an engine in a closed loop, laid out once: which step reads and writes what does not depend on how long steps take, as every request
 * but the first ones is sent when another ends. So the loop's mean times are sums over steps, whatever the coefficients.
 *
 * Sequences that write go first, prompts fill what is left of a step, in order of arrival. As many are let in as the KV cache holds at their mean
 * lengths: nothing is thrown out.
 */
export class ClosedLoopSteps {
  private readonly toFirstToken = new Map<number, Steps>();
  private readonly betweenTokens = new Map<number, Steps>();

  constructor(private readonly measured: MeasuredEngine, loop: ClosedLoop) {
    const { limits, model, promptsAlone = false, reservesOutput = false } = measured;
    const { promptWaitSteps = 0, heldBack = 0 } = loop;
    const held = (loop.inputTokens + loop.outputTokens * (reservesOutput ? 1 : 0.5)) * mean(sharesOf(loop));
    const total = ROUNDS * loop.concurrency;
    const slots = Math.max(1, Math.min(limits.sequences, loop.concurrency - heldBack, Math.floor(limits.kvTokens / held)));
    const waiting: Request[] = [];
    let late: Request[] = [];
    /** Those that read, in order of arrival, and those that write, the next to end last. */
    let reading: Request[] = [];
    const writing: Request[] = [];
    let writeShare = 0;
    let context = 0;
    /** Steps that those that write had so far. */
    let written = 0;
    let sent = 0;
    let ended = 0;
    let waited = 0;
    while (ended < total) {
      late.forEach((request) => waiting.push(request));
      late = [];
      while (sent < total && sent - ended < loop.concurrency) {
        // of requests that are sent together, the engine takes the first at once, and the others when they have passed the host.
        (waiting.length === 0 ? waiting : late).push(requestOf(loop, sent++));
      }
      const writers = writing.length;
      const began = reading.length + waiting.length + late.length;
      const chunks: { request: Request; tokens: number }[] = [];
      let left = limits.stepTokens - (promptsAlone ? 0 : writers);
      const read = (request: Request) => {
        const tokens = Math.min(left, request.inputTokens - request.read);
        left -= tokens;
        chunks.push({ request, tokens });
      };
      for (const request of reading) {
        if (left > 0) {
          read(request);
        }
      }
      // an engine that waits for more prompts writes in the meantime, unless there is nothing to write.
      const isHeldBack = promptWaitSteps > waited && writers > 0 && waiting.length > 0;
      waited = isHeldBack ? waited + 1 : 0;
      while (left > 0 && waiting.length > 0 && reading.length + writers < slots && !isHeldBack) {
        reading.push(waiting[0]);
        read(waiting.shift()!);
      }
      // steps in which nothing but the contexts change are one sum, at the mean context.
      const count = chunks.length > 0 || late.length > 0 || isHeldBack ? 1 : writing[writers - 1].end - written;
      const sequences = promptsAlone && chunks.length > 0 ? 0 : writers;
      const kvBytesRead = sequences === 0 ? 0 : sequences * kvReadBytes(model, context / sequences + (count - 1) / 2);
      const share = writeShare;
      if (sequences > 0) {
        written += count;
        context += sequences * count;
        while (writing.length > 0 && writing[writing.length - 1].end === written) {
          const { inputTokens, outputTokens } = writing.pop()!;
          context -= inputTokens + outputTokens;
          // sums of shares that come and go are not left with what rounding leaves of them.
          writeShare = writing.length === 0 ? 0 : writeShare - 1 / (outputTokens - 1);
          ended += 1;
        }
      }
      let [newTokens, attentionFlops, prompts] = [0, 0, 0];
      for (const { request, tokens } of chunks) {
        attentionFlops += prefillAttentionFlops(model, tokens, request.read);
        newTokens += tokens;
        request.read += tokens;
        if (request.read < request.inputTokens) {
          continue;
        }
        prompts += 1;
        if (request.outputTokens === 1) {
          ended += 1;
          continue;
        }
        request.end = written + request.outputTokens - 1;
        insert(writing, request);
        context += request.inputTokens + 1;
        writeShare += 1 / (request.outputTokens - 1);
      }
      if (prompts > 0) {
        reading = reading.filter((request) => request.read < request.inputTokens);
      }
      const step = { sequences, kvBytesRead, newTokens, attentionFlops, prompts };
      add(this.toFirstToken, step, count * began / total);
      add(this.betweenTokens, step, count * share / total);
    }
  }

  /** Mean time from a request to its first token. */
  public ttftSeconds(k: Coefficients): number {
    return this.sum(this.toFirstToken, k);
  }

  /** Mean time between two tokens of a request; 0 where a request has one. */
  public tpotSeconds(k: Coefficients): number {
    return this.sum(this.betweenTokens, k);
  }

  private sum(steps: ReadonlyMap<number, Steps>, k: Coefficients): number {
    const { model, engine } = this.measured;
    let seconds = 0;
    for (const { count, sequences, kvBytesRead, newTokens, attentionFlops, prompts } of steps.values()) {
      seconds += count * mixedStepSeconds(model, engine, k, {
        sequences: sequences / count,
        kvBytesRead: kvBytesRead / count,
        newTokens: newTokens / count,
        attentionFlops: attentionFlops / count,
        prompts: prompts / count,
      });
    }
    return seconds;
  }
}

/** Between which shares of the named lengths a loop's lengths are. */
function sharesOf({ shortestShare }: ClosedLoop): readonly [number, number] {
  return shortestShare === undefined ? NEARLY_ALIKE : [shortestShare, 1];
}

function requestOf(loop: ClosedLoop, index: number): Request {
  return { ...loopLengths(loop, index, sharesOf(loop)), read: 0, end: NaN };
}

// keeps those that end later before those that end sooner.
function insert(writing: Request[], request: Request): void {
  let [low, high] = [0, writing.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    [low, high] = writing[middle].end > request.end ? [middle + 1, high] : [low, middle];
  }
  writing.splice(low, 0, request);
}

function add(to: Map<number, Steps>, step: Omit<Steps, 'count'>, count: number): void {
  if (count === 0) {
    return;
  }
  const place = (tokens: number) => tokens === 0 ? 0 : 1 + Math.round(STEPS_PER_DOUBLING * Math.log2(tokens));
  const key = 1e4 * place(step.sequences) + place(step.newTokens);
  let sum = to.get(key);
  if (sum === undefined) {
    sum = { count: 0, sequences: 0, kvBytesRead: 0, newTokens: 0, attentionFlops: 0, prompts: 0 };
    to.set(key, sum);
  }
  sum.count += count;
  sum.sequences += count * step.sequences;
  sum.kvBytesRead += count * step.kvBytesRead;
  sum.newTokens += count * step.newTokens;
  sum.attentionFlops += count * step.attentionFlops;
  sum.prompts += count * step.prompts;
}
