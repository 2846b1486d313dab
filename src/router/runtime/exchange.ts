import { performance } from 'node:perf_hooks';
import type { Attributes } from '@opentelemetry/api';
import { ANONYMOUS } from './auth/authenticator';
import { CallerGone, CallerStalled, Cancellation } from './cancellation';
import { Answer } from './serving/answer';
import { HttpRequest } from './serving/listener';
import { ApiError, EngineError } from './wire/api-error';
import { AnsweredRequest, CallerWire } from './wire/caller-wire';
import { choicesOf, EngineRequest } from './wire/engine-request';
import { WholeAnswer } from './wire/whole-answer';
import { Decision, Reason, ServiceTier } from '../../routing';

/**
 * How a request to engines that take KV caches went: `rejected` if one of the two engines of a hand-off refused it, `fallback_` where a hand-off was given up,
 * otherwise the reason why none was chosen.
 */
export type HandoffOutcome =
  'handed_off' | 'fallback_prefill_failed' | 'fallback_params_invalid' | 'fallback_lease' | 'fallback_decode_failed' | 'rejected' | Reason;

/** What is told of one engine that is asked. */
export interface LegSpan {
  /** What makes the engine's spans those of this one. */
  readonly headers: { readonly traceparent: string };
  /** The engine has answered with a status, or not at all. */
  end(status: number | undefined): void;
}

/** What is told of an exchange to who traces it. */
export interface ExchangeTrace {
  /** The request was read, and its model is one that is served. */
  asked(exchange: Exchange): void;
  /** An engine is asked. */
  leg(name: 'prefill' | 'decode', url: string): LegSpan;
  /** Looks for what the answer, or events of it, say of its end. */
  read(answer: string): void;
  /** The answer has ended, for a reason that is told once it is asked for. */
  finished(reason: () => unknown): void;
  /** The request has ended; who has answered it, undefined if nobody has. */
  end(exchange: Exchange, answerer: Attributes | undefined): void;
}

/**
 * One request and its answer, from arrival to the last byte, with what the log and the metrics tell of it.
 */
export class Exchange implements AnsweredRequest {
  /** `x-request-id` of request and answer. */
  public readonly id: string;
  /** Which of the router's routes it took, as metrics name it. */
  public readonly route: string;
  public readonly request: HttpRequest;
  public readonly answer: Answer;
  /** How the caller is spoken to. */
  public wire: CallerWire;
  /** What it asks for; undefined until that is read, and if it is nothing that is served. */
  public asked?: EngineRequest;
  /** Name of the target that answered. */
  public target?: string;
  /** Base URL of the endpoint that answered. */
  public endpoint?: string;
  /** Bedrock's service tier that it is served in. */
  public serviceTier: ServiceTier = 'default';
  /** Who was chosen to answer it. */
  public decision?: Decision;
  /** The routers that it comes through, as its engine is told. */
  public via = '';
  /** Who asks. */
  public caller = ANONYMOUS;
  /** Time that it waited for a slot of an engine, in seconds; undefined if it did not. */
  public queuedSeconds?: number;
  /** Tokens of its prompt, as an engine counted them. */
  public promptTokens?: number;
  /** Those of them that the engine that read it had in its cache, as it says. */
  public cachedTokens?: number;
  /** Bytes of memory that its body has, or is to have, and its answer if that is long, no stream, and keeps no engine from others. */
  public heldBytes = 0;
  /** Makes room in memory for so many bytes more; returns false if there is none. */
  public makeRoom?: (bytes: number) => boolean;
  /** Tokens that were charged to its caller when it came. */
  public chargedTokens?: number;
  /** Tokens of its answer, as far as is known. */
  public completionTokens?: number;
  /** Called at the first token of a streamed answer. */
  public onBegun?: () => void;
  /** Called when an engine has said all of an answer that is not a stream, which its caller may take long to read, and is not to be asked again. */
  public onAnswered?: () => void;
  /** How its prompt was read; undefined for engines that take no KV cache. */
  public handoff?: HandoffOutcome;
  /** Whether its answer, not a stream, began after the lease of its KV cache. */
  public handoffLate = false;
  /** HTTP status as the caller got it, `499` if the caller left, `stream_error` if the answer broke off or told of an error after its status was sent. */
  public code?: string;
  /** Whether it failed for no fault of its caller's, whatever status the API that is spoken has for it: Bedrock tells of failed models with 4xx. */
  public isServerError = false;
  /** What is told of it to OpenTelemetry; undefined if nothing is. */
  public trace?: ExchangeTrace;
  /** What went wrong. */
  public failure?: string;
  /** Time from when it was there, body and all, to the first token of a streamed answer, in seconds. */
  public ttftSeconds?: number;
  /** The part of it that was over when its path was chosen last. */
  public chosenSeconds?: number;
  /** Mean time per token after the first, in seconds; undefined, too, if its caller kept the engine waiting. */
  public tpotSeconds?: number;
  /** Whether the answer is a stream of events. */
  public streamed = false;
  /** Where `OpenExchanges` has it. */
  public place = 0;
  /** Cancelled when nothing more is to be done for the caller. */
  public readonly cancellation = new Cancellation();
  private readonly arrivedAt = performance.now();
  private cameAt = this.arrivedAt;
  /** Whether its caller leaves by ending its sending side. */
  private isWatched = false;

  constructor(id: string, route: string, request: HttpRequest, answer: Answer, wire: CallerWire) {
    this.id = id;
    this.route = route;
    this.request = request;
    this.answer = answer;
    this.wire = wire;
  }

  public get choices(): number {
    return this.asked === undefined ? 1 : choicesOf(this.asked);
  }

  /** Seconds since the request arrived. */
  public elapsedSeconds(): number {
    return (performance.now() - this.arrivedAt) / 1000;
  }

  /** Its body is there. */
  public bodyCame(): void {
    this.cameAt = performance.now();
  }

  /** Seconds since its body was there: how long it took to come is its caller's. */
  public secondsSinceBody(): number {
    return (performance.now() - this.cameAt) / 1000;
  }

  /** Stops the work for this request: its engine is told by the closing of its connection. */
  public cancel(reason: Error): void {
    this.cancellation.cancel(reason);
  }

  /** The caller closed its connection before its answer was whole. */
  public callerLeft(): void {
    this.cancel(new CallerGone('the caller closed its connection'));
  }

  /** An engine is to work for it, or a slot to be waited for: from now on it is cancelled as soon as it seems that its caller has left. */
  public needsEngine(): void {
    if (!this.isWatched) {
      this.isWatched = true;
      this.answer.onceCallerEnds(() => this.callerLeft());
    }
  }

  /** The first token of a streamed answer is there. */
  public begun(): void {
    this.ttftSeconds = this.secondsSinceBody();
    this.onBegun?.();
  }

  /** Whether what is known of its prompt is of another engine than the one that was to answer. */
  public get isReadElsewhere(): boolean {
    return this.handoff === 'handed_off' || this.handoff === 'rejected';
  }

  /** Tells the caller its path and why it was chosen, or why a hand-off was given up. */
  public tellRoute(): void {
    const { path, reason } = this.decision!;
    const isFallback = this.handoff?.startsWith('fallback_');
    this.answer.setHeaders({ 'x-router-route': isFallback ? `aggregated; reason=${this.handoff!.replace('fallback_', '')}` : `${path}; reason=${reason}` });
  }

  /** Sends a whole answer. */
  public async finish({ status, headers, body }: WholeAnswer): Promise<void> {
    this.answer.start(status, { 'content-length': String(body.length), ...headers });
    await this.answer.end(body);
    this.code = String(status);
    this.isServerError ||= status >= 500;
  }

  /** Ends an exchange that has failed, in the way that its state still allows. */
  public async fail(error: unknown): Promise<void> {
    const cause = this.cancellation.reason ?? error as Error;
    this.failure = loggable(cause);
    this.cancel(cause);
    if (cause instanceof CallerGone || cause instanceof CallerStalled) {
      this.code = '499';
      this.answer.breakOff();
      return;
    }
    await this.tell(cause instanceof ApiError ? cause : new ApiError(500, 'server_error', 'internal_error', 'the router failed'));
  }

  /** Tells the caller of an error, as an answer of its own or as the end of one that has begun. */
  private async tell(error: ApiError): Promise<void> {
    if (!this.answer.started) {
      this.isServerError = error.status >= 500;
      if (this.decision !== undefined) {
        this.tellRoute();
      }
      const answer = this.wire.error(error);
      await this.finish(answer).catch(() => this.answer.breakOff());
      this.code = String(answer.status);
      return;
    }
    this.code = 'stream_error';
    const failure = this.streamed ? this.wire.streamFailure(error) : undefined;
    if (failure?.isEnd) {
      await this.answer.end(failure.bytes).catch(() => this.answer.breakOff());
    } else {
      this.answer.breakOff(failure?.bytes);
    }
  }
}

/** What the log may say of an error: a refusal's text, and that of an error nobody thought of, may quote the caller. */
function loggable(error: Error): string {
  if (error instanceof EngineError || error instanceof CallerGone || error instanceof CallerStalled) {
    return error.message;
  }
  return error instanceof ApiError ? error.code : `${error.name} ${error.stack?.split('\n').find((line) => /^ +at /.test(line))?.trim()}`;
}
