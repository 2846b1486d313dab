import { once } from 'node:events';
import { ClientHttp2Session, connect as connectHttp2, IncomingHttpHeaders } from 'node:http2';
import { connect, Socket } from 'node:net';
import { Writable } from 'node:stream';
import { chat, KEY, MockEngine, MODEL, routerFor, TestRouter, until, whole } from '../harness';

const CHAT = '/v1/chat/completions';
const CONVERSE = `/model/${MODEL}/converse`;
const BODY = JSON.stringify(chat());
/** How a body is announced, and how a part of it is sent. */
const FRAMINGS: [string, string, (part: string) => string][] = [
  ['of a length', 'content-length: 1000', (part) => part],
  ['in chunks', 'transfer-encoding: chunked', (part) => `${part.length.toString(16)}\r\n${part}\r\n`],
];
const HEAD = (path: string, framing: string) => `POST ${path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${KEY}\r\n${framing}\r\n\r\n`;

let engine: MockEngine;
let router: TestRouter;
const start = async (limits: object) => {
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { limits });
};

beforeEach(async () => {
  engine = await MockEngine.start(whole);
});
afterEach(async () => {
  await router.drain();
  await engine.stop();
});

const open = async () => {
  const socket = connect(router.port, '127.0.0.1');
  // a caller that still sends when it is cut off.
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
};
/** All that is said before the connection ends. */
const told = async (socket: Socket) => {
  let text = '';
  socket.setEncoding('utf8').on('data', (more: string) => (text += more));
  await once(socket, 'close');
  return text;
};
/** Something more of a body every 20 ms, until there is nobody to take it. */
const drip = (body: Writable, more: string) => {
  const timer = setInterval(() => body.writable && body.write(more), 20);
  body.once('close', () => clearInterval(timer));
};
const codes = () => router.lines.filter(({ msg }) => msg === 'request').map(({ code }) => code);

describe.each(FRAMINGS)('over HTTP/1.1 a body %s that does not come', (_, framing, part) => {
  test('is 408 to callers of OpenAI\'s API, and the connection ends', async () => {
    await start({ writeStallSeconds: 0.2 });
    const socket = await open();
    socket.write(HEAD(CHAT, framing) + part('{"model":'));
    const [head, body] = (await told(socket)).split('\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1\.1 408 .*\r\nconnection: close\r\n/is);
    expect(JSON.parse(body)).toEqual(
      { error: { message: 'nothing more of the body came for 0.2 s', type: 'invalid_request_error', param: null, code: 'body_timeout' } });
    await until(() => codes().length === 1, 'the log tells it');
    expect([codes(), engine.requests]).toEqual([['408'], []]);
  });

  test('is RequestTimeoutException to callers of Bedrock', async () => {
    await start({ writeStallSeconds: 0.2 });
    const socket = await open();
    socket.write(HEAD(CONVERSE, framing) + part('{"messages":'));
    const [head, body] = (await told(socket)).split('\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1\.1 408 .*\r\nx-amzn-errortype: RequestTimeoutException\r\n/is);
    expect(JSON.parse(body)).toEqual({ message: 'nothing more of the body came for 0.2 s' });
  });

  test('fast enough is 408 as well', async () => {
    await start({ bodyTimeoutSeconds: 0.4 });
    const socket = await open();
    socket.write(HEAD(CHAT, framing));
    drip(socket, part(' '));
    const text = await told(socket);
    expect(text).toMatch(/^HTTP\/1\.1 408 .*the body took longer than 0\.4 s to come/s);
  });

  test('ends the connection for what else is on it, but not for what was asked before', async () => {
    await start({ writeStallSeconds: 0.2 });
    const socket = await open();
    socket.write(`${HEAD(CHAT, `content-length: ${BODY.length}`)}${BODY}${HEAD(CHAT, framing)}${part('{')}`);
    const text = await told(socket);
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 408']);
  });
});

describe('over HTTP/2 a body that does not come', () => {
  const post = (session: ClientHttp2Session, path: string) =>
    session.request({ ':method': 'POST', ':path': path, 'authorization': `Bearer ${KEY}` }, { endStream: false });

  test('fast enough is 408', async () => {
    await start({ bodyTimeoutSeconds: 0.4 });
    const session = connectHttp2(router.url);
    const stream = post(session, CHAT);
    const closed = once(stream.resume(), 'close');
    drip(stream, ' ');
    const [{ ':status': status }] = await once(stream, 'response') as [IncomingHttpHeaders];
    await closed;
    expect([status, stream.rstCode, session.closed]).toEqual([408, 0, false]);
    session.destroy();
  });

  test('any more is 408 at once, however much of it was to come', async () => {
    await start({ writeStallSeconds: 0.2, bodyTimeoutSeconds: 20 });
    const session = connectHttp2(router.url);
    const stream = session.request({ ':method': 'POST', ':path': CHAT, 'authorization': `Bearer ${KEY}`, 'content-length': 20 * 1024 * 1024 }, { endStream: false });
    const closed = once(stream.resume(), 'close');
    stream.write(' ');
    const [{ ':status': status }] = await once(stream, 'response') as [IncomingHttpHeaders];
    await closed;
    expect([status, stream.rstCode, session.closed]).toEqual([408, 0, false]);
    session.destroy();
  }, 10_000);

  test('to its end after it was refused has its stream ended', async () => {
    await start({ bodyTimeoutSeconds: 0.4, maxBodyBytes: 100 });
    const session = connectHttp2(router.url);
    const stream = post(session, CHAT);
    const closed = once(stream.resume(), 'close');
    stream.write(' '.repeat(101));
    const [{ ':status': status }] = await once(stream, 'response') as [IncomingHttpHeaders];
    drip(stream, ' ');
    await closed;
    expect([status, stream.rstCode, session.closed]).toEqual([413, 0, false]);
    session.destroy();
  });

  test.each([
    [CHAT, undefined, expect.objectContaining({ error: expect.objectContaining({ code: 'body_timeout' }) })],
    [CONVERSE, 'RequestTimeoutException', { message: 'nothing more of the body came for 0.2 s' }],
  ])('is 408 at %s, and its stream ends, while the connection goes on', async (path, name, body) => {
    await start({ writeStallSeconds: 0.2 });
    const session = connectHttp2(router.url);
    const stream = post(session, path);
    const closed = once(stream, 'close');
    stream.write('{');
    let text = '';
    stream.setEncoding('utf8').on('data', (more: string) => (text += more));
    const [headers] = await once(stream, 'response') as [IncomingHttpHeaders];
    expect([headers[':status'], headers['x-amzn-errortype']]).toEqual([408, name]);
    await closed;
    expect([JSON.parse(text), stream.rstCode, session.closed]).toEqual([body, 0, false]);
    const next = post(session, CHAT);
    next.resume().end(BODY);
    const [{ ':status': status }] = await once(next, 'response') as [IncomingHttpHeaders];
    expect(status).toBe(200);
    session.destroy();
    await until(() => codes().length === 2, 'the log tells both');
    expect(codes()).toEqual(['408', '200']);
  });
});
