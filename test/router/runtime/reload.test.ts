import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import {
  ask, chat, chunkOf, COMPLETION, configOf, DONE, drained, errorOf, KEY, MockEngine, MODEL, routerFor, sleep, sse, streamOf, TestRouter,
  until, whole, wholly,
} from './harness';
import { bundle, RouterProcess } from './router-process';
import { localCertificate } from './serving/certificate';
import { parseRouterConfig } from '../../../src/router/runtime';

const FOLDER = mkdtempSync(join(tmpdir(), 'router-reload-'));
const FILE = join(FOLDER, 'router.json');
/** Has a process look ten times as often after what it looks after now and then. */
const OFTEN = 'const { setInterval: real } = globalThis; globalThis.setInterval = (look, millis, ...more) => real(look, millis / 10, ...more);';
const TEXTS = ['a', 'b', 'c', 'd'];
const STREAM = TEXTS.map((text) => sse(chunkOf(text))).join('') + DONE;

let script: string;
const engines: MockEngine[] = [];
let running: RouterProcess | undefined;
let asking: ReturnType<typeof load> | undefined;
let here: TestRouter | undefined;

beforeAll(() => {
  script = bundle('reload.js');
});
afterEach(async () => {
  await asking?.stop();
  asking = undefined;
  running?.child.kill('SIGKILL');
  running = undefined;
  await here?.drain();
  here = undefined;
  await Promise.all(engines.splice(0).map(async (engine) => engine.stop()));
});
afterAll(() => rmSync(FOLDER, { recursive: true }));

const target = (name: string, engine: MockEngine, more: object = {}) => ({ name, role: 'aggregated', protocol: 'openai', url: engine.url, ...more });
const write = (targets: object[], more: object = {}) => writeFileSync(FILE, JSON.stringify(configOf(targets, more)));

async function engineWith(behaviour = whole): Promise<MockEngine> {
  const engine = await MockEngine.start(behaviour);
  engines.push(engine);
  return engine;
}

async function start(
  targets: object[], more: object = {}, env: { [name: string]: string } = {},
): Promise<{ router: RouterProcess; url: string; port: number }> {
  write(targets, more);
  const router = running = new RouterProcess(script, { ROUTER_CONFIG_FILE: FILE, KEYS: KEY, ...env });
  const { port } = await router.said('listening');
  return { router, port, url: `http://127.0.0.1:${port}` };
}

/** Asks without end until told to stop; resolves to how many answers were whole, and what else came. */
function load(url: string, callers: number): { stop(): Promise<{ whole: number; other: unknown[] }> } {
  let stopped = false;
  const result = { whole: 0, other: [] as unknown[] };
  const call = async (stream: boolean) => {
    try {
      const response = await ask(url, chat({ stream }));
      const { text, broken } = await drained(response);
      if (response.status === 200 && !broken && (stream ? text === STREAM : text.includes('"hello"'))) {
        result.whole++;
      } else {
        result.other.push([response.status, broken, text]);
      }
    } catch (e) {
      result.other.push(e);
    }
  };
  const loops = Array.from({ length: callers }, async (_, i) => {
    while (!stopped) {
      await call(i % 2 === 0);
    }
  });
  return {
    stop: async () => {
      stopped = true;
      await Promise.all(loops);
      return result;
    },
  };
}

test('no request fails while targets, limits and routing change under load, and a target that is removed gets no more', async () => {
  const answer = async (response: any, received: any) => (received.body.stream ? streamOf(TEXTS, 5) : whole)(response, received);
  const [spare, old, next] = [await engineWith(answer), await engineWith(answer), await engineWith(answer)];
  const before: [object[], object] = [[target('old', old), target('spare', spare)], {}];
  const after: [object[], object] = [
    [target('next', next, { maxInFlight: 64 }), target('spare', spare, { maxInFlight: 100 })],
    { limits: { idleTimeoutSeconds: 20 }, routing: { minPromptTokens: 100 } },
  ];
  const { router, url } = await start(...before);
  asking = load(url, 8);
  for (let round = 0; round < 4; round++) {
    const asked = next.requests.length;
    write(...after);
    await router.signalled('SIGHUP', 'reloaded');
    await until(() => next.requests.length >= asked + 20, 'the target that was added is asked');
    await until(() => old.active === 0, 'the target that was removed has answered');
    const [last, more] = [old.requests.length, next.requests.length];
    await until(() => next.requests.length >= more + 20, 'the load goes on');
    expect(old.requests).toHaveLength(last);
    write(...before);
    await router.signalled('SIGHUP', 'reloaded');
    await until(() => old.requests.length >= last + 20, 'the target that came back is asked');
  }
  const { whole: answered, other } = await asking.stop();
  expect(other).toEqual([]);
  expect(answered).toBeGreaterThanOrEqual(160);
  expect(spare.requests).toHaveLength(0);
}, 60_000);

test('a stream of a target that is removed ends whole, though others follow', async () => {
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const slow = await engineWith(async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(sse(chunkOf('a')));
    await held;
    response.end(['b', 'c', 'd'].map((text) => sse(chunkOf(text))).join('') + DONE);
  });
  const others = [await engineWith(), await engineWith()];
  const { router, url } = await start([target('slow', slow)]);
  const streaming = await ask(url, chat({ stream: true }));
  for (const other of others) {
    write([target('other', other)]);
    await router.signalled('SIGHUP', 'reloaded');
    expect((await ask(url, chat())).status).toBe(200);
    expect(other.requests).toHaveLength(1);
  }
  release();
  expect(await drained(streaming)).toEqual({ text: STREAM, broken: false });
  expect(slow.requests).toHaveLength(1);
  expect(await (await fetch(`${url}/readyz`)).json()).toEqual({ status: 'ready', targets: { other: { endpoints: 1, healthy: 1 } } });
});

test('a configuration that is wrong is refused with every problem, that before stays, and a right one is taken later', async () => {
  const engine = await engineWith();
  const { router, url } = await start([target('engine', engine)]);
  write([target('engine', engine, { maxInFlight: 0 }), { name: 'none' }], { limits: { maxBodyBytes: 'many' } });
  expect(await router.signalled('SIGHUP', 'the configuration is not taken: that before stays')).toMatchObject({ level: 50 });
  const told = router.lines.filter(({ problem }) => problem !== undefined);
  expect(told.every(({ level, problem }) => level === 50 && problem.rule === 'RouterConfigInvalid')).toBe(true);
  expect(new Set(told.map(({ problem }) => problem.path))).toEqual(new Set(['config.targets[0].maxInFlight', 'config.targets[1]', 'config.limits.maxBodyBytes']));
  expect((await ask(url, chat())).status).toBe(200);
  rmSync(FILE);
  await router.signalled('SIGHUP', 'the configuration is not taken: that before stays');
  expect((await ask(url, chat())).status).toBe(200);
  write([target('engine', engine)], { limits: { maxBodyBytes: 10 } });
  await router.signalled('SIGHUP', 'reloaded');
  expect((await ask(url, chat())).status).toBe(413);
});

test('what cannot change without a restart is told', async () => {
  const engine = await engineWith();
  const { router, url, port } = await start([target('engine', engine)]);
  write([target('engine', engine)], { port: port === 65535 ? 1 : port + 1, host: '127.0.0.1', limits: { maxHeaderBytes: 2048 }, expected: { ttftSeconds: 1 } });
  await router.signalled('SIGHUP', 'reloaded');
  expect(await router.said('these settings change at a restart alone')).toMatchObject({
    level: 40, settings: ['host', 'port', 'limits.maxHeaderBytes', 'expected, as boundaries of histograms'],
  });
  expect((await ask(url, chat())).status).toBe(200);
});

test('a target keeps its health and its requests, and takes another limit at once', async () => {
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const engine = await engineWith(async (response, received) => {
    await held;
    await whole(response, received);
  });
  const limited = (maxInFlight: number) => [target('engine', engine, { maxInFlight })];
  const nothingWaits = { queue: { maxRequests: 0 } };
  const router = here = await routerFor(limited(1), nothingWaits);
  const configWith = (maxInFlight: number) => parseRouterConfig(JSON.stringify(configOf(limited(maxInFlight), nothingWaits)), { KEYS: KEY });
  const answers = [ask(router.url, chat())];
  await until(() => engine.requests.length === 1, 'the engine has a request');
  // a probe that is made now would find it down.
  engine.healthStatus = 503;
  await router.reload(configWith(1));
  expect((await ask(router.url, chat())).status).toBe(429);
  await router.reload(configWith(2));
  answers.push(ask(router.url, chat()));
  await until(() => engine.requests.length === 2, 'the engine has a second request');
  expect((await ask(router.url, chat())).status).toBe(429);
  release();
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200]);
  expect((await router.metrics.inFlight.get()).values).toEqual([{ labels: { target: 'engine' }, value: 0 }]);
});

test('requests that wait for a target that is removed are answered by another', async () => {
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const full = await engineWith(async (response, received) => {
    await held;
    await whole(response, received);
  });
  const other = await engineWith();
  const router = here = await routerFor([target('full', full, { maxInFlight: 1 })]);
  const answers = Array.from({ length: 5 }, async () => ask(router.url, chat()));
  await until(async () => (await router.metrics.queueRequests.get()).values[0].value === 4, 'four requests wait');
  await router.reload(parseRouterConfig(JSON.stringify(configOf([target('other', other)])), { KEYS: KEY }));
  await until(() => router.lines.filter(({ msg, code }) => msg === 'request' && code === '200').length === 4, 'those that waited are answered');
  release();
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  expect([full.requests.length, other.requests.length]).toEqual([1, 4]);
  expect((await router.metrics.queueRequests.get()).values[0].value).toBe(0);
});

test('under more load than there are slots, those that wait at each of many reloads are answered, and none twice', async () => {
  const answer = async (response: any, received: any) => (received.body.stream ? streamOf(TEXTS, 2) : whole)(response, received);
  const [a, b, c] = [await engineWith(answer), await engineWith(answer), await engineWith(answer)];
  const sets = [[target('a', a)], [target('a', a), target('b', b)], [target('c', c)], [target('b', b), target('renamed', a)]]
    .map((targets) => targets.map((one) => ({ ...one, maxInFlight: 1 })));
  const router = here = await routerFor(sets[0]);
  const waiting = async () => (await router.metrics.queueRequests.get()).values[0].value;
  asking = load(router.url, 12);
  for (let round = 1; round <= 12; round++) {
    await until(async () => await waiting() >= 6, 'many wait');
    const had = [a, b, c].map(({ requests }) => requests.length);
    await router.reload(parseRouterConfig(JSON.stringify(configOf(sets[round % sets.length])), { KEYS: KEY }));
    await until(() => [a, b, c].some(({ requests }, i) => requests.length > had[i] + 2), 'engines go on');
  }
  const { whole: answered, other } = await asking.stop();
  expect(other).toEqual([]);
  expect([a, b, c].reduce((sum, { requests }) => sum + requests.length, 0)).toBe(answered);
  expect([await waiting(), (await router.metrics.inFlight.get()).values.filter(({ value }) => value !== 0)]).toEqual([0, []]);
}, 60_000);

/** A router whose only slot is taken, and what gives it back. */
async function fullRouter(more: object = {}) {
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const engine = await engineWith(async (response, received) => {
    await held;
    await whole(response, received);
  });
  const router = here = await routerFor([target('engine', engine, { maxInFlight: 1 })], more);
  const first = ask(router.url, chat());
  await until(() => engine.requests.length === 1, 'the engine has a request');
  const reload = async (targets: object[], next: object = more) =>
    router.reload(parseRouterConfig(JSON.stringify(configOf(targets, next)), { KEYS: KEY }));
  const waiting = async (requests: number) =>
    until(async () => (await router.metrics.queueRequests.get()).values[0].value === requests, `${requests} requests wait`);
  return { engine, router, first, release, reload, waiting };
}

test('requests that wait for a model that is served no longer are refused, and those for one that still is are answered', async () => {
  const { engine, router, first, release, reload, waiting } = await fullRouter({ model: { id: 'a', servedNames: [MODEL, 'both'] } });
  const [gone, stays] = [ask(router.url, chat()), ask(router.url, chat({ model: 'both' }))];
  const bedrock = ask(router.url, { messages: [{ role: 'user', content: [{ text: 'hello' }] }] }, {}, `/model/${MODEL}/converse`);
  await waiting(3);
  const other = await engineWith();
  await reload([target('other', other)], { model: { id: 'b', servedNames: ['both'] } });
  const refused = await gone;
  expect([refused.status, (await errorOf(refused)).code]).toEqual([404, 'model_not_found']);
  expect([(await bedrock).status, (await bedrock).headers.get('x-amzn-errortype')]).toEqual([400, 'ValidationException']);
  expect((await stays).status).toBe(200);
  release();
  expect((await first).status).toBe(200);
  expect([engine.requests.length, other.requests.map(({ body }) => body.model)]).toEqual([1, ['both']]);
});

test('a request whose body is still on its way at a reload is read as the new configuration has it', async () => {
  const engine = await engineWith();
  const router = here = await routerFor([target('engine', engine)]);
  const body = JSON.stringify(chat());
  const slow = connect(router.port, '127.0.0.1');
  const head = ['POST /v1/chat/completions HTTP/1.1', 'host: router', 'connection: close', `authorization: Bearer ${KEY}`, `content-length: ${body.length}`];
  slow.write(`${head.join('\r\n')}\r\n\r\n${body.slice(0, 10)}`);
  // it was seen: whatever is asked after it, on another connection, comes later.
  await sleep(50);
  expect((await ask(router.url, chat())).status).toBe(200);
  await router.reload(parseRouterConfig(JSON.stringify(configOf([target('engine', engine)], { model: { id: 'b', servedNames: ['b'] } })), { KEYS: KEY }));
  slow.end(body.slice(10));
  let answer = '';
  for await (const chunk of slow) {
    answer += chunk;
  }
  expect(answer).toMatch(/^HTTP\/1\.1 404 /);
  expect(engine.requests).toHaveLength(1);
});

test('a target that is renamed, or comes back, has no more slots for it', async () => {
  const { engine, router, first, release, reload } = await fullRouter({ queue: { maxRequests: 0 } });
  await reload([target('renamed', engine, { maxInFlight: 1 })]);
  expect((await ask(router.url, chat())).status).toBe(429);
  const other = await engineWith();
  await reload([target('other', other)]);
  expect((await ask(router.url, chat())).status).toBe(200);
  await reload([target('again', engine, { maxInFlight: 1 })]);
  expect((await ask(router.url, chat())).status).toBe(429);
  release();
  expect((await first).status).toBe(200);
  expect((await ask(router.url, chat())).status).toBe(200);
  expect([engine.requests.length, other.requests.length]).toEqual([2, 1]);
});

test('what a caller has used of its limits counts after they are changed', async () => {
  const engine = await engineWith(wholly({ ...COMPLETION, usage: { prompt_tokens: 60, completion_tokens: 1140 } }));
  const limits = (tokensPerMinute: number) => ({ rateLimits: { tokensPerMinute } });
  const router = here = await routerFor([target('engine', engine)], limits(600));
  const reload = async (more: object) => router.reload(parseRouterConfig(JSON.stringify(configOf([target('engine', engine)], more)), { KEYS: KEY }));
  expect([(await ask(router.url, chat())).status, (await ask(router.url, chat())).status]).toEqual([200, 429]);
  await reload(limits(300));
  expect((await ask(router.url, chat())).status).toBe(429);
  await reload(limits(1e6));
  expect((await ask(router.url, chat())).status).toBe(200);
});

test('API keys of another variable are asked for at once', async () => {
  const engine = await engineWith();
  const env = { KEYS: KEY, OTHERS: 'another-key' };
  const router = here = await routerFor([target('engine', engine)], {}, env);
  await router.reload(parseRouterConfig(JSON.stringify(configOf([target('engine', engine)], { auth: { apiKeysEnv: 'OTHERS' } })), env));
  expect((await ask(router.url, chat())).status).toBe(401);
  expect((await ask(router.url, chat(), { authorization: 'Bearer another-key' })).status).toBe(200);
});

test('a certificate that is renewed is that of new connections; those that there are live on', async () => {
  const engine = await engineWith();
  const tls = { certificateFile: join(FOLDER, 'cert.pem'), keyFile: join(FOLDER, 'key.pem') };
  const renewed = [localCertificate(), localCertificate(), localCertificate()];
  const put = ({ certificateFile, keyFile }: typeof tls) => {
    copyFileSync(keyFile, tls.keyFile);
    copyFileSync(certificateFile, tls.certificateFile);
  };
  put(renewed[0]);
  const often = join(FOLDER, 'often.js');
  writeFileSync(often, OFTEN);
  const { router, port } = await start([target('engine', engine)], { tls }, { NODE_OPTIONS: `--require ${often}` });
  const seen = async () => new Promise<string>((resolve, reject) => {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.on('error', reject);
  });
  const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  const alive = async () => new Promise((resolve, reject) => {
    session.request({ ':path': '/healthz' }).on('response', (headers) => resolve(headers[':status'])).on('error', reject).resume().end();
  });
  expect(await alive()).toBe(200);
  const first = await seen();
  put(renewed[1]);
  await router.signalled('SIGHUP', 'the certificate was read anew');
  const second = await seen();
  // halfway: the key of another certificate.
  copyFileSync(renewed[2].keyFile, tls.keyFile);
  await router.said('the certificate could not be read anew: the one before stays');
  expect(await seen()).toBe(second);
  const from = router.lines.length;
  put(renewed[2]);
  await router.said('the certificate was read anew', from);
  expect(new Set([first, second, await seen()]).size).toBe(3);
  expect(await alive()).toBe(200);
  // what it is cut off from, when the router is killed, would be an error of nobody's.
  await new Promise<void>((resolve) => session.close(resolve));
}, 60_000);
