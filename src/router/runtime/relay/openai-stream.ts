import { EngineStream } from './engine-stream';
import { Exchange } from '../exchange';
import { shownAnswer } from './shown-answer';
import { ApiError, EngineError, engineFailed } from '../wire/api-error';
import { CallerStream } from '../wire/caller-wire';
import { ChunkForm } from '../wire/chunk-form';
import { chunkOf } from '../wire/completion';
import { refusalTold } from '../wire/engine-refusal';
import { isNothing, isObject } from '../wire/fields';
import { KV_PARAMS, tellsOfKvParams } from '../wire/kv-members';
import { errorEvent } from '../wire/openai-wire';
import { eventOf, SseEventTooLong, SseSplitter } from '../wire/sse';
import { isChunkOfText, isRefusal, moreThanText, readErrorEvent, readStreamEvent } from '../wire/stream-event';

/** Far above any event of a chat completion; an engine that sends more is not speaking the protocol. */
const MAX_EVENT_BYTES = 4 * 1024 * 1024;
/** The line by which an event's name says that it tells of an error, whatever its data. */
const ERROR_EVENT = /^event: ?error\r?$/m;
/** What events end with. */
const BLANK_LINE = '\n\n';
/** What an event takes besides its data if it has one line. */
const DATA_BYTES = 'data: '.length + BLANK_LINE.length;
const NOTHING = Buffer.alloc(0);

/** A stream of OpenAI's server-sent events, on its way to a caller of any API. It is whole only with a reason for its end and `[DONE]`. */
export class OpenAiEngineStream extends EngineStream {
  public readonly contentType = 'text/event-stream';
  /** What the caller is told; before the answer begins, nothing of it: an engine that then tells of an error has said nothing yet. */
  private readonly caller: CallerStream;
  private readonly splitter = new SseSplitter(MAX_EVENT_BYTES);
  private readonly form = new ChunkForm();
  /** Whether chunks are read for the caller, not only passed on, which is faster. */
  private readonly readsText: boolean;
  private readonly tellsUsage: boolean;
  private heldBytes = 0;
  private finished = false;
  /** Whether each choice that was seen has ended, of an answer with several; undefined for others, which are not looked at event by event. */
  private readonly hasEnded?: Map<unknown, boolean>;

  /**
   * @param exchange whose answer it is.
   * @param tellsUsage whether the caller is told the tokens, where the engine tells them by themselves.
   */
  constructor(exchange: Exchange, tellsUsage: boolean) {
    super(exchange);
    this.tellsUsage = tellsUsage;
    this.caller = exchange.wire.stream(exchange);
    this.readsText = this.caller.readsText;
    this.hasEnded = exchange.choices > 1 ? new Map() : undefined;
  }

  public get headers(): { readonly [name: string]: string } {
    return this.caller.headers;
  }

  public get ended(): boolean {
    return this.done || this.failed;
  }

  /** The bytes to pass on: nothing until the answer begins, then everything up to and with `[DONE]`. */
  public read(chunk: Buffer): Buffer {
    let rest = chunk;
    // until the answer has begun and shown what its events are like, and to the end of an event that was cut, event by event.
    while (rest.length > 0 && !(this.begun && this.form.isSettled && this.splitter.isBetweenEvents)) {
      const at = rest.indexOf(BLANK_LINE);
      const end = at === -1 ? rest.length : at + BLANK_LINE.length;
      this.readEvents(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
    if (this.hasEnded === undefined) {
      rest = rest.subarray(this.readTexts(rest));
    }
    if (rest.length > 0) {
      this.readEvents(rest);
    }
    if (!this.begun) {
      if (this.heldBytes > MAX_EVENT_BYTES) {
        throw engineFailed(`the engine sends more than ${MAX_EVENT_BYTES} bytes before its first token`);
      }
      return NOTHING;
    }
    return this.caller.take();
  }

  /** Reads, as one, the events at the front of a chunk that say nothing but text, as nearly all do. Returns their length. */
  private readTexts(chunk: Buffer): number {
    if (this.ended || chunk.length === 0) {
      return 0;
    }
    const length = this.readAlike(chunk);
    return length === chunk.length ? length : length + this.readOtherTexts(chunk.subarray(length));
  }

  /** Reads those that look like one before. Returns their length. */
  private readAlike(chunk: Buffer): number {
    if (this.ended) {
      return 0;
    }
    const { events, length, text } = this.form.read(chunk, this.readsText);
    if (events > 0) {
      this.count(events);
      this.caller.texts(chunk.subarray(0, length), text);
    }
    return length;
  }

  /** Reads those that do not, event by event. Returns their length. */
  private readOtherTexts(chunk: Buffer): number {
    const text = chunk.toString('latin1');
    const told = moreThanText(text, 0);
    let events = 0;
    let length = 0;
    let lastStart = 0;
    for (let at = text.indexOf('\n'); at !== -1 && at < told && this.isSoundText(chunk, text, length, at); at = text.indexOf('\n', length)) {
      lastStart = length;
      length = at + BLANK_LINE.length;
      events++;
    }
    if (events > 0) {
      this.count(events);
      this.exchange.trace?.read(text.slice(0, length));
      this.caller.texts(chunk.subarray(0, length));
      if (this.readsText) {
        this.form.learn(chunk.subarray(lastStart, length));
      }
    }
    return length;
  }

  /** Whether an event says nothing but text, and is JSON where nobody reads it once more. */
  private isSoundText(chunk: Buffer, events: string, start: number, end: number): boolean {
    return isChunkOfText(events, start, end) && (this.readsText || this.form.parse(chunk.subarray(start, end + BLANK_LINE.length)));
  }

  private readEvents(chunk: Buffer): void {
    for (const { bytes, data } of split(this.splitter, chunk)) {
      if (this.done) {
        break;
      }
      if (data === undefined) {
        this.caller.event(bytes, undefined);
      } else if (this.readAlike(bytes) === 0) {
        this.readData(data, bytes);
      }
      this.heldBytes += bytes.length;
    }
  }

  /** Learns from an event, and passes on what of it the caller may see. */
  private readData(data: string, bytes: Buffer): void {
    // nearly all have no line besides that of their data.
    const isNamed = data.length + DATA_BYTES !== bytes.length && ERROR_EVENT.test(bytes.toString('latin1'));
    const meaning = isNamed ? readErrorEvent(data) : readStreamEvent(data);
    this.exchange.trace?.read(data);
    this.finished ||= meaning.end !== undefined;
    if (this.hasEnded !== undefined && meaning.kind === 'chunk') {
      this.noteEnds(data, this.hasEnded);
      this.finished = !this.lacksChoices && [...this.hasEnded.values()].every(Boolean);
    }
    if (!this.failed && (meaning.end === 'given_up' || (meaning.kind === 'done' && !this.finished))) {
      throw new EngineError(502, 'stream_truncated', meaning.kind === 'done' && !this.lacksChoices
        ? 'the engine ended its answer without a reason' : 'the engine ended its answer before it was whole');
    }
    if (meaning.error !== undefined) {
      return this.readError(meaning.error, meaning.isOpenAiError!, data, bytes);
    }
    if (!this.begun && meaning.kind === 'done') {
      this.count(0);
    }
    if (meaning.kind === 'chunk' && (this.begun || meaning.isPart || meaning.end !== undefined)) {
      // engines tell tokens that are no text yet, but say why they end in an event of its own.
      this.count(meaning.isPart || meaning.end === undefined ? 1 : 0);
    }
    this.tokens = meaning.completionTokens ?? this.tokens;
    this.exchange.promptTokens = meaning.promptTokens ?? this.exchange.promptTokens;
    if (this.exchange.handoff !== 'handed_off') {
      this.exchange.cachedTokens = meaning.cachedTokens ?? this.exchange.cachedTokens;
    }
    if (meaning.kind === 'done') {
      this.caller.done(bytes);
      this.done = true;
      return;
    }
    if (meaning.kind === 'usage' && !this.tellsUsage) {
      return;
    }
    const mayShowHandoff = meaning.promptTokens !== undefined || data.includes(KV_PARAMS);
    const shown = mayShowHandoff ? shownAnswer(Buffer.from(data), this.exchange).toString('utf8') : data;
    this.caller.event(shown === data ? bytes : eventOf(shown), shown);
    if (this.begun) {
      this.form.learn(Buffer.from(`data: ${shown}\n\n`));
    }
  }

  /** Whether there is a choice, of an answer with several, of which nothing was seen. */
  private get lacksChoices(): boolean {
    return this.hasEnded !== undefined && this.hasEnded.size < this.exchange.choices;
  }

  private noteEnds(data: string, hasEnded: Map<unknown, boolean>): void {
    const { choices } = chunkOf(data);
    for (const choice of Array.isArray(choices) ? choices.filter(isObject) : []) {
      hasEnded.set(choice.index, hasEnded.get(choice.index) === true || !isNothing(choice.finish_reason));
    }
  }

  /** Learns of an error that the engine tells instead of an answer, or of its rest. */
  private readError(told: ApiError, isOpenAiError: boolean, data: string, bytes: Buffer): void {
    // it may quote the request, which had the address of a prefill engine in it.
    const isSecret = tellsOfKvParams(Buffer.from(data));
    if (!this.begun) {
      throw !isRefusal(told) ? engineFailed('the engine told of an error before its first token') : isSecret ? refusalTold(told.status, {}) : told;
    }
    this.failed = true;
    this.caller.engineError(isOpenAiError && !isSecret ? bytes : errorEvent(isSecret ? engineFailed('the engine failed') : told));
  }
}

function split(splitter: SseSplitter, chunk: Buffer) {
  try {
    return splitter.push(chunk);
  } catch (e) {
    throw e instanceof SseEventTooLong ? engineFailed(e.message) : e;
  }
}
