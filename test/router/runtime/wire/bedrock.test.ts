import {
  ApplyGuardrailCommand, BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand, ConverseStreamOutput, CountTokensCommand,
  GetAsyncInvokeCommand, InvokeModelCommand, InvokeModelWithResponseStreamCommand, ListAsyncInvokesCommand,
} from '@aws-sdk/client-bedrock-runtime';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { chunkOf, COMPLETION, delta, KEY, MockEngine, MODEL, ROLE, routerFor, sleep, sse, streaming, TestRouter, until, wholly } from '../harness';

const USAGE = { prompt_tokens: 12, completion_tokens: 3, total_tokens: 15 };
const HELLO = {
  object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop', stop_reason: null }], usage: USAGE,
};
const USER = [{ role: 'user' as const, content: [{ text: 'say hello' }] }];
const TOOL = { toolSpec: { name: 'weather', description: 'the weather', inputSchema: { json: { type: 'object', properties: { city: { type: 'string' } } } } } };

const HELLO_STREAM = [ROLE, chunkOf('hel'), chunkOf('lo "\u{1F600}"\n'), delta({}, 'stop'), { choices: [], usage: USAGE }];

let engine: MockEngine;
let router: TestRouter;
const clients: BedrockRuntimeClient[] = [];

/** AWS' SDK, unchanged but for the endpoint: HTTP/2 unless told otherwise. */
function sdk(http1 = false, token = KEY): BedrockRuntimeClient {
  const client = new BedrockRuntimeClient({
    endpoint: router.url,
    region: 'us-east-2',
    token: { token },
    authSchemePreference: ['httpBearerAuth'],
    maxAttempts: 1,
    ...(http1 && { requestHandler: new NodeHttpHandler() }),
  });
  clients.push(client);
  return client;
}

async function eventsOf(stream: AsyncIterable<ConverseStreamOutput> | undefined): Promise<ConverseStreamOutput[]> {
  const events: ConverseStreamOutput[] = [];
  for await (const event of stream!) {
    events.push(event);
  }
  return events;
}

beforeAll(async () => {
  engine = await MockEngine.start(wholly(HELLO));
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], {
    model: { id: MODEL, servedNames: [MODEL, 'us.meta.llama3-3-70b-instruct-v1:0'] },
    priorityCallers: ['*'],
  });
});

beforeEach(() => {
  engine.behaviour = wholly(HELLO);
  engine.requests.length = 0;
});

afterAll(async () => {
  clients.forEach((client) => client.destroy());
  await router.drain();
  await engine.stop();
});

test('a service tier is told with the answer, where it is not the usual one', async () => {
  const asked = { modelId: MODEL, messages: USER };
  expect((await sdk().send(new ConverseCommand({ ...asked, serviceTier: { type: 'priority' } }))).serviceTier).toEqual({ type: 'priority' });
  expect((await sdk().send(new ConverseCommand({ ...asked, serviceTier: { type: 'default' } }))).serviceTier).toBeUndefined();
  engine.behaviour = streaming(HELLO_STREAM);
  const { stream } = await sdk().send(new ConverseStreamCommand({ ...asked, serviceTier: { type: 'flex' } }));
  expect((await eventsOf(stream)).at(-1)!.metadata!.serviceTier).toEqual({ type: 'flex' });
  expect(engine.requests.map(({ text }) => text).join()).not.toContain('tier');
});

test('a service tier of an InvokeModel is told with its answer', async () => {
  const asked = { modelId: MODEL, body: JSON.stringify({ messages: [{ role: 'user', content: 'hi' }] }) };
  expect((await sdk().send(new InvokeModelCommand({ ...asked, serviceTier: 'flex' }))).serviceTier).toBe('flex');
  expect((await sdk().send(new InvokeModelCommand({ ...asked, trace: 'ENABLED', performanceConfigLatency: 'standard' }))).serviceTier).toBeUndefined();
  engine.behaviour = streaming(HELLO_STREAM);
  const { body, serviceTier } = await sdk().send(new InvokeModelWithResponseStreamCommand({ ...asked, serviceTier: 'priority' }));
  expect(serviceTier).toBe('priority');
  for await (const { chunk } of body!) {
    expect(chunk).toBeDefined();
  }
});

describe.each([['HTTP/2, its default', false], ['HTTP/1.1', true]])('AWS\' SDK over %s', (_, http1) => {
  test('Converse', async () => {
    const answer = await sdk(http1).send(new ConverseCommand({
      modelId: 'us.meta.llama3-3-70b-instruct-v1:0',
      system: [{ text: 'be kind' }, { cachePoint: { type: 'default' } }],
      messages: USER,
      inferenceConfig: { maxTokens: 7, temperature: 0, topP: 0.5, stopSequences: ['END'] },
      additionalModelRequestFields: { top_k: 3 },
    }));
    expect(answer).toMatchObject({
      output: { message: { role: 'assistant', content: [{ text: 'hello' }] } },
      stopReason: 'end_turn',
      usage: { inputTokens: 12, outputTokens: 3, totalTokens: 15 },
      metrics: { latencyMs: expect.any(Number) },
    });
    expect(answer.$metadata.requestId).toMatch(/^[0-9a-f-]{36}$/);
    expect(engine.requests.map(({ path, body }) => [path, body])).toEqual([['/v1/chat/completions', {
      model: 'us.meta.llama3-3-70b-instruct-v1:0',
      messages: [{ role: 'system', content: 'be kind' }, { role: 'user', content: 'say hello' }],
      stream: false,
      max_tokens: 7,
      temperature: 0,
      top_p: 0.5,
      stop: ['END'],
      top_k: 3,
    }]]);
    expect(engine.requests[0].headers.authorization).toBeUndefined();
  });

  test('ConverseStream', async () => {
    engine.behaviour = streaming(HELLO_STREAM);
    const { stream } = await sdk(http1).send(new ConverseStreamCommand({ modelId: MODEL, messages: USER }));
    const events = await eventsOf(stream);
    expect(events[0]).toEqual({ messageStart: { role: 'assistant' } });
    expect(events.map((event) => event.contentBlockDelta?.delta?.text ?? '').join('')).toBe('hello "\u{1F600}"\n');
    expect(events.slice(-3)).toEqual([
      { contentBlockStop: { contentBlockIndex: 0 } },
      { messageStop: { stopReason: 'end_turn' } },
      { metadata: { usage: { inputTokens: 12, outputTokens: 3, totalTokens: 15 }, metrics: { latencyMs: expect.any(Number) } } },
    ]);
    expect(engine.requests[0].body).toMatchObject({ stream: true, stream_options: { include_usage: true } });
  });

  test('InvokeModel and its stream, in the forms of OpenAI\'s open models and of Llama', async () => {
    const invoke = async (body: object) => sdk(http1).send(new InvokeModelCommand({ modelId: MODEL, body: JSON.stringify(body) }));
    const chat = await invoke({ messages: [{ role: 'user', content: 'hi' }], max_completion_tokens: 5 });
    expect(JSON.parse(new TextDecoder().decode(chat.body))).toEqual(HELLO);
    expect(engine.requests[0].body).toEqual({ messages: [{ role: 'user', content: 'hi' }], max_completion_tokens: 5, model: MODEL, stream: false });

    engine.behaviour = wholly({ object: 'text_completion', choices: [{ index: 0, text: ' there', finish_reason: 'length' }], usage: USAGE });
    const llama = await invoke({ prompt: 'hello', max_gen_len: 3 });
    expect(JSON.parse(new TextDecoder().decode(llama.body)))
      .toEqual({ generation: ' there', prompt_token_count: 12, generation_token_count: 3, stop_reason: 'length' });
    expect([engine.requests[1].path, engine.requests[1].body])
      .toEqual(['/v1/completions', { model: MODEL, prompt: 'hello', stream: false, max_tokens: 3, temperature: 0.5, top_p: 0.9 }]);

    engine.behaviour = streaming(HELLO_STREAM);
    const { body } = await sdk(http1).send(new InvokeModelWithResponseStreamCommand({ modelId: MODEL, body: JSON.stringify({ messages: [{ role: 'user', content: 'hi' }] }) }));
    const chunks: any[] = [];
    for await (const { chunk } of body!) {
      chunks.push(JSON.parse(new TextDecoder().decode(chunk!.bytes)));
    }
    // the usage is told in the last chunk of the model, as it did not ask for one of its own.
    const metrics = { inputTokenCount: 12, outputTokenCount: 3, invocationLatency: expect.any(Number), firstByteLatency: expect.any(Number) };
    expect(chunks).toEqual([...HELLO_STREAM.slice(0, 3), { ...HELLO_STREAM[3], 'amazon-bedrock-invocationMetrics': metrics }]);
  });

  test('CountTokens', async () => {
    engine.behaviour = wholly({ count: 17, max_model_len: 100, tokens: [] });
    const { inputTokens } = await sdk(http1).send(new CountTokensCommand({ modelId: MODEL, input: { converse: { messages: USER } } }));
    expect(inputTokens).toBe(17);
    expect([engine.requests[0].path, engine.requests[0].body]).toEqual(['/tokenize', { model: MODEL, messages: [{ role: 'user', content: 'say hello' }] }]);
  });

  test('CountTokens of a prompt with what changes it', async () => {
    engine.behaviour = wholly({ count: 17 });
    const template = { chat_template_kwargs: { enable_thinking: false } };
    const converse = { messages: USER, additionalModelRequestFields: { ...template, temperature: 0.5 } };
    await sdk(http1).send(new CountTokensCommand({ modelId: MODEL, input: { converse } }));
    const chat = { messages: [{ role: 'user', content: 'hi' }], max_tokens: 5, ...template, add_generation_prompt: false, continue_final_message: true };
    await sdk(http1).send(new CountTokensCommand({ modelId: MODEL, input: { invokeModel: { body: Buffer.from(JSON.stringify(chat)) } } }));
    const { max_tokens: ignored, ...prompt } = chat;
    expect(engine.requests.map(({ body }) => body)).toEqual([
      { model: MODEL, messages: [{ role: 'user', content: 'say hello' }], ...template }, { model: MODEL, ...prompt },
    ]);
  });

  test('a stream that the engine cuts ends in an exception, wherever it is cut', async () => {
    for (const cut of [streaming(HELLO_STREAM.slice(0, 2), ''), streaming([...HELLO_STREAM.slice(0, 2), { error: { message: 'out of memory' } }]),
      streaming(HELLO_STREAM.slice(0, 3))]) {
      engine.behaviour = cut;
      const answer = sdk(http1).send(new ConverseStreamCommand({ modelId: MODEL, messages: USER })).then(async ({ stream }) => eventsOf(stream));
      // where nothing was sent yet, the whole answer is the exception.
      await expect(answer).rejects.toMatchObject({ name: expect.stringMatching(/^Model(Stream)?ErrorException$/) });
    }
  });

  test('a caller that goes takes its request from the engine', async () => {
    engine.behaviour = async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (let i = 0; i < 500 && !response.destroyed; i++) {
        response.write(sse(chunkOf('more ')));
        await sleep(5);
      }
    };
    const controller = new AbortController();
    const { stream } = await sdk(http1).send(new ConverseStreamCommand({ modelId: MODEL, messages: USER }), { abortSignal: controller.signal });
    const iterator = stream![Symbol.asyncIterator]();
    await iterator.next();
    controller.abort();
    await iterator.next().catch(() => undefined);
    clients.pop()!.destroy();
    await until(() => engine.requests[0].aborted, 'the engine\'s connection was closed');
    await until(() => router.lines.at(-1).code === '499', 'the exchange ended');
  });
});

test('tools are called, and their results are read', async () => {
  const message = { role: 'assistant', content: null, tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Ulm"}' } }] };
  engine.behaviour = wholly({ choices: [{ index: 0, message, finish_reason: 'tool_calls' }], usage: USAGE });
  const history = [
    ...USER,
    { role: 'assistant' as const, content: [{ text: 'let me see' }, { toolUse: { toolUseId: 'call_0', name: 'weather', input: { city: 'Bonn' } } }] },
    { role: 'user' as const, content: [{ toolResult: { toolUseId: 'call_0', content: [{ json: { sky: 'blue' } }, { text: 'warm' }] } }, { text: 'and in Ulm?' }] },
  ];
  const answer = await sdk().send(new ConverseCommand({ modelId: MODEL, messages: history, toolConfig: { tools: [TOOL], toolChoice: { any: {} } } }));
  expect(answer.output!.message!.content).toEqual([{ toolUse: { toolUseId: 'call_1', name: 'weather', input: { city: 'Ulm' } } }]);
  expect(answer.stopReason).toBe('tool_use');
  expect(engine.requests[0].body).toEqual({
    model: MODEL,
    stream: false,
    messages: [
      { role: 'user', content: 'say hello' },
      { role: 'assistant', content: 'let me see', tool_calls: [{ id: 'call_0', type: 'function', function: { name: 'weather', arguments: '{"city":"Bonn"}' } }] },
      { role: 'tool', tool_call_id: 'call_0', content: '{"sky":"blue"}\nwarm' },
      { role: 'user', content: 'and in Ulm?' },
    ],
    tools: [{ type: 'function', function: { name: 'weather', description: 'the weather', parameters: TOOL.toolSpec.inputSchema.json } }],
    tool_choice: 'required',
  });
});

test('a stream tells reasoning, text and calls of tools as blocks of their own', async () => {
  const call = (index: number, value: object) => delta({ tool_calls: [{ index, ...value }] });
  engine.behaviour = streaming([
    ROLE, delta({ reasoning: 'hm' }), chunkOf('let me see'),
    call(0, { id: 'a', function: { name: 'weather', arguments: '' } }), call(0, { function: { arguments: '{"city":' } }), call(0, { function: { arguments: '"Ulm"}' } }),
    call(1, { id: 'b', function: { name: 'weather', arguments: '{}' } }), delta({}, 'tool_calls'), { choices: [], usage: USAGE },
  ]);
  const { stream } = await sdk().send(new ConverseStreamCommand({ modelId: MODEL, messages: USER, toolConfig: { tools: [TOOL] } }));
  const events = await eventsOf(stream);
  expect(events.slice(0, -1)).toEqual([
    { messageStart: { role: 'assistant' } },
    { contentBlockDelta: { contentBlockIndex: 0, delta: { reasoningContent: { text: 'hm' } } } },
    { contentBlockStop: { contentBlockIndex: 0 } },
    { contentBlockDelta: { contentBlockIndex: 1, delta: { text: 'let me see' } } },
    { contentBlockStop: { contentBlockIndex: 1 } },
    { contentBlockStart: { contentBlockIndex: 2, start: { toolUse: { toolUseId: 'a', name: 'weather' } } } },
    { contentBlockDelta: { contentBlockIndex: 2, delta: { toolUse: { input: '{"city":' } } } },
    { contentBlockDelta: { contentBlockIndex: 2, delta: { toolUse: { input: '"Ulm"}' } } } },
    { contentBlockStop: { contentBlockIndex: 2 } },
    { contentBlockStart: { contentBlockIndex: 3, start: { toolUse: { toolUseId: 'b', name: 'weather' } } } },
    { contentBlockDelta: { contentBlockIndex: 3, delta: { toolUse: { input: '{}' } } } },
    { contentBlockStop: { contentBlockIndex: 3 } },
    { messageStop: { stopReason: 'tool_use' } },
  ]);
});

test('a call without an id has one, and one whose arguments were cut is malformed, streamed or not', async () => {
  const calls = [{ index: 0, function: { name: 'weather', arguments: '{"city":"Ulm"}' } }, { index: 1, id: 'b', function: { name: 'weather', arguments: '{"ci' } }];
  const asked = { modelId: MODEL, messages: USER, toolConfig: { tools: [TOOL] } };
  engine.behaviour = streaming([ROLE, ...calls.map((call) => delta({ tool_calls: [call] })), delta({}, 'tool_calls')]);
  const events = await eventsOf((await sdk().send(new ConverseStreamCommand(asked))).stream);
  const ids = events.flatMap(({ contentBlockStart }) => contentBlockStart?.start?.toolUse?.toolUseId ?? []);
  expect(ids).toEqual([expect.stringMatching(/^tooluse_/), 'b']);
  expect(events.find(({ messageStop }) => messageStop !== undefined)).toEqual({ messageStop: { stopReason: 'malformed_tool_use' } });
  engine.behaviour = wholly({ choices: [{ index: 0, message: { role: 'assistant', content: null, tool_calls: calls }, finish_reason: 'tool_calls' }], usage: USAGE });
  const { output, stopReason } = await sdk().send(new ConverseCommand(asked));
  expect(output!.message!.content).toEqual([{ toolUse: { toolUseId: expect.stringMatching(/^tooluse_/), name: 'weather', input: { city: 'Ulm' } } }]);
  expect(stopReason).toBe('malformed_tool_use');
});

/** The chunks of a streamed InvokeModel. */
async function invoked(body: object): Promise<any[]> {
  const told: any[] = [];
  const { body: stream } = await sdk().send(new InvokeModelWithResponseStreamCommand({ modelId: MODEL, body: JSON.stringify(body) }));
  for await (const { chunk } of stream!) {
    told.push(JSON.parse(new TextDecoder().decode(chunk!.bytes)));
  }
  return told;
}

describe('the last chunk of an InvokeModel', () => {
  const cached = { ...USAGE, prompt_tokens_details: { cached_tokens: 8 } };
  const metrics = { inputTokenCount: 4, cacheReadInputTokenCount: 8, outputTokenCount: 3 };

  test('is the usage, where that is asked for', async () => {
    engine.behaviour = streaming([...HELLO_STREAM.slice(0, 4), { choices: [], usage: cached }]);
    const chunks = await invoked({ messages: [{ role: 'user', content: 'hi' }], stream_options: { include_usage: true } });
    expect(chunks.slice(0, -1)).toEqual(HELLO_STREAM.slice(0, 4));
    expect(chunks.at(-1)).toMatchObject({ 'choices': [], 'usage': cached, 'amazon-bedrock-invocationMetrics': metrics });
  });

  test.each(['stop', 'length'])('in Llama\'s form has the reason %s, what was counted and the metrics', async (reason) => {
    const text = (value: string, finish: string | null = null) => ({ object: 'text_completion', choices: [{ index: 0, text: value, finish_reason: finish }] });
    engine.behaviour = streaming([text('two tokens'), text('', reason), { choices: [], usage: cached }]);
    const told = { prompt_token_count: null, stop_reason: null };
    expect(await invoked({ prompt: '<|begin_of_text|>hi' })).toEqual([
      { ...told, generation: 'two tokens', generation_token_count: 1 },
      {
        'generation': '', 'prompt_token_count': 12, 'generation_token_count': 3, 'stop_reason': reason, 'amazon-bedrock-invocationMetrics': expect.objectContaining(metrics),
      },
    ]);
    // engines put the token that begins a prompt before it.
    expect(engine.requests[0].body.prompt).toBe('hi');
  });

  test('that is not streamed has tokens of a cache in a header of their own', async () => {
    engine.behaviour = wholly({ ...HELLO, usage: cached });
    const response = await fetch(`${router.url}/model/${MODEL}/invoke`, {
      method: 'POST', headers: { authorization: `Bearer ${KEY}` }, body: JSON.stringify({ messages: [{ role: 'user', content: 'hi' }] }),
    });
    expect(['input', 'cache-read-input', 'output'].map((kind) => response.headers.get(`x-amzn-bedrock-${kind}-token-count`))).toEqual(['4', '8', '3']);
  });
});

describe('calls of tools whose arguments an engine mixes', () => {
  const call = (index: number, value: object) => delta({ tool_calls: [{ index, ...value }] });
  const begun = [
    ROLE, call(0, { id: 'a', function: { name: 'weather', arguments: '{"city":' } }), call(1, { id: 'b', function: { name: 'weather', arguments: '{"ci' } }),
    call(0, { function: { arguments: '"Ulm"}' } }), call(1, { function: { arguments: 'ty":"Bonn"}' } }),
  ];
  const ask = async () => (await sdk().send(new ConverseStreamCommand({ modelId: MODEL, messages: USER, toolConfig: { tools: [TOOL] } }))).stream;

  test('are told one after the other', async () => {
    engine.behaviour = streaming([...begun, delta({}, 'tool_calls'), { choices: [], usage: USAGE }]);
    const events = await eventsOf(await ask());
    expect(events.slice(1, -1)).toEqual([
      { contentBlockStart: { contentBlockIndex: 0, start: { toolUse: { toolUseId: 'a', name: 'weather' } } } },
      { contentBlockDelta: { contentBlockIndex: 0, delta: { toolUse: { input: '{"city":' } } } },
      { contentBlockDelta: { contentBlockIndex: 0, delta: { toolUse: { input: '"Ulm"}' } } } },
      { contentBlockStop: { contentBlockIndex: 0 } },
      { contentBlockStart: { contentBlockIndex: 1, start: { toolUse: { toolUseId: 'b', name: 'weather' } } } },
      { contentBlockDelta: { contentBlockIndex: 1, delta: { toolUse: { input: '{"city":"Bonn"}' } } } },
      { contentBlockStop: { contentBlockIndex: 1 } },
      { messageStop: { stopReason: 'tool_use' } },
    ]);
  });

  test('after other content are no answer', async () => {
    engine.behaviour = streaming([...begun, chunkOf('so'), call(1, { function: { arguments: '}' } }), delta({}, 'tool_calls')]);
    await expect(ask().then(eventsOf)).rejects.toThrow('the engine goes on with a call of a tool that had ended');
  });
});

test('a stream that begins with a byte order mark is told whole', async () => {
  engine.behaviour = (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('\uFEFF');
    response.end([chunkOf('hel'), chunkOf('lo'), delta({}, 'stop')].map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join('') + 'data: [DONE]\n\n');
  };
  const events = await eventsOf((await sdk().send(new ConverseStreamCommand({ modelId: MODEL, messages: USER }))).stream);
  expect(events.map(({ contentBlockDelta: told }: any) => told?.delta.text ?? '').join('')).toBe('hello');
});

test.each([
  ['a stop sequence', { finish_reason: 'stop', stop_reason: 'END' }, 'stop_sequence'],
  ['a stop sequence of SGLang\'s', { finish_reason: 'stop', matched_stop: 'END' }, 'stop_sequence'],
  ['a token', { finish_reason: 'stop', matched_stop: 128_009 }, 'end_turn'],
  ['the limit', { finish_reason: 'length' }, 'max_tokens'],
  ['a filter', { finish_reason: 'content_filter' }, 'content_filtered'],
  ['going round in circles, of vLLM\'s', { finish_reason: 'repetition' }, 'malformed_model_output'],
  ['what nobody knows', { finish_reason: 'weird', stop_reason: 'END' }, 'malformed_model_output'],
  ['a call of the tool that was named', { finish_reason: 'stop', message: { content: '', tool_calls: [{ id: 'a', function: { name: 'weather', arguments: '' } }] } }, 'tool_use'],
  ['a call that is not JSON', { finish_reason: 'tool_calls', message: { content: '', tool_calls: [{ id: 'a', function: { name: 'weather', arguments: '{"ci' } }] } },
    'malformed_tool_use'],
  ['the limit within a call', { finish_reason: 'length', message: { content: '', tool_calls: [{ id: 'a', function: { name: 'weather', arguments: '{"ci' } }] } }, 'max_tokens'],
])('the end by %s is told', async (_, choice, stopReason) => {
  const { message = { content: 'x' }, ...end } = choice as { message?: object };
  engine.behaviour = streaming([ROLE, delta(message), delta({}, null, end)]);
  const events = await eventsOf((await sdk().send(new ConverseStreamCommand({ modelId: MODEL, messages: USER }))).stream);
  expect(events.find(({ messageStop }) => messageStop !== undefined)).toEqual({ messageStop: { stopReason } });
  engine.behaviour = wholly({ choices: [{ index: 0, message, ...end }], usage: { ...USAGE, prompt_tokens_details: { cached_tokens: 8 } } });
  const answer = await sdk().send(new ConverseCommand({ modelId: MODEL, messages: USER }));
  expect([answer.stopReason, answer.usage]).toEqual([stopReason, { inputTokens: 4, outputTokens: 3, totalTokens: 15, cacheReadInputTokens: 8 }]);
});

describe('exceptions', () => {
  const converse = async (overrides: object = {}, token = KEY) => (
    sdk(false, token).send(new ConverseCommand({ modelId: MODEL, messages: USER, ...overrides })));

  test.each<[string, object, string, string]>([
    ['another model', { modelId: 'arn:aws:bedrock:us-east-2:1:inference-profile/x' }, 'ValidationException',
      'the model "arn:aws:bedrock:us-east-2:1:inference-profile/x" is not served here; this router serves "llama-3.3-70b", "us.meta.llama3-3-70b-instruct-v1:0"'],
    ['no message', { messages: [] }, 'ValidationException', 'messages: expected at least 1, got none'],
    ['bounds', { inferenceConfig: { maxTokens: 0, temperature: 2, topP: -1 } }, 'ValidationException',
      'inferenceConfig.maxTokens: expected a whole number from 1 to 2147483647, got 0; '
      + 'inferenceConfig.temperature: expected a number from 0 to 1, got 2; inferenceConfig.topP: expected a number from 0 to 1, got -1'],
    ['an image for a model that reads none', { messages: [{ role: 'user', content: [{ image: { format: 'png', source: { bytes: new Uint8Array(3) } } }] }] },
      'ValidationException', 'messages[0].content[0].image: the model reads no images'],
    ['a document', { messages: [{ role: 'user', content: [{ document: { format: 'pdf', name: 'x', source: { bytes: new Uint8Array(3) } } }] }] },
      'ValidationException', 'messages[0].content[0].document: this kind of content is not supported here'],
    ['a guardrail', { guardrailConfig: { guardrailIdentifier: 'g', guardrailVersion: '1' } }, 'ValidationException', 'guardrailConfig: this is not supported here'],
    ['a tool that is not there', { toolConfig: { tools: [TOOL], toolChoice: { tool: { name: 'news' } } } }, 'ValidationException',
      'toolConfig.toolChoice.tool.name: expected the name of one of the tools, got "news"'],
    ['a KV cache of somebody else', { additionalModelRequestFields: { kv_transfer_params: { remote_host: '10.0.0.1' } } }, 'ValidationException',
      'additionalModelRequestFields.kv_transfer_params: this is not for callers to give here'],
    ['settings that need others', { additionalModelRequestFields: { logprobs: true, continue_final_message: true, add_generation_prompt: true } }, 'ValidationException',
      'additionalModelRequestFields.continue_final_message: expected false where add_generation_prompt is true, got true; '
        + 'additionalModelRequestFields.logprobs: what this asks for is not told here'],
    ['a call of a tool without its result', { messages: [...USER, { role: 'assistant', content: [{ toolUse: { toolUseId: 'a', name: 'a b', input: [1] } }] }, ...USER] },
      'ValidationException', 'messages[1].content[0].toolUse.name: expected 1 to 64 letters, digits, _ or -, got "a b"; '
        + 'messages[1].content[0].toolUse.input: expected an object, got [1]; messages[1].content[0].toolUse: expected a toolResult of its id in the message after it'],
    ['a conversation that the model begins', { messages: [{ role: 'assistant', content: [{ text: 'hi' }] }, ...USER] },
      'ValidationException', 'messages[0].role: a conversation starts with a message of the user'],
    ['nothing but a cache point', { messages: [{ role: 'user', content: [{ cachePoint: { type: 'default' } }] }] },
      'ValidationException', 'messages[0].content: expected something besides cachePoint'],
    ['another tier', { serviceTier: { type: 'reserved' } }, 'ValidationException',
      'serviceTier.type: expected "priority" or "default" or "flex", got "reserved"'],
  ])('%s is refused before an engine is asked', async (_, overrides, name, message) => {
    await expect(converse(overrides)).rejects.toMatchObject({ name, message, $metadata: { httpStatusCode: 400 } });
    expect(engine.requests).toEqual([]);
  });

  test('an InvokeModel with an image for a model that reads none', async () => {
    const content = [{ type: 'text', text: 'what is this?' }, { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }];
    const body = JSON.stringify({ messages: [{ role: 'user', content }] });
    await expect(sdk().send(new InvokeModelCommand({ modelId: MODEL, body })))
      .rejects.toMatchObject({ name: 'ValidationException', message: 'messages[0].content[1]: the model reads no images' });
    expect(engine.requests).toEqual([]);
  });

  test('an InvokeModel at a latency that there is none of here', async () => {
    const body = JSON.stringify({ messages: [{ role: 'user', content: 'hi' }] });
    await expect(sdk().send(new InvokeModelCommand({ modelId: MODEL, body, performanceConfigLatency: 'optimized' })))
      .rejects.toMatchObject({ name: 'ValidationException', message: 'x-amzn-bedrock-performanceconfig-latency: expected "standard", got "optimized"' });
    expect(engine.requests).toEqual([]);
  });

  test('a wrong key', async () => {
    await expect(converse({}, 'wrong')).rejects.toMatchObject({ name: 'AccessDeniedException', $metadata: { httpStatusCode: 403 } });
    expect(engine.requests).toEqual([]);
  });

  test.each([
    [400, { error: { message: 'too long' } }, 'ValidationException', 'too long', 400],
    [400, { object: 'error', message: 'too long' }, 'ValidationException', 'too long', 400],
    // by these words clients know that a conversation is to be made shorter.
    ...['This model\'s maximum context length is 8192 tokens. However, your request has 9000 input tokens.',
      'The input (9000 tokens) is longer than the model\'s context length (8192 tokens).',
      'The decoder prompt (length 9000) is longer than the maximum model length of 8192.'].map((message): [number, object, string, string, number] => (
      [400, { error: { message, code: 400 } }, 'ValidationException', `Input is too long for requested model. ${message}`, 400])),
    [400, { error: { message: 'max_tokens is too large: 9000. This model\'s maximum context length is 8192 tokens' } }, 'ValidationException',
      'max_tokens is too large: 9000. This model\'s maximum context length is 8192 tokens', 400],
    [408, {}, 'ModelTimeoutException', 'the engine refused the request', 408],
    [422, { detail: [{ loc: ['body', 'top_k'], msg: 'Field required' }] }, 'ValidationException', 'top_k: Field required', 400],
    [424, { error: { message: 'no KV cache' } }, 'ModelErrorException', 'no KV cache', 424],
    [429, {}, 'ThrottlingException', 'the engine refused the request', 429],
    [500, { error: { message: 'out of memory' } }, 'ModelErrorException', 'out of memory', 424],
    [503, {}, 'ServiceUnavailableException', 'the engine failed with status 503', 503],
    [401, {}, 'ModelErrorException', 'the engine refuses the router with status 401', 424],
  ])('an engine\'s %i is told as Bedrock tells it', async (status, body, name, message, httpStatusCode) => {
    engine.behaviour = wholly(body, status);
    const before = router.lines.length;
    await expect(converse()).rejects.toMatchObject({ name, message, $metadata: { httpStatusCode } });
    // log and metrics say what the caller got.
    await until(() => router.lines.length > before, 'the request is logged');
    expect(router.lines.at(-1)).toMatchObject({ msg: 'request', code: String(httpStatusCode) });
    expect(await router.metrics.registry.getSingleMetricAsString('router_requests_total')).toContain(`code="${httpStatusCode}"`);
  });

  test('an answer that the engine gave up is the model\'s failure', async () => {
    engine.behaviour = wholly({ ...COMPLETION, choices: [{ ...COMPLETION.choices[0], finish_reason: 'abort' }] });
    const body = JSON.stringify({ messages: [{ role: 'user', content: 'hi' }] });
    await expect(sdk().send(new InvokeModelCommand({ modelId: MODEL, body }))).rejects.toMatchObject({ name: 'ModelErrorException' });
  });

  test('an answer that is no completion is the model\'s failure', async () => {
    for (const answer of [{}, { choices: [] }, { choices: [{ message: { content: 'half' }, finish_reason: null }] }]) {
      engine.behaviour = wholly(answer);
      await expect(converse()).rejects.toMatchObject({ name: 'ModelErrorException' });
    }
  });

  test('an operation that is not here', async () => {
    const response = await fetch(`${router.url}/model/${MODEL}/apply`, { method: 'POST', headers: { authorization: `Bearer ${KEY}` } });
    expect([response.status, response.headers.get('x-amzn-errortype')]).toEqual([404, 'UnknownOperationException']);
  });

  test.each<[string, (client: BedrockRuntimeClient) => Promise<unknown>]>([
    ['ApplyGuardrail', async (client) => client.send(new ApplyGuardrailCommand({ guardrailIdentifier: 'g', guardrailVersion: '1', source: 'INPUT', content: [] }))],
    ['GetAsyncInvoke', async (client) => client.send(new GetAsyncInvokeCommand({ invocationArn: 'arn:aws:bedrock:us-east-2:123456789012:async-invoke/abcdefghijkl' }))],
    ['ListAsyncInvokes', async (client) => client.send(new ListAsyncInvokesCommand({}))],
  ])('%s, which there is none of here', async (_, call) => {
    await expect(call(sdk())).rejects.toMatchObject({ name: 'UnknownOperationException', $metadata: { httpStatusCode: 404 } });
  });

  test.each<[string, string]>([
    ['nope', 'input.invokeModel.body: the body is not JSON: line 1, column 1: expected a value, got a letter or digit'],
    ['{"prompt":5}', 'input.invokeModel.body: prompt: expected a string, got 5'],
    ['{"messages":[{"role":"user","content":5}]}', 'input.invokeModel.body: messages[0].content: expected a string or a list of parts, got 5'],
    ['{}', 'input.invokeModel.body: the body is neither a chat completion with messages nor a Llama request with prompt'],
  ])('CountTokens of an InvokeModel of %s', async (body, message) => {
    await expect(sdk().send(new CountTokensCommand({ modelId: MODEL, input: { invokeModel: { body: Buffer.from(body) } } })))
      .rejects.toMatchObject({ name: 'ValidationException', message });
    expect(engine.requests).toEqual([]);
  });
});

test('a model whose name needs more than one segment is one segment of the path', async () => {
  const arn = 'arn:aws:bedrock:us-east-2:123456789012:inference-profile/us.meta.llama3-3-70b-instruct-v1:0';
  const other = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url, modelName: 'served' }],
    { model: { id: MODEL, servedNames: [arn] } });
  const client = new BedrockRuntimeClient({ endpoint: other.url, region: 'us-east-2', token: { token: KEY }, authSchemePreference: ['httpBearerAuth'] });
  await client.send(new ConverseCommand({ modelId: arn, messages: USER }));
  expect(engine.requests[0].body.model).toBe('served');
  client.destroy();
  await other.drain();
});

test('an iterator over HTTP/2 that is left does not hold its engine for ever', async () => {
  const other = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { limits: { writeStallSeconds: 0.3 } });
  engine.behaviour = async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    while (!response.destroyed) {
      response.write(sse(chunkOf('x'.repeat(100_000))));
      await sleep(5);
    }
  };
  const client = new BedrockRuntimeClient({ endpoint: other.url, region: 'us-east-2', token: { token: KEY }, authSchemePreference: ['httpBearerAuth'] });
  const { stream } = await client.send(new ConverseStreamCommand({ modelId: MODEL, messages: USER }));
  await stream![Symbol.asyncIterator]().next();
  await until(() => engine.requests[0].aborted, 'the engine was let go');
  await until(() => other.lines.at(-1).code === '499', 'the exchange ended');
  client.destroy();
  await other.drain();
});
