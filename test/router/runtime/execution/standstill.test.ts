import { ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { createServer, ServerResponse } from 'node:http';
import { AddressInfo, connect, Socket } from 'node:net';
import { createInterface, Interface } from 'node:readline';
import { Cancellation } from '../../../../src/router/runtime/cancellation';
import { Discovery } from '../../../../src/router/runtime/targets/discovery';
import { Endpoint } from '../../../../src/router/runtime/targets/endpoint';
import { Engines } from '../../../../src/router/runtime/targets/engines';
import { readWhole } from '../../../../src/router/runtime/targets/read-whole';
import { VllmPair } from '../handoff/vllm-pair';
import {
  ask, chat, chunkOf, COMPLETION, drained, errorOf, MockEngine, MODEL, routerFor, sse, streamedText, TestRouter, textOf, until, whole,
} from '../harness';

/** An engine that is well by its probes, and tells of each other request, but answers none, or, given the first bytes of a stream, nothing after them. */
const ENGINE = `
  const [, begin] = process.argv;
  const server = require('node:http').createServer((request, response) => {
    if (request.url === '/health') {
      response.end();
    } else {
      request.resume().on('end', () => {
        console.log('asked');
        if (begin !== undefined) {
          response.writeHead(200, { 'content-type': 'text/event-stream' }).write(begin);
        }
      });
    }
  });
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => console.log(server.address().port));`;

/** It, as a process that can be paused. */
class EngineProcess {
  public static async start(...begin: string[]): Promise<EngineProcess> {
    const engine = new EngineProcess(begin);
    await until(() => engine.lines.length > 0, 'it listens');
    return engine;
  }

  private readonly child: ChildProcess;
  private readonly lines: string[] = [];
  private readonly others: Socket[] = [];
  private readonly reader: Interface;

  private constructor(begin: string[]) {
    this.child = spawn(process.execPath, ['-e', ENGINE, ...begin], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.reader = createInterface({ input: this.child.stdout! }).on('line', (line) => this.lines.push(line));
  }

  public get url(): string {
    return `http://127.0.0.1:${this.lines[0]}`;
  }

  /** Requests that it was sent. */
  public get requests(): number {
    return this.lines.length - 1;
  }

  public pause(): void {
    this.child.kill('SIGSTOP');
  }

  /** As if its host was gone: it takes no more connections either, as those that wait to be taken are as many as may. */
  public vanish(): void {
    this.pause();
    for (let i = 0; i < 8; i++) {
      this.others.push(connect(Number(this.lines[0]), '127.0.0.1').on('error', () => undefined));
    }
  }

  public async stop(): Promise<void> {
    this.others.forEach((socket) => socket.destroy());
    this.reader.close();
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGKILL');
      await once(this.child, 'exit');
    }
  }
}

const servers: { stop(): Promise<void> }[] = [];
const running = async <T extends { stop(): Promise<void> }>(starting: Promise<T>) => {
  const server = await starting;
  servers.push(server);
  return server;
};
let router: TestRouter | undefined;

afterEach(async () => {
  await router?.drain();
  router = undefined;
  await Promise.all(servers.splice(0).map(async (server) => server.stop()));
});

test.each<[string, (engine: EngineProcess) => void]>([
  ['it stands still', (engine) => engine.pause()],
  ['its host has vanished', (engine) => engine.vanish()],
])('requests that an engine has answered nothing to are given up once %s, handed off or not, streams and others', async (_, halt) => {
  const [pair, decode, spare] = [await running(VllmPair.start()), await running(EngineProcess.start()), await running(MockEngine.start(whole))];
  router = await routerFor([
    { name: 'decode', role: 'decode', protocol: 'openai', url: decode.url, kvConnector: 'NixlConnector', prefill: 'prefill' },
    { name: 'prefill', role: 'prefill', protocol: 'openai', url: pair.prefill.url, kvConnector: 'NixlConnector' },
    { name: 'spare', role: 'aggregated', protocol: 'openai', url: spare.url },
  ], { routing: { minPromptTokens: 0 }, limits: { kvLeaseSeconds: 600 } });
  const asked = [{}, { stream: true }, { n: 2 }, { n: 2, stream: true }].map(async (more) => ask(router!.url, chat(more)));
  await until(() => decode.requests === asked.length, 'it has all of them');
  halt(decode);
  for (const response of await Promise.all(asked)) {
    expect([response.status, await errorOf(response)]).toMatchObject([502, { code: 'engine_failed', message: 'the engine answers nothing any more' }]);
  }
  expect(await (await ask(router.url, chat())).json()).toEqual(COMPLETION);
  expect([pair.prefill.requests.length, spare.requests.length]).toEqual([2, 1]);
}, 60_000);

test.each([true, false])('a prefill engine whose process is killed while it reads a prompt costs no answer, stream %p', async (stream) => {
  const [pair, prefill] = [await running(VllmPair.start()), await running(EngineProcess.start())];
  router = await routerFor([
    { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector: 'NixlConnector', prefill: 'prefill' },
    { name: 'prefill', role: 'prefill', protocol: 'openai', url: prefill.url, kvConnector: 'NixlConnector' },
  ], { routing: { minPromptTokens: 0 } });
  const body = chat({ stream });
  const asked = ask(router.url, body);
  await until(() => prefill.requests === 1, 'it has the prompt');
  await prefill.stop();
  const response = await asked;
  expect([response.status, response.headers.get('x-router-route')]).toEqual([200, 'aggregated; reason=prefill_failed']);
  const text = await response.text();
  expect(stream ? streamedText(text) : JSON.parse(text).choices[0].message.content).toBe(pair.answerTo(body));
  expect(pair.localPrefills).toBe(1);
});

test('a decode engine whose process is killed between the legs costs a hand-off, not the answer, and what was handed to it goes to no other', async () => {
  const [pair, gone] = [await running(VllmPair.start()), await running(EngineProcess.start())];
  let release = () => {};
  pair.gate = new Promise((resolve) => (release = resolve));
  const decode = { role: 'decode', protocol: 'openai', kvConnector: 'NixlConnector', prefill: 'prefill' };
  router = await routerFor([
    { ...decode, name: 'gone', url: gone.url }, { ...decode, name: 'decode', url: pair.decode.url },
    { name: 'prefill', role: 'prefill', protocol: 'openai', url: pair.prefill.url, kvConnector: 'NixlConnector' },
  ], { routing: { minPromptTokens: 0 } });
  const body = chat();
  const asked = ask(router.url, body);
  await until(() => pair.prefill.requests.length === 1, 'the prefill engine has the prompt');
  await gone.stop();
  release();
  expect([await textOf(await asked), pair.prefill.requests.length, pair.fetches]).toEqual([pair.answerTo(body), 2, 1]);
  const [first, second] = [...pair.held.keys()];
  expect(pair.decode.requests.map(({ body: { kv_transfer_params: params } }) => params.remote_request_id)).toEqual([second]);
  expect([first === second, (await router.metrics.kvCachesDropped.get()).values[0].value]).toEqual([false, 1]);
});

test.each<[string, (engine: EngineProcess) => void]>([
  ['is killed', (engine) => void engine.stop()],
  ['stands still', (engine) => engine.pause()],
])('a stream whose engine\'s process %s is told to have failed, in every form', async (_, halt) => {
  const engine = await running(EngineProcess.start(sse(chunkOf('begun'))));
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { limits: { idleTimeoutSeconds: 1 } });
  const streams = [
    await ask(router.url, chat({ stream: true })),
    await ask(router.url, { messages: [{ role: 'user', content: [{ text: 'hi' }] }] }, {}, `/model/${MODEL}/converse-stream`),
  ];
  halt(engine);
  const [openai, bedrock] = await Promise.all(streams.map(async (response) => drained(response)));
  expect([openai.text.match(/begun|"error"|\[DONE\]/g), openai.broken]).toEqual([['begun', '"error"'], true]);
  expect(bedrock.text.match(/messageStart|begun|messageStop|modelStreamErrorException/g)).toEqual(['messageStart', 'begun', 'modelStreamErrorException']);
  await until(() => router!.lines.filter(({ code }) => code === 'stream_error').length === 2, 'the log tells it of both');
});

test('an engine that says nothing for a moment, in which it is looked for anew, keeps what it has', async () => {
  const probes = new EventEmitter();
  const ends: string[] = [];
  let isMute = false;
  let answer: ServerResponse | undefined;
  const server = createServer((request, response) => {
    request.resume();
    if (request.url !== '/health') {
      answer = response;
      return;
    }
    response.once('close', () => {
      ends.push(response.writableFinished ? 'answered' : 'given up');
      probes.emit(ends.at(-1)!);
    });
    if (!isMute) {
      response.end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  // as often as it is probed.
  const discovery: Discovery = { refreshMillis: 5_000, addresses: async () => [url] };
  const engines = new Engines({ name: 't', role: 'aggregated', protocol: 'openai', srv: 't', maxInFlight: 10, prefixLoadFactor: 1 }, undefined, discovery);
  await engines.start();
  const [endpoint] = engines.endpoints;
  endpoint.take();
  try {
    const asked = endpoint.post('/asked', {}, [Buffer.from('{}')], new Cancellation());
    await until(() => answer !== undefined, 'it has a request');
    isMute = true;
    await once(probes, 'given up');
    isMute = false;
    await once(probes, 'answered');
    expect([ends, endpoint.isUp]).toEqual([['answered', 'given up', 'answered'], true]);
    answer!.end('late');
    expect((await readWhole(await asked, 100)).body.toString()).toBe('late');
  } finally {
    endpoint.release();
    await engines.stop();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}, 30_000);

describe('a request that nothing was answered to yet goes on', () => {
  let endpoint: Endpoint;
  let engines: Engines;
  let isMute = false;
  let held: { [path: string]: ServerResponse } = {};
  const server = createServer((request, response) => {
    request.resume();
    if (request.url !== '/health') {
      held[request.url!] = response;
    } else if (!isMute) {
      response.end();
    }
  });
  const post = async (path: string) => endpoint.post(path, {}, [Buffer.from('{}')], new Cancellation());
  const probeTwice = async () => {
    await engines.discover();
    await engines.discover();
    expect(endpoint.isUp).toBe(false);
  };

  beforeEach(async () => {
    isMute = false;
    held = {};
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const discovery: Discovery = { addresses: async () => [url] };
    engines = new Engines({ name: 't', role: 'aggregated', protocol: 'openai', srv: 't', maxInFlight: 10, prefixLoadFactor: 1 }, undefined, discovery);
    await engines.start();
    [endpoint] = engines.endpoints;
    endpoint.take();
  });
  afterEach(async () => {
    endpoint.release();
    await engines.stop();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  test('at an engine that tells others more, though not how well it is', async () => {
    const asked = post('/asked');
    const stream = post('/stream');
    await until(() => held['/asked'] !== undefined && held['/stream'] !== undefined, 'it has both');
    held['/stream'].writeHead(200, { 'content-type': 'text/event-stream' });
    const speaking = setInterval(() => held['/stream'].write(sse(chunkOf('more'))), 100);
    isMute = true;
    try {
      await probeTwice();
    } finally {
      clearInterval(speaking);
    }
    held['/asked'].end('late');
    expect((await readWhole(await asked, 100)).body.toString()).toBe('late');
    await (await stream).breakOff();
  }, 20_000);

  test('at an engine that goes down, and answers what it has', async () => {
    const asked = post('/asked');
    await until(() => held['/asked'] !== undefined, 'it has it');
    server.close();
    server.closeIdleConnections();
    await probeTwice();
    held['/asked'].end('the last');
    expect((await readWhole(await asked, 100)).body.toString()).toBe('the last');
  });
});
