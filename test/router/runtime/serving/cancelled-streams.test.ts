import { once } from 'node:events';
import { ServerResponse } from 'node:http';
import { ClientHttp2Session, ClientHttp2Stream, connect, constants } from 'node:http2';
import { ask, chat, chunkOf, DONE, KEY, MockEngine, routerFor, sse, streamOf, TestRouter, until } from '../harness';

/** More than Node takes of one connection. */
const CANCELS = 1500;
const AT_ONCE = 20;
/** As many as a connection has at once. */
const AT_ONCE_BROKEN = 120;
/** More than a caller may cancel before nothing new is taken of its connection. */
const BROKEN = 1200;

let engine: MockEngine;
let router: TestRouter;
let finish: () => void;
const sessions: ClientHttp2Session[] = [];

beforeEach(async () => {
  // the first answer ends when it is told to, the others never.
  engine = await MockEngine.start((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(chunkOf('begun')));
    if (engine.requests.length === 1) {
      finish = () => response.end(DONE);
    }
  });
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url, maxInFlight: AT_ONCE + 1 }]);
});
afterEach(async () => {
  sessions.splice(0).forEach((session) => session.destroy());
  await router.drain();
  await engine.stop();
});

function newSession(url = router.url): ClientHttp2Session {
  const session = connect(url);
  sessions.push(session);
  return session;
}

function request(session: ClientHttp2Session): ClientHttp2Stream {
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST', [constants.HTTP2_HEADER_PATH]: '/v1/chat/completions', 'authorization': `Bearer ${KEY}`, 'content-type': 'application/json',
  });
  stream.end(JSON.stringify(chat({ stream: true })));
  return stream;
}

test.each([['CANCEL', constants.NGHTTP2_CANCEL], ['NO_ERROR', constants.NGHTTP2_NO_ERROR]])('a caller that cancels one answer after the other with %s loses no other of the same connection', async (_, code) => {
  const session = newSession();
  const goaway = once(session, 'goaway');
  const first = request(session).setEncoding('utf8');
  let text = '';
  first.on('data', (more: string) => {
    text += more;
  });
  await once(first, 'data');
  let current = session;
  let cancelled = 0;
  const cancelling = async () => {
    while (cancelled < CANCELS) {
      // who is asked to go elsewhere does, and asks again there what was not sent any more.
      current = current.closed ? newSession() : current;
      const stream = request(current);
      const begun = await once(stream, 'data').then(() => true, () => false);
      if (begun) {
        cancelled++;
        stream.close(code);
        await once(stream, 'close');
      } else {
        expect(stream.rstCode).toBe(constants.NGHTTP2_REFUSED_STREAM);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, cancelling));
  expect((await goaway)[0]).toBe(constants.NGHTTP2_NO_ERROR);
  expect(sessions.length).toBeGreaterThan(1);
  await until(() => engine.active === 1, 'engines are let go of what was cancelled');
  finish();
  await once(first, 'end');
  expect(text).toContain('[DONE]');
  expect(engine.requests.length).toBe(cancelled + 1);
});

test('answers that the router breaks off, as their engine fails, are not their caller\'s to answer for', async () => {
  const answers: ServerResponse[] = [];
  const failing = await MockEngine.start((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(chunkOf('begun')));
    answers.push(response);
  });
  const other = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: failing.url, maxInFlight: AT_ONCE_BROKEN }]);
  const session = newSession(other.url);
  let isAsked = false;
  session.once('goaway', () => (isAsked = true));
  try {
    for (let broken = 0; broken < BROKEN; broken += AT_ONCE_BROKEN) {
      const streams = Array.from({ length: AT_ONCE_BROKEN }, () => request(session).on('error', () => undefined).resume());
      const closed = streams.map(async (stream) => new Promise((resolve) => stream.once('close', resolve)));
      await Promise.all(streams.map(async (stream) => once(stream, 'data')));
      answers.splice(0).forEach((response) => response.destroy());
      await Promise.all(closed);
      expect(new Set(streams.map(({ rstCode }) => rstCode))).toEqual(new Set([constants.NGHTTP2_INTERNAL_ERROR]));
    }
    const health = session.request({ [constants.HTTP2_HEADER_PATH]: '/healthz' }).resume();
    const [headers] = await once(health, 'response');
    expect([headers[constants.HTTP2_HEADER_STATUS], isAsked, session.closed]).toEqual([200, false, false]);
  } finally {
    session.destroy();
    await other.drain();
    await failing.stop();
  }
});

test('10,000 requests that are cancelled as soon as they are sent leave nothing behind', async () => {
  const first = request(newSession());
  await once(first, 'data');
  for (let sent = 0; sent < 10_000; sent += 100) {
    const session = sessions.at(-1)!.closed ? newSession() : sessions.at(-1)!;
    // streams that a closing connection takes no longer are refused, as they may be.
    const streams = Array.from({ length: 100 }, () => request(session).on('error', () => undefined));
    streams.forEach((stream) => stream.close(constants.NGHTTP2_CANCEL));
    await Promise.all(streams.map(async (stream) => once(stream, 'close')));
  }
  finish();
  await once(first.resume(), 'close');
  expect(first.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
  await until(async () => (await (await fetch(`${router.url}/metrics`)).text()).includes('router_in_flight{target="engine"} 0'), 'the engine has no requests');
  expect(engine.active).toBe(0);
  // on a slow machine this process, which the engine is in too, may have had no time for probes.
  await until(async () => (await (await fetch(`${router.url}/readyz`)).text()).includes('"healthy":1'), 'the engine is known to be well');
  // every slot is free: nothing waits.
  engine.behaviour = streamOf(['hello'], 20);
  const answers = await Promise.all(Array.from({ length: AT_ONCE + 1 }, async () => (await ask(router.url, chat({ stream: true }))).text()));
  expect(answers.every((text) => text.includes('[DONE]'))).toBe(true);
  expect(router.lines.filter(({ msg }) => msg === 'request').slice(-answers.length).some(({ queuedSeconds }) => queuedSeconds !== undefined)).toBe(false);
});
