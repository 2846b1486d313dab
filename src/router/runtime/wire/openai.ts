import { withMembers } from './json-object';
import { namesKvParams } from '../handoff/kv-params';

/** Where engines answer chat completions. */
export const CHAT_PATH = '/v1/chat/completions';

/** A refusal or failure, as a caller of the OpenAI API is told of it. */
export class ApiError extends Error {
  /** HTTP status. */
  public readonly status: number;
  /** `error.type` of the OpenAI API, such as `invalid_request_error`. */
  public readonly type: string;
  /** `error.code`, such as `model_not_found`. */
  public readonly code: string;
  /** Headers that go with it. */
  public readonly headers: { readonly [name: string]: string };

  constructor(status: number, type: string, code: string, message: string, headers: { readonly [name: string]: string } = {}) {
    super(message);
    this.status = status;
    this.type = type;
    this.code = code;
    this.headers = headers;
  }

  /** The body of an answer that is nothing but this error. */
  public toJson(): string {
    return JSON.stringify({ error: { message: this.message, type: this.type, param: null, code: this.code } });
  }

  /** The event that ends a stream which has failed. */
  public toSseEvent(): string {
    return `data: ${this.toJson()}\n\n`;
  }
}

/** A failure that is the engine's, and counts against it. */
export class EngineError extends ApiError {
  constructor(status: 502 | 504, code: string, message: string) {
    super(status, 'server_error', code, message);
  }
}

/** The part of a chat completion request that decides where it goes. */
export interface ChatRequest {
  readonly model: string;
  readonly stream: boolean;
  /** The body as it came. */
  readonly bytes: Buffer;
  /** The body, parsed. */
  readonly body: { readonly [name: string]: unknown };
}

/**
 * Reads a chat completion request.
 *
 * Throws ApiError if it is not one, or not for a model that is served.
 */
export function parseChatRequest(bytes: Buffer, servedNames: readonly string[]): ChatRequest {
  let body: unknown;
  try {
    body = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw invalid('invalid_json', 'the body is not JSON');
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw invalid('invalid_json', 'the body is not a JSON object');
  }
  const { model, stream, messages } = body as { [name: string]: unknown };
  if (typeof model !== 'string') {
    throw invalid('invalid_model', 'model is not a string');
  }
  if (!servedNames.includes(model)) {
    throw new ApiError(404, 'invalid_request_error', 'model_not_found', `the model ${JSON.stringify(model.slice(0, 256))} is not served here`);
  }
  if (stream !== undefined && stream !== null && typeof stream !== 'boolean') {
    throw invalid('invalid_stream', 'stream is not a boolean');
  }
  if (!Array.isArray(messages)) {
    throw invalid('invalid_messages', 'messages is not a list');
  }
  if (namesKvParams(body as ChatRequest['body'])) {
    throw invalid('kv_transfer_params_refused', 'kv_transfer_params are not for callers to give');
  }
  return { model, stream: stream === true, bytes, body: body as ChatRequest['body'] };
}

/** The body for an engine that may know the model by another name: the caller's bytes wherever nothing changes. */
export function bodyForEngine(request: ChatRequest, modelName: string | undefined): Buffer {
  if (modelName === undefined || modelName === request.model) {
    return request.bytes;
  }
  return withMembers(request.bytes, { model: JSON.stringify(modelName) });
}

/** The answer of `GET /v1/models`. */
export function modelList(servedNames: readonly string[]): string {
  // `created` is required by clients and has no meaning here.
  return JSON.stringify({ object: 'list', data: servedNames.map((id) => ({ id, object: 'model', created: 0, owned_by: 'router' })) });
}

/** What one event of a streamed answer says. */
export interface StreamEventMeaning {
  readonly kind: 'chunk' | 'done' | 'error';
  /** `usage.completion_tokens`, where the event tells it. */
  readonly completionTokens?: number;
}

/** Reads the `data` of an event; parses JSON only where it may matter. */
export function readStreamEvent(data: string): StreamEventMeaning {
  if (data === '[DONE]') {
    return { kind: 'done' };
  }
  // a quote within generated text is escaped, so text never looks like either key.
  if (!data.includes('"error"') && !data.includes('"usage"')) {
    return { kind: 'chunk' };
  }
  try {
    const { error, usage } = JSON.parse(data) as { error?: unknown; usage?: { completion_tokens?: unknown } | null };
    const tokens = usage?.completion_tokens;
    return {
      kind: error !== undefined && error !== null ? 'error' : 'chunk',
      ...(typeof tokens === 'number' ? { completionTokens: tokens } : {}),
    };
  } catch {
    return { kind: 'chunk' };
  }
}

/** Whether the `data` of an event holds a part of the answer: engines begin with a role, which they tell even if they then cannot answer. */
export function isPartOfAnswer(data: string): boolean {
  const isNothing = (value: unknown) => value === null || value === '' || (Array.isArray(value) && value.length === 0);
  try {
    const { choices } = JSON.parse(data) as { choices: { delta: object; finish_reason?: unknown }[] };
    return choices.some(({ delta, finish_reason: reason = null }) =>
      reason !== null || Object.entries(delta).some(([name, value]) => name !== 'role' && !isNothing(value)));
  } catch {
    return true;
  }
}

function invalid(code: string, message: string): ApiError {
  return new ApiError(400, 'invalid_request_error', code, message);
}
