import { randomUUID } from 'node:crypto';
import { ServiceTier } from '../../../../routing';
import { ExactJson } from '../exact-json';
import { Fields, isObject } from '../fields';
import { usageOf } from '../usage';

type Status = 'in_progress' | 'completed' | 'incomplete' | 'failed';

/** What a response has come to. */
export interface ResponseState {
  readonly status: Status;
  readonly output: readonly Fields[];
  /** Why it is incomplete. */
  readonly incomplete_details?: Fields;
  readonly usage?: Fields;
  /** Why it failed. */
  readonly error?: Fields;
}

/** What a call is told with that an engine gave no arguments: callers parse them as JSON, and send them back. */
export const NO_ARGUMENTS = '{}';

/** A part of an answer, which grows while it is streamed. */
export interface OutputItem {
  readonly id: string;
  /** That of the item, but for a refusal, which is a message. */
  readonly type: 'reasoning' | 'message' | 'refusal' | 'function_call';
  /** The text, or the arguments of the call. */
  text: string;
  /** `call_id` and `name` of a call. */
  readonly call: Fields;
}

/**
 * The `response` object of one request: what was asked for, as the caller said it, and what has come of it.
 */
export class ResponseObject {
  private readonly id = newId('resp');
  private readonly createdAt = Math.floor(Date.now() / 1000);
  private readonly asked: Fields;
  private readonly exact: ExactJson;

  /**
   * @param asked members that repeat the request.
   * @param exact by which they were read.
   */
  constructor(asked: Fields, exact: ExactJson) {
    this.asked = asked;
    this.exact = exact;
  }

  /** Writes what has the object in it. */
  public stringify(value: Fields): string {
    return this.exact.stringify(value);
  }

  /** The object in a state of the response, which is served in a tier. */
  public in({ status, output, incomplete_details: details, usage, error }: ResponseState, tier: ServiceTier): Fields {
    const { instructions, max_output_tokens: maxTokens, temperature, top_p: topP } = this.asked;
    return {
      ...this.asked,
      id: this.id,
      object: 'response',
      created_at: this.createdAt,
      completed_at: status === 'completed' ? Math.floor(Date.now() / 1000) : null,
      status,
      background: false,
      error: error ?? null,
      incomplete_details: details ?? null,
      // clients know these as null where they were not given.
      instructions: instructions ?? null,
      max_output_tokens: maxTokens ?? null,
      temperature: temperature ?? null,
      top_p: topP ?? null,
      output,
      previous_response_id: null,
      service_tier: tier,
      store: false,
      top_logprobs: 0,
      truncation: 'disabled',
      usage: usage ?? null,
    };
  }
}

/** A new part of an answer. */
export function newItem(type: OutputItem['type'], text = '', id?: string, name?: string): OutputItem {
  switch (type) {
    case 'reasoning':
      return { id: newId('rs'), type, text, call: {} };
    case 'message':
    case 'refusal':
      return { id: newId('msg'), type, text, call: {} };
    case 'function_call':
      return { id: newId('fc'), type, text, call: { call_id: id ?? newId('call'), name } };
  }
}

/** An item of `output`. */
export function itemOf(item: OutputItem, status: Status): Fields {
  const { id, type, text, call } = item;
  const content = status === 'in_progress' ? [] : [contentOf(item)];
  switch (type) {
    case 'reasoning':
      return { id, type, summary: [], content, status };
    case 'message':
    case 'refusal':
      return { id, type: 'message', role: 'assistant', content, status };
    case 'function_call':
      return { id, type, ...call, arguments: text, status };
  }
}

/** The content of an item that has text. */
export function contentOf({ type, text }: OutputItem): Fields {
  switch (type) {
    case 'reasoning':
      return { type: 'reasoning_text', text };
    case 'refusal':
      return { type, refusal: text };
    default:
      return { type: 'output_text', text, annotations: [], logprobs: [] };
  }
}

/** What a response is in the end: what was cut short is its last item. */
export function endOf(items: readonly OutputItem[], finishReason: string, usage: Fields | undefined): ResponseState {
  const reason = finishReason === 'length' ? 'max_output_tokens' : finishReason === 'content_filter' ? finishReason : undefined;
  const status = reason === undefined ? 'completed' : 'incomplete';
  return {
    status,
    output: items.map((item, i) => itemOf(item, i === items.length - 1 ? status : 'completed')),
    usage,
    ...(reason !== undefined && { incomplete_details: { reason } }),
  };
}

/** Tokens as the Responses API counts them; undefined if the engine does not tell. */
export function responsesUsageOf(usage: unknown): Fields | undefined {
  if (!isObject(usage)) {
    return undefined;
  }
  const { promptTokens = 0, cachedTokens = 0, completionTokens = 0, reasoningTokens = 0 } = usageOf(usage);
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens, cache_write_tokens: 0 },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: promptTokens + completionTokens,
  };
}

function newId(prefix: string): string {
  return `${prefix}_${randomUUID().replaceAll('-', '')}`;
}
