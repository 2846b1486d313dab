import { kvHandoffOf } from '../../../kv-connectors';
import { EngineRequest } from '../wire/engine-request';

/** What a prefill engine answers with the place of a KV cache. */
const HANDED_ON = ['/v1/chat/completions', '/v1/completions'];
const NOT_HANDED_ON = ['use_beam_search', 'best_of', 'prompt_logprobs', 'echo', 'truncate_prompt_tokens'];

/**
 * Whether one KV cache is all that a decode engine needs to answer a request.
 *
 * Several answers (`n`, beam search) share a prompt but not the cache of one; logits and echoes of the prompt are there only where it is read; and a prompt
 * that is cut to what the answer leaves of the context may be cut otherwise for the one token of the prefill engine. Of a tool call that is required, one token
 * is no call, which some versions of vLLM refuse as if the caller were at fault. Options that the prefill engine is not sent are for the other to refuse,
 * before a prompt was read in vain; SGLang's prefill engines are sent all of them.
 *
 * @param kvConnector of the engines.
 */
export function isEligible(asked: EngineRequest, kvConnector: string | undefined): boolean {
  return HANDED_ON.includes(asked.path) && fieldNotHandedOn(asked, kvConnector) === undefined;
}

/** The field for which one KV cache is not enough; undefined if there is none. */
export function fieldNotHandedOn({ body }: EngineRequest, kvConnector: string | undefined): string | undefined {
  const isSet = (name: string) => body[name] !== undefined && body[name] !== null && body[name] !== false;
  if (!isOnePrompt(body.prompt)) {
    return 'prompt';
  }
  if (isSet('n') && body.n !== 1) {
    return 'n';
  }
  return NOT_HANDED_ON.find(isSet) ?? (kvHandoffOf(kvConnector)?.asksForOneToken === false ? undefined : fieldNotForOneToken(body, isSet));
}

/** The field for which a request cannot be made one for a single token, and no other; undefined if there is none. */
function fieldNotForOneToken(body: EngineRequest['body'], isSet: (name: string) => boolean): string | undefined {
  return body.tool_choice === 'required' ? 'tool_choice' : isSet('stream_options') && body.stream !== true ? 'stream_options' : undefined;
}

/** None, text, or the ids of one prompt's tokens. */
function isOnePrompt(prompt: unknown): boolean {
  return prompt === undefined || typeof prompt === 'string' || (Array.isArray(prompt) && prompt.every((token) => typeof token === 'number'));
}
