import { ask, chunkOf, delta, DONE, drained, MockEngine, MODEL, ROLE, routerFor, streaming, TestRouter, whole, wholly } from '../harness';

const CONVERSE = `/model/${MODEL}/converse`;
const ASKED = { messages: [{ role: 'user', content: [{ text: 'x' }] }] };
const ASKED_RESPONSE = { model: MODEL, input: 'x' };
const call = (id: string, name: string, input: string, more: object = {}) => ({ id, type: 'function', function: { name, arguments: input }, ...more });
const [A, B] = [call('a', 'f', '{"x":1}'), call('b', 'g', '{"x":2}')];
const NO_CHAT_COMPLETION = 'the engine answers with something that is no chat completion';

let engine: MockEngine;
let router: TestRouter;

beforeAll(async () => {
  engine = await MockEngine.start(whole);
});

beforeEach(async () => {
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }]);
});

afterEach(async () => router.drain());
afterAll(async () => engine.stop());

/** What is told in a stream to callers of Converse and of the Responses API. */
const streamed = async () => ({
  converse: (await drained(await ask(router.url, ASKED, {}, `${CONVERSE}-stream`))).text,
  response: (await drained(await ask(router.url, { ...ASKED_RESPONSE, stream: true }, {}, '/v1/responses'))).text,
});

describe.each<[string, object, string]>([
  ['content in parts', { content: [{ type: 'text', text: 'fine' }] }, NO_CHAT_COMPLETION],
  ['a function call of former times', { content: null, function_call: { name: 'f', arguments: '{}' } }, NO_CHAT_COMPLETION],
  ['calls that are no list', { content: null, tool_calls: { 0: A } }, NO_CHAT_COMPLETION],
  ['a call with an input that is no text', { content: null, tool_calls: [{ id: 'a', function: { name: 'f', arguments: { x: 1 } } }] }, NO_CHAT_COMPLETION],
  ['reasoning that is no text', { reasoning: ['hm'], content: 'fine' }, NO_CHAT_COMPLETION],
  ['a call without a name', { content: null, tool_calls: [{ id: 'a', function: { arguments: '{"x":1}' } }] }, 'the engine calls a tool without a name'],
])('an answer with %s is none', (_, message, told) => {
  test('whole', async () => {
    engine.behaviour = wholly({ choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: 'stop' }] });
    const [converse, response] = [await ask(router.url, ASKED, {}, CONVERSE), await ask(router.url, ASKED_RESPONSE, {}, '/v1/responses')];
    expect([converse.status, response.status]).toEqual([424, 502]);
    expect(await converse.json()).toEqual({ message: told });
    expect(await response.json()).toMatchObject({ error: { message: told } });
  });

  test('in a stream', async () => {
    engine.behaviour = streaming([ROLE, chunkOf('so'), delta(message), delta({}, 'stop')]);
    const { converse, response } = await streamed();
    expect(converse).toContain(told);
    expect(converse).not.toContain('metadata');
    expect(response).toContain(told);
    expect(response).not.toContain('response.completed');
  });
});

test('a refusal is told as what the model says', async () => {
  engine.behaviour = wholly({ choices: [{ index: 0, message: { role: 'assistant', content: null, refusal: 'no' }, finish_reason: 'stop' }] });
  expect(await (await ask(router.url, ASKED, {}, CONVERSE)).json()).toMatchObject({ output: { message: { content: [{ text: 'no' }] } } });
  engine.behaviour = streaming([ROLE, delta({ refusal: 'no' }), delta({}, 'stop')]);
  expect((await streamed()).converse).toContain('{"text":"no"}');
});

test.each([
  ['text', chunkOf('late')],
  ['reasoning', delta({ reasoning: 'late' })],
  ['a call', delta({ tool_calls: [{ index: 0, ...A }] })],
])('%s after the end of an answer is an error, not a part of it', async (_, late) => {
  engine.behaviour = streaming([ROLE, chunkOf('fine'), delta({}, 'stop'), delta({ content: '' }), late, { choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } }]);
  const { converse, response } = await streamed();
  for (const told of [converse, response]) {
    expect(told).toContain('the engine goes on after the end of its answer');
    expect(told).not.toContain('late');
  }
  expect(converse).not.toContain('metadata');
  expect(response).not.toContain('response.completed');
});

test.each<[string, object, object]>([
  ['one index', { index: 0 }, { index: 0 }],
  ['no index', {}, {}],
  ['no ids', { index: 0, id: undefined }, { index: 0, id: undefined }],
])('calls of tools with %s are told apart', async (_, first, second) => {
  const more = (input: string) => delta({ tool_calls: [{ ...first, id: undefined, function: { arguments: input } }] });
  engine.behaviour = streaming([
    ROLE, delta({ tool_calls: [{ ...A, ...first, function: { name: 'f', arguments: '' } }] }), more('{"x"'), more(':1}'),
    delta({ tool_calls: [{ ...B, ...second }] }), delta({}, 'tool_calls'),
  ]);
  const { converse, response } = await streamed();
  expect([...converse.matchAll(/"toolUse":\{"toolUseId":"[^"]+","name":"(.)"\}/g)].map(([, name]) => name)).toEqual(['f', 'g']);
  expect([...converse.matchAll(/"input":("(?:[^"\\]|\\.)*")/g)].map(([, input]) => JSON.parse(input)).join('')).toBe('{"x":1}{"x":2}');
  const { output } = JSON.parse(/data: (\{"type":"response.completed".*)/.exec(response)![1]).response;
  expect(output).toMatchObject([{ name: 'f', arguments: '{"x":1}', status: 'completed' }, { name: 'g', arguments: '{"x":2}', status: 'completed' }]);
});

test('a completion without text is none to a caller of InvokeModel in Llama\'s form', async () => {
  engine.behaviour = wholly({ choices: [{ index: 0, message: { role: 'assistant', content: 'fine' }, finish_reason: 'stop' }] });
  const response = await ask(router.url, { prompt: 'x' }, {}, `/model/${MODEL}/invoke`);
  expect([response.status, await response.json()]).toEqual([424, { message: 'the engine answers with something that is no completion of text' }]);
});

test('an engine that says nothing at all, but ends well, has answered', async () => {
  engine.behaviour = streaming([ROLE], DONE);
  expect((await streamed()).converse).toContain('"stopReason":"end_turn"');
});
