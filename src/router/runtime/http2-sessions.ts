import { constants, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { performance } from 'node:perf_hooks';

/**
 * Streams that a caller may cancel on one connection, at once and every second besides. Node itself cuts a connection at 1000 and 33, with all else that is on it:
 * before that the caller is asked to open another one, and then nothing new is taken of this one.
 */
const CANCELS = 500;
const CANCELS_PER_SECOND = 33;
/** From how many of them on the caller is asked. */
const CANCELS_TO_ASK = 250;
/** What is told of no stream in particular: all that are on their way are still taken. */
const LAST_STREAM_ID = 2 ** 31 - 1;

/** Streams that were reset here, not by their callers. */
const resetHere = new WeakSet<ServerHttp2Stream>();

/** Breaks off a stream; its caller is not charged with it. */
export function reset(stream: ServerHttp2Stream): void {
  if (!stream.closed) {
    resetHere.add(stream);
    stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }
}

/** Closes a session on which nothing was sent or received for so long. One that its caller has broken never ends its streams: it is idle once all answers were given. */
export function closeOnceIdle(session: ServerHttp2Session, millis: number): void {
  const streams = new Set<ServerHttp2Stream>();
  session.on('stream', (stream) => {
    streams.add(stream);
    stream.once('close', () => streams.delete(stream));
  });
  session.setTimeout(millis);
  session.on('timeout', () => {
    session.close();
    if ([...streams].every(({ closed, writableFinished }) => closed || writableFinished)) {
      session.destroy();
    } else {
      session.setTimeout(millis);
    }
  });
}

/** Serves a caller that goes on to cancel no more on this session; what else is on it goes on to its end. */
export function closeOnceCancelled(session: ServerHttp2Session): void {
  let cancels = 0;
  let countedMillis = performance.now();
  let isAsked = false;
  session.on('stream', (stream) => stream.once('close', () => {
    if (stream.rstCode === constants.NGHTTP2_NO_ERROR || session.closed || resetHere.has(stream)) {
      return;
    }
    const now = performance.now();
    cancels = Math.max(0, cancels - (now - countedMillis) / 1000 * CANCELS_PER_SECOND) + 1;
    countedMillis = now;
    if (cancels >= CANCELS) {
      session.close();
    } else if (cancels >= CANCELS_TO_ASK && !isAsked) {
      isAsked = true;
      askToReconnect(session);
    }
  }));
}

/** Asks the caller to open another connection for what it has not sent yet. One that closes would refuse what was sent meanwhile. */
export function askToReconnect(session: ServerHttp2Session): void {
  if (!session.destroyed) {
    session.goaway(constants.NGHTTP2_NO_ERROR, LAST_STREAM_ID);
  }
}
