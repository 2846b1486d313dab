import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { Dispatcher } from 'undici';
import { Admission } from './admission/admission';
import { RateLimiter } from './admission/rate-limits';
import { RetryBudget } from './admission/retry-budget';
import { throttled } from './admission/throttled';
import { relayBedrocksAnswer, relayBedrocksStream } from './bedrock/relay';
import { requestToBedrock } from './bedrock/request';
import { RouterConfig } from './config';
import { Exchange } from './exchange';
import { Handoff, Prepared } from './handoff/handoff';
import { Meeting } from './handoff/prefill-leg';
import { RouterMetrics } from './metrics';
import { Choice, PathChooser, Routed } from './path-chooser';
import { relayStream, relayWhole } from './relay';
import { Endpoint, isConnectError } from './targets/endpoint';
import { Target } from './targets/target';
import { CallerGone } from './wire/answer';
import { ApiError, EngineError } from './wire/api-error';
import { bodyForEngine, EngineRequest } from './wire/engine-request';
import { passOn } from './wire/whole-answer';

/** The only headers of a caller that reach an engine: none can name an upstream or carry a credential. */
const FORWARDED = ['traceparent', 'tracestate'];
const RETRY_AFTER = { 'retry-after': '1' };

/** Reads a request as a configuration has it. Throws ApiError if it is none that is served by it. */
export type ReadRequest = (config: RouterConfig) => EngineRequest;

/** What one engine is asked. */
interface Leg {
  readonly endpoint: Endpoint;
  readonly path: string;
  readonly headers: { readonly [name: string]: string };
  readonly body: Buffer;
  /** Aborted when the engine is no longer to answer. */
  readonly signal: AbortSignal;
  /** Whether the KV cache is kept for it, until it is fetched or its lease ends. */
  readonly fetches?: boolean;
  /** Whether another header would break its signature. */
  readonly isSigned?: boolean;
  /** Whether it answers as Bedrock does, to a caller that asked as Bedrock is asked. */
  readonly inBedrocksFormat?: boolean;
}

/**
 * Forwards requests to engines: at most one engine ever accepts a request to answer it. Where it is chosen that a prefill engine reads the prompt, it does so
 * first, and the engine that answers fetches the KV cache from it. If that fails before the caller was sent anything, the same engine is asked once more,
 * to read the prompt itself.
 */
export class Forwarder {
  private readonly config: RouterConfig;
  private readonly paths: PathChooser;
  private readonly admission: Admission;
  private readonly rateLimits: RateLimiter;
  private readonly retries: RetryBudget;
  private readonly handoff: Handoff;
  private readonly metrics: RouterMetrics;
  private successor?: Forwarder;

  /**
   * @param config within which bounds.
   * @param targets the engines.
   * @param rateLimits what callers may have.
   * @param metrics what is told of it.
   * @param before who forwarded before, whose knowledge is kept.
   */
  constructor(config: RouterConfig, targets: Target[], rateLimits: RateLimiter, metrics: RouterMetrics, before?: Forwarder) {
    this.config = config;
    this.paths = new PathChooser(config, targets, before?.paths);
    this.admission = new Admission(config, this.paths, targets, metrics);
    this.rateLimits = rateLimits;
    this.retries = before?.retries ?? new RetryBudget();
    this.handoff = new Handoff(config.limits, targets, metrics, this.retries);
    this.metrics = metrics;
  }

  /** Another is to forward what comes from now on, and what no engine has yet. */
  public giveWayTo(successor: Forwarder): void {
    this.successor = successor;
    this.admission.close();
  }

  /** Answers the exchange. Rejects with what went wrong; the exchange is then to be failed. */
  public async forward(exchange: Exchange, read: ReadRequest): Promise<void> {
    if (this.successor !== undefined) {
      return this.successor.forward(exchange, read);
    }
    const { requestTimeoutSeconds } = this.config.limits;
    const deadline = setTimeout(
      () => exchange.cancel(new EngineError(504, 'request_timeout', `the answer took longer than ${requestTimeoutSeconds} s`)),
      requestTimeoutSeconds * 1000,
    );
    const tried = new Set<Endpoint>();
    try {
      const routed = this.paths.read(exchange, read(this.config));
      await this.limitRate(exchange, routed);
      this.retries.deposit(performance.now());
      await this.forwardRead(exchange, read, routed, tried);
    } finally {
      clearTimeout(deadline);
      this.chargeRate(exchange);
      if (exchange.decision !== undefined) {
        this.metrics.decisions.inc({ ...exchange.decision });
      }
      if (exchange.handoff !== undefined) {
        this.metrics.handoffs.inc({ outcome: exchange.handoff });
      }
    }
  }

  /** Lets engines answer, one after the other until one can be reached, or until another forwarder is to go on. */
  private async forwardRead(exchange: Exchange, read: ReadRequest, routed: Routed, tried: Set<Endpoint>): Promise<void> {
    while (this.successor === undefined) {
      const choice = await this.admission.admit(exchange, routed, tried);
      if (choice === undefined) {
        break;
      }
      exchange.decision = choice.decision;
      if (choice.by === undefined) {
        exchange.tellRoute();
        throw noEngine();
      }
      tried.add(choice.by.endpoint);
      if (await this.attempt(exchange, routed.asked, choice, choice.by)) {
        this.paths.learn(exchange, routed, choice);
        return;
      }
      if (!this.retries.withdraw(performance.now())) {
        this.metrics.throttled.inc({ reason: 'retry_budget' });
        throw noEngine();
      }
    }
    // what was served may be no longer, or be another model now.
    const { paths, config } = this.successor!;
    await this.successor!.forwardRead(exchange, read, paths.read(exchange, read(config)), tried);
  }

  /** Rejects with ApiError if the caller has asked for too much lately. */
  private async limitRate(exchange: Exchange, { promptTokens }: Routed): Promise<void> {
    const reached = await this.rateLimits.take(exchange.caller, promptTokens, performance.now());
    if (reached !== undefined) {
      throw throttled(this.metrics, reached.limit, reached.afterSeconds);
    }
    exchange.chargedTokens = promptTokens;
  }

  /** What was estimated of a request is made good: one that no engine answered has no tokens, and is none if it was refused. */
  private chargeRate({ caller, target, signal, chargedTokens, promptTokens = chargedTokens, completionTokens = 0 }: Exchange): void {
    if (chargedTokens === undefined) {
      return;
    }
    const used = target === undefined ? 0 : promptTokens! + completionTokens;
    this.rateLimits.charge(caller, used - chargedTokens, performance.now());
    if (target === undefined && !(signal.reason instanceof CallerGone)) {
      this.rateLimits.giveBack(caller, performance.now());
    }
  }

  /** Lets one endpoint answer, and gives its slot back. Resolves to false if no connection could be made. */
  private async attempt(exchange: Exchange, asked: EngineRequest, choice: Choice, { target, endpoint }: NonNullable<Choice['by']>): Promise<boolean> {
    const { name } = target.config;
    const leg = { endpoint, path: asked.path, headers: headersForEngines(exchange, asked.stream), signal: exchange.signal };
    let prepared: Prepared | undefined;
    let wasRead = () => {};
    // whichever of two engines fails a hand-off, neither is to be trusted with many more.
    const atWork = () => [endpoint, ...(exchange.handoff === 'handed_off' && prepared!.prefill !== undefined ? [prepared!.prefill] : [])];
    this.metrics.inFlight.inc({ target: name });
    try {
      // the slot is taken before the prompt is read: a KV cache that had to wait for one could outlive its lease.
      prepared = await this.handoff.prepare(exchange, asked, choice, target, leg.headers);
      exchange.handoff = prepared.outcome;
      if (prepared.refusal !== undefined) {
        exchange.target = target.config.prefill;
        exchange.endpoint = prepared.prefill!.url;
        await passOn(exchange, prepared.refusal);
        return true;
      }
      // of an answer that is not a stream nothing tells when its prompt was read, and Bedrock's prompts do not wait for each other.
      if (prepared.outcome !== 'handed_off' && asked.stream && target.signer === undefined) {
        wasRead = endpoint.reads(choice.promptTokens);
        exchange.onBegun = wasRead;
      }
      const status = await this.answerPrepared(exchange, asked, choice, target, { ...leg, body: prepared.body }, prepared);
      if (status === undefined) {
        exchange.handoff = undefined;
        endpoint.unreachable();
        return false;
      }
      exchange.target = name;
      exchange.endpoint = endpoint.url;
      const failed = exchange.code === 'stream_error' || status >= 500;
      atWork().forEach((engine) => (failed ? engine.failed(Date.now()) : engine.succeeded()));
      return true;
    } catch (e) {
      if (prepared !== undefined && prepared.refusal === undefined) {
        exchange.target = name;
        exchange.endpoint = endpoint.url;
        if ((exchange.signal.aborted ? exchange.signal.reason : e) instanceof EngineError) {
          atWork().forEach((engine) => engine.failed(Date.now()));
        }
      }
      throw e;
    } finally {
      wasRead();
      endpoint.release();
      this.metrics.inFlight.dec({ target: name });
    }
  }

  /** Lets an engine answer as its prompt was, or will be, read. Resolves as `answer` does. */
  private async answerPrepared(
    exchange: Exchange, asked: EngineRequest, choice: Choice, target: Target, leg: Leg, prepared: Prepared,
  ): Promise<number | undefined> {
    if (prepared.meeting !== undefined) {
      return this.answerMeeting(exchange, asked, choice, target, leg, prepared.meeting);
    }
    return prepared.outcome === 'handed_off'
      ? this.answerHandedOff(exchange, asked, target, { ...leg, fetches: true }, prepared)
      : this.answer(exchange, asked, await signedLeg(exchange, asked, target, leg));
  }

  /** Lets an engine answer from a KV cache or, if that fails or comes too late for the lease, from the prompt. Resolves as `answer` does. */
  private async answerHandedOff(exchange: Exchange, asked: EngineRequest, target: Target, leg: Leg, prepared: Prepared): Promise<number | undefined> {
    const canceller = new AbortController();
    let late = false;
    const timer = setTimeout(() => {
      late = !exchange.answer.started;
      // an answer that is not a stream says nothing before its end, so that its silence does not tell whether the KV cache was fetched in time.
      if (late && asked.stream) {
        canceller.abort();
      }
    }, Math.max(0, prepared.leaseEndMillis! - performance.now()));
    try {
      const status = await this.answer(exchange, asked, { ...leg, signal: AbortSignal.any([leg.signal, canceller.signal]) });
      if (late && status === 200) {
        exchange.handoffLate = true;
        this.metrics.handoffsLate.inc();
      }
      return status;
    } catch (e) {
      if (!mayBeAskedAgain(exchange, e)) {
        throw e;
      }
    } finally {
      clearTimeout(timer);
    }
    exchange.handoff = canceller.signal.aborted ? 'fallback_lease' : 'fallback_decode_failed';
    exchange.tellRoute();
    if (exchange.handoff === 'fallback_decode_failed') {
      prepared.prefill!.failed(Date.now());
    }
    // another id, as the engine may not have forgotten the request yet.
    const again = { ...leg, fetches: false, headers: headersForEngines(exchange, asked.stream), body: bodyForEngine(asked, target.config) };
    const status = await this.answer(exchange, asked, again);
    if (status === undefined) {
      // it had accepted the request, which may be what it died of: no other engine is to have it.
      leg.endpoint.unreachable();
      throw new EngineError(502, 'engine_failed', 'the engine failed a hand-off and can no longer be reached');
    }
    return status;
  }

  /**
   * Lets an engine answer while another reads the prompt for it. If either fails, the other does not wait for it, and both are asked once more, in another room,
   * by another prefill engine if it was that one that failed, unless the caller was sent something. Resolves as `answer` does.
   */
  private async answerMeeting(
    exchange: Exchange, asked: EngineRequest, { promptTokens }: Choice, target: Target, leg: Leg, meeting: Meeting,
  ): Promise<number | undefined> {
    const failed = new Set<Endpoint>();
    try {
      return await this.answerIn(exchange, asked, leg, meeting);
    } catch (e) {
      if (!mayBeAskedAgain(exchange, e)) {
        throw e;
      }
      if (meeting.failed.aborted) {
        failed.add(meeting.endpoint);
      } else {
        meeting.endpoint.failed(Date.now());
      }
    }
    const headers = headersForEngines(exchange, asked.stream);
    const next = this.handoff.meet(exchange, asked, promptTokens, target, headers, failed);
    const status = await this.answerIn(exchange, asked, { ...leg, headers }, next);
    if (status === undefined) {
      leg.endpoint.unreachable();
      throw new EngineError(502, 'engine_failed', 'the engine failed a hand-off and can no longer be reached');
    }
    return status;
  }

  /** Lets an engine answer from what a prefill engine reads meanwhile. A prefill engine that refuses the request answers it. */
  private async answerIn(exchange: Exchange, asked: EngineRequest, leg: Leg, meeting: Meeting): Promise<number | undefined> {
    try {
      const status = await this.answer(exchange, asked, { ...leg, body: meeting.body, signal: AbortSignal.any([leg.signal, meeting.failed]) });
      if (status === 200) {
        meeting.endpoint.succeeded();
      } else {
        await meeting.leave();
      }
      return status;
    } catch (e) {
      await meeting.leave();
      if (meeting.refusal === undefined || !mayBeAskedAgain(exchange, e)) {
        throw e;
      }
      exchange.handoff = 'rejected';
      await passOn(exchange, meeting.refusal);
      return meeting.refusal.status;
    }
  }

  /** Lets an engine answer. Resolves to its status once the caller has all of it, to undefined if no connection could be made. */
  private async answer(exchange: Exchange, asked: EngineRequest, leg: Leg): Promise<number | undefined> {
    const span = exchange.trace?.leg('decode', leg.endpoint.url);
    let status: number | undefined;
    try {
      // what is signed stays as it is.
      status = await this.send(exchange, asked, span === undefined || leg.isSigned ? leg : { ...leg, headers: { ...leg.headers, ...span.headers } });
      return status;
    } finally {
      span?.end(exchange.code === 'stream_error' ? undefined : status);
    }
  }

  /** Does so, without telling OpenTelemetry. */
  private async send(exchange: Exchange, asked: EngineRequest, leg: Leg): Promise<number | undefined> {
    const response = await this.post(exchange, asked, leg);
    const status = response?.statusCode;
    if (leg.fetches && (status === undefined || (status >= 400 && status < 500))) {
      // it refused the request without a look at the KV cache, or never had it.
      this.handoff.drop();
    }
    if (response === undefined) {
      return undefined;
    }
    exchange.tellRoute();
    if (exchange.handoff === 'handed_off' && response.statusCode >= 500) {
      await response.body.dump().catch(() => undefined);
      throw new EngineError(502, 'engine_failed', `the engine answers a hand-off with status ${status}`);
    }
    if (asked.stream && status === 200) {
      await (leg.inBedrocksFormat ? relayBedrocksStream : relayStream)(exchange, response, this.config.limits);
    } else {
      await (leg.inBedrocksFormat ? relayBedrocksAnswer : relayWhole)(exchange, response);
    }
    return status;
  }

  /** The engine's answer, from its status on; undefined if no connection could be made. */
  private async post(
    exchange: Exchange, { stream }: EngineRequest, { endpoint, path, headers, body, signal }: Leg,
  ): Promise<Dispatcher.ResponseData | undefined> {
    const { firstByteTimeoutSeconds } = this.config.limits;
    const timer = stream
      ? setTimeout(
        () => exchange.cancel(new EngineError(504, 'first_byte_timeout', `no answer began within ${firstByteTimeoutSeconds} s`)),
        Math.max(0, firstByteTimeoutSeconds - exchange.elapsedSeconds()) * 1000,
      )
      : undefined;
    try {
      return await endpoint.post(path, headers, body, signal);
    } catch (e) {
      if (!signal.aborted && isConnectError(e)) {
        return undefined;
      }
      throw new EngineError(502, 'engine_failed', 'the engine broke off before it answered');
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Whether a hand-off failed before the caller was sent anything, and by no fault of the caller's. */
function mayBeAskedAgain(exchange: Exchange, e: unknown): boolean {
  return !exchange.signal.aborted && !exchange.answer.started && e instanceof EngineError && e.code !== 'engine_refused';
}

/** The leg as Bedrock is to be sent it; as it is for engines, which nothing is signed for. */
async function signedLeg(exchange: Exchange, asked: EngineRequest, { signer, config }: Target, leg: Leg): Promise<Leg> {
  if (signer === undefined) {
    return leg;
  }
  const request = requestToBedrock(exchange, asked, config.modelName!, leg);
  const headers = await signer.sign(leg.endpoint.urlOf(request.path), request.headers, request.body);
  return { ...leg, ...request, headers, isSigned: true, inBedrocksFormat: asked.bedrock !== undefined };
}

/** What the caller is told if no engine can answer. */
function noEngine(): ApiError {
  return new ApiError(503, 'server_error', 'no_engine', 'no engine can answer now', RETRY_AFTER);
}

/** The headers of both legs of a request. */
function headersForEngines(exchange: Exchange, stream: boolean): { [name: string]: string } {
  const headers: { [name: string]: string } = {
    'content-type': 'application/json',
    'accept': stream ? 'text/event-stream' : 'application/json',
    // engines key a request's state by this: two callers with one id must not meet there.
    'x-request-id': `${exchange.id}.${randomUUID().replaceAll('-', '').slice(0, 12)}`,
  };
  for (const name of FORWARDED) {
    const value = exchange.request.headers[name];
    if (typeof value === 'string') {
      headers[name] = value;
    }
  }
  return headers;
}
