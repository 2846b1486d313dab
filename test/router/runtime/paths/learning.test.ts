import { ReadPrompts, Recalibration } from '../../../../src/routing';
import { VllmPair } from '../handoff/vllm-pair';
import { ask, chat, drained, MockEngine, routerFor, streamOf, TestRouter, until } from '../harness';

const RATES = { fixedSeconds: 1, secondsPerPromptToken: 0.001, stepSeconds: 0.001, stepSecondsPerSequence: 0 };
const RATED = { routing: { minPromptTokens: 0, disaggregated: RATES, aggregated: RATES }, expected: { ttftSeconds: 10 } };

let router: TestRouter;
const engines: { stop(): Promise<void> }[] = [];

const pairOf = async () => {
  const pair = await VllmPair.start();
  engines.push(pair);
  router = await routerFor([
    { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector: 'NixlConnector', prefill: 'prefill' },
    { name: 'prefill', role: 'prefill', protocol: 'openai', url: pair.prefill.url, kvConnector: 'NixlConnector' },
  ], RATED);
  return pair;
};
const routeOf = async () => {
  const response = await ask(router.url, chat({ stream: true }));
  await drained(response);
  return response.headers.get('x-router-route');
};
const ended = async (requests: number) => until(() => router.lines.filter(({ msg }) => msg === 'request').length === requests, `${requests} have ended`);

afterEach(async () => {
  jest.restoreAllMocks();
  await router.drain();
  await Promise.all(engines.splice(0).map(async (engine) => engine.stop()));
});

test('the time that a request waits for a slot is no part of what is learnt of its path', async () => {
  let open = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  const engine = await MockEngine.start(async (...call) => {
    await opened;
    return streamOf(['a'])(...call);
  });
  engines.push(engine);
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url, maxInFlight: 1 }], RATED);
  const learnt = jest.spyOn(Recalibration.prototype, 'learnTtft');
  const asked = [routeOf(), routeOf()];
  await until(async () => (await router.metrics.queueRequests.get()).values[0].value === 1, 'one waits');
  await new Promise((resolve) => setTimeout(resolve, 500));
  open();
  await Promise.all(asked);
  await ended(2);
  const [first, second] = learnt.mock.calls.map(([measuredSeconds]) => measuredSeconds);
  const { queuedSeconds, ttftSeconds } = router.lines.find((line) => line.queuedSeconds !== undefined);
  expect(first).toBeGreaterThan(0.5);
  expect(second).toBeLessThanOrEqual(ttftSeconds - queuedSeconds + 0.01);
});

test('of a hand-off that failed nothing is learnt of how fast hand-offs are', async () => {
  const pair = await pairOf();
  const learnt = jest.spyOn(Recalibration.prototype, 'learnTtft');
  expect(await routeOf()).toBe('disaggregated; reason=long_prompt');
  await ended(1);
  expect(learnt).toHaveBeenCalledTimes(1);
  pair.reachable = false;
  expect(await routeOf()).toBe('aggregated; reason=decode_failed');
  await ended(2);
  expect(learnt).toHaveBeenCalledTimes(1);
});

test('what was in a cache is learnt of the engine that has read the prompt', async () => {
  const pair = await pairOf();
  const { behaviour } = pair.prefill;
  pair.prefill.behaviour = async (response, received) => {
    const end = response.end.bind(response);
    const usage = { prompt_tokens: 12, prompt_tokens_details: { cached_tokens: 8 } };
    return behaviour(Object.assign(response, { end: (text: string) => end(JSON.stringify({ ...JSON.parse(text), usage })) }), received);
  };
  const learnt = jest.spyOn(ReadPrompts.prototype, 'learn');
  expect(await routeOf()).toBe('disaggregated; reason=long_prompt');
  await ended(1);
  expect(learnt).toHaveBeenCalledTimes(1);
});
