import { ServerResponse } from 'node:http';
import { ApiError } from './openai';

/** The caller closed its connection. */
export class CallerGone extends Error {}

/** The caller took no byte of its answer for too long. */
export class CallerStalled extends Error {}

/**
 * The answer to a caller: never held in memory beyond a socket's buffer, never ended well after a failure.
 */
export class Answer {
  private readonly response: ServerResponse;
  private readonly stallMillis: number;

  constructor(response: ServerResponse, writeStallSeconds: number) {
    this.response = response;
    this.stallMillis = writeStallSeconds * 1000;
  }

  /** Whether the status has been sent, so that it can no longer change. */
  public get started(): boolean {
    return this.response.headersSent;
  }

  /** A header of the answer, whatever becomes of it. */
  public setHeader(name: string, value: string): void {
    this.response.setHeader(name, value);
  }

  /** Sends status and headers. */
  public start(status: number, headers: { readonly [name: string]: string }): void {
    this.response.writeHead(status, headers);
  }

  /** Sends bytes; resolves when the caller can take more. */
  public async write(bytes: Uint8Array): Promise<void> {
    this.throwIfGone();
    if (!this.response.write(bytes)) {
      await this.patiently((resolve) => this.response.once('drain', resolve), (resolve) => this.response.off('drain', resolve));
    }
  }

  /** Ends an answer that is complete; resolves when the caller's socket has taken all of it. */
  public async end(bytes?: string | Uint8Array): Promise<void> {
    this.throwIfGone();
    await this.patiently((resolve) => {
      this.response.once('finish', resolve);
      this.response.end(bytes);
    }, (resolve) => this.response.off('finish', resolve));
  }

  /** Sends an error as a whole answer. */
  public async fail(error: ApiError): Promise<void> {
    const body = error.toJson();
    this.start(error.status, { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)), ...error.headers });
    await this.end(body);
  }

  /** Breaks an answer off: the last bytes are sent, then the connection is closed without the end that HTTP promises. */
  public breakOff(lastBytes?: string): void {
    const { socket } = this.response;
    if (socket === null || socket.destroyed) {
      this.response.destroy();
      return;
    }
    if (lastBytes !== undefined) {
      this.response.write(lastBytes);
    }
    socket.destroySoon();
    // a caller that does not read would keep the socket for ever.
    const timer = setTimeout(() => socket.destroy(), this.stallMillis);
    socket.once('close', () => clearTimeout(timer));
  }

  private throwIfGone(): void {
    if (this.response.destroyed || this.response.closed) {
      throw new CallerGone('the caller closed its connection');
    }
  }

  /** Waits for an event of the response, for the caller to leave, or for the stall timeout. */
  private async patiently(on: (resolve: () => void) => void, off: (resolve: () => void) => void): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const settle = (error?: Error) => {
        clearTimeout(timer);
        off(done);
        this.response.off('close', gone);
        return error === undefined ? resolve() : reject(error);
      };
      const done = () => settle();
      const gone = () => settle(this.response.writableFinished ? undefined : new CallerGone('the caller closed its connection'));
      const timer = setTimeout(() => settle(new CallerStalled('the caller took no byte for too long')), this.stallMillis);
      this.response.once('close', gone);
      on(done);
    });
  }
}
