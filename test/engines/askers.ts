import {
  BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand, InvokeModelCommand, InvokeModelWithResponseStreamCommand,
} from '@aws-sdk/client-bedrock-runtime';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import OpenAI from 'openai';
import { MODEL } from './engine-pair';
import { KEY } from '../router/runtime/harness';

/** Tokens of every answer. */
export const TOKENS = 16;
/** Greedy, and not ended by the model. */
export const GREEDY = { temperature: 0, ignore_eos: true };
export const CONVERSE_GREEDY = { inferenceConfig: { maxTokens: TOKENS, temperature: 0 }, additionalModelRequestFields: { ignore_eos: true } };

export const user = (text: string) => [{ role: 'user' as const, content: [{ text }] }];
export const chat = (text: string) => [{ role: 'user' as const, content: text }];

/** AWS' SDK with its own retries, as an engine on a busy machine may miss a probe. */
export function sdkFor(url: string, http1 = false): BedrockRuntimeClient {
  return new BedrockRuntimeClient({
    endpoint: url,
    region: 'us-east-2',
    token: { token: KEY },
    authSchemePreference: ['httpBearerAuth'],
    ...(http1 && { requestHandler: new NodeHttpHandler() }),
  });
}

/** OpenAI's SDK. */
export const openaiFor = (url: string) => new OpenAI({ baseURL: `${url}/v1`, apiKey: KEY });

/** A client that asks a router for a greedy answer. */
export interface Asker {
  readonly name: string;
  /** What the prompt is asked as; a chat if undefined. */
  readonly kind?: 'completions' | 'responses';
  ask(url: string, text: string): Promise<string>;
}

const decode = (bytes: Uint8Array | undefined) => JSON.parse(new TextDecoder().decode(bytes));

/** The SDK's ways to ask, by one version of HTTP. */
function sdkAskers(http1: boolean): Asker[] {
  const asker = (operation: string, ask: (client: BedrockRuntimeClient, text: string) => Promise<string>): Asker => ({
    name: `AWS' SDK, ${operation}, HTTP/${http1 ? 1 : 2}`,
    ask: async (url, text) => {
      const client = sdkFor(url, http1);
      try {
        return await ask(client, text);
      } finally {
        client.destroy();
      }
    },
  });
  const invoked = (text: string) => ({ modelId: MODEL, body: JSON.stringify({ messages: chat(text), max_tokens: TOKENS, ...GREEDY }) });
  return [
    asker('Converse', async (client, text) => {
      const { output, usage, stopReason } = await client.send(new ConverseCommand({ modelId: MODEL, messages: user(text), ...CONVERSE_GREEDY }));
      expect([usage!.outputTokens, stopReason]).toEqual([TOKENS, 'max_tokens']);
      return output!.message!.content![0].text!;
    }),
    asker('ConverseStream', async (client, text) => {
      const { stream } = await client.send(new ConverseStreamCommand({ modelId: MODEL, messages: user(text), ...CONVERSE_GREEDY }));
      let answer = '';
      let usage;
      for await (const { contentBlockDelta, metadata } of stream!) {
        answer += contentBlockDelta?.delta?.text ?? '';
        usage = metadata?.usage ?? usage;
      }
      expect(usage!.outputTokens).toBe(TOKENS);
      return answer;
    }),
    asker('InvokeModel', async (client, text) => decode((await client.send(new InvokeModelCommand(invoked(text)))).body).choices[0].message.content),
    asker('InvokeModelWithResponseStream', async (client, text) => {
      const { body } = await client.send(new InvokeModelWithResponseStreamCommand(invoked(text)));
      let answer = '';
      for await (const { chunk } of body!) {
        answer += decode(chunk?.bytes).choices?.[0]?.delta.content ?? '';
      }
      return answer;
    }),
  ];
}

/** Every way of the SDKs of AWS and OpenAI to ask for an answer, whole and streamed. */
export const ASKERS: readonly Asker[] = [
  ...sdkAskers(false),
  ...sdkAskers(true),
  {
    name: 'OpenAI\'s SDK, chat completions',
    ask: async (url, text) => {
      const { choices } = await openaiFor(url).chat.completions.create({ model: MODEL, messages: chat(text), max_tokens: TOKENS, ...GREEDY });
      return choices[0].message.content!;
    },
  },
  {
    name: 'OpenAI\'s SDK, streamed chat completions',
    ask: async (url, text) => {
      const asked = { model: MODEL, messages: chat(text), max_tokens: TOKENS, ...GREEDY };
      const stream = await openaiFor(url).chat.completions.create({ ...asked, stream: true });
      let answer = '';
      for await (const { choices } of stream) {
        answer += choices[0]?.delta.content ?? '';
      }
      return answer;
    },
  },
  {
    name: 'OpenAI\'s SDK, completions',
    kind: 'completions',
    ask: async (url, text) => (
      await openaiFor(url).completions.create({ model: MODEL, prompt: text, max_tokens: TOKENS, ...GREEDY })).choices[0].text,
  },
  {
    name: 'OpenAI\'s SDK, streamed completions',
    kind: 'completions',
    ask: async (url, text) => {
      const stream = await openaiFor(url).completions.create({ model: MODEL, prompt: text, max_tokens: TOKENS, stream: true, ...GREEDY });
      let answer = '';
      for await (const { choices } of stream) {
        answer += choices[0]?.text ?? '';
      }
      return answer;
    },
  },
  {
    name: 'OpenAI\'s SDK, responses',
    kind: 'responses',
    ask: async (url, text) => (
      await openaiFor(url).responses.create({ model: MODEL, input: text, max_output_tokens: TOKENS, temperature: 0 })).output_text,
  },
  {
    name: 'OpenAI\'s SDK, streamed responses',
    kind: 'responses',
    ask: async (url, text) => {
      const asked = { model: MODEL, input: text, max_output_tokens: TOKENS, temperature: 0 };
      const stream = await openaiFor(url).responses.create({ ...asked, stream: true });
      let answer = '';
      for await (const event of stream) {
        answer += event.type === 'response.output_text.delta' ? event.delta : '';
      }
      return answer;
    },
  },
];
