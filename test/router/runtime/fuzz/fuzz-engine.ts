import { createServer, IncomingMessage, Server, ServerResponse } from 'node:http';
import { AddressInfo } from 'node:net';
import { SMUGGLED } from './raw-http';
import { asManyAsAsked, chunkOf, COMPLETION, sse } from '../harness';

const USAGE = { prompt_tokens: 12, completion_tokens: 3, total_tokens: 15 };
const TEXT = { object: 'text_completion', choices: [{ index: 0, text: 'hello', finish_reason: 'stop' }], usage: USAGE };
const END = { object: 'chat.completion.chunk', choices: [{ index: 0, delta: {}, text: '', finish_reason: 'stop' }], usage: USAGE };

const isNumber = (least: number, most: number) => (value: unknown) => typeof value === 'number' && value >= least && value <= most;
const isText = (value: unknown) => typeof value === 'string';
const isTexts = (value: unknown) => isText(value) || (Array.isArray(value) && value.every(isText));
/** What these fields may hold, if anything. */
const WELL_TYPED: { readonly [name: string]: (value: any) => boolean } = {
  temperature: isNumber(0, 2),
  top_p: isNumber(0, 1),
  n: isNumber(1, 128),
  max_tokens: isNumber(1, 2 ** 31),
  max_completion_tokens: isNumber(1, 2 ** 31),
  frequency_penalty: isNumber(-2, 2),
  top_k: isNumber(-1, 2 ** 31),
  stop: isTexts,
  stream: (value) => typeof value === 'boolean',
  user: isText,
  messages: (value) => Array.isArray(value) && value.every((one) => isText(one?.role)),
  tools: (value) => Array.isArray(value) && value.every((one) => isText(one?.function?.name)),
  response_format: (value) => isText(value.type),
};
/** What no engine knows. */
const MISSPELT = ['max_token', 'maxTokens', 'Temperature', '__proto__', 'constructor', 'guided_json', 'guardrailConfig', ''];

/** A prefill and a decode engine in one, that answers as it should whatever it is asked, and notes what no engine should be asked. */
export class FuzzEngine {
  public static async start(): Promise<FuzzEngine> {
    const engine = new FuzzEngine();
    await new Promise<void>((resolve) => engine.server.listen(0, '127.0.0.1', resolve));
    return engine;
  }

  /** Requests that it was sent. */
  public requests = 0;
  /** What it was asked and should not have been. */
  public readonly findings: string[] = [];
  /** KV caches that were fetched. */
  public fetches = 0;
  private readonly server: Server;
  private readonly held = new Set<string>();

  private constructor() {
    this.server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => this.serve(request, response, Buffer.concat(chunks)));
    });
    // this process may be slow: a connection that it closes while the router takes it for open is no finding.
    this.server.keepAliveTimeout = 0;
  }

  public get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  public async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private serve(request: IncomingMessage, response: ServerResponse, bytes: Buffer): void {
    if (request.url === '/health') {
      response.end();
      return;
    }
    this.requests++;
    if (bytes.includes(`"${SMUGGLED}"`)) {
      this.findings.push('an engine was sent a request that was smuggled in a body');
    }
    let body: any;
    try {
      body = JSON.parse(bytes.toString());
    } catch {
      this.findings.push(`an engine was sent a body that is not JSON: ${bytes.toString('utf8', 0, 200)}`);
      response.writeHead(400).end('{"error":{"message":"not JSON"}}');
      return;
    }
    const wrong = [
      ...Object.entries(WELL_TYPED).filter(([name, holds]) => (body[name] ?? null) !== null && !holds(body[name])).map(([name]) => name),
      ...MISSPELT.filter((name) => Object.hasOwn(body, name) && body[name] !== null),
    ];
    if (wrong.length > 0) {
      this.findings.push(`an engine was sent ${wrong.join(', ')}: ${bytes.toString('utf8', 0, 500)}`);
    }
    const answer = (value: object) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    const params = body.kv_transfer_params;
    if (params?.do_remote_decode === true) {
      const id = `${request.headers['x-request-id']}`;
      this.held.add(id);
      answer({
        ...COMPLETION,
        usage: USAGE,
        kv_transfer_params: {
          do_remote_prefill: true, do_remote_decode: false, remote_block_ids: [[1, 2]], remote_engine_id: 'e', remote_request_id: id, remote_host: 'h', remote_port: 1,
        },
      });
      return;
    }
    if (params !== undefined) {
      this.fetches++;
      if (!this.held.delete(params.remote_request_id)) {
        this.findings.push('an engine was sent for a KV cache that nobody holds');
      }
    }
    if (request.url === '/tokenize') {
      answer({ count: 3 });
    } else if (body.stream === true) {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const chunk = { ...chunkOf('hello'), choices: asManyAsAsked([{ delta: { content: 'hello' }, text: 'hello', finish_reason: null }], body) };
      response.end(sse(chunk) + sse(chunk) + sse({ ...END, choices: asManyAsAsked(END.choices, body) }) + sse('[DONE]'));
    } else {
      const whole = request.url === '/v1/completions' ? TEXT : { ...COMPLETION, usage: USAGE };
      answer({ ...whole, choices: asManyAsAsked<object>(whole.choices, body) });
    }
  }
}
