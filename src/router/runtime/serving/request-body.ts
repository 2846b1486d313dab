import { IncomingMessage } from 'node:http';
import { constants } from 'node:http2';
import { HeldBodies } from '../admission/held-bodies';
import { CallerGone } from '../cancellation';
import { LimitsConfig } from '../config';
import { Exchange } from '../exchange';
import { Patience } from '../patience';
import { ApiError, BODY_TIMEOUT, invalid } from '../wire/api-error';
import { jsonSize } from '../wire/json-size';

/** What a value of JSON counts for: it takes up to sixty bytes when it is parsed, and a byte of a body is in memory up to five times, garbage included. */
const BYTES_A_VALUE = 16;
/** What a caller over HTTP/2 may be yet to send when it is answered: Node's client breaks off if it is answered while it has 10 MB to send. */
const UNSENT_BYTES = 8 * 1024 * 1024;

/**
 * The whole body of a request, for which, and for the values that it holds, there is room until the request ends. Throws ApiError if it is compressed, longer
 * than allowed, of more values, or there is no room for it, or if it, or any of it, takes too long to come, CallerGone if it never does.
 */
export async function bodyOf(exchange: Exchange, limits: LimitsConfig, held: HeldBodies): Promise<Buffer> {
  const body = await bytesOf(exchange, limits, held);
  const { values, problem } = jsonSize(body, limits.maxBodyValues);
  if (problem !== undefined) {
    throw invalid('invalid_json', `the body ${problem}`);
  }
  held.hold(exchange, Math.min(values * BYTES_A_VALUE, limits.maxHeldBytes), limits);
  return body;
}

async function bytesOf(exchange: Exchange, limits: LimitsConfig, held: HeldBodies): Promise<Buffer> {
  const { request, cancellation } = exchange;
  // the caller may have left before its body is looked at.
  cancellation.throwIfCancelled();
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && !/^(?:identity)?$/i.test(encoding)) {
    throw new ApiError(415, 'invalid_request_error', 'unsupported_encoding', 'content-encoding: send the body as it is, not compressed', {}, 'content-encoding');
  }
  const announcedBytes = Number(request.headers['content-length']);
  if (announcedBytes > limits.maxBodyBytes) {
    throw tooLong(limits);
  }
  // what is announced may never come: it has no room before it does.
  held.check(exchange, announcedBytes, limits);
  exchange.answer.askForBody();
  if (request instanceof IncomingMessage && request.readableLength === announcedBytes) {
    // all of it has come with its head.
    held.hold(exchange, announcedBytes, limits);
    const body: Buffer = request.read() ?? Buffer.alloc(0);
    request.resume();
    return body;
  }
  return gathered(exchange, limits, (bytes) => held.hold(exchange, bytes, limits));
}

/**
 * Reads on and drops what is yet to come of a request that is refused: its caller may not read an answer before it has sent that. Over HTTP/2, where the body's
 * length was told, resolves once callers read theirs, at the latest when the body's time is over.
 */
export async function dropRest({ request, answer, cancellation }: Exchange, { bodyTimeoutSeconds }: LimitsConfig): Promise<void> {
  if (request.complete || answer.isBodyHeldBack) {
    return;
  }
  request.resume();
  let left = Number(request.headers['content-length']);
  const reads = request instanceof IncomingMessage || answer.leavesUnread || !(left > UNSENT_BYTES);
  if (reads || request.stream.destroyed || cancellation.reason !== undefined) {
    return;
  }
  await new Promise<void>((resolve) => {
    const settle = () => {
      patience.end();
      request.off('data', count);
      request.off('end', settle);
      request.off('close', settle);
      cancellation.unlisten(settle);
      resolve();
    };
    const count = (chunk: Buffer) => {
      left -= chunk.length;
      if (left <= UNSENT_BYTES) {
        settle();
      }
    };
    const patience = new Patience(bodyTimeoutSeconds * 1000, settle);
    request.on('data', count);
    request.once('end', settle);
    request.once('close', settle);
    cancellation.listen(settle);
  });
}

/** The body as it comes, for which `hold` makes room. */
async function gathered({ request, answer }: Exchange, limits: LimitsConfig, hold: (bytes: number) => void): Promise<Buffer> {
  const { maxBodyBytes, bodyTimeoutSeconds, writeStallSeconds } = limits;
  const chunks: Buffer[] = [];
  let length = 0;
  return new Promise<Buffer>((resolve, reject) => {
    const fail = (error: Error) => {
      stalled.end();
      late.end();
      // the rest is read and dropped, so that the caller gets to read its answer.
      request.off('data', gather);
      chunks.length = 0;
      reject(error);
    };
    const leave = () => fail(new CallerGone('the caller closed its connection'));
    const giveUp = (message: string) => {
      answer.leaveUnread();
      fail(new ApiError(408, 'invalid_request_error', BODY_TIMEOUT, message));
    };
    const stalled = new Patience(writeStallSeconds * 1000, () => giveUp(`nothing more of the body came for ${writeStallSeconds} s`));
    const late = new Patience(bodyTimeoutSeconds * 1000, () => giveUp(`the body took longer than ${bodyTimeoutSeconds} s to come`));
    const gather = (chunk: Buffer) => {
      stalled.renew();
      length += chunk.length;
      if (length > maxBodyBytes) {
        return fail(tooLong(limits));
      }
      try {
        hold(length);
        chunks.push(chunk);
      } catch (e) {
        fail(e as Error);
      }
    };
    request.on('data', gather);
    request.once('end', () => {
      stalled.end();
      late.end();
      request.off('close', leave);
      resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks));
      // the request is there until it is answered, and what listens to it.
      chunks.length = 0;
    });
    request.once('close', leave);
    request.once('error', leave);
  });
}

/**
 * Cuts off a caller who was answered early, such as with a refusal, and takes longer than that to send the rest of its request: its connection, or, over HTTP/2,
 * its stream. What comes meanwhile is dropped, so that the caller gets to read its answer.
 */
export function endUnread({ request, answer }: Exchange, { bodyTimeoutSeconds }: LimitsConfig): void {
  const isHttp1 = request instanceof IncomingMessage;
  const carrier = isHttp1 ? request.socket : request.stream;
  if (request.complete || carrier.destroyed || (!isHttp1 && answer.isBodyHeldBack)) {
    return;
  }
  const cut = () => void (isHttp1 ? request.socket.destroy() : request.stream.close(constants.NGHTTP2_NO_ERROR));
  const timer = setTimeout(cut, bodyTimeoutSeconds * 1000);
  const settle = () => {
    clearTimeout(timer);
    // the connection may have many more requests.
    request.off('end', settle);
    carrier.off('close', settle);
  };
  request.once('end', settle);
  carrier.once('close', settle);
  request.resume();
}

function tooLong({ maxBodyBytes }: LimitsConfig): ApiError {
  return new ApiError(413, 'invalid_request_error', 'body_too_long', `the body is longer than ${maxBodyBytes} bytes`);
}
