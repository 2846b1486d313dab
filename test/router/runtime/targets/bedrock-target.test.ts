import {
  BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand, CountTokensCommand, InvokeModelCommand, InvokeModelWithResponseStreamCommand,
} from '@aws-sdk/client-bedrock-runtime';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import OpenAI from 'openai';
import { answering, FakeBedrock, frame, streaming } from './fake-bedrock';
import { ProblemsError } from '../../../../src/problems';
import { parseRouterConfig } from '../../../../src/router/runtime';
import {
  ask, chat, chunkOf, configOf, DONE, drained, KEY, lastLineOf, MockEngine, MODEL, routerFor, sse, streamOf, TestRouter, until, whole,
} from '../harness';

const PROFILE = 'us.meta.llama3-3-70b-instruct-v1:0';
const ARN = 'arn:aws:bedrock:us-east-2:111122223333:application-inference-profile/abc';
const USER = [{ role: 'user' as const, content: [{ text: 'say hello' }] }];
const ANSWER = {
  output: { message: { role: 'assistant', content: [{ text: 'hello' }] } },
  stopReason: 'end_turn',
  usage: { inputTokens: 12, outputTokens: 3, totalTokens: 15 },
  metrics: { latencyMs: 100 },
};
const text = (value: string) => frame('contentBlockDelta', { contentBlockIndex: 0, delta: { text: value } });
const BEGUN = [frame('messageStart', { role: 'assistant' }), text('hel'), text('lo \u{1F600}')];
const STREAM = [
  ...BEGUN,
  frame('contentBlockStop', { contentBlockIndex: 0 }),
  frame('messageStop', { stopReason: 'end_turn' }),
  frame('metadata', { usage: ANSWER.usage, metrics: ANSWER.metrics, p: 'padding' }),
];
const chunkFrame = (value: object) => frame('chunk', { bytes: Buffer.from(JSON.stringify(value)).toString('base64') });
const METRICS = { 'amazon-bedrock-invocationMetrics': { inputTokenCount: 12, outputTokenCount: 3, invocationLatency: 9, firstByteLatency: 4 } };

let bedrock: FakeBedrock;
let router: TestRouter;
const variables = process.env;
const engines: MockEngine[] = [];
const clients: BedrockRuntimeClient[] = [];

const target = (more: object = {}) => (
  { name: 'bedrock', role: 'aggregated', protocol: 'bedrock', region: 'us-east-2', modelName: PROFILE, url: bedrock.url, ...more });
const start = async (targets: object[] = [target()], more: object = {}) => {
  router = await routerFor(targets, more);
};
const engineWith = async (behaviour = whole) => {
  const engine = await MockEngine.start(behaviour);
  engines.push(engine);
  return engine;
};

function sdk(http1 = false): BedrockRuntimeClient {
  const client = new BedrockRuntimeClient({
    endpoint: router.url,
    region: 'us-east-2',
    token: { token: KEY },
    authSchemePreference: ['httpBearerAuth'],
    maxAttempts: 1,
    ...(http1 && { requestHandler: new NodeHttpHandler() }),
  });
  clients.push(client);
  return client;
}

async function all<T>(stream: AsyncIterable<T> | undefined): Promise<T[]> {
  const events: T[] = [];
  for await (const event of stream!) {
    events.push(event);
  }
  return events;
}

beforeEach(async () => {
  bedrock = await FakeBedrock.start();
  // nothing of this machine, and the credentials of a task's role.
  const { AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, ...others } = variables;
  process.env = {
    ...others,
    AWS_CONTAINER_CREDENTIALS_FULL_URI: bedrock.credentialsUrl,
    AWS_CONFIG_FILE: '/nowhere',
    AWS_SHARED_CREDENTIALS_FILE: '/nowhere',
    AWS_EC2_METADATA_DISABLED: 'true',
  };
});
afterEach(async () => {
  process.env = variables;
  clients.splice(0).forEach((client) => client.destroy());
  await router.drain();
  await Promise.all([bedrock, ...engines.splice(0)].map(async (server) => server.stop()));
});

describe.each([['HTTP/2', false], ['HTTP/1.1', true]])('a caller of Bedrock\'s API over %s', (_, http1) => {
  test('Converse', async () => {
    await start();
    bedrock.behaviour = answering(200, ANSWER);
    const answer = await sdk(http1).send(new ConverseCommand({ modelId: MODEL, messages: USER, inferenceConfig: { maxTokens: 5 } }));
    expect(answer).toMatchObject(ANSWER);
    expect(bedrock.requests.map(({ path, body }) => [path, body])).toEqual([
      ['/model/us.meta.llama3-3-70b-instruct-v1%3A0/converse', { messages: USER, inferenceConfig: { maxTokens: 5 } }],
    ]);
    expect(await lastLineOf(router)).toMatchObject({ target: 'bedrock', endpoint: bedrock.url, code: '200' });
  });

  test('ConverseStream', async () => {
    await start();
    bedrock.behaviour = streaming(STREAM);
    const { stream } = await sdk(http1).send(new ConverseStreamCommand({ modelId: MODEL, messages: USER }));
    const events = await all(stream);
    expect(events.map((event) => event.contentBlockDelta?.delta?.text ?? '').join('')).toBe('hello \u{1F600}');
    expect(events.at(-1)).toMatchObject({ metadata: { usage: ANSWER.usage } });
    expect(bedrock.requests[0].path).toMatch(/\/converse-stream$/);
    const { ttftSeconds, tpotSeconds, promptTokens, completionTokens } = await lastLineOf(router);
    expect([ttftSeconds, tpotSeconds].every((seconds) => seconds >= 0)).toBe(true);
    const { inputTokens, outputTokens } = ANSWER.usage;
    expect([promptTokens, completionTokens]).toEqual([inputTokens, outputTokens]);
  });

  test('InvokeModel, whose headers are part of what is asked', async () => {
    await start([target({ modelName: ARN })]);
    bedrock.behaviour = answering(200, { choices: [] }, { 'x-amzn-bedrock-input-token-count': '7', 'server': 'internal' });
    const body = chat({ max_tokens: 3 });
    const answer = await sdk(http1).send(new InvokeModelCommand({
      modelId: MODEL, body: JSON.stringify(body), contentType: 'application/json', accept: 'application/json', trace: 'ENABLED',
    }));
    expect(JSON.parse(Buffer.from(answer.body).toString())).toEqual({ choices: [] });
    const [{ path, headers, body: sent }] = bedrock.requests;
    expect([path, sent]).toEqual([`/model/${encodeURIComponent(ARN)}/invoke`, body]);
    expect(headers).toMatchObject({ 'accept': 'application/json', 'content-type': 'application/json', 'x-amzn-bedrock-trace': 'ENABLED' });
    expect(JSON.stringify(headers)).not.toContain(KEY);
  });

  test('InvokeModel with a guardrail, which is refused before anybody is asked', async () => {
    await start();
    const asked = new InvokeModelCommand({ modelId: MODEL, body: JSON.stringify(chat()), guardrailIdentifier: 'gr-1', guardrailVersion: '1' });
    await expect(sdk(http1).send(asked)).rejects.toMatchObject({
      name: 'ValidationException', message: expect.stringMatching(/x-amzn-bedrock-guardrailidentifier.*x-amzn-bedrock-guardrailversion/s),
    });
    expect(bedrock.requests).toEqual([]);
  });

  test('InvokeModelWithResponseStream', async () => {
    await start();
    bedrock.behaviour = streaming([chunkFrame({ generation: 'hello', stop_reason: null }), chunkFrame({ generation: '', stop_reason: 'stop', ...METRICS })]);
    const { body } = await sdk(http1).send(new InvokeModelWithResponseStreamCommand({ modelId: MODEL, body: JSON.stringify({ prompt: 'p' }) }));
    expect((await all(body)).map(({ chunk }) => JSON.parse(Buffer.from(chunk!.bytes!).toString()).generation)).toEqual(['hello', '']);
    expect(bedrock.requests[0].body).toEqual({ prompt: 'p' });
    expect(await lastLineOf(router)).toMatchObject({ code: '200' });
  });

  test('CountTokens', async () => {
    await start();
    bedrock.behaviour = answering(200, { inputTokens: 41 });
    const { inputTokens } = await sdk(http1).send(new CountTokensCommand({ modelId: MODEL, input: { converse: { messages: USER } } }));
    expect([inputTokens, bedrock.requests[0].path]).toEqual([41, expect.stringMatching(/\/count-tokens$/)]);
  });

  test.each([
    ['that ends between two events', (response: any) => response.end(), BEGUN],
    ['that ends within an event', (response: any) => response.end(text('more').subarray(0, 40)), BEGUN],
    ['whose connection breaks', (response: any) => response.destroy(), BEGUN],
    ['that ends without its usage', (response: any) => response.end(), STREAM.slice(0, -1)],
    ['whose connection breaks before its usage', (response: any) => response.destroy(), STREAM.slice(0, -1)],
    ['whose event is damaged', (response: any) => response.end(Buffer.from(text('more').fill(7, 60, 62))), BEGUN],
  ])('sees the failure of a stream %s', async (__, end, frames) => {
    await start();
    bedrock.behaviour = streaming(frames, end);
    const { stream } = await sdk(http1).send(new ConverseStreamCommand({ modelId: MODEL, messages: USER }));
    const seen: unknown[] = [];
    await expect((async () => {
      for await (const event of stream!) {
        seen.push(event);
      }
    })()).rejects.toMatchObject({ name: 'ModelStreamErrorException' });
    expect(seen).toHaveLength(frames.length);
    expect(await lastLineOf(router)).toMatchObject({ code: 'stream_error' });
  });
});

describe('a request', () => {
  test('and its answer pass byte for byte', async () => {
    await start();
    bedrock.behaviour = answering(200, { ...ANSWER, unknown: 1 });
    const body = `{ "messages": ${JSON.stringify(USER)}, "inferenceConfig":{"temperature":1.0e0} }`;
    const response = await ask(router.url, body, { 'cookie': 'c', 'x-amz-date': 'then', 'x-forwarded-host': 'h' }, `/model/${MODEL}/converse`);
    expect([response.status, await response.json()]).toEqual([200, { ...ANSWER, unknown: 1 }]);
    expect(response.headers.get('x-amzn-requestid')).not.toBe('of-bedrock');
    const [{ text: sent, headers }] = bedrock.requests;
    expect(sent).toBe(body);
    expect([headers.cookie, headers['x-forwarded-host']]).toEqual([undefined, undefined]);
  });

  test('for a stream is answered with the very frames', async () => {
    await start();
    bedrock.behaviour = streaming(STREAM);
    const response = await ask(router.url, { messages: USER }, {}, `/model/${MODEL}/converse-stream`);
    expect(response.headers.get('content-type')).toBe('application/vnd.amazon.eventstream');
    expect(Buffer.from(await response.arrayBuffer()).equals(Buffer.concat(STREAM))).toBe(true);
  });

  test('has no headers signed but parameters that Bedrock documents', async () => {
    await start();
    bedrock.behaviour = answering(200, {});
    const given = {
      'x-amzn-bedrock-service-tier': 'flex', 'x-amzn-bedrock-request-metadata': '{"team":"a"}', 'x-amzn-bedrock-performanceconfig-latency': 'standard',
    };
    const strange = { 'x-amzn-bedrock-source-account': '999999999999', 'x-amz-security-token': 'stolen', 'x-amzn-bedrock-accept-eula': 'true' };
    expect((await ask(router.url, chat(), { ...given, ...strange }, `/model/${MODEL}/invoke`)).status).toBe(200);
    const [{ headers }] = bedrock.requests;
    expect(headers).toMatchObject(given);
    expect(headers['x-amz-security-token']).not.toBe('stolen');
    const signed = /SignedHeaders=([^,]+)/.exec(headers.authorization!)![1].split(';').filter((name) => name.startsWith('x-amzn-'));
    expect([signed, Object.keys(headers).filter((name) => name.startsWith('x-amzn-')).sort()]).toEqual([Object.keys(given).sort(), Object.keys(given).sort()]);
  });

  test('of the OpenAI API goes to Bedrock\'s own, signed, under Bedrock\'s name of the model', async () => {
    await start();
    const client = new OpenAI({ baseURL: `${router.url}/openai/v1`, apiKey: KEY, maxRetries: 0 });
    bedrock.behaviour = whole;
    const completion = await client.chat.completions.create({ model: MODEL, messages: [{ role: 'user', content: 'p' }] });
    expect(completion.choices[0].message.content).toBe('hello');
    bedrock.behaviour = streamOf(['hel', 'lo']);
    const chunks = await all(await client.chat.completions.create({ model: MODEL, messages: [{ role: 'user', content: 'p' }], stream: true }));
    expect(chunks.map(({ choices }) => choices[0].delta.content).join('')).toBe('hello');
    expect(bedrock.requests.map(({ path, body }) => [path, body.model])).toEqual(Array(2).fill(['/openai/v1/chat/completions', PROFILE]));
  });

  test('for a completion of the OpenAI API, which Bedrock has none of, is not sent there', async () => {
    await start();
    const response = await ask(router.url, { model: MODEL, prompt: 'p' }, {}, '/v1/completions');
    expect([response.status, bedrock.requests]).toEqual([404, []]);
  });
});

describe('a refusal', () => {
  const converse = async () => sdk().send(new ConverseCommand({ modelId: MODEL, messages: USER }));

  test.each([
    [400, 'ValidationException', 'ValidationException', 400],
    [408, 'ModelTimeoutException', 'ModelTimeoutException', 408],
    [424, 'ModelErrorException', 'ModelErrorException', 424],
    [429, 'ThrottlingException:http://internal.amazon.com/coral/', 'ThrottlingException', 429],
    [429, 'ModelNotReadyException', 'ModelNotReadyException', 429],
    [500, 'InternalServerException', 'InternalServerException', 500],
    [503, 'ServiceUnavailableException', 'ServiceUnavailableException', 503],
    // what is the router's own trouble is not shown as the caller's.
    [403, 'AccessDeniedException', 'ModelErrorException', 424],
    [403, 'ExpiredTokenException', 'ModelErrorException', 424],
    [404, 'ResourceNotFoundException', 'ModelErrorException', 424],
    [400, 'ServiceQuotaExceededException', 'ThrottlingException', 429],
  ])('of status %d, %s, is %s to the caller', async (status, name, told, toldStatus) => {
    await start();
    bedrock.behaviour = answering(status, { message: 'so it is' }, { 'x-amzn-errortype': name });
    await expect(converse()).rejects.toMatchObject({ name: told, $metadata: { httpStatusCode: toldStatus } });
    expect(bedrock.requests).toHaveLength(1);
  });

  test('for too many requests tells when to come back', async () => {
    await start();
    const retryAfter = async () => (await ask(router.url, { messages: USER }, {}, `/model/${MODEL}/converse`)).headers.get('retry-after');
    bedrock.behaviour = answering(429, { message: 'slow down' }, { 'x-amzn-errortype': 'ThrottlingException' });
    expect(await retryAfter()).toBe('1');
    bedrock.behaviour = answering(429, { message: 'slow down' }, { 'x-amzn-errortype': 'ThrottlingException', 'retry-after': '9' });
    expect(await retryAfter()).toBe('9');
    bedrock.behaviour = answering(429, { message: 'slow down' }, { 'x-amzn-errortype': 'ThrottlingException', 'retry-after': 'soon' });
    expect(await retryAfter()).toBe('1');
    // of a quota that is used up Bedrock does not say when.
    bedrock.behaviour = answering(400, { message: 'too much' }, { 'x-amzn-errortype': 'ServiceQuotaExceededException' });
    expect(await retryAfter()).toBe('1');
  });

  test('within a stream is passed on as it is', async () => {
    await start();
    const frames = [...BEGUN, frame('throttlingException', { message: 'slow down' }, 'exception')];
    bedrock.behaviour = streaming(frames);
    const { stream } = await sdk().send(new ConverseStreamCommand({ modelId: MODEL, messages: USER }));
    await expect(all(stream)).rejects.toMatchObject({ name: 'ThrottlingException', message: 'slow down' });
    expect(await lastLineOf(router)).toMatchObject({ code: 'stream_error', failure: 'the engine told of an error in its stream' });
  });

  test('is all there is without credentials', async () => {
    delete process.env.AWS_CONTAINER_CREDENTIALS_FULL_URI;
    await start();
    await expect(converse()).rejects.toMatchObject({ name: 'ModelErrorException', message: 'the router has no AWS credentials for Bedrock' });
    expect(bedrock.requests).toHaveLength(0);
  });
});

test('credentials are fetched once, and anew before they expire', async () => {
  await start();
  const converse = async () => (await ask(router.url, { messages: USER }, {}, `/model/${MODEL}/converse`)).status;
  expect([await converse(), await converse(), bedrock.fetched]).toEqual([200, 200, 1]);
  await router.drain();
  bedrock.credentialSeconds = 60;
  await start();
  expect(await converse()).toBe(200);
  bedrock.credentialSeconds = 3600;
  // the old ones are still good, but not for long: those that were fetched meanwhile are the only ones that the fake takes.
  await until(async () => await converse() === 200 && bedrock.fetched === 3, 'new credentials are used');
});

describe('as the last of several targets, Bedrock', () => {
  const after = async (url: string, engine: object = {}, more: object = {}) =>
    start([{ name: 'engine', role: 'aggregated', protocol: 'openai', url, ...engine }, target()], more);

  test('answers where no engine is up', async () => {
    const engine = await engineWith();
    await after(engine.url);
    bedrock.behaviour = answering(200, ANSWER);
    const converse = async () => (await sdk().send(new ConverseCommand({ modelId: MODEL, messages: USER }))).output!.message!.content;
    expect(await converse()).toEqual([{ text: 'hello' }]);
    expect([engine.requests.length, bedrock.requests.length]).toEqual([1, 0]);
    await engine.stop();
    expect(await converse()).toEqual([{ text: 'hello' }]);
    expect([engine.requests.length, bedrock.requests.length]).toEqual([1, 1]);
    expect((await router.metrics.decisions.get()).values.map(({ labels }) => `${labels.path} ${labels.reason}`)).toEqual(['aggregated only_path', 'bedrock only_path']);
  });

  test('answers what engines have no room for where it is said how fast it is', async () => {
    const engine = await engineWith(() => undefined);
    router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url, maxInFlight: 1 }, target()], {
      routing: { bedrock: { fixedSeconds: 0.5, secondsPerPromptToken: 1e-4, stepSeconds: 0.01, stepSecondsPerSequence: 0 } }, drainSeconds: 0,
    });
    const running = ask(router.url, chat());
    running.catch(() => undefined);
    await until(() => engine.requests.length === 1, 'the engine is full');
    bedrock.behaviour = answering(200, ANSWER);
    const answer = await ask(router.url, { messages: [{ role: 'user', content: [{ text: 'p' }] }] }, {}, `/model/${MODEL}/converse`);
    expect([answer.status, answer.headers.get('x-router-route')]).toEqual([200, 'bedrock; reason=only_path']);
  });

  test('is not paid for what engines have no room for', async () => {
    let release = () => {};
    const gate = new Promise<void>((resolve) => (release = resolve));
    const engine = await engineWith(async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(chunkOf('a')));
      await gate;
      response.end(DONE);
    });
    await after(engine.url, { maxInFlight: 1 }, { queue: { maxRequests: 0 } });
    const running = await ask(router.url, chat({ stream: true }));
    expect((await ask(router.url, chat())).status).toBe(429);
    release();
    await drained(running);
    expect(bedrock.requests).toHaveLength(0);
  });
});

describe('its configuration', () => {
  const { url: _, ...TARGET } = { name: 'b', role: 'aggregated', protocol: 'bedrock', region: 'eu-west-1', modelName: 'm', url: '' };
  const urlWith = (env: object, more: object = {}) =>
    parseRouterConfig(JSON.stringify(configOf([{ ...TARGET, ...more }])), { KEYS: KEY, ...env }).targets[0].url;

  beforeEach(async () => start());

  test('says where Bedrock is, or the environment, or its region', () => {
    expect(urlWith({})).toBe('https://bedrock-runtime.eu-west-1.amazonaws.com');
    expect(urlWith({ AWS_ENDPOINT_URL_BEDROCK_RUNTIME: 'https://vpce.example' })).toBe('https://vpce.example');
    expect(urlWith({ AWS_ENDPOINT_URL_BEDROCK_RUNTIME: 'https://vpce.example' }, { url: 'https://other.example' })).toBe('https://other.example');
  });

  test('names a region and a model, and nothing that only engines have', () => {
    const problems = () => {
      try {
        parseRouterConfig(JSON.stringify(configOf([
          { name: 'b', role: 'decode', protocol: 'bedrock', srv: 's', apiKeyEnv: 'KEYS', kvConnector: 'k', prefill: 'p' },
          { name: 'e', role: 'decode', protocol: 'openai', url: 'http://e', region: 'eu-west-1' },
        ])), { KEYS: KEY });
      } catch (e) {
        return (e as ProblemsError).problems.map(({ path, message }) => `${path}: ${message}`).sort();
      }
      return [];
    };
    const noSuch = 'such a target has no such setting';
    expect(problems()).toEqual([
      `config.targets[0].apiKeyEnv: ${noSuch}`,
      `config.targets[0].kvConnector: ${noSuch}`,
      `config.targets[0].prefill: ${noSuch}`,
      'config.targets[0].role: the value is not the one allowed',
      `config.targets[0].srv: ${noSuch}`,
      'config.targets[0]: "modelName" is missing',
      'config.targets[0]: "region" is missing',
      `config.targets[1].region: ${noSuch}`,
    ]);
  });
});
