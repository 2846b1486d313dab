import { createAmazonBedrock } from '@ai-sdk/amazon-bedrock';
import {
  BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand, CountTokensCommand, InvokeModelCommand, InvokeModelWithResponseStreamCommand,
} from '@aws-sdk/client-bedrock-runtime';
import Cerebras from '@cerebras/cerebras_cloud_sdk';
import { ChatBedrockConverse } from '@langchain/aws';
import { AIMessageChunk } from '@langchain/core/messages';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { generateText, streamText } from 'ai';
import OpenAI from 'openai';
import { Ask, Client } from './operations';
import { all, byChunks, byCompletion, byConverse, byConverseEvents, byInvokedChunks, byResponse, byResponseEvents } from './told';
import { KEY, MODEL } from '../../router/runtime/harness';

const chat = (prompt: string) => ({ model: MODEL, messages: [{ role: 'user' as const, content: prompt }] });
const COUNTED = { stream: true, stream_options: { include_usage: true } } as const;

/** Asks with a client of AWS' SDK, unchanged but for the endpoint and the key. */
const withSdk = (ask: (client: BedrockRuntimeClient, prompt: string) => ReturnType<Ask>, http1 = false): Ask => async (url, prompt) => {
  const client = new BedrockRuntimeClient({
    endpoint: url,
    region: 'us-east-2',
    token: { token: KEY },
    authSchemePreference: ['httpBearerAuth'],
    maxAttempts: 1,
    ...(http1 && { requestHandler: new NodeHttpHandler() }),
  });
  try {
    return await ask(client, prompt);
  } finally {
    client.destroy();
  }
};

function awsSdk(http1: boolean): Client {
  const conversation = (prompt: string) => ({ modelId: MODEL, messages: [{ role: 'user' as const, content: [{ text: prompt }] }] });
  const invocation = (prompt: string) => ({ modelId: MODEL, body: JSON.stringify(chat(prompt)) });
  const parsed = (bytes: Uint8Array | undefined) => JSON.parse(new TextDecoder().decode(bytes));
  return {
    name: `AWS SDK for JavaScript, HTTP/${http1 ? '1.1' : '2'}`,
    asks: {
      Converse: withSdk(async (client, prompt) => byConverse(await client.send(new ConverseCommand(conversation(prompt)))), http1),
      ConverseStream: withSdk(async (client, prompt) => {
        const { stream } = await client.send(new ConverseStreamCommand(conversation(prompt)));
        return byConverseEvents(await all(stream!));
      }, http1),
      InvokeModel: withSdk(async (client, prompt) => {
        const { body } = await client.send(new InvokeModelCommand(invocation(prompt)));
        return byCompletion(parsed(body));
      }, http1),
      InvokeModelWithResponseStream: withSdk(async (client, prompt) => {
        const { body } = await client.send(new InvokeModelWithResponseStreamCommand(invocation(prompt)));
        return byInvokedChunks((await all(body!)).map(({ chunk }) => parsed(chunk!.bytes)));
      }, http1),
      CountTokens: withSdk(async (client, prompt) => {
        const { modelId, ...converse } = conversation(prompt);
        return (await client.send(new CountTokensCommand({ modelId, input: { converse } }))).inputTokens!;
      }, http1),
    },
  };
}

const aiSdkAt = (url: string) => ({ model: createAmazonBedrock({ baseURL: url, apiKey: KEY })(MODEL), maxRetries: 0 });
const AI_SDK: Client = {
  name: 'AI SDK, Bedrock provider',
  stop: 'stop',
  asks: {
    Converse: async (url, prompt) => {
      const { text, finishReason, usage } = await generateText({ ...aiSdkAt(url), prompt });
      return { text, stop: finishReason, tokens: [usage.inputTokens, usage.outputTokens] };
    },
    ConverseStream: async (url, prompt) => {
      const { text, finishReason, usage } = streamText({ ...aiSdkAt(url), prompt });
      const { inputTokens, outputTokens } = await usage;
      return { text: await text, stop: await finishReason, tokens: [inputTokens, outputTokens] };
    },
  },
};

const withLangChain = (ask: (model: ChatBedrockConverse, prompt: string) => Promise<AIMessageChunk>) => withSdk(async (client, prompt) => {
  const { text, response_metadata, usage_metadata: usage } = await ask(new ChatBedrockConverse({ model: MODEL, region: 'us-east-2', client, maxRetries: 0 }), prompt);
  const { stopReason, messageStop } = response_metadata as { stopReason?: string; messageStop?: { stopReason: string } };
  return { text, stop: stopReason ?? messageStop?.stopReason, tokens: [usage?.input_tokens, usage?.output_tokens] };
});
const LANGCHAIN: Client = {
  name: '@langchain/aws',
  asks: {
    Converse: withLangChain(async (model, prompt) => model.invoke(prompt)),
    ConverseStream: withLangChain(async (model, prompt) => (await all(await model.stream(prompt))).reduce((whole, chunk) => whole.concat(chunk))),
  },
};

const openAiAt = (url: string) => new OpenAI({ baseURL: `${url}/v1`, apiKey: KEY, maxRetries: 0 });
const OPENAI: Client = {
  name: 'openai for Node',
  asks: {
    'chat': async (url, prompt) => byCompletion(await openAiAt(url).chat.completions.create(chat(prompt))),
    'chat streamed': async (url, prompt) => byChunks(await all(await openAiAt(url).chat.completions.create({ ...chat(prompt), ...COUNTED }))),
    'completions': async (url, prompt) => byCompletion(await openAiAt(url).completions.create({ model: MODEL, prompt })),
    'completions streamed': async (url, prompt) => byChunks(await all(await openAiAt(url).completions.create({ model: MODEL, prompt, ...COUNTED }))),
    'responses': async (url, prompt) => byResponse(await openAiAt(url).responses.create({ model: MODEL, input: prompt })),
    'responses streamed': async (url, prompt) => byResponseEvents(await all(await openAiAt(url).responses.create({ model: MODEL, input: prompt, stream: true }))),
    'models': async (url) => (await openAiAt(url).models.list()).data.map(({ id }) => id),
  },
};

const cerebrasAt = (url: string) => new Cerebras({ baseURL: url, apiKey: KEY, maxRetries: 0, warmTCPConnection: false });
const CEREBRAS: Client = {
  name: 'Cerebras SDK for Node',
  asks: {
    'chat': async (url, prompt) => byCompletion(await cerebrasAt(url).chat.completions.create(chat(prompt))),
    'chat streamed': async (url, prompt) => byChunks(await all(await cerebrasAt(url).chat.completions.create({ ...chat(prompt), ...COUNTED }))),
    'completions': async (url, prompt) => byCompletion(await cerebrasAt(url).completions.create({ model: MODEL, prompt })),
    'completions streamed': async (url, prompt) => byChunks(await all(await cerebrasAt(url).completions.create({ model: MODEL, prompt, ...COUNTED }))),
    'models': async (url) => (await cerebrasAt(url).models.list()).data!.map(({ id }) => id!),
  },
};

export const JAVASCRIPT_CLIENTS: readonly Client[] = [awsSdk(false), awsSdk(true), AI_SDK, LANGCHAIN, OPENAI, CEREBRAS];
