import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { localCertificate } from './certificate';
import { Behaviour, chat, chunkOf, KEY, MockEngine, routerFor, silent, sse, TestRouter, until, wholly, COMPLETION } from '../harness';

const FILES = localCertificate();
const ca = readFileSync(FILES.certificateFile);
/** What a socket reads at once: no more is known of the rest, so that the end that follows is read with it. */
const READ_BYTES = 64 * 1024;

let engine: MockEngine;
let router: TestRouter;

afterEach(async () => {
  await router.drain();
  await engine.stop();
});

afterAll(() => rmSync(dirname(FILES.keyFile), { recursive: true }));

const get = (path: string, key = KEY) => `GET ${path} HTTP/1.1\r\nhost: r\r\nauthorization: Bearer ${key}\r\n\r\n`;
const post = (body: string) => `POST /v1/chat/completions HTTP/1.1\r\nhost: r\r\nauthorization: Bearer ${KEY}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
const asking = (more: object = {}) => post(JSON.stringify(chat(more)));
const REFUSED = JSON.stringify(chat({ top_p: 7 }));

/** The statuses of what came. */
const statusesOf = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));

describe.each([['TCP', {}], ['TLS', { tls: FILES }]])('a caller of HTTP/1.1 over %s that ends its sending side', (protocol, more) => {
  const start = async (behaviour: Behaviour = silent, healthStatus = 200) => {
    engine = await MockEngine.start(behaviour);
    engine.healthStatus = healthStatus;
    router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url, maxInFlight: 1 }], more);
  };

  /** A connection, and what comes over it until it is closed. */
  const connected = async () => {
    const options = { port: router.port, host: '127.0.0.1', allowHalfOpen: true };
    const socket = protocol === 'TLS' ? connectTls({ ...options, ca, ALPNProtocols: ['http/1.1'] }) : connect(options);
    await once(socket, protocol === 'TLS' ? 'secureConnect' : 'connect');
    let text = '';
    socket.on('error', () => undefined).setEncoding('utf8').on('data', (piece: string) => (text += piece));
    return { socket, got: () => text, closed: new Promise((resolve) => socket.once('close', resolve)) };
  };

  /** What comes of requests with which, or just after which, the caller says its last word. */
  const toldOf = async (requests: string, isAtOnce = true) => {
    const { socket, got, closed } = await connected();
    socket.write(requests);
    if (isAtOnce) {
      socket.end();
    } else {
      setImmediate(() => socket.end());
    }
    await closed;
    return got();
  };

  const isGivenUp = async () => {
    await until(() => router.lines.some(({ code }) => code === '499'), 'it is given up');
    await until(() => engine.active === 0, 'no engine works for it');
    expect(await router.metrics.registry.getSingleMetricAsString('router_in_flight')).not.toMatch(/\} [1-9]/);
  };

  test.each([
    ['its health', get('/healthz'), 200], ['its health, by a whole URL', get('http://any.example:81/healthz?a'), 200], ['its model', get('/v1/models'), 200], ['its metrics', get('/metrics'), 200],
    ['of a wrong key', get('/v1/models', 'wrong'), 401], ['of a wrong path', get('/v1/model'), 404], ['of a wrong field', post(REFUSED), 400],
    ['of one, which it reads with the end', post(REFUSED.padEnd(READ_BYTES - post('12345').length + 5)), 400],
  ])('is told by the router %s', async (_, request, status) => {
    await start();
    for (const isAtOnce of [true, false]) {
      const text = await toldOf(request, isAtOnce);
      const [head, body] = text.split('\r\n\r\n');
      expect(statusesOf(head)).toEqual([status]);
      expect(body).toHaveLength(Number(/content-length: (\d+)/i.exec(head)![1]));
    }
  });

  test('is told of each of several requests', async () => {
    await start();
    expect(statusesOf(await toldOf(get('/healthz') + post(REFUSED) + get('/v1/models') + get('/v1/models', 'wrong')))).toEqual([200, 400, 200, 401]);
  });

  test('is told that no engine can answer', async () => {
    await start(silent, 500);
    expect(statusesOf(await toldOf(get('/healthz') + asking()))).toEqual([200, 503]);
  });

  test.each([[true], [false]])('has left where an engine is to answer, at once: %s', async (isAtOnce) => {
    await start();
    expect(statusesOf(await toldOf(get('/healthz') + asking(), isAtOnce))).toEqual([200]);
    await isGivenUp();
  });

  test('has left a stream that has begun, which is cut', async () => {
    await start((response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(chunkOf('begun'))));
    const { socket, got, closed } = await connected();
    socket.write(asking({ stream: true }));
    await until(() => got().includes('begun'), 'it has begun');
    socket.end();
    await closed;
    expect(got()).not.toMatch(/\r\n0\r\n\r\n$/);
    await isGivenUp();
  });

  test('has left the queue', async () => {
    await start();
    const { socket: first } = await connected();
    first.write(asking());
    await until(() => engine.requests.length === 1, 'the engine is busy');
    const { socket, got, closed } = await connected();
    socket.write(asking());
    const waiting = async () => router.metrics.registry.getSingleMetricAsString('router_queue_requests');
    await until(async () => (await waiting()).includes('router_queue_requests 1'), 'it waits');
    socket.end();
    await closed;
    expect(got()).toBe('');
    expect(await waiting()).toContain('router_queue_requests 0');
    first.destroy();
    await isGivenUp();
    expect(engine.requests).toHaveLength(1);
  });

  test('once it was answered has all of its answer', async () => {
    const content = 'x'.repeat(8_000_000);
    await start(wholly({ ...COMPLETION, choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }] }));
    const { socket, got, closed } = await connected();
    socket.write(asking());
    // more of it is yet to come than sockets hold.
    await until(() => got() !== '', 'it has begun');
    socket.end();
    await closed;
    expect(got()).toContain(content);
  });
});
