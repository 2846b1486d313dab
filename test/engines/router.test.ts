import { createServer, Server } from 'node:http';
import { AddressInfo } from 'node:net';
import {
  BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand, CountTokensCommand, InvokeModelCommand, InvokeModelWithResponseStreamCommand,
} from '@aws-sdk/client-bedrock-runtime';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import OpenAI from 'openai';
import { boto3 } from './boto3';
import { EnginePair, LEASE_SECONDS, MODEL } from './engine-pair';
import { KEY, routerFor, sleep, TestRouter, until } from '../router/runtime/harness';

// two engines and their transports share the cores of one machine.
jest.setTimeout(300_000);

/** Tokens of every answer: greedy, and not ended by the model. */
const TOKENS = 16;
const GREEDY = { temperature: 0, ignore_eos: true };
const CONVERSE_GREEDY = { inferenceConfig: { maxTokens: TOKENS, temperature: 0 }, additionalModelRequestFields: { ignore_eos: true } };

let pair: EnginePair;
let router: TestRouter;
let others: TestRouter[] = [];
let clients: BedrockRuntimeClient[] = [];
let sequence = 0;

/** A prompt that no engine has seen. */
const prompt = (words = 120) => Array.from({ length: words }, (_, i) => `def f${sequence++}_${i}(x): return x`).join('\n');
const user = (text: string) => [{ role: 'user' as const, content: [{ text }] }];
const chat = (text: string) => [{ role: 'user' as const, content: text }];

const targets = (prefill = pair.prefill.url) => [
  { name: 'prefill', role: 'prefill', protocol: 'openai', url: prefill, kvConnector: 'nixl' },
  { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector: 'nixl', prefill: 'prefill' },
];
const start = async (limits: object = {}, prefill?: string) => routerFor(targets(prefill), {
  model: { id: MODEL, servedNames: [MODEL] },
  routing: { minPromptTokens: 0 },
  limits: { kvLeaseSeconds: LEASE_SECONDS - 5, prefillTimeoutSeconds: 90, ...limits },
});

/** How the last request was served. */
const lastHandoff = (of = router) => of.lines.filter(({ msg }) => msg === 'request').at(-1)?.handoff;

/** A router of one test's own. */
async function another(limits: object = {}, prefill?: string): Promise<TestRouter> {
  const other = await start(limits, prefill);
  others.push(other);
  return other;
}

/** AWS' SDK with its own retries, as an engine on a busy machine may miss a probe. */
function sdk(http1 = false, of = router): BedrockRuntimeClient {
  const client = new BedrockRuntimeClient({
    endpoint: of.url,
    region: 'us-east-2',
    token: { token: KEY },
    authSchemePreference: ['httpBearerAuth'],
    ...(http1 && { requestHandler: new NodeHttpHandler() }),
  });
  clients.push(client);
  return client;
}

async function converse(text: string, of = router): Promise<string> {
  const { output } = await sdk(true, of).send(new ConverseCommand({ modelId: MODEL, messages: user(text), ...CONVERSE_GREEDY }));
  return output!.message!.content!.map((block) => block.text ?? '').join('');
}

/** The truth: what one engine answers that reads the prompt itself. */
async function truth(text: string, completions = false): Promise<string> {
  const openai = new OpenAI({ baseURL: `${pair.prefill.url}/v1`, apiKey: 'none' });
  const asked = { model: MODEL, max_tokens: TOKENS, ...GREEDY };
  return completions
    ? (await openai.completions.create({ ...asked, prompt: text })).choices[0].text
    : (await openai.chat.completions.create({ ...asked, messages: chat(text) })).choices[0].message.content!;
}

beforeAll(async () => {
  pair = await EnginePair.start();
  router = await start();
}, 600_000);

afterEach(async () => {
  clients.forEach((client) => client.destroy());
  await Promise.all(others.map(async (other) => other.drain()));
  [clients, others] = [[], []];
});

afterAll(async () => {
  await router?.drain();
  await pair?.stop();
});

describe('a greedy answer through the pair is the one of a single engine', () => {
  const decode = (bytes: Uint8Array | undefined) => JSON.parse(new TextDecoder().decode(bytes));
  const askers: [string, (text: string) => Promise<string>][] = [
    ...[false, true].flatMap((http1): [string, (text: string) => Promise<string>][] => [
      [`AWS' SDK, Converse, HTTP/${http1 ? 1 : 2}`, async (text) => {
        const client = sdk(http1);
        const { output, usage, stopReason } = await client.send(new ConverseCommand({
          modelId: MODEL, messages: user(text), ...CONVERSE_GREEDY,
        }));
        expect([usage!.outputTokens, stopReason]).toEqual([TOKENS, 'max_tokens']);
        return output!.message!.content![0].text!;
      }],
      [`AWS' SDK, ConverseStream, HTTP/${http1 ? 1 : 2}`, async (text) => {
        const client = sdk(http1);
        const { stream } = await client.send(new ConverseStreamCommand({
          modelId: MODEL, messages: user(text), ...CONVERSE_GREEDY,
        }));
        let answer = '';
        let usage;
        for await (const { contentBlockDelta, metadata } of stream!) {
          answer += contentBlockDelta?.delta?.text ?? '';
          usage = metadata?.usage ?? usage;
        }
        expect(usage!.outputTokens).toBe(TOKENS);
        return answer;
      }],
      [`AWS' SDK, InvokeModel, HTTP/${http1 ? 1 : 2}`, async (text) => {
        const client = sdk(http1);
        const { body } = await client.send(new InvokeModelCommand({
          modelId: MODEL, body: JSON.stringify({ messages: chat(text), max_tokens: TOKENS, ...GREEDY }),
        }));
        return decode(body).choices[0].message.content;
      }],
      [`AWS' SDK, InvokeModelWithResponseStream, HTTP/${http1 ? 1 : 2}`, async (text) => {
        const client = sdk(http1);
        const { body } = await client.send(new InvokeModelWithResponseStreamCommand({
          modelId: MODEL, body: JSON.stringify({ messages: chat(text), max_tokens: TOKENS, ...GREEDY }),
        }));
        let answer = '';
        for await (const { chunk } of body!) {
          answer += decode(chunk?.bytes).choices?.[0]?.delta.content ?? '';
        }
        return answer;
      }],
    ]),
    ['boto3, Converse', async (text) => boto3(router.url, 'Converse', text, TOKENS)],
    ['boto3, ConverseStream', async (text) => boto3(router.url, 'ConverseStream', text, TOKENS)],
    ['boto3, InvokeModel', async (text) => boto3(router.url, 'InvokeModel', text, TOKENS)],
    ['boto3, InvokeModelWithResponseStream', async (text) => boto3(router.url, 'InvokeModelWithResponseStream', text, TOKENS)],
    ['OpenAI\'s SDK, chat completions', async (text) => {
      const openai = new OpenAI({ baseURL: `${router.url}/openai/v1`, apiKey: KEY });
      const { choices } = await openai.chat.completions.create({ model: MODEL, messages: chat(text), max_tokens: TOKENS, ...GREEDY });
      return choices[0].message.content!;
    }],
    ['OpenAI\'s SDK, streamed chat completions', async (text) => {
      const openai = new OpenAI({ baseURL: `${router.url}/v1`, apiKey: KEY });
      let answer = '';
      const stream = await openai.chat.completions.create({ model: MODEL, messages: chat(text), max_tokens: TOKENS, stream: true, ...GREEDY });
      for await (const chunk of stream) {
        answer += chunk.choices[0]?.delta.content ?? '';
      }
      return answer;
    }],
    ['OpenAI\'s SDK, completions', async (text) => {
      const openai = new OpenAI({ baseURL: `${router.url}/v1`, apiKey: KEY });
      return (await openai.completions.create({ model: MODEL, prompt: text, max_tokens: TOKENS, ...GREEDY })).choices[0].text;
    }],
  ];

  test.each(askers)('%s', async (client, ask) => {
    const text = prompt();
    const answer = await ask(text);
    expect(lastHandoff()).toBe('handed_off');
    expect(answer).toBe(await truth(text, client.endsWith('SDK, completions')));
  });

  test('prompts of every length, those of a block and less included', async () => {
    for (const words of [1, 2, 5, 13, 34]) {
      const text = prompt(words);
      expect([words, await converse(text)]).toEqual([words, await truth(text)]);
      expect(lastHandoff()).toBe('handed_off');
    }
  });

  test('many at once', async () => {
    const texts = Array.from({ length: 12 }, () => prompt(20));
    const answers = await Promise.all(texts.map(async (text) => converse(text)));
    expect(answers).toEqual(await Promise.all(texts.map(async (text) => truth(text))));
  });
});

test('CountTokens counts what the engine then reads', async () => {
  const client = sdk();
  const messages = user(prompt(30));
  const { inputTokens } = await client.send(new CountTokensCommand({ modelId: MODEL, input: { converse: { messages } } }));
  const { usage } = await client.send(new ConverseCommand({ modelId: MODEL, messages, inferenceConfig: { maxTokens: 1 } }));
  expect(inputTokens).toBe(usage!.inputTokens);
});

describe('what would go silently wrong', () => {
  const ask = async (body: object) => fetch(`${router.url}/v1/chat/completions`, {
    method: 'POST', headers: { 'authorization': `Bearer ${KEY}`, 'content-type': 'application/json' }, body: JSON.stringify({ model: MODEL, ...GREEDY, ...body }),
  });

  test('the prefill engine writes one token, whichever limits the caller gives', async () => {
    const text = prompt(40);
    const before = await pair.prefill.metric('vllm:generation_tokens_total');
    const response = await ask({
      messages: chat(text), max_tokens: 9, max_completion_tokens: TOKENS, min_tokens: 5, stream: true, stream_options: { include_usage: true },
    });
    const told = await response.text();
    expect([response.status, lastHandoff()]).toEqual([200, 'handed_off']);
    expect(await pair.prefill.metric('vllm:generation_tokens_total') - before).toBe(1);
    expect(told).toContain(`"completion_tokens":${TOKENS}`);
    expect(told).not.toContain('kv_transfer_params');
  });

  test.each<[string, object]>([
    ['several answers', { n: 2, temperature: 1 }],
    ['a tool that must be called', { tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }], tool_choice: 'required', max_tokens: 60 }],
  ])('%s are read by the engine that answers', async (_, more) => {
    const response = await ask({ messages: chat(prompt(20)), max_tokens: TOKENS, ...more });
    expect([response.status, lastHandoff()]).toEqual([200, 'not_eligible']);
  });

  test('several prompts in one request are read by the engine that answers', async () => {
    const prompts = [prompt(10), prompt(10)];
    const openai = new OpenAI({ baseURL: `${router.url}/v1`, apiKey: KEY });
    const { choices } = await openai.completions.create({ model: MODEL, prompt: prompts, max_tokens: TOKENS, ...GREEDY });
    expect(lastHandoff()).toBe('not_eligible');
    expect(choices.map(({ text }) => text)).toEqual(await Promise.all(prompts.map(async (text) => truth(text, true))));
  });

  test('the same prompt again, and another one after it, are answered rightly', async () => {
    const [one, other] = [prompt(60), prompt(60)];
    const want = [await converse(one), await converse(one), await converse(other)];
    expect(want).toEqual([await truth(one), await truth(one), await truth(other)]);
  });

  test('a caller that leaves frees both engines', async () => {
    const controller = new AbortController();
    const response = await fetch(`${router.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}` },
      signal: controller.signal,
      body: JSON.stringify({ model: MODEL, messages: chat(prompt(60)), max_tokens: 1500, stream: true, ...GREEDY }),
    });
    await response.body!.getReader().read();
    controller.abort();
    await until(async () => await pair.decode.metric('vllm:num_requests_running') === 0, 'the decode engine was let go');
    // blocks that a transfer has read are freed at the engine's next step.
    await truth(prompt(1));
    await until(async () => await pair.prefill.metric('vllm:kv_cache_usage_perc') === 0, 'the prefill engine has freed its blocks');
  });
});

describe('a prefill engine that lies', () => {
  let liar: Server;
  let disguise: (params: any) => unknown;

  beforeAll(async () => {
    liar = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
        void fetch(pair.prefill.url + request.url!, {
          method: request.method, headers: { 'content-type': 'application/json' }, body: request.method === 'POST' ? Buffer.concat(chunks) : undefined,
        }).then(async (answer) => {
          const text = await answer.text();
          const told = text.startsWith('{') ? JSON.parse(text) : undefined;
          response.writeHead(answer.status, { 'content-type': 'application/json' })
            .end(told === undefined ? text : JSON.stringify({ ...told, kv_transfer_params: disguise(told.kv_transfer_params) }));
        });
      });
    });
    await new Promise<void>((resolve) => liar.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => liar.close());

  test.each<[string, (params: any) => unknown, string]>([
    ['of no KV cache', () => undefined, 'fallback_params_invalid'],
    ['of an empty one', () => ({}), 'fallback_params_invalid'],
    ['in text', () => 'x', 'fallback_params_invalid'],
    ['without blocks', (params) => ({ ...params, remote_block_ids: [[]] }), 'fallback_params_invalid'],
    ['without the id of the request', ({ remote_request_id: _, ...params }) => params, 'fallback_params_invalid'],
    ['of a remote prefill alone', () => ({ do_remote_prefill: true }), 'fallback_params_invalid'],
    ['of an engine that is not there', (params) => ({ ...params, remote_engine_id: 'nope', remote_port: 5999 }), 'fallback_decode_failed'],
  ])('%s costs neither the answer nor an engine', async (_, lie, outcome) => {
    disguise = lie;
    const other = await another({}, `http://127.0.0.1:${(liar.address() as AddressInfo).port}`);
    const text = prompt(40);
    expect(await converse(text, other)).toBe(await truth(text));
    expect(lastHandoff(other)).toBe(outcome);
    expect([await pair.prefill.isWell(), await pair.decode.isWell()]).toEqual([true, true]);
  });

  test('a KV cache that is older than its lease is not used', async () => {
    const other = await another({ kvLeaseSeconds: 0.001 });
    const text = prompt(40);
    expect(await converse(text, other)).toBe(await truth(text));
    expect(lastHandoff(other)).toMatch(/^fallback_(lease|decode_failed)$/);
  });
});

describe('an engine that dies', () => {
  test('while it reads a prompt: the other engine answers', async () => {
    const text = prompt(100);
    const want = await truth(text);
    pair.prefill.pause();
    const asked = converse(text);
    await sleep(500);
    pair.prefill.kill();
    expect(await asked).toBe(want);
    expect(lastHandoff()).toBe('fallback_prefill_failed');
    expect(await converse(text)).toBe(want);
    expect(lastHandoff()).toMatch(/^(no_pair|fallback_prefill_failed)$/);
  });

  test('while it answers: the caller is told, and never that the answer is whole', async () => {
    const client = sdk();
    const { stream } = await client.send(new ConverseStreamCommand({
      modelId: MODEL, messages: user(prompt(10)), inferenceConfig: { maxTokens: 1500 }, additionalModelRequestFields: { ignore_eos: true },
    }));
    const iterator = stream![Symbol.asyncIterator]();
    await iterator.next();
    pair.decode.kill();
    await expect((async () => {
      while (!(await iterator.next()).done);
    })()).rejects.toMatchObject({ name: 'ModelStreamErrorException' });
    await expect(converse(prompt(1))).rejects.toMatchObject({ name: expect.stringMatching(/^(ServiceUnavailableException|ModelErrorException)$/) });
  });
});
