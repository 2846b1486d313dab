import { ask, chat, configOf, errorOf, KEY, MockEngine, MODEL, routerFor, TestRouter, whole } from '../harness';
import { bundle, RouterProcess } from '../router-process';

const TOO_MANY = 'more than 500000 values and names of them';
const CONVERSE = `/model/${MODEL}/converse`;
const MESSAGES = [{ role: 'user', content: [{ text: 'hi' }] }];
/** Lists of nothing, each of which is two values. */
const lists = (values: number) => `[${Array(values / 2).fill('[]').join(',')}]`;

let engine: MockEngine;
let router: TestRouter;
beforeEach(async () => {
  engine = await MockEngine.start(whole);
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }]);
});
afterEach(async () => {
  await router.drain();
  await engine.stop();
});

test('thirty bodies at once of millions of values each neither kill nor stall a router of little memory', async () => {
  const child = new RouterProcess(bundle('many-values.js'), {
    // room for all of them at once, should the machine be slow: it is their values that may not pass.
    ROUTER_CONFIG: JSON.stringify(configOf([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { limits: { maxHeldBytes: 2 ** 30 } })),
    KEYS: KEY,
    NODE_OPTIONS: '--max-old-space-size=256',
  });
  const url = `http://127.0.0.1:${(await child.said('listening')).port}`;
  const bodies = [
    `{"model":"${MODEL}","messages":[${'{},'.repeat(2_800_000)}`, `{"model":"${MODEL}","prompt":[${'0,'.repeat(4_200_000)}0]}`, '['.repeat(8_400_000),
  ];
  let isOver = false;
  const refused = Promise.all(Array.from({ length: 30 }, async (_, i) => {
    const response = await ask(url, bodies[i % bodies.length]);
    return [response.status, (await errorOf(response)).message];
  })).finally(() => (isOver = true));
  const others: number[] = [];
  while (!isOver) {
    others.push((await ask(url, chat())).status);
  }
  const told = [TOO_MANY, TOO_MANY, 'nested deeper than 200 levels'].map((message) => [400, expect.stringMatching(`^the body (has|is) ${message}$`)]);
  expect(await refused).toEqual(Array.from({ length: 30 }, (_, i) => told[i % told.length]));
  expect(others).not.toHaveLength(0);
  expect(others.filter((status) => status !== 200)).toEqual([]);
  expect(engine.requests).toHaveLength(others.length);
  expect(child.child.exitCode).toBeNull();
  child.child.kill('SIGKILL');
  await child.exit;
}, 120_000);

test('as many values as real requests have are passed on', async () => {
  const ids = Array.from({ length: 128_000 }, (_, i) => i);
  const properties = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`property_${i}`, { type: 'string', description: 'a property' }]));
  const bias = Object.fromEntries(ids.slice(0, 1_024).map((id) => [id, -100]));
  expect((await ask(router.url, { model: MODEL, prompt: [ids, ids] }, {}, '/v1/completions')).status).toBe(200);
  expect((await ask(router.url, chat({ logit_bias: bias, tools: [{ type: 'function', function: { name: 'f', parameters: { properties } } }] }))).status).toBe(200);
  const data = ',"\\\\",[{:\\\"'.repeat(100_000);
  expect((await ask(router.url, chat({ messages: [{ role: 'user', content: data }] }))).status).toBe(200);
  expect(engine.requests.pop()!.body.messages[0].content).toBe(data);
  expect(engine.requests[0].body.prompt[1]).toHaveLength(128_000);
  expect(Object.keys(engine.requests[1].body.tools[0].function.parameters.properties)).toHaveLength(5_000);
});

test.each([
  ['the schema of an answer', CONVERSE, { messages: MESSAGES, outputConfig: { textFormat: { type: 'json_schema', structure: { jsonSchema: { schema: `{"enum":${lists(100_000)}}` } } } } },
    'outputConfig.textFormat.structure.jsonSchema.schema: the JSON has more than 100000 values'],
  ['the body of a request whose tokens are counted', `/model/${MODEL}/count-tokens`,
    { input: { invokeModel: { body: Buffer.from(`{"messages":${lists(100_000)}}`).toString('base64') } } },
    'input.invokeModel.body: the JSON has more than 100000 values'],
  ['arguments of all calls', '/v1/responses', { model: MODEL, input: Array.from({ length: 3 }, () => ({ type: 'function_call', call_id: 'c', name: 'f', arguments: `{"a":${lists(40_000)}}` })) },
    'input[2].arguments: the JSON has, with that before it, more than 100000 values'],
])('JSON that is a text is as bounded: %s', async (_, path, body, message) => {
  const response = await ask(router.url, body, {}, path);
  expect([response.status, await response.text()]).toEqual([400, expect.stringContaining(message)]);
  expect(engine.requests).toEqual([]);
});

test('Bedrock\'s callers are told of a body with too many values as of what is not valid', async () => {
  const response = await ask(router.url, `{"messages":${lists(600_000)}}`, {}, CONVERSE);
  expect([response.status, response.headers.get('x-amzn-errortype'), await response.json()]).toEqual([400, 'ValidationException', { message: `the body has ${TOO_MANY}` }]);
});
