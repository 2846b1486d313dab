import { once } from 'node:events';
import { IncomingMessage, request } from 'node:http';
import { performance } from 'node:perf_hooks';
import { BedrockRuntimeClient, ConverseCommand } from '@aws-sdk/client-bedrock-runtime';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { SglangPair } from '../handoff/sglang-pair';
import {
  ask, asManyAsAsked, Behaviour, chat, chunkOf, COMPLETION, delta, drained, KEY, MockEngine, MODEL, routerFor, silent, streaming, TestRouter, until,
  whole, wholly,
} from '../harness';

const OTHER_KEY = 'key-of-another-caller';
const engines: { stop(): Promise<void> }[] = [];
const routers: TestRouter[] = [];
const asking: Promise<unknown>[] = [];

afterEach(async () => {
  await Promise.allSettled(asking.splice(0));
  await Promise.all(routers.splice(0).map(async (router) => router.drain()));
  await Promise.all(engines.splice(0).map(async (engine) => engine.stop()));
});

/** An engine that answers when it is told to, in the order in which it was asked. */
class HeldEngine {
  public static async start(): Promise<HeldEngine> {
    const held: ((tokens: number) => void)[] = [];
    const engine = await MockEngine.start(async (response, received) => {
      const tokens = await new Promise<number>((resolve) => held.push(resolve));
      if (!response.destroyed) {
        const choices = asManyAsAsked(COMPLETION.choices, received.body);
        await wholly({ ...COMPLETION, choices, usage: { completion_tokens: tokens } })(response, received);
      }
    });
    engines.push(engine);
    return new HeldEngine(engine, held);
  }

  public readonly engine: MockEngine;
  private readonly held: ((tokens: number) => void)[];

  private constructor(engine: MockEngine, held: ((tokens: number) => void)[]) {
    this.engine = engine;
    this.held = held;
  }

  /** What it was asked, in order. */
  public get asked(): string[] {
    return this.engine.requests.map(({ body }) => body.user);
  }

  /** Waits until it was asked so often. */
  public async has(requests: number): Promise<void> {
    await until(() => this.held.length >= requests || this.engine.requests.length >= requests, `the engine has had ${requests} requests`);
  }

  /** Answers the first that is not answered, with so many tokens, as it says. */
  public answer(tokens = 0): void {
    this.held.shift()!(tokens);
  }
}

const routed = async (targets: object[], more: object = {}, env = {}) => {
  const router = await routerFor(targets, { priorityCallers: ['*'], ...more }, { KEYS: JSON.stringify(['key-of-a-caller', OTHER_KEY]), ...env });
  routers.push(router);
  return router;
};
const one = (url: string, more: object = {}) => ({ name: 'engine', role: 'aggregated', protocol: 'openai', url, maxInFlight: 1, ...more });
const asks = (router: TestRouter, user: string, body: object = {}, headers: { [name: string]: string } = {}, signal?: AbortSignal) => {
  const answer = fetch(`${router.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'authorization': 'Bearer key-of-a-caller', ...headers },
    body: JSON.stringify(chat({ user, ...body })),
    signal,
  }).then(async (response) => ({ status: response.status, headers: response.headers, ...await drained(response) }));
  asking.push(answer);
  return answer;
};
const BY_OTHER = { authorization: `Bearer ${OTHER_KEY}` };
const gauge = async (router: TestRouter, name: 'queueRequests' | 'queuePromptTokens' | 'inFlight') => (await router.metrics[name].get()).values[0]?.value ?? 0;
const waits = async (router: TestRouter, requests: number) =>
  until(async () => await gauge(router, 'queueRequests') === requests, `${requests} requests wait`);
const throttled = async (router: TestRouter) =>
  Object.fromEntries((await router.metrics.throttled.get()).values.map(({ labels, value }) => [labels.reason, value]));
const line = async (router: TestRouter, code: string) => {
  await until(() => router.lines.some((each) => each.msg === 'request' && each.code === code), `a line of ${code}`);
  return router.lines.filter((each) => each.msg === 'request' && each.code === code).at(-1);
};
/** A router whose one slot is taken. */
const full = async (more: object = {}) => {
  const engine = await HeldEngine.start();
  const router = await routed([one(engine.engine.url)], more);
  const first = asks(router, 'first');
  await engine.has(1);
  return { engine, router, first };
};

describe('a request that finds every engine full', () => {
  test('waits, and has the slot that is given back; header, log and metrics tell', async () => {
    const { engine, router, first } = await full();
    const second = asks(router, 'second');
    await waits(router, 1);
    expect(await gauge(router, 'queuePromptTokens')).toBeGreaterThan(0);
    engine.answer();
    expect((await first).status).toBe(200);
    await engine.has(2);
    expect([await gauge(router, 'queueRequests'), await gauge(router, 'queuePromptTokens')]).toEqual([0, 0]);
    engine.answer();
    const { status, headers } = await second;
    expect([status, headers.get('x-router-route')]).toEqual([200, 'aggregated; reason=only_path']);
    await until(() => router.lines.filter(({ msg }) => msg === 'request').length === 2, 'two lines');
    const lines = router.lines.filter(({ msg }) => msg === 'request');
    expect(lines.map(({ queuedSeconds }) => typeof queuedSeconds)).toEqual(['undefined', 'number']);
    expect(lines[1].queuedSeconds).toBeGreaterThan(0);
    expect((await router.metrics.queueWaitSeconds.get()).values.find(({ metricName }) => metricName?.endsWith('_count'))).toMatchObject({
      value: 1, labels: { tier: 'default' },
    });
    expect(await throttled(router)).toEqual({});
  });

  test('waits behind more urgent tiers, and by turns with another caller who asks for more', async () => {
    const { engine, router } = await full();
    const order = ['a1', 'a2', 'a3'];
    for (const name of order) {
      void asks(router, name);
      await waits(router, order.indexOf(name) + 1);
    }
    void asks(router, 'flex', { service_tier: 'flex' });
    await waits(router, 4);
    void asks(router, 'b1', {}, BY_OTHER);
    await waits(router, 5);
    void asks(router, 'urgent', { service_tier: 'priority' });
    await waits(router, 6);
    for (let served = 1; served <= 7; served++) {
      await engine.has(served);
      engine.answer();
    }
    await Promise.all(asking);
    expect(engine.asked).toEqual(['first', 'urgent', 'a1', 'b1', 'a2', 'a3', 'flex']);
  });

  test('waits for as much longer as its caller has had more of answers', async () => {
    const { engine, router } = await full();
    for (const [waiting, name] of ['a1', 'a2', 'a3'].entries()) {
      void asks(router, name);
      await waits(router, waiting + 1);
    }
    for (const [waiting, name] of ['b1', 'b2'].entries()) {
      void asks(router, name, { messages: [{ role: 'user', content: 'longer '.repeat(20) }] }, BY_OTHER);
      await waits(router, waiting + 4);
    }
    for (let served = 1; served <= 6; served++) {
      await engine.has(served);
      engine.answer(served === 2 ? 1_000 : 0);
    }
    await Promise.all(asking);
    expect(engine.asked).toEqual(['first', 'a1', 'b1', 'b2', 'a2', 'a3']);
  });

  test('is taken out when its caller leaves, and never reaches an engine', async () => {
    const { engine, router, first } = await full();
    const leaver = new AbortController();
    const gone = asks(router, 'gone', {}, {}, leaver.signal);
    await waits(router, 1);
    const stays = asks(router, 'stays');
    await waits(router, 2);
    leaver.abort();
    await expect(gone).rejects.toThrow();
    await waits(router, 1);
    expect((await line(router, '499')).queuedSeconds).toBeGreaterThan(0);
    engine.answer();
    await engine.has(2);
    engine.answer();
    expect([(await first).status, (await stays).status]).toEqual([200, 200]);
    expect(engine.asked).toEqual(['first', 'stays']);
    await until(async () => await gauge(router, 'inFlight') === 0, 'every slot is back');
  });

  test('is refused beyond the bounds with 429 and when to come back, to callers of Bedrock as throttling', async () => {
    const { engine, router, first } = await full({ queue: { maxRequests: 1 } });
    const second = asks(router, 'second');
    await waits(router, 1);
    const third = await asks(router, 'third');
    // nothing has drained yet, but nothing has waited long either.
    expect([third.status, third.headers.get('retry-after'), third.headers.get('x-router-route')]).toEqual([429, '1', 'refuse; reason=no_slot']);
    expect(JSON.parse(third.text)).toMatchObject({ error: { type: 'rate_limit_error', code: 'engines_full' } });
    const client = new BedrockRuntimeClient({
      region: 'us-east-1',
      endpoint: router.url,
      maxAttempts: 1,
      requestHandler: new NodeHttpHandler(),
      token: { token: 'key-of-a-caller' },
      authSchemePreference: ['httpBearerAuth'],
    });
    await expect(client.send(new ConverseCommand({ modelId: MODEL, messages: [{ role: 'user', content: [{ text: 'hello' }] }] }))).rejects
      .toMatchObject({ name: 'ThrottlingException', $response: { headers: { 'retry-after': '1' } } });
    client.destroy();
    engine.answer();
    await engine.has(2);
    const fourth = asks(router, 'fourth');
    await waits(router, 1);
    // one prompt has drained in no time.
    expect((await asks(router, 'fifth')).headers.get('retry-after')).toBe('1');
    engine.answer();
    await engine.has(3);
    engine.answer();
    expect([await first, await second, await fourth].map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(await throttled(router)).toEqual({ queue_full: 3 });
    expect((await line(router, '429')).queuedSeconds).toBeUndefined();
  });

  test('waits with a prompt longer than the queue once no other waits, which is when it is told to come back', async () => {
    const { engine, router, first } = await full({ queue: { maxPromptTokens: 40 } });
    const long = { messages: [{ role: 'user', content: 'long '.repeat(100) }] };
    const short = asks(router, 'short');
    await waits(router, 1);
    const refused = await asks(router, 'too early', long);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1']);
    engine.answer();
    await engine.has(2);
    const waited = asks(router, 'long', long);
    await waits(router, 1);
    expect((await asks(router, 'behind it', {}, BY_OTHER)).status).toBe(429);
    engine.answer();
    await engine.has(3);
    engine.answer();
    expect([await first, await short, await waited].map(({ status }) => status)).toEqual([200, 200, 200]);
    expect([engine.asked, await throttled(router)]).toEqual([['first', 'short', 'long'], { queue_full: 2 }]);
  });

  test('gives its place to another caller\'s if its own has all the others', async () => {
    const { engine, router } = await full({ queue: { maxRequests: 2 } });
    void asks(router, 'a1');
    await waits(router, 1);
    const displaced = asks(router, 'a2');
    await waits(router, 2);
    const other = asks(router, 'b1', {}, BY_OTHER);
    expect((await displaced).status).toBe(429);
    for (let served = 1; served <= 3; served++) {
      await engine.has(served);
      engine.answer();
    }
    expect((await other).status).toBe(200);
    expect(engine.asked).toEqual(['first', 'a1', 'b1']);
    expect(await throttled(router)).toEqual({ queue_displaced: 1 });
  });

  test('is refused once it has waited too long', async () => {
    const { engine, router, first } = await full({ queue: { maxWaitSeconds: 0.05 } });
    const { status, headers } = await asks(router, 'late');
    expect([status, headers.get('retry-after') !== null]).toEqual([429, true]);
    expect((await line(router, '429')).queuedSeconds).toBeGreaterThanOrEqual(0.049);
    engine.answer();
    expect((await first).status).toBe(200);
    expect([engine.asked, await throttled(router), await gauge(router, 'queueRequests')]).toEqual([['first'], { queue_wait: 1 }, 0]);
  });

  test('does not wait longer than for its first token', async () => {
    const { engine, router } = await full({ limits: { firstByteTimeoutSeconds: 0.05 } });
    expect((await asks(router, 'late', { stream: true })).status).toBe(429);
    engine.answer();
  });

  test('has an engine that comes up', async () => {
    const [preferred, busy] = [await MockEngine.start(whole), await HeldEngine.start()];
    engines.push(preferred);
    preferred.healthStatus = 503;
    const router = await routed([one(preferred.url, { name: 'preferred' }), one(busy.engine.url)]);
    void asks(router, 'first');
    await busy.has(1);
    const waiting = asks(router, 'waiting');
    await waits(router, 1);
    preferred.healthStatus = 200;
    expect((await waiting).status).toBe(200);
    expect([preferred.requests.length, busy.asked]).toEqual([1, ['first']]);
    busy.answer();
  }, 30_000);

  test('is before who comes after it where an engine that was passed over may be asked again', async () => {
    const [bad, good] = [await MockEngine.start(wholly({}, 500)), await HeldEngine.start()];
    engines.push(bad);
    const router = await routed([one(bad.url, { name: 'bad' }), one(good.engine.url)]);
    for (const name of ['a', 'b', 'c']) {
      expect((await asks(router, name)).status).toBe(500);
    }
    void asks(router, 'first');
    await good.has(1);
    const waiting = asks(router, 'waiting');
    await waits(router, 1);
    bad.behaviour = whole;
    const now = performance.now.bind(performance);
    const clock = jest.spyOn(performance, 'now').mockImplementation(() => now() + 20_000);
    try {
      expect([(await asks(router, 'next')).status, (await waiting).status]).toEqual([200, 200]);
    } finally {
      clock.mockRestore();
    }
    good.answer();
    expect(bad.requests.map(({ body }) => body.user)).toEqual(['a', 'b', 'c', 'waiting', 'next']);
  });

  test('is told if no engine is left to wait for', async () => {
    const { engine, router, first } = await full();
    const waiting = asks(router, 'waiting');
    await waits(router, 1);
    await engine.engine.stop();
    expect([(await first).status, (await waiting).status]).toEqual([502, 503]);
  });

  test('is told when its engine says that it is no longer well', async () => {
    const { engine, router, first } = await full();
    const waiting = asks(router, 'waiting');
    await waits(router, 1);
    engine.engine.healthStatus = 503;
    expect((await waiting).status).toBe(503);
    engine.answer();
    expect((await first).status).toBe(200);
  }, 30_000);

  test('is passed over by one that needs another engine, not by one that needs the same', async () => {
    const pair = await SglangPair.start();
    engines.push(pair);
    const alone = await HeldEngine.start();
    const router = await routed([
      one(alone.engine.url, { name: 'alone' }),
      { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector: 'sglang', prefill: 'prefill', maxInFlight: 1 },
      { name: 'prefill', role: 'prefill', protocol: 'openai', url: pair.prefills[0].url, kvConnector: 'sglang' },
    ], { queue: { maxRequests: 1 } });
    void asks(router, 'first');
    await alone.has(1);
    // two answers cannot be had from one KV cache, and SGLang's decode engine reads no prompt.
    const stuck = asks(router, 'two', { n: 2 });
    await waits(router, 1);
    expect((await asks(router, 'by-pair', {}, BY_OTHER)).headers.get('x-router-route')).toBe('disaggregated; reason=only_path');
    // nor does it keep its own caller, or a queue that is full, from an engine that has nothing to do.
    expect((await asks(router, 'by-pair-too')).status).toBe(200);
    alone.answer();
    await alone.has(2);
    alone.answer();
    expect((await stuck).status).toBe(200);
    expect(alone.asked).toEqual(['first', 'two']);
  });

  test('is finished, or refused at the end of the drain', async () => {
    const { engine, router, first } = await full({ drainSeconds: 1 });
    const [second, third] = [asks(router, 'second'), asks(router, 'third')];
    await waits(router, 2);
    const drain = router.drain();
    engine.answer();
    await engine.has(2);
    await drain;
    const [refused] = [await second, await third].filter(({ status }) => status === 503).filter(({ text }) => text.includes('shutting'));
    expect([(await first).status, refused !== undefined]).toEqual([200, true]);
    expect(engine.asked).toHaveLength(2);
    routers.splice(0);
  });

  test('nothing is lost and no slot is stranded when many come, leave and are refused', async () => {
    let open = () => {};
    const gate = new Promise<void>((resolve) => (open = resolve));
    const behaviour: Behaviour = async (response, received) => {
      await gate;
      return received.body.user === 'fails' ? void response.destroy() : whole(response, received);
    };
    const [a, b] = [await MockEngine.start(behaviour), await MockEngine.start(behaviour)];
    engines.push(a, b);
    const router = await routed([one(a.url, { maxInFlight: 2 }), one(b.url, { name: 'b', maxInFlight: 2 })], { queue: { maxRequests: 40 } });
    const leavers: AbortController[] = [];
    const outcomes = Array.from({ length: 120 }, async (_, i) => {
      const leaver = new AbortController();
      if (i % 5 === 0) {
        leavers.push(leaver);
      }
      const body = { service_tier: ['priority', 'default', 'flex'][i % 4] };
      return asks(router, i % 7 === 0 ? 'fails' : 'goes', body, i % 3 === 0 ? BY_OTHER : {}, leaver.signal).then(({ status }) => status, () => 'left');
    });
    await until(async () => Object.values<number>(await throttled(router)).reduce((sum, count) => sum + count, 0) === 120 - 4 - 40, 'all are refused that find no room');
    leavers.forEach((leaver) => leaver.abort());
    open();
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set([200, 429, 502, 'left']));
    await waits(router, 0);
    await until(async () => (await router.metrics.inFlight.get()).values.every(({ value }) => value === 0), 'every slot is back');
    expect(await gauge(router, 'queuePromptTokens')).toBe(0);
    expect((await Promise.all(Array.from({ length: 4 }, async () => asks(router, 'goes')))).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  }, 30_000);
});

test('engines that cannot be reached are not all tried for one request', async () => {
  const dead = await Promise.all(Array.from({ length: 25 }, async () => MockEngine.start(whole)));
  const alive = await MockEngine.start(whole);
  engines.push(alive);
  const router = await routed([...dead.map(({ url }, i) => one(url, { name: `dead-${i}` })), one(alive.url)]);
  await Promise.all(dead.map(async (engine) => engine.stop()));
  expect((await asks(router, 'first')).status).toBe(503);
  expect([await throttled(router), alive.requests.length]).toEqual([{ retry_budget: 1 }, 0]);
});

describe('the tier priority', () => {
  const NAMED = { KEYS: JSON.stringify(['key-of-a-caller', { name: 'chat', key: OTHER_KEY }]) };
  const start = async (more: object) => {
    const engine = await MockEngine.start(whole);
    engines.push(engine);
    return { engine, router: await routed([one(engine.url)], more, NAMED) };
  };

  test.each<[string, object, string, { [name: string]: string }, object]>([
    ['Chat Completions', chat({ service_tier: 'priority' }), '/v1/chat/completions', {}, { error: { code: 'priority_not_allowed', param: 'service_tier' } }],
    ['Responses', { model: MODEL, input: 'hi', service_tier: 'priority' }, '/v1/responses', {}, { error: { code: 'priority_not_allowed', param: 'service_tier' } }],
    ['Converse', { messages: [{ role: 'user', content: [{ text: 'hi' }] }], serviceTier: { type: 'priority' } }, `/model/${MODEL}/converse`, {}, {}],
    ['InvokeModel', chat(), `/model/${MODEL}/invoke`, { 'x-amzn-bedrock-service-tier': 'priority' }, {}],
    ['Chat Completions, within an engine', chat({ priority: -5 }), '/v1/chat/completions', {}, { error: { code: 'priority_not_allowed', param: 'priority' } }],
    ['Completions, within an engine', { model: MODEL, prompt: 'hi', priority: -5 }, '/v1/completions', {}, { error: { param: 'priority' } }],
    ['Converse, within an engine', { messages: [{ role: 'user', content: [{ text: 'hi' }] }], additionalModelRequestFields: { priority: -5 } },
      `/model/${MODEL}/converse`, {}, {}],
    ['InvokeModel, within an engine', chat({ priority: -5 }), `/model/${MODEL}/invoke`, {}, {}],
    ['InvokeModel, beside a lower one', chat({ service_tier: 'priority' }), `/model/${MODEL}/invoke`, { 'x-amzn-bedrock-service-tier': 'flex' }, {}],
  ])('is for callers that are named, by %s', async (_, body, path, headers, told) => {
    const { engine, router } = await start({ priorityCallers: ['chat'] });
    const refused = await ask(router.url, body, headers, path);
    expect([refused.status, await refused.json()]).toMatchObject([403, told]);
    expect(refused.headers.get('x-amzn-errortype')).toBe(path.startsWith('/v1') ? null : 'AccessDeniedException');
    expect(engine.requests).toHaveLength(0);
    expect((await ask(router.url, body, { ...headers, ...BY_OTHER }, path)).status).toBe(200);
  });

  test('is nobody\'s unless it is said, and other tiers, and no priority, are everybody\'s', async () => {
    const { router } = await start({ priorityCallers: [] });
    expect((await asks(router, 'a', { service_tier: 'priority' }, BY_OTHER)).status).toBe(403);
    expect((await asks(router, 'a', { service_tier: 'flex' })).status).toBe(200);
    expect((await asks(router, 'a', { service_tier: 'auto', priority: null })).status).toBe(200);
    const reserved = await ask(router.url, chat(), { 'x-amzn-bedrock-service-tier': 'reserved' }, `/model/${MODEL}/invoke`);
    expect([reserved.status, reserved.headers.get('x-amzn-errortype')]).toEqual([400, 'ValidationException']);
  });

  test('and limits are for all keys of one name together', async () => {
    const engine = await MockEngine.start(whole);
    engines.push(engine);
    const keys = JSON.stringify([{ name: 'chat', key: 'key-of-a-caller' }, { name: 'chat', key: OTHER_KEY }]);
    const router = await routed([one(engine.url)], { rateLimits: { requestsPerMinute: 1 } }, { KEYS: keys });
    expect([(await asks(router, 'a')).status, (await asks(router, 'a', {}, BY_OTHER)).status]).toEqual([200, 429]);
  });
});

describe('rate limits', () => {
  const USAGE = { ...COMPLETION, usage: { prompt_tokens: 60, completion_tokens: 540, total_tokens: 600 } };
  const limited = async (rateLimits: object, behaviour = wholly(USAGE)) => {
    const engine = await MockEngine.start(behaviour);
    engines.push(engine);
    return routed([one(engine.url, { maxInFlight: 10 })], { rateLimits });
  };

  test('on requests hold for each key', async () => {
    const router = await limited({ requestsPerMinute: 2 });
    expect([(await asks(router, '1')).status, (await asks(router, '2')).status]).toEqual([200, 200]);
    const third = await asks(router, '3');
    expect([third.status, JSON.parse(third.text).error.code]).toEqual([429, 'rate_limit_exceeded']);
    expect(Number(third.headers.get('retry-after'))).toBeGreaterThan(20);
    expect((await asks(router, '4', {}, BY_OTHER)).status).toBe(200);
    expect(await throttled(router)).toEqual({ requests_per_minute: 1 });
    const bedrock = await ask(router.url, { messages: [{ role: 'user', content: [{ text: 'hello' }] }] }, {}, `/model/${MODEL}/converse`);
    expect([bedrock.status, bedrock.headers.get('x-amzn-errortype')]).toEqual([429, 'ThrottlingException']);
  });

  test('refuse who may have nothing before the body has come', async () => {
    for (const [limits, reason] of [[{ requestsPerMinute: 1 }, 'requests_per_minute'], [{ tokensPerMinute: 500 }, 'tokens_per_minute']] as const) {
      const router = await limited(limits);
      expect((await asks(router, '1')).status).toBe(200);
      const retryAfter: number[] = [];
      for (const bytes of [4, 1000]) {
        const sent = request(`${router.url}/v1/chat/completions`, { method: 'POST', headers: { 'authorization': `Bearer ${KEY}`, 'content-length': bytes } });
        sent.on('error', () => undefined).flushHeaders();
        const [response] = await once(sent, 'response') as [IncomingMessage];
        expect(response.statusCode).toBe(429);
        retryAfter.push(Number(response.headers['retry-after']));
        sent.destroy();
      }
      expect(await throttled(router)).toEqual({ [reason]: 2 });
      expect(retryAfter[0]).toBeGreaterThan(5);
      // 250 tokens come back in 30 s, of 500 a minute.
      expect(retryAfter[1] - retryAfter[0] > 25).toBe(reason === 'tokens_per_minute');
    }
  });

  test('on requests count those that are not valid', async () => {
    const router = await limited({ requestsPerMinute: 3 });
    const bodies = [chat({ max_tokens: 'no' }), 'no JSON', chat({ model: 'another' }), chat()];
    const statuses: number[] = [];
    for (const body of bodies) {
      statuses.push((await ask(router.url, body)).status);
    }
    expect(statuses).toEqual([400, 400, 404, 429]);
  });

  test('on requests count those for a model that is not served, by whichever API', async () => {
    const router = await limited({ requestsPerMinute: 2 });
    const statuses: number[] = [];
    for (const [path, body] of [['/model/zz/converse', {}], ['/v1/chat/completions', chat({ model: 'zz' })], ['/v1/chat/completions', chat()]] as const) {
      statuses.push((await ask(router.url, body, {}, path)).status);
    }
    expect(statuses).toEqual([400, 404, 429]);
  });

  test('on requests count those that are too much to be read', async () => {
    const router = await limited({ requestsPerMinute: 1 });
    expect([(await ask(router.url, '['.repeat(1_000))).status, (await ask(router.url, chat())).status]).toEqual([400, 429]);
  });

  test('on tokens count prompts as they are estimated, then both as they are told', async () => {
    const router = await limited({ tokensPerMinute: 600 });
    expect((await asks(router, '1')).status).toBe(200);
    const second = await asks(router, '2');
    expect(second.status).toBe(429);
    expect(await throttled(router)).toEqual({ tokens_per_minute: 1 });
  });

  test('on tokens count those of streams', async () => {
    const usage = { choices: [], usage: { prompt_tokens: 100, completion_tokens: 500 } };
    const router = await limited({ tokensPerMinute: 600 }, streaming([chunkOf('a'), delta({}, 'stop'), usage]));
    expect((await asks(router, '1', { stream: true })).status).toBe(200);
    expect((await asks(router, '2', { stream: true })).status).toBe(429);
  });

  test('on requests do not count what was refused', async () => {
    const { engine, router, first } = await full({ queue: { maxRequests: 0 }, rateLimits: { requestsPerMinute: 2 } });
    const codes = [await asks(router, '1'), await asks(router, '2'), await asks(router, '3')].map(({ text }) => JSON.parse(text).error.code);
    expect(codes).toEqual(['engines_full', 'engines_full', 'engines_full']);
    engine.answer();
    expect((await first).status).toBe(200);
    const second = asks(router, 'second');
    await engine.has(2);
    engine.answer();
    expect([(await second).status, JSON.parse((await asks(router, 'third')).text).error.code]).toEqual([200, 'rate_limit_exceeded']);
  });

  test('on tokens do not count what no engine answered', async () => {
    const { engine, router, first } = await full({ queue: { maxRequests: 0 }, rateLimits: { tokensPerMinute: 600 } });
    const long = { messages: [{ role: 'user', content: 'word'.repeat(500) }] };
    const codes = [await asks(router, '1', long), await asks(router, '2', long)].map(({ text }) => JSON.parse(text).error.code);
    expect(codes).toEqual(['engines_full', 'engines_full']);
    engine.answer();
    expect((await first).status).toBe(200);
  });

  test('on tokens count what a prefill engine has read for a caller who left', async () => {
    const pair = [await MockEngine.start(silent), await MockEngine.start(whole)];
    engines.push(...pair);
    const router = await routed([
      one(pair[1].url, { name: 'decode', role: 'decode', kvConnector: 'NixlConnector', prefill: 'prefill' }),
      one(pair[0].url, { name: 'prefill', role: 'prefill', kvConnector: 'NixlConnector' }),
    ], { routing: { minPromptTokens: 0 }, rateLimits: { tokensPerMinute: 600 } });
    const leaving = new AbortController();
    const asked = fetch(`${router.url}/v1/chat/completions`, {
      method: 'POST', headers: { authorization: `Bearer ${KEY}` }, body: JSON.stringify(chat({ messages: [{ role: 'user', content: 'word'.repeat(500) }] })), signal: leaving.signal,
    });
    await until(() => pair[0].requests.length === 1, 'it reads the prompt');
    leaving.abort();
    await expect(asked).rejects.toThrow();
    await until(() => router.lines.some(({ code }) => code === '499'), 'the router knows');
    expect(router.lines.at(-1)).toMatchObject({ code: '499', target: 'prefill' });
    const second = await asks(router, 'second', { messages: [{ role: 'user', content: 'word'.repeat(500) }] });
    expect([second.status, await throttled(router)]).toEqual([429, { tokens_per_minute: 1 }]);
  });
});
