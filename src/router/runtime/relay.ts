import { Dispatcher } from 'undici';
import { LimitsConfig } from './config';
import { Exchange } from './exchange';
import { tellsOfKvParams, withoutKvParams } from './handoff/kv-params';
import { Silence } from './silence';
import { EngineError, ROUTERS_FAULT } from './wire/api-error';
import { CallerStream } from './wire/caller-wire';
import { isPartOfAnswer, moreThanText, readStreamEvent } from './wire/openai';
import { errorEvent } from './wire/openai-wire';
import { SseEventTooLong, SseSplitter } from './wire/sse';
import { chunks, passOn, readWhole, tokensIn } from './wire/whole-answer';

/** Far above any event of a chat completion; an engine that sends more is not speaking the protocol. */
const MAX_EVENT_BYTES = 4 * 1024 * 1024;
/** What events end with. */
const BLANK_LINE = Buffer.from('\n\n');
/** Far above any answer that is not a stream. */
export const MAX_ANSWER_BYTES = 32 * 1024 * 1024;

/** Passes on an answer that is not a stream, status and all, once it is whole. */
export async function relayWhole(exchange: Exchange, response: Dispatcher.ResponseData): Promise<void> {
  const { statusCode, body } = response;
  if (statusCode < 200 || (statusCode >= 300 && statusCode < 400) || ROUTERS_FAULT.has(statusCode)) {
    await body.dump().catch(() => undefined);
    throw new EngineError(502, 'engine_refused', `the engine refuses the router with status ${statusCode}`);
  }
  const answer = await readWhole(response, MAX_ANSWER_BYTES);
  exchange.trace?.read(answer.body.toString('latin1'));
  exchange.promptTokens = tokensIn(answer.body, 'prompt_tokens') ?? exchange.promptTokens;
  exchange.completionTokens = tokensIn(answer.body, 'completion_tokens');
  await passOn(exchange, answer);
}

/**
 * Passes on a stream of server-sent events, event by event, as the caller is spoken to.
 *
 * The status goes out with the first token, so that an engine that fails before it is told as an HTTP error, and a load
 * balancer's response time is the time to first token. A stream is whole only with its `[DONE]`.
 */
export async function relayStream(exchange: Exchange, response: Dispatcher.ResponseData, limits: LimitsConfig): Promise<void> {
  const type = String(response.headers['content-type'] ?? '');
  if (!type.startsWith('text/event-stream')) {
    await response.body.dump().catch(() => undefined);
    throw new EngineError(502, 'engine_failed', 'the engine answers a stream with something else');
  }
  const stream = new StreamState(exchange);
  const silence = new Silence(exchange, limits);
  try {
    silence.begin(false);
    for await (const chunk of chunks(response.body)) {
      silence.end();
      if (stream.done) {
        continue;
      }
      const bytes = stream.read(chunk);
      if (bytes.length > 0) {
        if (!exchange.answer.started) {
          exchange.answer.start(200, stream.caller.headers);
        }
        await exchange.answer.write(bytes);
      }
      if (stream.done) {
        await exchange.answer.end();
        silence.afterDone(response);
      } else {
        silence.begin(stream.begun);
      }
    }
  } catch (e) {
    // what happens to the engine's connection after the last event does not matter to anybody.
    if (!stream.ended || !(e instanceof EngineError)) {
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
    // some engines say nothing more once they have told of an error.
    await exchange.answer.end();
  }
  stream.conclude();
}

/** What has been seen of a stream. */
class StreamState {
  /** Whether `[DONE]` was seen. */
  public done = false;
  /** Whether any part of the answer was seen. */
  public begun = false;
  /** What the caller is told; before the answer begins, nothing of it: an engine that then tells of an error has said nothing yet. */
  public readonly caller: CallerStream;
  private readonly exchange: Exchange;
  private readonly splitter = new SseSplitter(MAX_EVENT_BYTES);
  private failed = false;
  private dataEvents = 0;
  private heldBytes = 0;
  private tokens?: number;
  private lastSeconds = 0;

  constructor(exchange: Exchange) {
    this.exchange = exchange;
    this.caller = exchange.wire.stream(exchange);
  }

  /** Whether the answer is whole, or its failure was told. */
  public get ended(): boolean {
    return this.done || this.failed;
  }

  /** Tokens of the answer so far; events stand for them until they are told. */
  public get answerTokens(): number {
    return this.tokens ?? this.dataEvents;
  }

  /** The bytes to pass on: nothing until the answer begins, then everything up to and with `[DONE]`. */
  public read(chunk: Uint8Array): Buffer {
    const passed = this.pass(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
    for (const { bytes, data } of split(this.splitter, chunk.subarray(passed))) {
      if (this.done) {
        break;
      }
      if (data === undefined) {
        this.caller.event(bytes, undefined);
      } else {
        this.readData(data, bytes);
      }
      this.heldBytes += bytes.length;
    }
    if (!this.begun) {
      if (this.heldBytes > MAX_EVENT_BYTES) {
        throw new EngineError(502, 'engine_failed', `the engine sends more than ${MAX_EVENT_BYTES} bytes before its first token`);
      }
      return Buffer.alloc(0);
    }
    return this.caller.take();
  }

  /** Tells the exchange how it went. */
  public conclude(): void {
    this.exchange.code = this.failed ? 'stream_error' : '200';
    if (this.failed) {
      this.exchange.failure = 'the engine told of an error in its stream';
    }
    const tokens = this.answerTokens;
    if (!this.failed && tokens > 1) {
      this.exchange.tpotSeconds = (this.lastSeconds - this.exchange.ttftSeconds!) / (tokens - 1);
    }
  }

  /** Passes on, as one, the events at the front of a chunk that say nothing but text, where the caller is told as it comes. Returns their length. */
  private pass(chunk: Buffer): number {
    if (!this.begun || this.ended || !this.caller.tellsAsItComes || !this.splitter.isBetweenEvents) {
      return 0;
    }
    const told = moreThanText(chunk);
    let length = 0;
    for (let at = chunk.indexOf(BLANK_LINE); at !== -1 && at < told; at = chunk.indexOf(BLANK_LINE, length)) {
      length = at + BLANK_LINE.length;
      this.dataEvents++;
    }
    if (length > 0) {
      this.lastSeconds = this.exchange.elapsedSeconds();
      this.caller.event(chunk.subarray(0, length), undefined);
    }
    return length;
  }

  /** Learns from an event, and passes on what of it the caller may see. */
  private readData(data: string, bytes: Buffer): void {
    const meaning = readStreamEvent(data);
    this.exchange.trace?.read(data);
    if (!this.begun) {
      if (meaning.kind === 'error') {
        throw meaning.error ?? new EngineError(502, 'engine_failed', 'the engine told of an error before its first token');
      }
      if (meaning.kind === 'done' || isPartOfAnswer(data)) {
        this.begun = true;
        this.exchange.begun();
      }
    }
    this.tokens = meaning.completionTokens ?? this.tokens;
    this.exchange.promptTokens = meaning.promptTokens ?? this.exchange.promptTokens;
    if (meaning.kind === 'error') {
      this.failed = true;
      this.caller.engineError(tellsOfKvParams(Buffer.from(data)) ? errorEvent(new EngineError(502, 'engine_failed', 'the engine failed')) : bytes);
      return;
    }
    if (meaning.kind === 'done') {
      this.caller.done(bytes);
      this.done = true;
      return;
    }
    if (this.begun) {
      this.dataEvents++;
      this.lastSeconds = this.exchange.elapsedSeconds();
    }
    const shown = data.includes('kv_transfer_params') ? withoutKvParams(Buffer.from(data)).toString('utf8') : data;
    this.caller.event(shown === data ? bytes : Buffer.from(`data: ${shown.replace(/\n/g, '\ndata: ')}\n\n`), shown);
  }
}

function split(splitter: SseSplitter, chunk: Uint8Array) {
  try {
    return splitter.push(chunk);
  } catch (e) {
    throw e instanceof SseEventTooLong ? new EngineError(502, 'engine_failed', e.message) : e;
  }
}
