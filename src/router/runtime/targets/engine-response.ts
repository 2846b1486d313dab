import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { Cancellation } from '../cancellation';
import { EngineError } from '../wire/api-error';

/** What may wait to be read before the engine is asked to wait. */
const HIGH_WATER_BYTES = 256 * 1024;
/** What is read of an answer that nobody wants, so that its connection can be used again. */
const MAX_DISCARDED_BYTES = 128 * 1024;

/**
 * An engine's answer, read as its connection delivers it: without a stream of Node's between, which costs more than all else that is done with an answer.
 */
export class EngineResponse implements Dispatcher.DispatchHandler {
  /** Its status; 0 until it has begun. */
  public status = 0;
  public headers: IncomingHttpHeaders = {};
  private readonly cancellation: Cancellation;
  private readonly begun: (error?: Error) => void;
  private readonly cancel: (reason: Error) => void;
  private controller?: Dispatcher.DispatchController;
  private parts: Buffer[] = [];
  private waiting = 0;
  private ended = false;
  private error?: Error;
  private wake?: () => void;

  /**
   * @param cancellation after which it is not wanted any more.
   * @param begun called when it has a status, or with what went wrong before.
   */
  constructor(cancellation: Cancellation, begun: (error?: Error) => void) {
    this.cancellation = cancellation;
    this.begun = begun;
    this.cancel = (reason) => this.fail(reason);
    if (cancellation.reason !== undefined) {
      this.fail(cancellation.reason);
    } else {
      cancellation.listen(this.cancel);
    }
  }

  /** What has come meanwhile; undefined at the end. Rejects with EngineError if the engine breaks off. One call is to end before the next. */
  public async next(): Promise<Buffer | undefined> {
    while (this.parts.length === 0) {
      if (this.error !== undefined) {
        throw new EngineError(502, 'engine_failed', 'the engine broke off its answer');
      }
      if (this.ended) {
        return undefined;
      }
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
    const { parts } = this;
    this.parts = [];
    this.waiting = 0;
    if (this.controller!.paused) {
      this.controller!.resume();
    }
    return parts.length === 1 ? parts[0] : Buffer.concat(parts);
  }

  /** Reads to the end what nobody wants; what is long is broken off. */
  public async discard(): Promise<void> {
    try {
      let bytes = 0;
      for (let chunk = await this.next(); chunk !== undefined; chunk = await this.next()) {
        bytes += chunk.length;
        if (bytes > MAX_DISCARDED_BYTES) {
          this.breakOff();
        }
      }
    } catch {
      // it is not wanted.
    }
  }

  /** Wants no more of it. */
  public breakOff(): void {
    this.fail(new Error('the rest of the answer is not wanted'));
  }

  /** Of undici: it is about to be asked for. */
  public onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    if (this.error !== undefined) {
      controller.abort(this.error);
    }
  }

  /** Of undici: it has begun. */
  public onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // what comes before the status is of no use to callers.
    if (status < 200) {
      return;
    }
    if ((headers['content-encoding'] ?? 'identity') !== 'identity') {
      this.fail(new EngineError(502, 'engine_failed', 'the engine encodes its answer, which it was asked not to do'));
    } else {
      this.status = status;
      this.headers = headers;
      this.begun();
    }
  }

  /** Of undici: more of it has come. */
  public onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.parts.push(chunk);
    this.waiting += chunk.length;
    if (this.waiting > HIGH_WATER_BYTES) {
      controller.pause();
    }
    this.wake?.();
  }

  /** Of undici: all of it has come. */
  public onResponseEnd(): void {
    this.ended = true;
    this.cancellation.unlisten(this.cancel);
    this.wake?.();
  }

  /** Of undici: it broke off, or never began. */
  public onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.fail(error);
  }

  private fail(error: Error): void {
    if (this.ended || this.error !== undefined) {
      return;
    }
    this.error = error;
    this.cancellation.unlisten(this.cancel);
    this.controller?.abort(error);
    if (this.status === 0) {
      this.begun(error);
    }
    this.wake?.();
  }
}
