import { SrvRecord } from 'node:dns';
import fc from 'fast-check';
import { TargetConfig } from '../../../../src/router/runtime/config';
import { BLOCK_BYTES, readPrompt } from '../../../../src/router/runtime/paths/prompt';
import { Endpoint } from '../../../../src/router/runtime/targets/endpoint';
import { Engines } from '../../../../src/router/runtime/targets/engines';
import { Target } from '../../../../src/router/runtime/targets/target';
import { MAX_BLOCKS, Prompt, ReadPrompts } from '../../../../src/routing';
import { VllmPair } from '../handoff/vllm-pair';
import { asManyAsAsked, ask, Behaviour, COMPLETION, KEY, MockEngine, MODEL, routerFor, TestRouter, wholly } from '../harness';

const mockRecords: { [name: string]: SrvRecord[] } = {};
jest.mock('node:dns/promises', () => ({ Resolver: class { public resolveSrv = async (name: string) => mockRecords[name]; } }));

const NO_PROMPT: Prompt = { tokens: 0, sharePerBlock: 0, blocks: new Int32Array(0) };
const messages = (...contents: string[]) => contents.map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content }));
const promptOf = (more: object, scope = 'caller', tokens = 1000): Prompt => {
  const body = { model: MODEL, ...more };
  return readPrompt({ path: '/v1/chat/completions', model: MODEL, stream: false, bytes: Buffer.from(JSON.stringify(body)), body }, tokens, scope);
};
const shared = (one: Prompt, other: Prompt) => {
  const at = one.blocks.findIndex((block, i) => block !== other.blocks[i]);
  return at === -1 ? one.blocks.length : at;
};
const text = (length: number, seed = 0) => Array.from({ length: Math.ceil(length / 6) }, (_, i) => `w${(i * 7919 + seed * 104729) % 9973} `).join('').slice(0, length);

describe('a prompt', () => {
  test('shares the blocks of what comes first, and none after what differs', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 8000 }), fc.string({ maxLength: 900 }), fc.string({ maxLength: 900 }), (length, one, other) => {
      const [left, right] = [one, other].map((end) => ({ messages: messages(text(length) + end) }));
      const [first, second] = [left, right].map((body) => JSON.stringify(body).slice(1));
      let equal = 0;
      while (equal < first.length && first[equal] === second[equal]) {
        equal++;
      }
      expect(shared(promptOf(left), promptOf(right))).toBe(Math.floor(equal / BLOCK_BYTES));
    }));
  });

  test('shares them with the next turn of its conversation, whatever else is asked for', () => {
    const turn = promptOf({ temperature: 0.5, messages: messages(text(3000)), max_tokens: 10 });
    const next = promptOf({ temperature: 0.7, stream: true, messages: messages(text(3000), text(900, 1), text(500, 2)) });
    expect(shared(turn, next)).toBe(Math.floor(3000 / BLOCK_BYTES));
  });

  test('shares nothing with that of another caller, or with another salt', () => {
    const body = { messages: messages(text(3000)) };
    expect(shared(promptOf(body, 'one'), promptOf(body, 'other'))).toBe(0);
    expect(shared(promptOf({ ...body, cache_salt: 'a' }), promptOf({ ...body, cache_salt: 'b' }))).toBe(0);
    expect(shared(promptOf({ ...body, cache_salt: 'a' }), promptOf({ ...body, cache_salt: 'a' }))).toBeGreaterThan(0);
    expect(shared(promptOf({ ...body, cache_salt: 'a' }, 'one'), promptOf({ ...body, cache_salt: 'a' }, 'other'))).toBe(0);
  });

  test('is none where tokens are only counted', () => {
    const body = { messages: messages(text(3000)) };
    const asked = { path: '/tokenize', model: MODEL, stream: false, bytes: Buffer.from(JSON.stringify(body)), body };
    expect(readPrompt(asked, 1000, 'caller').blocks).toHaveLength(0);
  });

  test('has a bounded number of blocks, and none if it is short', () => {
    expect([promptOf({ messages: messages('hi') }).blocks.length, promptOf({ messages: messages('x'.repeat(4e6)) }).blocks.length]).toEqual([0, MAX_BLOCKS]);
  });
});

describe('what an engine was given', () => {
  const blocksFrom = (first: number, count: number): Prompt => ({
    tokens: count * 128, sharePerBlock: 1 / count, blocks: Int32Array.from({ length: count }, (_, i) => first + i),
  });

  test('is known as far as it was given, and within bounded memory', () => {
    // prompts are runs of numbers within a family, so that those of one family share what comes first.
    const prompts = fc.array(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1, max: MAX_BLOCKS })), { maxLength: 80 });
    fc.assert(fc.property(prompts, (given) => {
      const read = new ReadPrompts();
      const longest = new Map<number, number>();
      for (const [family, count] of given) {
        const prompt = blocksFrom(family * 1e6, count);
        expect(read.blocksOf(prompt)).toBeLessThanOrEqual(Math.min(count, longest.get(family) ?? 0));
        read.add(prompt);
        longest.set(family, Math.max(count, longest.get(family) ?? 0));
        expect(read.blocksOf(prompt)).toBe(count);
        expect(read.blocksOf(blocksFrom(family * 1e6, MAX_BLOCKS))).toBeLessThanOrEqual(longest.get(family)!);
      }
      expect(read.size).toBeLessThanOrEqual(2 * 8 * MAX_BLOCKS);
    }), { numRuns: 40 });
  });

  test('is forgotten, the oldest first, however much there is', () => {
    const read = new ReadPrompts();
    for (let i = 0; i < 200; i++) {
      read.add(blocksFrom(i * 1e6, MAX_BLOCKS));
      read.add(blocksFrom(-5e6, 10));
      expect(read.size).toBeLessThanOrEqual(2 * 8 * MAX_BLOCKS);
    }
    expect([read.blocksOf(blocksFrom(0, 10)), read.blocksOf(blocksFrom(199e6, 10)), read.blocksOf(blocksFrom(-5e6, 10))]).toEqual([0, 10, 10]);
  });

  test('counts as cached only as far as the engine has said that it was', () => {
    const read = new ReadPrompts();
    const prompt = blocksFrom(0, 10);
    read.add(prompt);
    expect(read.cachedTokens(prompt)).toBe(0);
    read.learn(prompt, 10, 1024);
    expect(read.cachedTokens(prompt)).toBeCloseTo(1024);
    read.learn(prompt, 0, 0);
    expect(read.confidence).toBeCloseTo(0.8);
    for (let i = 0; i < 200; i++) {
      read.learn(prompt, 10, 0);
    }
    expect(read.cachedTokens(prompt)).toBeLessThan(1);
    read.learn(prompt, 10, 1e9);
    expect(read.confidence).toBeLessThanOrEqual(1);
  });
});

describe('a target', () => {
  let engines: MockEngine[];
  const config: TargetConfig = { name: 't', role: 'decode', protocol: 'openai', srv: 't', maxInFlight: 1000, prefixLoadFactor: 1.25 };
  const targetOf = async (more: Partial<TargetConfig> = {}, addresses = async () => engines.map(({ url }) => url)) => {
    const target = new Target({ ...config, ...more }, new Engines({ ...config, ...more }, undefined, { addresses }));
    await target.engines.discover();
    return target;
  };
  const next = (target: Target, prompt: Prompt) => target.next(new Set(), prompt)!;
  const conversation = (name: number, turns = 1) =>
    promptOf({ messages: messages(...Array.from({ length: turns }, (_, i) => text(2000, name * 100 + i))) });

  beforeAll(async () => {
    engines = await Promise.all([1, 2, 3].map(async () => MockEngine.start(wholly({}))));
  });
  afterAll(async () => {
    await Promise.all(engines.map(async (engine) => engine.stop()));
  });

  test('gives a conversation to the engine that has its beginning where none has more to do, and others to all in turn', async () => {
    const target = await targetOf();
    const homes = [0, 1, 2, 3, 4, 5].map((name) => {
      const home = next(target, conversation(name));
      target.take(home, conversation(name));
      home.release();
      return home;
    });
    target.engines.endpoints.forEach((endpoint) => expect(homes.filter((home) => home === endpoint)).toHaveLength(2));
    for (const turns of [2, 3, 4]) {
      for (const name of [5, 0, 3, 1, 4, 2]) {
        const endpoint = next(target, conversation(name, turns));
        expect(endpoint).toBe(homes[name]);
        target.take(endpoint, conversation(name, turns));
        endpoint.release();
      }
    }
    await target.engines.stop();
  });

  test('never gives an engine more than its share over the one with the least to do', async () => {
    const target = await targetOf();
    const { endpoints } = target.engines;
    const prompt = conversation(9);
    const given = fc.tuple(fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 3, maxLength: 3 }), fc.integer({ min: 0, max: 2 }));
    fc.assert(fc.property(given, ([loads, knowing]) => {
      endpoints[knowing].prompts.add(prompt);
      endpoints.forEach((endpoint, i) => Array.from({ length: loads[i] }, () => endpoint.take()));
      const chosen = next(target, prompt);
      const most = Math.ceil(1.25 * (Math.min(...loads) + 1));
      expect(chosen.sequences + 1).toBeLessThanOrEqual(Math.max(most, Math.min(...loads) + 1));
      if (loads[knowing] + 1 <= most && endpoints.every((other) => other === endpoints[knowing] || other.prompts.blocksOf(prompt) === 0)) {
        expect(chosen).toBe(endpoints[knowing]);
      }
      endpoints.forEach((endpoint, i) => Array.from({ length: loads[i] }, () => endpoint.release()));
    }));
    await target.engines.stop();
  });

  test('never gives a prefill engine more tokens to read than its share over the one with the fewest', async () => {
    const target = await targetOf({ role: 'prefill' });
    const { endpoints } = target.engines;
    const prompt = conversation(9);
    endpoints[0].prompts.add(prompt);
    endpoints[0].prompts.learn(prompt, prompt.blocks.length, prompt.tokens);
    const left = (endpoint: Endpoint) => endpoint.queuedPromptTokens + prompt.tokens - endpoint.prompts.cachedTokens(prompt);
    fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 5000 }), { minLength: 3, maxLength: 3 }), (queued) => {
      const wereRead = queued.map((tokens, i) => endpoints[i].reads(tokens));
      const chosen = next(target, prompt);
      const freest = endpoints.reduce((best, endpoint) => (endpoint.queuedPromptTokens < best.queuedPromptTokens ? endpoint : best));
      expect(left(chosen)).toBeLessThanOrEqual(1.25 * left(freest));
      // the engine that has it need not read it: to wait there for less than that is no loss.
      if (queued[0] <= Math.min(...queued) + 900) {
        expect(chosen).toBe(endpoints[0]);
      }
      wereRead.forEach((wasRead) => wasRead());
    }));
    await target.engines.stop();
  });

  test('lets it decide between equals alone with a factor of 1', async () => {
    const target = await targetOf({ prefixLoadFactor: 1 });
    const [a] = target.engines.endpoints;
    a.prompts.add(conversation(1));
    expect(next(target, conversation(1))).toBe(a);
    a.take();
    expect(next(target, conversation(1))).not.toBe(a);
    a.release();
    await target.engines.stop();
  });

  test('forgets an engine that leaves, whatever comes in its place', async () => {
    let urls = engines.map(({ url }) => url);
    const target = await targetOf({}, async () => urls);
    target.engines.endpoints.forEach((endpoint) => endpoint.prompts.add(conversation(1)));
    const gone = urls[0];
    urls = urls.slice(1);
    await target.engines.discover();
    urls = [gone, ...urls];
    await target.engines.discover();
    expect(target.engines.endpoints.map(({ prompts }) => prompts.size > 0)).toEqual([false, true, true]);
    expect(next(target, NO_PROMPT)).toBeDefined();
    await target.engines.stop();
  });
});

describe('the router', () => {
  const running: { stop(): Promise<void> }[] = [];
  let router: TestRouter;
  const usage = (prompt: number, cached?: number) => ({
    prompt_tokens: prompt,
    completion_tokens: 1,
    total_tokens: prompt + 1,
    ...(cached !== undefined && { prompt_tokens_details: { cached_tokens: cached } }),
  });
  const answering = (told: object): Behaviour => (response, received) =>
    wholly({ ...COMPLETION, choices: asManyAsAsked(COMPLETION.choices, received.body), usage: told })(response, received);

  afterEach(async () => {
    await router.drain();
    await Promise.all(running.splice(0).map(async (engine) => engine.stop()));
  });

  test('sends the turns of a conversation to one engine, those of other callers to others', async () => {
    const engines = await Promise.all([1, 2].map(async () => MockEngine.start(answering(usage(500, 400)))));
    running.push(...engines);
    mockRecords.both = engines.map(({ port }) => ({ name: '127.0.0.1', port, priority: 1, weight: 1 }));
    router = await routerFor([{ name: 't', role: 'aggregated', protocol: 'openai', srv: 'both' }], {}, { KEYS: `${KEY}\nother-key-of-a-caller` });
    const say = async (turns: number, key = KEY) => (await ask(
      router.url, { model: MODEL, messages: messages(...Array.from({ length: turns }, (_, i) => text(1500, i))) }, { authorization: `Bearer ${key}` })).json();
    for (let turns = 1; turns <= 3; turns++) {
      await say(turns);
    }
    const counts = engines.map(({ requests }) => requests.length);
    expect([...counts].sort()).toEqual([0, 3]);
    await say(3, 'other-key-of-a-caller');
    expect(engines.map(({ requests }) => requests.length).sort()).toEqual([1, 3]);
    expect(await router.metrics.registry.getSingleMetricAsString('router_prompt_tokens_total')).toContain(
      'router_prompt_tokens_total{target="t",source="cache"} 1600\nrouter_prompt_tokens_total{target="t",source="read"} 400');
  });

  test('lets an engine read what is new of a long prompt, once it says that it has the rest', async () => {
    const pair = await VllmPair.start();
    running.push(pair);
    router = await routerFor([
      { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector: 'NixlConnector', prefill: 'prefill' },
      { name: 'prefill', role: 'prefill', protocol: 'openai', url: pair.prefill.url, kvConnector: 'NixlConnector' },
    ], { routing: { minPromptTokens: 512 } });
    const route = async (body: object) => {
      const response = await ask(router.url, { model: MODEL, ...body });
      await response.text();
      return response.headers.get('x-router-route');
    };
    const long = { messages: messages(text(8000)) };
    expect([await route(long), await route(long)]).toEqual(['disaggregated; reason=long_prompt', 'disaggregated; reason=long_prompt']);
    // what it reads itself, it tells of.
    const told = (cached: number) => {
      pair.decode.behaviour = answering(usage(2000, cached));
    };
    told(1990);
    expect(await route({ ...long, n: 2 })).toBe('aggregated; reason=not_eligible');
    expect(await route(long)).toBe('aggregated; reason=short_prompt');
    expect(await route({ messages: messages(text(8000, 5)) })).not.toBe('aggregated; reason=short_prompt');
    told(0);
    for (let i = 0; i < 8; i++) {
      await route({ ...long, n: 2 });
    }
    expect(await route(long)).toBe('disaggregated; reason=long_prompt');
  });
});
