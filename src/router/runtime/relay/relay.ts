import { EngineStream } from './engine-stream';
import { shownAnswer } from './shown-answer';
import { Silence } from './silence';
import { Exchange } from '../exchange';
import { EngineResponse } from '../targets/engine-response';
import { readWhole } from '../targets/read-whole';
import { ApiError, EngineError, engineFailed, isRoutersTrouble } from '../wire/api-error';
import { tellsOfKvParams } from '../wire/kv-members';
import { OPENAI_WIRE } from '../wire/openai-wire';
import { usageIn } from '../wire/usage';
import { WholeAnswer } from '../wire/whole-answer';

/** Far above any answer that is not a stream. */
export const MAX_ANSWER_BYTES = 32 * 1024 * 1024;
/** What has to have room among the bodies in memory, as its caller may take its time to read it. */
const LONG_ANSWER_BYTES = 64 * 1024;

/** Passes on an answer that is not a stream, status and all, once it is whole. */
export async function relayWhole(exchange: Exchange, response: EngineResponse): Promise<void> {
  const { status } = response;
  if (isRoutersTrouble(status)) {
    await response.discard();
    throw new EngineError(502, 'engine_refused', `the engine refuses the router with status ${status}`);
  }
  const answer = await readWhole(response, MAX_ANSWER_BYTES);
  exchange.trace?.read(answer.body.toString('latin1'));
  const { promptTokens, cachedTokens, completionTokens } = usageIn(answer.body);
  exchange.promptTokens = promptTokens ?? exchange.promptTokens;
  if (exchange.handoff !== 'handed_off') {
    exchange.cachedTokens = cachedTokens;
  }
  exchange.completionTokens = completionTokens;
  await passOn(exchange, answer);
}

/** Passes a whole answer on as the caller is spoken to, without what is between the engines. */
export async function passOn(exchange: Exchange, answer: WholeAnswer): Promise<void> {
  const { status, headers } = answer;
  let body = shownAnswer(answer.body, exchange);
  // a refusal may quote the request, which had the address of a prefill engine in it.
  if (status >= 400 && tellsOfKvParams(body)) {
    ({ body } = OPENAI_WIRE.error(
      new ApiError(status, status < 500 ? 'invalid_request_error' : 'server_error', 'engine_refused', 'the engine refused the request')));
  }
  exchange.isServerError = status >= 500;
  await sendWhole(exchange, exchange.wire.whole({ status, headers, body }, exchange));
}

/**
 * Sends a whole answer, which the caller may take long to read. Its engine is free for others meanwhile; for a long one that there is no room for in memory, it
 * is not, so that there are no more of those than engines may have requests.
 */
export async function sendWhole(exchange: Exchange, answer: WholeAnswer): Promise<void> {
  const bytes = answer.body.length;
  if (bytes <= LONG_ANSWER_BYTES || exchange.makeRoom === undefined || exchange.makeRoom(bytes)) {
    exchange.onAnswered?.();
  }
  await exchange.finish(answer);
}

/**
 * Passes on an answer that is streamed, as it comes.
 *
 * The status goes out with the first token, so that an engine that fails before it is told as an HTTP error, and a load
 * balancer's response time is the time to first token. SDKs take some streams that are cut for whole ones, so each is watched for its end.
 */
export async function relayStream(exchange: Exchange, response: EngineResponse, stream: EngineStream, silence: Silence): Promise<void> {
  const { answer } = exchange;
  if (response.headers['content-type']?.toLowerCase().startsWith(stream.contentType) !== true) {
    await response.discard();
    throw engineFailed('the engine answers a stream with something else');
  }
  try {
    for (let chunk = await response.next(); chunk !== undefined; chunk = await response.next()) {
      if (stream.done) {
        continue;
      }
      silence.pause();
      const bytes = stream.read(chunk);
      if (stream.begun) {
        silence.begin();
      }
      if (!answer.started && (bytes.length > 0 || stream.done)) {
        answer.start(200, stream.headers);
      }
      if (stream.done) {
        await answer.end(bytes);
        silence.afterDone(response);
        continue;
      }
      if (bytes.length > 0) {
        await answer.write(bytes);
      }
      silence.wait();
    }
  } catch (e) {
    // what happens to the engine's connection after the last event does not matter to anybody.
    if (!stream.ended || !(e instanceof EngineError)) {
      response.breakOff();
      throw e;
    }
  } finally {
    silence.end();
    exchange.completionTokens = stream.answerTokens;
  }
  if (!stream.ended) {
    throw new EngineError(502, 'stream_truncated', 'the engine ended its answer before it was whole');
  }
  if (!stream.done) {
    // some engines say nothing more once they have told of an error, and Bedrock's last event is known by the end alone.
    await answer.end();
  }
  stream.conclude();
}
