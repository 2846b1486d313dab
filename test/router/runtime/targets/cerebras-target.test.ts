import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand, CountTokensCommand } from '@aws-sdk/client-bedrock-runtime';
import Cerebras from '@cerebras/cerebras_cloud_sdk';
import { ChatCompletion } from '@cerebras/cerebras_cloud_sdk/resources/chat/completions';
import { ask, Behaviour, chat, KEY, MockEngine, MODEL, routerFor, sse, TestRouter, until, whole } from '../harness';

const CLOUD = 'gpt-oss-120b';
const USAGE: ChatCompletion.ChatCompletionResponse.Usage = {
  prompt_tokens: 40,
  completion_tokens: 9,
  total_tokens: 49,
  prompt_tokens_details: { cached_tokens: 30 },
  completion_tokens_details: { reasoning_tokens: 4, accepted_prediction_tokens: 0, rejected_prediction_tokens: 0 },
};
const ANSWER: ChatCompletion.ChatCompletionResponse = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: CLOUD,
  system_fingerprint: 'fp',
  choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hello', reasoning: 'a greeting' } }],
  usage: USAGE,
  time_info: { queue_time: 0.001, prompt_time: 0.002, completion_time: 0.003, total_time: 0.006, created: 1 },
};
const chunk = (
  delta: ChatCompletion.ChatChunkResponse.Choice.Delta, finish: 'stop' | null = null, more: Partial<ChatCompletion.ChatChunkResponse> = {},
): ChatCompletion.ChatChunkResponse => ({
  id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: CLOUD, system_fingerprint: 'fp', choices: [{ index: 0, delta, finish_reason: finish }], ...more,
});
const STREAM = [
  chunk({ role: 'assistant' }), chunk({ reasoning: 'a greeting' }), chunk({ content: 'hel' }), chunk({ content: 'lo' }),
  chunk({}, 'stop', { usage: USAGE, time_info: ANSWER.time_info }),
];
const error = (status: number, message: string): ChatCompletion.ErrorChunkResponse => (
  { status_code: status, error: { message, type: 'x_error', param: 'quota', code: 'x', id: '' } });

const answering = (body: unknown, status = 200, headers: { [name: string]: string } = {}): Behaviour => (response) => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
};
const streaming = (events: unknown[], end = 'data: [DONE]\n\n'): Behaviour => (response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  response.end(events.map(sse).join('') + end);
};

let cloud: MockEngine;
let router: TestRouter;
const clients: BedrockRuntimeClient[] = [];

/** The API has nothing at /health, and models only for whoever has a key that is good. */
const api = (chats: Behaviour): Behaviour => async (response, received) => {
  if (received.headers.authorization !== 'Bearer of-cerebras') {
    await answering({ message: 'Wrong API Key', type: 'invalid_request_error', param: 'api_key', code: 'wrong_api_key' }, 401)(response, received);
  } else if (received.path === '/v1/models') {
    await answering({ object: 'list', data: [] })(response, received);
  } else {
    await chats(response, received);
  }
};
const asked = () => cloud.requests.filter(({ path }) => path !== '/v1/models');
const behave = (chats: Behaviour) => (cloud.behaviour = api(chats));
// what a file ends with is no part of a key.
const start = async (key = 'of-cerebras\n', others: object[] = []) => {
  router = await routerFor([
    { name: 'cloud', role: 'aggregated', protocol: 'cerebras', url: cloud.url, apiKeyEnv: 'CEREBRAS', modelName: CLOUD }, ...others,
  ], {}, { CEREBRAS: key });
};
const sdk = () => new Cerebras({ baseURL: router.url, apiKey: KEY, maxRetries: 0 });
const aws = () => {
  const client = new BedrockRuntimeClient({
    endpoint: router.url, region: 'us-east-2', token: { token: KEY }, authSchemePreference: ['httpBearerAuth'], maxAttempts: 1,
  });
  clients.push(client);
  return client;
};
const MESSAGES = [{ role: 'user' as const, content: 'say hello' }];
const USER = [{ role: 'user' as const, content: [{ text: 'say hello' }] }];

async function all<T>(stream: AsyncIterable<T> | undefined): Promise<T[]> {
  const events: T[] = [];
  for await (const event of stream!) {
    events.push(event);
  }
  return events;
}

beforeEach(async () => {
  cloud = await MockEngine.start(api(answering(ANSWER)));
  cloud.healthStatus = 404;
});
afterEach(async () => {
  clients.splice(0).forEach((client) => client.destroy());
  await router.drain();
  await cloud.stop();
});

describe('Cerebras\' SDK', () => {
  test('gets an answer with what only Cerebras tells', async () => {
    await start();
    const answer = await sdk().chat.completions.create({ model: MODEL, messages: MESSAGES, max_completion_tokens: 50, reasoning_effort: 'low' });
    expect(answer).toEqual(ANSWER);
    expect(asked()[0].body).toEqual({ model: CLOUD, messages: MESSAGES, max_completion_tokens: 50, reasoning_effort: 'low' });
  });

  test('gives reasoning back by the one name that Cerebras knows, whatever it calls it', async () => {
    await start();
    const before = [...MESSAGES, { role: 'assistant' as const, content: 'hello', reasoning_content: 'a greeting' }, ...MESSAGES];
    await sdk().chat.completions.create({ model: MODEL, messages: before });
    const content = [{ reasoningContent: { reasoningText: { text: 'a greeting' } } }, { text: 'hello'.repeat(40_000) }];
    await aws().send(new ConverseCommand({ modelId: MODEL, messages: [...USER, { role: 'assistant', content }, ...USER] }));
    expect(asked().map(({ body: { messages } }) => messages[1])).toEqual([
      { role: 'assistant', content: 'hello', reasoning: 'a greeting' }, { role: 'assistant', content: 'hello'.repeat(40_000), reasoning: 'a greeting' },
    ]);
  });

  test('gets a stream', async () => {
    await start();
    behave(streaming(STREAM));
    expect(await all(await sdk().chat.completions.create({ model: MODEL, messages: MESSAGES, stream: true }))).toEqual(STREAM);
  });

  test('gets a completion', async () => {
    await start();
    const completion = { id: 'c', object: 'text_completion' as const, created: 1, model: CLOUD, system_fingerprint: 'fp', choices: [{ index: 0, text: 'hello', finish_reason: 'stop' as const }] };
    behave(answering(completion));
    expect(await sdk().completions.create({ model: MODEL, prompt: 'p' })).toEqual(completion);
  });

  test('is told of a refusal as Cerebras words it', async () => {
    await start();
    behave(answering({ message: 'property \'top_k\' is unsupported', type: 'invalid_request_error', param: 'validation_error', code: 'wrong_api_format' }, 400));
    await expect(sdk().chat.completions.create({ model: MODEL, messages: MESSAGES })).rejects.toMatchObject({ status: 400, message: expect.stringContaining('top_k') });
  });
});

describe('AWS\' SDK', () => {
  test('gets reasoning, and usage with cached tokens', async () => {
    await start();
    const { output, usage } = await aws().send(new ConverseCommand({ modelId: MODEL, messages: USER }));
    expect(output!.message!.content).toEqual([{ reasoningContent: { reasoningText: { text: 'a greeting' } } }, { text: 'hello' }]);
    expect(usage).toMatchObject({ inputTokens: 10, cacheReadInputTokens: 30, outputTokens: 9, totalTokens: 49 });
  });

  test('is told a refusal as Cerebras words it', async () => {
    await start();
    behave(answering({ message: 'property \'top_k\' is unsupported', type: 'invalid_request_error', param: 'validation_error', code: 'wrong_api_format' }, 400));
    await expect(aws().send(new ConverseCommand({ modelId: MODEL, messages: USER })))
      .rejects.toMatchObject({ name: 'ValidationException', message: 'property \'top_k\' is unsupported' });
  });

  test('cannot count tokens, which no engine here does', async () => {
    await start();
    await expect(aws().send(new CountTokensCommand({ modelId: MODEL, input: { converse: { messages: USER } } })))
      .rejects.toMatchObject({ name: 'ValidationException', message: 'The provided model doesn\'t support counting tokens.' });
    expect(asked()).toHaveLength(0);
  });
});

describe('a limit', () => {
  test.each([
    ['/v1/chat/completions', chat(), { max_completion_tokens: 8192 }],
    ['/v1/chat/completions', chat({ max_completion_tokens: null }), { max_completion_tokens: 8192 }],
    ['/v1/chat/completions', chat({ max_completion_tokens: 20_000 }), { max_completion_tokens: 20_000 }],
    ['/v1/chat/completions', chat({ max_tokens: 7 }), { max_tokens: 7 }],
    ['/v1/completions', { model: MODEL, prompt: 'p' }, { max_tokens: 8192 }],
  ])('is set for whoever sets none at %s: %j', async (path, body, expected) => {
    await start();
    await ask(router.url, body, {}, path);
    const { max_tokens, max_completion_tokens } = asked()[0].body;
    expect(JSON.parse(JSON.stringify({ max_tokens, max_completion_tokens }))).toEqual(expected);
  });
});

describe('a quota that is used up', () => {
  test.each([
    ['the minute\'s tokens', { 'x-ratelimit-remaining-tokens-minute': '12', 'x-ratelimit-reset-tokens-minute': '11.38' }, '12'],
    ['the day\'s requests, at most a minute', { 'x-ratelimit-remaining-requests-day': '0', 'x-ratelimit-reset-requests-day': '33011.3' }, '60'],
    ['not the day\'s requests', {
      'x-ratelimit-remaining-requests-day': '5', 'x-ratelimit-reset-requests-day': '33011.3', 'x-ratelimit-reset-tokens-minute': '2',
    }, '2'],
    ['one that nothing is told of', {}, '1'],
    ['one that Cerebras itself tells the end of', { 'retry-after': '5', 'x-ratelimit-reset-tokens-minute': '11.38' }, '5'],
  ])('tells when to come back: %s', async (_, headers, expected) => {
    await start();
    behave(answering({ message: 'Tokens per minute limit exceeded', type: 'too_many_tokens_error', param: 'quota', code: 'token_quota_exceeded' }, 429, headers));
    const response = await ask(router.url, chat());
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, expected]);
    expect(Object.keys(Object.fromEntries(response.headers)).filter((name) => name.startsWith('x-ratelimit'))).toEqual([]);
  });
});

describe('an error within a stream', () => {
  test.each([
    [429, 429, 'ThrottlingException'],
    [400, 400, 'ValidationException'],
    [401, 502, 'ModelErrorException'],
    [503, 503, 'ServiceUnavailableException'],
  ])('of status %d before the first token is an answer of status %d, %s', async (status, told, name) => {
    await start();
    behave(streaming([STREAM[0], error(status, 'so it is')], ''));
    expect((await ask(router.url, chat({ stream: true }))).status).toBe(told);
    await expect(aws().send(new ConverseStreamCommand({ modelId: MODEL, messages: USER }))).rejects.toMatchObject({ name });
  });

  test('after the first token ends the stream, told once, without [DONE] too', async () => {
    await start();
    const failure = error(503, 'queue is full');
    behave(streaming([...STREAM.slice(0, 3), failure], ''));
    const response = await ask(router.url, chat({ stream: true }));
    expect(await response.text()).toBe([...STREAM.slice(0, 3), failure].map(sse).join(''));
    await until(() => router.lines.some(({ code }) => code === 'stream_error'), 'it is counted as failed');
    const { stream } = await aws().send(new ConverseStreamCommand({ modelId: MODEL, messages: USER }));
    await expect(all(stream)).rejects.toMatchObject({ name: 'ModelStreamErrorException' });
  });
});

test('an API key that is not good takes the target out, so that another answers', async () => {
  const other = await MockEngine.start(whole);
  await start('wrong', [{ name: 'spare', role: 'aggregated', protocol: 'openai', url: other.url }]);
  expect((await ask(router.url, chat())).status).toBe(200);
  expect([asked().length, other.requests.length]).toEqual([0, 1]);
  await other.stop();
});
