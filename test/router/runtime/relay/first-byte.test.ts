import { ask, Behaviour, chat, lastLineOf, MockEngine, routerFor, silent, sleep, wholly } from '../harness';

test('the time to the first byte is that of all engines that are asked together', async () => {
  const busy: Behaviour = async (response, received) => {
    await sleep(700);
    return wholly({ error: { message: 'too many requests' } }, 429)(response, received);
  };
  const engines = [await MockEngine.start(busy), await MockEngine.start(silent)];
  const targets = engines.map(({ url }, i) => ({ name: `engine${i}`, role: 'aggregated', protocol: 'openai', url }));
  const router = await routerFor(targets, { limits: { firstByteTimeoutSeconds: 1 } });
  expect((await ask(router.url, chat({ stream: true }))).status).toBe(504);
  expect(engines.map(({ requests }) => requests.length)).toEqual([1, 1]);
  expect((await lastLineOf(router)).durationSeconds).toBeLessThan(1.6);
  await router.drain();
  await Promise.all(engines.map(async (engine) => engine.stop()));
});
