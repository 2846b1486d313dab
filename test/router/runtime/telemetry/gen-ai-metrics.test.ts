import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as conventions from '@opentelemetry/semantic-conventions/incubating';
import { attributesOf, Collector, Point } from './collector';
import { ask, chat, configOf, delta, drained, KEY, MockEngine, MODEL, streaming, until, whole, wholly } from '../harness';
import { bundle, RouterProcess } from '../router-process';

const USAGE = { prompt_tokens: 700, completion_tokens: 3 };
const told = wholly({ choices: [{ index: 0, message: { content: 'hello' }, text: 'hello', finish_reason: 'stop' }], usage: USAGE });
const stream = streaming([delta({ content: 'a' }), delta({ content: 'b' }), delta({ content: 'c' }, 'stop'), { object: 'chat.completion.chunk', choices: [], usage: USAGE }]);
/** By the conventions for generative AI, of which each boundary is a promise to dashboards. */
const BOUNDS: { [name: string]: number[] } = {
  'gen_ai.server.request.duration': [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92],
  'gen_ai.server.time_to_first_token': [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
  'gen_ai.server.time_per_output_token': [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5],
  'gen_ai.client.token.usage': [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864],
};
const [DURATION, TTFT, TPOT, TOKENS] = Object.keys(BOUNDS);

let script: string;
let collector: Collector;
let engine: MockEngine;
let running: RouterProcess;

beforeAll(() => {
  script = bundle('gen-ai-metrics.js');
});
beforeEach(async () => {
  collector = await Collector.start();
  engine = await MockEngine.start(told);
});
afterEach(async () => {
  running.child.kill('SIGKILL');
  await running.exit;
  await collector.stop();
  await engine.stop();
});

const start = async (env: { [name: string]: string }, more: object = {}) => {
  const targets = [{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url, ...more }];
  running = new RouterProcess(script, { ROUTER_CONFIG: JSON.stringify(configOf(targets)), KEYS: KEY, ...env });
  return `http://127.0.0.1:${(await running.said('listening')).port}`;
};
/** Metrics alone, at the end. */
const exporting = () => ({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_TRACES_EXPORTER: 'none' });
const ended = async () => {
  running.child.kill('SIGTERM');
  expect(await running.exit).toBe(0);
};
const points = (name: string, attributes: object = {}): Point[] => (collector.metrics.get(name)?.points ?? [])
  .filter((point) => Object.entries(attributes).every(([key, value]) => point.attributes[key] === value));

test('what requests took is told, with the units and boundaries of the conventions', async () => {
  const url = await start(exporting());
  expect((await ask(url, chat())).status).toBe(200);
  engine.behaviour = stream;
  for (let i = 0; i < 2; i++) {
    expect((await drained(await ask(url, chat({ stream: true })))).broken).toBe(false);
  }
  await ended();
  const names = {
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'openai',
    'gen_ai.request.model': MODEL,
    'gen_ai.response.model': MODEL,
    'router.target': 'engine',
    'server.address': '127.0.0.1',
    'server.port': engine.port,
  };
  const counts = { [DURATION]: 3, [TTFT]: 2, [TPOT]: 2 };
  for (const [name, count] of Object.entries(counts)) {
    expect(points(name)).toEqual([{ attributes: names, count, sum: expect.any(Number), bounds: BOUNDS[name] }]);
    expect(points(name)[0].sum).toBeLessThan(60);
  }
  expect(points(TOKENS)).toEqual([['input', 700], ['output', 3]].map(([type, tokens]) => (
    { attributes: { ...names, 'gen_ai.token.type': type }, count: 3, sum: 3 * Number(tokens), bounds: BOUNDS[TOKENS] })));
  expect([...collector.metrics.values()].map(({ unit }) => unit)).toEqual(['s', 's', 's', '{token}']);
  expect(collector.sent.map(({ path }) => path)).toEqual(['/v1/metrics']);
});

test('operations, APIs, names of the model, who answers and errors are told apart', async () => {
  const url = await start(exporting(), { modelName: 'the-engines-own' });
  const converse = { messages: [{ role: 'user', content: [{ text: 'hello' }] }] };
  const asked: [string, object, object][] = [
    ['/v1/chat/completions', chat({ model: 'llama' }), { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai', 'gen_ai.request.model': 'llama' }],
    ['/v1/completions', { model: MODEL, prompt: 'a' }, { 'gen_ai.operation.name': 'text_completion', 'gen_ai.provider.name': 'openai' }],
    [`/model/${MODEL}/converse`, converse, { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'aws.bedrock' }],
    [`/model/${MODEL}/invoke`, { prompt: 'a' }, { 'gen_ai.operation.name': 'text_completion', 'gen_ai.provider.name': 'aws.bedrock' }],
  ];
  for (const [path, body] of asked) {
    expect((await ask(url, body, {}, path)).status).toBe(200);
  }
  engine.behaviour = (response) => void response.writeHead(500).end('{}');
  expect((await ask(url, chat())).status).toBe(500);
  engine.behaviour = (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`data: ${JSON.stringify(delta({ content: 'a' }))}\n\n`, () => response.destroy());
  };
  expect((await drained(await ask(url, chat({ stream: true })))).text).toContain('error');
  engine.behaviour = wholly({ count: 3, max_model_len: 4096, tokens: [1, 2, 3] });
  expect((await ask(url, { input: { converse } }, {}, `/model/${MODEL}/count-tokens`)).status).toBe(200);
  await ended();
  for (const [, , attributes] of asked) {
    const all = { ...attributes, 'gen_ai.response.model': 'the-engines-own', 'router.target': 'engine', 'error.type': undefined };
    expect([attributes, points(DURATION, all).map(({ count }) => count)]).toEqual([attributes, [1]]);
  }
  expect(points(DURATION, { 'error.type': '500', 'router.target': 'engine' }).map(({ count }) => count)).toEqual([1]);
  expect(points(DURATION, { 'error.type': 'stream_error' }).map(({ count }) => count)).toEqual([1]);
  expect(points(DURATION, { 'gen_ai.operation.name': 'count_tokens', 'gen_ai.provider.name': 'aws.bedrock' }).map(({ count }) => count)).toEqual([1]);
  // of an answer that broke off, and of one that has no tokens, there is nothing to say.
  expect([...points(TTFT), ...points(TPOT), ...points(TOKENS, { 'gen_ai.operation.name': 'count_tokens' })]).toEqual([]);
});

test('every name of a metric and of an attribute is one of the conventions, but the router\'s own', async () => {
  engine.behaviour = streaming([delta({ content: 'a' }), delta({}, 'stop'), delta({ content: 'b' }, 'stop', { index: 1 }), {
    object: 'chat.completion.chunk', choices: [], usage: { ...USAGE, prompt_tokens_details: { cached_tokens: 512 } },
  }]);
  const url = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
  const settings = {
    max_tokens: 9, temperature: 0.5, top_p: 0.5, top_k: 9, frequency_penalty: 0.5, presence_penalty: 0.5, seed: 7, n: 2, response_format: { type: 'json_object' },
  };
  expect((await drained(await ask(url, chat({ stream: true, ...settings })))).broken).toBe(false);
  expect((await ask(url, '{}')).status).toBe(400);
  await ended();
  const ofPoints = [...collector.metrics.keys()].flatMap((name) => points(name)).map(({ attributes }) => attributes);
  const attributes = [...collector.spans.map(attributesOf), ...ofPoints].flatMap((of) => Object.keys(of));
  const names = new Set([...collector.metrics.keys(), ...attributes].filter((name) => !name.startsWith('router.')));
  expect(names.size).toBeGreaterThan(25);
  const known: unknown[] = Object.values(conventions);
  expect([...names].filter((name) => !known.includes(name))).toEqual([]);
});

test('nothing that callers make up becomes an attribute', async () => {
  const url = await start(exporting());
  for (let i = 0; i < 20; i++) {
    expect((await ask(url, chat({ model: `made-up-${i}`, user: `made-up-${i}` }))).status).toBe(404);
    expect((await ask(url, {}, {}, `/model/made-up-${i}/converse`)).status).toBe(400);
    expect((await ask(url, {}, {}, `/made-up-${i}`)).status).toBe(404);
  }
  expect((await ask(url, chat(), { authorization: 'Bearer made-up' })).status).toBe(401);
  await ended();
  expect(points(DURATION).map(({ attributes, count }) => [attributes, count])).toEqual([
    [{ 'error.type': '404', 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai' }, 20],
    [{ 'error.type': '400', 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'aws.bedrock' }, 20],
    [{ 'error.type': '401', 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai' }, 1],
  ]);
  expect(collector.text).not.toContain('made-up');
});

test('they are sent again and again, by who the environment says the router is', async () => {
  const url = await start({
    ...exporting(), OTEL_METRIC_EXPORT_INTERVAL: '100', OTEL_SERVICE_NAME: 'chat-router', OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test', OTEL_EXPORTER_OTLP_HEADERS: 'x-key=abc',
  });
  await ask(url, chat());
  await until(() => points(DURATION)[0]?.count === 1, 'one request is told');
  await ask(url, chat());
  await until(() => points(DURATION)[0].count === 2, 'two requests are told, as sums go on');
  expect(collector.resources[0]).toMatchObject({
    'service.name': 'chat-router', 'service.instance.id': expect.any(String), 'deployment.environment.name': 'test', 'telemetry.sdk.name': 'opentelemetry',
  });
  expect(new Set(collector.resources.map((resource) => resource['service.instance.id'])).size).toBe(1);
  expect(collector.sent[0].headers).toMatchObject({ 'x-key': 'abc', 'content-type': 'application/json' });
});

test('what has the same attributes after a reload as before is one sum', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'gen-ai-metrics-')), 'router.json');
  const write = (id: string) => writeFileSync(file, JSON.stringify(configOf(
    [{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url, modelName: 'the-engines-own' }], { model: { id, servedNames: [MODEL] } })));
  write('before');
  running = new RouterProcess(script, { ROUTER_CONFIG_FILE: file, KEYS: KEY, ...exporting() });
  const url = `http://127.0.0.1:${(await running.said('listening')).port}`;
  expect((await ask(url, chat())).status).toBe(200);
  write('after');
  running.child.kill('SIGHUP');
  expect(await running.said('reloaded')).toMatchObject({ model: 'after' });
  expect((await ask(url, chat())).status).toBe(200);
  await ended();
  expect(points(DURATION).map(({ count }) => count)).toEqual([2]);
});

test.each([
  ['both', {}, ['/v1/metrics', '/v1/traces']],
  ['no metrics', { OTEL_METRICS_EXPORTER: 'none' }, ['/v1/traces']],
  ['no traces', { OTEL_TRACES_EXPORTER: 'none' }, ['/v1/metrics']],
  ['nothing, as all is turned off', { OTEL_SDK_DISABLED: 'True' }, []],
  ['nothing, as the endpoint is empty', { OTEL_EXPORTER_OTLP_ENDPOINT: '' }, []],
  ['metrics, where they alone have an endpoint', { OTEL_EXPORTER_OTLP_ENDPOINT: '', OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: '/own/metrics' }, ['/own/metrics']],
  ['traces, where they alone have one', { OTEL_EXPORTER_OTLP_ENDPOINT: '', OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: '/own/traces' }, ['/own/traces']],
])('the environment chooses: %s', async (_, env, paths) => {
  const absolute = Object.entries(env).map(([name, value]) => [name, value.startsWith('/') ? `${collector.url}${value}` : value]);
  const url = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...Object.fromEntries(absolute) });
  expect((await ask(url, chat())).status).toBe(200);
  await ended();
  expect(collector.sent.map(({ path }) => path).sort()).toEqual(paths);
});

test('a collector that never answers costs no request and does not keep the router from going', async () => {
  collector.status = undefined;
  engine.behaviour = whole;
  const url = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_EXPORTER_OTLP_TIMEOUT: '600000', OTEL_METRIC_EXPORT_INTERVAL: '600000', OTEL_METRIC_EXPORT_TIMEOUT: '600000' });
  expect((await ask(url, chat())).status).toBe(200);
  await ended();
  expect(collector.sent.map(({ path }) => path).sort()).toEqual(['/v1/metrics', '/v1/traces']);
  expect(running.lines.map(({ msg }) => msg)).toContain('OpenTelemetry\'s collector has not taken what was left to send');
});

test.each(['4000000000', '0.001', 'often', '-1', ''])('an interval that is none is a minute: %j', async (interval) => {
  const url = await start({ ...exporting(), OTEL_METRIC_EXPORT_INTERVAL: interval });
  expect((await ask(url, chat())).status).toBe(200);
  await ended();
  expect(collector.sent).toHaveLength(1);
});

test('the log tells that a collector does not take what it is sent, and not again each time', async () => {
  collector.status = 400;
  const url = await start({ ...exporting(), OTEL_METRIC_EXPORT_INTERVAL: '50' });
  expect((await ask(url, chat())).status).toBe(200);
  await until(() => collector.sent.length >= 5, 'it was sent some');
  await ended();
  expect(running.lines.filter(({ msg }) => /collector/.test(msg))).toMatchObject([{ level: 40, error: expect.stringContaining('Bad Request') }]);
});
