import { pino } from 'pino';
import { Cancellation } from '../../../../src/router/runtime/cancellation';
import { TargetConfig } from '../../../../src/router/runtime/config';
import { SrvDiscovery } from '../../../../src/router/runtime/targets/discovery';
import { Endpoint } from '../../../../src/router/runtime/targets/endpoint';
import { Engines } from '../../../../src/router/runtime/targets/engines';
import { readWhole } from '../../../../src/router/runtime/targets/read-whole';
import { Target } from '../../../../src/router/runtime/targets/target';
import { ConnectError } from '../../../../src/router/runtime/upstream/connection';
import { Prompt } from '../../../../src/routing';
import { ask, chat, drained, errorOf, MockEngine, routerFor, sleep, streamOf, TestRouter, until, whole } from '../harness';

const engines: MockEngine[] = [];
const routers: TestRouter[] = [];
const engineWith = async (behaviour = whole) => {
  const engine = await MockEngine.start(behaviour);
  engines.push(engine);
  return engine;
};
const routed = async (targets: object[], more: object = {}) => {
  const router = await routerFor(targets, more);
  routers.push(router);
  return router;
};
const target = (url: string, more: object = {}) => ({ name: 'decode', role: 'decode', protocol: 'openai', url, ...more });
const NO_PROMPT: Prompt = { tokens: 0, sharePerBlock: 0, blocks: new Int32Array(0) };
const NOTHING_WAITS = { queue: { maxRequests: 0 } };

afterEach(async () => {
  await Promise.all(routers.splice(0).map(async (router) => router.drain()));
  await Promise.all(engines.splice(0).map(async (engine) => engine.stop()));
});

const targetOf = (config: TargetConfig, addresses: () => Promise<string[]>) => new Target(config, new Engines(config, undefined, { addresses }));
const targetFor = (addresses: () => Promise<string[]>, maxInFlight = 10) =>
  targetOf({ name: 't', role: 'decode', protocol: 'openai', srv: 't', maxInFlight, prefixLoadFactor: 1 }, addresses);

test('an engine that is no longer found is still asked by who has a slot of it', async () => {
  const engine = await engineWith();
  let addresses = [engine.url];
  const found = targetFor(async () => addresses);
  await found.engines.start();
  const [endpoint] = found.engines.endpoints;
  found.take(endpoint, NO_PROMPT);
  addresses = ['http://127.0.0.1:9'];
  await found.engines.discover();
  const body = Buffer.from(JSON.stringify(chat()));
  const answer = await endpoint.post('/v1/chat/completions', { 'content-type': 'application/json' }, [body], new Cancellation());
  expect(answer.status).toBe(200);
  await answer.discard();
  endpoint.release();
  await found.engines.stop();
});

test('an engine that is found again is as one that was never lost', async () => {
  const engine = await engineWith();
  let addresses = [engine.url];
  const lines: string[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line).msg) });
  const config: TargetConfig = { name: 't', role: 'decode', protocol: 'openai', srv: 't', maxInFlight: 10, prefixLoadFactor: 1 };
  const found = new Target(config, new Engines(config, undefined, { addresses: async () => addresses }, log));
  await found.engines.start();
  const [endpoint] = found.engines.endpoints;
  const taken = found.take(endpoint, NO_PROMPT);
  for (const url of ['http://127.0.0.1:9', engine.url]) {
    addresses = [url];
    await found.engines.discover();
  }
  expect(found.engines.endpoints).toEqual([endpoint]);
  endpoint.release(taken);
  expect(endpoint.isClosed).toBe(false);
  engine.healthStatus = 503;
  await found.engines.discover();
  await found.engines.discover();
  expect(lines.at(-1)).toBe('an engine cannot be reached');
  await found.engines.stop();
});

test('what is cancelled is not asked, and what cannot be asked awaits no cancellation', async () => {
  const engine = await engineWith();
  const found = targetFor(async () => [engine.url]);
  await found.engines.start();
  const [endpoint] = found.engines.endpoints;
  const cancelled = new Cancellation();
  cancelled.cancel(new Error('nobody wants it'));
  await expect(endpoint.post('/v1/chat/completions', {}, [Buffer.from('{}')], cancelled)).rejects.toBe(cancelled.reason);
  const cancellation = new Cancellation();
  const listeners = new Set<unknown>();
  jest.spyOn(cancellation, 'listen').mockImplementation((listener) => void listeners.add(listener));
  jest.spyOn(cancellation, 'unlisten').mockImplementation((listener) => void listeners.delete(listener));
  await expect(endpoint.post('/v1/chat/completions', { 'x-a': 'b\r\nx-c: d' }, [Buffer.from('{}')], cancellation)).rejects.toThrow(TypeError);
  expect(cancellation.listen).toHaveBeenCalledTimes(1);
  expect(listeners.size).toBe(0);
  expect(engine.requests).toHaveLength(0);
  await found.engines.stop();
});

test('a request that the router itself spoils is its own failure, not that of a healthy engine', async () => {
  const engine = await engineWith();
  const router = await routed([target(engine.url)]);
  const post = jest.spyOn(Endpoint.prototype, 'post').mockRejectedValue(new TypeError('the value of the header via is none'));
  try {
    for (let i = 0; i < 3; i++) {
      const response = await ask(router.url, chat());
      expect([response.status, await response.json()]).toMatchObject([500, { error: { code: 'internal_error' } }]);
    }
  } finally {
    post.mockRestore();
  }
  expect((await ask(router.url, chat())).status).toBe(200);
});

test('an engine that goes down is told once, without what is secret in its URL, and so is that it is back', async () => {
  const engine = await engineWith();
  const lines: any[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const config: TargetConfig = { name: 't', role: 'decode', protocol: 'openai', srv: 't', maxInFlight: 10, prefixLoadFactor: 1 };
  const found = new Engines(config, undefined, { addresses: async () => [engine.url, 'http://user:secret@127.0.0.1:9/v1'] }, log);
  await found.start();
  for (const status of [503, 503, 503, 200, 200]) {
    engine.healthStatus = status;
    await found.discover();
  }
  await found.stop();
  expect(lines.map(({ level, msg, endpoint, error }) => [level, msg, endpoint, error])).toEqual([
    [40, 'an engine cannot be reached', 'http://127.0.0.1:9/v1', 'ECONNREFUSED'],
    [40, 'an engine cannot be reached', engine.url, 'the engine answers its health probe with 503'],
    [30, 'an engine can be reached again', engine.url, undefined],
  ]);
});

describe('admission', () => {
  test('beyond what engines may have is 429 with retry-after where nothing may wait, and frees up again', async () => {
    const engine = await engineWith(streamOf(['a', 'b'], 100));
    const router = await routed([target(engine.url, { maxInFlight: 2 })], NOTHING_WAITS);
    const answers = await Promise.all([1, 2, 3, 4].map(async () => ask(router.url, chat({ stream: true }))));
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, 200, 429, 429]);
    const refused = answers.find((answer) => answer.status === 429)!;
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await refused.json()).toMatchObject({ error: { type: 'rate_limit_error', code: 'engines_full' } });
    await Promise.all(answers.filter((answer) => answer.status === 200).map(drained));
    expect((await ask(router.url, chat({ stream: true }))).status).toBe(200);
    expect(engine.requests).toHaveLength(3);
  });

  test('without an engine that is up is 503, while the router itself stays ready', async () => {
    const engine = await engineWith();
    engine.healthStatus = 503;
    const router = await routed([target(engine.url)]);
    const response = await ask(router.url, chat());
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('1');
    expect(await response.json()).toMatchObject({ error: { code: 'no_engine' } });
    const ready = await fetch(`${router.url}/readyz`);
    expect(ready.status).toBe(200);
    expect(await ready.json()).toEqual({ status: 'ready', targets: { decode: { endpoints: 1, healthy: 0 } } });
  });

  test('takes the next target where the first has no engine, or is full', async () => {
    const [down, up] = [await engineWith(), await engineWith()];
    down.healthStatus = 500;
    const router = await routed([target(down.url), target(up.url, { name: 'spare', role: 'aggregated' })]);
    expect((await ask(router.url, chat())).status).toBe(200);
    expect(up.requests).toHaveLength(1);

    const busy = await engineWith(streamOf(['a'], 200));
    const other = await routed([target(busy.url, { maxInFlight: 1 }), target(up.url, { name: 'spare', role: 'aggregated' })], NOTHING_WAITS);
    const running = await Promise.all([ask(other.url, chat({ stream: true })), sleep(20).then(async () => ask(other.url, chat()))]);
    expect(running.map((answer) => answer.status)).toEqual([200, 200]);
    await drained(running[0]);
    expect([busy.requests.length, up.requests.length]).toEqual([1, 2]);
  });

  test('never sends a request to a prefill engine', async () => {
    const [prefill, decode] = [await engineWith(), await engineWith()];
    const router = await routed([target(prefill.url, { name: 'prefill', role: 'prefill' }), target(decode.url)]);
    await ask(router.url, chat());
    expect([prefill.requests.length, decode.requests.length]).toEqual([0, 1]);
    await decode.stop();
    expect((await ask(router.url, chat())).status).toBe(503);
    expect(prefill.requests).toHaveLength(0);
  });
});

describe('failure', () => {
  test('to connect is retried elsewhere', async () => {
    const [gone, up] = [await engineWith(), await engineWith()];
    const router = await routed([target(gone.url, { name: 'gone' }), target(up.url, { name: 'up', role: 'aggregated' })]);
    await gone.stop();
    expect((await ask(router.url, chat())).status).toBe(200);
    expect(gone.requests).toHaveLength(0);
    expect(up.requests).toHaveLength(1);
  });

  test('to connect once, of an engine that is alone, fails none of those that want it, and is told', async () => {
    const engine = await engineWith(streamOf(['a'], 20));
    const router = await routed([target(engine.url, { maxInFlight: 2 })]);
    const post = jest.spyOn(Endpoint.prototype, 'post').mockRejectedValueOnce(new ConnectError(new Error('connect ETIMEDOUT')));
    try {
      const answers = await Promise.all(Array.from({ length: 12 }, async () => ask(router.url, chat({ stream: true }))));
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
      await Promise.all(answers.map(drained));
    } finally {
      post.mockRestore();
    }
    expect(router.lines.filter(({ level }) => level > 30)).toMatchObject([
      { endpoint: engine.url, msg: 'an engine gets no request until it has answered a probe', error: 'no connection could be made' },
    ]);
  });

  test('to connect to an engine that is gone ends the wait for it', async () => {
    const engine = await engineWith();
    const router = await routed([target(engine.url)]);
    await engine.stop();
    const answers = await Promise.all([1, 2, 3].map(async () => ask(router.url, chat())));
    expect(await Promise.all(answers.map(async (answer) => [answer.status, (await errorOf(answer)).code]))).toEqual(answers.map(() => [503, 'no_engine']));
    expect(router.lines.filter(({ level }) => level > 30).map(({ msg }) => msg)).toEqual([
      'an engine gets no request until it has answered a probe', 'an engine cannot be reached',
    ]);
  });

  test('to connect to one that is gone is not told as if it was full where a request may not wait for the second probe', async () => {
    const engine = await engineWith();
    const router = await routed([target(engine.url)], { queue: { maxWaitSeconds: 0.05 } });
    await engine.stop();
    const answer = await ask(router.url, chat());
    expect([answer.status, (await errorOf(answer)).code, answer.headers.get('x-router-route')]).toEqual([503, 'no_engine', 'refuse; reason=nothing_available']);
  });

  test('after a connection was made is never retried: the engine may have begun', async () => {
    const [dying, up] = [await engineWith((response) => void response.destroy()), await engineWith()];
    const router = await routed([target(dying.url, { name: 'dying' }), target(up.url, { name: 'up', role: 'aggregated' })]);
    const response = await ask(router.url, chat());
    expect([response.status, response.headers.get('x-router-route')]).toEqual([502, 'aggregated; reason=only_path']);
    expect(await response.json()).toMatchObject({ error: { code: 'engine_failed' } });
    expect(up.requests).toHaveLength(0);
  });
});

describe('a target', () => {
  const take = (from: Target) => {
    const endpoint = from.next(new Set(), NO_PROMPT);
    if (endpoint !== undefined) {
      from.take(endpoint, NO_PROMPT);
    }
    return endpoint?.url;
  };

  test('gives the engine with the fewest requests, equals in turn', async () => {
    const [a, b] = [await engineWith(), await engineWith()];
    const both = targetFor(async () => [a.url, b.url]);
    await both.engines.discover();
    const first = [1, 2, 3, 4, 5, 6].map(() => take(both));
    expect(first.filter((url) => url === a.url)).toHaveLength(3);
    expect(first.filter((url) => url === b.url)).toHaveLength(3);
    await both.engines.stop();
  });

  test('gives the prefill engine with the fewest tokens to read, and none that is full where another is not', async () => {
    const [a, b] = [await engineWith(), await engineWith()];
    const config = { name: 't', role: 'prefill', protocol: 'openai', srv: 't', maxInFlight: 2, prefixLoadFactor: 1 } as const;
    const both = targetOf(config, async () => [a.url, b.url]);
    await both.engines.discover();
    const [first, second] = [both.next(new Set(), NO_PROMPT)!, both.next(new Set([both.next(new Set(), NO_PROMPT)!]), NO_PROMPT)!];
    const wasRead = first.reads(1000);
    second.reads(10);
    second.take();
    expect(both.next(new Set(), NO_PROMPT)).toBe(second);
    second.take();
    expect(both.next(new Set(), NO_PROMPT)).toBe(first);
    second.release();
    wasRead();
    wasRead();
    expect([first.queuedPromptTokens, second.queuedPromptTokens, both.next(new Set(), NO_PROMPT)]).toEqual([0, 10, first]);
    await both.engines.stop();
  });

  describe('one of whose engines fails requests in a row', () => {
    const failure = (caller: string, ...elsewhere: Endpoint[]) => ({ caller, endpoints: new Set(elsewhere) });
    const fail = (endpoint: Endpoint, millis: number, failed = failure('caller')) => {
      failed.endpoints.add(endpoint);
      endpoint.failed(millis, failed, 'status 500');
      return failed;
    };
    const two = async () => {
      const [a, b] = [await engineWith(), await engineWith()];
      const both = targetFor(async () => [a.url, b.url]);
      await both.engines.discover();
      return { both, endpoints: both.engines.endpoints };
    };

    test('passes over that engine, whatever clock is set', async () => {
      const { both, endpoints: [a, b] } = await two();
      const now = performance.now();
      [1, 2, 3].forEach(() => fail(a, now));
      expect(both.healthyCount).toBe(1);
      const clock = jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 3_600_000);
      expect(both.healthyCount).toBe(1);
      clock.mockRestore();
      expect(new Set([1, 2, 3, 4].map(() => take(both)))).toEqual(new Set([b.url]));
      [1, 2, 3].forEach(() => fail(b, now));
      expect(both.healthyCount).toBe(0);
      expect([both.next(new Set(), NO_PROMPT), both.next(new Set(), NO_PROMPT, false)]).toEqual([undefined, expect.any(Endpoint)]);
      await both.engines.stop();
    });

    test('tries it after 10 s though it goes on with what it had before', async () => {
      const { both, endpoints: [a] } = await two();
      const before = a.take(0);
      [1, 2, 3].forEach(() => fail(a, 0));
      expect([a.isReliable(9_999), a.isReliable(10_000)]).toEqual([false, true]);
      const trial = a.take(10_000);
      a.release(before);
      expect(a.isReliable(10_000)).toBe(false);
      a.release(trial);
      expect(a.isReliable(10_000)).toBe(true);
      await both.engines.stop();
    });

    test('tries it with one request at a time after 10 s, and leaves it for twice as long if that fails', async () => {
      const { both, endpoints: [a] } = await two();
      [1, 2, 3].forEach(() => fail(a, 0));
      expect([a.isReliable(9_999), a.isReliable(10_000)]).toEqual([false, true]);
      a.take();
      expect(a.isReliable(10_000)).toBe(false);
      a.release();
      fail(a, 10_000);
      // what fails meanwhile had been begun before.
      fail(a, 20_000);
      expect([a.isReliable(29_999), a.isReliable(30_000)]).toEqual([false, true]);
      [30_000, 100_000, 200_000].forEach((millis) => fail(a, millis));
      expect([a.isReliable(259_999), a.isReliable(260_000)]).toEqual([false, true]);
      a.succeeded(260_000, 'caller');
      a.take();
      expect(a.isReliable(260_000)).toBe(true);
      a.release();
      await both.engines.stop();
    });

    test('counts those alone that failed since it answered', async () => {
      const { both, endpoints: [a] } = await two();
      [1, 2].forEach(() => fail(a, 0));
      a.succeeded(1, 'caller');
      [1, 2].forEach(() => fail(a, 2));
      expect(a.isReliable(3)).toBe(true);
      fail(a, 3);
      expect(a.isReliable(4)).toBe(false);
      await both.engines.stop();
    });

    test('does not blame the engine for the same request again, nor for one that fails elsewhere too', async () => {
      const { both, endpoints: [a, b] } = await two();
      const again = failure('caller');
      [1, 2, 3, 4].forEach(() => fail(a, 0, again));
      fail(a, 0);
      expect(a.isReliable(1)).toBe(true);
      [1, 2, 3, 4].forEach(() => fail(a, 0, failure('caller', b)));
      // it is learnt of one that it fails elsewhere after it was blamed for it.
      again.endpoints.add(b);
      fail(a, 0);
      expect(a.isReliable(1)).toBe(true);
      fail(a, 0);
      expect(a.isReliable(1)).toBe(false);
      await both.engines.stop();
    });

    test('does not blame the engine for those of one caller while it answers another', async () => {
      const { both, endpoints: [a] } = await two();
      a.succeeded(0, 'other');
      a.succeeded(0, 'caller');
      [1, 2, 3, 4].forEach(() => fail(a, 1));
      expect(a.isReliable(2)).toBe(true);
      fail(a, 2, failure('other'));
      expect(a.isReliable(3)).toBe(false);
      await both.engines.stop();
    });
  });

  describe('one of whose engines has said that it has too much to do', () => {
    const busyFor10 = async () => {
      const one = targetFor(async () => [(await engineWith()).url]);
      await one.engines.discover();
      const [endpoint] = one.engines.endpoints;
      endpoint.busy(0, 10);
      return endpoint;
    };

    test('tries it with one request once it should have room, and with others when that is answered, or was not refused', async () => {
      const endpoint = await busyFor10();
      // asked as no other had room, and answered what it had before.
      endpoint.take(9_999);
      endpoint.succeeded(9_999, 'caller');
      expect([9_999, 10_000].map((millis) => endpoint.isBusy(millis))).toEqual([true, false]);
      endpoint.take(10_000);
      expect([10_000, 10_999, 11_000].map((millis) => endpoint.isBusy(millis))).toEqual([true, true, false]);
      endpoint.succeeded(10_001, 'caller');
      endpoint.take(10_001);
      expect(endpoint.isBusy(10_001)).toBe(false);
    });

    test('leaves it again if that is refused, too', async () => {
      const endpoint = await busyFor10();
      endpoint.take(10_000);
      endpoint.busy(10_001, 10);
      expect([20_000, 20_001].map((millis) => endpoint.isBusy(millis))).toEqual([true, false]);
      endpoint.take(20_001);
      expect(endpoint.isBusy(20_001)).toBe(true);
    });
  });

  test('counts an engine as down after two failed probes, as up after one good one', async () => {
    const a = await engineWith();
    const one = targetFor(async () => [a.url]);
    await one.engines.discover();
    a.healthStatus = 503;
    await one.engines.discover();
    expect(one.healthyCount).toBe(1);
    await one.engines.discover();
    expect(take(one)).toBeUndefined();
    a.healthStatus = 404;
    await one.engines.discover();
    expect(take(one)).toBe(a.url);
    a.healthStatus = 503;
    await one.engines.discover();
    expect(one.healthyCount).toBe(1);
    await one.engines.stop();
  });

  test('follows its discovery, and keeps what it knew when that fails or is empty', async () => {
    const [a, b] = [await engineWith(), await engineWith()];
    let answer: () => Promise<string[]> = async () => [a.url];
    const moving = targetFor(async () => answer());
    await moving.engines.discover();
    expect(take(moving)).toBe(a.url);
    answer = async () => [b.url];
    await moving.engines.discover();
    expect(take(moving)).toBe(b.url);
    answer = async () => Promise.reject(new Error('SERVFAIL'));
    await moving.engines.discover();
    expect(take(moving)).toBe(b.url);
    answer = async () => [];
    await moving.engines.discover();
    expect(take(moving)).toBe(b.url);
    await moving.engines.stop();
  });

  test('lets a request finish on an engine that has left', async () => {
    const [leaving, other] = [await engineWith(streamOf(['a', 'b', 'c'], 50)), await engineWith()];
    let urls = [leaving.url];
    const moving = targetFor(async () => urls);
    await moving.engines.discover();
    const endpoint = moving.next(new Set(), NO_PROMPT)!;
    moving.take(endpoint, NO_PROMPT);
    const response = await endpoint.post('/v1/chat/completions', {}, [Buffer.from('{}')], new Cancellation());
    urls = [other.url];
    await moving.engines.discover();
    expect((await readWhole(response, 10_000)).body.toString()).toContain('[DONE]');
    await until(() => !leaving.requests[0].aborted, 'the request was not aborted');
    await moving.engines.stop();
  });
});

describe('SRV discovery', () => {
  test('takes the records of the lowest priority', async () => {
    const discovery = new SrvDiscovery('_engine._tcp.local', async () => [
      { name: 'b.local', port: 8000, priority: 1, weight: 1 },
      { name: 'spare.local', port: 8000, priority: 2, weight: 1 },
      { name: 'a.local', port: 8001, priority: 1, weight: 1 },
    ]);
    expect(await discovery.addresses()).toEqual(['http://a.local:8001', 'http://b.local:8000']);
  });

  test('takes the root for no service', async () => {
    const none = new SrvDiscovery('_engine._tcp.local', async () => [{ name: '', port: 0, priority: 0, weight: 0 }]);
    expect(await none.addresses()).toEqual([]);
  });
});
