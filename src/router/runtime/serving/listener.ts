import { createServer, IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createHttp2Server, Http2Server, Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { AddressInfo, Server as SocketServer, Socket } from 'node:net';
import { createServer as createTlsServer, Server as TlsServer } from 'node:tls';
import { Certificate } from '../config';
import { CallerSession } from './http2-sessions';
import { SilentConnections } from './silent-connections';

/** What a connection of HTTP/2 begins with, where the caller knows beforehand that it is spoken here. No request of HTTP/1.1 does. */
const PREFACE = Buffer.from('PRI');
/** How long a new connection may take to say which of the two it speaks. */
const PREFACE_MILLIS = 10_000;
/** Room for a long prompt without a round trip for each 64 KiB, which is HTTP/2's default. */
const WINDOW_BYTES = 1024 * 1024;
/** As many as a load balancer has on one connection; Node's default is any number. */
const MAX_STREAMS = 128;
/** Requests of a connection of HTTP/1.1 that may wait for their turn: Node reads on whatever waits, and clients that send ahead send a few. */
const MAX_WAITING = 100;
/**
 * Of the resets that Node takes of one connection, at once and every second besides: it also counts answers that are cancelled once they are whole, as some clients
 * do, which cost nothing. 22.10 and newer, as in the image, can be told to mind less than 1000 and 33.
 */
const RESETS = { streamResetBurst: 10_000, streamResetRate: 1_000 };
/** What is agreed on with every caller. */
const TLS = { minVersion: 'TLSv1.2' } as const;

/** A request over either protocol. */
export type HttpRequest = IncomingMessage | Http2ServerRequest;
/** Its response. */
export type HttpResponse = ServerResponse | Http2ServerResponse;

/**
 * Answers a request.
 *
 * @param awaitsWord whether its caller sends its body once it is told to (`Expect: 100-continue`), which Node would do at once.
 */
export type Serve<Request extends HttpRequest, Response extends HttpResponse> = (request: Request, response: Response, awaitsWord: boolean) => void;

/** Bounds of a listener. */
export interface ListenerOptions {
  readonly maxHeaderBytes: number;
  readonly keepAliveSeconds: number;
  /** With it, the port speaks TLS and nothing else. */
  readonly tls?: Certificate;
}

/**
 * One port for HTTP/1.1 and for HTTP/2 with prior knowledge, which is what AWS' SDK for JavaScript speaks to Bedrock unless told otherwise; under TLS,
 * for the one that the caller chooses by ALPN.
 */
export class Listener {
  private readonly server: SocketServer;
  private readonly http1: Server;
  private readonly http2: Http2Server;
  private readonly sessions = new Set<CallerSession>();
  /** Every connection: neither of the two knows those that have not said yet which of them they speak. */
  private readonly sockets = new Set<Socket>();
  private readonly silent = new SilentConnections();
  private keepAliveMillis: number;

  /**
   * @param options bounds.
   * @param serve answers a request.
   */
  constructor({ maxHeaderBytes, keepAliveSeconds, tls }: ListenerOptions, serve: Serve<HttpRequest, HttpResponse>) {
    this.keepAliveMillis = keepAliveSeconds * 1000;
    const turn = inTurn(serve);
    // whether there is a host is looked at with the rest of the head, in turn.
    const bounds = { maxHeaderSize: maxHeaderBytes, keepAliveTimeout: this.keepAliveMillis, noDelay: true, requireHostHeader: false };
    this.http1 = createServer(bounds, (request, response) => turn(request, response, false));
    this.http1.on('checkContinue', (request, response) => turn(request, response, true));
    // Node ends a connection as soon as its caller ends its own side, whatever is yet to be written; its types do not know that it can be told not to.
    Object.assign(this.http1, { httpAllowHalfOpen: true });
    const settings = { initialWindowSize: WINDOW_BYTES, maxHeaderListSize: maxHeaderBytes, maxConcurrentStreams: MAX_STREAMS };
    this.http2 = createHttp2Server({ ...RESETS, settings }, (request, response) => serve(request, response, false));
    this.http2.on('checkContinue', (request, response) => serve(request, response, true));
    this.http2.on('session', (session) => {
      const callerSession = new CallerSession(session, this.keepAliveMillis);
      this.sessions.add(callerSession);
      session.setLocalWindowSize(WINDOW_BYTES);
      session.once('close', () => this.sessions.delete(callerSession));
    });
    this.http2.on('sessionError', () => {});
    const [speakHttp1] = this.http1.listeners('connection');
    this.http1.removeAllListeners('connection');
    const accept = (socket: Socket) => firstBytes(socket, (bytes) => {
      this.silent.spoke(socket);
      if (bytes.subarray(0, PREFACE.length).equals(PREFACE)) {
        // a caller of HTTP/1.1 that has said its last word is still told what needs no engine (see `Answer`); over HTTP/2 nobody is left to be answered.
        socket.allowHalfOpen = false;
        this.http2.emit('connection', socket);
      } else {
        speakHttp1.call(this.http1, socket);
      }
    });
    if (tls === undefined) {
      this.server = this.http1.on('connection', accept);
    } else {
      const options = { ...tls, ...TLS, ALPNProtocols: ['h2', 'http/1.1'], handshakeTimeout: PREFACE_MILLIS, allowHalfOpen: true };
      // it never listens itself, which is when it would begin to watch the time that its connections take.
      this.server = createTlsServer(options, accept).on('tlsClientError', (_, socket) => socket.destroy()).once('listening', () => this.http1.emit('listening'));
    }
    this.server.on('connection', (socket: Socket) => {
      this.sockets.add(socket.once('close', () => this.sockets.delete(socket)));
      this.silent.add(socket);
    });
  }

  /** Starts to listen. Resolves to the port. */
  public async listen(port: number, host: string | undefined): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, host, resolve);
    });
    return (this.server.address() as AddressInfo).port;
  }

  /** Keeps idle connections so long from now on; those of HTTP/2 that there are keep the time they began with. */
  public keepIdle(seconds: number): void {
    this.keepAliveMillis = seconds * 1000;
    this.http1.keepAliveTimeout = this.keepAliveMillis;
  }

  /** Proves itself with another certificate to new connections. Of a listener with TLS alone. */
  public prove(certificate: Certificate): void {
    (this.server as TlsServer).setSecureContext({ ...certificate, ...TLS });
  }

  /** From now on connections of HTTP/2 are let go as soon as they are idle; callers of HTTP/1.1 are told to go elsewhere in their answers. */
  public goDown(): void {
    this.sessions.forEach((session) => session.closeSoon());
  }

  /** Takes no new connection, and lets those that are idle go. */
  public close(): void {
    this.server.close();
    this.http1.closeIdleConnections();
    this.sessions.forEach((session) => session.close());
  }

  /** Cuts every connection. */
  public closeAllConnections(): void {
    this.http1.closeAllConnections();
    this.sessions.forEach((session) => session.destroy());
    this.sockets.forEach((socket) => socket.destroy());
  }
}

/**
 * Answers the requests of a connection one after the other: of a pipelined one whose turn has not come, nothing tells that its caller has left. A connection on
 * which too many wait is cut.
 */
function inTurn(serve: Serve<IncomingMessage, ServerResponse>): Serve<IncomingMessage, ServerResponse> {
  const busy = new WeakMap<Socket, { isBusy: boolean; readonly waiting: (() => void)[] }>();
  return (request, response, awaitsWord) => {
    const { socket } = request;
    let connection = busy.get(socket);
    if (connection === undefined) {
      connection = { isBusy: false, waiting: [] };
      busy.set(socket, connection);
    }
    const turn = connection;
    const begin = () => {
      turn.isBusy = true;
      response.once('close', () => {
        turn.isBusy = false;
        if (socket.writable) {
          turn.waiting.shift()?.();
        }
      });
      serve(request, response, awaitsWord);
    };
    if (!turn.isBusy) {
      begin();
    } else if (turn.waiting.push(begin) > MAX_WAITING) {
      socket.destroy();
    }
  };
}

// calls back with the first bytes of a connection, which whoever reads next gets too
function firstBytes(socket: Socket, callback: (bytes: Buffer) => void): void {
  const drop = () => socket.destroy();
  const timer = setTimeout(drop, PREFACE_MILLIS);
  let bytes: Buffer = Buffer.alloc(0);
  const read = () => {
    const more: Buffer | null = socket.read();
    if (more === null) {
      return;
    }
    bytes = Buffer.concat([bytes, more]);
    if (bytes.length < PREFACE.length && PREFACE.subarray(0, bytes.length).equals(bytes)) {
      // too little to tell: the next packet is waited for. It is not put back yet, as a socket tells of what is put back at once.
      return;
    }
    settle();
    socket.unshift(bytes);
    callback(bytes);
  };
  const settle = () => {
    clearTimeout(timer);
    socket.off('readable', read);
    socket.off('end', drop);
    socket.off('error', drop);
    socket.off('close', settle);
  };
  socket.on('readable', read);
  socket.on('end', drop);
  socket.on('error', drop);
  socket.once('close', settle);
}
