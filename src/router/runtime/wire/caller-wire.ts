import { ApiError } from './api-error';
import { WholeAnswer } from './whole-answer';
import { ServiceTier } from '../../../routing';

/** What a caller is told of its request, besides what its engine says. */
export interface AnsweredRequest {
  readonly id: string;
  readonly serviceTier: ServiceTier;
  /** How many choices its answer is to have. */
  readonly choices: number;
  /** Time from when it was there, body and all, to the first token of a streamed answer, in seconds. */
  readonly ttftSeconds?: number;
  /** Seconds since it arrived. */
  elapsedSeconds(): number;
}

/**
 * How a caller is spoken to: what becomes of an engine's answer, which is in OpenAI's format, on its way to the caller.
 */
export interface CallerWire {
  /** Headers of every answer. */
  headers(request: AnsweredRequest): { readonly [name: string]: string };

  /** A refusal or failure, as a whole answer. */
  error(error: ApiError): WholeAnswer;

  /** An engine's whole answer, be it a refusal, without what is between the engines. */
  whole(answer: WholeAnswer, request: AnsweredRequest): WholeAnswer;

  /** A stream of an engine's events. */
  stream(request: AnsweredRequest): CallerStream;

  /** A failure, as the end of a stream that has begun. */
  streamFailure(error: ApiError): StreamFailure;
}

/** The last words of a stream that has failed. */
export interface StreamFailure {
  readonly bytes: Buffer;
  /** Whether nothing may come after them, so that a caller notices without the connection being broken off. */
  readonly isEnd: boolean;
}

/**
 * An answer that is told event by event.
 */
export interface CallerStream {
  readonly headers: { readonly [name: string]: string };
  /** Whether it tells the text of several events as one. */
  readonly readsText: boolean;

  /**
   * An event of the engine's stream.
   *
   * @param bytes the event as it came, without what is between the engines.
   * @param data what it says; undefined for a comment.
   */
  event(bytes: Buffer, data: string | undefined): void;

  /**
   * Events that say nothing but text.
   *
   * @param bytes the events as they came.
   * @param text what they say; undefined where that is yet to be read.
   */
  texts(bytes: Buffer, text?: string): void;

  /** An event in which the engine says that it failed. */
  engineError(bytes: Buffer): void;

  /** The `[DONE]` of the engine. Throws EngineError if the answer was not whole. */
  done(bytes: Buffer): void;

  /** What the caller is to be sent now. */
  take(): Buffer;
}
