import { constants, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { performance } from 'node:perf_hooks';

/**
 * Streams that a caller may cancel on one connection, at once and every second besides. Node itself cuts a connection at 1000 and 33, with all else that is on it:
 * before that nothing new is taken of it, which its caller is told.
 */
const CANCELS = 500;
const CANCELS_PER_SECOND = 33;
/** How long a connection on which nothing new comes is kept after its last answer: callers lose what they have not read yet when it ends. */
const LAST_MILLIS = 1_000;

/** Streams that were reset here, not by their callers. */
const resetHere = new WeakSet<ServerHttp2Stream>();

/** Breaks off a stream; its caller is not charged with it. */
export function reset(stream: ServerHttp2Stream): void {
  if (!stream.closed) {
    resetHere.add(stream);
    stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }
}

/**
 * A connection of HTTP/2. Older SDKs for JavaScript destroy theirs, with every answer on it, when they are told that nothing new is taken of it (GOAWAY): who
 * needs not be told is not.
 */
export class CallerSession {
  private readonly session: ServerHttp2Session;
  private readonly streams = new Set<ServerHttp2Stream>();
  private idleMillis: number;
  /** Whether the caller has said itself that it sends nothing new. */
  private isLeaving = false;

  /**
   * @param session the connection.
   * @param idleMillis it is closed once nothing was sent or received for so long, and no answer is on its way.
   */
  constructor(session: ServerHttp2Session, idleMillis: number) {
    this.session = session;
    this.idleMillis = idleMillis;
    session.on('stream', (stream) => {
      this.streams.add(stream);
      stream.once('close', () => this.streams.delete(stream));
    });
    session.setTimeout(idleMillis);
    session.on('timeout', () => this.closeIfIdle());
    session.on('goaway', (code) => this.callerLeaves(code));
    closeOnceCancelled(session);
  }

  /** Closes the connection as soon as it is idle. */
  public closeSoon(): void {
    this.idleMillis = LAST_MILLIS;
    this.session.setTimeout(this.idleMillis);
  }

  /** Takes nothing new; answers that are on their way go on to their end. */
  public close(): void {
    if (!this.isLeaving) {
      this.session.close();
    }
  }

  /** Cuts the connection. */
  public destroy(): void {
    this.session.destroy();
  }

  // streams of a connection that its caller has broken never end: they are idle once all answers were given.
  private closeIfIdle(): void {
    if ([...this.streams].every(({ closed, writableFinished }) => closed || writableFinished)) {
      this.session.close();
      this.session.destroy();
    } else {
      this.session.setTimeout(this.idleMillis);
    }
  }

  private callerLeaves(code: number): void {
    if (code === constants.NGHTTP2_NO_ERROR) {
      this.isLeaving = true;
      // Node no longer reads once there is no request, so that the caller is not seen to go.
      this.closeSoon();
      // what it does next is to close the session, which would tell the caller what it has just told.
      const { session } = this;
      const { close } = session;
      session.close = () => {
        session.close = close;
      };
    }
  }
}

// a caller that goes on to cancel is served no more on this connection; what else is on it goes on to its end.
function closeOnceCancelled(session: ServerHttp2Session): void {
  let cancels = 0;
  let countedMillis = performance.now();
  session.on('stream', (stream) => stream.once('close', () => {
    const isWhole = stream.writableFinished && !stream.aborted;
    if (isWhole || session.closed || resetHere.has(stream)) {
      return;
    }
    const now = performance.now();
    cancels = Math.max(0, cancels - (now - countedMillis) / 1000 * CANCELS_PER_SECOND) + 1;
    countedMillis = now;
    if (cancels >= CANCELS) {
      session.close();
    }
  }));
}
