import OpenAI from 'openai';
import { ResponseStreamEvent } from 'openai/resources/responses/responses';
import { VllmPair } from '../handoff/vllm-pair';
import { chunkOf, delta, KEY, MockEngine, MODEL, ROLE, routerFor, sse, streaming, TestRouter, until, wholly } from '../harness';

const USAGE = {
  prompt_tokens: 12,
  completion_tokens: 3,
  total_tokens: 15,
  prompt_tokens_details: { cached_tokens: 8 },
  completion_tokens_details: { reasoning_tokens: 2 },
};
const TOLD_USAGE = {
  input_tokens: 12,
  input_tokens_details: { cached_tokens: 8, cache_write_tokens: 0 },
  output_tokens: 3,
  output_tokens_details: { reasoning_tokens: 2 },
  total_tokens: 15,
};
const completion = (message: object, finish = 'stop') => (
  { choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: finish }], usage: USAGE });
const WEATHER = {
  type: 'function' as const,
  name: 'weather',
  description: 'the weather',
  parameters: { type: 'object', properties: { city: { type: 'string' } } },
  strict: true,
};
const IMAGE = 'data:image/png;base64,iVBORw0KGgo=';
const called = (id: string) => ({ type: 'function_call', call_id: id, name: 'weather', arguments: '{}' });
const result = (id: string) => ({ type: 'function_call_output', call_id: id, output: 'rain' });
const call = (index: number, input: string, first?: object) => delta({ tool_calls: [{ index, ...first, function: { arguments: input, ...first } }] });

let engine: MockEngine;
let router: TestRouter;
let openai: OpenAI;

beforeAll(async () => {
  engine = await MockEngine.start(wholly(completion({ content: 'hello' })));
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], {
    model: { id: MODEL, servedNames: [MODEL], images: true },
  });
  openai = new OpenAI({ baseURL: `${router.url}/openai/v1`, apiKey: KEY, maxRetries: 0 });
});

beforeEach(() => {
  engine.behaviour = wholly(completion({ content: 'hello' }));
  engine.requests.length = 0;
  router.lines.length = 0;
});

afterAll(async () => {
  await router.drain();
  await engine.stop();
});

const create = async (more: object = {}) => openai.responses.create({ model: MODEL, input: 'say hello', stream: false, ...more });

/** Every event of a stream, and what ended it if that was an error. */
async function eventsOf(more: object = {}): Promise<{ events: ResponseStreamEvent[]; error?: any }> {
  const events: ResponseStreamEvent[] = [];
  try {
    for await (const event of await openai.responses.create({ model: MODEL, input: 'say hello', ...more, stream: true })) {
      events.push(event);
    }
    return { events };
  } catch (error) {
    return { events, error };
  }
}

describe('a response', () => {
  test.each(['/v1', '/openai/v1'])('at %s says what was asked and what came of it', async (path) => {
    const response = await new OpenAI({ baseURL: router.url + path, apiKey: KEY }).responses.create({ model: MODEL, input: 'say hello' });
    expect(response).toMatchObject({
      object: 'response',
      id: expect.stringMatching(/^resp_[0-9a-f]{32}$/),
      status: 'completed',
      model: MODEL,
      output_text: 'hello',
      output: [{ type: 'message', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text: 'hello', annotations: [] }] }],
      usage: TOLD_USAGE,
      error: null,
      incomplete_details: null,
      instructions: null,
      temperature: null,
      tools: [],
      tool_choice: 'auto',
      parallel_tool_calls: true,
      metadata: {},
      store: false,
      text: { format: { type: 'text' } },
    });
    expect(Math.abs(response.created_at - Date.now() / 1000)).toBeLessThan(60);
    expect(engine.requests.map((request) => [request.path, request.body]))
      .toEqual([['/v1/chat/completions', { model: MODEL, messages: [{ role: 'user', content: 'say hello' }], stream: false }]]);
    await until(() => router.lines.some(({ msg }) => msg === 'request'), 'it is logged');
    expect(router.lines.at(-1)).toMatchObject({ route: 'responses', code: '200' });
  });

  test('asks the engine for everything that an engine can do', async () => {
    const asked = {
      instructions: 'be kind',
      max_output_tokens: 7,
      temperature: 0,
      top_p: 0.5,
      tools: [WEATHER],
      tool_choice: { type: 'function', name: 'weather' },
      parallel_tool_calls: false,
      reasoning: { effort: 'low', summary: 'auto' },
      text: { format: { type: 'json_schema', name: 'answer', schema: { type: 'object' }, strict: true }, verbosity: 'medium' },
      metadata: { team: 'a' },
      service_tier: 'flex',
      store: true,
      background: false,
      truncation: 'disabled',
      include: ['reasoning.encrypted_content'],
      previous_response_id: null,
      user: 'somebody',
      prompt_cache_key: 'key',
      prompt_cache_retention: '24h',
      prompt_cache_options: { mode: 'implicit', ttl: '30m' },
    };
    const response = await create(asked);
    expect(engine.requests[0].body).toEqual({
      model: MODEL,
      messages: [{ role: 'system', content: 'be kind' }, { role: 'user', content: 'say hello' }],
      stream: false,
      max_tokens: 7,
      temperature: 0,
      top_p: 0.5,
      reasoning_effort: 'low',
      response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: { type: 'object' }, strict: true } },
      tools: [{ type: 'function', function: { name: 'weather', description: 'the weather', parameters: WEATHER.parameters, strict: true } }],
      tool_choice: { type: 'function', function: { name: 'weather' } },
      parallel_tool_calls: false,
      service_tier: 'flex',
    });
    expect(response).toMatchObject({
      instructions: 'be kind',
      max_output_tokens: 7,
      temperature: 0,
      top_p: 0.5,
      tools: [WEATHER],
      tool_choice: asked.tool_choice,
      parallel_tool_calls: false,
      reasoning: { effort: 'low', summary: null },
      text: { format: asked.text.format },
      metadata: { team: 'a' },
      service_tier: 'flex',
      store: false,
      user: 'somebody',
    });
  });

  test('reads a whole conversation, images and calls of tools among it', async () => {
    await create({
      instructions: 'be kind',
      input: [
        { role: 'developer', content: 'be short' },
        { role: 'user', content: [{ type: 'input_text', text: 'what is this?' }, { type: 'input_image', image_url: IMAGE, detail: 'auto' }] },
        { type: 'reasoning', id: 'rs_1', summary: [], content: [{ type: 'reasoning_text', text: 'hm' }] },
        { type: 'message', id: 'msg_1', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text: 'I look', annotations: [] }] },
        { type: 'function_call', id: 'fc_1', call_id: 'a', name: 'weather', arguments: '{"city":"Ulm"}' },
        { type: 'function_call', call_id: 'b', name: 'weather', arguments: '{}' },
        { type: 'function_call_output', call_id: 'a', output: 'rain' },
        { type: 'function_call_output', call_id: 'b', output: [{ type: 'input_text', text: 'sun' }, { type: 'input_text', text: 'wind' }] },
        { type: 'reasoning', id: 'rs_2', summary: [], content: [{ type: 'reasoning_text', text: 'and' }, { type: 'reasoning_text', text: 'then' }] },
        { type: 'function_call', call_id: 'c', name: 'weather', arguments: '{}' },
        { type: 'function_call_output', call_id: 'c', output: 'snow' },
        { type: 'message', role: 'system', content: [{ type: 'input_text', text: 'be quick' }] },
        { role: 'user', content: 'well?' },
      ],
    });
    const toolCall = (id: string, input: string) => ({ id, type: 'function', function: { name: 'weather', arguments: input } });
    expect(engine.requests[0].body.messages).toEqual([
      { role: 'system', content: 'be kind\n\nbe short' },
      { role: 'user', content: [{ type: 'text', text: 'what is this?' }, { type: 'image_url', image_url: { url: IMAGE } }] },
      { role: 'assistant', reasoning: 'hm', reasoning_content: 'hm', content: 'I look', tool_calls: [toolCall('a', '{"city":"Ulm"}'), toolCall('b', '{}')] },
      { role: 'tool', tool_call_id: 'a', content: 'rain' },
      { role: 'tool', tool_call_id: 'b', content: 'sun\n\nwind' },
      { role: 'assistant', reasoning: 'and\nthen', reasoning_content: 'and\nthen', content: null, tool_calls: [toolCall('c', '{}')] },
      { role: 'tool', tool_call_id: 'c', content: 'snow' },
      { role: 'system', content: 'be quick' },
      { role: 'user', content: 'well?' },
    ]);
  });

  test.each([['null', '{}'], ['[1]', '{"arguments":"[1]"}'], ['{"a":', '{"arguments":"{\\"a\\":"}'], ['{"a":1}', '{"a":1}']])(
    'takes back the arguments of a call as it told them, whatever they are: %s', async (input, read) => {
      engine.behaviour = wholly(completion({ content: null, tool_calls: [{ id: 'c1', type: 'function', function: { name: 'weather', arguments: input } }] }, 'tool_calls'));
      const { output } = await create({ tools: [WEATHER] });
      expect(output).toMatchObject([{ arguments: input === 'null' ? '{}' : input }]);
      engine.behaviour = wholly(completion({ content: 'hello' }));
      expect((await create({ input: [{ role: 'user', content: 'hi' }, ...output, result('c1')], tools: [WEATHER] })).output_text).toBe('hello');
      expect(engine.requests[1].body.messages[1].tool_calls[0].function).toEqual({ name: 'weather', arguments: read });
    });

  test('has what the model said after a call in the turn of the call, before its output', async () => {
    const said = (text: string) => ({ type: 'message', role: 'assistant', content: [{ type: 'output_text', text, annotations: [] }] });
    const turns = [said('I look'), called('a'), said('and'), called('b'), result('a'), result('b'), called('c'), said('so'), result('c')];
    await create({ input: [{ role: 'user', content: 'hi' }, ...turns] });
    const { messages } = engine.requests[0].body;
    expect(messages.slice(1).map(({ role, content, tool_calls: calls }: any) => [role, content, calls?.map(({ id }: any) => id)])).toEqual([
      ['assistant', [{ type: 'text', text: 'I look' }, { type: 'text', text: 'and' }], ['a', 'b']],
      ['tool', 'rain', undefined], ['tool', 'rain', undefined],
      ['assistant', 'so', ['c']], ['tool', 'rain', undefined],
    ]);
  });

  test('takes calls of several turns that an engine has named alike, each with its output', async () => {
    await create({ input: [{ role: 'user', content: 'hi' }, called('weather:0'), result('weather:0'), called('weather:0'), result('weather:0')] });
    expect(engine.requests[0].body.messages.map(({ role }: { role: string }) => role)).toEqual(['user', 'assistant', 'tool', 'assistant', 'tool']);
  });

  test('tells reasoning, text and calls of tools, and takes them back as the input of the next', async () => {
    engine.behaviour = wholly(completion({
      reasoning: 'hm', content: 'I look', tool_calls: [{ id: 'c1', type: 'function', function: { name: 'weather', arguments: '{"city":"Ulm"}' } }],
    }, 'tool_calls'));
    const { output } = await create({ tools: [WEATHER] });
    expect(output).toMatchObject([
      { type: 'reasoning', summary: [], content: [{ type: 'reasoning_text', text: 'hm' }] },
      { type: 'message', content: [{ text: 'I look' }] },
      { type: 'function_call', call_id: 'c1', name: 'weather', arguments: '{"city":"Ulm"}', status: 'completed' },
    ]);
    await create({ input: [{ role: 'user', content: 'hi' }, ...output, result('c1')], tools: [WEATHER] });
    expect(engine.requests[1].body.messages).toMatchObject([{ role: 'user' }, { role: 'assistant', reasoning: 'hm', content: 'I look' }, { role: 'tool' }]);
  });

  test('of a schema is parsed by the SDK', async () => {
    engine.behaviour = wholly(completion({ content: '{"city":"Ulm"}' }));
    const { output_parsed: parsed } = await openai.responses.parse({
      model: MODEL, input: 'where?', text: { format: { type: 'json_schema', name: 'place', schema: { type: 'object' }, strict: true } },
    });
    expect(parsed).toEqual({ city: 'Ulm' });
    await create({ text: { format: { type: 'json_object' } } });
    expect(engine.requests[1].body.response_format).toEqual({ type: 'json_object' });
  });

  test('has a refusal of the model for one, which no schema is looked for in, and takes it back', async () => {
    engine.behaviour = wholly(completion({ content: null, refusal: 'not that' }));
    const { output, output_parsed: parsed, status } = await openai.responses.parse({
      model: MODEL, input: 'where?', text: { format: { type: 'json_schema', name: 'place', schema: { type: 'object' }, strict: true } },
    });
    expect([status, parsed]).toEqual(['completed', null]);
    expect(output).toEqual([{
      id: expect.stringMatching(/^msg_/), type: 'message', role: 'assistant', status: 'completed', content: [{ type: 'refusal', refusal: 'not that' }],
    }]);
    await create({ input: [{ role: 'user', content: 'where?' }, ...output, { role: 'user', content: 'why?' }] });
    expect(engine.requests[1].body.messages[1]).toEqual({ role: 'assistant', content: 'not that' });
  });

  test.each([['length', 'max_output_tokens'], ['content_filter', 'content_filter']])('that ends with %s is incomplete', async (finish, reason) => {
    engine.behaviour = wholly(completion({ reasoning: 'hm', content: 'hel' }, finish));
    const { status, incomplete_details: details, output } = await create();
    expect([status, details]).toEqual(['incomplete', { reason }]);
    expect(output.map((item) => (item as { status: string }).status)).toEqual(['completed', 'incomplete']);
  });

  test.each([
    ['was aborted', wholly(completion({ content: 'hel' }, 'abort'))],
    ['failed', wholly(completion({ content: 'hel' }, 'error'))],
    ['has no end', wholly({ choices: [{ message: { content: 'hel' } }] })],
    ['is no completion', wholly({ object: 'list' })],
  ])('that %s is a failure of the engine', async (_, behaviour) => {
    engine.behaviour = behaviour;
    await expect(create()).rejects.toMatchObject({ status: 502, type: 'server_error' });
  });

  test('that an engine refuses is refused in its words', async () => {
    engine.behaviour = wholly({ error: { message: 'the prompt is too long', type: 'BadRequestError', param: 'input_tokens', code: 400 } }, 400);
    await expect(create()).rejects.toMatchObject({ status: 400, param: 'input_tokens', message: expect.stringContaining('the prompt is too long') });
    await expect(create({ stream: true })).rejects.toMatchObject({ status: 400, param: 'input_tokens' });
  });
});

describe('what cannot be honoured is refused before an engine is touched', () => {
  const user = (content: unknown) => ({ input: [{ role: 'user', content }] });
  test.each<[string, object, string?]>([
    ['previous_response_id', { previous_response_id: 'resp_1' }],
    ['conversation', { conversation: 'conv_1' }],
    ['prompt', { prompt: { id: 'p' } }],
    ['background', { background: true }],
    ['truncation', { truncation: 'auto' }],
    ['include[1]', { include: ['reasoning.encrypted_content', 'message.output_text.logprobs'] }],
    ['include', { include: 'reasoning.encrypted_content' }],
    ['top_logprobs', { top_logprobs: 3 }],
    ['service_tier', { service_tier: 'fast' }],
    ['service_tier', { service_tier: 'scale' }],
    ['prompt_cache_retention', { prompt_cache_retention: 7 }],
    ['prompt_cache_options.tll', { prompt_cache_options: { tll: '30m' } }],
    ['context_management', { context_management: [{ type: 'compaction' }] }],
    ['stream_options.include_obfuscation', { stream_options: { include_obfuscation: true } }],
    ['kv_transfer_params', { kv_transfer_params: { do_remote_prefill: true } }],
    ['top_k', { top_k: 3 }],
    ['max_output_token', { max_output_token: 5 }],
    ['stream_options.include_usage', { stream: true, stream_options: { include_usage: true } }],
    ['reasoning.efort', { reasoning: { efort: 'low' } }],
    ['reasoning.effort', { reasoning: { effort: 'most' } }],
    ['text.formt', { text: { formt: { type: 'text' } } }],
    ['text.format.strict', { text: { format: { type: 'json_schema', name: 'a', schema: {}, strict: 'yes' } } }],
    ['tools[0].paramters', { tools: [{ ...WEATHER, paramters: {} }] }],
    ['tools[0].strict', { tools: [{ ...WEATHER, strict: 'yes' }] }],
    ['max_output_tokens', { max_output_tokens: 0 }],
    ['temperature', { temperature: 3 }],
    ['top_p', { top_p: -1 }],
    ['stream', { stream: 'yes' }],
    ['parallel_tool_calls', { parallel_tool_calls: 'yes' }],
    ['instructions', { instructions: 7 }],
    ['metadata.a', { metadata: { a: 1 } }],
    ['metadata', { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, 'v'])) }],
    ['reasoning.effort', { reasoning: { effort: 3 } }],
    ['reasoning.summary', { reasoning: { summary: 'detailed' } }],
    ['text.format.type', { text: { format: { type: 'grammar' } } }],
    ['text.format.schema', { text: { format: { type: 'json_schema', name: 'a' } } }],
    ['text.verbosity', { text: { verbosity: 'low' } }],
    ['tools[0].type', { tools: [{ type: 'web_search' }] }],
    ['tools[1].name', { tools: [WEATHER, { ...WEATHER, name: 'a b' }] }],
    ['tools[0].defer_loading', { tools: [{ ...WEATHER, defer_loading: true }] }],
    ['tool_choice', { tool_choice: 'required' }],
    ['tool_choice', { tool_choice: 'any', tools: [WEATHER] }],
    ['tool_choice.type', { tool_choice: { type: 'allowed_tools', mode: 'auto', tools: [] }, tools: [WEATHER] }],
    ['tool_choice.name', { tool_choice: { type: 'function', name: 'time' }, tools: [WEATHER] }],
    ['input', { input: undefined }],
    ['input', { input: [] }],
    ['input[0]', { input: ['hi'] }],
    ['input[0]', { input: [{ type: 'item_reference', id: 'msg_1' }] }],
    ['input[0].type', { input: [{ type: 'web_search_call', id: 'ws_1' }] }],
    ['input[0].role', { input: [{ role: 'tool', content: 'hi' }] }],
    ['input[0].content', user(7)],
    ['input[0].content[0].type', user([{ type: 'input_file', file_id: 'f' }])],
    ['input[0].content[0].text', user([{ type: 'input_text' }])],
    ['input[0].content[0].image_url', user([{ type: 'input_image', detail: 'auto', image_url: 'http://169.254.169.254/' }])],
    ['input[0].content[0].detail', user([{ type: 'input_image', detail: 'high', image_url: IMAGE }])],
    ['input[0].content[0]', { input: [{ role: 'system', content: [{ type: 'input_image', image_url: IMAGE }] }] }],
    ['input[0].arguments', { input: [{ type: 'function_call', call_id: 'a', name: 'weather', arguments: 7 }] }],
    ['input[0].call_id', { input: [{ type: 'function_call_output', call_id: 'a', output: 'rain' }] }],
    ['input[0]', { input: [called('a'), { role: 'user', content: 'well?' }] }],
    ['input[1]', { input: [called('a'), called('b'), result('a')] }],
    ['input[1].call_id', { input: [called('a'), result('b')] }],
    ['input[2].call_id', { input: [called('a'), result('a'), result('a')] }],
    ['input[0].call_id', { input: [result('a'), called('a'), result('a')] }],
    ['input[1].call_id', { input: [called('a'), called('a'), result('a')] }],
    ['input[0].content', { input: [{ type: 'reasoning', content: 'hm' }] }],
    ['input[0].content[0].type', { input: [{ type: 'reasoning', content: [{ type: 'output_text', text: 'hm' }] }, { role: 'assistant', content: 'so' }] }],
    ['input[0].content[0].text', { input: [{ type: 'reasoning', content: [{ type: 'reasoning_text' }] }, { role: 'assistant', content: 'so' }] }],
    ['input[0].encrypted_content', { input: [{ type: 'reasoning', encrypted_content: 'x' }, { role: 'assistant', content: 'so' }] }],
    ['input[0]', { input: [{ type: 'reasoning', content: [{ type: 'reasoning_text', text: 'hm' }] }, { role: 'user', content: 'so' }] }],
    ['input[1]', { input: [{ role: 'user', content: 'hi' }, { type: 'reasoning', content: [{ type: 'reasoning_text', text: 'hm' }] }] }],
    ['model', { model: 'gpt-5' }],
    ['model', { model: 7 }],
  ])('%s: %j', async (param, more) => {
    const error: any = await create(more).then(() => undefined, (e) => e);
    expect(error).toMatchObject({ param, type: 'invalid_request_error', status: param === 'model' && (more as any).model !== 7 ? 404 : 400 });
    expect(engine.requests).toHaveLength(0);
  });

  test('all at once, and by a model that reads no images', async () => {
    const blind = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }]);
    const error: any = await new OpenAI({ baseURL: `${blind.url}/v1`, apiKey: KEY }).responses
      .create({ model: MODEL, background: true, input: [{ role: 'user', content: [{ type: 'input_image', detail: 'auto', image_url: IMAGE }] }] })
      .then(() => undefined, (e) => e);
    await blind.drain();
    expect(error.message).toContain('background: expected false, got true; input[0].content[0]: the model reads no images');
  });
});

describe('a streamed response', () => {
  test('is told in the order of the API', async () => {
    engine.behaviour = streaming([
      ROLE, delta({ reasoning: 'h' }), delta({ reasoning: 'm' }), chunkOf('hel'), chunkOf('lo "\u{1F600}"\n'),
      call(0, '', { id: 'c1', name: 'weather' }), call(0, '{"city":'), call(0, '"Ulm"}'), delta({}, 'tool_calls'), { choices: [], usage: USAGE },
    ]);
    const { events } = await eventsOf({ tools: [WEATHER] });
    // how many deltas there are depends on what arrives together.
    const types = events.map(({ type }) => type).filter((type, i, all) => type !== all[i - 1]);
    expect(types).toEqual([
      'response.created', 'response.in_progress',
      'response.output_item.added', 'response.content_part.added', 'response.reasoning_text.delta', 'response.reasoning_text.done',
      'response.content_part.done', 'response.output_item.done',
      'response.output_item.added', 'response.content_part.added', 'response.output_text.delta', 'response.output_text.done',
      'response.content_part.done', 'response.output_item.done',
      'response.output_item.added', 'response.function_call_arguments.delta', 'response.function_call_arguments.done', 'response.output_item.done',
      'response.completed',
    ]);
    expect(events.map(({ sequence_number: number }) => number)).toEqual(events.map((_, i) => i));
    const of = (type: string) => events.filter((event) => event.type === type) as any[];
    expect(of('response.output_text.delta').map((event) => event.delta).join('')).toBe('hello "\u{1F600}"\n');
    expect(of('response.output_item.done').map(({ output_index: index, item }) => [index, item.type, item.status])).toEqual([
      [0, 'reasoning', 'completed'], [1, 'message', 'completed'], [2, 'function_call', 'completed'],
    ]);
    expect(of('response.created')[0].response).toMatchObject({ status: 'in_progress', output: [], usage: null });
    const { response } = of('response.completed')[0];
    expect(response).toMatchObject({ status: 'completed', usage: TOLD_USAGE, id: of('response.created')[0].response.id });
    expect(response.output).toEqual(of('response.output_item.done').map(({ item }) => item));
    expect(response.output[2]).toMatchObject({ call_id: 'c1', name: 'weather', arguments: '{"city":"Ulm"}' });
    expect(engine.requests[0].body).toMatchObject({ stream: true, stream_options: { include_usage: true } });
  });

  test('has an empty object for the arguments of a call that an engine gives none, as one that is not streamed has', async () => {
    engine.behaviour = streaming([ROLE, call(0, '', { id: 'c1', name: 'weather' }), delta({}, 'tool_calls'), { choices: [], usage: USAGE }]);
    const { events } = await eventsOf({ tools: [WEATHER] });
    expect(events.filter(({ type }) => type.startsWith('response.function_call_arguments'))).toEqual([
      expect.objectContaining({ type: 'response.function_call_arguments.delta', delta: '{}' }),
      expect.objectContaining({ type: 'response.function_call_arguments.done', arguments: '{}' }),
    ]);
    engine.behaviour = wholly(completion({ content: null, tool_calls: [{ id: 'c1', type: 'function', function: { name: 'weather', arguments: '' } }] }, 'tool_calls'));
    expect((await create({ tools: [WEATHER] })).output).toMatchObject([{ type: 'function_call', arguments: '{}' }]);
  });

  test('is put together by the SDK as the same answer is that is not streamed', async () => {
    engine.behaviour = streaming([
      ROLE, delta({ reasoning_content: 'hm' }), chunkOf('hel'), chunkOf('lo'), call(0, '{}', { id: 'c1', name: 'weather' }), delta({}, 'tool_calls'),
      { choices: [], usage: USAGE },
    ]);
    const deltas: string[] = [];
    const stream = openai.responses.stream({ model: MODEL, input: 'say hello', tools: [WEATHER] });
    stream.on('response.output_text.delta', ({ snapshot }) => deltas.push(snapshot));
    const streamed = await stream.finalResponse();
    engine.behaviour = wholly(completion({
      reasoning: 'hm', content: 'hello', tool_calls: [{ id: 'c1', type: 'function', function: { name: 'weather', arguments: '{}' } }],
    }, 'tool_calls'));
    const whole = await create({ tools: [WEATHER] });
    // ids and times differ, and the SDK parses what it streams.
    const comparable = (response: object) => JSON.parse(JSON.stringify(response, (name, value) =>
      (['id', 'created_at', 'completed_at', 'parsed', 'parsed_arguments', 'output_parsed'].includes(name) ? undefined : value)));
    expect(comparable(streamed)).toEqual(comparable(whole));
    expect(deltas.at(-1)).toBe('hello');
  });

  test('of a model that refuses tells so in events of its own', async () => {
    engine.behaviour = streaming([ROLE, chunkOf('hm'), delta({ refusal: 'not' }), delta({ refusal: ' that' }), delta({}, 'stop'), { choices: [], usage: USAGE }]);
    const { events } = await eventsOf();
    const types = events.map(({ type }) => type).filter((type, i, all) => type !== all[i - 1]);
    expect(types.slice(types.lastIndexOf('response.output_item.added'))).toEqual([
      'response.output_item.added', 'response.content_part.added', 'response.refusal.delta', 'response.refusal.done',
      'response.content_part.done', 'response.output_item.done', 'response.completed',
    ]);
    const id = expect.stringMatching(/^msg_/);
    const place = { item_id: id, output_index: 1, content_index: 0, sequence_number: expect.any(Number) };
    const part = { type: 'refusal', refusal: 'not that' };
    expect(events).toEqual(expect.arrayContaining([
      { type: 'response.content_part.added', ...place, part: { type: 'refusal', refusal: '' } },
      { type: 'response.refusal.done', ...place, refusal: 'not that' },
      { type: 'response.content_part.done', ...place, part },
    ]));
    const told = events.map((event) => (event.type === 'response.refusal.delta' ? event.delta : ''));
    expect(told.join('')).toBe('not that');
    expect(events.at(-1)).toMatchObject({
      response: {
        output: [
          { type: 'message', content: [{ type: 'output_text', text: 'hm' }] },
          { type: 'message', role: 'assistant', status: 'completed', content: [part] },
        ],
      },
    });
    const { output } = await openai.responses.stream({ model: MODEL, input: 'say hello' }).finalResponse();
    expect(output).toMatchObject([{ content: [{ text: 'hm' }] }, { content: [part] }]);
  });

  test('keeps calls apart whose arguments are mixed', async () => {
    engine.behaviour = streaming([
      call(0, '{"city":', { id: 'a', name: 'weather' }), call(1, '{"city"', { id: 'b', name: 'weather' }),
      call(0, '"Ulm"}'), call(1, ':"Bonn"}'), delta({}, 'tool_calls'),
    ]);
    const { output } = await openai.responses.stream({ model: MODEL, input: 'hi', tools: [WEATHER] }).finalResponse();
    expect(output).toMatchObject([{ call_id: 'a', arguments: '{"city":"Ulm"}' }, { call_id: 'b', arguments: '{"city":"Bonn"}' }]);
  });

  test('that is cut by its limit is incomplete', async () => {
    engine.behaviour = streaming([ROLE, chunkOf('hel'), delta({}, 'length'), { choices: [], usage: USAGE }]);
    const { events } = await eventsOf({ max_output_tokens: 1 });
    expect(events.at(-1)).toMatchObject({
      type: 'response.incomplete',
      response: { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' }, output: [{ status: 'incomplete' }], usage: TOLD_USAGE },
    });
  });

  test.each<[string, unknown[], string?]>([
    ['breaks off', [], ''],
    ['ends without a reason', []],
    ['tells of an error', [{ error: { message: 'at 10.0.0.9', code: 500 } }]],
    ['is aborted', [delta({}, 'abort')]],
    ['fails', [delta({}, 'error')]],
    ['sends something else', ['hm']],
  ])('of an engine that %s ends in response.failed and an error that the SDK throws', async (_, rest, end = sse('[DONE]')) => {
    let told = () => {};
    const heard = new Promise<void>((resolve) => (told = resolve));
    engine.behaviour = async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(ROLE) + sse(chunkOf('hel')));
      await heard;
      response.end(rest.map(sse).join('') + end);
    };
    const stream = openai.responses.stream({ model: MODEL, input: 'say hello' });
    const events: ResponseStreamEvent[] = [];
    stream.on('event', (event) => events.push(event));
    stream.on('response.output_text.delta', told);
    const error = await stream.finalResponse().then(() => undefined, (e) => e);
    expect(error).toBeInstanceOf(OpenAI.APIError);
    expect(error.message).toContain('the engine');
    expect(events.at(-1)).toMatchObject({
      type: 'response.failed',
      response: {
        status: 'failed',
        error: { code: 'server_error', message: expect.stringContaining('the engine') },
        output: [{ status: 'incomplete', content: [{ text: 'hel' }] }],
      },
    });
    expect(events.map(({ sequence_number: number }) => number)).toEqual(events.map((__, i) => i));
    expect(JSON.stringify(events)).not.toContain('10.0.0.9');
    await until(() => router.lines.some(({ code }) => code === 'stream_error'), 'it is logged');
  });

  test.each([
    ['breaks off', streaming([ROLE], '')],
    ['tells of an error', streaming([ROLE, { error: { message: 'no' } }])],
    ['says nothing', streaming([], sse('[DONE]'))],
  ])('of an engine that %s before it began is an HTTP error', async (_, behaviour) => {
    engine.behaviour = behaviour;
    const { events, error } = await eventsOf();
    expect(events).toEqual([]);
    expect(error).toMatchObject({ status: 502, type: 'server_error' });
  });
});

describe('through a prefill and a decode engine', () => {
  let pair: VllmPair;
  let pairRouter: TestRouter;
  let client: OpenAI;

  beforeEach(async () => {
    pair = await VllmPair.start();
    pairRouter = await routerFor([
      { name: 'prefill', role: 'prefill', protocol: 'openai', url: pair.prefill.url, kvConnector: 'NixlConnector' },
      { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector: 'NixlConnector', prefill: 'prefill' },
    ], { routing: { minPromptTokens: 0 } });
    client = new OpenAI({ baseURL: `${pairRouter.url}/v1`, apiKey: KEY, maxRetries: 0 });
  });

  afterEach(async () => {
    await pairRouter.drain();
    await pair.stop();
  });

  test.each([['whole', false], ['streamed', true]])('the KV cache is handed on for a %s response', async (_, stream) => {
    const asked = { model: MODEL, input: 'a long prompt' };
    const response = stream ? await client.responses.stream(asked).finalResponse() : await client.responses.create(asked);
    expect(response.output_text).toBe(pair.answerTo({ messages: [{ role: 'user', content: 'a long prompt' }] }));
    expect([pair.prefillTokens, pair.fetches, pair.localPrefills, pair.pinned]).toEqual([1, 1, 0, 0]);
  });

  test('a decode engine that cannot fetch it reads the prompt itself, and the stream begins once', async () => {
    pair.reachable = false;
    const events = [];
    for await (const event of await client.responses.create({ model: MODEL, input: 'a long prompt', stream: true })) {
      events.push(event);
    }
    expect(events.map(({ sequence_number: number }) => number)).toEqual(events.map((_, i) => i));
    const output = [{ content: [{ text: 'read a long prompt and more' }] }];
    expect(events.at(-1)).toMatchObject({ type: 'response.completed', response: { output } });
    expect(pair.localPrefills).toBe(1);
  });
});
