import { connect, isIP, LookupFunction, OnReadOpts, Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { connect as connectTls } from 'node:tls';
import { Body, lengthOf } from '../body';
import { MalformedResponse, ResponseHeaders, ResponseParser } from './response-parser';

const CONNECT_TIMEOUT_MILLIS = 3_000;
/** Silence after which TCP asks whether the other host is there still: whoever reads has no other way to learn that it vanished. */
const TCP_KEEP_ALIVE_MILLIS = 15_000;
/** Below the 5 s after which vLLM's server closes an idle connection, so that no request meets a closing one. */
const KEEP_ALIVE_MILLIS = 3_000;
/** Within which the end of a connection that was idle is told; who broke off later had the request. */
const CROSSING_MILLIS = 1_000;
/** How much earlier a connection is closed than the other side says that it will. */
const KEEP_ALIVE_MARGIN_MILLIS = 1_000;
/** What is read at once: room for some steps of a stream. */
const READ_BYTES = 16 * 1024;
/** What is copied behind its head, as one write costs less than two; what is longer may still be on its way when an error is answered. */
const SMALL_BODY_BYTES = 16 * 1024;

/** What says that this process, or its host, has too many files open for another connection. */
const TOO_MANY_FILES: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE']);

/** Where a connection leads to. */
export interface Place {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  /** How the host is found, all of its addresses. */
  readonly lookup: LookupFunction;
}

/** No connection could be made, so that no byte of a request has left. */
export class ConnectError extends Error {
  /** What Node calls the cause, such as `ECONNREFUSED`. */
  public readonly code?: string;

  constructor(cause: NodeJS.ErrnoException) {
    super(cause.message, { cause });
    this.code = cause.code;
  }
}

/** No connection could be made for want of a file that it would be: that tells nothing of the other side. No byte of a request has left. */
export class TooManyOpenFiles extends Error {}

/**
 * A connection that had done with another request ended before a byte of the response, as it does where the other side closes it while the request is on its
 * way.
 */
export class CrossedError extends Error {
  /** Whether any of the request was sent. */
  public readonly wasSent: boolean;

  constructor(cause: Error, wasSent: boolean) {
    super(cause.message, { cause });
    this.wasSent = wasSent;
  }
}

/** Whether anything has come over a connection, of those that have this in common, since it was last unset. */
export interface Hearing {
  heard: boolean;
}

/** Who awaits a response. */
export interface ResponseListener {
  /** It has begun. */
  began(status: number, headers: ResponseHeaders): void;
  /** More of its body has come. */
  came(bytes: Buffer): void;
  /** All of it has come. */
  ended(): void;
  /** It broke off, or will not begin. */
  failed(error: Error): void;
}

/**
 * A connection of HTTP/1.1, for one request at a time. What comes is read where it lies, without one of Node's streams between, which costs more than all else
 * that is done with it.
 */
export class Connection {
  private readonly socket: Socket;
  private readonly hearing: Hearing;
  private readonly isTls: boolean;
  private readonly onIdle: (connection: Connection) => void;
  private readonly onClose: (connection: Connection) => void;
  private isConnected = false;
  private isPaused = false;
  private isClosed = false;
  private isBodyLong = false;
  private requests = 0;
  private askedMillis = 0;
  /** Whether nothing has come since the request. */
  private isSilent = true;
  private parser = new ResponseParser();
  private listener?: ResponseListener;
  /** Who has a request that is yet to be sent. */
  private asker?: ResponseListener;

  /**
   * @param place where to.
   * @param hearing told when something comes.
   * @param onIdle called when it can be used again.
   * @param onClose called when it no longer can.
   */
  constructor(
    { host, port, isTls, lookup }: Place, hearing: Hearing, onIdle: (connection: Connection) => void, onClose: (connection: Connection) => void,
  ) {
    this.isTls = isTls;
    this.hearing = hearing;
    this.onIdle = onIdle;
    this.onClose = onClose;
    const onread: OnReadOpts = {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback: (length, buffer) => {
        this.read((buffer as Buffer).subarray(0, length));
        return !this.isPaused;
      },
    };
    const options = { host, port, lookup, autoSelectFamily: true, noDelay: true, onread };
    this.socket = isTls ? connectTls({ ...options, ...(isIP(host) === 0 && { servername: host }) }) : connect(options);
    this.socket.setKeepAlive(true, TCP_KEEP_ALIVE_MILLIS);
    this.socket.once(isTls ? 'secureConnect' : 'connect', () => {
      this.isConnected = true;
      this.socket.setTimeout(0);
    });
    this.socket.setTimeout(CONNECT_TIMEOUT_MILLIS, () => this.fail(new Error(`no connection within ${CONNECT_TIMEOUT_MILLIS / 1000} s`)));
    this.socket.on('error', (error) => this.fail(error));
    this.socket.once('end', () => this.end());
    this.socket.once('close', () => this.fail(new Error('the connection was closed')));
  }

  /**
   * Sends a request.
   *
   * @param head its head, the empty line included; nothing of it is checked here.
   * @param body its body; no parts if it has none.
   * @param listener who awaits the response.
   */
  public ask(head: string, body: Body, listener: ResponseListener): void {
    this.requests++;
    this.askedMillis = performance.now();
    this.isSilent = true;
    if (this.requests === 1) {
      this.send(head, body, listener);
      return;
    }
    this.socket.setTimeout(0);
    this.asker = listener;
    // what has come meanwhile is read first: nobody has asked for it, so it is not taken for the response. And what a turn has brought is written together at its
    // end, as answers are.
    setImmediate(() => {
      if (this.asker === listener) {
        this.asker = undefined;
        this.send(head, body, listener);
      }
    });
  }

  private send(head: string, body: Body, listener: ResponseListener): void {
    const { socket } = this;
    this.listener = listener;
    this.parser = new ResponseParser();
    const bodyBytes = lengthOf(body);
    this.isBodyLong = bodyBytes > SMALL_BODY_BYTES;
    if (this.isBodyLong) {
      socket.cork();
      socket.write(head, 'latin1');
      body.forEach((part) => socket.write(part));
      socket.uncork();
    } else {
      const bytes = Buffer.allocUnsafe(head.length + bodyBytes);
      let at = bytes.write(head, 'latin1');
      for (const part of body) {
        at += part.copy(bytes, at);
      }
      socket.write(bytes);
    }
  }

  /** Reads no more until `resume`. */
  public pause(): void {
    this.isPaused = true;
    this.socket.pause();
  }

  /** Reads on. */
  public resume(): void {
    if (this.isPaused) {
      this.isPaused = false;
      this.socket.resume();
    }
  }

  /** Ends it, whatever it is doing: who awaits a response is not told. */
  public destroy(): void {
    this.listener = this.asker = undefined;
    if (!this.isClosed) {
      this.isClosed = true;
      this.socket.destroy();
      this.onClose(this);
    }
  }

  /** Ends it, with an error for who awaits a response that has not begun; one that has is left to go on. */
  public giveUp(error: Error): void {
    const { listener } = this;
    if (listener !== undefined && this.isConnected && this.isSilent) {
      this.destroy();
      listener.failed(error);
    }
  }

  private read(bytes: Buffer): void {
    this.hearing.heard = true;
    const { listener, parser } = this;
    if (listener === undefined) {
      this.fail(new Error('the other side sent what nobody had asked for'));
      return;
    }
    this.isSilent = false;
    const hadBegun = parser.status !== 0;
    let body: Buffer;
    try {
      body = parser.read(bytes);
    } catch (e) {
      this.fail(e as MalformedResponse);
      return;
    }
    if (!hadBegun && parser.status !== 0) {
      listener.began(parser.status, parser.headers);
    }
    if (body.length > 0 && this.listener === listener) {
      listener.came(body);
    }
    if (parser.isWhole && this.listener === listener) {
      this.finish(listener);
    }
  }

  private finish(listener: ResponseListener): void {
    this.listener = undefined;
    const [, seconds] = /(?:^|,)\s*timeout=(\d{1,6})/i.exec(this.parser.headers['keep-alive'] ?? '') ?? [];
    const idleMillis = seconds === undefined ? KEEP_ALIVE_MILLIS : Math.min(KEEP_ALIVE_MILLIS, Number(seconds) * 1000 - KEEP_ALIVE_MARGIN_MILLIS);
    // who answers before it has read a request may never read the rest, much of which is out of sight here.
    const mayBeUnread = this.socket.writableLength > 0 || (this.isBodyLong && this.parser.status >= 400);
    if (this.parser.keepsAlive && idleMillis > 0 && !mayBeUnread) {
      this.resume();
      this.socket.setTimeout(idleMillis);
      this.onIdle(this);
    } else {
      this.destroy();
    }
    listener.ended();
  }

  private end(): void {
    const { listener } = this;
    // whoever is between can end what is below TLS, and Node does not tell that from an end that the other side has signed.
    if (listener !== undefined && !this.isTls && this.parser.end()) {
      this.finish(listener);
    } else {
      this.fail(new Error('the other side closed the connection'));
    }
  }

  private fail(error: Error): void {
    const { asker, listener = asker } = this;
    this.destroy();
    if (!this.isConnected) {
      const { code } = error as NodeJS.ErrnoException;
      listener?.failed(TOO_MANY_FILES.has(code) ? new TooManyOpenFiles(error.message, { cause: error }) : new ConnectError(error));
    } else if (asker !== undefined || (this.requests > 1 && this.isSilent && performance.now() - this.askedMillis < CROSSING_MILLIS)) {
      listener?.failed(new CrossedError(error, asker === undefined));
    } else {
      listener?.failed(error);
    }
  }
}
