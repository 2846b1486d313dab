import OpenAI, { BadRequestError } from 'openai';
import { parseOpenAi } from '../../../../src/router/runtime/wire/openai-request';
import { ask, chat, errorOf, KEY, MockEngine, MODEL, routerFor, TestRouter, whole } from '../harness';

let engine: MockEngine;
let router: TestRouter;

beforeAll(async () => {
  engine = await MockEngine.start(whole);
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { model: { id: MODEL, servedNames: [MODEL], images: true } });
});

afterAll(async () => {
  await router.drain();
  await engine.stop();
});

beforeEach(() => {
  engine.requests.length = 0;
});

const COMPLETIONS = '/v1/completions';
const NAMED = 'this is not for callers to give: requests are named by the router alone';
const LOADED = 'this is not for callers to give: no data or code of a caller\'s is loaded';
const EMBEDS = [{ role: 'user', content: [{ type: 'prompt_embeds', data: 'gASV' }] }];
const WEATHER = { type: 'function', function: { name: 'weather' } };
const SCHEMA_TYPES = '"object" or "array" or "string" or "number" or "integer" or "boolean" or "null"';
const CALLED = { role: 'assistant', tool_calls: [{ id: 'a', function: { name: 'f', arguments: '{}' } }] };
const SUNNY = { role: 'tool', content: 'sunny', tool_call_id: 'a' };
const CALL_BEFORE = 'expected the id of a call that an assistant made before, each once';
const RESULT_AFTER = 'expected a message of the tool after it, with its id';
const INVOKE = `/model/${MODEL}/invoke`;

/** What a caller is told of a request that is refused. */
async function refusalOf(body: object, path?: string): Promise<{ message: string; param?: string | null; code?: string | null }> {
  const response = await ask(router.url, body, {}, path);
  expect(response.status).toBe(400);
  expect(engine.requests).toHaveLength(0);
  if (path === INVOKE) {
    expect(response.headers.get('x-amzn-errortype')).toBe('ValidationException');
    return await response.json() as { message: string };
  }
  return errorOf(response);
}

describe('a field that is wrong is refused before an engine is asked, and told', () => {
  test.each<[object, string]>([
    [{ temperature: 'hot' }, 'temperature: expected a number from 0 to 2, got "hot"'],
    [{ temperature: 2.5 }, 'temperature: expected a number from 0 to 2, got 2.5'],
    [{ top_p: 7 }, 'top_p: expected a number from 0 to 1, got 7'],
    [{ n: 0 }, 'n: expected a whole number from 1 to 128, got 0'],
    [{ stream: 'yes' }, 'stream: expected true or false, got "yes"'],
    [{ stop: 5 }, 'stop: expected a string that is not empty, or a list of them, got 5'],
    [{ stop: ['a', ''] }, 'stop[1]: expected a string that is not empty, got ""'],
    [{ stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop: expected at most 4, got 5'],
    [{ seed: 1.5 }, 'seed: expected a whole number of 64 bits, from -2^63 to 2^63-1, got 1.5'],
    [{ presence_penalty: -3 }, 'presence_penalty: expected a number from -2 to 2, got -3'],
    [{ logit_bias: { 7: 101 } }, 'logit_bias: expected a number from -100 to 100 for each id of a token, got {"7":101}'],
    [{ logprobs: 5 }, 'logprobs: expected true or false, got 5'],
    [{ logprobs: true, top_logprobs: 21 }, 'top_logprobs: expected a whole number from 0 to 20, got 21'],
    [{ top_logprobs: 3 }, 'top_logprobs: expected 0 where logprobs is not true, got 3'],
    [{ top_logprobs: 3, logprobs: false }, 'top_logprobs: expected 0 where logprobs is not true, got 3'],
    [{ stream_options: { include_usage: true } }, 'stream_options: expected nothing where stream is not true, got {"include_usage":true}'],
    [{ continue_final_message: true, add_generation_prompt: true }, 'continue_final_message: expected false where add_generation_prompt is true, got true'],
    [{ top_k: 'many' }, 'top_k: expected a whole number from -1 to 2147483647, got "many"'],
    [{ repetition_penalty: 0 }, 'repetition_penalty: expected a number above 0, got 0'],
    [{ service_tier: 'scale' }, 'service_tier: expected "auto" or "default" or "flex" or "priority", got "scale"'],
    [{ reasoning_effort: 'hi' }, 'reasoning_effort: expected "none" or "minimal" or "low" or "medium" or "high" or "xhigh" or "max", got "hi"'],
    [{ stream: true, stream_options: { include_usge: true } }, 'stream_options.include_usge: there is no such field, did you mean include_usage?'],
    [{ min_tokens: 9, max_tokens: 5 }, 'min_tokens: expected at most 5, as many as the answer may have, got 9'],
    [{ response_format: 'json' }, 'response_format: expected an object, got "json"'],
    [{ response_format: { type: 'json' } }, 'response_format.type: expected "text" or "json_object" or "json_schema" or "structural_tag", got "json"'],
    [{ response_format: { type: 'json_schema' } }, 'response_format.json_schema: expected an object, got nothing'],
    [{ response_format: { type: 'json_schema', json_schema: { name: 'n' } } }, 'response_format.json_schema.schema: expected an object, got nothing'],
    [{ response_format: { type: 'json_schema', json_schema: { name: 'n', schema: 'object' } } }, 'response_format.json_schema.schema: expected an object, got "object"'],
    [{ response_format: { type: 'json_schema', json_schema: { name: 'n', schema: { type: 'nonsense' } } } },
      `response_format.json_schema.schema.type: expected ${SCHEMA_TYPES}, got "nonsense"`],
    [{ response_format: { type: 'json_schema', json_schema: { name: 'n', schema: { type: ['string', 'text'] } } } },
      `response_format.json_schema.schema.type[1]: expected ${SCHEMA_TYPES}, got "text"`],
    [{ response_format: { type: 'json_schema', json_schema: { schema: {} } } }, 'response_format.json_schema.name: expected a string, got nothing'],
    [{ tools: [], tool_choice: 'required' }, 'tool_choice: there are no tools to choose from'],
    [{ tools: [], tool_choice: { type: 'function', function: { name: 'f' } } }, 'tool_choice: there are no tools to choose from'],
    [{ tool_choice: 'required' }, 'tool_choice: there are no tools to choose from'],
    [{ tools: null, tool_choice: { type: 'function', function: { name: 'f' } } }, 'tool_choice: there are no tools to choose from'],
    [{ tools: [WEATHER], tool_choice: { type: 'function', function: { name: 'time' } } },
      'tool_choice.function.name: expected the name of one of the tools, got "time"'],
    [{ tools: [null, { function: 'f' }], tool_choice: { type: 'function', function: { name: 'f' } } },
      'tools[0]: expected an object, got null; tools[1].function: expected an object, got "f"; tool_choice.function.name: expected the name of one of the tools, got "f"'],
    [{ tools: [{ type: 'web_search' }] }, 'tools[0].type: expected "function", got "web_search"; tools[0].function: expected an object, got nothing'],
    [{ tools: [{ type: 'function', function: { name: 'a b' } }] }, 'tools[0].function.name: expected 1 to 64 letters, digits, _ or -, got "a b"'],
    [{ tools: [{ type: 'function', function: { name: 'a', paramters: {} } }] },
      'tools[0].function.paramters: there is no such field, did you mean parameters?'],
    [{ tool_choice: 'autoo' }, 'tool_choice: expected "none", "auto", "required" or a function, got "autoo"'],
    [{ tool_choice: { type: 'function' } }, 'tool_choice.function: expected an object, got nothing'],
    [{ functions: [{ name: 'f' }] }, 'functions: this is not supported here'],
    // which ask for what they name by being there.
    [{ web_search_options: {}, moderation: {} }, 'moderation: this is not supported here; web_search_options: this is not supported here'],
    [{ messages: [{ role: 'assistant', function_call: { name: 'f', arguments: '{}' }, audio: { id: 'a' } }] },
      'messages[0].audio: this is not supported here; messages[0].function_call: this is not supported here'],
    [{ rid: 'a' }, `rid: ${NAMED}`],
    [{ request_id: 'a' }, `request_id: ${NAMED}`],
    [{ chat_template: '{{ 1 }}' }, `chat_template: ${LOADED}`],
    [{ chat_template_kwargs: { chat_template: '{{ 1 }}' } }, `chat_template_kwargs.chat_template: ${LOADED}`],
    [{ messages: EMBEDS }, `messages[0].content[0]: ${LOADED}`],
    [{ modalities: ['text', 'audio'] }, 'modalities[1]: expected "text", got "audio"'],
    [{ max_token: 5 }, 'max_token: there is no such field, did you mean max_tokens?'],
    [{ maxCompletionTokens: 5 }, 'maxCompletionTokens: there is no such field, did you mean max_completion_tokens?'],
    [{ guided_json: {} }, 'guided_json: there is no such field'],
    [{ ec_transfer_params: {} }, 'ec_transfer_params: there is no such field, did you mean custom_params?'],
    [{ custom_logit_processor: 'x' }, 'custom_logit_processor: there is no such field'],
    [{ ['x'.repeat(200)]: 1 }, `${'x'.repeat(80)}...: there is no such field`],
  ])('%j', async (more, message) => {
    expect((await refusalOf(chat(more))).message).toBe(message);
  });

  test.each<[unknown, string]>([
    [undefined, 'messages: expected a list, got nothing'],
    ['hi', 'messages: expected a list, got "hi"'],
    [[], 'messages: expected at least 1, got none'],
    [['hi'], 'messages[0]: expected an object, got "hi"'],
    [[{ content: 'hi' }], 'messages[0].role: expected "system" or "developer" or "user" or "assistant" or "tool" or "function" or "latest_reminder", got nothing'],
    [[{ role: 'user', contnt: 'hi' }], 'messages[0].content: expected a string or a list of parts, got nothing'],
    [[{ role: 'user', content: 7 }], 'messages[0].content: expected a string or a list of parts, got 7'],
    [[{ role: 'user', content: [{ type: 'text', txt: 'hi' }] }], 'messages[0].content[0].text: expected a string, got nothing'],
    [[{ role: 'user', content: [{ type: 'image_url', image_url: { url: 7 } }] }], 'messages[0].content[0].image_url.url: expected a string, got 7'],
    [[{ role: 'tool', content: 'sunny' }], 'messages[0].tool_call_id: expected a string, got nothing'],
    [[{ role: 'tool', content: 'sunny', tool_call_id: 'a' }, CALLED],
      `messages[0].tool_call_id: ${CALL_BEFORE}, got "a"; messages[1].tool_calls[0]: ${RESULT_AFTER}`],
    [[CALLED, { role: 'tool', content: 'sunny', tool_call_id: 'b' }],
      `messages[1].tool_call_id: ${CALL_BEFORE}, got "b"; messages[0].tool_calls[0]: ${RESULT_AFTER}`],
    [[CALLED, { role: 'user', content: 'well?' }], `messages[0].tool_calls[0]: ${RESULT_AFTER}`],
    [[CALLED, SUNNY, SUNNY], `messages[2].tool_call_id: ${CALL_BEFORE}, got "a"`],
    [[CALLED, CALLED, SUNNY], 'messages[1].tool_calls[0].id: a call of this id before it has no message of its tool yet'],
    [[{ role: 'assistant', tool_calls: [{ function: { name: 'f' } }] }], `messages[0].tool_calls[0]: ${RESULT_AFTER}`],
    [[{ role: 'assistant', tool_calls: [{ id: 'a', function: { arguments: '{}' } }] }, SUNNY], 'messages[0].tool_calls[0].function.name: expected a string, got nothing'],
  ])('messages of %j', async (messages, message) => {
    expect((await refusalOf(chat({ messages }))).message).toBe(message);
  });

  test.each<[object, string]>([
    [{ echo: 1 }, 'echo: expected true or false, got 1'],
    [{ logprobs: true }, 'logprobs: expected a whole number from 0 to 20, got true'],
    [{ best_of: 2 }, 'best_of: expected 1, got 2'],
    [{ prompt_embeds: 'gASV' }, `prompt_embeds: ${LOADED}`],
    [{ rid: 'a' }, `rid: ${NAMED}`],
    [{ stream: false, stream_options: { include_usage: true } }, 'stream_options: expected nothing where stream is not true, got {"include_usage":true}'],
    [{ top_logprobs: 3 }, 'top_logprobs: there is no such field, did you mean logprobs?'],
    [{ max_tokens: 0 }, 'max_tokens: expected a whole number from 1 to 2147483647, got 0'],
    [{ messages: [] }, 'messages: there is no such field'],
    [{ max_completion_tokens: 5 }, 'max_completion_tokens: there is no such field, did you mean min_completion_tokens?'],
  ])('in a completion, %j', async (more, message) => {
    expect((await refusalOf({ model: MODEL, prompt: 'text', ...more }, COMPLETIONS)).message).toBe(message);
  });

  test.each<[object, string]>([
    [{ messages: chat().messages, max_token: 5 }, 'max_token: there is no such field, did you mean max_tokens?'],
    [{ messages: chat().messages, service_tier: 'scale' }, 'service_tier: expected "auto" or "default" or "flex" or "priority", got "scale"'],
    [{ messages: chat().messages, stream: 'yes' }, 'stream: expected true or false, got "yes"'],
    [{ messages: [{ role: 'user', content: 'hi' }], anthropic_version: 'bedrock-2023-05-31' }, 'anthropic_version: there is no such field'],
    [{ messages: chat().messages, model: 'other', n: 0 }, `model: expected "${MODEL}", got "other"; n: expected a whole number from 1 to 128, got 0`],
    [{ prompt: 'text', max_tokens: 5 }, 'max_tokens: there is no such field'],
  ])('in an InvokeModel, %j', async (body, message) => {
    expect((await refusalOf(body, INVOKE)).message).toBe(message);
  });
});

test.each<[string, object]>([
  ['/v1/chat/completions', chat()],
  ['/openai/v1/chat/completions', chat({ stream: true })],
  [COMPLETIONS, { model: MODEL, prompt: 'hi' }],
  ['/openai/v1/responses', { model: MODEL, input: 'hi' }],
  [INVOKE, { messages: chat().messages }],
])('a guardrail, without which an engine would answer, is refused: %s', async (path, body) => {
  const headers = { 'X-Amzn-Bedrock-GuardrailIdentifier': 'gr1', 'X-Amzn-Bedrock-GuardrailVersion': '1' };
  const response = await ask(router.url, body, headers, path);
  expect([response.status, engine.requests]).toEqual([400, []]);
  expect(await response.text()).toContain(
    'x-amzn-bedrock-guardrailidentifier: this is not supported here; x-amzn-bedrock-guardrailversion: this is not supported here');
});

test('an InvokeModel is for the model of its path, and so is one whose tokens are counted', async () => {
  const named = (model: string | null) => ({ messages: chat().messages, model });
  for (const model of [MODEL, null]) {
    expect((await ask(router.url, named(model), {}, INVOKE)).status).toBe(200);
    expect(engine.requests.pop()!.body.model).toBe(MODEL);
  }
  const count = { input: { invokeModel: { body: Buffer.from(JSON.stringify(named('other'))).toString('base64') } } };
  const response = await ask(router.url, count, {}, `/model/${MODEL}/count-tokens`);
  expect([response.status, await response.json()]).toEqual([400, { message: `input.invokeModel.body: model: expected "${MODEL}", got "other"` }]);
});

test('all that is wrong is told at once, and the first of it named', async () => {
  const more = { max_token: 5, temperature: 'hot', top_p: 7, messages: [{ role: 'usr', content: 'hi' }, { role: 'user', content: 5 }] };
  const { message, param, code } = await refusalOf(chat(more));
  expect([param, code]).toEqual(['max_token', 'invalid_request']);
  expect(message.split('; ').map((problem) => problem.split(':')[0]))
    .toEqual(['max_token', 'temperature', 'top_p', 'messages[0].role', 'messages[1].content']);
});

test('of a body with more that is wrong than anybody reads, the first is told', async () => {
  const wrong = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`field_${i}`, i]));
  expect((await refusalOf(chat(wrong))).message.split('; ')).toHaveLength(20);
});

test('OpenAI\'s client names the field', async () => {
  const client = new OpenAI({ baseURL: `${router.url}/v1`, apiKey: KEY, maxRetries: 0 });
  const asked = client.chat.completions.create({ model: MODEL, messages: [{ role: 'user', content: 'hi' }], top_p: 7 });
  await expect(asked).rejects.toThrow(BadRequestError);
  await expect(asked).rejects.toMatchObject({ status: 400, param: 'top_p', message: '400 top_p: expected a number from 0 to 1, got 7' });
});

describe('what engines or chat templates know is passed on as it is', () => {
  test.each<[object]>([
    [{ temperature: null, stop: null, tools: null, stream_options: null, functions: [], max_token: null }],
    [{ temperature: 0, top_p: 1, n: 2, stop: 'END', seed: -1, logit_bias: { 50256: -100 }, logprobs: true, top_logprobs: 5, user: 'me' }],
    [{ top_k: -1, min_p: 0.1, repetition_penalty: 1.1, ignore_eos: true, stop_token_ids: [1], chat_template_kwargs: { enable_thinking: false } }],
    [{ structured_outputs: { regex: 'a+' }, vllm_xargs: { a: 1 }, cache_salt: 'salt', min_tokens: 1, max_completion_tokens: 5 }],
    [{ regex: 'a+', separate_reasoning: true, lora: null }],
    [{ reasoning_effort: 'low', reasoning_format: 'parsed', disable_reasoning: false, prediction: { type: 'content', content: 'x' } }],
    [{ metadata: { a: 'b' }, store: true, service_tier: 'auto', prompt_cache_key: 'k', safety_identifier: 's', parallel_tool_calls: false }],
    [{ response_format: { type: 'json_schema', json_schema: { name: 'n', strict: true, schema: { type: 'object' } } } }],
    [{ response_format: { type: 'json_schema', json_schema: { name: 'n', schema: { type: ['object', 'null'], title: 't' } } } }],
    [{ stream_options: {}, top_logprobs: 0, logprobs: false, tool_choice: 'auto', continue_final_message: true, add_generation_prompt: false }],
    // engines read what is no JSON as no arguments: a conversation that a model has spoilt goes on.
    [{
      messages: [
        { role: 'assistant', content: null, tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{nope' } }] },
        { role: 'tool', tool_call_id: 'a', content: 'there are no such arguments' },
      ],
    }],
    [{ messages: [{ role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: '{}' } }] }, { role: 'tool', tool_call_id: 'a', content: 'sunny' }] }],
    // engines may name calls of several turns alike.
    [{ messages: [CALLED, SUNNY, CALLED, { role: 'user', content: 'well?' }, SUNNY] }],
    [{
      tools: [{ type: 'function', function: { name: 'f', description: 'd', parameters: { type: 'object' }, strict: null } }],
      tool_choice: { type: 'function', function: { name: 'f' } },
    }],
    [{
      messages: [
        { role: 'developer', content: [{ type: 'text', text: 'brief', cache_control: { type: 'ephemeral' } }] },
        { role: 'user', name: 'me', content: 'hi', timestamp: 7 },
        {
          role: 'assistant',
          content: null,
          refusal: null,
          annotations: [],
          audio: null,
          function_call: null,
          reasoning_content: 'hm',
          tool_calls: [{ id: 'a', type: 'function', index: 0, function: { name: 'f', arguments: '{}' } }],
        },
        { role: 'tool', tool_call_id: 'a', name: 'f', content: 'sunny' },
        { role: 'assistant', content: [{ type: 'refusal', refusal: 'no' }], provider_specific_fields: {} },
        { role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=', detail: 'auto' }, uuid: 'u' }] },
      ],
    }],
  ])('%j', async (more) => {
    const body = chat(more);
    expect((await ask(router.url, body)).status).toBe(200);
    expect(engine.requests[0].body).toEqual(body);
  });
});

test.each([
  ['/v1/chat/completions', chat()], ['/v1/completions', { model: MODEL, prompt: 'hi' }], [INVOKE, { messages: chat().messages }], ['/v1/responses', { model: MODEL, input: 'hi' }],
])('top_p 0, which engines refuse, leaves the likeliest token alone: %s', async (path, request) => {
  const { status } = await ask(router.url, { ...request, top_p: 0 }, {}, path);
  expect([status, engine.requests[0].body.top_p]).toEqual([200, 1e-6]);
  expect(engine.requests[0].text.match(/"top_p"/g)).toHaveLength(1);
});

test.each([[{ tools: [] }], [{ tool_choice: 'auto', tools: [], parallel_tool_calls: true }], [{ tools: [], tool_choice: null }]])('%j is no tools', async (none) => {
  // what engines would read is not rounded on the way.
  const body = JSON.stringify(chat({ ...none, seed: 7 })).replace(':7', ':9007199254740993');
  expect((await ask(router.url, body)).status).toBe(200);
  expect((await ask(router.url, body, {}, INVOKE)).status).toBe(200);
  for (const { body: { tools, tool_choice: choice, parallel_tool_calls: parallel, messages }, text } of engine.requests) {
    expect([tools, choice, parallel]).toEqual([undefined, undefined, undefined]);
    expect(messages).toEqual(chat().messages);
    expect(text).toContain('9007199254740993');
  }
  expect(engine.requests).toHaveLength(2);
});

test('a prompt is scored by a completion that repeats it and adds nothing', async () => {
  const body = { model: MODEL, prompt: 'text', max_tokens: 0, echo: true, logprobs: 1 };
  expect((await ask(router.url, body, {}, COMPLETIONS)).status).toBe(200);
  expect(engine.requests[0].body).toEqual(body);
});

test('a request of another shape is never taken for one, whatever stands in its fields', () => {
  for (const value of [null, 0, '', [], {}, [null], { __proto__: null }, 'constructor', Number.MAX_VALUE]) {
    const body = JSON.stringify({ model: MODEL, messages: value });
    expect(() => parseOpenAi('/v1/chat/completions', Buffer.from(body), { id: MODEL, servedNames: [MODEL], images: false })).toThrow(/^messages/);
  }
});
