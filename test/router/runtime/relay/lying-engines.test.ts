import { ask, chunkOf, delta, DONE, drained, MockEngine, MODEL, ROLE, routerFor, streaming, TestRouter, whole, wholly } from '../harness';

const CONVERSE = `/model/${MODEL}/converse`;
const ASKED = { messages: [{ role: 'user', content: [{ text: 'x' }] }] };
const ASKED_RESPONSE = { model: MODEL, input: 'x' };
const call = (id: string, name: string, input: string, more: object = {}) => ({ id, type: 'function', function: { name, arguments: input }, ...more });
const [A, B] = [call('a', 'f', '{"x":1}'), call('b', 'g', '{"x":2}')];
/** A stream with one call, whose parts begin with what is told of it; the others with the same, or with what else is. */
const streamingCall = (parts: string[], { id, name }: { id: string; name: string }, others: object = { id, name }) => streaming([
  ROLE, ...parts.map((input, i) => {
    const more = i === 0 ? { id, name } : others;
    return delta({ tool_calls: [{ index: 0, ...more, function: { arguments: input, ...more } }] });
  }),
  delta({}, 'tool_calls'),
]);
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

test('a refusal is told to Bedrock\'s callers as what the model says', async () => {
  engine.behaviour = wholly({ choices: [{ index: 0, message: { role: 'assistant', content: null, refusal: 'no' }, finish_reason: 'stop' }] });
  expect(await (await ask(router.url, ASKED, {}, CONVERSE)).json()).toMatchObject({ output: { message: { content: [{ text: 'no' }] } } });
  engine.behaviour = wholly({ choices: [{ index: 0, message: { role: 'assistant', content: 'well', refusal: 'no' }, finish_reason: 'stop' }] });
  expect(await (await ask(router.url, ASKED, {}, CONVERSE)).json()).toMatchObject({ output: { message: { content: [{ text: 'well' }, { text: 'no' }] } } });
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

test.each<[string, object, object]>([
  ['ids that are empty', { index: 0, id: '' }, { index: 1, id: '' }],
  ['one id', { index: 0, id: 'a' }, { index: 1, id: 'a' }],
  ['neither index nor id', { id: undefined }, { id: undefined }],
  ['one index and ids that are empty', { index: 0, id: '' }, { index: 0, id: '' }],
])('calls of one tool with %s are told apart', async (_, first, second) => {
  const calls = [{ ...A, ...first }, { ...B, function: { ...B.function, name: 'f' }, ...second }];
  const told = [{ name: 'f', arguments: '{"x":1}' }, { name: 'f', arguments: '{"x":2}' }];
  engine.behaviour = wholly({ choices: [{ index: 0, message: { role: 'assistant', content: null, tool_calls: calls }, finish_reason: 'tool_calls' }] });
  const uses = (await (await ask(router.url, ASKED, {}, CONVERSE)).json() as any).output.message.content;
  expect(uses.map(({ toolUse: { input } }: any) => input)).toEqual([{ x: 1 }, { x: 2 }]);
  const { output } = await (await ask(router.url, ASKED_RESPONSE, {}, '/v1/responses')).json() as any;
  expect(output).toMatchObject(told);
  engine.behaviour = streaming([ROLE, ...calls.map((one) => delta({ tool_calls: [one] })), delta({}, 'tool_calls')]);
  const { converse, response } = await streamed();
  const streamedOutput = JSON.parse(/data: (\{"type":"response.completed".*)/.exec(response)![1]).response.output;
  expect(streamedOutput).toMatchObject(told);
  const ids = [uses.map(({ toolUse }: any) => toolUse.toolUseId), [...converse.matchAll(/"toolUseId":"([^"]+)"/g)].map(([, id]) => id),
    ...[output, streamedOutput].map((items) => items.map(({ call_id: id }: any) => id))];
  for (const each of ids) {
    expect(each).toEqual([expect.stringMatching(/./), expect.stringMatching(/./)]);
    expect(new Set(each).size).toBe(2);
  }
});

test('a call whose name and id are told with every part is one', async () => {
  engine.behaviour = streamingCall(['{"x"', ':1}', ''], { id: 'a', name: 'f' });
  const { converse, response } = await streamed();
  expect(converse.match(/"toolUseId"/g)).toHaveLength(1);
  expect(JSON.parse(/data: (\{"type":"response.completed".*)/.exec(response)![1]).response.output).toMatchObject([{ call_id: 'a', arguments: '{"x":1}' }]);
});

test.each<[string, string[], object | undefined]>([
  ['null', ['null'], {}], ['null in parts', ['', 'nu', 'll', ' '], {}], ['nothing but white space', [' ', '\n'], {}],
  ['an object after white space', [' ', '{}'], {}], ['a list', ['[1]'], undefined], ['a text', ['"x"'], undefined], ['what was cut', ['nul'], undefined],
])('a call with %s for its input', async (_, parts, input) => {
  const called = { id: 'a', function: { name: 'f', arguments: parts.join('') } };
  engine.behaviour = wholly({ choices: [{ index: 0, message: { role: 'assistant', content: null, tool_calls: [called] }, finish_reason: 'tool_calls' }] });
  const stopReason = input === undefined ? 'malformed_tool_use' : 'tool_use';
  expect(await (await ask(router.url, ASKED, {}, CONVERSE)).json()).toMatchObject({
    stopReason, output: { message: { content: input === undefined ? [] : [{ toolUse: { toolUseId: 'a', name: 'f', input } }] } },
  });
  engine.behaviour = streamingCall(parts, { id: 'a', name: 'f' }, {});
  const { converse, response } = await streamed();
  expect(converse).toContain(`"stopReason":"${stopReason}"`);
  const told = [...converse.matchAll(/"input":("(?:[^"\\]|\\.)*")/g)].map(([, json]) => JSON.parse(json)).join('');
  expect(told.trim()).toBe(input === undefined ? parts.join('') : parts.includes('{}') ? '{}' : '');
  expect(JSON.parse(/data: (\{"type":"response.completed".*)/.exec(response)![1]).response.output[0].arguments.trim()).toBe(told.trim() || '{}');
});

test('blank text between the parts of a call does not end it', async () => {
  const part = (input: string, more: object = {}) => delta({ tool_calls: [{ index: 0, ...more, function: { arguments: input, ...more } }] });
  engine.behaviour = streaming([ROLE, part('{"x":', { id: 'a', name: 'f' }), chunkOf('\n'), part('1}'), delta({}, 'tool_calls')]);
  const { converse } = await streamed();
  expect(converse).toContain('"stopReason":"tool_use"');
  expect(converse.indexOf('"text":"\\n"')).toBeGreaterThan(converse.indexOf('"input":"1}"'));
});

describe('an empty reason to end in every chunk', () => {
  const [hel, lo] = ['hel', 'lo'].map((content) => delta({ content }, ''));

  test('is none', async () => {
    engine.behaviour = streaming([delta({ role: 'assistant', content: '' }, ''), hel, lo, delta({}, 'stop')]);
    const { converse, response } = await streamed();
    expect(converse).toContain('"stopReason":"end_turn"');
    expect(response).toContain('"text":"hello"');
  });

  test('does not make an answer whole that has no other', async () => {
    engine.behaviour = streaming([hel, lo]);
    expect((await drained(await ask(router.url, { model: MODEL, messages: [{ role: 'user', content: 'x' }], stream: true }))).text)
      .toContain('the engine ended its answer without a reason');
  });
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
