import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { ClientHttp2Session, connect } from 'node:http2';
import { text } from 'node:stream/consumers';
import { Discovery } from '../../../../src/router/runtime/targets/discovery';
import { Engines } from '../../../../src/router/runtime/targets/engines';
import { MooncakePair } from '../handoff/mooncake-pair';
import { SglangPair } from '../handoff/sglang-pair';
import { VllmPair } from '../handoff/vllm-pair';
import { chat, configOf, KEY, MockEngine, until, whole } from '../harness';
import { bundle, RouterProcess } from '../router-process';

let mockIsFull = false;
jest.mock('node:net', () => {
  const net = jest.requireActual('node:net');
  const full = () => new net.Socket().destroy(Object.assign(new Error('connect EMFILE'), { code: 'EMFILE' }));
  return { ...net, connect: (...given: unknown[]) => (mockIsFull ? full() : net.connect(...given)) };
});

const FULL = { status: 503, retryAfter: '1', code: 'too_many_open_files' };

let script: string;
let router: RouterProcess;
let session: ClientHttp2Session;
const engines: { stop(): Promise<void> }[] = [];

beforeAll(() => {
  script = bundle('open-files.js');
});
afterEach(async () => {
  session?.destroy();
  router?.child.kill('SIGKILL');
  await Promise.all(engines.splice(0).map(async (engine) => engine.stop()));
});

const running = async <T extends { stop(): Promise<void> }>(starting: Promise<T>) => {
  const engine = await starting;
  engines.push(engine);
  return engine;
};

async function start(targets: object[]): Promise<void> {
  router = new RouterProcess(script, { ROUTER_CONFIG: JSON.stringify(configOf(targets, { routing: { minPromptTokens: 0 } })), KEYS: KEY });
  session = connect(`http://127.0.0.1:${(await router.said('listening')).port}`);
  await once(session, 'connect');
}

/** Whether the router may open a file besides those that it has. */
function mayOpenFiles(may: boolean): void {
  expect(spawnSync('prlimit', ['--pid', String(router.child.pid), `--nofile=${may ? 1000 : 3}:`]).status).toBe(0);
}

/** An answer over a connection to the router that is there. */
async function asked(path: string, body?: object): Promise<{ status: number; retryAfter?: string; code?: string; text: string }> {
  const stream = session.request({ ':method': body === undefined ? 'GET' : 'POST', ':path': path, 'authorization': `Bearer ${KEY}` });
  stream.end(body === undefined ? undefined : JSON.stringify(body));
  const [headers] = await once(stream, 'response');
  const said = await text(stream);
  return { status: headers[':status'], retryAfter: headers['retry-after'], code: said.startsWith('{') ? JSON.parse(said).error?.code : undefined, text: said };
}
const ask = async (content: string) => asked('/v1/chat/completions', chat({ messages: [{ role: 'user', content }] }));

/** Lets no connection to it be used twice. */
function closing(engine: MockEngine): void {
  const { behaviour } = engine;
  engine.behaviour = async (response, received) => behaviour(response.setHeader('connection', 'close'), received);
}

async function expectNoneToBlame(healthy: object): Promise<void> {
  expect(router.lines.filter(({ level }) => level > 30)).toEqual([]);
  expect(JSON.parse((await asked('/readyz')).text).targets).toMatchObject(healthy);
}

test('an engine is as well as it was if the router has too many open files to connect to it, which callers, metrics and log are told', async () => {
  const engine = await running(MockEngine.start(whole));
  closing(engine);
  await start([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }]);
  expect((await ask('before')).status).toBe(200);
  mayOpenFiles(false);
  // a connection of its probes may be there yet.
  await ask('the last');
  for (const content of ['a', 'b', 'c', 'd']) {
    expect(await ask(content)).toMatchObject(FULL);
  }
  await expectNoneToBlame({ engine: { healthy: 1 } });
  const metrics = (await asked('/metrics')).text;
  expect(Number(/router_throttled_total\{reason="open_files"\} (\d+)/.exec(metrics)?.[1])).toBeGreaterThanOrEqual(4);
  await until(() => router.lines.filter(({ failure, target }) => failure === 'too_many_open_files' && target === 'none').length >= 4, 'the log tells');
  mayOpenFiles(true);
  expect((await ask('after')).status).toBe(200);
});

describe('neither engine of a hand-off is held to have failed, and the caller does not wait,', () => {
  const pairOf = async (kvConnector: string) => {
    const pair = kvConnector === 'sglang' ? await running(SglangPair.start())
      : kvConnector === 'MooncakeConnector' ? await running(MooncakePair.start()) : await running(VllmPair.start());
    return { decode: pair.decode, prefill: 'prefills' in pair ? pair.prefills[0] : pair.prefill, bootstrapPort: 'bootstrapPort' in pair ? pair.bootstrapPort : undefined };
  };

  test.each([
    ['NixlConnector', 'prefill'], ['NixlConnector', 'decode'],
    ['MooncakeConnector', 'prefill'], ['MooncakeConnector', 'decode'],
    ['sglang', 'prefill'], ['sglang', 'decode'],
  ] as const)('of %s, where there is no file for a connection to the %s engine', async (kvConnector, which) => {
    const pair = await pairOf(kvConnector);
    closing(pair[which]);
    await start([
      { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector, prefill: 'prefill' },
      { name: 'prefill', role: 'prefill', protocol: 'openai', url: pair.prefill.url, kvConnector, bootstrapPort: pair.bootstrapPort },
    ]);
    expect((await ask('before')).status).toBe(200);
    mayOpenFiles(false);
    await ask('the last');
    for (const content of ['a', 'b', 'c', 'd']) {
      expect(await ask(content)).toMatchObject(FULL);
    }
    await expectNoneToBlame({ decode: { healthy: 1 }, prefill: { healthy: 1 } });
    mayOpenFiles(true);
    expect((await ask('after')).status).toBe(200);
    await until(async () => (await asked('/metrics')).text.match(/router_in_flight\{.*\} 0\n/g)?.length === 2, 'every slot was given back');
  });
});

test('a probe for which there is no file says nothing of the engine', async () => {
  const engine = await MockEngine.start(whole);
  const discovery: Discovery = { addresses: async () => [engine.url] };
  const found = new Engines({ name: 't', role: 'aggregated', protocol: 'openai', srv: 't', maxInFlight: 10, prefixLoadFactor: 1 }, undefined, discovery);
  await found.discover();
  const [endpoint] = found.endpoints;
  await engine.stop();
  mockIsFull = true;
  await found.discover();
  await found.discover();
  expect(endpoint.isUp).toBe(true);
  mockIsFull = false;
  await found.discover();
  await found.discover();
  expect(endpoint.isUp).toBe(false);
  await found.stop();
});
