import { Fields, isObject } from './fields';
import { MemberChanges, partsWithMembers, textOfMembers } from './json-object';
import { LongTexts } from './long-texts';
import { Body } from '../body';
import { TargetConfig } from '../config';
import { kvMemberOf } from './kv-members';

/** What an engine is asked, in OpenAI's format. */
export interface EngineRequest {
  /** Where engines answer it, such as `/v1/chat/completions`. */
  readonly path: string;
  readonly model: string;
  readonly stream: boolean;
  /** The body, with marks in place of its long texts: the caller's bytes where the caller speaks OpenAI's format. */
  readonly bytes: Buffer;
  /** The body, parsed. */
  readonly body: { readonly [name: string]: unknown };
  /** The texts that it has marks in place of; undefined if it has none. */
  readonly longTexts?: LongTexts;
  /** Bedrock's service tier, where a caller may ask for one outside of the body. */
  readonly serviceTier?: unknown;
  /** The request in Bedrock's own format, for Bedrock; undefined for callers of the OpenAI API. */
  readonly bedrock?: BedrockRequest;
}

/** What a caller of Bedrock's API asked. */
export interface BedrockRequest {
  /** The last segment of its path, such as `converse-stream`. */
  readonly operation: string;
  /** The body, as it came. */
  readonly bytes: Buffer;
}

/** Members that say what is asked and of whom: the router writes them where a caller speaks another format. */
const WRITTEN_BY_ROUTER = [
  'model', 'messages', 'prompt', 'stream', 'stream_options', 'n', 'tools', 'tool_choice', 'max_tokens', 'max_completion_tokens', 'response_format',
];

/** A member that a caller may not put into a request that the router writes; undefined if there is none. */
export function reservedMember(fields: { readonly [name: string]: unknown }): string | undefined {
  return kvMemberOf(fields) ?? WRITTEN_BY_ROUTER.find((name) => Object.hasOwn(fields, name));
}

/** The name by which SGLang alone knows what a model thought. */
const SGLANG_REASONING = 'reasoning_content';

/** The member that limits an answer, for each path where engines write one. */
const LIMITS: { readonly [path: string]: string } = { '/v1/chat/completions': 'max_completion_tokens', '/v1/completions': 'max_tokens' };

const STREAM_OPTIONS = 'stream_options';
/** What makes an engine count the tokens of a stream for the router. */
const TELL_USAGE = '{"include_usage":true}';

/** Whether the caller, or the router on its behalf, is to be told the tokens of a stream. */
export function asksForUsage({ body: { [STREAM_OPTIONS]: options } }: EngineRequest): boolean {
  return isObject(options) && options.include_usage === true;
}

/** How many choices its answer has: `n` for each prompt. */
export function choicesOf({ body: { n, prompt } }: EngineRequest): number {
  return (typeof n === 'number' ? n : 1) * (Array.isArray(prompt) && typeof prompt[0] !== 'number' ? prompt.length : 1);
}

/** The whole body, as it was asked. */
export function wholeOf(asked: Pick<EngineRequest, 'bytes' | 'longTexts'>): Body {
  return filled([asked.bytes], asked);
}

/**
 * The body for an engine that may know the model by another name, that may have to be told a limit, and that is to tell the tokens of every stream: limits and
 * metrics count them.
 *
 * @param asked what was asked.
 * @param config of the engine.
 * @param others members that are to be others besides.
 */
export function bodyForEngine(asked: EngineRequest, config: TargetConfig, others: MemberChanges = {}): Body {
  const { path, model, body, bytes, stream } = asked;
  const { modelName = model, defaultMaxTokens, protocol } = config;
  const changes: { [name: string]: string | undefined } = {};
  if (modelName !== model) {
    changes.model = JSON.stringify(modelName);
  }
  const limit = LIMITS[path];
  if (defaultMaxTokens !== undefined && limit !== undefined && typeof body.max_completion_tokens !== 'number' && typeof body.max_tokens !== 'number') {
    changes[limit] = String(defaultMaxTokens);
  }
  if (stream && !asksForUsage(asked)) {
    changes[STREAM_OPTIONS] = TELL_USAGE;
  }
  if (protocol === 'cerebras') {
    Object.assign(changes, withoutSglangs(asked));
  }
  Object.assign(changes, others);
  if (Object.keys(changes).some((name) => Object.hasOwn(body, name))) {
    return filled(partsWithMembers(bytes, changes), asked);
  }
  const added = textOfMembers(changes);
  // the last brace is that of the whole: nothing else has to be looked at.
  return filled(added === '' ? [bytes] : [bytes.subarray(0, bytes.lastIndexOf('}')), Buffer.from(`,${added}}`)], asked);
}

function filled(parts: Body, { longTexts }: Pick<EngineRequest, 'longTexts'>): Body {
  return longTexts?.fill(parts) ?? parts;
}

/** Messages in which what a model thought has its other name alone: Cerebras refuses all that have a name which it does not know. */
function withoutSglangs({ body: { messages } }: EngineRequest): MemberChanges {
  if (!Array.isArray(messages) || !messages.some((message) => isObject(message) && Object.hasOwn(message, SGLANG_REASONING))) {
    return {};
  }
  const renamed = messages.map(({ [SGLANG_REASONING]: thought, ...message }: Fields) => ({ ...message, reasoning: message.reasoning ?? thought }));
  return { messages: JSON.stringify(renamed) };
}
