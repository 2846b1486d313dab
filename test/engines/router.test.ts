import { BedrockRuntimeClient, ConverseCommand, ConverseCommandInput, ConverseStreamCommand, CountTokensCommand } from '@aws-sdk/client-bedrock-runtime';
import { Asker, ASKERS, chat, CONVERSE_GREEDY, GREEDY, openaiFor, sdkFor, TOKENS, user } from './askers';
import { Between } from './between';
import { Boto3, OPERATIONS } from './boto3';
import { BLOCK_TOKENS, EnginePair, LEASE_SECONDS, MODEL } from './engine-pair';
import { KEY, routerFor, sleep, TestRouter, until } from '../router/runtime/harness';

// two engines and their transports share the cores of one machine.
jest.setTimeout(600_000);

const METRICS = { path: '/metrics' };
const EXPIRED = 'vllm:nixl_num_kv_expired_reqs_total';

let pair: EnginePair;
/** A router of the pair. */
let router: TestRouter;
/** A router of the decode engine alone. */
let alone: TestRouter;
let others: TestRouter[] = [];
let clients: BedrockRuntimeClient[] = [];
let sequence = 0;

/** A prompt that no engine has seen. */
const prompt = (lines = 40) => Array.from({ length: lines }, (_, i) => `def f${sequence++}_${i}(x): return x`).join('\n');

const start = async ({ prefill = pair.prefill.url, decode = pair.decode.url, limits = {} }) => routerFor([
  { name: 'prefill', role: 'prefill', protocol: 'openai', url: prefill, kvConnector: 'NixlConnector', kvBlockTokens: BLOCK_TOKENS, metrics: METRICS },
  { name: 'decode', role: 'decode', protocol: 'openai', url: decode, kvConnector: 'NixlConnector', prefill: 'prefill', metrics: METRICS },
], {
  model: { id: MODEL, servedNames: [MODEL] },
  routing: { minPromptTokens: 0 },
  limits: { kvLeaseSeconds: LEASE_SECONDS - 5, prefillTimeoutSeconds: 90, firstByteTimeoutSeconds: 240, ...limits },
});

/** A router of one test's own. */
async function another(how: Parameters<typeof start>[0]): Promise<TestRouter> {
  const other = await start(how);
  others.push(other);
  await areUp(other, ['prefill', 'decode']);
  return other;
}

/** Waits until a router counts its targets as well: an engine that is starved of a core may miss a probe. */
async function areUp({ url }: TestRouter, targets: string[]): Promise<void> {
  await eventually(async () => {
    const metrics = await (await fetch(`${url}/metrics`)).text();
    return targets.every((target) => metrics.includes(`router_upstream_healthy{target="${target}"} 1`));
  }, 120);
}

function sdk(of = router, http1 = false): BedrockRuntimeClient {
  const client = sdkFor(of.url, http1);
  clients.push(client);
  return client;
}

/** An answer, and how the request was served. */
async function served<T>(of: TestRouter, ask: () => Promise<T>): Promise<{ answer: T; handoff: string | undefined }> {
  const requests = () => of.lines.filter(({ msg }) => msg === 'request');
  const before = requests().length;
  const answer = await ask();
  await until(() => requests().length > before, 'the request is logged');
  return { answer, handoff: requests().at(-1)!.handoff };
}

/** What is told in JSON. */
const jsonOf = async (response: Response): Promise<any> => response.json();

const post = async (url: string, body: object, signal?: AbortSignal) => fetch(`${url}/v1/chat/completions`, {
  method: 'POST',
  headers: { 'authorization': `Bearer ${KEY}`, 'content-type': 'application/json' },
  body: JSON.stringify({ model: MODEL, max_tokens: TOKENS, ...GREEDY, ...body }),
  signal,
});

/** The text of a greedy answer. Throws if there is none, or it is told to be broken. */
async function textOf(url: string, text: string, stream: boolean): Promise<string> {
  const response = await post(url, { messages: chat(text), stream });
  const told = await response.text();
  expect([response.status, told.includes('"error"') ? told : 'well']).toEqual([200, 'well']);
  if (!stream) {
    return JSON.parse(told).choices[0].message.content;
  }
  const events = told.split('\n\n').filter((event) => event !== '');
  expect(events.pop()).toBe('data: [DONE]');
  return events.map((event) => JSON.parse(event.slice('data: '.length)).choices[0]?.delta.content ?? '').join('');
}

/** The truth: what one engine answers that reads the prompt itself. */
async function truth(text: string, kind?: Asker['kind']): Promise<string> {
  const openai = openaiFor(pair.prefill.url);
  const asked = { model: MODEL, max_tokens: TOKENS, temperature: 0, ignore_eos: kind !== 'responses' };
  return kind === 'completions'
    ? (await openai.completions.create({ ...asked, prompt: text })).choices[0].text
    : (await openai.chat.completions.create({ ...asked, messages: chat(text) })).choices[0].message.content!;
}

/** Both engines serve on. */
async function expectBothWell(): Promise<void> {
  expect([await pair.prefill.isWell(), await pair.decode.isWell()]).toEqual([true, true]);
}

/** Both engines have nothing to do, and hold nothing. */
async function expectFreed(): Promise<void> {
  const { prefill, decode } = pair;
  await eventually(async () => await decode.metric('vllm:num_requests_running') + await decode.metric('vllm:num_requests_waiting') === 0, 120);
  await eventually(async () => {
    // what was read, or has expired, is freed at the engine's next step.
    await truth('x');
    return await prefill.metric('vllm:kv_cache_usage_perc') === 0;
  }, 3 * LEASE_SECONDS);
  await expectBothWell();
}

/** Waits for what engines do in their own time. */
async function eventually(holds: () => Promise<boolean>, seconds: number): Promise<void> {
  for (const end = Date.now() + seconds * 1000; !await holds();) {
    if (Date.now() > end) {
      throw new Error(`not within ${seconds} s: ${holds}`);
    }
    await sleep(500);
  }
}

beforeAll(async () => {
  pair = await EnginePair.start();
  router = await start({});
  alone = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: pair.decode.url }], { model: { id: MODEL, servedNames: [MODEL] } });
  // the first transfer of a pair is the one that connects them.
  await textOf(router.url, prompt(1), false);
}, 1_200_000);

beforeEach(async () => {
  await areUp(alone, ['engine']);
  await areUp(router, pair.prefill.isKilled ? ['decode'] : ['prefill', 'decode']);
});

afterEach(async () => {
  clients.forEach((client) => client.destroy());
  await Promise.all(others.map(async (other) => other.drain()));
  [clients, others] = [[], []];
});

afterAll(async () => {
  await Promise.all([router?.drain(), alone?.drain()]);
  pair?.stop();
});

describe('a greedy answer is the one of a single engine, whoever reads the prompt', () => {
  const bySdks: { [url: string]: Boto3 } = {};
  afterAll(async () => Promise.all(Object.values(bySdks).map(async (boto3) => boto3.stop())));

  test.each<Asker>([...ASKERS, ...OPERATIONS.map((operation) => ({
    name: `boto3, ${operation}`,
    ask: async (url: string, text: string) => (bySdks[url] ??= new Boto3(url)).ask(operation, text, TOKENS),
  }))])('$name', async ({ ask, kind }) => {
    for (const [of, expected] of [[router, 'handed_off'], [alone, undefined]] as const) {
      const text = prompt();
      const { answer, handoff } = await served(of, async () => ask(of.url, text));
      expect([handoff, answer]).toEqual([expected, await truth(text, kind)]);
    }
  });

  test('prompts of every length, those of a block and less included', async () => {
    for (const lines of [0, 1, 2, 3, 5, 13, 34]) {
      const text = `${lines}${prompt(lines)}`;
      const { answer, handoff } = await served(router, async () => textOf(router.url, text, true));
      expect([lines, handoff, answer]).toEqual([lines, 'handed_off', await truth(text)]);
    }
  });

  test('many at once', async () => {
    const texts = Array.from({ length: 12 }, () => prompt(20));
    const answers = await Promise.all(texts.map(async (text, i) => textOf(router.url, text, i % 2 === 0)));
    expect(answers).toEqual(await Promise.all(texts.map(async (text) => truth(text))));
  });
});

test('CountTokens counts what the engine then reads', async () => {
  const messages = user(prompt(30));
  const { inputTokens } = await sdk().send(new CountTokensCommand({ modelId: MODEL, input: { converse: { messages } } }));
  const { usage } = await sdk().send(new ConverseCommand({ modelId: MODEL, messages, inferenceConfig: { maxTokens: 1 } }));
  expect(inputTokens).toBe(usage!.inputTokens);
});

test('engines tell the router what others ask of them', async () => {
  const tells = async (line: string) => (await (await fetch(`${router.url}/metrics`)).text()).split('\n').includes(line);
  const running = (requests: number) => `router_upstream_requests{target="decode",state="running"} ${requests}`;
  await eventually(async () => await tells('router_upstream_reporting{target="prefill"} 1') && await tells(running(0)), 120);
  const caller = new AbortController();
  const asking = (async () => {
    // an answer may have ended before the engine's report of it comes: then there is another.
    for (;;) {
      await (await post(pair.decode.url, { messages: chat(prompt(1)), max_tokens: 3000, stream: true }, caller.signal)).text();
    }
  })();
  try {
    await Promise.race([asking, eventually(async () => tells(running(1)), 120)]);
  } finally {
    caller.abort();
  }
  await expect(asking).rejects.toThrow('abort');
  await eventually(async () => tells(running(0)), 120);
});

describe('a request', () => {
  test('has one token written by the prefill engine, whichever limits the caller gives', async () => {
    const text = prompt();
    const before = await pair.prefill.metric('vllm:generation_tokens_total');
    const { answer, handoff } = await served(router, async () => post(router.url, {
      messages: chat(text), max_tokens: 9, max_completion_tokens: TOKENS, min_tokens: 5, stream: true, stream_options: { include_usage: true },
    }).then(async (response) => response.text()));
    expect(handoff).toBe('handed_off');
    expect(await pair.prefill.metric('vllm:generation_tokens_total') - before).toBe(1);
    expect(answer).toContain(`"completion_tokens":${TOKENS}`);
    expect(answer).not.toContain('kv_transfer_params');
  });

  test('for the ids of its tokens is handed on, and told the right ones', async () => {
    const asked = { messages: chat(prompt()), return_token_ids: true };
    const { answer, handoff } = await served(router, async () => jsonOf(await post(router.url, asked)));
    const { prompt_token_ids, choices } = await jsonOf(await post(pair.prefill.url, asked));
    expect(handoff).toBe('handed_off');
    expect(prompt_token_ids.length).toBeGreaterThan(BLOCK_TOKENS);
    expect(answer.prompt_token_ids).toEqual(prompt_token_ids);
    expect(answer.choices[0].token_ids).toEqual(choices[0].token_ids);
    expect(answer).not.toHaveProperty('kv_transfer_params');
  });

  const FUNCTION = { type: 'function', function: { name: 'f', parameters: { type: 'object', properties: { a: { type: 'string' } } } } };
  test.each<[string, object, unknown]>([
    ['left to choose', { tool_choice: 'auto' }, 'handed_off'],
    ['forbidden', { tool_choice: 'none' }, 'handed_off'],
    ['named', { tool_choice: { type: 'function', function: { name: 'f' } }, max_tokens: 60 }, 'handed_off'],
    ['required', { tool_choice: 'required', max_tokens: 60 }, 'not_eligible'],
  ])('with a tool that is %s is answered as by one engine', async (_, more, expected) => {
    const asked = { messages: chat(prompt(20)), tools: [FUNCTION], ...more };
    const { answer, handoff } = await served(router, async () => post(router.url, asked));
    const said = async (response: Response) => {
      const { choices: [{ message: { content, tool_calls: calls }, finish_reason: reason }] } = await jsonOf(response);
      return { content, reason, calls: (calls ?? []).map((call: any) => call.function) };
    };
    expect([answer.status, handoff]).toEqual([200, expected]);
    expect(await said(answer)).toEqual(await said(await post(pair.prefill.url, asked)));
  });

  test('for several answers is read by the engine that answers, which refuses greedy ones', async () => {
    const statuses = [];
    for (const temperature of [1, 0]) {
      const { answer, handoff } = await served(router, async () => post(router.url, { messages: chat(prompt(20)), n: 2, temperature }));
      statuses.push([answer.status, handoff, (await jsonOf(answer)).choices?.length]);
    }
    expect(statuses).toEqual([[200, 'not_eligible', 2], [400, 'not_eligible', undefined]]);
  });

  test('of several prompts is read by the engine that answers', async () => {
    const prompts = [prompt(10), prompt(10)];
    const { answer: { choices }, handoff } = await served(router, async () => (
      openaiFor(router.url).completions.create({ model: MODEL, prompt: prompts, max_tokens: TOKENS, ...GREEDY })));
    expect(handoff).toBe('not_eligible');
    expect(choices.map(({ text }) => text)).toEqual(await Promise.all(prompts.map(async (text) => truth(text, 'completions'))));
  });

  test('that names a KV cache is refused, in every way to ask, and reaches no engine', async () => {
    const params = { do_remote_prefill: true, remote_block_ids: [[1]], remote_engine_id: 'e', remote_request_id: 'r', remote_host: '127.0.0.1', remote_port: 1 };
    const values: Exclude<ConverseCommandInput['additionalModelRequestFields'], undefined>[] = [params, { do_remote_prefill: true }, {}, null, 'x'];
    for (const kv_transfer_params of values) {
      expect((await post(router.url, { messages: chat(prompt(1)), kv_transfer_params })).status).toBe(400);
      await expect(sdk().send(new ConverseCommand({
        modelId: MODEL, messages: user(prompt(1)), additionalModelRequestFields: { kv_transfer_params },
      }))).rejects.toMatchObject({ name: 'ValidationException' });
    }
    await expectBothWell();
  });
});

describe('a KV cache', () => {
  test('is used once: the same prompt again, and another one after it, are answered rightly', async () => {
    const [one, other] = [prompt(), prompt()];
    for (const text of [one, one, other]) {
      const { answer, handoff } = await served(router, async () => textOf(router.url, text, true));
      expect([handoff, answer]).toEqual(['handed_off', await truth(text)]);
    }
  });

  test.each([true, false])('that is older than its lease is not used, nor left in the cache of the engine that answers, stream %p', async (stream) => {
    // every KV cache is older than that.
    const other = await another({ limits: { kvLeaseSeconds: 1e-9 } });
    const text = prompt();
    const { answer, handoff } = await served(other, async () => textOf(other.url, text, stream));
    expect([handoff, answer, await textOf(alone.url, text, stream)]).toEqual(['fallback_lease', await truth(text), answer]);
  });

  test('that nobody fetches is freed at the end of its lease', async () => {
    const between = await Between.start(pair.prefill.url);
    try {
      const other = await another({ prefill: between.url });
      const expired = await pair.prefill.metric(EXPIRED);
      const caller = new AbortController();
      between.onAnswer = (answer) => {
        caller.abort();
        return answer;
      };
      await expect(post(other.url, { messages: chat(prompt()) }, caller.signal)).rejects.toThrow('abort');
      await expectFreed();
      expect(await pair.prefill.metric(EXPIRED)).toBeGreaterThan(expired);
    } finally {
      between.stop();
    }
  });
});

describe('a caller that leaves frees both engines', () => {
  const LONG = { max_tokens: 1500, stream: true };

  test('in the middle of the answer', async () => {
    const caller = new AbortController();
    const response = await post(router.url, { messages: chat(prompt()), ...LONG }, caller.signal);
    await response.body!.getReader().read();
    caller.abort();
    await expectFreed();
  });

  test('as soon as the KV cache is handed on', async () => {
    const between = await Between.start(pair.decode.url);
    try {
      const other = await another({ decode: between.url });
      const caller = new AbortController();
      between.onRequest = () => {
        setTimeout(() => caller.abort(), 20);
      };
      // an engine that is quick has begun to answer by then.
      const answer = post(other.url, { messages: chat(prompt()), ...LONG }, caller.signal).then(async (response) => response.text());
      await expect(answer).rejects.toThrow('abort');
      await expectFreed();
    } finally {
      between.stop();
    }
  });
});

describe('a prefill engine', () => {
  let between: Between;
  beforeAll(async () => {
    between = await Between.start(pair.prefill.url);
  });
  afterAll(() => between?.stop());

  test.each<[string, (params: any) => unknown, string]>([
    ['no KV cache', () => undefined, 'fallback_params_invalid'],
    ['null', () => null, 'fallback_params_invalid'],
    ['an empty one', () => ({}), 'fallback_params_invalid'],
    ['one in text', () => 'x', 'fallback_params_invalid'],
    ['one without blocks', (params) => ({ ...params, remote_block_ids: [[]] }), 'fallback_params_invalid'],
    ['one of too few blocks', (params) => ({ ...params, remote_block_ids: params.remote_block_ids.map((ids: number[]) => ids.slice(1)) }), 'fallback_params_invalid'],
    ['one without the id of the request', ({ remote_request_id: _, ...params }) => params, 'fallback_params_invalid'],
    ['a remote prefill alone', () => ({ do_remote_prefill: true }), 'fallback_params_invalid'],
    ['one of an engine that is not there', (params) => ({ ...params, remote_engine_id: 'nope', remote_port: 5999 }), 'fallback_decode_failed'],
  ])('that tells of %s costs neither the answer nor an engine', async (_, lie, expected) => {
    between.onAnswer = (answer) => ({ ...answer, kv_transfer_params: lie(answer.kv_transfer_params) });
    const other = await another({ prefill: between.url });
    for (const stream of [false, true]) {
      const text = prompt();
      const { answer, handoff } = await served(other, async () => textOf(other.url, text, stream));
      expect([handoff, answer]).toEqual([expected, await truth(text)]);
    }
    await expectBothWell();
  });

  test('that stands still is not waited for', async () => {
    const other = await another({ limits: { prefillTimeoutSeconds: 2 } });
    const text = prompt();
    const want = await truth(text);
    pair.prefill.pause();
    try {
      const { answer, handoff } = await served(other, async () => textOf(other.url, text, true));
      expect([handoff, answer]).toEqual(['fallback_prefill_failed', want]);
    } finally {
      pair.prefill.resume();
    }
    await eventually(async () => pair.prefill.isWell(), 60);
  });

  test('that dies before its KV cache is fetched, or was dead before, costs no answer', async () => {
    const texts = [prompt(), prompt(), prompt()];
    const want = [];
    for (const text of texts) {
      want.push(await truth(text));
    }
    let told: any;
    between.onAnswer = (answer) => {
      told = answer;
      pair.prefill.kill();
      return answer;
    };
    // the decode engine learns of the death by its connection at once, or, on a machine with much else to do, not at all: streams do not wait for it then.
    const other = await another({ prefill: between.url, limits: { kvLeaseSeconds: 20 } });
    const gaveUp = expect.stringMatching(/^fallback_(decode_failed|lease)$/);
    const first = await served(other, async () => textOf(other.url, texts[0], true));
    expect([first.handoff, first.answer]).toEqual([gaveUp, want[0]]);

    // as if its death was not known yet.
    between.instead = told;
    const second = await served(other, async () => textOf(other.url, texts[1], first.handoff === 'fallback_lease'));
    expect([second.handoff, second.answer]).toEqual([gaveUp, want[1]]);

    const third = await served(router, async () => textOf(router.url, texts[2], true));
    expect([third.handoff, third.answer]).toEqual([expect.stringMatching(/^(no_pair|fallback_prefill_failed)$/), want[2]]);
    expect(await pair.decode.isWell()).toBe(true);
  });
});

test('a decode engine that dies while it answers: the caller is told, and never that the answer is whole', async () => {
  // an answer that is far from its end when this process, which has a core with two engines, gets to read its beginning
  const { stream } = await sdk().send(new ConverseStreamCommand({
    modelId: MODEL, messages: user(prompt(10)), inferenceConfig: { maxTokens: 3500 }, additionalModelRequestFields: { ignore_eos: true },
  }));
  const iterator = stream![Symbol.asyncIterator]();
  await iterator.next();
  pair.decode.kill();
  await expect((async () => {
    while (!(await iterator.next()).done);
  })()).rejects.toMatchObject({ name: 'ModelStreamErrorException' });
  await expect(sdk(router, true).send(new ConverseCommand({ modelId: MODEL, messages: user(prompt(1)), ...CONVERSE_GREEDY })))
    .rejects.toMatchObject({ name: expect.stringMatching(/^(ServiceUnavailableException|ModelErrorException)$/) });
});
