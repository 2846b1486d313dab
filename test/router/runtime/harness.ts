import { createServer, IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import { AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { parseRouterConfig, ROUTER_CONFIG_SCHEMA, RunningRouter, startRouter } from '../../../src/router/runtime';

export const KEY = 'key-of-a-caller';
export const MODEL = 'llama-3.3-70b';

/** A request as an engine got it. */
export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: any;
  readonly text: string;
  /** Whether the connection was closed before the answer was whole. */
  aborted: boolean;
}

export type Behaviour = (response: ServerResponse, received: Received) => void | Promise<void>;

/** A real HTTP server that behaves as an engine is told to. */
export class MockEngine {
  public static async start(behaviour: Behaviour): Promise<MockEngine> {
    const engine = new MockEngine(behaviour);
    await new Promise<void>((resolve) => engine.server.listen(0, '127.0.0.1', resolve));
    return engine;
  }

  public readonly requests: Received[] = [];
  /** Requests that it is answering, and the most of them that there were. */
  public active = 0;
  public mostActive = 0;
  public healthStatus = 200;
  public behaviour: Behaviour;
  private readonly server: Server;

  private constructor(behaviour: Behaviour) {
    this.behaviour = behaviour;
    this.server = createServer((request, response) => void this.serve(request, response));
  }

  public get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  public get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  public async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url === '/health') {
      response.writeHead(this.healthStatus).end();
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) {
      chunks.push(chunk);
    }
    const text = Buffer.concat(chunks).toString();
    const received: Received = { path: request.url!, headers: request.headers, body: text === '' ? undefined : JSON.parse(text), text, aborted: false };
    this.requests.push(received);
    this.active++;
    this.mostActive = Math.max(this.mostActive, this.active);
    response.once('close', () => {
      this.active--;
      received.aborted = !response.writableFinished;
    });
    await this.behaviour(response, received);
  }
}

export const sse = (value: unknown) => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;
export const chunkOf = (content: string) => ({ object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content }, finish_reason: null }] });
/** What vLLM's streams begin with. */
export const ROLE = { object: 'chat.completion.chunk', choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] };
export const COMPLETION = { object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }] };

/** An engine's answer that is not a stream. */
export const wholly = (value: unknown, status = 200): Behaviour => (response) => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
};

/** A chunk of a stream, with what it adds. */
export const delta = (value: object, finish: string | null = null, more: object = {}) => (
  { object: 'chat.completion.chunk', choices: [{ index: 0, delta: value, finish_reason: finish, ...more }] });

/** What streams end with that are whole. */
export const DONE = sse(delta({}, 'stop')) + sse('[DONE]');

/** An engine that breaks off before it answers. */
export const broken: Behaviour = (response) => void response.destroy();
/** One that never answers. */
export const silent: Behaviour = () => undefined;

/** An engine's stream, chunk by chunk. */
export const streaming = (chunks: unknown[], end = sse('[DONE]')): Behaviour => (response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  chunks.forEach((chunk) => response.write(sse(chunk)));
  response.end(end);
};

/** An engine's stream, event by event, with a pause before each. */
export function streamOf(texts: string[], pauseMillis = 0, end = DONE): Behaviour {
  return async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    for (const text of texts) {
      await sleep(pauseMillis);
      if (response.destroyed) {
        return;
      }
      response.write(sse(chunkOf(text)));
    }
    response.end(end);
  };
}

export const whole: Behaviour = (response, { body }) => {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ ...COMPLETION, choices: asManyAsAsked(COMPLETION.choices, body) }));
};

/** A choice as often as a request asks for one. */
export function asManyAsAsked<T extends object>([choice]: readonly T[], asked: { n?: number; prompt?: unknown } = {}): (T & { index: number })[] {
  const { n, prompt } = asked;
  const prompts = Array.isArray(prompt) && typeof prompt[0] !== 'number' ? prompt.length : 1;
  return Array.from({ length: (n ?? 1) * prompts }, (_, index) => ({ ...choice, index }));
}

export const sleep = async (millis: number) => new Promise((resolve) => setTimeout(resolve, millis));

/** Waits until something holds. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (await holds()) {
      return;
    }
    await sleep(10);
  }
  throw new Error(`never came true: ${what}`);
}

/** A router in this process, with what it logged. */
export interface TestRouter extends RunningRouter {
  readonly url: string;
  readonly lines: any[];
}

export function configOf(targets: object[], more: object = {}): object {
  return {
    schema: ROUTER_CONFIG_SCHEMA,
    model: { id: MODEL, servedNames: [MODEL, 'llama'] },
    port: 0,
    targets,
    lameduckSeconds: 0,
    drainSeconds: 2,
    auth: { apiKeysEnv: 'KEYS' },
    ...more,
  };
}

export async function routerFor(targets: object[], more: object = {}, env: { [name: string]: string } = {}): Promise<TestRouter> {
  const lines: any[] = [];
  const log = pino(new Writable({
    write: (line, _, done) => {
      lines.push(JSON.parse(line.toString()));
      done();
    },
  }));
  const environment = { KEYS: KEY, ...env };
  const router = await startRouter(parseRouterConfig(JSON.stringify(configOf(targets, more)), environment), environment, log);
  return { ...router, url: `http://127.0.0.1:${router.port}`, lines };
}

/** The line of the log that tells of the last request. */
export async function lastLineOf({ lines }: TestRouter): Promise<any> {
  await until(() => lines.some(({ msg }) => msg === 'request'), 'an access log line');
  return lines.filter(({ msg }) => msg === 'request').at(-1);
}

/** The body of a chat completion as the OpenAI SDK sends it. */
export const chat = (more: object = {}) => ({ model: MODEL, messages: [{ role: 'user', content: 'a secret prompt' }], ...more });

export async function ask(url: string, body: unknown, headers: { [name: string]: string } = {}, path = '/v1/chat/completions'): Promise<Response> {
  return fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'authorization': `Bearer ${KEY}`, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

/** Everything a stream says until it ends or breaks, and whether it broke. */
export async function drained(response: Response): Promise<{ text: string; broken: boolean }> {
  let text = '';
  const decoder = new TextDecoder();
  try {
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true });
    }
    return { text, broken: false };
  } catch {
    return { text, broken: true };
  }
}

/** The text of a chat completion that is no stream. */
export async function textOf(response: Response): Promise<string> {
  return (await response.json() as { choices: { message: { content: string } }[] }).choices[0].message.content;
}

/** The text of a streamed chat completion. */
export const streamedText = (stream: string) => stream.split('\n\n').filter((event) => event.startsWith('data: {'))
  .map((event) => JSON.parse(event.slice(6)).choices[0]?.delta.content ?? '').join('');

/** What a caller of OpenAI's API is told of a failure. */
export async function errorOf(response: Response): Promise<{ message: string; code: string | null; param: string | null }> {
  return (await response.json() as { error: { message: string; code: string | null; param: string | null } }).error;
}
