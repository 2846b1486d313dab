import fc from 'fast-check';
import { ProblemsError } from '../../../../src/problems';
import { parseRouterConfig } from '../../../../src/router/runtime';
import { TargetConfig } from '../../../../src/router/runtime/config';
import { Endpoint } from '../../../../src/router/runtime/targets/endpoint';
import { Engines } from '../../../../src/router/runtime/targets/engines';
import { readEngineReport } from '../../../../src/router/runtime/targets/reported-load';
import { Target } from '../../../../src/router/runtime/targets/target';
import { Prompt } from '../../../../src/routing';
import { ask, Behaviour, chat, configOf, KEY, MockEngine, routerFor, TestRouter, until, whole } from '../harness';

const running: MockEngine[] = [];
const routers: TestRouter[] = [];
const sets: Engines[] = [];

afterEach(async () => {
  await Promise.all(routers.splice(0).map(async (router) => router.drain()));
  await Promise.all(sets.splice(0).map(async (engines) => engines.stop()));
  await Promise.all(running.splice(0).map(async (engine) => engine.stop()));
});

/** What vLLM 0.32 tells. */
const vllm = (requests: number, waiting = 0, kvCacheUsage = 0.1) => `# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a } model"} ${requests.toFixed(1)}
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="a } model"} ${waiting.toFixed(1)}
vllm:num_requests_waiting_by_reason{engine="0",model_name="a } model",reason="capacity"} 77.0
vllm:kv_cache_usage_perc{engine="0",model_name="a } model"} ${kvCacheUsage}
vllm:request_success_total{engine="0",finished_reason="stop"} 12.0
`;

/** An engine that answers requests, and tells what it is told to tell. */
async function engineThat(tells: Behaviour): Promise<MockEngine> {
  const engine = await MockEngine.start(async (response, received) => (received.path === '/metrics' ? tells : whole)(response, received));
  running.push(engine);
  return engine;
}
const telling = (text: () => string, status = 200): Behaviour => (response) => void response.writeHead(status).end(text());
const asked = (engine: MockEngine) => engine.requests.filter(({ path }) => path === '/metrics').length;

async function targetOf(role: TargetConfig['role'], engines: MockEngine[], intervalSeconds = 0.05): Promise<Target> {
  const config: TargetConfig = { name: 't', role, protocol: 'openai', srv: 't', maxInFlight: 100, prefixLoadFactor: 1, metrics: { path: '/metrics', intervalSeconds } };
  const set = new Engines(config, undefined, { addresses: async () => engines.map(({ url }) => url) });
  sets.push(set);
  await set.start();
  return new Target(config, set);
}
const NO_PROMPT: Prompt = { tokens: 0, sharePerBlock: 0, blocks: new Int32Array(0) };
const next = (from: Target, tried = new Set<Endpoint>()) => from.next(tried, NO_PROMPT)!;

describe('what an engine says', () => {
  test('is read from vLLM\'s metrics, of all its data-parallel ranks', () => {
    expect(readEngineReport(vllm(3, 2, 0.25))).toEqual({ running: 3, waiting: 2, kvCacheUsage: 0.25 });
    expect(readEngineReport(vllm(3, 2, 0.25) + vllm(1, 0, 0.5).replaceAll('engine="0"', 'engine="1"'))).toEqual({ running: 4, waiting: 2, kvCacheUsage: 0.5 });
  });

  test('is read from those of older versions, and of SGLang', () => {
    expect(readEngineReport('vllm:num_requests_running 1\nvllm:gpu_cache_usage_perc 0.4\n')).toEqual({ running: 1, waiting: 0, kvCacheUsage: 0.4 });
    expect(readEngineReport('sglang:num_running_reqs{model_name="m"} 5.0\nsglang:num_queue_reqs{model_name="m"} 6.0\r\nsglang:token_usage{model_name="m"} 0.7 1700000000'))
      .toEqual({ running: 5, waiting: 6, kvCacheUsage: 0.7 });
  });

  test.each(['', 'not found', 'vllm:num_requests_waiting 3', 'vllm:num_requests_running NaN', 'vllm:num_requests_running -1', '# vllm:num_requests_running 3', 'xvllm:num_requests_running 3'])(
    'is nothing if it is %p', (text) => {
      expect(readEngineReport(text)).toBeUndefined();
    });

  test('is never a number that is none, whatever it says', () => {
    expect(readEngineReport('vllm:num_requests_running 1e308\n'.repeat(2) + 'vllm:num_requests_running 3\n')).toMatchObject({ running: 3 });
    fc.assert(fc.property(fc.array(fc.tuple(
      fc.constantFrom('vllm:num_requests_running', 'vllm:num_requests_waiting', 'vllm:kv_cache_usage_perc', 'sglang:token_usage'),
      fc.oneof(fc.double().map(String), fc.string(), fc.constantFrom('NaN', '+Inf', '-1', '1e999', '0x10')),
    )), (samples) => {
      const report = readEngineReport(samples.map(([name, value]) => `${name}{a="b"} ${value}`).join('\n'));
      expect(Object.values(report ?? {}).every((value) => Number.isFinite(value) && value >= 0)).toBe(true);
      expect(report?.kvCacheUsage ?? 0).toBeLessThanOrEqual(1);
    }));
  });
});

describe('a target', () => {
  test('gives the engine that has the fewest requests of anybody, its own not counted twice', async () => {
    const own = { a: 0, b: 0 };
    const [a, b] = [await engineThat(telling(() => vllm(own.a, 3))), await engineThat(telling(() => vllm(own.b)))];
    const target = await targetOf('decode', [a, b]);
    await until(() => target.engines.endpoints.every(({ reported }) => reported.latest !== undefined), 'both have told');
    const [first, second] = target.engines.endpoints;
    for (const expected of [1, 2, 3]) {
      expect(next(target)).toBe(second);
      target.take(second, NO_PROMPT);
      own.b++;
      const told = asked(b);
      await until(() => asked(b) > told + 1 && second.reported.latest?.running === own.b, 'it told of the request');
      expect(second.sequences).toBe(expected);
    }
    target.take(second, NO_PROMPT);
    expect([next(target), first.sequences, second.sequences]).toEqual([first, 3, 4]);
  });

  test('gives the prefill engine with the fewest tokens to read of anybody', async () => {
    const [a, b] = [await engineThat(telling(() => vllm(1, 4))), await engineThat(telling(() => vllm(0)))];
    const target = await targetOf('prefill', [a, b]);
    await until(() => target.engines.endpoints.every(({ reported }) => reported.latest !== undefined), 'both have told');
    const [first, second] = target.engines.endpoints;
    [first, second].forEach((endpoint) => endpoint.reads(1000)());
    expect(first.everybodysPromptTokens).toBe(5000);
    second.reads(4000);
    expect(next(target)).toBe(second);
    second.reads(2000);
    expect(next(target)).toBe(first);
  });

  test('gives an engine without room in its KV cache only where there is no other', async () => {
    const [a, b] = [await engineThat(telling(() => vllm(1, 0, 0.99))), await engineThat(telling(() => vllm(8, 0, 0.5)))];
    const target = await targetOf('aggregated', [a, b]);
    await until(() => target.engines.endpoints.every(({ reported }) => reported.latest !== undefined), 'both have told');
    const [full, roomy] = target.engines.endpoints;
    expect([next(target), next(target, new Set([roomy]))]).toEqual([roomy, full]);
  });

  test('forgets what was said too long ago', async () => {
    let status = 200;
    const engine = await engineThat((response, received) => telling(() => vllm(9), status)(response, received));
    const target = await targetOf('decode', [engine]);
    const [endpoint] = target.engines.endpoints;
    await until(() => endpoint.sequences === 9, 'it has told');
    status = 500;
    await until(() => endpoint.sequences === 0, 'that is forgotten');
    expect([endpoint.isUp, endpoint.reported.latest]).toEqual([true, undefined]);
  });

  test.each<[string, Behaviour]>([
    ['refuses', telling(() => vllm(9), 404)],
    ['says something else', telling(() => '<html>')],
    ['breaks off', (response) => void response.destroy()],
    ['says nothing', () => undefined],
    ['says too much', (response) => {
      response.write(vllm(9));
      const fill = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65536, '#'))) {
          // until the connection is full, or given up.
        }
      };
      response.on('drain', fill);
      fill();
    }],
  ])('does without an engine\'s word that %s, and the engine is no worse for it', async (_, tells) => {
    const engine = await engineThat(tells);
    const router = await routerFor([{ name: 'decode', role: 'decode', protocol: 'openai', url: engine.url, metrics: { path: '/metrics', intervalSeconds: 0.05 } }]);
    routers.push(router);
    await until(() => asked(engine) > 0 && (engine.active === 0 || engine.requests[0].aborted || tells.length === 0), 'it was asked');
    expect((await ask(router.url, chat())).status).toBe(200);
    expect(await (await fetch(`${router.url}/readyz`)).json()).toMatchObject({ targets: { decode: { endpoints: 1, healthy: 1 } } });
    expect(await (await fetch(`${router.url}/metrics`)).text()).toContain('router_upstream_reporting{target="decode"} 0');
  });
});

test('the router tells what its engines say', async () => {
  const [busy, idle] = [await engineThat(telling(() => vllm(6, 1, 0.75))), await engineThat(telling(() => vllm(2, 0, 0.5)))];
  const metrics = { path: '/metrics', intervalSeconds: 0.05 };
  const router = await routerFor([
    ...[busy, idle].map(({ url }, i) => ({ name: `t${i}`, role: 'aggregated', protocol: 'openai', url, metrics })),
    { name: 'silent', role: 'aggregated', protocol: 'openai', url: idle.url },
  ]);
  routers.push(router);
  const text = async () => (await fetch(`${router.url}/metrics`)).text();
  await until(async () => /router_upstream_reporting\{target="t0"\} 1\n.*router_upstream_reporting\{target="t1"\} 1\n/s.test(await text()), 'both have told');
  expect((await text()).split('\n').filter((line) => /^router_upstream_(requests|kv)/.test(line))).toEqual([
    'router_upstream_requests{target="t0",state="running"} 6',
    'router_upstream_requests{target="t0",state="waiting"} 1',
    'router_upstream_requests{target="t1",state="running"} 2',
    'router_upstream_requests{target="t1",state="waiting"} 0',
    'router_upstream_kv_cache_usage{target="t0"} 0.75',
    'router_upstream_kv_cache_usage{target="t1"} 0.5',
  ]);
});

test('the configuration says where it is told, for engines that do', () => {
  const target = { name: 't', role: 'aggregated', protocol: 'openai', url: 'http://e', metrics: { path: '/metrics' } };
  expect(parseRouterConfig(JSON.stringify(configOf([target])), { KEYS: KEY }).targets[0].metrics).toEqual({ path: '/metrics', intervalSeconds: 2 });
  const problemsOf = (more: object) => {
    try {
      parseRouterConfig(JSON.stringify(configOf([{ ...target, ...more }])), { KEYS: KEY, E: 'k' });
    } catch (e) {
      return (e as ProblemsError).problems.map(({ path, message }) => `${path}: ${message}`);
    }
    return [];
  };
  expect(problemsOf({ metrics: { path: 'metrics', intervalSeconds: 0 } })).toEqual([
    'config.targets[0].metrics.path: the value must match pattern "^/"', 'config.targets[0].metrics.intervalSeconds: the value must be >= 0.05',
  ]);
  expect(problemsOf({ protocol: 'cerebras', apiKeyEnv: 'E' })).toEqual(['config.targets[0].metrics: such a target has no such setting']);
});
