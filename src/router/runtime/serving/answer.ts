import { ServerResponse } from 'node:http';
import { constants, Http2ServerResponse, ServerHttp2Stream } from 'node:http2';
import { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { reset } from './http2-sessions';
import { CallerGone, CallerStalled } from '../cancellation';
import { Patience } from '../patience';
import { endOfTurn } from './turn';

const NOTHING = Buffer.alloc(0);
const LAST_CHUNK = '0\r\n\r\n';
/** What Node writes together with the head before it where it is a string: one write costs less than one of two pieces. */
const SMALL_BODY_BYTES = 16 * 1024;
/** How long the last bytes of an answer that is broken off have to be read: with a stream of HTTP/2, some callers drop what they have not read of it. */
const LAST_BYTES_MILLIS = 100;
/** What is written of an answer at once. */
const PIECE_BYTES = 256 * 1024;

/**
 * The answer to a caller, over HTTP/1.1 or HTTP/2: never held in memory beyond a socket's buffer, never ended well after a failure.
 */
export class Answer {
  private readonly response: ServerResponse | Http2ServerResponse;
  /** What bytes are written to. HTTP/2 has a stream that says truly how it ended, which its response does not. */
  private readonly out: ServerResponse | ServerHttp2Stream;
  private readonly stallMillis: number;
  /** What is to be sent with the status: one list of headers costs a response less than headers that are set one by one. */
  private readonly headers: { [name: string]: string } = {};
  /** Whether what is written has to be put into chunks of HTTP/1.1. Node would write three pieces for each. */
  private isChunked = false;
  /** Whether the head was written: over HTTP/1.1 what follows goes to the socket itself, as Node would do much with each piece that has no use here. */
  private isHeadWritten = false;
  private heldUpMillis = 0;
  private isUnreadLeft = false;
  private awaitsWord: boolean;

  /**
   * @param response what is written to.
   * @param writeStallSeconds how long the caller may take no byte.
   * @param awaitsWord whether the caller sends its body once it is told to.
   */
  constructor(response: ServerResponse | Http2ServerResponse, writeStallSeconds: number, awaitsWord = false) {
    this.response = response;
    this.awaitsWord = awaitsWord;
    this.out = response instanceof Http2ServerResponse ? response.stream : response;
    this.stallMillis = writeStallSeconds * 1000;
  }

  /** Whether the status has been sent, so that it can no longer change. */
  public get started(): boolean {
    return this.response.headersSent;
  }

  /** Whether the caller sends no body yet, as it waits to be told to. Its connection, or its stream, is ended by Node if it is answered before. */
  public get isBodyHeldBack(): boolean {
    return this.awaitsWord;
  }

  /** Whether what the caller has not sent of its request is not waited for. */
  public get leavesUnread(): boolean {
    return this.isUnreadLeft;
  }

  /** How long the caller, who was sent more than it read, has kept what followed waiting. */
  public get heldUpSeconds(): number {
    return this.heldUpMillis / 1000;
  }

  /** Calls back if the caller goes before its answer is whole. */
  public onceCallerLeft(callback: () => void): void {
    this.out.once('close', () => {
      if (!this.isWhole) {
        callback();
      }
    });
  }

  /**
   * Calls back, too, if a caller of HTTP/1.1 ends its sending side before the answer was said: nothing else tells of one that has left, and hardly any that has
   * not does so.
   */
  public onceCallerEnds(callback: () => void): void {
    if (this.out instanceof ServerResponse) {
      const { socket } = this.out.req;
      const ends = () => {
        if (!this.out.writableEnded) {
          callback();
        }
      };
      if (socket.readableEnded) {
        ends();
      } else {
        socket.once('end', ends);
        // the connection may have many more answers.
        this.out.once('close', () => socket.off('end', ends));
      }
    }
  }

  /** Headers of the answer, whatever becomes of it. */
  public setHeaders(headers: { readonly [name: string]: string }): void {
    Object.assign(this.headers, headers);
  }

  /** Asks the caller to take its next request elsewhere. HTTP/2 tells this of the connection, not in an answer. */
  public askToReconnect(): void {
    if (this.response instanceof ServerResponse) {
      this.headers.connection = 'close';
    }
  }

  /** Tells a caller who waits for that to send its body. */
  public askForBody(): void {
    if (this.awaitsWord) {
      this.awaitsWord = false;
      this.response.writeContinue();
    }
  }

  /**
   * What the caller has not sent of its request is not waited for: after the answer its connection ends, or, once it has had time to read that, its stream, where a
   * connection has others.
   */
  public leaveUnread(): void {
    this.isUnreadLeft = true;
    this.askToReconnect();
    if (!(this.out instanceof ServerResponse)) {
      const stream = this.out;
      stream.once('finish', () => later(stream, this.stallMillis, () => stream.close(constants.NGHTTP2_NO_ERROR)));
    }
  }

  /** Sends status and headers. */
  public start(status: number, headers: { readonly [name: string]: string }): void {
    // each class has a writeHead of its own type.
    this.setHeaders(headers);
    (this.response as ServerResponse).writeHead(status, this.headers);
    if (this.response instanceof ServerResponse) {
      this.isChunked = this.response.chunkedEncoding;
      this.response.chunkedEncoding = false;
    }
  }

  /** Sends bytes; resolves when the caller can take more. */
  public async write(bytes: Buffer): Promise<void> {
    await endOfTurn();
    this.throwIfGone();
    const to = this.isHeadWritten && this.out instanceof ServerResponse ? this.out.socket! : this.out;
    this.isHeadWritten = true;
    if (!to.write(this.isChunked ? chunkOf(bytes) : bytes)) {
      const began = performance.now();
      await this.patiently((resolve) => to.once('drain', resolve), (resolve) => to.off('drain', resolve));
      this.heldUpMillis += performance.now() - began;
    }
  }

  /** Ends an answer that is complete; resolves when the caller's socket has taken all of it. */
  public async end(bytes: Buffer = NOTHING): Promise<void> {
    if (this.out.writableEnded) {
      // over HTTP/2, an answer to HEAD ends with its headers.
      return;
    }
    while (bytes.length > PIECE_BYTES) {
      // each is a sign that the caller reads.
      await this.write(bytes.subarray(0, PIECE_BYTES));
      bytes = bytes.subarray(PIECE_BYTES);
    }
    await endOfTurn();
    this.throwIfGone();
    if (this.out instanceof ServerResponse && !this.out.req.complete) {
      linger(this.out.req.socket, this.stallMillis);
    }
    const last = this.isChunked ? chunkOf(bytes, LAST_CHUNK) : bytes;
    if (this.out instanceof ServerResponse && !this.isHeadWritten && last.length <= SMALL_BODY_BYTES) {
      this.out.end(last.toString('latin1'), 'latin1');
    } else {
      this.out.end(last);
    }
    if (this.out.writableLength > 0 || !(this.out instanceof ServerResponse)) {
      await this.patiently((resolve) => this.out.once('finish', resolve), (resolve) => this.out.off('finish', resolve));
    }
  }

  /** Breaks an answer off: the last bytes are sent, then the caller is cut off without the end that HTTP promises. */
  public breakOff(lastBytes?: Buffer): void {
    if (this.out instanceof ServerResponse) {
      this.breakConnection(this.out, lastBytes);
    } else {
      this.breakStream(this.out, lastBytes);
    }
  }

  private breakConnection(response: ServerResponse, lastBytes: Buffer | undefined): void {
    const { socket } = response;
    if (socket === null || socket.destroyed) {
      response.destroy();
      return;
    }
    if (lastBytes !== undefined) {
      response.write(this.isChunked ? chunkOf(lastBytes) : lastBytes);
    }
    socket.destroySoon();
    // a caller that does not read would keep the socket for ever.
    later(socket, this.stallMillis, () => socket.destroy());
  }

  private breakStream(stream: ServerHttp2Stream, lastBytes: Buffer | undefined): void {
    if (lastBytes === undefined || stream.destroyed || stream.closed) {
      reset(stream);
      return;
    }
    later(stream, this.stallMillis, () => reset(stream));
    stream.write(lastBytes, () => later(stream, LAST_BYTES_MILLIS, () => reset(stream)));
  }

  private get isWhole(): boolean {
    return this.out instanceof ServerResponse
      ? this.out.writableFinished
      : this.out.writableFinished && !this.out.aborted && this.out.rstCode === constants.NGHTTP2_NO_ERROR;
  }

  private throwIfGone(): void {
    if (this.out.destroyed || this.out.closed) {
      throw new CallerGone('the caller closed its connection');
    }
  }

  /** Waits for an event of the answer, for the caller to leave, or for the stall timeout. */
  private async patiently(on: (resolve: () => void) => void, off: (resolve: () => void) => void): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const settle = (error?: Error) => {
        patience.end();
        off(done);
        this.out.off('close', gone);
        return error === undefined ? resolve() : reject(error);
      };
      const done = () => settle();
      const gone = () => settle(this.isWhole ? undefined : new CallerGone('the caller closed its connection'));
      const patience = new Patience(this.stallMillis, () => settle(new CallerStalled('the caller took no byte for too long')));
      this.out.once('close', gone);
      on(done);
    });
  }
}

/**
 * Closes a connection, if Node is to close it after an answer, for a caller who is not done with sending: closed at once, what is not read of the request would
 * reset it, which takes away an answer that was not read. So it is ended, and what comes is dropped until the caller ends it, too, or for so long.
 */
function linger(socket: Socket, millis: number): void {
  socket.destroySoon = () => {
    socket.end();
    later(socket, millis, () => socket.destroy());
  };
}

/** Does something after a while, unless the connection, or the stream, has closed until then. */
function later(of: Socket | ServerHttp2Stream, millis: number, callback: () => void): void {
  const timer = setTimeout(callback, millis);
  of.once('close', () => clearTimeout(timer));
}

/** Bytes as a chunk of HTTP/1.1, and what comes after it. No bytes are no chunk, as that would be the last one. */
function chunkOf(bytes: Buffer, after = ''): Buffer {
  const line = bytes.length === 0 ? '' : `${bytes.length.toString(16)}\r\n`;
  const end = bytes.length === 0 ? after : `\r\n${after}`;
  const chunk = Buffer.allocUnsafe(line.length + bytes.length + end.length);
  chunk.write(line, 'latin1');
  bytes.copy(chunk, line.length);
  chunk.write(end, line.length + bytes.length, 'latin1');
  return chunk;
}
