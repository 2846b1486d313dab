import { kvHandoffOf } from '../../../kv-connectors';
import { EngineRequest } from '../wire/engine-request';

/** What a prefill engine answers with the place of a KV cache. */
const HANDED_ON = ['/v1/chat/completions', '/v1/completions'];

/**
 * Whether one KV cache is all that a decode engine needs to answer a request.
 *
 * Several answers (`n`, beam search) share a prompt but not the cache of one; logits and echoes of the prompt are there only where it is read; and a prompt that is cut
 * to what the answer leaves of the context may be cut otherwise for the one token of the prefill engine. Of a tool call that is required, one token is no
 * call, which some versions of vLLM refuse as if the caller were at fault. Options that the prefill engine
 * is not sent are for the other to refuse, before a prompt was read in vain; SGLang's prefill engines are sent all of them.
 *
 * @param kvConnector of the engines.
 */
export function isEligible({ path, body }: EngineRequest, kvConnector: string | undefined): boolean {
  const isSet = (name: string) => body[name] !== undefined && body[name] !== null && body[name] !== false;
  const isOneAnswer = HANDED_ON.includes(path) && isOnePrompt(body.prompt) && (!isSet('n') || body.n === 1)
    && !['use_beam_search', 'best_of', 'prompt_logprobs', 'echo', 'truncate_prompt_tokens'].some(isSet);
  return isOneAnswer && (kvHandoffOf(kvConnector)?.asksForOneToken === false || canBeForOneToken(body, isSet));
}

/** Whether a request can be made one for a single token, and no other. */
function canBeForOneToken(body: EngineRequest['body'], isSet: (name: string) => boolean): boolean {
  return body.tool_choice !== 'required'
    && (!isSet('stream_options') || body.stream === true);
}

/** None, text, or the ids of one prompt's tokens. */
function isOnePrompt(prompt: unknown): boolean {
  return prompt === undefined || typeof prompt === 'string' || (Array.isArray(prompt) && prompt.every((token) => typeof token === 'number'));
}
