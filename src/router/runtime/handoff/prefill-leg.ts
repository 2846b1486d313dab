import { performance } from 'node:perf_hooks';
import { RetryBudget } from '../admission/retry-budget';
import { Cancellation } from '../cancellation';
import { LimitsConfig } from '../config';
import { Assignment } from './assignment';
import { inRoom, Rendezvous } from './bootstrap';
import { ASK_FOR_KV_CACHE } from './kv-params';
import { BootstrapServers, isKept, underTransferId } from './mooncake';
import { kvHandoffOf } from '../../../kv-connectors';
import { Body } from '../body';
import { Patience } from '../patience';
import { Endpoint } from '../targets/endpoint';
import { Doer, FailedRequests } from '../targets/failed-requests';
import { PrefillSlot } from '../targets/prefill-slot';
import { busySeconds, readWhole } from '../targets/read-whole';
import { Target } from '../targets/target';
import { RouterMetrics } from '../telemetry/metrics';
import { ConnectError, TooManyOpenFiles } from '../upstream/connection';
import { ROUTERS_FAULT, TOO_BUSY } from '../wire/api-error';
import { bodyForEngine } from '../wire/engine-request';
import { kvMember } from '../wire/kv-members';
import { usageIn } from '../wire/usage';
import { WholeAnswer } from '../wire/whole-answer';

/** Statuses below 500 that tell of the router's configuration or of the engine's state, not of the caller's request. */
const NOT_THE_CALLERS = new Set([...ROUTERS_FAULT, 408, 429]);
/** Above the one token of an answer with all that can be asked for about it. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/** What makes a request one that is answered at once, so that its status tells how it went. */
const WHOLE = { stream: 'false', stream_options: undefined };
/** What makes a request one for a token of it: of the limits on length, vLLM heeds others before `max_tokens`, or refuses them beside it. */
const ONE_TOKEN = { ...WHOLE, max_tokens: '1', max_completion_tokens: undefined, min_tokens: undefined };
const ONE_TOKEN_AND_KV_CACHE = Object.assign({}, ONE_TOKEN, kvMember(ASK_FOR_KV_CACHE));

/** How a prompt was read on a prefill engine, or why it was not. */
export type PrefillResult =
  | { readonly kind: 'read'; readonly answer: Buffer; readonly answeredMillis: number; readonly endpoint: Endpoint }
  | { readonly kind: 'refused'; readonly answer: WholeAnswer; readonly endpoint: Endpoint }
  | { readonly kind: 'failed'; readonly outcome: 'fallback_prefill_failed' };

/** What one engine is to read. */
interface Reading {
  readonly headers: { readonly [name: string]: string };
  readonly body: Body;
  /** Cancelled when nobody awaits it any longer. */
  readonly cancellation: Cancellation;
  /** Whether no other engine is told of it. */
  readonly isRepeatable: boolean;
  /** The engines that it waits for, itself included, where it cannot go on without the one that answers. */
  readonly doers?: readonly Doer[];
}

/** A prefill engine that reads the prompt while another awaits the KV cache. */
export interface Meeting {
  readonly endpoint: Endpoint;
  /** What the engine that answers is sent. */
  readonly body: Body;
  /** Cancelled if the prefill engine fails or refuses before the other has said anything, which would await it. */
  readonly failed: Cancellation;
  /** The prefill engine's answer, if it refused. */
  refusal?: WholeAnswer;
  /** The engines that the request waits for now. */
  doers: readonly Doer[];
  /** Whether the prefill engine has read the prompt, and keeps the KV cache until it is fetched. */
  isKept: boolean;
  /** Tells the prefill engine that it is awaited no longer. Resolves when it has no more to do with it. */
  leave(): Promise<void>;
}

/**
 * The first leg of a hand-off: a prefill engine reads the prompt, and keeps its KV cache, or meets the engine that is to have it.
 */
export class PrefillLeg {
  private readonly limits: LimitsConfig;
  private readonly metrics: RouterMetrics;
  private readonly retries: RetryBudget;
  private readonly failures: FailedRequests;
  private readonly bootstraps = new BootstrapServers();

  constructor(limits: LimitsConfig, metrics: RouterMetrics, retries: RetryBudget, failures: FailedRequests) {
    this.limits = limits;
    this.metrics = metrics;
    this.retries = retries;
    this.failures = failures;
  }

  /**
   * Lets one engine of the target read the prompt. Rejects only if the exchange is over, or by the router's own fault.
   *
   * @param assignment for which request.
   * @param target the prefill engines.
   * @param headers the headers of both legs.
   * @param first a slot of the one that is asked first, which is given back.
   */
  public async run(assignment: Assignment, target: Target, headers: { readonly [name: string]: string }, first: PrefillSlot): Promise<PrefillResult> {
    const { exchange, asked, choice: { prompt } } = assignment;
    const body = bodyForEngine(asked, target.config, ONE_TOKEN_AND_KV_CACHE);
    const tried = new Set<Endpoint>();
    for (let slot = first; ;) {
      tried.add(slot.endpoint);
      const result = await this.attempt(assignment, target, slot, { headers, body, cancellation: exchange.cancellation, isRepeatable: true });
      if (result !== undefined) {
        return result;
      }
      const endpoint = this.next(assignment, target, tried);
      if (endpoint === undefined || endpoint.freeSlots === 0) {
        break;
      }
      if (!this.retries.withdraw(performance.now())) {
        this.metrics.throttled.inc({ reason: 'retry_budget' });
        break;
      }
      slot = new PrefillSlot(target, endpoint, prompt);
    }
    return { kind: 'failed', outcome: 'fallback_prefill_failed' };
  }

  /**
   * Lets one engine of the target read the prompt while another awaits it. Resolves to undefined if there is none with room that can be met; rejects only if the
   * exchange is over, or by the router's own fault.
   *
   * @param assignment for which request.
   * @param target the prefill engines.
   * @param headers the headers of both legs.
   * @param first a slot of the one that is asked first, which is given back; of any with room if undefined.
   * @param failed engines that have failed to.
   */
  public async meet(
    assignment: Assignment, target: Target, headers: { readonly [name: string]: string }, first: PrefillSlot | undefined,
    failed: ReadonlySet<Endpoint>,
  ): Promise<Meeting | undefined> {
    const { exchange, choice: { prompt } } = assignment;
    const tried = new Set(failed);
    const next = () => {
      const endpoint = this.next(assignment, target, tried);
      return endpoint !== undefined && endpoint.freeSlots > 0 ? new PrefillSlot(target, endpoint, prompt) : undefined;
    };
    for (let slot = first ?? next(); slot !== undefined; slot = next()) {
      tried.add(slot.endpoint);
      const rendezvous = await this.rendezvous(assignment, target, slot.endpoint).catch((e) => {
        slot.release();
        throw e;
      });
      if (rendezvous !== undefined && exchange.cancellation.reason === undefined) {
        return this.begin(assignment, target, slot, rendezvous, headers);
      }
      slot.release();
      exchange.cancellation.throwIfCancelled();
    }
    return undefined;
  }

  /** The engine that is to read a prompt: rather one that has not failed to before, and none whose last requests failed if the engine that answers can read it. */
  private next({ exchange: { caller }, asked, choice: { prompt } }: Assignment, target: Target, tried: ReadonlySet<Endpoint>): Endpoint | undefined {
    const failed = this.failures.enginesOf(caller.id, asked, 'prefill');
    return target.next(failed.size === 0 ? tried : new Set([...tried, ...failed]), prompt)
      ?? target.next(tried, prompt, kvHandoffOf(target.config.kvConnector)?.decodeReadsPrompts !== false);
  }

  /** What an endpoint and the engine that answers are told of each other; undefined if the endpoint cannot be met. */
  private async rendezvous({ exchange: { caller }, asked }: Assignment, { config }: Target, endpoint: Endpoint): Promise<Rendezvous | undefined> {
    if (!kvHandoffOf(config.kvConnector)!.asksBootstrapServer) {
      const room = inRoom(endpoint.url, config.bootstrapPort!);
      return { reader: Object.assign({}, WHOLE, room), writer: room };
    }
    try {
      const ranks = await this.bootstraps.ranksOf(endpoint, config.bootstrapPort!);
      const { reader, ...others } = underTransferId(endpoint, config.bootstrapPort!, ranks);
      return { reader: Object.assign({}, ONE_TOKEN, reader), ...others };
    } catch (e) {
      if (e instanceof TooManyOpenFiles) {
        throw e;
      }
      this.failures.blame(caller.id, asked, 'prefill', endpoint, 'its bootstrap server does not tell of it');
      return undefined;
    }
  }

  private begin(
    assignment: Assignment, target: Target, slot: PrefillSlot, { reader, readerHeaders, writer }: Rendezvous,
    headers: { readonly [name: string]: string },
  ): Meeting {
    const { exchange, asked, by } = assignment;
    const { endpoint } = slot;
    const [failed, left] = [exchange.cancellation.part(), exchange.cancellation.part()];
    const keeps = kvHandoffOf(target.config.kvConnector)!.keepsKvCache;
    const reads: Doer = { part: 'prefill', endpoint };
    const answers: Doer = { part: 'answer', endpoint: by.endpoint };
    const doers = keeps ? [reads] : [reads, answers];
    const read = this.attempt(assignment, target, slot, {
      headers: Object.assign({}, headers, readerHeaders),
      body: bodyForEngine(asked, target.config, reader),
      cancellation: left,
      isRepeatable: false,
      doers,
    });
    const meeting: Meeting = {
      endpoint,
      body: bodyForEngine(asked, by.target.config, writer),
      failed,
      doers,
      isKept: false,
      leave: async () => {
        left.cancel(new Error('nobody awaits the prompt any longer'));
        // it may be another engine by now than the one that was met.
        this.bootstraps.forget(endpoint);
        await settled;
      },
    };
    const settled = read.then((result) => {
      if (result?.kind === 'read') {
        meeting.doers = [answers];
        meeting.isKept = keeps && isKept(result.answer);
      }
      if ((result?.kind !== 'read' || (keeps && !meeting.isKept)) && !exchange.answer.started) {
        meeting.refusal = result?.kind === 'refused' ? result.answer : undefined;
        failed.cancel(new Error('the prompt is not read'));
      }
    }, (e) => {
      // whoever left, or the caller who did, knows of all else.
      if (e instanceof TooManyOpenFiles) {
        failed.cancel(e);
      }
    });
    return meeting;
  }

  /**
   * Lets one endpoint read the prompt, and gives its slot back. Resolves to undefined if no connection could be made, or it has too much to do; rejects if it
   * is cancelled, or by the router's own fault.
   */
  private async attempt(
    { exchange, asked, choice: { prompt } }: Assignment, target: Target, slot: PrefillSlot, reading: Reading,
  ): Promise<PrefillResult | undefined> {
    const { headers, body, cancellation, isRepeatable, doers = [] } = reading;
    const labels = { target: target.config.name };
    const { endpoint, knownBlocks } = slot;
    this.metrics.inFlight.inc(labels);
    const attempt = cancellation.part();
    const patience = new Patience(this.limits.prefillTimeoutSeconds * 1000, () => attempt.cancel(new Error('the prompt was not read in time')));
    const span = exchange.trace?.leg('prefill', endpoint.url);
    let status: number | undefined;
    const askedAt = performance.now();
    try {
      const response = await endpoint.post(asked.path, Object.assign({}, headers, { accept: 'application/json' }, span?.headers), body, attempt, isRepeatable);
      // the lease began when the engine was done, just before its status.
      const answeredAt = performance.now();
      const answer = await readWhole(response, MAX_ANSWER_BYTES);
      endpoint.spoke(answeredAt);
      status = answer.status;
      if (answer.status >= 400 && answer.status < 500 && !NOT_THE_CALLERS.has(answer.status)) {
        endpoint.succeeded(performance.now(), exchange.caller.id);
        return { kind: 'refused', answer, endpoint };
      }
      if (answer.status !== 200) {
        if (answer.status !== 429) {
          this.failures.blame(exchange.caller.id, asked, 'prefill', endpoint, `status ${answer.status}`);
        }
        if (TOO_BUSY.has(answer.status)) {
          endpoint.busy(performance.now(), busySeconds(answer));
          return undefined;
        }
        return { kind: 'failed', outcome: 'fallback_prefill_failed' };
      }
      const { promptTokens, cachedTokens } = usageIn(answer.body);
      exchange.promptTokens = promptTokens;
      exchange.cachedTokens = cachedTokens;
      if (cachedTokens !== undefined) {
        endpoint.prompts.learn(prompt, knownBlocks, cachedTokens);
      }
      this.metrics.tellPrompt(target.config.name, promptTokens, cachedTokens);
      this.metrics.prefillSeconds.observe(labels, (answeredAt - askedAt) / 1000);
      return { kind: 'read', answer: answer.body, answeredMillis: answeredAt, endpoint };
    } catch (e) {
      if (cancellation.reason !== undefined || e instanceof TypeError || e instanceof TooManyOpenFiles) {
        if (exchange.cancellation.reason !== undefined) {
          // the engine has worked for it, which its caller is charged for.
          exchange.target ??= target.config.name;
          exchange.endpoint ??= endpoint.url;
        }
        throw e;
      }
      if (attempt.reason === undefined && e instanceof ConnectError) {
        endpoint.unreachable();
        return undefined;
      }
      // of two that wait for each other, the one may be well.
      if (attempt.reason === undefined || !this.failures.blameSilent(exchange.caller.id, asked, doers, attempt.reason.message)) {
        this.failures.blame(exchange.caller.id, asked, 'prefill', endpoint, (attempt.reason ?? e as Error).message);
      }
      return { kind: 'failed', outcome: 'fallback_prefill_failed' };
    } finally {
      span?.end(status);
      patience.end();
      slot.release();
      this.metrics.inFlight.dec(labels);
    }
  }
}
