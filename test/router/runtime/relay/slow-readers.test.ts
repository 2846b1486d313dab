import { once } from 'node:events';
import { connect } from 'node:http2';
import { ask, chat, chunkOf, DONE, KEY, lastLineOf, MockEngine, routerFor, sleep, sse, whole } from '../harness';

test('a caller who does not read an answer has no slot of the engine that has said it', async () => {
  const engine = await MockEngine.start(whole);
  const router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url, maxInFlight: 1 }], { queue: { maxWaitSeconds: 2 } });
  const session = connect(router.url, { settings: { initialWindowSize: 0 } });
  const stream = session.request({ ':method': 'POST', ':path': '/v1/chat/completions', 'authorization': `Bearer ${KEY}` });
  stream.end(JSON.stringify(chat()));
  await new Promise((resolve) => stream.once('response', resolve));
  expect((await ask(router.url, chat())).status).toBe(200);
  expect((await router.metrics.inFlight.get()).values).toMatchObject([{ value: 0 }]);
  session.destroy();
  await router.drain();
  await engine.stop();
});

test('the time that a caller takes to read is no silence of its engine', async () => {
  const engine = await MockEngine.start((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    // more than is sent to who does not read.
    response.end(sse(chunkOf('x'.repeat(1000))).repeat(1000) + DONE);
  });
  const router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { limits: { idleTimeoutSeconds: 0.2 } });
  const session = connect(router.url);
  const stream = session.request({ ':method': 'POST', ':path': '/v1/chat/completions', 'authorization': `Bearer ${KEY}` });
  stream.setEncoding('utf8').end(JSON.stringify(chat({ stream: true })));
  await once(stream, 'response');
  await sleep(700);
  let text = '';
  stream.on('data', (piece: string) => { text += piece; });
  await once(stream, 'end');
  expect(text.endsWith('[DONE]\n\n')).toBe(true);
  expect(await lastLineOf(router)).toMatchObject({ code: '200' });
  session.destroy();
  await router.drain();
  await engine.stop();
});
