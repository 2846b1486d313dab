import { Cancellation } from '../cancellation';
import { Connection, ResponseListener } from '../upstream/connection';
import { MalformedResponse, ResponseHeaders } from '../upstream/response-parser';
import { EngineError, engineFailed } from '../wire/api-error';

/** What may wait to be read before the engine is asked to wait. */
const HIGH_WATER_BYTES = 256 * 1024;
/** What is read of an answer that nobody wants, so that its connection can be used again. */
const MAX_DISCARDED_BYTES = 128 * 1024;

/**
 * An engine's answer, on its way from the connection to who reads it.
 */
export class EngineResponse implements ResponseListener {
  /** Its status; 0 until it has begun. */
  public status = 0;
  public headers: ResponseHeaders = {};
  private readonly cancellation: Cancellation;
  private readonly onBegun: (error?: Error) => void;
  private readonly cancel: (reason: Error) => void;
  /** What it comes over, until all of it has come: then the connection may have another request. */
  private connection?: Connection;
  private parts: Buffer[] = [];
  private waiting = 0;
  private isWhole = false;
  private error?: Error;
  private wake?: () => void;

  /**
   * @param cancellation after which it is not wanted any more; it is not cancelled yet.
   * @param onBegun called when it has a status, or with what went wrong before.
   */
  constructor(cancellation: Cancellation, onBegun: (error?: Error) => void) {
    this.cancellation = cancellation;
    this.onBegun = onBegun;
    this.cancel = (reason) => this.fail(reason);
    cancellation.listen(this.cancel);
  }

  /** What has come meanwhile; undefined at the end. Rejects with EngineError if the engine breaks off. One call is to end before the next. */
  public async next(): Promise<Buffer | undefined> {
    while (this.parts.length === 0) {
      if (this.error !== undefined) {
        throw engineErrorOf(this.error, 'the engine broke off its answer');
      }
      if (this.isWhole) {
        return undefined;
      }
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
    const { parts } = this;
    this.parts = [];
    this.waiting = 0;
    this.connection?.resume();
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

  /** It will come over a connection. */
  public over(connection: Connection): void {
    this.connection = connection;
  }

  public began(status: number, headers: ResponseHeaders): void {
    if (!/^(?:identity)?$/i.test(headers['content-encoding'] ?? '')) {
      this.fail(engineFailed('the engine encodes its answer, which it was asked not to do'));
    } else {
      this.status = status;
      this.headers = headers;
      this.onBegun();
    }
  }

  public came(bytes: Buffer): void {
    this.parts.push(bytes);
    this.waiting += bytes.length;
    if (this.waiting > HIGH_WATER_BYTES) {
      this.connection!.pause();
    }
    this.wake?.();
  }

  public ended(): void {
    this.isWhole = true;
    this.connection = undefined;
    this.cancellation.unlisten(this.cancel);
    this.wake?.();
  }

  public failed(error: Error): void {
    this.fail(error);
  }

  private fail(error: Error): void {
    if (this.isWhole || this.error !== undefined) {
      return;
    }
    this.error = error;
    this.cancellation.unlisten(this.cancel);
    this.connection?.destroy();
    if (this.status === 0) {
      this.onBegun(error);
    }
    this.wake?.();
  }
}

/** What a request that failed is to be told as: what is wrong with an answer that cannot be read is said, and of all else that it broke off. */
export function engineErrorOf(error: Error, brokeOff: string): EngineError {
  if (error instanceof EngineError) {
    return error;
  }
  return engineFailed(error instanceof MalformedResponse ? `the engine's answer cannot be read: ${error.message}` : brokeOff);
}
