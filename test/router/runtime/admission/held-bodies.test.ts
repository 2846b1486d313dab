import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect, Socket } from 'node:net';
import { ask, chat, COMPLETION, errorOf, KEY, MockEngine, MODEL, routerFor, silent, TestRouter, until, whole } from '../harness';

const LIMITS = { maxBodyBytes: 1000, maxHeldBytes: 2000 };
/** A request of so many bytes. */
const sized = (bytes: number) => JSON.stringify(chat({ user: 'x'.repeat(bytes - JSON.stringify(chat({ user: '' })).length) }));

let engine: MockEngine;
let router: TestRouter;
let sockets: Socket[];

beforeEach(async () => {
  sockets = [];
  engine = await MockEngine.start(whole);
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { limits: LIMITS });
});
afterEach(async () => {
  sockets.forEach((socket) => socket.destroy());
  await router.drain();
  await engine.stop();
});

/** A caller who begins to send a body that is announced as a header tells. */
const begun = (header: string, body = '', key = KEY) => {
  const socket = connect(router.port, '127.0.0.1').on('error', () => undefined);
  sockets.push(socket);
  socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: r\r\nauthorization: Bearer ${key}\r\n${header}\r\n\r\n${body}`);
  return socket;
};
const chunkedBody = async (text: string) => {
  const streamed = { body: new Blob([text]).stream(), duplex: 'half' } as RequestInit;
  return fetch(`${router.url}/v1/chat/completions`, { method: 'POST', headers: { authorization: `Bearer ${KEY}` }, ...streamed });
};
const isFull = async () => (await ask(router.url, sized(900))).status === 429;
const hasRoom = async () => (await ask(router.url, sized(1000))).status === 200;

test.each([['whose length is announced', 'content-length: 1000', 'x'.repeat(999)], ['in chunks', 'transfer-encoding: chunked', `3e7\r\n${'x'.repeat(999)}\r\n`]])(
  'bodies that are on their way, %s, leave no room for others, whose callers are told when to come back', async (_, header, body) => {
    const socket = begun(header, body);
    await until(isFull, 'a router without room');
    const refused = await ask(router.url, sized(900));
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await errorOf(refused)).toMatchObject({ code: 'router_full', message: 'the router has as many bytes of requests in memory as it may have' });
    expect((await chunkedBody(sized(900))).status).toBe(429);
    const converse = await ask(router.url, { messages: [{ role: 'user', content: [{ text: 'x'.repeat(800) }] }] }, {}, `/model/${MODEL}/converse`);
    expect([converse.status, converse.headers.get('x-amzn-errortype')]).toEqual([429, 'ThrottlingException']);
    // what there is room for is answered.
    expect((await ask(router.url, sized(400))).status).toBe(200);
    expect(await router.metrics.registry.metrics()).toMatch(/router_throttled_total\{reason="bodies_full"\} \d/);
    socket.destroy();
    await until(hasRoom, 'room again');
  });

test('a body is held until its request ends, however it does', async () => {
  engine.behaviour = silent;
  const aborter = new AbortController();
  const asked = fetch(`${router.url}/v1/chat/completions`, {
    method: 'POST', headers: { authorization: `Bearer ${KEY}` }, body: sized(1000), signal: aborter.signal,
  }).catch(() => undefined);
  await until(() => engine.requests.length === 1, 'a request at the engine');
  engine.behaviour = whole;
  expect(await isFull()).toBe(true);
  aborter.abort();
  await asked;
  await until(hasRoom, 'room again');
  for (let i = 0; i < 3; i++) {
    expect((await chunkedBody(sized(1200))).status).toBe(413);
    expect((await ask(router.url, '{"'.padEnd(900))).status).toBe(400);
  }
  expect(await hasRoom()).toBe(true);
});

test('a body of many values takes the memory that they will', async () => {
  engine.behaviour = silent;
  const aborter = new AbortController();
  const asked = fetch(`${router.url}/v1/chat/completions`, {
    method: 'POST', headers: { authorization: `Bearer ${KEY}` }, body: JSON.stringify(chat({ stop_token_ids: Array(70).fill(1) })), signal: aborter.signal,
  }).catch(() => undefined);
  await until(() => engine.requests.length === 1, 'a request at the engine');
  engine.behaviour = whole;
  expect((await ask(router.url, sized(400))).status).toBe(429);
  aborter.abort();
  await asked;
  await until(hasRoom, 'room again');
});

test('callers who are not known hold nothing', async () => {
  const told = begun('content-length: 1000', 'x'.repeat(999), 'wrong');
  const [answer] = await once(told, 'data');
  expect(String(answer)).toMatch(/^HTTP\/1.1 401 /);
  expect(await hasRoom()).toBe(true);
});

test('a connection of HTTP/2 has 128 requests at once, and their bodies are bounded alike', async () => {
  const session = connectHttp2(router.url);
  const [settings] = await once(session, 'remoteSettings');
  expect(settings.maxConcurrentStreams).toBe(128);
  const asking = (body: string, isWhole: boolean) => {
    const stream = session.request({ ':method': 'POST', ':path': '/v1/chat/completions', 'authorization': `Bearer ${KEY}` }).on('error', () => undefined);
    stream.write(body);
    return isWhole ? stream.end() : stream;
  };
  asking('x'.repeat(999), false);
  await until(isFull, 'a router without room');
  const [headers] = await once(asking(sized(900), true), 'response');
  expect(headers).toMatchObject({ ':status': 429, 'retry-after': '1' });
  session.destroy();
  await until(hasRoom, 'room again');
});

describe('of two callers', () => {
  const askAs = async (key: string, body: string) => ask(router.url, body, { authorization: `Bearer ${key}` });
  const begin = (count: number, bytes: number, sentBytes: number) =>
    Array.from({ length: count }, () => begun(`content-length: ${bytes}`, 'x'.repeat(sentBytes), 'bad'));
  const statusOf = async (socket: Socket) => String((await once(socket, 'data'))[0]).split(' ')[1];
  const startFor = async (more: object) => {
    await router.drain();
    router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { limits: LIMITS, ...more }, {
      KEYS: JSON.stringify([{ name: 'bad', key: 'bad' }, { name: 'good', key: 'good' }]),
    });
  };

  test('one that fills the memory that it may have leaves some to the other', async () => {
    await startFor({});
    begin(1, 1000, 999);
    await until(async () => (await askAs('bad', sized(900))).status === 429, 'its first body is there');
    begin(1, 500, 490);
    await until(async () => (await askAs('bad', sized(200))).status === 429, 'it may have no more');
    expect((await askAs('good', sized(300))).status).toBe(200);
  });

  test('one that does not read its long answers has its share of the memory for them, and as many more as slots of the engine, which others then have not', async () => {
    await startFor({ limits: { maxBodyBytes: 1000, maxHeldBytes: 2_000_000 } });
    const long = JSON.stringify({ ...COMPLETION, padding: 'x'.repeat(600_000) });
    engine.behaviour = (response, received) => (received.text.includes('long')
      ? void response.writeHead(200, { 'content-type': 'application/json' }).end(long) : whole(response, received));
    const session = connectHttp2(router.url, { settings: { initialWindowSize: 0 } }).on('error', () => undefined);
    const body = JSON.stringify(chat({ user: 'long' }));
    const statuses = await Promise.all([1, 2, 3].map(async () => {
      const stream = session.request({ ':method': 'POST', ':path': '/v1/chat/completions', 'authorization': 'Bearer bad' }).on('error', () => undefined);
      stream.end(body);
      return (await once(stream, 'response'))[0][':status'];
    }));
    expect(statuses).toEqual([200, 200, 200]);
    const slots = async () => (await router.metrics.inFlight.get()).values[0].value;
    expect(await slots()).toBe(1);
    expect((await askAs('good', sized(400))).status).toBe(200);
    // who reads has all of an answer, whether or not there is room.
    expect(await (await askAs('bad', body)).text()).toBe(long);
    expect(await router.metrics.registry.metrics()).not.toContain('router_throttled_total{');
    session.destroy();
    await until(async () => await slots() === 0, 'they have left');
  });

  test('one that announces what it does not send takes no room', async () => {
    await startFor({});
    await Promise.all(begin(20, 1000, 1).map(async (socket) => once(socket, 'connect')));
    expect((await askAs('good', sized(1000))).status).toBe(200);
  });

  test('each has a request of its limit for a body that is on its way, and for one that never comes, but not for one that is refused', async () => {
    await startFor({ rateLimits: { requestsPerMinute: 2 } });
    for (let i = 0; i < 3; i++) {
      expect((await askAs('bad', sized(1001))).status).toBe(413);
    }
    const slow = begin(2, 1000, 1);
    const refused = begin(1, 1000, 1);
    expect(await statusOf(refused[0])).toBe('429');
    expect((await askAs('good', sized(400))).status).toBe(200);
    slow.forEach((socket) => socket.destroy());
    await until(() => router.lines.filter(({ code }) => code === '499').length === 2, 'they have left');
    const response = await askAs('bad', sized(400));
    expect([response.status, (await errorOf(response)).code]).toEqual([429, 'rate_limit_exceeded']);
    expect((await askAs('good', sized(400))).status).toBe(200);
  });
});
