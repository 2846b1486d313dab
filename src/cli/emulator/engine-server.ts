import { randomUUID } from 'node:crypto';
import { createServer, IncomingMessage, Server, ServerResponse } from 'node:http';
import { AddressInfo } from 'node:net';
import { roomOf } from './context-limit';
import { EmulatedAnswer, sendJson } from './emulated-answer';
import { EmulatedFleet } from './emulated-fleet';
import { Sequence } from './emulated-pools';
import { Asked, CHARACTERS_PER_TOKEN, EmulatedText, emulatedText, promptsOf } from './emulated-text';
import { ApiError, invalid } from '../../router/runtime/wire/api-error';
import { FieldProblems, jsonObject } from '../../router/runtime/wire/fields';
import { kind, listOf, oneOf, openObject, whole } from '../../router/runtime/wire/kinds';

/** A chat, as far as it is looked at: who may speak in it. */
const MESSAGES = listOf(openObject({ role: oneOf('system', 'developer', 'user', 'assistant', 'tool') }, ['role']), 1);

/** Probabilities of tokens that mean nothing would be made up. */
const NO_LOGPROBS = kind('none, as emulated tokens have no probabilities', (value) => value === false);

/** Characters of all choices of an answer. */
const MAX_ANSWER_CHARACTERS = 32 * 1024 * 1024;
/** What is told of each choice beside its text, about. */
const CHARACTERS_PER_CHOICE = 256;

interface ChatBody extends Asked {
  readonly model: string;
  readonly messages?: { readonly content?: unknown; readonly tool_calls?: unknown }[];
  readonly stream?: boolean;
  readonly n?: number | null;
  readonly kv_transfer_params?: { readonly do_remote_decode?: boolean; readonly do_remote_prefill?: boolean };
}

/**
 * Serves one pool of an emulated fleet as vLLM serves an engine, the hand-off of NIXL included.
 */
export class EngineServer {
  /**
   * Starts to listen on a free port of this machine alone.
   *
   * @param fleet what answers.
   */
  public static async start(fleet: EmulatedFleet): Promise<EngineServer> {
    const server = new EngineServer(fleet);
    await new Promise<void>((resolve) => server.http.listen(0, '127.0.0.1', resolve));
    return server;
  }

  private readonly fleet: EmulatedFleet;
  private readonly http: Server;

  private constructor(fleet: EmulatedFleet) {
    this.fleet = fleet;
    this.http = createServer((request, response) => void this.serve(request, response));
  }

  /** Base URL. */
  public get url(): string {
    return `http://127.0.0.1:${(this.http.address() as AddressInfo).port}`;
  }

  /** Stops at once. */
  public stop(): void {
    this.http.close();
    this.http.closeAllConnections();
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url === '/health') {
      response.end();
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) {
      chunks.push(chunk);
    }
    let body: ChatBody;
    let inputTokens: number;
    let text: EmulatedText;
    const isRead = () => body.kv_transfer_params?.do_remote_decode === true;
    try {
      body = chatBody(Buffer.concat(chunks));
      const promptTokens = tokensOf(body);
      inputTokens = promptTokens.reduce((sum, tokens) => sum + tokens, 0);
      if (request.url === '/tokenize') {
        sendJson(response, { count: inputTokens });
        return;
      }
      const mostTokens = promptTokens.reduce((most, tokens) => Math.max(most, tokens), 0);
      text = emulatedText(body, this.fleet.meanOutputTokens, roomOf(body, mostTokens, this.fleet.contextTokens(isRead() ? 'prefill' : 'decode')));
      expectTellable(text, body.n ?? 1);
    } catch (e) {
      const { status = 400, message, param = null } = e as Partial<ApiError>;
      sendJson(response, { error: { message, type: 'BadRequestError', param, code: status } }, status);
      return;
    }
    if (isRead()) {
      this.read(response, inputTokens);
    } else {
      this.write(request, response, body, inputTokens, text);
    }
  }

  /** Reads a prompt, and tells where its KV cache is. */
  private read(response: ServerResponse, inputTokens: number): void {
    const { promptSeconds, overheadSeconds } = this.fleet.timesOf(inputTokens);
    const prompt = {
      seconds: promptSeconds,
      done: () => sendJson(response, {
        choices: [{ index: 0, message: { role: 'assistant', content: '' }, finish_reason: 'length' }],
        usage: { prompt_tokens: inputTokens, completion_tokens: 1, total_tokens: inputTokens + 1 },
        kv_transfer_params: {
          do_remote_prefill: true,
          do_remote_decode: false,
          remote_engine_id: 'emulated',
          remote_request_id: randomUUID(),
          remote_block_ids: [[1]],
          remote_host: '127.0.0.1',
          remote_port: 5600,
        },
      }),
    };
    const timer = setTimeout(() => this.fleet.prefill!.read(prompt), overheadSeconds * 1000);
    response.once('close', () => {
      clearTimeout(timer);
      this.fleet.prefill!.cancel(prompt);
    });
  }

  /** Writes an answer, after the KV cache has crossed or the prompt was read here. */
  private write(request: IncomingMessage, response: ServerResponse, body: ChatBody, inputTokens: number, text: EmulatedText): void {
    const { promptSeconds, transferSeconds, overheadSeconds } = this.fleet.timesOf(inputTokens);
    const handedOn = body.kv_transfer_params?.do_remote_prefill === true;
    const answer = new EmulatedAnswer({
      response, text, inputTokens, model: body.model, isCompletion: request.url === '/v1/completions', isStream: body.stream === true, choices: body.n ?? 1,
    });
    const sequence: Sequence = {
      promptSeconds: handedOn ? 0 : promptSeconds,
      contextTokens: inputTokens,
      // a prompt that is only repeated is read all the same, which takes a step.
      tokensLeft: Math.max(1, text.tokens),
      onToken: () => answer.token(),
    };
    const timer = setTimeout(() => this.fleet.decode.write(sequence), (handedOn ? transferSeconds : overheadSeconds) * 1000);
    response.once('close', () => {
      clearTimeout(timer);
      this.fleet.decode.cancel(sequence);
    });
  }
}

/** Reads a body. Throws ApiError if an engine would refuse it. */
function chatBody(bytes: Buffer): ChatBody {
  const body = jsonObject(bytes);
  const problems = new FieldProblems();
  if (body.messages !== undefined) {
    problems.required(body.messages, 'messages', MESSAGES);
  }
  for (const limit of ['max_tokens', 'max_completion_tokens']) {
    problems.optional(body[limit], limit, whole(body.echo === true && body.prompt !== undefined ? 0 : 1));
  }
  problems.optional(body.n, 'n', whole(1, 128));
  for (const name of ['logprobs', 'prompt_logprobs']) {
    problems.optional(body[name], name, NO_LOGPROBS);
  }
  problems.throwIfAny();
  return body as unknown as ChatBody;
}

/** Refuses an answer whose choices are more than one process has room for: a short request can ask for a great many. */
function expectTellable({ before, tokens }: EmulatedText, choices: number): void {
  const characters = before.reduce((sum, { length }) => sum + length + CHARACTERS_PER_CHOICE + tokens * CHARACTERS_PER_TOKEN, 0) * choices;
  if (characters > MAX_ANSWER_CHARACTERS) {
    throw invalid('invalid_request', `${choices} choices of ${before.length} prompts are longer than an emulated engine answers, which is ${MAX_ANSWER_CHARACTERS} characters`, 'n');
  }
}

/** Tokens of each prompt, by the length of its text, of the calls in it and of what describes its tools. */
function tokensOf({ messages, prompt, tools }: ChatBody): number[] {
  const text = messages?.map(({ content, tool_calls: calls }) => `${typeof content === 'string' ? content : jsonOf(content)}${jsonOf(calls)}`).join('\n');
  const described = jsonOf(tools).length;
  return promptsOf(text ?? prompt)
    .map((one) => (Array.isArray(one) ? one.length : Math.max(1, Math.round((String(one).length + described) / CHARACTERS_PER_TOKEN))));
}

function jsonOf(value: unknown): string {
  return value === undefined || value === null ? '' : JSON.stringify(value);
}
