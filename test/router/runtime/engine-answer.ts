import { ServerResponse } from 'node:http';
import { asManyAsAsked, MODEL, sse } from './harness';

/** What engines here say that they counted, whatever they were asked. */
export const COUNTED = { prompt_tokens: 12, completion_tokens: 3, total_tokens: 15 };

/** How an engine's answer is told. */
export interface Telling {
  /** What is told beside the answer, at its end. */
  readonly more?: object;
  /** Whether the end of a stream has the usage, whether it was asked for or not, as Cerebras' has. */
  readonly endHasUsage?: boolean;
}

/** Tells tokens as an answer of an engine to a chat completion or a completion, whole or streamed, with its usage. */
export function tell(response: ServerResponse, body: any, tokens: string[], { more = {}, endHasUsage = false }: Telling = {}): void {
  if (body.stream !== true) {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(wholeAnswer(body, tokens.join(''), more)));
    return;
  }
  const chunks: object[] = streamedAnswer(body, tokens, { ...more, ...(endHasUsage && { usage: COUNTED }) });
  if (!endHasUsage && body.stream_options?.include_usage === true) {
    chunks.push({ ...chunks[0], choices: [], usage: COUNTED });
  }
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  chunks.forEach((chunk) => response.write(sse(chunk)));
  response.end(sse('[DONE]'));
}

/** A whole answer. */
export function wholeAnswer(body: any, text: string, more: object = {}): object {
  const isChat = body.messages !== undefined;
  const told = isChat ? { message: { role: 'assistant', content: text } } : { text };
  return {
    id: 'c-1',
    object: isChat ? 'chat.completion' : 'text_completion',
    created: 1,
    model: MODEL,
    choices: asManyAsAsked([{ index: 0, ...told, finish_reason: 'stop' }], body),
    usage: COUNTED,
    ...more,
  };
}

/** The chunks of a streamed answer, the last with what is told beside it. */
export function streamedAnswer(body: any, tokens: string[], more: object = {}): object[] {
  const isChat = body.messages !== undefined;
  const chunkOf = (text: string, finish: string | null = null, role?: string) => ({
    id: 'c-1',
    object: isChat ? 'chat.completion.chunk' : 'text_completion',
    created: 1,
    model: MODEL,
    choices: [{ index: 0, ...(isChat ? { delta: { role, content: text } } : { text }), finish_reason: finish }],
  });
  return [...isChat ? [chunkOf('', null, 'assistant')] : [], ...tokens.map((token) => chunkOf(token)), { ...chunkOf('', 'stop'), ...more }];
}

/** What a chat template would make of a request: tools are part of it, to the letter. */
export function promptOf(body: any): string {
  return body.prompt ?? body.messages.map((message: any) => message.content).join('|') + (body.tools === undefined ? '' : JSON.stringify(body.tools));
}
