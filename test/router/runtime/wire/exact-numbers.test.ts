import { ask, delta, MockEngine, MODEL, routerFor, streaming, TestRouter, whole, wholly } from '../harness';

/** Numbers that JavaScript rounds, has none for, or writes otherwise, and some that it does not. */
const NUMBERS = '{"id":9007199254740993,"below":-12345678901234567890,"price":10.0,"zero":-0,"far":1e400,"small":1E-7,"plain":[1,2.5,-3],"text":"10.0"}';
const CONVERSE = `/model/${MODEL}/converse`;
const TOOL = '{"toolSpec":{"name":"order","inputSchema":{"json":{"type":"object","properties":{"id":{"maximum":9007199254740993}}}}}}';
const called = (input: string) => `{"messages":[
  {"role":"user","content":[{"text":"Order 10.0 of \\"9007199254740993\\"."}]},
  {"role":"assistant","content":[{"toolUse":{"toolUseId":"t1","name":"order","input":${input}}}]},
  {"role":"user","content":[{"toolResult":{"toolUseId":"t1","content":[{"json":${input}}]}}]}
]`;

let engine: MockEngine;
let router: TestRouter;

beforeAll(async () => {
  engine = await MockEngine.start(whole);
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }]);
});

beforeEach(() => {
  engine.behaviour = whole;
  engine.requests.length = 0;
});

afterAll(async () => {
  await router.drain();
  await engine.stop();
});

test.each([['converse', ''], ['converse-stream', ''], ['converse', 'y'.repeat(200_000)]])(
  'engines get numbers as callers of %s write them in inputs, results and schemas', async (operation, more) => {
    engine.behaviour = operation === 'converse' ? whole : streaming([delta({ content: 'done' }), delta({}, 'stop')]);
    const settings = '{"seed":9007199254740993,"chat_template_kwargs":{"share":1.0}}';
    const body = `${called(NUMBERS)},"system":[{"text":"Be brief. ${more}"}],"inferenceConfig":{"temperature":1.0},"toolConfig":{"tools":[${TOOL}]},`
      + `"additionalModelRequestFields":${settings}}`;
    expect((await ask(router.url, body, {}, `/model/${MODEL}/${operation}`)).status).toBe(200);
    const [{ text, body: { messages, temperature } }] = engine.requests;
    expect(messages.at(-2).tool_calls[0].function.arguments).toBe(NUMBERS);
    expect(messages.at(-1).content).toBe(NUMBERS);
    expect(messages.at(-3).content).toBe('Order 10.0 of "9007199254740993".');
    expect(temperature).toBe(1);
    expect(text).toContain('"parameters":{"type":"object","properties":{"id":{"maximum":9007199254740993}}}');
    expect(text).toContain('"seed":9007199254740993,"chat_template_kwargs":{"share":1.0}');
  });

test('so they do in the schema of an answer, and where tokens are counted', async () => {
  engine.behaviour = (response, { path }) => void response.end(path === '/tokenize' ? '{"count":7}' : JSON.stringify({
    choices: [{ message: { content: '{}' }, finish_reason: 'stop' }],
  }));
  const jsonSchema = JSON.stringify({ schema: '{"const":10.0}' });
  expect((await ask(router.url, `${called('{}')},"outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":${jsonSchema}}}}}`, {}, CONVERSE))
    .status).toBe(200);
  expect(engine.requests[0].text).toContain('"schema":{"const":10.0}');
  const count = `/model/${MODEL}/count-tokens`;
  expect((await ask(router.url, `{"input":{"converse":${called(NUMBERS)},"toolConfig":{"tools":[${TOOL}]}}}}`, {}, count)).status).toBe(200);
  expect(engine.requests[1].body.messages.at(-1).content).toBe(NUMBERS);
  expect(engine.requests[1].text).toContain('"maximum":9007199254740993');
  const chat = '{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"order","parameters":{"const":10.0}}}]}';
  const invoke = JSON.stringify({ input: { invokeModel: { body: Buffer.from(chat).toString('base64') } } });
  expect((await ask(router.url, invoke, {}, count)).status).toBe(200);
  expect(engine.requests[2].text).toContain('"parameters":{"const":10.0}');
});

test('callers of Converse get the numbers that a model wrote, whole as in a stream', async () => {
  const call = { id: 'c1', type: 'function', function: { name: 'order', arguments: NUMBERS } };
  engine.behaviour = wholly({ choices: [{ message: { role: 'assistant', content: null, tool_calls: [call] }, finish_reason: 'tool_calls' }] });
  expect(await (await ask(router.url, `${called('{}')}}`, {}, CONVERSE)).text()).toContain(`"name":"order","input":${NUMBERS}}`);
  engine.behaviour = streaming([delta({ tool_calls: [{ index: 0, ...call }] }), delta({}, 'tool_calls')]);
  expect(await (await ask(router.url, `${called('{}')}}`, {}, `${CONVERSE}-stream`)).text()).toContain(JSON.stringify(NUMBERS));
});

test.each([false, true])('engines get numbers as callers of the Responses API write them in schemas, and these get them back: stream %s', async (stream) => {
  engine.behaviour = stream ? streaming([delta({ content: '{}' }), delta({}, 'stop')]) : whole;
  const body = `{"model":"${MODEL}","input":"x","stream":${stream},"tools":[{"type":"function","name":"order","parameters":{"maximum":9007199254740993}}],`
    + '"text":{"format":{"type":"json_schema","name":"a","schema":{"const":10.0}}}}';
  const answer = await ask(router.url, body, {}, '/v1/responses');
  const told = await answer.text();
  expect(answer.status).toBe(200);
  for (const text of [engine.requests[0].text, told]) {
    expect(text).toContain('{"maximum":9007199254740993}');
    expect(text).toContain('{"const":10.0}');
  }
});
