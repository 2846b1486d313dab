import { EventStreamCodec } from '@smithy/eventstream-codec';
import * as fc from 'fast-check';
import { ApiError } from '../../../src/router/runtime/wire/api-error';
import { parseConverse } from '../../../src/router/runtime/wire/bedrock/converse-request';
import { parseCountTokens } from '../../../src/router/runtime/wire/bedrock/count-tokens';
import { EventFrame } from '../../../src/router/runtime/wire/bedrock/event-stream';
import { parseInvocation } from '../../../src/router/runtime/wire/bedrock/invoke-model';

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
/** A request that uses everything that is understood. */
const FULL = {
  system: [{ text: 'be kind' }, { cachePoint: { type: 'default' } }],
  messages: [
    { role: 'user', content: [{ text: 'look' }, { image: { format: 'png', source: { bytes: 'aGk=' } } }, { cachePoint: { type: 'default' } }] },
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

test('everything that is understood reaches the engine', () => {
  expect(converse(FULL)).toEqual({
    model: 'm',
    stream: false,
    messages: [
      { role: 'system', content: 'be kind' },
      { role: 'user', content: [{ type: 'text', text: 'look' }, { type: 'image_url', image_url: { url: 'data:image/png;base64,aGk=' } }] },
      { role: 'assistant', content: null, tool_calls: [{ id: 't', type: 'function', function: { name: 'f', arguments: '{"a":[1]}' } }] },
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
      'messages[0].role: expected user or assistant, got "robot"',
      'messages[0].content[0].text: expected a string, got 1',
      'messages[0].content[1]: expected exactly one member, got text, image',
      'messages[0].content[2]: expected exactly one member, got none',
      'messages[0].content[3].video: this kind of content is not supported here',
      'messages[1]: expected an object, got 7',
      'messages[1].role: expected user or assistant, got nothing',
      'messages[1].content: expected a list, got nothing',
      'toolConfig.tools[0].toolSpec.inputSchema.json: expected an object, got nothing',
      'toolConfig.tools[0].toolSpec.name: expected 1 to 64 letters, digits, _ or -, got "a b"',
      'outputConfig.textFormat.structure.jsonSchema.schema: the schema is not JSON',
      'additionalModelRequestFields.stream: this is not for callers to give here',
      'promptVariables: this is not supported here',
      'performanceConfig.latency: "optimized" is not supported here, standard is',
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
  [{ messages: [{ role: 'user', content: [{ toolResult: { toolUseId: 'a', content: [], status: 'ok' } }] }] },
    'messages[0].content[0].toolResult.status: expected "success" or "error", got "ok"'],
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
  [{ inferenceConfig: { maxTokens: 5 }, additionalModelRequestFields: { min_tokens: 9 } }, 'min_tokens: expected at most 5, as many as the answer may have, got 9'],
])('a Converse with %j is refused', (more, message) => {
  expect(() => converse({ messages: [{ role: 'user', content: [{ text: 'hi' }] }], ...more })).toThrow(expect.objectContaining({ status: 400, message }));
});

test.each<[object, string]>([
  [{ input: { converse: { messages: [{ role: 'user', content: [{ text: 'hi' }] }], inferenceConfig: {} } } }, 'input.converse.inferenceConfig: there is no such field'],
  [{ inptu: {} }, 'inptu: there is no such field, did you mean input?; input: expected an object, got nothing'],
])('a CountTokens of %j is refused', (body, message) => {
  expect(() => parseCountTokens(Buffer.from(JSON.stringify(body)), 'm', false)).toThrow(expect.objectContaining({ status: 400, message }));
});

test('what a caller of InvokeModel gives reaches the engine in its own text, save for what is not its to say', () => {
  const given = '{"seed":1234567890123456789,"temperature":1.0,"messages":[{"role":"user","content":"\\ud800"}],"model":"other","stream":true,"stream_options":{}}';
  const { request } = parseInvocation(Buffer.from(given), {}, 'm', false);
  expect(request.bytes.toString()).toBe('{"seed":1234567890123456789,"temperature":1.0,"messages":[{"role":"user","content":"\\ud800"}],"model":"m","stream":false}');
  expect(parseInvocation(Buffer.from(given), {}, 'm', true).request.bytes.toString()).toContain('"stream":true,"stream_options":{"include_usage":true}}');
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
  const part = mutated((value as any)[key], steps.slice(1), other);
  return Array.isArray(value) ? value.map((one, i) => (String(i) === key ? part : one)) : { ...value, [key]: part };
}

test.each<[string, unknown, (bytes: Buffer) => unknown]>([
  ['Converse', FULL, (bytes) => parseConverse(bytes, 'm', true, true).body],
  ['InvokeModel', { messages: [{ role: 'user', content: 'hi' }], vllm_xargs: { a: 1 } }, (bytes) => parseInvocation(bytes, {}, 'm', true).request.body],
  ['InvokeModel of Llama', { prompt: 'hi', max_gen_len: 5, temperature: 0.5, top_p: 1 }, (bytes) => parseInvocation(bytes, {}, 'm', false).request.body],
  ['CountTokens', { input: { converse: { system: FULL.system, messages: FULL.messages, toolConfig: FULL.toolConfig } } }, (bytes) => parseCountTokens(bytes, 'm', true).body],
])('law: whatever %s is sent is a request for an engine or is refused in a sentence', (_, valid, parse) => {
  const anything = fc.oneof(fc.anything({ withNullPrototype: false }), fc.constantFrom(undefined, [], {}), fc.double(), fc.string());
  let accepted = 0;
  fc.assert(fc.property(fc.array(fc.nat(9), { minLength: 1, maxLength: 9 }), anything, fc.boolean(), (steps, other, cut) => {
    const text = JSON.stringify(mutated(valid, steps, other), (_key, value) => (typeof value === 'bigint' ? Number(value) : value)) ?? '';
    try {
      const body = parse(Buffer.from(cut ? text.slice(0, -1 - steps[0]) : text)) as any;
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
