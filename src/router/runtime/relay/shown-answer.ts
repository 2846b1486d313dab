import { Exchange } from '../exchange';
import { Fields, isObject } from '../wire/fields';
import { withMembers } from '../wire/json-object';
import { withoutKvParams } from '../wire/kv-members';

/**
 * An answer, or an event of one, as callers may see it: without where a KV cache is, and with the tokens in a cache as the engine counts them that read the
 * prompt.
 */
export function shownAnswer(json: Buffer, { handoff, cachedTokens }: Exchange): Buffer {
  const bare = withoutKvParams(json);
  return handoff === 'handed_off' ? withCachedTokens(bare, cachedTokens) : bare;
}

/** To the engine that answers, all that was handed to it comes from a cache. */
function withCachedTokens(json: Buffer, cachedTokens: number | undefined): Buffer {
  const mayTell = json.includes('"usage"') && (cachedTokens !== undefined || json.includes('"prompt_tokens_details"'));
  const usage = mayTell ? usageIn(json) : undefined;
  const { prompt_tokens_details: told } = usage ?? {};
  if (usage === undefined || (!isObject(told) && cachedTokens === undefined)) {
    return json;
  }
  const details = { ...(isObject(told) && told), cached_tokens: cachedTokens };
  return withMembers(json, { usage: JSON.stringify({ ...usage, prompt_tokens_details: details }) });
}

function usageIn(json: Buffer): Fields | undefined {
  try {
    const { usage } = JSON.parse(json.toString('utf8')) as Fields;
    return isObject(usage) ? usage : undefined;
  } catch {
    return undefined;
  }
}
