import { performance } from 'node:perf_hooks';
import { ask, chat, COMPLETION, KEY, MockEngine, routerFor, silent, TestRouter, until, whole, wholly } from '../harness';

const engines: MockEngine[] = [];
const routers: TestRouter[] = [];

afterEach(async () => {
  jest.restoreAllMocks();
  await Promise.all(engines.splice(0).map(async (engine) => engine.stop()));
  await Promise.all(routers.splice(0).map(async (router) => router.drain()));
});

/** A router over engines that have one slot each. */
const routed = async (more: object = {}, behaviours = [silent]) => {
  const started = await Promise.all(behaviours.map(async (behaviour) => MockEngine.start(behaviour)));
  engines.push(...started);
  const router = await routerFor(
    started.map(({ url }, i) => ({ name: `engine${i}`, role: 'aggregated', protocol: 'openai', url, maxInFlight: 1 })), { drainSeconds: 0.1, ...more });
  routers.push(router);
  return { router, started };
};
const leavable = ({ url }: TestRouter) => {
  const leaving = new AbortController();
  const answer = fetch(`${url}/v1/chat/completions`, {
    method: 'POST', headers: { authorization: `Bearer ${KEY}` }, body: JSON.stringify(chat()), signal: leaving.signal,
  });
  answer.catch(() => undefined);
  return { answer, leave: () => leaving.abort() };
};
const waits = async ({ metrics }: TestRouter, requests: number) =>
  until(async () => (await metrics.queueRequests.get()).values[0].value === requests, `${requests} requests wait`);
const lines = ({ lines: all }: TestRouter, code: string) => all.filter((line) => line.msg === 'request' && line.code === code);

test('who owes many minutes\' tokens is told to come back in one', async () => {
  const answer = wholly({ ...COMPLETION, usage: { prompt_tokens: 60, completion_tokens: 6_000, total_tokens: 6_060 } });
  const { router } = await routed({ rateLimits: { tokensPerMinute: 600 } }, [answer]);
  expect((await ask(router.url, chat())).status).toBe(200);
  const refused = await ask(router.url, chat());
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '60']);
});

test('the time in which nobody waited says nothing of when there will be room', async () => {
  const { router, started: [engine] } = await routed({ queue: { maxRequests: 1 } });
  const opens: (() => void)[] = [];
  engine.behaviour = async (...call) => {
    await new Promise<void>((resolve) => opens.push(resolve));
    return whole(...call);
  };
  const waitsAndIsAnswered = async () => {
    const asked = [ask(router.url, chat())];
    await until(() => opens.length === 1, 'the engine is full');
    asked.push(ask(router.url, chat()));
    await waits(router, 1);
    opens.shift()!();
    await until(() => opens.length === 1, 'who waited has the slot');
    return asked;
  };
  const before = await waitsAndIsAnswered();
  opens.shift()!();
  await Promise.all(before);
  const now = performance.now.bind(performance);
  jest.spyOn(performance, 'now').mockImplementation(() => now() + 600_000);
  const asked = await waitsAndIsAnswered();
  asked.push(ask(router.url, chat()));
  await waits(router, 1);
  const refused = await ask(router.url, chat());
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1']);
  opens.shift()!();
  await until(() => opens.length === 1, 'the last has the slot');
  opens.shift()!();
  expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([200, 200, 200]);
});

test('who has to wait once more waits no longer for it', async () => {
  const { router, started: [first, second] } = await routed({ queue: { maxWaitSeconds: 1 } }, [silent, silent]);
  const held = [leavable(router), leavable(router)];
  await until(() => first.requests.length + second.requests.length === 2, 'both are full');
  // not what the engine is to fail.
  const asked = ask(router.url, chat({ user: 'another' }));
  await waits(router, 1);
  await new Promise((resolve) => setTimeout(resolve, 700));
  // its slot is free, and it is not there.
  await first.stop();
  expect((await asked).status).toBe(429);
  await until(() => lines(router, '429').length === 1, 'the log tells');
  expect(lines(router, '429')[0].queuedSeconds).toBeLessThan(1.5);
  expect(router.lines.map(({ msg }) => msg)).toContain('an engine gets no request until it has answered a probe');
  expect(second.requests).toHaveLength(1);
  held.forEach(({ leave }) => leave());
});

test('who leaves while it waits has had its request', async () => {
  const { router, started: [engine] } = await routed({ rateLimits: { requestsPerMinute: 2 } });
  const held = leavable(router);
  await until(() => engine.requests.length === 1, 'the engine is full');
  const { leave } = leavable(router);
  await waits(router, 1);
  leave();
  await until(() => lines(router, '499').length === 1, 'the router knows');
  const third = await ask(router.url, chat());
  expect([third.status, (await third.json() as { error: { code: string } }).error.code]).toEqual([429, 'rate_limit_exceeded']);
  held.leave();
});
