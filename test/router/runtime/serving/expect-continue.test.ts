import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { ClientHttp2Stream, connect as connectHttp2, IncomingHttpHeaders } from 'node:http2';
import { connect, Socket } from 'node:net';
import { RawConnection } from './raw-connection';
import { chat, KEY, MockEngine, MODEL, routerFor, TestRouter, until, whole } from '../harness';

const CHAT = '/v1/chat/completions';
const BODY = JSON.stringify(chat());
const head = (more: { path?: string; key?: string; length?: number } = {}) => {
  const { path = CHAT, key = KEY, length = BODY.length } = more;
  return `POST ${path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${key}\r\nexpect: 100-continue\r\ncontent-length: ${length}\r\n\r\n`;
};

let engine: MockEngine;
let router: TestRouter;

beforeEach(async () => {
  engine = await MockEngine.start(whole);
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { limits: { maxBodyBytes: 10_000 } });
});
afterEach(async () => {
  await router.drain();
  await engine.stop();
});

/** A connection, and what was said on it so far. */
const open = async () => {
  const said = await RawConnection.open(router.port);
  return { socket: said.socket, said };
};
const statuses = (text: string) => text.match(/HTTP\/1\.1 \d+/g)?.map((line) => Number(line.slice(-3)));
const ended = async (socket: Socket) => once(socket, 'close');

describe('a caller who waits for a word before it sends its body', () => {
  test('has it, then its answer, and its connection has more requests', async () => {
    const { socket, said } = await open();
    for (let i = 1; i <= 2; i++) {
      socket.write(head());
      await until(() => statuses(said.text)?.length === 2 * i - 1, 'the word');
      expect(said.text.endsWith('HTTP/1.1 100 Continue\r\n\r\n')).toBe(true);
      socket.write(BODY);
      await until(() => said.text.endsWith('}]}'), 'the answer');
    }
    expect(statuses(said.text)).toEqual([100, 200, 100, 200]);
    socket.destroy();
  });

  test('has it in its turn where it asks for several things at once', async () => {
    const { socket, said } = await open();
    socket.write(`${head()}${BODY}${head()}${BODY}`);
    await until(() => statuses(said.text)?.filter((status) => status === 200).length === 2, 'both answers');
    expect(statuses(said.text)).toEqual([100, 200, 100, 200]);
    socket.destroy();
  });

  test.each([
    ['whom nobody knows', { key: 'wrong' }, 401],
    ['whom nobody knows, at Bedrock\'s API', { key: 'wrong', path: `/model/${MODEL}/converse` }, 403],
    ['whose body is too long', { length: 10_001 }, 413],
    ['who asks for what there is not', { path: '/v1/nothing' }, 404],
    ['who may not post there', { path: '/v1/models' }, 405],
  ])('%s is refused without it, and its connection ends', async (_, more, status) => {
    const { socket, said } = await open();
    socket.write(head(more));
    await ended(socket);
    expect(statuses(said.text)).toEqual([status]);
    expect(said.text).toMatch(/\r\nconnection: close\r\n/i);
    expect(engine.requests).toEqual([]);
  });

  test.each([['whom nobody knows', 'wrong', 401], ['whose body is too long', KEY, 413]])('but sends it nevertheless, %s, has its answer', async (_, key, status) => {
    const socket = connect({ port: router.port, host: '127.0.0.1', allowHalfOpen: true });
    let text = '';
    const [closed, answered] = [once(socket, 'close'), once(socket, 'end')];
    socket.setEncoding('utf8').on('data', (more: string) => (text += more));
    const bytes = Buffer.alloc(8_000_000);
    socket.write(head({ key, length: bytes.length }));
    await new Promise((resolve) => socket.write(bytes, resolve));
    await answered;
    expect(statuses(text)).toEqual([status]);
    // which a connection that was reset could not be.
    await new Promise<void>((resolve, reject) => socket.once('error', reject).end(resolve));
    await closed;
  });

  test('and has reached its limit is refused without it', async () => {
    await router.drain();
    router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { rateLimits: { requestsPerMinute: 1 } });
    const { socket, said } = await open();
    socket.write(`${head()}${BODY}${head()}`);
    await ended(socket);
    expect(statuses(said.text)).toEqual([100, 200, 429]);
  });

  test('and then sends nothing is told 408', async () => {
    await router.drain();
    router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { limits: { writeStallSeconds: 0.2 } });
    const { socket, said } = await open();
    socket.write(head());
    await ended(socket);
    expect(statuses(said.text)).toEqual([100, 408]);
  });

  test('is served as Node\'s client asks', async () => {
    const headers = { 'authorization': `Bearer ${KEY}`, 'expect': '100-continue', 'content-length': BODY.length };
    const sent = httpRequest(`${router.url}${CHAT}`, { method: 'POST', headers });
    sent.flushHeaders();
    await once(sent, 'continue');
    const answered = once(sent, 'response');
    sent.end(BODY);
    const [response] = await answered;
    expect(response.statusCode).toBe(200);
    response.resume();
  });
});

describe('over HTTP/2 a caller who waits for a word', () => {
  const post = (key: string, more: object = {}) => {
    const session = connectHttp2(router.url);
    const headers = { ':method': 'POST', ':path': CHAT, 'authorization': `Bearer ${key}`, 'expect': '100-continue', ...more };
    const stream = session.request(headers, { endStream: false });
    const words: string[] = [];
    stream.on('continue', () => words.push('continue')).resume();
    return { session, stream, words };
  };
  const statusOf = async (stream: ClientHttp2Stream) => (await once(stream, 'response') as [IncomingHttpHeaders])[0][':status'];

  test('has it, then its answer', async () => {
    const { session, stream, words } = post(KEY);
    await once(stream, 'continue');
    const status = statusOf(stream);
    stream.end(BODY);
    expect([await status, words]).toEqual([200, ['continue']]);
    session.destroy();
  });

  test.each([['whom nobody knows', 'wrong', {}, 401], ['whose body is too long', KEY, { 'content-length': 10_001 }, 413]])(
    '%s is refused without it, and its stream ends', async (_, key, more, status) => {
      const { session, stream, words } = post(key, more);
      const closed = once(stream, 'close');
      expect(await statusOf(stream)).toBe(status);
      await closed;
      expect([words, stream.rstCode, session.closed]).toEqual([[], 0, false]);
      session.destroy();
    });
});
