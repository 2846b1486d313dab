import { isIPv4, isIPv6 } from 'node:net';
import { join } from 'node:path';
import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand, CountTokensCommand } from '@aws-sdk/client-bedrock-runtime';
import Ajv from 'ajv/dist/2020';
import * as fc from 'fast-check';
import OpenAI from 'openai';
import { ROOT } from './cli-process';
import { emulate, Emulation } from '../../src/cli/emulate';
import { EmulatedFleet } from '../../src/cli/emulator/emulated-fleet';
import { Asked, emulatedText } from '../../src/cli/emulator/emulated-text';
import { sampleOf } from '../../src/cli/emulator/schema-sample';
import { trn2 } from '../estimator/specs';

const MODEL = 'llama-3.3-70b';
const WEATHER = {
  type: 'object',
  properties: { city: { type: 'string' }, unit: { enum: ['celsius', 'fahrenheit'] }, days: { type: 'integer' }, note: { type: 'string' } },
  required: ['city', 'unit', 'days'],
};
const SAMPLE = { city: '', unit: 'celsius', days: 0 };
const messages = [{ role: 'user' as const, content: 'hi' }];

let emulation: Emulation;
let openai: OpenAI;
let bedrock: BedrockRuntimeClient;

beforeAll(async () => {
  emulation = await emulate(join(ROOT, 'examples/specs/llama-3.3-70b-trn2.json'), { set: [], port: '0' });
  openai = new OpenAI({ baseURL: `${emulation.url}/v1`, apiKey: 'any', maxRetries: 0 });
  bedrock = new BedrockRuntimeClient({ endpoint: emulation.url, region: 'us-east-2', token: { token: 'any' }, authSchemePreference: ['httpBearerAuth'] });
});
afterAll(async () => {
  bedrock.destroy();
  await emulation.stop();
});

describe('a tool that has to be called is called', () => {
  const tools = ['first', 'second'].map((name) => ({ type: 'function' as const, function: { name, parameters: WEATHER } }));

  test.each([
    ['required' as const, 'first'], [{ type: 'function' as const, function: { name: 'second' } }, 'second'],
  ])('of OpenAI\'s API, choice %p', async (choice, name) => {
    const { choices: [whole] } = await openai.chat.completions.create({ model: MODEL, messages, tools, tool_choice: choice });
    expect(whole).toMatchObject({ finish_reason: 'tool_calls', message: { content: null, tool_calls: [{ type: 'function', function: { name } }] } });
    const streamed = await openai.chat.completions.stream({ model: MODEL, messages, tools, tool_choice: choice }).finalChatCompletion();
    for (const { message } of [whole, streamed.choices[0]]) {
      const [call] = message.tool_calls!;
      expect(JSON.parse((call as { function: { arguments: string } }).function.arguments)).toEqual(SAMPLE);
    }
  });

  test('and calls that were made are a part of the prompt', async () => {
    const call = { id: 'a', type: 'function' as const, function: { name: 'first', arguments: JSON.stringify({ place: 'Lima '.repeat(100) }) } };
    const tokensAfter = async (calls: typeof call[]) => (await openai.chat.completions.create({
      model: MODEL,
      messages: [...messages, { role: 'assistant', content: 'I ask.', tool_calls: calls }, ...calls.map(({ id }) => ({ role: 'tool' as const, tool_call_id: id, content: '' }))],
      max_tokens: 1,
    })).usage!.prompt_tokens;
    expect(await tokensAfter([call, { ...call, id: 'b' }]) - await tokensAfter([call])).toBeGreaterThan(100);
  });

  test('and what describes tools is a part of the prompt', async () => {
    const described = [{ type: 'function' as const, function: { name: 'first', description: 'x'.repeat(4000), parameters: WEATHER } }];
    const tokensWith = async (given?: typeof described) =>
      (await openai.chat.completions.create({ model: MODEL, messages, tools: given, max_tokens: 1 })).usage!.prompt_tokens;
    expect(await tokensWith(described) - await tokensWith()).toBeGreaterThan(1000);
  });

  test('of Bedrock\'s API', async () => {
    const asked = {
      modelId: MODEL,
      messages: [{ role: 'user' as const, content: [{ text: 'hi' }] }],
      toolConfig: { tools: [{ toolSpec: { name: 'weather', inputSchema: { json: WEATHER } } }], toolChoice: { any: {} } },
    };
    const { output, stopReason } = await bedrock.send(new ConverseCommand(asked));
    expect([stopReason, output!.message!.content]).toEqual(['tool_use', [{ toolUse: { name: 'weather', toolUseId: expect.any(String), input: SAMPLE } }]]);
    let input = '';
    for await (const { contentBlockDelta } of (await bedrock.send(new ConverseStreamCommand(asked))).stream!) {
      input += contentBlockDelta?.delta?.toolUse?.input ?? '';
    }
    expect(JSON.parse(input)).toEqual(SAMPLE);
  });

  test('as far as there is room for it', async () => {
    const { choices: [{ finish_reason: reason }], usage } = await openai.chat.completions.create({ model: MODEL, messages, tools, tool_choice: 'required', max_tokens: 2 });
    expect([reason, usage!.completion_tokens]).toEqual(['length', 2]);
  });

  test('and none that need not be', async () => {
    const { choices: [{ message }] } = await openai.chat.completions.create({ model: MODEL, messages, tools, max_tokens: 2 });
    expect([message.content, message.tool_calls]).toEqual(['the cache', undefined]);
  });
});

const answered = async (format: OpenAI.ChatCompletionCreateParams['response_format']) =>
  JSON.parse((await openai.chat.completions.create({ model: MODEL, messages, response_format: format })).choices[0].message.content!);

test('JSON that is asked for is answered', async () => {
  expect(await answered({ type: 'json_object' })).toEqual({});
  expect(await answered({ type: 'json_schema', json_schema: { name: 'weather', schema: WEATHER } })).toEqual(SAMPLE);
  await expect(answered({ type: 'json_schema', json_schema: { name: 'broken', schema: { $ref: '#/$defs/none' } } }))
    .rejects.toMatchObject({ status: 400, message: expect.stringContaining('the schema cannot be answered') });
});

describe('the context has an end', () => {
  const CONTEXT = 131072;
  const asked = (tokens: number) => [{ role: 'user' as const, content: 'word'.repeat(tokens) }];
  const tooLong = `This model's maximum context length is ${CONTEXT} tokens. However, your prompt contains at least ${CONTEXT + 1} input tokens`;

  test.each<[string, object, string, string | null]>([
    ['a limit', { messages, max_tokens: CONTEXT + 1 }, `max_tokens=${CONTEXT + 1} cannot be greater than max_model_len=${CONTEXT}.`, 'max_tokens'],
    ['the newer limit', { messages, max_completion_tokens: 200_000 }, `max_completion_tokens=200000 cannot be greater than max_model_len=${CONTEXT}.`, 'max_completion_tokens'],
    ['a prompt', { messages: asked(CONTEXT + 100), max_tokens: 2 }, tooLong, 'input_tokens'],
    ['a prompt that leaves no room', { messages: asked(CONTEXT), max_tokens: 2 }, `The decoder prompt (length ${CONTEXT}) plus the number of requested output tokens`, null],
  ])('%s beyond it is refused as vLLM does', async (_, body, message, param) => {
    const told = await openai.chat.completions.create({ model: MODEL, ...body } as OpenAI.ChatCompletionCreateParamsNonStreaming).catch((e) => e);
    expect(told).toMatchObject({ status: 400, error: { message: expect.stringContaining(message), type: 'BadRequestError', param, code: 400 } });
  });

  test('so it is for Bedrock\'s callers, who may count its tokens all the same', async () => {
    const long = [{ role: 'user' as const, content: [{ text: 'word'.repeat(CONTEXT + 1) }] }];
    for (const command of [new ConverseCommand({ modelId: MODEL, messages: long }), new ConverseStreamCommand({ modelId: MODEL, messages: long })]) {
      const told = await bedrock.send(command as ConverseCommand).catch((e) => e);
      expect(told).toMatchObject({ name: 'ValidationException', message: expect.stringContaining(tooLong) });
    }
    const { inputTokens } = await bedrock.send(new CountTokensCommand({ modelId: MODEL, input: { converse: { messages: long } } }));
    expect(inputTokens).toBe(CONTEXT + 1);
  });

  test('an answer is cut there', () => {
    const text = (body: Asked, roomTokens: number) => {
      const { tokens, end } = emulatedText(body, 100, roomTokens);
      return [tokens, end];
    };
    expect([text({}, 100), text({}, 99), text({ max_tokens: 200 }, 150)]).toEqual([[100, 'stop'], [99, 'length'], [150, 'length']]);
    expect(text({ response_format: { type: 'json_schema', json_schema: { schema: WEATHER } } }, 3)).toEqual([3, 'length']);
  });

  test('engines that take less say so', () => {
    const { prefill, decode } = trn2();
    const fleet = new EmulatedFleet(trn2({ prefill: { ...prefill!, maxSequenceTokens: 4000 }, decode: { ...decode, maxSequenceTokens: 8000 } }));
    expect([fleet.contextTokens('prefill'), fleet.contextTokens('decode')]).toEqual([4000, 8000]);
  });
});

test('probabilities of tokens that mean nothing are refused, not left out', async () => {
  await expect(openai.chat.completions.create({ model: MODEL, messages, logprobs: true, top_logprobs: 2, max_tokens: 2 }))
    .rejects.toMatchObject({ status: 400, param: 'logprobs', message: expect.stringContaining('logprobs: expected none') });
  await expect(openai.completions.create({ model: MODEL, prompt: 'hi', logprobs: 0, max_tokens: 2 })).rejects.toMatchObject({ status: 400 });
  expect((await openai.chat.completions.create({ model: MODEL, messages, logprobs: false, max_tokens: 2 })).choices[0].message.content).toBe('the cache');
});

test('answers tell when they were begun', async () => {
  const before = Math.floor(Date.now() / 1000);
  const { created } = await openai.chat.completions.create({ model: MODEL, messages, max_tokens: 1 });
  expect(created).toBeGreaterThanOrEqual(before);
  expect(created).toBeLessThanOrEqual(Date.now() / 1000);
});

test('text ends where a stop sequence occurs', async () => {
  const asked = { model: MODEL, messages, max_tokens: 40 };
  const { choices: [whole], usage } = await openai.chat.completions.create({ ...asked, stop: ['nobody', 'es the fa', 'unheard'] });
  expect([whole.message.content, whole.finish_reason, usage!.completion_tokens]).toEqual(['the cache cross', 'stop', 5]);
  let text = '';
  for await (const { choices: [choice] } of await openai.chat.completions.create({ ...asked, stop: ' the fabric while', stream: true })) {
    text += choice?.delta.content ?? '';
  }
  expect(text).toBe('the cache crosses');
  // the words begin anew.
  expect((await openai.chat.completions.create({ ...asked, stop: 'waits the' })).choices[0].message.content).toMatch(/ and nobody $/);
  const unheard = await openai.chat.completions.create({ ...asked, stop: 'unheard' });
  expect([unheard.choices[0].finish_reason, unheard.usage!.completion_tokens]).toEqual(['length', 40]);
  const { stopReason } = await bedrock.send(new ConverseCommand({
    modelId: MODEL, messages: [{ role: 'user', content: [{ text: 'hi' }] }], inferenceConfig: { stopSequences: ['fabric'] },
  }));
  expect(stopReason).toBe('stop_sequence');
});

test('as many choices are answered as are asked for', async () => {
  const asked = { model: MODEL, messages, max_tokens: 2, n: 3 };
  const { choices, usage } = await openai.chat.completions.create(asked);
  expect(choices.map(({ index, message }) => [index, message.content])).toEqual([0, 1, 2].map((index) => [index, 'the cache']));
  expect(usage!.completion_tokens).toBe(6);
  const texts = ['', '', ''];
  for await (const chunk of await openai.chat.completions.create({ ...asked, stream: true })) {
    chunk.choices.forEach(({ index, delta }) => (texts[index] += delta.content ?? ''));
  }
  expect(texts).toEqual(['the cache', 'the cache', 'the cache']);
});

test('each of several prompts has as many choices as are asked for, those of the first before those of the next', async () => {
  const asked = { model: MODEL, prompt: ['Once upon ', 'a time '], max_tokens: 2, n: 2, echo: true };
  const TEXTS = ['Once upon the cache', 'Once upon the cache', 'a time the cache', 'a time the cache'];
  const { choices, usage } = await openai.completions.create(asked);
  expect(choices.map(({ index, text }) => [index, text])).toEqual(TEXTS.map((text, index) => [index, text]));
  expect(usage).toEqual({ prompt_tokens: 3 + 2, completion_tokens: 8, total_tokens: 13 });
  const streamed = TEXTS.map(() => '');
  for await (const { choices: told } of await openai.completions.create({ ...asked, stream: true })) {
    told.forEach(({ index, text }) => (streamed[index] += text));
  }
  expect(streamed).toEqual(TEXTS);
  const ids = await openai.completions.create({ model: MODEL, prompt: [[1, 2, 3], [4]], max_tokens: 1 });
  expect([ids.choices.map(({ index }) => index), ids.usage!.prompt_tokens]).toEqual([[0, 1], 4]);
});

test('completions are told as such, after their prompt if it is to be repeated', async () => {
  const asked = { model: MODEL, prompt: 'Once upon a time ' };
  const told = await openai.completions.create({ ...asked, max_tokens: 2 });
  expect(told).toMatchObject({ object: 'text_completion', choices: [{ text: 'the cache', finish_reason: 'length' }] });
  const repeated = await openai.completions.create({ ...asked, max_tokens: 0, echo: true });
  expect(repeated).toMatchObject({ choices: [{ text: asked.prompt }], usage: { completion_tokens: 0 } });
  let text = '';
  for await (const { object, choices } of await openai.completions.create({ ...asked, max_tokens: 2, echo: true, stream: true })) {
    expect(object).toBe('text_completion');
    text += choices[0]?.text ?? '';
  }
  expect(text).toBe('Once upon a time the cache');
});

test.each<[object, unknown]>([
  [{ type: 'object', required: ['a', 'b'], properties: { a: { type: 'boolean' }, b: { type: 'array', items: { type: 'number' } } } }, { a: false, b: [] }],
  [{ type: 'array', items: { type: 'string', minLength: 2 }, minItems: 2 }, ['xx', 'xx']],
  [{ type: 'integer', minimum: 3 }, 3],
  [{ type: 'string', pattern: '^[A-Z]{3}-\\d{4}$' }, 'AAA-0000'],
  [{ pattern: '^(?:red|green)\\.(?<nth>[0-9a-f]+)x?$', minLength: 8 }, 'red.aaaa'],
  [{ type: 'string', pattern: 'b', maxLength: 1 }, 'b'],
  [{ type: 'string', pattern: '^(\\d{3}|x)[._-][^\\d\\s]{2}$' }, '000-aa'],
  [{ type: 'string', pattern: '^[^a-y\\]]+[a-c]{2,3}.*$' }, 'zaa'],
  [{ type: 'string', pattern: '^\\+?[1-9]\\d{1,14}$' }, '10'],
  [{ type: 'array', items: { pattern: '^[ab]c*$' }, minItems: 2, uniqueItems: true }, ['a', 'b']],
  [{ type: 'number', exclusiveMinimum: 0 }, 1],
  [{ type: 'number', maximum: -2 }, -2],
  [{ type: ['string', 'null'] }, null],
  [{ anyOf: [{ type: 'string' }, { const: 5 }] }, ''],
  [{ const: 0 }, 0],
  [{ type: 'integer', multipleOf: 7, minimum: 1 }, 7],
  [{ type: 'number', minimum: 2, exclusiveMaximum: 2.5 }, 2],
  [{ type: 'array', prefixItems: [{ type: 'integer' }, { type: 'string' }], minItems: 2, items: false }, [0, '']],
  [{ type: 'array', items: { enum: ['a', 'b', 'c'] }, minItems: 2, uniqueItems: true }, ['a', 'b']],
  [{ type: 'object', minProperties: 1, additionalProperties: { type: 'integer' } }, { property0: 0 }],
  [{ type: 'array', contains: { const: 4 } }, [4]],
  [{ allOf: [{ type: 'integer', minimum: 3 }, { multipleOf: 5 }] }, 5],
  [{ properties: { a: { type: 'string' } } }, {}],
  [{ allOf: [{ $ref: '#/$defs/a~1b' }, { required: ['c'], properties: { c: { enum: ['C'] } } }], $defs: { 'a/b': { type: 'object', required: ['d'] } } }, { c: 'C', d: '' }],
  [{ $ref: '#/$defs/list', $defs: { list: { type: 'object', required: ['next'], properties: { next: { anyOf: [{ $ref: '#/$defs/list' }, { type: 'null' }] } } } } }, { next: null }],
])('the least that %j asks for', (schema, least) => {
  expect(sampleOf(schema)).toEqual(least);
  expect(new Ajv({ strict: false }).validate(schema, least)).toBe(true);
});

test.each([['(?=a)a'], ['(a)\\1'], ['\\bword'], ['(a{1000}){1000}'], ['('], ['^[\u{1F600}]$']])('a text that no simple pattern describes is refused: %s', async (pattern) => {
  await expect(answered({ type: 'json_schema', json_schema: { name: 'n', schema: { required: ['a'], properties: { a: { type: 'string', pattern } } } } }))
    .rejects.toMatchObject({ status: 400, message: expect.stringContaining('the schema cannot be answered') });
});

describe('of what a request asks for, no more is made than may be told', () => {
  const list = (minItems: number, items: object, more?: object) => ({ type: 'array', minItems, items, ...more });
  const within = (part: object) => ({ type: 'object', required: ['a'], properties: { a: part } });
  const chain = (kind: string) => Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`a${at}`, { [kind]: [{ $ref: `#/$defs/a${at + 1}` }, { $ref: `#/$defs/a${at + 1}` }] }]));
  const numbers = { a30: within({ type: 'integer' }) };
  const many = Array.from({ length: 20_000 }, (_, at) => at);

  test.each<[string, object, string]>([
    ['items', list(1e9, { type: 'integer' }), '[0,0,0,0,0,0,0,0,0,0'],
    ['items of items', list(1000, list(1000, list(1000, { type: 'integer' }))), '[[[0,0,0,0,0,0,0,0,0'],
    ['items that differ', list(1e9, { pattern: '^[a-z]{3}$' }, { uniqueItems: true }), '["aaa","baa","caa","'],
    ['contained', { type: 'array', contains: { const: 4 }, minContains: 1e9 }, '[4,4,4,4,4,4,4,4,4,4'],
    ['characters', within({ type: 'string', minLength: 5e8 }), '{"a":"xxxxxxxxxxxxxx'],
    ['names', { type: 'object', minProperties: 1e9 }, '{"property0":"","pro'],
    ['references', { ...within(list(1000, { $ref: '#/$defs/b' })), $defs: { b: list(1000, { $ref: '#' }) } }, '{"a":[[{"a":[null,nu'],
    ['of a list that holds', { allOf: [list(1e9, { type: 'string' })], type: 'array' }, '{"0":"","1":"","2":"'],
    ['of a long constant', list(1e9, { const: 'y'.repeat(100_000) }), '["yyyyyyyyyyyyyyyyyy'],
    ['alternatives', list(1e9, { anyOf: many.map((at) => ({ const: at })) }, { uniqueItems: true }), '[0,1,2,3,4,5,6,7,8,9'],
    ['of an enumeration', list(1e9, { enum: many }, { uniqueItems: true }), '[0,1,2,3,4,5,6,7,8,9'],
    ['of a pattern that takes for ever to be tried', within({ pattern: '^((a*)*$)?a{40}b$' }), '{"a":"aaaaaaaaaaaaaa'],
    ['of any of 2^30', { $ref: '#/$defs/a0', $defs: { ...chain('anyOf'), ...numbers } }, '{"a":0}'],
  ])('%s', async (_, schema, told) => {
    const { choices: [{ message }] } = await openai.chat.completions.create({
      model: MODEL, messages, max_tokens: 5, response_format: { type: 'json_schema', json_schema: { name: 'n', schema: { ...schema } } },
    });
    expect(message.content).toBe(told);
  });

  test.each<[string, object]>([
    ['all of 2^30', { $ref: '#/$defs/a0', $defs: { ...chain('allOf'), ...numbers } }],
    ['a pattern of nothing, very often', within({ pattern: '^(((((){1000}){1000}){1000}){1000}){1000}$' })],
    ['a pattern that nothing matches', within({ pattern: '^(a|a)(a|a){40}$x' })],
    ['a pattern of great length', within({ pattern: '\\d'.repeat(20_000) })],
  ])('what has no end is refused: %s', async (_, schema) => {
    await expect(answered({ type: 'json_schema', json_schema: { name: 'n', schema: { ...schema } } }))
      .rejects.toMatchObject({ status: 400, message: expect.stringContaining('the schema cannot be answered') });
  });

  test.each<[string, object]>([
    ['prompts', { prompt: Array.from({ length: 2000 }, () => 'a'), max_tokens: 1 }],
    ['prompts that are repeated', { prompt: 'a'.repeat(400_000), max_tokens: 1, echo: true }],
  ])('so are too many choices of %s', async (_, asked) => {
    const told = openai.completions.create({ model: MODEL, prompt: '', n: 128, ...asked });
    await expect(told).rejects.toMatchObject({ status: 400, message: expect.stringContaining('longer than an emulated engine answers') });
  });
});

test.each([1, 2, 7, 8, 20, 100])('what is made of a schema for %d characters begins as all of it does', (characters) => {
  const schema = { type: 'array', minItems: 3, items: { ...WEATHER, required: ['note', ...WEATHER.required], minProperties: 5 } };
  const [all, begun] = [sampleOf(schema), sampleOf(schema, characters)].map((sample) => JSON.stringify(sample));
  expect(begun.slice(0, characters)).toBe(all.slice(0, characters));
  expect(begun.length > characters || begun === all).toBe(true);
});

describe('a schema is heeded', () => {
  const ajv = new Ajv({ strict: false });
  const formats: { [format: string]: (text: string) => boolean } = {
    'date': (text) => /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)),
    'date-time': (text) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(text) && !Number.isNaN(Date.parse(text)),
    'time': (text) => /^([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$/.test(text),
    'duration': (text) => /^P\d+D$/.test(text),
    'email': (text) => /^[^@\s]+@[^@\s]+\.[a-z]+$/.test(text),
    'hostname': (text) => /^[a-z\d]+(\.[a-z\d]+)+$/.test(text),
    'ipv4': (text) => isIPv4(text),
    'ipv6': (text) => isIPv6(text),
    'uri': (text) => URL.canParse(text),
    'uuid': (text) => /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/.test(text),
  };
  Object.entries(formats).forEach(([name, validate]) => ajv.addFormat(name, validate));

  const few = fc.integer({ min: 0, max: 4 });
  const bound = fc.integer({ min: -40, max: 40 });
  const numbers = fc.tuple(fc.constantFrom('integer', 'number'), bound, fc.constantFrom('minimum', 'exclusiveMinimum'),
    fc.constantFrom('maximum', 'exclusiveMaximum'), fc.option(fc.constantFrom(1, 2, 7), { nil: undefined })).map(([type, low, from, to, multipleOf]) => ({ type, [from]: low, [to]: low + 60, multipleOf }));
  const oneSided = fc.tuple(bound, fc.constantFrom('minimum', 'exclusiveMinimum', 'maximum', 'exclusiveMaximum'), fc.constantFrom(0.25, 1, 7))
    .map(([limit, name, multipleOf]) => ({ type: 'number', [name]: limit, multipleOf }));
  const close = bound.map((low) => ({ type: 'number', exclusiveMinimum: low, exclusiveMaximum: low + 0.5 }));
  const texts = fc.oneof(few.map((minLength) => ({ type: 'string', minLength })), fc.constantFrom(...Object.keys(formats)).map((format) => ({ type: 'string', format })));
  const schemas = fc.letrec<{ any: object }>((tie) => ({
    any: fc.oneof({ maxDepth: 3 }, numbers, oneSided, close, texts, fc.constantFrom({ enum: ['a', 'b'] }, { const: 4 }, { type: ['integer', 'null'] }),
      fc.record({ type: fc.constant('array'), items: tie('any'), minItems: few, prefixItems: fc.array(tie('any'), { maxLength: 2, minLength: 1 }) }),
      fc.record({ type: fc.constant('array'), contains: tie('any'), minContains: few }),
      fc.record({ type: fc.constant('array'), items: fc.oneof(oneSided, texts), minItems: few, uniqueItems: fc.constant(true) }),
      fc.record({
        type: fc.constant('object'),
        properties: fc.record({ a: tie('any'), b: tie('any') }),
        required: fc.constantFrom([], ['b'], ['c']),
        additionalProperties: tie('any'),
        minProperties: few,
      }),
      fc.record({ anyOf: fc.array(tie('any'), { minLength: 1, maxLength: 3 }) })),
  }));

  test('whatever it asks for', () => {
    fc.assert(fc.property(schemas.any, (schema) => {
      const sample = sampleOf(schema);
      expect([sample, ajv.validate(schema, JSON.parse(JSON.stringify(sample)))]).toEqual([sample, true]);
    }), { numRuns: 300 });
  });
});

test('what needs itself has no least', () => {
  expect(sampleOf({ type: 'object', required: ['self'], properties: { self: { $ref: '#' } } })).toEqual({ self: { self: null } });
});
