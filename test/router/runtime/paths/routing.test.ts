import { performance } from 'node:perf_hooks';
import { VllmPair } from '../handoff/vllm-pair';
import { ask, chat, chunkOf, DONE, drained, lastLineOf, MockEngine, routerFor, sse, TestRouter, until, whole } from '../harness';

/** Of an engine that reads a token in a millisecond, with nothing else that takes time. */
const RATES = { fixedSeconds: 0, secondsPerPromptToken: 0.001, stepSeconds: 0, stepSecondsPerSequence: 0 };
/** A prompt of so many tokens, at four bytes each. */
const prompt = (tokens: number, more: object = {}) => chat({ messages: [{ role: 'user', content: 'word'.repeat(tokens - 4) }], ...more });

let pair: VllmPair;
let router: TestRouter;
const others: MockEngine[] = [];

const targets = (decode: object = {}) => [
  { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector: 'NixlConnector', prefill: 'prefill', ...decode },
  { name: 'prefill', role: 'prefill', protocol: 'openai', url: pair.prefill.url, kvConnector: 'NixlConnector' },
];
const start = async (more: object = {}, of: object[] = targets()) => {
  router = await routerFor(of, { priorityCallers: ['*'], ...more });
};
const route = async (body: unknown, headers = {}) => {
  const response = await ask(router.url, body, headers);
  await drained(response);
  return `${response.status} ${response.headers.get('x-router-route')}`;
};
const decisions = async () => Object.fromEntries(
  (await router.metrics.decisions.get()).values.map(({ labels, value }) => [`${labels.path} ${labels.reason}`, value]));
/** Something that is waited for until it is opened. */
const gate = () => {
  let open = () => {};
  return { closed: new Promise<void>((resolve) => (open = resolve)), open: () => open() };
};

beforeEach(async () => {
  pair = await VllmPair.start();
});
afterEach(async () => {
  await router.drain();
  await Promise.all([pair, ...others.splice(0)].map(async (engine) => engine.stop()));
});

describe('without rates', () => {
  test('a prompt is handed on if it is long enough, which header, log and metrics say', async () => {
    await start();
    expect(await route(prompt(600))).toBe('200 disaggregated; reason=long_prompt');
    expect(await lastLineOf(router)).toMatchObject({ path: 'disaggregated', reason: 'long_prompt', handoff: 'handed_off', target: 'decode' });
    expect([pair.fetches, pair.localPrefills]).toEqual([1, 0]);
    expect(await route(prompt(500, { stream: true }))).toBe('200 aggregated; reason=short_prompt');
    expect(await lastLineOf(router)).toMatchObject({ path: 'aggregated', reason: 'short_prompt', handoff: 'short_prompt', target: 'decode' });
    expect([pair.fetches, pair.localPrefills]).toEqual([1, 1]);
    expect(await decisions()).toEqual({ 'disaggregated long_prompt': 1, 'aggregated short_prompt': 1 });
  });

  test('an aggregated target before the pair gets what is not handed on', async () => {
    const alone = await MockEngine.start(whole);
    others.push(alone);
    await start({}, [{ name: 'alone', role: 'aggregated', protocol: 'openai', url: alone.url, maxInFlight: 1 }, ...targets()]);
    expect(await route(prompt(600))).toBe('200 disaggregated; reason=long_prompt');
    expect(await route(prompt(100))).toBe('200 aggregated; reason=short_prompt');
    expect(await route(prompt(600, { n: 2 }))).toBe('200 aggregated; reason=not_eligible');
    expect([alone.requests.length, pair.localPrefills]).toEqual([2, 0]);
    // while it is full, the decode engine takes a short prompt as well.
    const { closed, open } = gate();
    alone.behaviour = async (response, received) => {
      await closed;
      return whole(response, received);
    };
    const waiting = route(prompt(100));
    await until(() => alone.requests.length === 3, 'the engine is full');
    expect(await route(prompt(100))).toBe('200 aggregated; reason=short_prompt');
    expect(await lastLineOf(router)).toMatchObject({ target: 'decode', handoff: 'short_prompt' });
    open();
    expect(await waiting).toBe('200 aggregated; reason=short_prompt');
  });

  test('what nothing can take is refused, with the reason', async () => {
    await start({ queue: { maxRequests: 0 } }, targets({ maxInFlight: 1 }));
    const { closed, open } = gate();
    pair.gate = closed;
    const waiting = route(prompt(600));
    await until(() => pair.prefill.requests.length === 1, 'the decode engine is full');
    expect(await route(prompt(600))).toBe('429 refuse; reason=no_slot');
    expect(await decisions()).toMatchObject({ 'refuse no_slot': 1 });
    open();
    await waiting;
    await pair.stop();
    await until(async () => await route(prompt(600)) === '503 refuse; reason=nothing_available', 'the engines are known to be down');
    expect(await decisions()).toMatchObject({ 'refuse nothing_available': 1 });
    expect(await lastLineOf(router)).toMatchObject({ path: 'refuse', reason: 'nothing_available', target: 'none', code: '503' });
  });

  test('the length of prompts is learnt from what engines say of it', async () => {
    await start();
    for (const engine of [pair.prefill, pair.decode]) {
      const { behaviour } = engine;
      engine.behaviour = async (response, received) => {
        const end = response.end.bind(response);
        const usage = { prompt_tokens: Math.round(received.text.length / 2) };
        return behaviour(Object.assign(response, { end: (text: string) => end(JSON.stringify({ ...JSON.parse(text), usage })) }), received);
      };
    }
    const answers = [];
    for (let i = 0; i < 20; i++) {
      answers.push(await route(prompt(400)));
    }
    expect([answers[0], answers[19]]).toEqual(['200 aggregated; reason=short_prompt', '200 disaggregated; reason=long_prompt']);
  });
});

describe('with an objective and rates', () => {
  const ROUTING = { disaggregated: RATES, aggregated: RATES };

  test('a prompt that would wait too long for the prefill engine is read by the decode engine, unless it has no haste', async () => {
    await start({ routing: ROUTING, expected: { ttftSeconds: 1 } });
    const { closed, open } = gate();
    pair.gate = closed;
    const waiting = [route(prompt(800))];
    await until(() => pair.prefill.requests.length === 1, 'the prefill engine is busy');
    expect(await route(prompt(600))).toBe('200 aggregated; reason=prefill_queue');
    expect(await route(prompt(600, { service_tier: 'priority' }))).toBe('200 aggregated; reason=faster');
    expect(await route(prompt(100))).toBe('200 aggregated; reason=short_prompt');
    waiting.push(route(prompt(600, { service_tier: 'flex' })), route(prompt(700), { 'x-amzn-bedrock-service-tier': 'flex' }));
    await until(() => pair.prefill.requests.length === 3, 'the prefill engine has those without haste');
    open();
    expect(await Promise.all(waiting)).toEqual(Array(3).fill('200 disaggregated; reason=long_prompt'));
    expect(await route(prompt(600))).toBe('200 disaggregated; reason=long_prompt');
    expect(await decisions()).toEqual({
      'disaggregated long_prompt': 4, 'aggregated prefill_queue': 1, 'aggregated faster': 1, 'aggregated short_prompt': 1,
    });
  });

  test('a prompt is handed on that would wait too long for the decode engine, which reads another until its first token', async () => {
    await start({ routing: ROUTING, expected: { ttftSeconds: 0.45 } });
    const [read, written] = [gate(), gate()];
    const { behaviour } = pair.decode;
    pair.decode.behaviour = async (response, received) => {
      if (received.body.kv_transfer_params !== undefined) {
        return behaviour(response, received);
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      await read.closed;
      response.write(sse(chunkOf('a')));
      await written.closed;
      response.end(DONE);
    };
    const asked = ask(router.url, prompt(400, { stream: true }));
    await until(() => pair.decode.requests.length === 1, 'the decode engine reads');
    expect(await route(prompt(200))).toBe('200 disaggregated; reason=meets_objective');
    read.open();
    const answer = await asked;
    expect(answer.headers.get('x-router-route')).toBe('aggregated; reason=short_prompt');
    const second = ask(router.url, prompt(200, { stream: true }));
    written.open();
    expect((await second).headers.get('x-router-route')).toBe('aggregated; reason=short_prompt');
    await Promise.all([drained(answer), drained(await second)]);
  });

  test('rates that are too slow heal by what is measured', async () => {
    const routing = { disaggregated: { ...RATES, fixedSeconds: 60 }, aggregated: { ...RATES, fixedSeconds: 90 } };
    await start({ routing, expected: { ttftSeconds: 10 } });
    const routes = [];
    for (let i = 0; i < 40; i++) {
      routes.push(await route(prompt(600, { stream: true })));
    }
    expect([routes[0], routes[39]]).toEqual(['200 disaggregated; reason=least_late', '200 disaggregated; reason=long_prompt']);
  });

  test('rates that are so slow that nobody is sent that way are doubted once others have answered for a while, and one request is sent to see', async () => {
    const routing = { disaggregated: { ...RATES, fixedSeconds: 10 }, aggregated: { ...RATES, fixedSeconds: 5 } };
    await start({ routing, expected: { ttftSeconds: 10 } });
    const asked = prompt(600, { stream: true });
    for (let i = 0; i < 125; i++) {
      expect(await route(asked)).toBe('200 aggregated; reason=meets_objective');
    }
    const now = performance.now.bind(performance);
    const clock = jest.spyOn(performance, 'now').mockImplementation(() => now() + 120_000);
    try {
      const { closed, open } = gate();
      pair.gate = closed;
      const trial = route(asked);
      await until(() => pair.prefill.requests.length === 1, 'it is sent');
      expect(await route(asked)).toBe('200 aggregated; reason=meets_objective');
      open();
      expect(await trial).toBe('200 disaggregated; reason=long_prompt');
    } finally {
      clock.mockRestore();
    }
  });
});
