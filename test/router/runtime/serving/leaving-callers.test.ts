import { once } from 'node:events';
import { ClientHttp2Session, ClientHttp2Stream, connect, constants } from 'node:http2';
import { chat, chunkOf, DONE, KEY, MockEngine, routerFor, sse, TestRouter, until } from '../harness';

/** More than a socket and a window of HTTP/2 hold. */
const LONG_TEXT = 'x'.repeat(1_000_000);

let engine: MockEngine;
let router: TestRouter;
let session: ClientHttp2Session;
let finish: (text?: string) => void;
/** The way down, once it has begun. */
let down: Promise<void> | undefined;

const start = async (more: object = {}) => {
  // the first answer ends when it is told to, the others at once.
  engine = await MockEngine.start((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(chunkOf('begun')));
    const end = (text = '') => response.end(sse(chunkOf(text)) + DONE);
    if (engine.requests.length === 1) {
      finish = end;
    } else {
      end();
    }
  });
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { drainSeconds: 30, ...more });
  session = connect(router.url);
  session.on('error', () => undefined);
};
afterEach(async () => {
  session.destroy();
  await (down ?? router.drain());
  down = undefined;
  await engine.stop();
});

function request(): ClientHttp2Stream {
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST', [constants.HTTP2_HEADER_PATH]: '/v1/chat/completions', 'authorization': `Bearer ${KEY}`, 'content-type': 'application/json',
  });
  stream.on('error', () => undefined).end(JSON.stringify(chat({ stream: true })));
  return stream;
}

/** What comes of an answer until it ends, or is cut off. */
async function textOf(stream: ClientHttp2Stream): Promise<string> {
  let text = '';
  stream.setEncoding('utf8').on('data', (more: string) => (text += more));
  await new Promise((resolve) => stream.once('close', resolve));
  return text;
}

// as AWS' SDK for JavaScript does, from before the middle of 2026: @smithy/node-http-handler 4.1 and 4.5.
const destroyOnceTold = () => session.once('goaway', () => session.destroy());

/** Sends a request whose answer has begun. */
async function begun(): Promise<{ stream: ClientHttp2Stream; text: Promise<string> }> {
  const stream = request();
  const text = textOf(stream);
  await once(stream, 'data');
  return { stream, text };
}

test('a caller that closes its connection once its answer has begun, and destroys it when told the same, has all of it', async () => {
  await start();
  destroyOnceTold();
  const closed = once(session, 'close');
  const stream = request();
  stream.once('response', () => session.close());
  const text = textOf(stream);
  await once(stream, 'data');
  finish(LONG_TEXT);
  expect(await text).toContain(LONG_TEXT);
  expect(await text).toContain('[DONE]');
  expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
  // which its connection does not outlive by much.
  await closed;
});

test('a router that goes down tells nothing to a caller that has said itself that it goes', async () => {
  await start({ lameduckSeconds: 0 });
  destroyOnceTold();
  const { text } = await begun();
  session.close();
  // what is sent after it was read after it.
  await new Promise<void>((resolve) => session.once('localSettings', () => resolve()).settings({ enablePush: false }));
  down = router.drain();
  await until(async () => fetch(`${router.url}/readyz`).then(() => false, () => true), 'it listens no more');
  finish(LONG_TEXT);
  expect(await text).toContain('[DONE]');
});

test('a router that goes down goes on with who has requests on a connection, and lets it go once it has none', async () => {
  await start({ lameduckSeconds: 8 });
  const goaway = once(session, 'goaway');
  let isTold = false;
  session.once('goaway', () => (isTold = true));
  const { text } = await begun();
  down = router.drain();
  expect((await fetch(`${router.url}/readyz`)).status).toBe(503);
  // new ones are served too.
  expect(await textOf(request())).toContain('[DONE]');
  expect(isTold).toBe(false);
  finish(LONG_TEXT);
  expect(await text).toContain('[DONE]');
  expect((await goaway)[0]).toBe(constants.NGHTTP2_NO_ERROR);
  expect((await fetch(`${router.url}/readyz`)).status).toBe(503);
}, 30_000);

test('once it listens no more, others are told that nothing new is taken, and have what has begun', async () => {
  await start({ lameduckSeconds: 0 });
  const goaway = once(session, 'goaway');
  const { stream, text } = await begun();
  down = router.drain();
  expect((await goaway)[0]).toBe(constants.NGHTTP2_NO_ERROR);
  finish(LONG_TEXT);
  expect(await text).toContain('[DONE]');
  expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
});
