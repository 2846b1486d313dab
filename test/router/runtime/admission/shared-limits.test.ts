import { createServer, Server } from 'node:net';
import { ProblemsError } from '../../../../src/problems';
import { parseRouterConfig } from '../../../../src/router/runtime';
import { ask, chat, configOf, MockEngine, routerFor, TestRouter, until, whole } from '../harness';

const LOST = 'Valkey cannot be asked: this router limits callers by itself';

let engine: MockEngine;
let router: TestRouter;

beforeAll(async () => {
  engine = await MockEngine.start(whole);
});
afterAll(async () => engine.stop());

const start = async (port: number, cluster: boolean, requestsPerMinute = 2) => {
  const valkey = { url: `valkey://127.0.0.1:${port}`, timeoutSeconds: 0.05, cluster };
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], {
    rateLimits: { requestsPerMinute, valkey },
  });
};
const listening = async (server: Server) => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as { port: number }).port;
};

describe.each([['a server', false], ['a cluster', true]])('without %s that could be asked, a router limits callers by itself and tells of it', (_, cluster) => {
  test.each([
    ['nobody listens', false],
    ['whoever listens says nothing', true],
  ])('%s', async (__, isThere) => {
    const server = createServer((socket) => socket.on('error', () => undefined).resume());
    const port = await listening(server);
    if (!isThere) {
      await new Promise((resolve) => server.close(resolve));
    }
    await start(port, cluster);
    const statuses = [];
    for (let i = 0; i < 3; i++) {
      statuses.push((await ask(router.url, chat())).status);
    }
    expect(statuses).toEqual([200, 200, 429]);
    expect(router.lines.filter(({ msg }) => msg === LOST)).toHaveLength(1);
    expect(await (await fetch(`${router.url}/metrics`)).text()).toContain('router_rate_limits_alone_total 2');
    await router.drain();
    server.close();
  });
});

test('a server that answers with something else is told of, in few words, and routers limit callers by themselves', async () => {
  // one nil, or one error, for each command
  for (const answer of ['$-1\r\n', `-ERR ${'x'.repeat(10_000)}\r\n`]) {
    const server = createServer((socket) => socket.on('error', () => undefined).on('data', (bytes) => {
      const isScript = /evalsha?\r\n/i.test(bytes.toString('latin1'));
      socket.write(isScript ? answer : '+OK\r\n'.repeat(bytes.toString('latin1').match(/^\*/gm)?.length ?? 0));
    }));
    await start(await listening(server), false);
    await until(async () => {
      expect((await ask(router.url, chat())).status).not.toBe(500);
      return router.lines.some(({ msg, failure }) => msg === LOST && failure !== 'it is not connected');
    }, 'the server was asked');
    expect(JSON.stringify(router.lines).length).toBeLessThan(10_000);
    await router.drain();
    server.close();
  }
});

test('a server that has become a replica is left for the one that its name leads to now', async () => {
  let connections = 0;
  const server = createServer((socket) => {
    const isPrimary = connections++ > 0;
    socket.on('error', () => undefined).on('data', (bytes) => {
      const isScript = /evalsha?\r\n/i.test(bytes.toString('latin1'));
      const answer = isPrimary ? '*2\r\n:0\r\n:0\r\n' : '-READONLY You can\'t write against a read only replica. script: 1, on @user_script:1.\r\n';
      socket.write(isScript ? answer : '+OK\r\n'.repeat(bytes.toString('latin1').match(/^\*/gm)?.length ?? 0));
    });
  });
  await start(await listening(server), false, 1_000_000);
  await until(async () => {
    await ask(router.url, chat());
    return router.lines.some(({ msg }) => msg === 'Valkey answers again: routers share their limits');
  }, 'the other is asked');
  expect(connections).toBe(2);
  await router.drain();
  server.close();
});

test.each([
  ['no limit to share', { valkey: { url: 'valkey://h' } }, 'RouterValkeyUnused config.rateLimits.valkey'],
  ['another protocol', { requestsPerMinute: 1, valkey: { url: 'http://h' } }, 'RouterValkeyUrl config.rateLimits.valkey.url'],
  ['a password where everybody may read it', { requestsPerMinute: 1, valkey: { url: 'valkey://:secret@h' } }, 'RouterValkeyUrl config.rateLimits.valkey.url'],
  ['a password that is not there', { requestsPerMinute: 1, valkey: { url: 'valkeys://h', passwordEnv: 'NONE' } }, 'RouterValkeyPasswordMissing config.rateLimits.valkey.passwordEnv'],
])('is refused: %s', (_, rateLimits, problem) => {
  const config = configOf([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: 'http://h' }], { rateLimits });
  let problems: string[] = [];
  try {
    parseRouterConfig(JSON.stringify(config), { KEYS: 'k' });
  } catch (e) {
    problems = (e as ProblemsError).problems.map(({ rule, path }) => `${rule} ${path}`);
    expect((e as Error).message).not.toContain('secret@');
  }
  expect(problems).toEqual([problem]);
});
