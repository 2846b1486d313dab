import { randomUUID } from 'node:crypto';
import { createServer, IncomingMessage, Server, ServerResponse } from 'node:http';
import { AddressInfo } from 'node:net';
import { EmulatedFleet } from './emulated-fleet';
import { Sequence } from './emulated-pools';
import { ApiError } from '../../router/runtime/wire/api-error';
import { FieldProblems, jsonObject } from '../../router/runtime/wire/fields';

/** What answers are made of. */
const WORDS = ['the', 'cache', 'crosses', 'the', 'fabric', 'while', 'a', 'wafer', 'writes', 'and', 'nobody', 'waits'];
/** Characters of English text in a token, about. */
const CHARACTERS_PER_TOKEN = 4;
/** Who may speak in a chat. */
const ROLES = ['system', 'developer', 'user', 'assistant', 'tool'];

interface ChatBody {
  readonly model: string;
  readonly messages?: { readonly content?: unknown }[];
  readonly prompt?: unknown;
  readonly stream?: boolean;
  readonly max_tokens?: number;
  readonly max_completion_tokens?: number;
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
    try {
      body = chatBody(Buffer.concat(chunks));
    } catch (e) {
      const { status, message, type, code } = e as ApiError;
      sendJson(response, { error: { message, type, code } }, status);
      return;
    }
    const inputTokens = tokensOf(body);
    if (request.url === '/tokenize') {
      sendJson(response, { count: inputTokens });
    } else if (body.kv_transfer_params?.do_remote_decode === true) {
      this.read(response, inputTokens);
    } else {
      this.write(request, response, body, inputTokens);
    }
  }

  /** Reads a prompt, and tells where its KV cache is. */
  private read(response: ServerResponse, inputTokens: number): void {
    const { promptSeconds, overheadSeconds } = this.fleet.timesOf(inputTokens);
    const prompt = {
      seconds: promptSeconds,
      done: () => sendJson(response, {
        choices: [{ index: 0, message: { role: 'assistant', content: '' }, finish_reason: 'length' }],
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
  private write(request: IncomingMessage, response: ServerResponse, body: ChatBody, inputTokens: number): void {
    const { promptSeconds, transferSeconds, overheadSeconds } = this.fleet.timesOf(inputTokens);
    const handedOn = body.kv_transfer_params?.do_remote_prefill === true;
    const limit = body.max_completion_tokens ?? body.max_tokens;
    const outputTokens = limit ?? this.fleet.meanOutputTokens;
    const end = limit == null ? 'stop' : 'length';
    const answer = new EmulatedAnswer(response, body, request.url === '/v1/completions', inputTokens, outputTokens, end);
    const sequence: Sequence = {
      promptSeconds: handedOn ? 0 : promptSeconds,
      contextTokens: inputTokens,
      tokensLeft: outputTokens,
      onToken: () => answer.token(),
    };
    const timer = setTimeout(() => this.fleet.decode.write(sequence), (handedOn ? transferSeconds : overheadSeconds) * 1000);
    response.once('close', () => {
      clearTimeout(timer);
      this.fleet.decode.cancel(sequence);
    });
  }
}

/** An answer of so many tokens, as OpenAI's API tells it. */
class EmulatedAnswer {
  private readonly id = `chatcmpl-${randomUUID()}`;
  private written = 0;

  constructor(
    private readonly response: ServerResponse, private readonly body: ChatBody, private readonly isCompletion: boolean,
    private readonly inputTokens: number, private readonly outputTokens: number, private readonly end: 'stop' | 'length',
  ) {
    if (body.stream) {
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    }
  }

  public token(): void {
    const text = `${this.written === 0 ? '' : ' '}${WORDS[this.written % WORDS.length]}`;
    this.written++;
    const reason = this.written === this.outputTokens ? this.end : null;
    if (!this.body.stream) {
      if (reason !== null) {
        sendJson(this.response, { id: this.id, object: 'chat.completion', created: 0, model: this.body.model, choices: [this.whole()], usage: this.usage() });
      }
      return;
    }
    const told = this.isCompletion ? { text } : { delta: this.written === 1 ? { role: 'assistant', content: text } : { content: text } };
    this.event({ choices: [{ index: 0, ...told, finish_reason: reason }] });
    if (reason !== null) {
      this.event({ choices: [], usage: this.usage() });
      this.response.end('data: [DONE]\n\n');
    }
  }

  private whole(): object {
    const text = Array.from({ length: this.outputTokens }, (_, i) => WORDS[i % WORDS.length]).join(' ');
    return { index: 0, ...(this.isCompletion ? { text } : { message: { role: 'assistant', content: text } }), finish_reason: this.end };
  }

  private usage(): object {
    return { prompt_tokens: this.inputTokens, completion_tokens: this.outputTokens, total_tokens: this.inputTokens + this.outputTokens };
  }

  private event(value: object): void {
    this.response.write(`data: ${JSON.stringify({ id: this.id, object: 'chat.completion.chunk', created: 0, model: this.body.model, ...value })}\n\n`);
  }
}

/** Reads a body. Throws ApiError if an engine would refuse it. */
function chatBody(bytes: Buffer): ChatBody {
  const body = jsonObject(bytes);
  const problems = new FieldProblems();
  if (body.messages !== undefined) {
    problems.list(body.messages, 'messages', 1).forEach((message, i) => {
      problems.oneOf(problems.object(message, `messages[${i}]`).role ?? '', `messages[${i}].role`, ROLES);
    });
  }
  for (const limit of ['max_tokens', 'max_completion_tokens']) {
    problems.number(body[limit], limit, 1, 2 ** 31 - 1, true);
  }
  problems.throwIfAny();
  return body as unknown as ChatBody;
}

/** Tokens of a prompt, by the length of its text. */
function tokensOf({ messages, prompt }: ChatBody): number {
  const text = messages?.map(({ content }) => (typeof content === 'string' ? content : JSON.stringify(content ?? ''))).join('\n') ?? String(prompt);
  return Math.max(1, Math.round(text.length / CHARACTERS_PER_TOKEN));
}

function sendJson(response: ServerResponse, value: object, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
