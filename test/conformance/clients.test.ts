import { join } from 'node:path';
import { PythonClient } from './clients/python-client';
import { localCertificate } from '../router/runtime/certificate';
import { chunkOf, delta, KEY, MockEngine, MODEL, ROLE, routerFor, streaming, TestRouter, wholly } from '../router/runtime/harness';
import { VllmPair } from '../router/runtime/vllm-pair';

const PYTHON = join(__dirname, '../../.venv/bin/python');
const PROMPT = 'a long prompt';
/** LiteLLM knows by the name of a model what it can do. */
const BEDROCK_ID = 'us.meta.llama3-3-70b-instruct-v1:0';
/** boto3 sends a key over TLS alone. */
const TLS = localCertificate();
const USAGE = { prompt_tokens: 12, completion_tokens: 3, total_tokens: 15 };
const CALL = { id: 'c1', type: 'function', function: { name: 'weather', arguments: '{"city": "Ulm"}' } };
const SCHEMA = { type: 'object', properties: { city: { type: 'string' } } };
/** An answer with all that there is. */
const RICH = {
  choices: [{ index: 0, message: { role: 'assistant', reasoning: 'hm', content: 'I look', tool_calls: [CALL] }, finish_reason: 'tool_calls' }],
  usage: USAGE,
};
const RICH_STREAM = [
  ROLE, delta({ reasoning: 'hm' }), chunkOf('I '), chunkOf('look'), delta({ tool_calls: [{ index: 0, ...CALL }] }), delta({}, 'tool_calls'),
  { choices: [], usage: USAGE },
];
const HELLO = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: MODEL,
  choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }],
  usage: USAGE,
};
const HELLO_STREAM = [ROLE, chunkOf('hel'), chunkOf('lo'), delta({}, 'stop'), { choices: [], usage: USAGE }]
  .map((chunk) => ({ id: 'chatcmpl-1', created: 1, model: MODEL, ...chunk }));

// LiteLLM alone takes seconds to load.
jest.setTimeout(120_000);

let engine: MockEngine;
let pair: VllmPair;
let client: PythonClient;

let url: string;
let pairUrl: string;
let routers: TestRouter[] = [];

/** Starts a router over one engine, and one over a prefill and a decode engine. */
async function startRouters(more: object = {}): Promise<void> {
  const config = { model: { id: MODEL, servedNames: [MODEL, BEDROCK_ID] }, ...more };
  routers = await Promise.all([
    routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], config),
    routerFor([
      { name: 'prefill', role: 'prefill', protocol: 'openai', url: pair.prefill.url, kvConnector: 'NixlConnector' },
      { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector: 'NixlConnector', prefill: 'prefill' },
    ], { ...config, routing: { minPromptTokens: 0 } }),
  ]);
  [url, pairUrl] = routers.map(({ port }) => `${'tls' in more ? 'https' : 'http'}://127.0.0.1:${port}`);
}

async function stop(): Promise<void> {
  await client.stop();
  await Promise.all(routers.map(async (router) => router.drain()));
}

beforeAll(async () => {
  engine = await MockEngine.start(wholly(HELLO));
  pair = await VllmPair.start();
});

beforeEach(() => {
  engine.behaviour = wholly(HELLO);
  engine.requests.length = 0;
  pair.fetches = 0;
});

afterAll(async () => {
  await Promise.all([engine.stop(), pair.stop()]);
});

/** A stream that ends without its end, and is too long to have arrived before something of it has gone out. */
const CUT = streaming([ROLE, ...Array.from({ length: 64 }, () => chunkOf('x'.repeat(16 * 1024)))], '');

/** The right answer of the two engines, for which the KV cache was handed on. */
function expectHandedOff(text: string): void {
  expect(text).toBe(pair.answerTo({ messages: [{ role: 'user', content: PROMPT }] }));
  expect([pair.fetches, pair.localPrefills]).toEqual([1, 0]);
}

describe('boto3, whose validator checks every answer', () => {
  const messages = [{ role: 'user', content: [{ text: PROMPT }] }];
  const ask = async (operation: string, input: object = { messages }) => client.ask({ operation, input: { modelId: MODEL, ...input } });
  const body = JSON.stringify({ messages: [{ role: 'user', content: PROMPT }] });
  const start = (endpoint: string, credentials: { [name: string]: string } = { AWS_BEARER_TOKEN_BEDROCK: KEY }) => PythonClient.start(
    PYTHON, 'boto_client.py', {
      AWS_ENDPOINT_URL_BEDROCK_RUNTIME: endpoint,
      AWS_CA_BUNDLE: TLS.certificateFile,
      AWS_DEFAULT_REGION: 'us-east-2',
      AWS_MAX_ATTEMPTS: '1',
      ...credentials,
    });

  beforeAll(async () => {
    await startRouters({ tls: TLS });
    client = start(url);
  });
  afterAll(stop);

  test('Converse, with reasoning and a call of a tool', async () => {
    engine.behaviour = wholly(RICH);
    const toolConfig = { tools: [{ toolSpec: { name: 'weather', inputSchema: { json: SCHEMA } } }] };
    expect(await ask('Converse', { messages, toolConfig, system: [{ text: 'be kind' }], inferenceConfig: { maxTokens: 5 } })).toMatchObject({
      output: {
        output: {
          message: {
            role: 'assistant',
            content: [
              { reasoningContent: { reasoningText: { text: 'hm' } } }, { text: 'I look' }, { toolUse: { name: 'weather', input: { city: 'Ulm' } } },
            ],
          },
        },
        stopReason: 'tool_use',
        usage: { inputTokens: 12, outputTokens: 3, totalTokens: 15 },
      },
    });
  });

  test('ConverseStream, with reasoning and a call of a tool', async () => {
    engine.behaviour = streaming(RICH_STREAM);
    const { output } = await ask('ConverseStream');
    expect(output.map((event: object) => Object.keys(event)[0]))
      .toEqual(expect.arrayContaining(['messageStart', 'contentBlockStart', 'contentBlockDelta', 'metadata']));
    expect(output.at(-2)).toEqual({ messageStop: { stopReason: 'tool_use' } });
  });

  test('InvokeModel and its stream', async () => {
    expect(await ask('InvokeModel', { body })).toEqual({ output: HELLO });
    engine.behaviour = streaming(HELLO_STREAM);
    const { output } = await ask('InvokeModelWithResponseStream', { body });
    expect(output.slice(0, -1)).toEqual(HELLO_STREAM);
  });

  test('CountTokens', async () => {
    engine.behaviour = wholly({ count: 17, max_model_len: 100, tokens: [] });
    expect(await ask('CountTokens', { input: { converse: { messages } } })).toEqual({ output: { inputTokens: 17 } });
  });

  test.each(['Converse', 'ConverseStream'])('%s tells every failure as one of its own exceptions', async (operation) => {
    expect(await ask(operation, { messages, guardrailConfig: { guardrailIdentifier: 'g', guardrailVersion: '1' } }))
      .toMatchObject({ error: 'ValidationException', message: expect.stringContaining('guardrailConfig') });
    expect(await ask(operation, { messages, modelId: 'another' }))
      .toMatchObject({ error: 'ValidationException', message: expect.stringContaining('another') });
    expect(engine.requests).toEqual([]);
    engine.behaviour = wholly({ error: { message: 'no' } }, 500);
    expect(await ask(operation)).toMatchObject({ error: 'ModelErrorException' });
    engine.behaviour = wholly({ error: { message: 'later' } }, 429);
    expect(await ask(operation)).toMatchObject({ error: 'ThrottlingException' });
    const stranger = start(url, { AWS_BEARER_TOKEN_BEDROCK: 'no-key' });
    expect(await stranger.ask({ operation, input: { modelId: MODEL, messages } })).toMatchObject({ error: 'AccessDeniedException' });
    await stranger.stop();
  });

  const streams = [['ConverseStream', { messages }], ['InvokeModelWithResponseStream', { body }]] as const;
  test.each(streams)('%s that is cut ends in an exception', async (operation, input) => {
    engine.behaviour = CUT;
    const { error, output } = await ask(operation, input);
    expect([error, output.length > 0]).toEqual(['modelStreamErrorException', true]);
  });

  test('signs for a router that asks for no key, over plain HTTP too', async () => {
    const open = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { auth: 'none' });
    const signing = start(open.url, { AWS_ACCESS_KEY_ID: 'any', AWS_SECRET_ACCESS_KEY: 'any' });
    const { output } = await signing.ask({ operation: 'Converse', input: { modelId: MODEL, messages } });
    await signing.stop();
    await open.drain();
    expect(output).toMatchObject({ output: { message: { content: [{ text: 'hello' }] } } });
  });

  test.each(['Converse', 'ConverseStream'])('%s through a prefill and a decode engine', async (operation) => {
    const through = start(pairUrl);
    const { output } = await through.ask({ operation, input: { modelId: MODEL, messages } });
    await through.stop();
    expectHandedOff(operation === 'Converse'
      ? output.output.message.content[0].text
      : output.map((event: any) => event.contentBlockDelta?.delta.text ?? '').join(''));
  });
});

describe('OpenAI\'s SDK for Python, whose types check every response', () => {
  const messages = [{ role: 'user', content: PROMPT }];
  const start = (endpoint: string) => PythonClient.start(PYTHON, 'openai_client.py', { OPENAI_BASE_URL: `${endpoint}/v1`, OPENAI_API_KEY: KEY });
  const tools = [{ type: 'function', name: 'weather', parameters: SCHEMA, strict: false }];
  const respond = async (input: object = {}) => client.ask({ api: 'responses', input: { model: MODEL, input: PROMPT, ...input } });

  beforeAll(async () => {
    await startRouters();
    client = start(url);
  });
  afterAll(stop);

  test('a response, with reasoning and a call of a tool', async () => {
    engine.behaviour = wholly(RICH);
    const { output } = await respond({ tools, instructions: 'be kind' });
    const items = [{ type: 'reasoning' }, { type: 'message' }, { type: 'function_call', name: 'weather' }];
    expect(output).toMatchObject({ status: 'completed', output: items });
  });

  test('a streamed response', async () => {
    engine.behaviour = streaming(RICH_STREAM);
    const { output } = await respond({ tools, stream: true });
    expect(output.at(-1)).toMatchObject({
      type: 'response.completed', response: { output: [{ type: 'reasoning' }, { content: [{ text: 'I look' }] }, { arguments: '{"city": "Ulm"}' }] },
    });
  });

  test('a model by its name', async () => {
    expect(await client.ask({ api: 'model', input: { model: BEDROCK_ID } })).toMatchObject({ output: { id: BEDROCK_ID, object: 'model', owned_by: 'router' } });
    expect(await client.ask({ api: 'model', input: { model: 'another' } })).toMatchObject({ error: 'NotFoundError', param: 'model' });
  });

  test('a response that is incomplete, refused, failed or cut', async () => {
    engine.behaviour = wholly({ ...HELLO, choices: [{ ...HELLO.choices[0], finish_reason: 'length' }] });
    expect(await respond()).toMatchObject({ output: { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } } });
    expect(await respond({ previous_response_id: 'resp_1' })).toMatchObject({ error: 'BadRequestError', param: 'previous_response_id' });
    engine.behaviour = wholly({ error: { message: 'no' } }, 500);
    expect(await respond({ stream: true })).toMatchObject({ error: 'InternalServerError' });
    engine.behaviour = CUT;
    const { error, output } = await respond({ stream: true });
    expect([error, output.at(-1).type]).toEqual(['APIError', 'response.failed']);
  });

  test.each(['responses', 'chat'])('%s through a prefill and a decode engine', async (api) => {
    const through = start(pairUrl);
    const { output } = await through.ask({ api, input: { model: MODEL, ...(api === 'chat' ? { messages } : { input: PROMPT }) } });
    await through.stop();
    expectHandedOff(api === 'chat' ? output.choices[0].message.content : output.output[0].content[0].text);
  });
});

describe('LiteLLM', () => {
  const messages = [{ role: 'user', content: PROMPT }];
  const tools = [{ type: 'function', function: { name: 'weather', parameters: SCHEMA } }];
  const bedrock = (endpoint: string) => (
    { model: `bedrock/converse/${BEDROCK_ID}`, aws_bedrock_runtime_endpoint: endpoint, aws_region_name: 'us-east-2', api_key: KEY, messages });
  const openAi = (endpoint: string) => ({ model: `openai/${MODEL}`, api_base: `${endpoint}/v1`, api_key: KEY, messages });

  beforeAll(async () => {
    await startRouters();
    // its table of prices is on the Internet unless told otherwise.
    client = PythonClient.start(PYTHON, 'litellm_client.py', { LITELLM_LOCAL_MODEL_COST_MAP: 'True' });
  });
  afterAll(stop);

  describe.each([['with Bedrock\'s API', bedrock], ['with OpenAI\'s API', openAi]])('%s', (_, to) => {
    test.each([['whole', {}], ['streamed', { stream: true }]])('an answer with a call of a tool, %s', async (__, more) => {
      // it does not stream from every model that it knows.
      engine.behaviour = (response, received) => (received.body.stream ? streaming(RICH_STREAM) : wholly(RICH))(response, received);
      const { calls, ...told } = await client.ask({ ...to(url), tools, ...more });
      expect(told).toEqual({ text: 'I look', finish: 'tool_calls' });
      expect(calls.map(([name, input]: string[]) => [name, JSON.parse(input)])).toEqual([['weather', { city: 'Ulm' }]]);
    });

    test.each([['whole', {}], ['streamed', { stream: true }]])('through a prefill and a decode engine, %s', async (__, more) => {
      const { text } = await client.ask({ ...to(pairUrl), ...more });
      expectHandedOff(text);
    });

    test('a stream that is cut is an error, as is a failure', async () => {
      engine.behaviour = CUT;
      expect(await client.ask({ ...to(url), stream: true })).toMatchObject({ error: expect.stringMatching(/Error$/) });
      engine.behaviour = wholly({ error: { message: 'no' } }, 500);
      expect(await client.ask(to(url))).toMatchObject({ error: expect.stringMatching(/Error$/) });
      expect(await client.ask({ ...to(url), api_key: 'no-key' })).toMatchObject({ error: expect.stringMatching(/Authentication|Permission/) });
    });
  });
});
