import { invalid } from './api-error';
import { topPOf } from './chat-parts';
import { EngineRequest } from './engine-request';
import { checkServed, FieldProblems, Fields, jsonObject, Kind } from './fields';
import { withMembers } from './json-object';
import { readBody } from './long-texts';
import { checkMedia, refuseRemoteMedia } from './media';
import { CHAT_COMPLETION, COMPLETION, ECHOED_COMPLETION, isEmptyList } from './openai-fields';
import { checkChatTogether, checkTogether } from './together';
import { RouterConfig } from '../config';
import { kvMemberOf } from './kv-members';

/**
 * Reads a request for a chat completion, or for a completion.
 *
 * Throws ApiError with everything that is wrong with it, or if it is not for a model that is served.
 *
 * @param path where engines answer it.
 * @param bytes the body.
 * @param served the model that callers may ask for.
 */
export function parseOpenAi(path: '/v1/chat/completions' | '/v1/completions', bytes: Buffer, { servedNames, images }: RouterConfig['model']): EngineRequest {
  return readBody(bytes, (json, longTexts) => {
    const body = jsonObject(json);
    const { model, stream } = body;
    checkServed(model, servedNames);
    const completion = body.echo === true ? ECHOED_COMPLETION : COMPLETION;
    checkRequest(path === '/v1/completions' ? completion : CHAT_COMPLETION, body, images);
    return { path, model, stream: stream === true, longTexts, ...asEnginesTakeIt(typeof json === 'string' ? Buffer.from(json) : json, body) };
  });
}

/**
 * Throws ApiError with everything that is wrong with a request, or if it names a KV cache or media that an engine would have to fetch.
 *
 * @param expected what it may be.
 * @param body the request.
 * @param images whether the model reads images.
 * @param problems what is known to be wrong with it; nothing by default.
 */
export function checkRequest(expected: Kind, body: Fields, images: boolean, problems = new FieldProblems()): void {
  const kvMember = kvMemberOf(body);
  if (kvMember !== undefined) {
    throw invalid('kv_transfer_params_refused', `${kvMember} is not for callers to give`, kvMember);
  }
  problems.required(body, '', expected);
  checkTogether(body, problems);
  const messages = Array.isArray(body.messages) ? body.messages : [];
  if (messages.length > 0) {
    checkChatTogether(body, messages, problems);
  }
  checkMedia(messages, 'messages', images, problems);
  problems.throwIfAny();
  refuseRemoteMedia(messages, 'messages');
}

/**
 * A request as engines take it too: OpenAI takes a list of tools that is empty, and what is said of them, as clients send it that have none, while engines refuse
 * it, or tell the model of tools; and it takes a share of probability that is 0.
 *
 * @param bytes the request.
 * @param body the same, parsed.
 */
export function asEnginesTakeIt(bytes: Buffer, body: Fields): Pick<EngineRequest, 'bytes' | 'body'> {
  const changes = {
    ...(isEmptyList(body.tools) && { tools: undefined, tool_choice: undefined, parallel_tool_calls: undefined }),
    ...(body.top_p === 0 && { top_p: topPOf(0) }),
  };
  const names = Object.keys(changes) as (keyof typeof changes)[];
  if (names.length === 0) {
    return { bytes, body };
  }
  return { bytes: withMembers(bytes, Object.fromEntries(names.map((name) => [name, JSON.stringify(changes[name])]))), body: { ...body, ...changes } };
}
