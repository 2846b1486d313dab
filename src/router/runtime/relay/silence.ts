import { performance } from 'node:perf_hooks';
import { LimitsConfig } from '../config';
import { Exchange } from '../exchange';
import { Patience } from '../patience';
import { EngineResponse } from '../targets/engine-response';
import { EngineError } from '../wire/api-error';

/** How long an engine may take to close a stream that has said its `[DONE]`. */
const AFTER_DONE_MILLIS = 1_000;

/** Bounds the time that an engine says nothing of an answer; the time that the caller takes to read is not counted. */
export class Silence {
  private readonly exchange: Exchange;
  private readonly idleTimeoutSeconds: number;
  private patience: Patience;
  private hasBegun = false;
  /** When the engine was last begun to be waited for, for more; undefined while it is not. */
  private sinceMillis?: number;

  /** The engine is waited for, for the beginning of its answer. */
  constructor(exchange: Exchange, { firstByteTimeoutSeconds, idleTimeoutSeconds }: LimitsConfig) {
    this.exchange = exchange;
    this.idleTimeoutSeconds = idleTimeoutSeconds;
    this.patience = new Patience(
      Math.max(0, firstByteTimeoutSeconds - exchange.elapsedSeconds()) * 1000,
      () => exchange.cancel(new EngineError(504, 'first_byte_timeout', `no answer began within ${firstByteTimeoutSeconds} s`)),
    );
  }

  /** The answer has begun, if it had not before: from now on, each silence is bounded. */
  public begin(): void {
    if (!this.hasBegun) {
      this.hasBegun = true;
      this.patience.end();
      this.watch(this.idleTimeoutSeconds * 1000);
    }
  }

  /** The engine is waited for, for more. */
  public wait(): void {
    this.sinceMillis = performance.now();
  }

  /** The engine spoke. */
  public pause(): void {
    this.sinceMillis = undefined;
  }

  /** The engine has a moment to close its stream, so that its connection can be used again. */
  public afterDone(response: EngineResponse): void {
    this.patience.end();
    this.patience = new Patience(AFTER_DONE_MILLIS, () => response.breakOff());
  }

  /** The engine is no longer waited for. */
  public end(): void {
    this.patience.end();
  }

  /** Looks now and then, as a timer for each silence would cost more than what is done with what ends it. */
  private watch(millis: number): void {
    this.patience = new Patience(millis, () => {
      const limitMillis = this.idleTimeoutSeconds * 1000;
      const leftMillis = this.sinceMillis === undefined ? limitMillis : this.sinceMillis + limitMillis - performance.now();
      if (leftMillis > 0) {
        this.watch(leftMillis);
      } else {
        this.exchange.cancel(new EngineError(504, 'idle_timeout', `the engine was silent for ${this.idleTimeoutSeconds} s`));
      }
    });
  }
}
