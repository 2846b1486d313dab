import { connect } from 'node:http2';
import { ask, chat, KEY, MockEngine, routerFor, whole } from '../harness';

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
