import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createServer, Server } from 'node:tls';
import { ValkeyServer } from './valkey-server';
import { freePorts } from '../ports';
import { ask, chat, configOf, KEY, MockEngine, until, wholly } from '../router/runtime/harness';
import { bundle, RouterProcess } from '../router/runtime/router-process';
import { localCertificate } from '../router/runtime/serving/certificate';

const LOST = 'Valkey cannot be asked: this router limits callers by itself';
const BACK = 'Valkey answers again: routers share their limits';
const ANSWER = { choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }], usage: { prompt_tokens: 10, completion_tokens: 490 } };
/** Keys of callers that have asked for nothing: a router asks Valkey of nobody who has reached his limit there alone. */
const MORE = Array.from({ length: 1000 }, (_, i) => `key-${i}`);

let script: string;
let engine: MockEngine;
let server: ValkeyServer;
let routers: RouterProcess[] = [];
let urls: string[];

beforeAll(async () => {
  script = bundle('index.js');
  engine = await MockEngine.start(wholly(ANSWER));
});
afterEach(async () => {
  routers.splice(0).forEach(({ child }) => child.kill('SIGKILL'));
  await server.stop();
});
afterAll(async () => engine.stop());

async function startServer(...options: string[]): Promise<void> {
  const [port] = await freePorts(1);
  server = new ValkeyServer(port, options);
  await server.start();
}

/** Starts two routers that share their limits. */
async function startRouters(limits: object, valkey: object = {}, env: { [name: string]: string } = {}): Promise<void> {
  const config = configOf([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], {
    rateLimits: { ...limits, valkey: { url: `valkey://127.0.0.1:${server.port}`, timeoutSeconds: 5, ...valkey } },
  });
  routers = [1, 2].map(() => new RouterProcess(script, { ROUTER_CONFIG: JSON.stringify(config), KEYS: [KEY, 'other', ...MORE].join('\n'), ...env }));
  urls = await Promise.all(routers.map(async (router) => `http://127.0.0.1:${(await router.said('listening')).port}`));
}

const status = async (router: number, key = KEY) => (await ask(urls[router], chat(), { authorization: `Bearer ${key}` })).status;
/** How often an answer comes of so many requests at once, to either router by turns. */
async function count(requests: number): Promise<{ [status: number]: number }> {
  const counts: { [status: number]: number } = {};
  for (const one of await Promise.all(Array.from({ length: requests }, async (_, i) => status(i % 2)))) {
    counts[one] = (counts[one] ?? 0) + 1;
  }
  return counts;
}
/** Waits until a router asks Valkey: one that cannot connect at its start serves nevertheless. */
async function asksValkey(router: number): Promise<void> {
  const callers = MORE.values();
  await until(async () => {
    const before = await alone(router);
    await status(router, callers.next().value);
    return await alone(router) === before;
  }, 'the router asks Valkey');
}
const alone = async (router: number) => Number(/^router_rate_limits_alone_total (\d+)$/m.exec(await (await fetch(`${urls[router]}/metrics`)).text())![1]);

test('two routers share the requests of a key, whichever is asked, and no other key has fewer for it', async () => {
  await startServer();
  // so few come back meanwhile that it is none.
  await startRouters({ requestsPerMinute: 10 }, {});
  const counts = await count(40);
  expect(counts[200] + counts[429]).toBe(40);
  // what comes back while a slow machine asks.
  expect(counts[200]).toBeGreaterThanOrEqual(10);
  expect(counts[200]).toBeLessThan(20);
  expect([await status(0, 'other'), await status(1, 'other')]).toEqual([200, 200]);
  const refused = await ask(urls[0], chat());
  expect([refused.status, Number(refused.headers.get('retry-after')) > 0]).toEqual([429, true]);
  expect(await server.ask(async (client) => client.keys('*'))).toHaveLength(2);
  expect(JSON.stringify(await server.ask(async (client) => client.keys('*')))).not.toContain(KEY);
  expect([await alone(0), await alone(1)]).toEqual([0, 0]);
});

test('tokens of an answer that one router passed on are owed at the other', async () => {
  await startServer();
  await startRouters({ tokensPerMinute: 400 });
  expect(await status(0)).toBe(200);
  await until(async () => (await status(1)) === 429, 'the other router knows of the answer');
});

test('while Valkey is gone each router limits callers by what it admitted itself, and tells of it; then they share again', async () => {
  await startServer();
  await startRouters({ requestsPerMinute: 3 });
  expect(await status(0)).toBe(200);
  await server.stop();
  await until(async () => (await status(0, 'other')) !== 200 || (await alone(0)) > 0, 'the router knows that it is gone');
  // one of three was had here before, and none there.
  const here = [await status(0), await status(0), await status(0)];
  const there = [await status(1), await status(1), await status(1), await status(1)];
  expect([here, there]).toEqual([[200, 200, 429], [200, 200, 200, 429]]);
  expect([await alone(0) > 0, await alone(1) > 0]).toEqual([true, true]);
  await Promise.all(routers.map(async (router) => router.said(LOST)));
  await server.start();
  const callers = MORE.values();
  for (const i of [0, 1]) {
    await until(async () => {
      await status(i, callers.next().value);
      return routers[i].lines.some(({ msg }) => msg === BACK);
    }, 'it is asked again');
  }
}, 60_000);

test('a Valkey that hangs holds no request up for longer than is said', async () => {
  await startServer();
  await startRouters({ requestsPerMinute: 1000 }, { timeoutSeconds: 0.05 });
  expect(await status(0)).toBe(200);
  server.signal('SIGSTOP');
  expect(await count(20)).toEqual({ 200: 20 });
  await Promise.all(routers.map(async (router) => router.said(LOST)));
  server.signal('SIGCONT');
  await until(async () => {
    await status(0);
    return routers[0].lines.some(({ msg }) => msg === BACK);
  }, 'it is asked again');
}, 60_000);

test('routers that start without Valkey serve', async () => {
  await startServer();
  const { port } = server;
  await server.stop();
  await startRouters({ requestsPerMinute: 1 }, { url: `valkey://127.0.0.1:${port}` });
  expect([await status(0), await status(0)]).toEqual([200, 429]);
  await server.start();
}, 60_000);

test('a cluster, as serverless caches are', async () => {
  await startServer('--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1');
  await server.ask(async (client) => {
    await client.cluster('ADDSLOTS', ...Array.from({ length: 16_384 }, (_, slot) => slot));
    await until(async () => (await client.cluster('INFO')).includes('cluster_state:ok'), 'the cluster is whole');
  });
  await startRouters({ requestsPerMinute: 1 }, { cluster: true });
  await asksValkey(0);
  await asksValkey(1);
  const before = [await alone(0), await alone(1)];
  expect([await status(0), await status(1)]).toEqual([200, 429]);
  expect([await alone(0), await alone(1)]).toEqual(before);
});

describe('over TLS and with a password', () => {
  let proxy: Server;
  const { certificateFile, keyFile } = localCertificate();

  beforeEach(async () => {
    await startServer('--requirepass', 'a password');
    proxy = createServer({ cert: readFileSync(certificateFile), key: readFileSync(keyFile) }, (socket) => {
      const upstream = connect(server.port, '127.0.0.1');
      socket.pipe(upstream).pipe(socket);
      [socket, upstream].forEach((end) => end.on('error', () => undefined));
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  });
  afterEach(() => void proxy.close());

  const start = async (env: { [name: string]: string }) => startRouters({ requestsPerMinute: 1 }, {
    url: `valkeys://localhost:${(proxy.address() as { port: number }).port}`, passwordEnv: 'PASSWORD',
  }, { PASSWORD: 'a password', NODE_EXTRA_CA_CERTS: certificateFile, ...env });

  test('it is asked', async () => {
    await start({});
    expect([await status(0), await status(1)]).toEqual([200, 429]);
  });

  test.each([
    ['a wrong password', { PASSWORD: 'another' }],
    ['a certificate that nobody vouches for', { NODE_EXTRA_CA_CERTS: '' }],
  ])('not with %s', async (_, env) => {
    await start(env);
    expect([await status(0), await status(1)]).toEqual([200, 200]);
    await Promise.all(routers.map(async (router) => router.said(LOST)));
    expect(JSON.stringify(routers.map(({ lines }) => lines))).not.toContain('a password');
  });
});
