import { EventStreamCodec } from '@smithy/eventstream-codec';
import * as fc from 'fast-check';
import { ApiError } from '../../../../src/router/runtime/wire/api-error';
import { parseConverse } from '../../../../src/router/runtime/wire/bedrock/converse-request';
import { parseCountTokens } from '../../../../src/router/runtime/wire/bedrock/count-tokens';
import { EventFrame } from '../../../../src/router/runtime/wire/bedrock/event-stream';
import { parseInvocation } from '../../../../src/router/runtime/wire/bedrock/invoke-model';

const codec = new EventStreamCodec((bytes) => Buffer.from(bytes as Uint8Array).toString('utf8'), (text) => Buffer.from(text));

describe('an event frame', () => {
  test('law: is what AWS\' own codec encodes and decodes', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), fc.constantFrom('contentBlockDelta', 'metadata', 'x'), fc.boolean(), (text, type, exception) => {
      const frame = (exception ? EventFrame.exception(type) : EventFrame.event(type)).encode(text);
      const { headers, body } = codec.decode(frame);
      expect(Buffer.from(body).toString('utf8')).toBe(text);
      expect(headers).toEqual({
        [exception ? ':exception-type' : ':event-type']: { type: 'string', value: type },
        ':content-type': { type: 'string', value: 'application/json' },
        ':message-type': { type: 'string', value: exception ? 'exception' : 'event' },
      });
      expect(frame.equals(Buffer.from(codec.encode({ headers, body })))).toBe(true);
    }));
  });
});

const TOOL = { toolSpec: { name: 'weather', inputSchema: { json: { type: 'object' } } } };
/** What every image of this format begins with. */
const PNG = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1').toString('base64');
/** A request that uses everything that is understood. */
const FULL = {
  system: [{ text: 'be kind' }, { cachePoint: { type: 'default' } }],
  messages: [
    { role: 'user', content: [{ text: 'look' }, { image: { format: 'png', source: { bytes: PNG } } }, { cachePoint: { type: 'default' } }] },
    { role: 'assistant', content: [{ reasoningContent: { reasoningText: { text: 'hm' } } }, { toolUse: { toolUseId: 't', name: 'f', input: { a: [1] } } }] },
    { role: 'user', content: [{ toolResult: { toolUseId: 't', content: [{ text: 'x' }, { json: { y: 1 } }], status: 'success' } }] },
  ],
  inferenceConfig: { maxTokens: 5, temperature: 0.5, topP: 0.5, stopSequences: ['a'] },
  toolConfig: { tools: [{ toolSpec: { name: 'f', description: 'd', inputSchema: { json: { type: 'object' } }, strict: true } }], toolChoice: { tool: { name: 'f' } } },
  outputConfig: { textFormat: { type: 'json_schema', structure: { jsonSchema: { schema: '{"type":"object"}', name: 'n' } } }, effort: 'low' },
  additionalModelRequestFields: { top_k: 1 },
  performanceConfig: { latency: 'standard' },
  serviceTier: { type: 'default' },
  requestMetadata: { a: 'b' },
};

const converse = (body: unknown, images = true) => parseConverse(Buffer.from(JSON.stringify(body)), 'm', false, images).body;

test('topK, which the AI SDK has beside topP, reaches the engine', () => {
  expect(converse({ messages: FULL.messages, inferenceConfig: { topK: 5 } })).toMatchObject({ top_k: 5 });
  expect(() => converse({ messages: FULL.messages, inferenceConfig: { topK: 0.5 } })).toThrow('inferenceConfig.topK: expected a whole number');
});

test('an additional field that is null leaves what Converse has a field of its own for', () => {
  const fields = { inferenceConfig: { temperature: 0.5 }, additionalModelRequestFields: { temperature: null, top_p: 0.5 } };
  expect(converse({ messages: FULL.messages, ...fields })).toMatchObject({ temperature: 0.5, top_p: 0.5 });
});

test('topP 0, which engines refuse, leaves the likeliest token alone', () => {
  expect(converse({ messages: FULL.messages, additionalModelRequestFields: { top_p: 0 } })).toMatchObject({ top_p: 1e-6 });
  expect(converse({ messages: FULL.messages, inferenceConfig: { topP: 0 } })).toMatchObject({ top_p: 1e-6 });
  expect(parseInvocation(Buffer.from('{"prompt":"hi","top_p":0}'), {}, 'm', false, false).request.body).toMatchObject({ top_p: 1e-6 });
});

test('everything that is understood reaches the engine', () => {
  expect(converse(FULL)).toEqual({
    model: 'm',
    stream: false,
    messages: [
      { role: 'system', content: 'be kind' },
      { role: 'user', content: [{ type: 'text', text: 'look' }, { type: 'image_url', image_url: { url: `data:image/png;base64,${PNG}` } }] },
      {
        role: 'assistant',
        reasoning: 'hm',
        reasoning_content: 'hm',
        content: null,
        tool_calls: [{ id: 't', type: 'function', function: { name: 'f', arguments: '{"a":[1]}' } }],
      },
      { role: 'tool', tool_call_id: 't', content: 'x\n{"y":1}' },
    ],
    max_tokens: 5,
    temperature: 0.5,
    top_p: 0.5,
    stop: ['a'],
    tools: [{ type: 'function', function: { name: 'f', description: 'd', parameters: { type: 'object' }, strict: true } }],
    tool_choice: { type: 'function', function: { name: 'f' } },
    reasoning_effort: 'low',
    response_format: { type: 'json_schema', json_schema: { name: 'n', schema: { type: 'object' }, strict: true } },
    top_k: 1,
  });
});

test('everything that is wrong is told at once, with its place', () => {
  const wrong = {
    system: 'be kind',
    messages: [{ role: 'robot', content: [{ text: 1 }, { text: 'a', image: {} }, {}, { video: {} }] }, 7],
    toolConfig: { tools: [{ toolSpec: { name: 'a b', inputSchema: {} } }] },
    outputConfig: { textFormat: { type: 'json_schema', structure: { jsonSchema: { schema: '{' } } } },
    additionalModelRequestFields: { stream: true },
    promptVariables: { a: { text: 'b' } },
    performanceConfig: { latency: 'optimized' },
  };
  expect(() => converse(wrong)).toThrow(expect.objectContaining({
    status: 400,
    message: [
      'system: expected a list, got "be kind"',
      'messages[0].role: expected "user" or "assistant" or "system", got "robot"',
      'messages[0].content[1]: expected exactly one member, got text, image',
      'messages[0].content[2]: expected exactly one member, got none',
      'messages[0].content[0].text: expected a string, got 1',
      'messages[0].content[3].video: this kind of content is not supported here',
      'messages[1]: expected an object, got 7',
      'messages[1].role: expected "user" or "assistant" or "system", got nothing',
      'messages[1].content: expected a list, got nothing',
      'toolConfig.tools[0].toolSpec.inputSchema.json: expected an object, got nothing',
      'toolConfig.tools[0].toolSpec.name: expected 1 to 64 letters, digits, _ or -, got "a b"',
      'outputConfig.textFormat.structure.jsonSchema.schema: the schema is not JSON',
      'additionalModelRequestFields.stream: this is not for callers to give here',
      'promptVariables: this is not supported here',
      'performanceConfig.latency: expected "standard", got "optimized"',
    ].join('; '),
  }));
});

test.each<[object, string]>([
  [{ inferenceConfg: {} }, 'inferenceConfg: there is no such field, did you mean inferenceConfig?'],
  [{ inferenceConfig: { maxToken: 5 } }, 'inferenceConfig.maxToken: there is no such field, did you mean maxTokens?'],
  [{ inferenceConfig: { temperature: 'hot', topP: 7 } },
    'inferenceConfig.temperature: expected a number from 0 to 1, got "hot"; inferenceConfig.topP: expected a number from 0 to 1, got 7'],
  [{ inferenceConfig: { stopSequences: 'END' } }, 'inferenceConfig.stopSequences: expected a list, got "END"'],
  [{ messages: [{ role: 'user', content: [{ text: 'hi' }], name: 'me' }] }, 'messages[0].name: there is no such field'],
  [{ toolConfig: { tools: [TOOL], toolChoic: { auto: {} } } }, 'toolConfig.toolChoic: there is no such field, did you mean toolChoice?'],
  [{ toolConfig: { tools: [{ toolSpec: { ...TOOL.toolSpec, strict: 'yes', description: 7 } }] } },
    'toolConfig.tools[0].toolSpec.description: expected a string, got 7; toolConfig.tools[0].toolSpec.strict: expected true or false, got "yes"'],
  [{ toolConfig: { tools: [{ toolSpec: { ...TOOL.toolSpec, inputSchema: { jsn: {}, json: {} } } }] } },
    'toolConfig.tools[0].toolSpec.inputSchema.jsn: there is no such field, did you mean json?'],
  [{ outputConfig: { effort: 'most' } },
    'outputConfig.effort: expected "none" or "minimal" or "low" or "medium" or "high" or "xhigh" or "max", got "most"'],
  [{ requestMetadata: { a: 1 } }, 'requestMetadata.a: expected a string, got 1'],
  [{ serviceTier: { typ: 'flex' } }, 'serviceTier.typ: there is no such field, did you mean type?'],
  [{ additionalModelRequestFields: { top_k: 'many', top_kk: 1 } },
    'additionalModelRequestFields.top_kk: there is no such field, did you mean top_k?; '
      + 'additionalModelRequestFields.top_k: expected a whole number from -1 to 2147483647, got "many"'],
  [{
    inferenceConfig: { temperature: 0, topP: 0.5, topK: 1, stopSequences: ['A'] },
    outputConfig: { effort: 'low' },
    serviceTier: { type: 'flex' },
    additionalModelRequestFields: { temperature: 2, top_p: 1, top_k: 3, stop: ['B'], reasoning_effort: 'high', service_tier: 'priority' },
  }, Object.entries({
    temperature: 'inferenceConfig.temperature',
    top_p: 'inferenceConfig.topP',
    top_k: 'inferenceConfig.topK',
    stop: 'inferenceConfig.stopSequences',
    reasoning_effort: 'outputConfig.effort',
    service_tier: 'serviceTier.type',
  }).map(([name, field]) => `additionalModelRequestFields.${name}: this conflicts with ${field}: give one of them`).join('; ')],
  [{ inferenceConfig: { maxTokens: 5 }, additionalModelRequestFields: { min_tokens: 9 } }, 'min_tokens: expected at most 5, as many as the answer may have, got 9'],
])('a Converse with %j is refused', (more, message) => {
  expect(() => converse({ messages: [{ role: 'user', content: [{ text: 'hi' }] }], ...more })).toThrow(expect.objectContaining({ status: 400, message }));
});

/** A conversation in which tools were called, and what came of it. */
const called = (calls: object[], results: object[]) => ({
  messages: [
    { role: 'user', content: [{ text: 'hi' }] },
    { role: 'assistant', content: calls.map((call) => ({ toolUse: { toolUseId: 'a', name: 'weather', input: {}, ...call } })) },
    ...(results.length === 0 ? [] : [{ role: 'user', content: results.map((result) => ({ toolResult: { toolUseId: 'a', content: [], ...result } })) }]),
  ],
});
const said = (...content: object[]) => ({ messages: [{ role: 'user', content }] });
const pictured = (format: string, bytes: string) => said({ image: { format, source: { bytes } } });
const base64 = (text: string) => Buffer.from(text).toString('base64');
const JPEG = Buffer.from([0xff, 0xd8, 0xff, 0xe0]).toString('base64');

test('all that a model thought before a call is given back', () => {
  const [hi] = said({ text: 'hi' }).messages;
  const thought = (text: string) => ({ reasoningContent: { reasoningText: { text, signature: 's' } } });
  expect(converse({ messages: [hi, { role: 'assistant', content: [thought('hm'), { text: 'so' }, thought('well')] }, hi] }).messages)
    .toMatchObject([{}, { reasoning: 'hm\nwell', reasoning_content: 'hm\nwell', content: 'so' }, {}]);
});

test.each<[unknown, string]>([
  [5, 'messages[1].content[0].reasoningContent: expected an object, got 5'],
  [{ reasoningText: 'hm' }, 'messages[1].content[0].reasoningContent.reasoningText: expected an object, got "hm"; '
    + 'messages[1].content[0].reasoningContent.reasoningText.text: expected a string, got nothing'],
  [{ reasoningText: { text: 'hm', signature: 5 } }, 'messages[1].content[0].reasoningContent.reasoningText.signature: expected a string, got 5'],
  [{ redactedContent: 'aG0=' }, 'messages[1].content[0].reasoningContent.redactedContent: expected reasoningText: nothing else can be read here'],
])('a Converse with reasoning %j is refused', (reasoningContent, message) => {
  const [hi] = said({ text: 'hi' }).messages;
  expect(() => converse({ messages: [hi, { role: 'assistant', content: [{ reasoningContent }, { text: 'so' }] }, hi] }))
    .toThrow(expect.objectContaining({ status: 400, message }));
});

test.each<[string, object, string]>([
  ['nothing but cache points', said({ cachePoint: { type: 'default' } }), 'messages[0].content: expected something besides cachePoint'],
  ['an unknown cache point', said({ text: 'hi' }, { cachePoint: { type: 'weird', ttl: '2h' } }),
    'messages[0].content[1].cachePoint.type: expected "default", got "weird"; messages[0].content[1].cachePoint.ttl: expected "5m" or "1h", got "2h"'],
  ['an unknown cache point after the system prompt', { ...said({ text: 'hi' }), system: [{ text: 'be kind' }, { cachePoint: {} }] },
    'system[1].cachePoint.type: expected "default", got nothing'],
  ['no tool but a cache point', { ...said({ text: 'hi' }), toolConfig: { tools: [{ cachePoint: { type: 'default' } }] } },
    'toolConfig.tools: expected something besides cachePoint'],
  ['two tools of one name', { ...said({ text: 'hi' }), toolConfig: { tools: [TOOL, TOOL] } }, 'toolConfig.tools[1].toolSpec.name: another tool has this name'],
  ['the assistant\'s words at the end', { messages: [...said({ text: 'hi' }).messages, { role: 'assistant', content: [{ text: 'so' }] }] },
    'messages: the last message of a conversation is the user\'s'],
  ['a call without a result, at the end', called([{}], []), 'messages[1].content[0].toolUse: expected a toolResult of its id in the message after it'],
  ['a call without a result, before another message', called([{}, { toolUseId: 'b' }], [{ toolUseId: 'b' }]),
    'messages[1].content[0].toolUse: expected a toolResult of its id in the message after it'],
  ['a result without a call', called([{}], [{}, { toolUseId: 'b' }]),
    'messages[2].content[1].toolResult.toolUseId: expected the id of a toolUse in the message before, each once, got "b"'],
  ['two results of a call', called([{}], [{}, {}]),
    'messages[2].content[1].toolResult.toolUseId: expected the id of a toolUse in the message before, each once, got "a"'],
  ['two calls of one id', called([{}, {}], [{}]), 'messages[1].content[1].toolUse.toolUseId: another toolUse of this message has this id'],
  ['ids that are none', called([{ toolUseId: '' }, { toolUseId: 'x'.repeat(65) }], [{ toolUseId: 'ä' }]),
    'messages[1].content[0].toolUse.toolUseId: expected 1 to 64 letters, digits, _, ., : or -, got ""; '
      + `messages[1].content[1].toolUse.toolUseId: expected 1 to 64 letters, digits, _, ., : or -, got "${'x'.repeat(65)}"; `
      + 'messages[2].content[0].toolResult.toolUseId: expected 1 to 64 letters, digits, _, ., : or -, got "ä"'],
  ['a call of what can be no tool', called([{ name: 'bad name!', input: 'str' }], [{}]),
    'messages[1].content[0].toolUse.name: expected 1 to 64 letters, digits, _ or -, got "bad name!"; messages[1].content[0].toolUse.input: expected an object, got "str"'],
  ['a call with a list', called([{ input: [1] }], [{}]), 'messages[1].content[0].toolUse.input: expected an object, got [1]'],
  ['a result that is a list', called([{}], [{ content: [{ json: [1] }] }]), 'messages[2].content[0].toolResult.content[0].json: expected an object, got [1]'],
  ['a result of another status', called([{}], [{ status: 'ok' }]), 'messages[2].content[0].toolResult.status: expected "success" or "error", got "ok"'],
  ['an error that says nothing', called([{}], [{ status: 'error' }]), 'messages[2].content[0].toolResult.content: expected at least 1, got none'],
  ['an image that is no base64', pictured('png', '!!!notbase64'), 'messages[0].content[0].image.source.bytes: expected base64'],
  ['an image that is cut', pictured('png', PNG.slice(0, -1)), 'messages[0].content[0].image.source.bytes: expected base64'],
  ['an image of nothing', pictured('png', ''), 'messages[0].content[0].image.source.bytes: these are not the bytes of an image in format png'],
  ['an image of another format', pictured('png', JPEG), 'messages[0].content[0].image.source.bytes: these are not the bytes of an image in format png'],
  ['an image of a format by another name', pictured('jpg', JPEG), 'messages[0].content[0].image.format: expected "png" or "jpeg" or "gif" or "webp", got "jpg"'],
])('a Converse with %s is refused', (_, request, message) => {
  expect(() => converse(request)).toThrow(expect.objectContaining({ status: 400, message }));
});

test('images of every format are read', () => {
  const webp = Buffer.from('RIFF\n\n\n\nWEBPVP8 ').toString('base64');
  const gif = Buffer.from('GIF89a').toString('base64');
  const images = said(...Object.entries({ png: PNG, jpeg: JPEG, gif, webp }).map(([format, bytes]) => ({ image: { format, source: { bytes } } })));
  const urls = [`data:image/png;base64,${PNG}`, `data:image/jpeg;base64,${JPEG}`, `data:image/gif;base64,${gif}`, `data:image/webp;base64,${webp}`];
  expect(converse(images).messages).toEqual([{ role: 'user', content: urls.map((url) => ({ type: 'image_url', image_url: { url } })) }]);
});

test('system messages at the start are part of the system prompt, those after it stay where they are', () => {
  const system = (...content: object[]) => ({ role: 'system', content });
  const [hi] = said({ text: 'hi' }).messages;
  const { messages } = converse({
    system: [{ text: 'be kind' }],
    messages: [system({ text: 'be brief' }, { cachePoint: { type: 'default' } }), hi, system({ text: 'his name is Ada' }, { text: 'he is five' }), hi],
  });
  expect(messages).toEqual([
    { role: 'system', content: 'be kind\n\nbe brief' },
    { role: 'user', content: 'hi' },
    { role: 'system', content: 'his name is Ada\n\nhe is five' },
    { role: 'user', content: 'hi' },
  ]);
  expect(() => converse({ messages: [hi, system({ toolAddition: { tool: { type: 'tool_reference', name: 'weather' } } }), hi] }))
    .toThrow('messages[1].content[0].toolAddition: this kind of content is not supported here');
});

test('a model is told that a tool failed', () => {
  const { messages } = converse(called([{}, { toolUseId: 'b.1:2-x' }], [{ toolUseId: 'b.1:2-x' }, { status: 'error', content: [{ text: 'no such city' }] }]));
  expect(messages).toEqual([
    expect.objectContaining({ role: 'user' }),
    expect.objectContaining({ role: 'assistant' }),
    { role: 'tool', tool_call_id: 'b.1:2-x', content: '' },
    { role: 'tool', tool_call_id: 'a', content: 'Error: no such city' },
  ]);
});

test.each<[object, string]>([
  [{ input: { converse: said({ video: {} }) } }, 'input.converse.messages[0].content[0].video: this kind of content is not supported here'],
  [{ input: { converse: { ...said({ text: 'hi' }), system: 'be kind', toolConfig: { tools: [], toolChoice: { none: {} } } } } },
    'input.converse.system: expected a list, got "be kind"; input.converse.toolConfig.tools: expected at least 1, got none; '
      + 'input.converse.toolConfig.toolChoice.none: expected auto, any or tool'],
  [{ input: { converse: { messages: [{ role: 'user', content: [{ text: 'hi' }] }], inferenceConfig: {} } } }, 'input.converse.inferenceConfig: there is no such field'],
  [{ input: { invokeModel: { body: 'e30' } } }, 'input.invokeModel.body: expected base64'],
  [{ inptu: {} }, 'inptu: there is no such field, did you mean input?; input: expected an object, got nothing'],
  [{ input: { converse: { ...said({ text: 'hi' }), additionalModelRequestFields: { nonsense: 1 } } } },
    'input.converse.additionalModelRequestFields.nonsense: there is no such field'],
  [{ input: { converse: { ...said({ text: 'hi' }), additionalModelRequestFields: { documents: [{ text: 'long' }] } } } },
    'input.converse.additionalModelRequestFields.documents: tokens are not counted with this here'],
  [{ input: { invokeModel: { body: base64('{"messages":[{"role":"user","content":"hi"}],"documents":[{}],"truncate_prompt_tokens":5}') } } },
    ['documents', 'truncate_prompt_tokens'].map((name) => `input.invokeModel.body.${name}: tokens are not counted with this here`).join('; ')],
])('a CountTokens of %j is refused', (body, message) => {
  expect(() => parseCountTokens(Buffer.from(JSON.stringify(body)), 'm', false)).toThrow(expect.objectContaining({ status: 400, message }));
});

test('what a caller of InvokeModel gives reaches the engine in its own text, save for what is not its to say', () => {
  const given = '{"seed":1234567890123456789,"temperature":1.0,"messages":[{"role":"user","content":"\\ud83d\\ude00"}],"model":"m","stream":true,"stream_options":{}}';
  const { request } = parseInvocation(Buffer.from(given), {}, 'm', false, false);
  expect(request.bytes.toString()).toBe('{"seed":1234567890123456789,"temperature":1.0,"messages":[{"role":"user","content":"\\ud83d\\ude00"}],"model":"m","stream":false}');
  expect(parseInvocation(Buffer.from(given), {}, 'm', true, false).request.bytes.toString()).toContain('"stream":true,"stream_options":{"include_usage":true}}');
});

/** A value with one of its parts, wherever it is, put in place of another value. */
function mutated(value: unknown, steps: readonly number[], other: unknown): unknown {
  if (steps.length === 0 || typeof value !== 'object' || value === null) {
    return other;
  }
  const keys = Object.keys(value);
  if (keys.length === 0) {
    return other;
  }
  const key = keys[steps[0] % keys.length];
  const part = mutated((value as { [key: string]: unknown })[key], steps.slice(1), other);
  return Array.isArray(value) ? value.map((one, i) => (String(i) === key ? part : one)) : { ...value, [key]: part };
}

test.each<[string, unknown, (bytes: Buffer) => unknown]>([
  ['Converse', FULL, (bytes) => parseConverse(bytes, 'm', true, true).body],
  ['InvokeModel', { messages: [{ role: 'user', content: 'hi' }], vllm_xargs: { a: 1 } }, (bytes) => parseInvocation(bytes, {}, 'm', true, false).request.body],
  ['InvokeModel of Llama', { prompt: 'hi', max_gen_len: 5, temperature: 0.5, top_p: 1 }, (bytes) => parseInvocation(bytes, {}, 'm', false, false).request.body],
  ['CountTokens', { input: { converse: { system: FULL.system, messages: FULL.messages, toolConfig: FULL.toolConfig } } }, (bytes) => parseCountTokens(bytes, 'm', true).body],
])('law: whatever %s is sent is a request for an engine or is refused in a sentence', (_, valid, parse) => {
  const anything = fc.oneof(fc.anything({ withNullPrototype: false }), fc.constantFrom(undefined, [], {}), fc.double(), fc.string());
  let accepted = 0;
  fc.assert(fc.property(fc.array(fc.nat(9), { minLength: 1, maxLength: 9 }), anything, fc.boolean(), (steps, other, cut) => {
    const text = JSON.stringify(mutated(valid, steps, other), (_key, value) => (typeof value === 'bigint' ? Number(value) : value)) ?? '';
    try {
      const body = parse(Buffer.from(cut ? text.slice(0, -1 - steps[0]) : text)) as { model: string };
      accepted++;
      expect(body.model).toBe('m');
      expect(JSON.stringify(body)).not.toContain('kv_transfer_params');
    } catch (e) {
      expect(e).toBeInstanceOf(ApiError);
      expect([(e as ApiError).status, (e as ApiError).message]).toEqual([400, expect.stringMatching(/\w/)]);
    }
  }), { numRuns: 5000 });
  expect(accepted).toBeGreaterThan(50);
});
