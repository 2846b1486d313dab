import { isDeepStrictEqual } from 'node:util';
import { readPrompt } from '../../../../src/router/runtime/paths/prompt';
import { parseConverse } from '../../../../src/router/runtime/wire/bedrock/converse-request';
import { EngineRequest, wholeOf } from '../../../../src/router/runtime/wire/engine-request';
import { jsonObject } from '../../../../src/router/runtime/wire/fields';
import { parseOpenAi } from '../../../../src/router/runtime/wire/openai-request';
import { promptTextOf } from '../../../../src/router/runtime/wire/prompt-text';
import { chat, MODEL } from '../harness';

const PROSE = 'Some "quoted" prose, 10 µg of it,\n\tin 漢字 and 😀, with a \\ now and then. ';
/** Longer than what is read as it is. */
const LONG = PROSE.repeat(2000);
const SHORT = 'a short text';

const openAi = (body: object | string) =>
  parseOpenAi('/v1/chat/completions', Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), { id: MODEL, servedNames: [MODEL], images: true });
const converse = (body: object | string, images = false) => parseConverse(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), MODEL, false, images);
const whole = (asked: EngineRequest) => Buffer.concat(wholeOf(asked));
const told = (read: () => unknown) => {
  try {
    read();
  } catch (e) {
    return (e as Error).message;
  }
  return undefined;
};

/** A value with the long text in place of every short one. */
function lengthened<T>(value: T): T {
  return JSON.parse(JSON.stringify(value).replaceAll(SHORT, JSON.stringify(LONG).slice(1, -1))) as T;
}

const image = { type: 'image_url', image_url: { url: `data:image/png;base64,iVBORw0KGgo${'A'.repeat(6001)}` } };
const CHATS: { readonly [name: string]: object } = {
  'a text': chat({ messages: [{ role: 'user', content: SHORT }] }),
  'parts, one of them an image': chat({ messages: [{ role: 'user', content: [{ type: 'text', text: SHORT }, image, { type: 'text', text: 'what is it?' }] }] }),
  'a system prompt, tools and what a tool returned': chat({
    messages: [
      { role: 'system', content: SHORT },
      { role: 'assistant', tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }] },
      { role: 'tool', tool_call_id: 'c', content: SHORT },
      { role: 'user', content: `${SHORT} and ${SHORT}` },
    ],
    tools: [{ type: 'function', function: { name: 'f', description: SHORT, parameters: { type: 'object', description: SHORT } } }],
  }),
  'what is no part of the prompt': chat({ metadata: { note: SHORT }, user: SHORT, response_format: { type: 'json_schema', json_schema: { name: 'n', schema: { title: SHORT } } } }),
};

test.each(Object.keys(CHATS))('a long request with %s is passed on as it is, and its prompt is counted', (name) => {
  const body = lengthened(CHATS[name]);
  const bytes = Buffer.from(JSON.stringify(body));
  const asked = parseOpenAi('/v1/chat/completions', bytes, { id: MODEL, servedNames: [MODEL], images: true });
  expect(whole(asked).equals(bytes)).toBe(true);
  expect(JSON.stringify(asked.body).length).toBeLessThan(bytes.length / 2);
  expect(promptTextOf(asked.body, asked.longTexts)).toEqual(promptTextOf(body as { [name: string]: unknown }));
});

const user = (...content: object[]) => ({ messages: [{ role: 'user', content }] });
/** A conversation in which a tool was called with a text, and has returned something. */
const called = (text: string, ...content: object[]) => ({
  messages: [
    ...user({ text: 'hi' }).messages,
    { role: 'assistant', content: [{ toolUse: { toolUseId: 't', name: 'f', input: { text } } }] },
    ...user({ toolResult: { toolUseId: 't', content } }, { text: SHORT }).messages,
  ],
});
const png = { image: { format: 'png', source: { bytes: Buffer.from('\x89PNG\r\n\x1a\n'.padEnd(6000, 'x'), 'latin1').toString('base64') } } };
const CONVERSATIONS: { readonly [name: string]: object } = {
  'a text': user({ text: SHORT }),
  'several texts and an image': user({ text: SHORT }, png, { text: `${SHORT}, ${SHORT}` }),
  'system prompts, which become one': { ...user({ text: 'hi' }), system: [{ text: SHORT }, { text: SHORT }, { text: 'and be brief' }] },
  'what a tool returned as text': called('x', { text: SHORT }, { text: SHORT }),
  'a tool': {
    ...user({ text: 'hi' }),
    toolConfig: { tools: [{ toolSpec: { name: 'f', description: SHORT, inputSchema: { json: { description: SHORT } } } }] },
  },
  'thoughts': {
    messages: [
      ...user({ text: 'hi' }).messages, { role: 'assistant', content: [{ reasoningContent: { reasoningText: { text: SHORT } } }, { text: SHORT }] },
      ...user({ text: 'so' }).messages,
    ],
  },
  'labels': { ...user({ text: SHORT }), requestMetadata: { a: SHORT } },
};

test.each(Object.keys(CONVERSATIONS))('a long conversation with %s is translated as a short one is', (name) => {
  const expected = lengthened(JSON.parse(whole(converse(CONVERSATIONS[name], true)).toString()) as { [name: string]: unknown });
  const asked = converse(lengthened(CONVERSATIONS[name]), true);
  const { body, longTexts } = asked;
  const bytes = whole(asked);
  // it would take minutes to show how they differ.
  expect(isDeepStrictEqual(JSON.parse(bytes.toString()), expected)).toBe(true);
  expect(JSON.stringify(body).length).toBeLessThan(bytes.length / 2);
  expect(promptTextOf(body, longTexts)).toEqual(promptTextOf(expected));
});

test('long texts that become JSON within a text are escaped twice', () => {
  const bytes = whole(converse(called(LONG, { json: { found: LONG } })));
  const { messages: [, { tool_calls: [call] }, { content }, { content: said }] } = JSON.parse(bytes.toString());
  expect(isDeepStrictEqual([JSON.parse(call.function.arguments), JSON.parse(content), said], [{ text: LONG }, { found: LONG }, SHORT])).toBe(true);
});

test('what is wrong with a long request is told as of a short one', () => {
  const bad: { readonly [name: string]: unknown }[] = [
    { temperature: 9 }, { model: 'other' }, { modle: 'm' }, { messages: SHORT }, { messages: [{ role: SHORT, content: 5 }] },
    { messages: [{ role: 'user', content: { SHORT } }] }, { kv_transfer_params: {} }, { tools: [{ type: 'function', function: { name: LONG } }] },
  ];
  for (const fields of bad) {
    const note = { metadata: { note: LONG } };
    expect(told(() => openAi({ ...chat({}), ...fields, ...note }))).toEqual(told(() => openAi({ ...chat({}), ...fields })));
    expect(told(() => openAi({ ...chat({}), ...fields, ...note }))).toBeDefined();
  }
  expect(told(() => openAi(chat({ service_tier: LONG })))).toContain(`got ${JSON.stringify(LONG).slice(0, 80)}...`);
  expect(told(() => converse({ ...user({ text: LONG }), inferenceConfig: { maxTokens: LONG } }))).toContain(`got ${JSON.stringify(LONG).slice(0, 80)}...`);
  expect(told(() => converse({ ...user({ text: LONG }), outputConfig: { textFormat: { type: 'json_schema', structure: { jsonSchema: { schema: LONG } } } } })))
    .toBe('outputConfig.textFormat.structure.jsonSchema.schema: the schema is not JSON');
});

test('a long schema that is told as text is read', () => {
  const schema = { type: 'object', description: LONG };
  const { body } = converse({ ...user({ text: LONG }), outputConfig: { textFormat: { type: 'json_schema', structure: { jsonSchema: { schema: JSON.stringify(schema) } } } } });
  expect(isDeepStrictEqual((body.response_format as { json_schema: { schema: object } }).json_schema.schema, schema)).toBe(true);
});

test.each([
  ['a control character', (json: string) => json.replace('Some', 'So\u0001me')],
  ['an escape that is none', (json: string) => json.replace('Some', 'So\\me')],
  ['no end', (json: string) => json.slice(0, -8)],
  ['something behind it', (json: string) => `${json},`],
  ['a quote too many', (json: string) => json.replace('Some', 'So"me')],
])('a long body that is no JSON, as it has %s, is refused', (_, damaged) => {
  for (const json of [damaged(JSON.stringify(chat({ messages: [{ role: 'user', content: LONG }] }))), damaged(JSON.stringify(user({ text: LONG })))]) {
    const expected = told(() => jsonObject(Buffer.from(json)));
    expect(expected).toMatch(/^the body is not JSON: line 1, column \d+: /);
    expect([told(() => openAi(json)), told(() => converse(json))]).toEqual([expected, expected]);
  }
});

test('bytes that are no UTF-8 are refused', () => {
  const bytes = Buffer.from(JSON.stringify(user({ text: `${LONG}~` }))).map((byte) => (byte === '~'.charCodeAt(0) ? 0xff : byte));
  expect(() => parseConverse(Buffer.from(bytes), MODEL, false, false)).toThrow('the body is not UTF-8');
});

test('long names count as the text that they are', () => {
  const parameters = { type: 'object', properties: { [LONG]: { type: 'string' } } };
  const request = chat({ tools: [{ type: 'function', function: { name: 'f', parameters } }] });
  const { body, longTexts } = openAi(request);
  expect(longTexts).toBeDefined();
  expect(promptTextOf(body, longTexts)).toEqual(promptTextOf(request));
});

test('prompts of different long salts share nothing', () => {
  const promptOf = (salt: string) => readPrompt(openAi(chat({ messages: [{ role: 'user', content: LONG }], cache_salt: salt })), 10, 'caller').blocks;
  const known = new Set(promptOf(`${LONG}a`));
  expect([...promptOf(`${LONG}b`)].filter((block) => known.has(block))).toHaveLength(0);
});
