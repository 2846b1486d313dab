import { Dispatcher } from 'undici';
import { LimitsConfig } from './config';
import { Exchange } from './exchange';
import { EngineError } from './wire/api-error';

/** How long an engine may take to close a stream that has said its `[DONE]`. */
const AFTER_DONE_MILLIS = 1_000;

/** Bounds the time that an engine says nothing; the time that the caller takes to read is not counted. */
export class Silence {
  private readonly exchange: Exchange;
  private readonly limits: LimitsConfig;
  private timer?: NodeJS.Timeout;

  constructor(exchange: Exchange, limits: LimitsConfig) {
    this.exchange = exchange;
    this.limits = limits;
  }

  /** The engine is waited for, for its first data or for more. */
  public begin(begun: boolean): void {
    const { firstByteTimeoutSeconds, idleTimeoutSeconds } = this.limits;
    this.timer = begun
      ? setTimeout(() => this.exchange.cancel(
        new EngineError(504, 'idle_timeout', `the engine was silent for ${idleTimeoutSeconds} s`)), idleTimeoutSeconds * 1000)
      : setTimeout(() => this.exchange.cancel(
        new EngineError(504, 'first_byte_timeout', `no answer began within ${firstByteTimeoutSeconds} s`)),
      Math.max(0, firstByteTimeoutSeconds - this.exchange.elapsedSeconds()) * 1000);
  }

  /** The engine has a moment to close its stream, so that its connection can be used again. */
  public afterDone(response: Dispatcher.ResponseData): void {
    this.timer = setTimeout(() => response.body.destroy(), AFTER_DONE_MILLIS);
  }

  /** The engine spoke, or is no longer waited for. */
  public end(): void {
    clearTimeout(this.timer);
  }
}
