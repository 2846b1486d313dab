import { createAmazonBedrock } from '@ai-sdk/amazon-bedrock';
import { BedrockRuntimeClient } from '@aws-sdk/client-bedrock-runtime';
import { ChatBedrockConverse } from '@langchain/aws';
import { generateText, jsonSchema, tool } from 'ai';
import OpenAI, { NotFoundError } from 'openai';
import { VllmPair } from './handoff/vllm-pair';
import { chunkOf, KEY, MODEL, ROLE, routerFor, sse, TestRouter, wholly } from './harness';

const PROMPT = 'a long prompt';
const CALLS_WEATHER = wholly({
  choices: [{
    index: 0, message: { content: null, tool_calls: [{ id: 'c', function: { name: 'weather', arguments: '{"city":"Ulm"}' } }] }, finish_reason: 'tool_calls',
  }],
  usage: { prompt_tokens: 1, completion_tokens: 1 },
});
/** AWS' SDK, unchanged but for the endpoint and the key. */
const sdk = () => new BedrockRuntimeClient({
  endpoint: router.url, region: 'us-east-2', token: { token: KEY }, authSchemePreference: ['httpBearerAuth'], maxAttempts: 1,
});

let pair: VllmPair;
let router: TestRouter;

beforeEach(async () => {
  pair = await VllmPair.start();
  router = await routerFor([
    { name: 'prefill', role: 'prefill', protocol: 'openai', url: pair.prefill.url, kvConnector: 'NixlConnector' },
    { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector: 'NixlConnector', prefill: 'prefill' },
  ], { routing: { minPromptTokens: 0 } });
});

afterEach(async () => {
  await router.drain();
  await pair.stop();
});

describe('the AI SDK\'s Bedrock provider', () => {
  const model = () => createAmazonBedrock({ baseURL: router.url, apiKey: KEY })(MODEL);

  test('calls a tool', async () => {
    pair.decode.behaviour = CALLS_WEATHER;
    const weather = tool({ description: 'the weather', inputSchema: jsonSchema<{ city: string }>({ type: 'object', properties: { city: { type: 'string' } } }) });
    const { toolCalls, finishReason } = await generateText({ model: model(), prompt: PROMPT, tools: { weather } });
    expect(toolCalls.map(({ toolName, input }) => [toolName, input])).toEqual([['weather', { city: 'Ulm' }]]);
    expect(finishReason).toBe('tool-calls');
  });
});

describe('LangChain\'s ChatBedrockConverse', () => {
  let client: BedrockRuntimeClient;
  const model = () => new ChatBedrockConverse({ model: MODEL, region: 'us-east-2', client, maxRetries: 0 });

  beforeEach(() => {
    client = sdk();
  });
  afterEach(() => client.destroy());

  test('calls a tool, and is told its result', async () => {
    const weather = { name: 'weather', description: 'the weather', schema: { type: 'object', properties: { city: { type: 'string' } } } };
    pair.decode.behaviour = CALLS_WEATHER;
    const called = await model().bindTools([weather]).invoke(PROMPT);
    expect(called.tool_calls).toMatchObject([{ id: 'c', name: 'weather', args: { city: 'Ulm' } }]);
    await model().bindTools([weather]).invoke([
      { role: 'user', content: PROMPT }, called, { role: 'tool', content: 'rain', tool_call_id: 'c' },
    ]);
    expect(pair.decode.requests.at(-1)!.body.messages.slice(1)).toMatchObject([
      { role: 'assistant', tool_calls: [{ id: 'c', function: { name: 'weather' } }] }, { role: 'tool', tool_call_id: 'c', content: 'rain' },
    ]);
  });

  test('withStructuredOutput', async () => {
    pair.decode.behaviour = CALLS_WEATHER;
    const place = await model().withStructuredOutput({ title: 'weather', type: 'object', properties: { city: { type: 'string' } } }, { name: 'weather' })
      .invoke(PROMPT);
    expect(place).toEqual({ city: 'Ulm' });
  });

  test('a stream that fails is an error', async () => {
    let told = () => {};
    const heard = new Promise<void>((resolve) => (told = resolve));
    pair.decode.behaviour = async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(ROLE) + sse(chunkOf('hel')));
      await heard;
      response.end();
    };
    const read = async () => {
      for await (const { text } of await model().stream(PROMPT)) {
        if (text === 'hel') {
          told();
        }
      }
    };
    await expect(read()).rejects.toThrow('the engine');
  });
});

describe('the OpenAI SDK', () => {
  test('at the path where Bedrock has it', async () => {
    const openai = new OpenAI({ baseURL: `${router.url}/openai/v1`, apiKey: KEY });
    const messages = [{ role: 'user' as const, content: PROMPT }];
    const { choices: [{ message }] } = await openai.chat.completions.create({ model: MODEL, messages });
    expect(message.content).toBe(pair.answerTo({ messages }));
    const { data: [model] } = await openai.models.list();
    expect(await openai.models.retrieve(MODEL)).toEqual(model);
    await expect(openai.models.retrieve('another')).rejects.toThrow(NotFoundError);
  });
});
