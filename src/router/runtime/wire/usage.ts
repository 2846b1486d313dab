import { Fields, isObject } from './fields';

/** Far above the tokens of any request. */
const MAX_TOKENS = 1e9;
/** Far above what engines tell of usage. */
const MAX_USAGE_BYTES = 4096;
/** The member of a whole answer, with what it tells in detail. A quote within generated text is escaped, so text never looks like it. */
const MEMBER = '"usage"';
const VALUE = /^"usage"\s*:\s*(\{(?:[^{}]|\{[^{}]*\})*\})/;

/** What a request took, in tokens, as far as its engine tells. */
export interface Usage {
  readonly promptTokens?: number;
  /** Those of the prompt that were in a cache. */
  readonly cachedTokens?: number;
  readonly completionTokens?: number;
  /** Those of the answer that the model thought. */
  readonly reasoningTokens?: number;
}

/** What `usage` of the OpenAI API says. */
export function usageOf(usage: unknown): Usage {
  const { prompt_tokens: prompt, completion_tokens: output, prompt_tokens_details: ofPrompt, completion_tokens_details: ofOutput } = fieldsOf(usage);
  return {
    promptTokens: tokenCountOf(prompt),
    cachedTokens: tokenCountOf(fieldsOf(ofPrompt).cached_tokens),
    completionTokens: tokenCountOf(output),
    reasoningTokens: tokenCountOf(fieldsOf(ofOutput).reasoning_tokens),
  };
}

/** What `usage` of Converse says: tokens that are read from a cache, or written to one, are not part of its input. */
export function converseUsageOf(usage: unknown): Usage {
  const { inputTokens, cacheReadInputTokens, cacheWriteInputTokens, outputTokens } = fieldsOf(usage);
  const [input, cached, written] = [inputTokens, cacheReadInputTokens, cacheWriteInputTokens].map(tokenCountOf);
  const promptTokens = input === undefined ? undefined : input + (cached ?? 0) + (written ?? 0);
  return { promptTokens, cachedTokens: cached, completionTokens: tokenCountOf(outputTokens) };
}

/** What `usage` of a whole answer of the OpenAI API says, which is not read otherwise for that. */
export function usageIn(answer: Buffer): Usage {
  const at = answer.lastIndexOf(MEMBER);
  const [, json] = at === -1 ? [] : VALUE.exec(answer.toString('utf8', at, at + MAX_USAGE_BYTES)) ?? [];
  try {
    return json === undefined ? {} : usageOf(JSON.parse(json));
  } catch {
    return {};
  }
}

/** Tokens as an engine counts them; undefined if that is no number of tokens. */
function tokenCountOf(value: unknown): number | undefined {
  return Number.isInteger(value) && value as number >= 0 && value as number < MAX_TOKENS ? value as number : undefined;
}

function fieldsOf(value: unknown): Fields {
  return isObject(value) ? value : {};
}
