import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { Behaviour, chat, chunkOf, DONE, KEY, MockEngine, routerFor, sleep, sse, streamOf, TestRouter, until } from '../harness';

/** More than is sent to who does not read. */
const fast: Behaviour = (response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.end(sse(chunkOf('x'.repeat(1000))).repeat(1000) + DONE);
};

let engine: MockEngine;
let router: TestRouter;

beforeEach(async () => {
  engine = await MockEngine.start(fast);
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }]);
});
afterEach(async () => {
  await router.drain();
  await engine.stop();
});

const lineOf = async () => {
  await until(() => router.lines.some(({ msg }) => msg === 'request'), 'an access log line');
  return router.lines.find(({ msg }) => msg === 'request');
};

test('the time to the first token begins when the body is there, however slowly that comes', async () => {
  const socket = connect(router.port, '127.0.0.1');
  const body = JSON.stringify(chat({ stream: true }));
  socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: r\r\nauthorization: Bearer ${KEY}\r\ncontent-length: ${body.length}\r\nexpect: 100-continue\r\n\r\n`);
  expect(String(await once(socket, 'data'))).toContain('100 Continue');
  await sleep(500);
  socket.resume().write(body);
  const { ttftSeconds, durationSeconds, code } = await lineOf();
  expect(code).toBe('200');
  expect(durationSeconds - ttftSeconds).toBeGreaterThan(0.49);
  socket.destroy();
});

test.each<[string, Behaviour, number, boolean]>([
  ['that reads at once has', streamOf(['a', 'b', 'c'], 100), 0, true],
  ['that keeps the engine waiting has not', fast, 500, false],
])('a caller %s the time of a token measured', async (_, behaviour, pauseMillis, isMeasured) => {
  engine.behaviour = behaviour;
  const session = connectHttp2(router.url);
  const stream = session.request({ ':method': 'POST', ':path': '/v1/chat/completions', 'authorization': `Bearer ${KEY}` });
  stream.end(JSON.stringify(chat({ stream: true })));
  await once(stream, 'response');
  await sleep(pauseMillis);
  stream.resume();
  await once(stream, 'end');
  const { tpotSeconds, code } = await lineOf();
  expect([code, tpotSeconds !== undefined]).toEqual(['200', isMeasured]);
  session.destroy();
});
