import { LimitsConfig } from '../config';
import { Exchange } from '../exchange';
import { EngineResponse } from '../targets/engine-response';
import { EngineError } from '../wire/api-error';

/** How long an engine may take to close a stream that has said its `[DONE]`. */
const AFTER_DONE_MILLIS = 1_000;

/** Bounds the time that an engine says nothing of an answer; the time that the caller takes to read is not counted. */
export class Silence {
  private readonly exchange: Exchange;
  private readonly idleTimeoutSeconds: number;
  private timer: NodeJS.Timeout;

  /** The engine is waited for, for the beginning of its answer. */
  constructor(exchange: Exchange, { firstByteTimeoutSeconds, idleTimeoutSeconds }: LimitsConfig) {
    this.exchange = exchange;
    this.idleTimeoutSeconds = idleTimeoutSeconds;
    this.timer = setTimeout(
      () => exchange.cancel(new EngineError(504, 'first_byte_timeout', `no answer began within ${firstByteTimeoutSeconds} s`)),
      Math.max(0, firstByteTimeoutSeconds - exchange.elapsedSeconds()) * 1000,
    );
  }

  /** The engine is waited for, for more. */
  public begin(): void {
    const { exchange, idleTimeoutSeconds } = this;
    this.timer = setTimeout(
      () => exchange.cancel(new EngineError(504, 'idle_timeout', `the engine was silent for ${idleTimeoutSeconds} s`)), idleTimeoutSeconds * 1000);
  }

  /** The engine has a moment to close its stream, so that its connection can be used again. */
  public afterDone(response: EngineResponse): void {
    this.timer = setTimeout(() => response.breakOff(), AFTER_DONE_MILLIS);
  }

  /** The engine spoke, or is no longer waited for. */
  public end(): void {
    clearTimeout(this.timer);
  }
}
