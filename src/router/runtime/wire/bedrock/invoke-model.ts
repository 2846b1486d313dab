import { IncomingHttpHeaders } from 'node:http';
import { engineFailed, invalid } from '../api-error';
import { AnsweredRequest, CallerStream } from '../caller-wire';
import { topPOf } from '../chat-parts';
import { EngineRequest } from '../engine-request';
import { WholeAnswer } from '../whole-answer';
import { BedrockWire } from './bedrock-wire';
import { chunkOf, completionOf } from '../completion';
import { EventFrame } from './event-stream';
import { FieldProblems, Fields, isObject, jsonObject } from '../fields';
import { checkGuardrail } from '../guardrail';
import { withMembers } from '../json-object';
import { Members, number, object, oneOf, TEXT, UNSUPPORTED, whole } from '../kinds';
import { CHAT_COMPLETION } from '../openai-fields';
import { asEnginesTakeIt, checkRequest } from '../openai-request';
import { dataOfEach } from '../sse';
import { Usage, usageOf } from '../usage';

const CHUNK = EventFrame.event('chunk');
const MODEL_STREAM_ERROR = EventFrame.exception('modelStreamErrorException');

/** Headers that are parameters of Bedrock's, with the values that ask for nothing else than there is; a trace is of a guardrail. */
const ONLY: Members = {
  'x-amzn-bedrock-performanceconfig-latency': oneOf('standard'),
  'x-amzn-bedrock-trace': oneOf('ENABLED', 'DISABLED', 'ENABLED_FULL'),
};
/** Where a caller says the tier that it asks for, and is told the one that it was served in. */
export const SERVICE_TIER_HEADER = 'x-amzn-bedrock-service-tier';

const BEGINNING = '<|begin_of_text|>';
/** A request of Llama's. */
const LLAMA = object({ prompt: TEXT, max_gen_len: whole(1), temperature: number(0, 1), top_p: number(0, 1), images: UNSUPPORTED }, ['prompt']);

/** A request of InvokeModel, and how its caller expects the answer. */
export interface Invocation {
  readonly request: EngineRequest;
  readonly wire: InvokeModelWire;
}

/**
 * Reads the body of InvokeModel or InvokeModelWithResponseStream, whose form depends on the model's family: a chat completion, as for OpenAI's open models,
 * or `{"prompt", "max_gen_len", "temperature", "top_p"}`, as for Llama.
 *
 * Throws ApiError with everything that is wrong with it.
 *
 * @param bytes the body.
 * @param headers the headers, some of which are parameters.
 * @param model the model that the path names.
 * @param stream whether the answer is to be a stream.
 * @param images whether the model reads images.
 */
export function parseInvocation(bytes: Buffer, headers: IncomingHttpHeaders, model: string, stream: boolean, images: boolean): Invocation {
  const problems = new FieldProblems();
  checkGuardrail(headers, problems);
  Object.keys(ONLY).forEach((name) => problems.optional(headers[name], name, ONLY[name]));
  problems.throwIfAny();
  const body = jsonObject(bytes);
  if (Array.isArray(body.messages)) {
    const request = chatRequest(bytes, body, model, stream, images);
    const { stream_options: options } = body;
    return { request, wire: new InvokeModelWire(false, isObject(options) && options.include_usage === true) };
  }
  if (body.prompt !== undefined) {
    return { request: promptRequest(body, model, stream), wire: new InvokeModelWire(true) };
  }
  throw invalid('invalid_request', 'the body is neither a chat completion with messages nor a Llama request with prompt');
}

/** What is not the caller's to say is put into its own text: numbers that JavaScript would round, or has none for, stay as they are. */
function chatRequest(given: Buffer, parsed: Fields, model: string, stream: boolean, images: boolean): EngineRequest {
  const problems = new FieldProblems();
  problems.optional(parsed.model, 'model', oneOf(model));
  checkRequest(CHAT_COMPLETION, { ...parsed, stream: parsed.stream ?? stream }, images, problems);
  const { bytes: text, body: { model: named, stream: asked, stream_options: ignored, ...fields } } = asEnginesTakeIt(given, parsed);
  const options = stream ? { include_usage: true } : undefined;
  const bytes = withMembers(text, { model: JSON.stringify(model), stream: String(stream), stream_options: options && JSON.stringify(options) });
  return { path: '/v1/chat/completions', model, stream, bytes, body: { model, stream, ...fields, ...(options && { stream_options: options }) } };
}

function promptRequest(given: Fields, model: string, stream: boolean): EngineRequest {
  const problems = new FieldProblems();
  const { prompt, max_gen_len: maxTokens, temperature, top_p: topP } = problems.required(given, '', LLAMA) ?? {};
  problems.throwIfAny();
  const body = {
    model,
    prompt: prompt && withoutBeginning(prompt),
    stream,
    ...(stream && { stream_options: { include_usage: true } }),
    max_tokens: maxTokens ?? 512,
    temperature: temperature ?? 0.5,
    top_p: topPOf(topP ?? 0.9),
  };
  return { path: '/v1/completions', model, stream, bytes: Buffer.from(JSON.stringify(body)), body };
}

/** A prompt of Llama's is written with the token that begins it, which engines put before every prompt. */
function withoutBeginning(prompt: string): string {
  return prompt.startsWith(BEGINNING) && prompt !== BEGINNING ? prompt.slice(BEGINNING.length) : prompt;
}

/**
 * Callers of InvokeModel: the answer is in the form of the request.
 */
export class InvokeModelWire extends BedrockWire {
  protected override readonly timeoutInStream = 'modelTimeoutException';
  private readonly llama: boolean;
  private readonly tellsUsage: boolean;

  /**
   * @param llama whether the request was one of Llama's.
   * @param tellsUsage whether a stream is to have a chunk of its own for the usage; not by default.
   */
  constructor(llama: boolean, tellsUsage = false) {
    super();
    this.llama = llama;
    this.tellsUsage = tellsUsage;
  }

  public stream(request: AnsweredRequest): CallerStream {
    return new ChunkStream(this.llama, this.tellsUsage, request);
  }

  protected translate(answer: WholeAnswer, request: AnsweredRequest): WholeAnswer {
    const completion = completionOf(answer, request);
    const usage = usageOf(completion.usage);
    const { input, cacheRead, output } = countsOf(usage);
    const { text, finish_reason: reason } = completion.choices[0];
    if (this.llama && typeof text !== 'string') {
      throw engineFailed('the engine answers with something that is no completion of text');
    }
    return {
      status: 200,
      headers: {
        'content-type': 'application/json',
        'x-amzn-bedrock-invocation-latency': String(Math.round(request.elapsedSeconds() * 1000)),
        ...(input !== undefined && { 'x-amzn-bedrock-input-token-count': String(input) }),
        ...(cacheRead !== undefined && { 'x-amzn-bedrock-cache-read-input-token-count': String(cacheRead) }),
        ...(output !== undefined && { 'x-amzn-bedrock-output-token-count': String(output) }),
        ...tierHeader(request),
      },
      body: this.llama
        ? Buffer.from(JSON.stringify({
          generation: text, prompt_token_count: usage.promptTokens, generation_token_count: output, stop_reason: reason,
        }))
        : answer.body,
    };
  }
}

/** Tokens as Bedrock counts them, as far as an engine tells: those that were read from the cache are not part of the input. */
function countsOf({ promptTokens, cachedTokens = 0, completionTokens }: Usage): { input?: number; cacheRead?: number; output?: number } {
  const cached = Math.min(promptTokens ?? 0, cachedTokens);
  return {
    input: promptTokens === undefined ? undefined : promptTokens - cached,
    cacheRead: cached > 0 ? cached : undefined,
    output: completionTokens,
  };
}

/** The tier that an answer was given in, which is told where it is not the usual one. */
function tierHeader({ serviceTier }: AnsweredRequest): { readonly [name: string]: string } {
  return serviceTier === 'default' ? {} : { [SERVICE_TIER_HEADER]: serviceTier };
}

/** An answer as chunks whose bytes are in the form of the request. Bedrock tells in the last of them what the answer took. */
class ChunkStream implements CallerStream {
  public readonly headers: { readonly [name: string]: string };
  public readonly readsText = false;
  private readonly llama: boolean;
  private readonly tellsUsage: boolean;
  private readonly request: AnsweredRequest;
  private frames: Buffer[] = [];
  /** The latest chunk, from the end of the text on. */
  private last?: string;
  private failed = false;
  private tokens = 0;
  private usage: Usage = {};

  constructor(llama: boolean, tellsUsage: boolean, request: AnsweredRequest) {
    this.llama = llama;
    this.tellsUsage = tellsUsage;
    this.request = request;
    this.headers = { 'content-type': 'application/vnd.amazon.eventstream', 'x-amzn-bedrock-content-type': 'application/json', ...tierHeader(request) };
  }

  public event(_: Buffer, data: string | undefined): void {
    if (data === undefined || this.failed) {
      return;
    }
    const chunk = chunkOf(data);
    this.usage = isObject(chunk.usage) ? usageOf(chunk.usage) : this.usage;
    const choice = Array.isArray(chunk.choices) ? chunk.choices[0] : undefined;
    const reason = (isObject(choice) && choice.finish_reason) || null;
    if (!this.llama) {
      if (choice !== undefined || !isObject(chunk.usage) || this.tellsUsage) {
        this.chunk(data, reason !== null);
      }
    } else if (isObject(choice) && typeof choice.text === 'string') {
      this.tokens += choice.text === '' && reason !== null ? 0 : 1;
      // Bedrock tells the prompt's once, in the first; engines count it in a chunk of their own after the last.
      const told = { generation: choice.text, prompt_token_count: null, generation_token_count: this.tokens, stop_reason: reason };
      this.chunk(JSON.stringify(told), reason !== null);
    }
  }

  public texts(bytes: Buffer): void {
    dataOfEach(bytes.toString('utf8')).forEach((data) => this.event(bytes, data));
  }

  public engineError(): void {
    this.failed = true;
    this.tellLast();
    this.frames.push(MODEL_STREAM_ERROR.encode('{"message":"the engine failed"}'));
  }

  public done(): void {
    if (this.failed) {
      return;
    }
    const { promptTokens } = this.usage;
    const { input, cacheRead, output } = countsOf(this.usage);
    const metrics = {
      inputTokenCount: input,
      outputTokenCount: output,
      invocationLatency: Math.round(this.request.elapsedSeconds() * 1000),
      firstByteLatency: Math.round((this.request.ttftSeconds ?? 0) * 1000),
      cacheReadInputTokenCount: cacheRead,
    };
    this.tell(withMembers(Buffer.from(this.last ?? '{}'), {
      ...(this.llama && promptTokens !== undefined && { prompt_token_count: String(promptTokens) }),
      ...(this.llama && output !== undefined && { generation_token_count: String(output) }),
      'amazon-bedrock-invocationMetrics': JSON.stringify(metrics),
    }).toString('utf8'));
  }

  public take(): Buffer {
    const { frames } = this;
    this.frames = [];
    return Buffer.concat(frames);
  }

  private chunk(json: string, isEnd: boolean): void {
    const mayBeLast = isEnd || this.last !== undefined;
    this.tellLast();
    if (mayBeLast) {
      this.last = json;
    } else {
      this.tell(json);
    }
  }

  private tellLast(): void {
    if (this.last !== undefined) {
      this.tell(this.last);
      this.last = undefined;
    }
  }

  private tell(json: string): void {
    this.frames.push(CHUNK.encode(`{"bytes":"${Buffer.from(json).toString('base64')}"}`));
  }
}
