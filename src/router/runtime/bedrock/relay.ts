import { Dispatcher } from 'undici';
import { Frame, FrameSplitter } from './frames';
import { LimitsConfig } from '../config';
import { Exchange } from '../exchange';
import { MAX_ANSWER_BYTES } from '../relay';
import { Silence } from '../silence';
import { ApiError, EngineError, ROUTERS_FAULT } from '../wire/api-error';
import { chunks, readWhole, tokensIn } from '../wire/whole-answer';

const EVENT_STREAM = 'application/vnd.amazon.eventstream';
/** Headers of Bedrock that are part of its answer. */
const RETURNED = /^(?:content-type|retry-after|x-amzn-errortype|x-amzn-bedrock-.+)$/;
/** What the last chunk of InvokeModelWithResponseStream says, whatever the model: Bedrock's own metrics, or a model's reason to stop. */
const LAST_CHUNK = /"(?:amazon-bedrock-invocationMetrics|stop_reason|finish_reason|stopReason|completionReason)"\s*:\s*["{]/;

/** Passes an answer of Bedrock that is not a stream on to a caller of Bedrock's API, byte for byte, once it is whole. */
export async function relayBedrocksAnswer(exchange: Exchange, response: Dispatcher.ResponseData): Promise<void> {
  const { status, body, headers: { 'retry-after': retryAfter } } = await readWhole(response, MAX_ANSWER_BYTES);
  const headers = returned(response);
  const name = String(headers['x-amzn-errortype'] ?? '').split(':', 1)[0];
  if (status < 200 || (status >= 300 && status < 400) || ROUTERS_FAULT.has(status)) {
    throw new EngineError(502, 'engine_refused', `Bedrock refuses the router with status ${status}${name === '' ? '' : `, ${name}`}`);
  }
  if (name === 'ServiceQuotaExceededException') {
    // the quota is that of the router's account: the caller's request is none the worse for it.
    throw new ApiError(429, 'rate_limit_error', 'engines_full', 'Bedrock\'s quota is used up', { 'retry-after': retryAfter ?? '1' });
  }
  // InvokeModel tells it in a header, Converse in the body.
  exchange.completionTokens = Number(headers['x-amzn-bedrock-output-token-count'] ?? NaN) || tokensIn(body, 'outputTokens');
  await exchange.finish({ status, body, headers: retryAfter === undefined ? headers : { ...headers, 'retry-after': retryAfter } });
}

/**
 * Passes a stream of Bedrock on to a caller of Bedrock's API, byte for byte. SDKs take a stream that is cut between two events for a whole one, so events are
 * watched for their end.
 */
export async function relayBedrocksStream(exchange: Exchange, response: Dispatcher.ResponseData, limits: LimitsConfig): Promise<void> {
  const headers = returned(response);
  if (headers['content-type']?.startsWith(EVENT_STREAM) !== true) {
    await response.body.dump().catch(() => undefined);
    throw new EngineError(502, 'engine_failed', 'Bedrock answers a stream with something else');
  }
  const state = new StreamState(exchange);
  const splitter = new FrameSplitter();
  const silence = new Silence(exchange, limits);
  try {
    silence.begin(false);
    for await (const chunk of chunks(response.body)) {
      silence.end();
      const frames = splitter.push(chunk);
      frames.forEach((frame) => state.read(frame));
      if (frames.length > 0) {
        if (!exchange.answer.started) {
          exchange.answer.start(200, headers);
        }
        await exchange.answer.write(Buffer.concat(frames.map(({ bytes }) => bytes)));
      }
      silence.begin(state.begun);
    }
  } catch (e) {
    if (!state.ended || !(e instanceof EngineError)) {
      throw e;
    }
  } finally {
    silence.end();
    exchange.completionTokens = state.answerTokens;
  }
  if (!state.ended) {
    throw new EngineError(502, 'stream_truncated', 'Bedrock ended its answer before it was whole');
  }
  await exchange.answer.end();
  state.conclude();
}

/** What has been seen of a stream. */
class StreamState {
  /** Whether any part of the answer was seen. */
  public begun = false;
  private readonly exchange: Exchange;
  private whole = false;
  private failed = false;
  private parts = 0;
  private tokens?: number;
  private lastSeconds = 0;

  constructor(exchange: Exchange) {
    this.exchange = exchange;
  }

  /** Whether the answer is whole, or its failure was told: nothing that matters can follow. */
  public get ended(): boolean {
    return this.whole || this.failed;
  }

  /** Tokens of the answer so far; events stand for them until they are told. */
  public get answerTokens(): number {
    return this.tokens ?? this.parts;
  }

  public read({ messageType, eventType, payload }: Frame): void {
    this.failed = this.failed || messageType !== 'event';
    switch (eventType) {
      case 'contentBlockDelta':
        return this.part();
      case 'messageStop':
        this.whole = true;
        return;
      case 'metadata':
        this.tokens = (json(payload) as { usage?: { outputTokens?: number } }).usage?.outputTokens;
        return;
      case 'chunk':
        this.part();
        this.chunk(Buffer.from(String((json(payload) as { bytes?: unknown }).bytes), 'base64').toString('utf8'));
    }
  }

  /** Tells the exchange how it went. */
  public conclude(): void {
    const { exchange } = this;
    exchange.code = this.failed ? 'stream_error' : '200';
    if (this.failed) {
      exchange.failure = 'Bedrock told of an error in its stream';
    }
    const tokens = this.answerTokens;
    if (!this.failed && tokens > 1) {
      exchange.tpotSeconds = (this.lastSeconds - exchange.ttftSeconds!) / (tokens - 1);
    }
  }

  private part(): void {
    this.lastSeconds = this.exchange.elapsedSeconds();
    this.exchange.ttftSeconds ??= this.lastSeconds;
    this.begun = true;
    this.parts++;
  }

  private chunk(text: string): void {
    if (LAST_CHUNK.test(text)) {
      this.whole = true;
      const metrics = (json(Buffer.from(text)) as { 'amazon-bedrock-invocationMetrics'?: { outputTokenCount?: number } })['amazon-bedrock-invocationMetrics'];
      this.tokens = metrics?.outputTokenCount ?? this.tokens;
    }
  }
}

function returned(response: Dispatcher.ResponseData): { [name: string]: string } {
  const all = Object.entries(response.headers).filter((header): header is [string, string] => RETURNED.test(header[0]) && typeof header[1] === 'string');
  return Object.fromEntries(all);
}

/** A payload; an empty object if it is no JSON, which is the caller's to find out. */
function json(payload: Buffer): object {
  try {
    return Object(JSON.parse(payload.toString('utf8')));
  } catch {
    return {};
  }
}
