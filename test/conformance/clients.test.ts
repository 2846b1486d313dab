import { join } from 'node:path';
import { PythonClient } from './clients/python-client';
import { chunkOf, delta, KEY, MockEngine, MODEL, ROLE, routerFor, streaming, TestRouter, wholly } from '../router/runtime/harness';
import { localCertificate } from '../router/runtime/serving/certificate';

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

// LiteLLM alone takes seconds to load.
jest.setTimeout(120_000);

let engine: MockEngine;
let client: PythonClient;

let router: TestRouter;
let url: string;

/** Starts a router over one engine. */
async function startRouter(more: object = {}): Promise<void> {
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], {
    model: { id: MODEL, servedNames: [MODEL, BEDROCK_ID] }, ...more,
  });
  url = `${'tls' in more ? 'https' : 'http'}://127.0.0.1:${router.port}`;
}

async function stop(): Promise<void> {
  await client.stop();
  await router.drain();
}

beforeAll(async () => {
  engine = await MockEngine.start(wholly(HELLO));
});

beforeEach(() => {
  engine.behaviour = wholly(HELLO);
  engine.requests.length = 0;
});

afterAll(async () => {
  await engine.stop();
});

/** A stream that ends without its end, and is too long to have arrived before something of it has gone out. */
const CUT = streaming([ROLE, ...Array.from({ length: 64 }, () => chunkOf('x'.repeat(16 * 1024)))], '');

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
    await startRouter({ tls: TLS });
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
});

describe('OpenAI\'s SDK for Python, whose types check every response', () => {
  const start = (endpoint: string) => PythonClient.start(PYTHON, 'openai_client.py', { OPENAI_BASE_URL: `${endpoint}/v1`, OPENAI_API_KEY: KEY });
  const tools = [{ type: 'function', name: 'weather', parameters: SCHEMA, strict: false }];
  const respond = async (input: object = {}) => client.ask({ api: 'responses', input: { model: MODEL, input: PROMPT, ...input } });

  beforeAll(async () => {
    await startRouter();
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
});

describe('LiteLLM', () => {
  const messages = [{ role: 'user', content: PROMPT }];
  const tools = [{ type: 'function', function: { name: 'weather', parameters: SCHEMA } }];
  const bedrock = (endpoint: string) => (
    { model: `bedrock/converse/${BEDROCK_ID}`, aws_bedrock_runtime_endpoint: endpoint, aws_region_name: 'us-east-2', api_key: KEY, messages });
  const openAi = (endpoint: string) => ({ model: `openai/${MODEL}`, api_base: `${endpoint}/v1`, api_key: KEY, messages });

  beforeAll(async () => {
    await startRouter();
    // its table of prices is on the Internet unless told otherwise.
    client = PythonClient.start(PYTHON, 'litellm_client.py', { LITELLM_LOCAL_MODEL_COST_MAP: 'True' });
  });
  afterAll(stop);

  describe.each([['with Bedrock\'s API', bedrock], ['with OpenAI\'s API', openAi]])('%s', (_, to) => {
    test.each([['whole', {}], ['streamed', { stream: true }]])('an answer with a call of a tool, %s', async (__, more) => {
      // it does not stream from every model that it knows.
      engine.behaviour = (response, received) => (received.body.stream ? streaming(RICH_STREAM) : wholly(RICH))(response, received);
      const { calls, ...told } = await client.ask({ ...to(url), tools, ...more });
      expect(told).toMatchObject({ text: 'I look', finish: 'tool_calls' });
      expect(calls.map(([name, input]: string[]) => [name, JSON.parse(input)])).toEqual([['weather', { city: 'Ulm' }]]);
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
