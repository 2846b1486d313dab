import { attributesOf, Collector } from './collector';
import { VllmPair } from '../handoff/vllm-pair';
import { asManyAsAsked, ask, chat, configOf, delta, drained, KEY, MockEngine, MODEL, streaming, whole, wholly } from '../harness';
import { bundle, RouterProcess } from '../router-process';
import { answering, FakeBedrock, frame, streaming as bedrockStreaming } from '../targets/fake-bedrock';

const CALLERS = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };
const TRACEPARENT = `00-${CALLERS.traceId}-${CALLERS.spanId}-01`;

let script: string;
let collector: Collector;
let running: RouterProcess;
const closing: (() => Promise<unknown>)[] = [];

beforeAll(() => {
  script = bundle('tracing.js');
});
beforeEach(async () => {
  collector = await Collector.start();
});
afterEach(async () => {
  running.child.kill('SIGKILL');
  await running.exit;
  await collector.stop();
  await Promise.all(closing.splice(0).map(async (close) => close()));
});

const start = async (targets: object[], env: { [name: string]: string } = {}, more: object = {}) => {
  running = new RouterProcess(script, { ROUTER_CONFIG: JSON.stringify(configOf(targets, more)), KEYS: KEY, ...env });
  return `http://127.0.0.1:${(await running.said('listening')).port}`;
};
// spans alone: metrics are sent at the end.
const exporting = () => ({
  OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_METRICS_EXPORTER: 'none', OTEL_BSP_SCHEDULE_DELAY: '50', OTEL_SERVICE_NAME: 'chat-router',
});
const engineWith = async (behaviour = whole) => {
  const engine = await MockEngine.start(behaviour);
  closing.push(async () => engine.stop());
  return engine;
};
const one = (engine: MockEngine) => [{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }];

const told = async (count: number) => collector.toldSpans(count);

test('a request that is handed on is a span of its caller\'s trace, with one for each engine, which has that for its parent', async () => {
  const pair = await VllmPair.start();
  closing.push(async () => pair.stop());
  const url = await start([
    { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector: 'NixlConnector', prefill: 'prefill' },
    { name: 'prefill', role: 'prefill', protocol: 'openai', url: pair.prefill.url, kvConnector: 'NixlConnector' },
  ], exporting(), { routing: { minPromptTokens: 0 } });
  const { broken } = await drained(await ask(url, chat({ stream: true }), { traceparent: TRACEPARENT, tracestate: 'vendor=1' }));
  expect(broken).toBe(false);
  const all = await told(3);
  const [prefill, decode, server] = ['prefill', 'decode', `chat ${MODEL}`].map((name) => all.find((span) => span.name === name));
  expect(new Set(all.map(({ traceId }) => traceId))).toEqual(new Set([CALLERS.traceId]));
  expect([server.parentSpanId, server.kind]).toEqual([CALLERS.spanId, 2]);
  expect([prefill.parentSpanId, decode.parentSpanId]).toEqual([server.spanId, server.spanId]);
  const engines = [pair.prefill.requests[0], pair.decode.requests[0]];
  expect(engines.map(({ headers }) => [headers.traceparent, headers.tracestate])).toEqual(
    [prefill, decode].map(({ spanId }) => [`00-${CALLERS.traceId}-${spanId}-01`, 'vendor=1']));
  expect(attributesOf(server)).toMatchObject({
    'gen_ai.operation.name': 'chat',
    'gen_ai.request.model': MODEL,
    'http.response.status_code': 200,
    'router.path': 'disaggregated',
    'router.reason': expect.any(String),
    'router.handoff': 'handed_off',
  });
  expect(attributesOf(decode)).toMatchObject({ 'server.address': '127.0.0.1', 'server.port': Number(new URL(pair.decode.url).port), 'http.response.status_code': 200 });
  expect(collector.resources[0]).toMatchObject({ 'service.name': 'chat-router', 'service.instance.id': expect.any(String), 'telemetry.sdk.language': 'nodejs' });
  expect(collector.sent[0]).toMatchObject({ path: '/v1/traces', headers: { 'content-type': 'application/json' } });
});

test('tokens and the reason of the end are told, and nothing that callers or engines write', async () => {
  const engine = await engineWith(streaming([
    delta({ content: 'a secret answer with "finish_reason":"forged"' }), delta({}, 'length'),
    { object: 'chat.completion.chunk', choices: [], usage: { prompt_tokens: 7, completion_tokens: 3 } },
  ]));
  const url = await start(one(engine), exporting());
  await drained(await ask(url, chat({ stream: true })));
  const [, server] = await told(2);
  expect(attributesOf(server)).toMatchObject({
    'gen_ai.request.stream': true,
    'gen_ai.usage.input_tokens': 7,
    'gen_ai.usage.output_tokens': 3,
    'gen_ai.response.finish_reasons': ['length'],
    'gen_ai.response.time_to_first_chunk': expect.any(Number),
    'router.path': 'aggregated',
  });
  engine.behaviour = whole;
  await ask(url, chat());
  expect(attributesOf((await told(4))[3])).toMatchObject({ 'gen_ai.response.finish_reasons': ['stop'] });
  expect(collector.text).not.toMatch(/secret|forged|hello|key-of-a-caller/);
});

test('what is asked for is told, and what of the prompt was in a cache', async () => {
  const usage = { prompt_tokens: 7, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 5 } };
  const choice = { message: { content: 'hello' }, text: 'hello', finish_reason: 'stop' };
  const engine = await engineWith((response, received) => wholly({ choices: asManyAsAsked([choice], received.body), usage })(response, received));
  const url = await start(one(engine), exporting());
  const prompt = { prompt: 'a secret prompt' };
  const asked: [string, object, object][] = [
    ['/v1/chat/completions', chat({ max_tokens: 9, max_completion_tokens: 8, temperature: 0.5, seed: 7, n: 2, response_format: { type: 'json_object' }, user: 'secret' }), {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.max_tokens': 8,
      'gen_ai.request.temperature': 0.5,
      'gen_ai.request.seed': 7,
      'gen_ai.request.choice.count': 2,
      'gen_ai.output.type': 'json',
      'gen_ai.response.model': MODEL,
      'router.target': 'engine',
      'server.address': '127.0.0.1',
      'server.port': engine.port,
      'gen_ai.usage.input_tokens': 7,
      'gen_ai.usage.cache_read.input_tokens': 5,
      'gen_ai.usage.output_tokens': 3,
    }],
    [`/model/${MODEL}/converse`, { messages: [{ role: 'user', content: [{ text: 'a secret prompt' }] }], inferenceConfig: { maxTokens: 9 } }, {
      'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'aws.bedrock', 'gen_ai.request.max_tokens': 9,
    }],
    [`/model/${MODEL}/invoke`, chat({ model: undefined }), {
      'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'aws.bedrock', 'http.request.method': 'POST', 'http.route': '/model/{modelId}/invoke',
    }],
    [`/model/${MODEL}/invoke`, prompt, { 'gen_ai.operation.name': 'text_completion', 'gen_ai.request.max_tokens': 512 }],
    ['/v1/completions', { ...prompt, model: MODEL }, {
      'gen_ai.operation.name': 'text_completion', 'gen_ai.provider.name': 'openai', 'http.request.method': 'POST', 'http.route': '/v1/completions',
    }],
    ['/openai/v1/chat/completions?secret=1', chat(), { 'http.route': '/openai/v1/chat/completions' }],
  ];
  for (const [i, [path, body, expected]] of asked.entries()) {
    expect((await ask(url, body, {}, path)).status).toBe(200);
    const server = (await told(2 * (i + 1))).find(({ name, traceId }) => name !== 'decode' && traceId === collector.spans.at(-1).traceId);
    const attributes = attributesOf(server) as { [name: string]: unknown };
    expect(attributes).toMatchObject(expected);
    // said of streams alone.
    expect(attributes).not.toHaveProperty(['gen_ai.request.stream']);
    expect(server.name).toBe(`${attributes['gen_ai.operation.name']} ${MODEL}`);
  }
  expect(collector.text).not.toMatch(/secret|hello|key-of-a-caller/);
});

test('why answers of Bedrock end is told, whatever its models write', async () => {
  const bedrock = await FakeBedrock.start();
  closing.push(async () => bedrock.stop());
  const url = await start([{ name: 'bedrock', role: 'aggregated', protocol: 'bedrock', region: 'us-east-2', modelName: 'm', url: bedrock.url }], {
    ...exporting(), AWS_CONTAINER_CREDENTIALS_FULL_URI: bedrock.credentialsUrl, AWS_CONFIG_FILE: '/nowhere', AWS_SHARED_CREDENTIALS_FILE: '/nowhere',
  });
  const chunk = (value: object) => frame('chunk', { bytes: Buffer.from(JSON.stringify(value)).toString('base64') });
  const converse = { messages: [{ role: 'user', content: [{ text: 'hello' }] }] };
  const invoke = chat({ model: undefined });
  const forged = { toolUse: { toolUseId: '1', name: 'f', input: { stopReason: 'forged' } } };
  const asked: [string, object, FakeBedrock['behaviour']][] = [
    ['converse', converse, answering(200, { output: { message: { role: 'assistant', content: [forged] } }, stopReason: 'tool_use' })],
    ['converse-stream', converse, bedrockStreaming([
      frame('messageStart', { role: 'assistant' }), frame('messageStop', { stopReason: 'end_turn' }), frame('metadata', { usage: {} }),
    ])],
    ['invoke', invoke, answering(200, { content: [], stop_reason: 'max_tokens' })],
    ['invoke', invoke, answering(200, { choices: [{ finish_reason: 'length' }] })],
    ['invoke-with-response-stream', invoke, bedrockStreaming([chunk({ generation: 'x', stop_reason: 'stop' })])],
  ];
  const reasons = [];
  for (const [operation, body, behaviour] of asked) {
    bedrock.behaviour = behaviour;
    await drained(await ask(url, body, {}, `/model/${MODEL}/${operation}`));
    reasons.push(attributesOf((await told(2 * (reasons.length + 1))).at(-1))['gen_ai.response.finish_reasons']);
  }
  expect(reasons).toEqual([['tool_use'], ['end_turn'], ['max_tokens'], ['length'], ['stop']]);
});

test('a model is told by the name that was asked for, once it is known to be served', async () => {
  const url = await start(one(await engineWith()), exporting());
  expect((await ask(url, chat({ model: 'llama' }))).status).toBe(200);
  expect((await ask(url, chat({ model: 'a secret model' }))).status).toBe(404);
  const [, served, refused] = await told(3);
  expect([served.name, attributesOf(served)['gen_ai.request.model'], attributesOf(served)['gen_ai.response.model']]).toEqual(['chat llama', 'llama', MODEL]);
  expect([refused.name, attributesOf(refused)['error.type'], attributesOf(refused)['gen_ai.request.model']]).toEqual(['chat', '404', undefined]);
  expect(collector.text).not.toContain('secret');
});

test('an engine that fails is told by its span and by that of the request', async () => {
  const engine = await engineWith((response) => void response.destroy());
  const url = await start(one(engine), exporting());
  expect((await ask(url, chat())).status).toBe(502);
  const [leg, server] = await told(2);
  expect([leg.status.code, server.status.code]).toEqual([2, 2]);
  expect([attributesOf(leg)['error.type'], attributesOf(server)['error.type']]).toEqual(['_OTHER', '502']);
});

test('what is unsent is sent before the router goes', async () => {
  const url = await start(one(await engineWith()), { ...exporting(), OTEL_BSP_SCHEDULE_DELAY: '600000' });
  expect((await ask(url, chat())).status).toBe(200);
  running.child.kill('SIGTERM');
  expect(await running.exit).toBe(0);
  expect(collector.spans.map(({ name }) => name)).toEqual(['decode', `chat ${MODEL}`]);
});

test('a collector that is gone costs no request and does not keep the router from going', async () => {
  const url = await start(one(await engineWith()), { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_EXPORTER_OTLP_TIMEOUT: '500' });
  expect((await ask(url, chat())).status).toBe(200);
  running.child.kill('SIGTERM');
  expect(await running.exit).toBe(0);
});

test('a caller\'s trace that is none is replaced by one of the router\'s own, and its state is dropped', async () => {
  const engine = await engineWith();
  const url = await start(one(engine), exporting());
  expect((await ask(url, chat(), { traceparent: `${TRACEPARENT}-more`, tracestate: 'vendor=1' })).status).toBe(200);
  const [leg, server] = await told(2);
  expect(server.parentSpanId ?? '').toBe('');
  expect([leg.parentSpanId, leg.traceId]).toEqual([server.spanId, server.traceId]);
  expect(server.traceId).not.toBe(CALLERS.traceId);
  const { headers } = engine.requests[0];
  expect([headers.traceparent, headers.tracestate]).toEqual([`00-${server.traceId}-${leg.spanId}-01`, undefined]);
});

test('without an endpoint nothing is told, and the caller\'s trace goes on to the engine', async () => {
  const engine = await engineWith();
  const url = await start(one(engine));
  expect((await ask(url, chat(), { traceparent: TRACEPARENT })).status).toBe(200);
  expect(engine.requests[0].headers.traceparent).toBe(TRACEPARENT);
  expect(collector.sent).toEqual([]);
});
