import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { AnswerLeg, EngineBusy, Leg, signedLeg } from './answer-leg';
import { tooManyOpenFiles } from '../admission/throttled';
import { CallerGone } from '../cancellation';
import { LimitsConfig } from '../config';
import { Exchange, HandoffOutcome } from '../exchange';
import { Assignment } from '../handoff/assignment';
import { Handoff, PrefillsFull, Prepared, PromptUnread } from '../handoff/handoff';
import { Meeting } from '../handoff/prefill-leg';
import { Patience } from '../patience';
import { passOn } from '../relay/relay';
import { Endpoint } from '../targets/endpoint';
import { Doer, FailedRequests } from '../targets/failed-requests';
import { RouterMetrics } from '../telemetry/metrics';
import { traceContextOf } from '../telemetry/trace-context';
import { TooManyOpenFiles } from '../upstream/connection';
import { ApiError, EngineError, engineFailed, TOO_BUSY } from '../wire/api-error';
import { bodyForEngine } from '../wire/engine-request';

/** What may become of a request besides, that an engine does not answer. */
export interface Alternatives {
  /** Asked once if the engine has too much to do: whether another is to be asked. */
  goElsewhere(): boolean;
  /** Asked if no prefill engine has room after a hand-off that failed: whether the request is to wait for one. */
  waitAgain(): boolean;
}

/**
 * Lets engines that were chosen answer. Where it is chosen that a prefill engine reads the prompt, it does so first, and the engine that answers fetches the KV
 * cache from it. If that fails before the caller was sent anything, the same engine is asked once more, to read the prompt itself.
 */
export class Attempts {
  private readonly handoff: Handoff;
  private readonly leg: AnswerLeg;
  private readonly metrics: RouterMetrics;
  private readonly failures: FailedRequests;

  /**
   * @param limits within which bounds.
   * @param handoff how prompts are read by other engines.
   * @param metrics what is told of it.
   * @param failures what is told of engines that fail.
   */
  constructor(limits: LimitsConfig, handoff: Handoff, metrics: RouterMetrics, failures: FailedRequests) {
    this.handoff = handoff;
    this.leg = new AnswerLeg(limits, handoff);
    this.metrics = metrics;
    this.failures = failures;
  }

  /**
   * Lets one endpoint answer, and gives its slot back. Resolves to false if no connection could be made, or if it has too much to do and the request goes
   * elsewhere: what a prefill engine has read for it is then given up, and read anew for the next.
   *
   * @param assignment which request, and which endpoint.
   * @param alternatives what else may become of it.
   */
  public async make(assignment: Assignment, { goElsewhere, waitAgain }: Alternatives): Promise<boolean> {
    const { exchange, asked, choice, by: { target, endpoint, taken } } = assignment;
    const { name } = target.config;
    const leg = { endpoint, path: asked.path, headers: headersForEngines(exchange, asked.stream), cancellation: exchange.cancellation, goElsewhere };
    let prepared: Prepared | undefined;
    let doers: readonly Doer[] = [];
    let wasRead = () => {};
    let hasSpoken: (() => void) | undefined;
    let isReleased = false;
    const release = () => {
      if (!isReleased) {
        isReleased = true;
        wasRead();
        hasSpoken?.();
        endpoint.release(taken);
        this.metrics.inFlight.dec({ target: name });
      }
    };
    exchange.onAnswered = release;
    this.metrics.inFlight.inc({ target: name });
    try {
      exchange.needsEngine();
      if (exchange.cancellation.reason !== undefined) {
        choice.prefill?.release();
        throw exchange.cancellation.reason;
      }
      // the slot is taken before the prompt is read: a KV cache that had to wait for one could outlive its lease.
      doers = choice.prefill === undefined ? [] : [{ part: 'prefill', endpoint: choice.prefill.endpoint }];
      prepared = await this.handoff.prepare(assignment, leg.headers);
      doers = [{ part: 'answer', endpoint }];
      exchange.handoff = prepared.outcome;
      if (prepared.refusal !== undefined) {
        exchange.target = target.config.prefill;
        exchange.endpoint = prepared.prefill!.url;
        exchange.tellRoute();
        await passOn(exchange, prepared.refusal);
        return true;
      }
      if (prepared.outcome !== 'handed_off') {
        // what a prefill engine has read is of no use.
        exchange.cachedTokens = undefined;
      }
      // of an answer that is not a stream nothing tells when its prompt was read, and Bedrock's prompts do not wait for each other.
      if (prepared.outcome !== 'handed_off' && asked.stream && target.signer === undefined) {
        wasRead = endpoint.reads(choice.unreadTokens!);
      }
      exchange.onBegun = () => {
        wasRead();
        hasSpoken ??= endpoint.speaks();
      };
      const status = await this.answerPrepared(assignment, { body: prepared.body, ...leg }, prepared);
      if (status === undefined) {
        exchange.handoff = undefined;
        endpoint.unreachable();
        return false;
      }
      exchange.target = name;
      exchange.endpoint = endpoint.url;
      if (exchange.code === 'stream_error' || status >= 500) {
        this.failures.blame(exchange.caller.id, asked, 'answer', endpoint, exchange.failure ?? `status ${status}`);
      } else {
        this.wentWell(assignment, prepared);
      }
      if (status >= 400) {
        tellRefused(exchange);
      }
      return true;
    } catch (e) {
      if (e instanceof EngineBusy) {
        exchange.handoff = undefined;
        if (e.status >= 500) {
          this.failures.blame(exchange.caller.id, asked, 'answer', endpoint, `status ${e.status}`);
        }
        return false;
      }
      if (e instanceof TooManyOpenFiles) {
        exchange.handoff = undefined;
        throw tooManyOpenFiles(this.metrics);
      }
      if (e instanceof PrefillsFull && waitAgain()) {
        exchange.handoff = undefined;
        return false;
      }
      if (prepared !== undefined && prepared.refusal === undefined) {
        exchange.target = name;
        exchange.endpoint = endpoint.url;
        const cause = exchange.cancellation.reason ?? e;
        if (cause instanceof EngineError && !(cause instanceof PromptUnread)) {
          this.failures.blame(exchange.caller.id, asked, 'answer', endpoint, cause.message);
        }
      }
      if (prepared?.meeting === undefined || exchange.handoff !== 'handed_off') {
        this.heedLeaving(assignment, doers);
      }
      if (isRefusal(e)) {
        tellRefused(exchange);
      }
      throw e;
    } finally {
      release();
    }
  }

  /** Heeds it if a caller has left without an answer, as callers do if one of the engines stands still that they wait for. */
  private heedLeaving({ exchange, asked }: Assignment, doers: readonly Doer[]): void {
    if (exchange.cancellation.reason instanceof CallerGone && !exchange.answer.started) {
      this.failures.blameSilent(exchange.caller.id, asked, doers, 'it answers nobody, and callers leave');
    }
  }

  /** An engine has answered. If it could do so from the prompt alone, its hand-off failed by the other's fault. */
  private wentWell({ exchange: { caller, handoff }, asked, by: { endpoint } }: Assignment, { prefill, meeting }: Prepared): void {
    const now = performance.now();
    endpoint.succeeded(now, caller.id);
    if (handoff === 'handed_off') {
      prefill?.succeeded(now, caller.id);
    } else if (handoff === 'fallback_decode_failed') {
      this.failures.blame(caller.id, asked, 'prefill', (prefill ?? meeting?.endpoint)!, 'the KV cache could not be fetched');
    }
  }

  /** Lets an engine answer as its prompt was, or will be, read. Resolves as its leg does. */
  private async answerPrepared(assignment: Assignment, leg: Leg, prepared: Prepared): Promise<number | undefined> {
    if (prepared.meeting !== undefined) {
      return this.answerMeeting(assignment, leg, prepared.meeting);
    }
    const { exchange, asked, by: { target } } = assignment;
    return prepared.outcome === 'handed_off'
      ? this.answerHandedOff(assignment, { fetches: true, ...leg }, prepared)
      : this.leg.run(exchange, asked, await signedLeg(exchange, asked, target, { isRepeatable: true, ...leg }));
  }

  /** Lets an engine answer from a KV cache or, if that fails or comes too late for the lease, from the prompt. Resolves as its leg does. */
  private async answerHandedOff(assignment: Assignment, leg: Leg, prepared: Prepared): Promise<number | undefined> {
    const { exchange, asked } = assignment;
    const cancellation = leg.cancellation.part();
    let late = false;
    const patience = new Patience(Math.max(0, prepared.leaseEndMillis! - performance.now()), () => {
      late = !exchange.answer.started;
      // an answer that is not a stream says nothing before its end, so that its silence does not tell whether the KV cache was fetched in time.
      if (late && asked.stream) {
        cancellation.cancel(new Error('the KV cache was not fetched in time'));
      }
    });
    try {
      const status = await this.leg.run(exchange, asked, Object.assign({}, leg, { cancellation }));
      if (late && status === 200) {
        exchange.handoffLate = true;
        this.metrics.handoffsLate.inc();
      }
      return status;
    } catch (e) {
      if (!mayBeAskedAgain(exchange, e) || !leg.endpoint.isUp) {
        throw e;
      }
    } finally {
      patience.end();
    }
    return this.answerAlone(assignment, leg, cancellation.reason === undefined ? 'fallback_decode_failed' : 'fallback_lease');
  }

  /** Lets an engine read the prompt itself and answer, after a hand-off to it has failed. */
  private async answerAlone({ exchange, asked, by: { target } }: Assignment, leg: Leg, outcome: HandoffOutcome): Promise<number> {
    exchange.handoff = outcome;
    exchange.cachedTokens = undefined;
    exchange.tellRoute();
    // another id, as the engine may not have forgotten the request yet.
    const headers = headersForEngines(exchange, asked.stream);
    const again = { ...leg, fetches: false, goElsewhere: undefined, headers, body: bodyForEngine(asked, target.config) };
    return answeredAgain(leg, await this.leg.run(exchange, asked, again));
  }

  /**
   * Lets an engine answer while another reads the prompt for it. If either fails before the caller was sent anything, the other does not wait for it, and the
   * engine is asked once more: alone if it can read the prompt itself, otherwise in another room, with another prefill engine if it was that one that failed.
   * Resolves as its leg does.
   */
  private async answerMeeting(assignment: Assignment, leg: Leg, meeting: Meeting): Promise<number | undefined> {
    const { exchange, asked, by: { target } } = assignment;
    const failed = new Set<Endpoint>();
    let failure: Error;
    try {
      return await this.answerIn(assignment, leg, meeting);
    } catch (e) {
      if (!mayBeAskedAgain(exchange, e) || !leg.endpoint.isUp) {
        throw e;
      }
      failure = e as Error;
      if (meeting.failed.reason !== undefined) {
        failed.add(meeting.endpoint);
      }
    }
    if (target.readsPrompts) {
      return this.answerAlone(assignment, leg, failed.size > 0 ? 'fallback_prefill_failed' : 'fallback_decode_failed');
    }
    const headers = headersForEngines(exchange, asked.stream);
    const next = await this.handoff.meet(assignment, headers, undefined, failed).catch((e) => {
      if (failed.size === 0) {
        // it was the engine that answers which had failed before none was left to read the prompt.
        this.failures.blame(exchange.caller.id, asked, 'answer', leg.endpoint, failure.message);
      }
      throw e;
    });
    return answeredAgain(leg, await this.answerIn(assignment, { ...leg, headers, goElsewhere: undefined }, next!));
  }

  /** Lets an engine answer from what a prefill engine reads meanwhile. A prefill engine that refuses the request answers it. */
  private async answerIn(assignment: Assignment, leg: Leg, meeting: Meeting): Promise<number | undefined> {
    const { exchange, asked } = assignment;
    try {
      const status = await this.leg.run(exchange, asked, Object.assign({}, leg, { body: meeting.body, cancellation: meeting.failed }));
      if (status === 200) {
        meeting.endpoint.succeeded(performance.now(), exchange.caller.id);
      } else {
        await meeting.leave();
        if (meeting.isKept && (status === undefined || status < 500 || TOO_BUSY.has(status))) {
          this.handoff.drop();
        }
      }
      return status;
    } catch (failure) {
      await meeting.leave();
      this.heedLeaving(assignment, meeting.doers);
      // it is why the other engine awaited the prompt in vain.
      const e = meeting.failed.reason instanceof TooManyOpenFiles ? meeting.failed.reason : failure;
      if (meeting.isKept && (e instanceof EngineBusy || e instanceof TooManyOpenFiles)) {
        this.handoff.drop();
      }
      if (meeting.refusal === undefined || !mayBeAskedAgain(exchange, e)) {
        throw e;
      }
      exchange.handoff = 'rejected';
      exchange.tellRoute();
      await passOn(exchange, meeting.refusal);
      return meeting.refusal.status;
    }
  }
}

/** Whether a hand-off failed before the caller was sent anything, and by no fault of the caller's. */
function mayBeAskedAgain(exchange: Exchange, e: unknown): boolean {
  return exchange.cancellation.reason === undefined && !exchange.answer.started && e instanceof EngineError && !isRefusal(e);
}

/** Whether an engine has refused the request, or the router. */
function isRefusal(e: unknown): boolean {
  return e instanceof ApiError && (!(e instanceof EngineError) || e.code === 'engine_refused');
}

/** An engine that a prompt was handed to has refused it. */
function tellRefused(exchange: Exchange): void {
  if (exchange.handoff === 'handed_off' && exchange.cancellation.reason === undefined) {
    exchange.handoff = 'rejected';
  }
}

/** The status of an engine that had accepted the request before, which may be what it died of: if it can no longer be reached, no other engine is to have it. */
function answeredAgain({ endpoint }: Leg, status: number | undefined): number {
  if (status === undefined) {
    endpoint.unreachable();
    throw engineFailed('the engine failed a hand-off and can no longer be reached');
  }
  return status;
}

/** The headers of both legs of a request. Of the caller's, those of its trace alone reach an engine: none can name an upstream or carry a credential. */
function headersForEngines(exchange: Exchange, stream: boolean): { readonly [name: string]: string } {
  return {
    'content-type': 'application/json',
    'accept': stream ? 'text/event-stream' : 'application/json',
    // engines key a request's state by this: two callers with one id must not meet there.
    'x-request-id': `${exchange.id}.${randomUUID().slice(-12)}`,
    ...traceContextOf(exchange.request.headers)?.headers,
  };
}
