import { randomUUID } from 'node:crypto';
import { AnsweredRequest } from '../caller-wire';
import { ExactJson } from '../exact-json';
import { Fields, isObject } from '../fields';
import { jsonSize } from '../json-size';
import { usageOf } from '../usage';
import { TOOL_USE_ID } from './converse-messages';

/**
 * Why generation stopped, as Bedrock says it: a stop sequence is told from the end of the turn where the engine tells which it was, and a call that is malformed
 * as it was cut from one that was written so.
 */
export function stopReasonOf(finishReason: unknown, stop: unknown, calledTools: boolean, isMalformed: boolean): string {
  switch (finishReason) {
    case 'length':
      return 'max_tokens';
    case 'content_filter':
      return 'content_filtered';
  }
  if (isMalformed) {
    return 'malformed_tool_use';
  }
  switch (finishReason) {
    case 'tool_calls':
    case 'function_call':
      return 'tool_use';
    case 'stop':
      // a call of a tool that the caller named ends like a turn
      return calledTools ? 'tool_use' : typeof stop === 'string' ? 'stop_sequence' : 'end_turn';
    default:
      // such as vLLM's `repetition`: it is no end of the model's own.
      return 'malformed_model_output';
  }
}

/** Tokens as Bedrock counts them: those that were read from the cache are not part of the input. */
export function bedrockUsageOf(usage: unknown): Fields {
  const { promptTokens = 0, cachedTokens = 0, completionTokens = 0 } = usageOf(usage);
  const cached = Math.min(promptTokens, cachedTokens);
  return {
    inputTokens: promptTokens - cached,
    outputTokens: completionTokens,
    totalTokens: promptTokens + completionTokens,
    ...(cached > 0 && { cacheReadInputTokens: cached }),
  };
}

/** The tier that an answer was given in, which is told where it is not the usual one. */
export function tierOf({ serviceTier: type }: AnsweredRequest): Fields {
  return type === 'default' ? {} : { serviceTier: { type } };
}

/** By what callers tell calls of tools apart, and send back: engines do not name all of them, nor all as Bedrock does. */
export function toolUseIdOf(told: unknown): unknown {
  return TOOL_USE_ID.holds(told) ? told : `tooluse_${randomUUID()}`;
}

/** What a tool is called with; undefined where that is no JSON object, or cannot be written. */
export function toolInputOf(text: string, exact: ExactJson): Fields | undefined {
  const json = Buffer.from(text || '{}');
  try {
    const input = jsonSize(json).problem === undefined ? exact.parse(json) : undefined;
    return isObject(input) ? input : undefined;
  } catch {
    return undefined;
  }
}
