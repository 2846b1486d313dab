import { ask, chat, chunkOf, COMPLETION, delta, DONE, drained, lastLineOf, MockEngine, MODEL, Received, ROLE, routerFor, sse, streaming, TestRouter, until, wholly } from '../harness';

const USAGE = { prompt_tokens: 12, completion_tokens: 3, total_tokens: 15 };
const TOKENS = ['one', ' two', ' three'];

/** An engine that tells usage as OpenAI's API says: in a chunk of its own, to who asks. */
const counting = (chunks: object[]) => (response: any, received: Received) => streaming([
  ROLE, ...chunks, ...(received.body.stream_options?.include_usage ? [{ object: 'chat.completion.chunk', choices: [], usage: USAGE }] : []),
])(response, received);
const ENDED = [...TOKENS.map(chunkOf), delta({}, 'stop')];

let engine: MockEngine;
let router: TestRouter;
const start = async (behaviour: MockEngine['behaviour'], target: object = {}) => {
  engine = await MockEngine.start(behaviour);
  router = await routerFor(
    [{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url, ...target }], { emf: { router: 'r', intervalSeconds: 3600 } });
};
afterEach(async () => {
  await router.drain();
  await engine.stop();
});

const stream = async (body: object | string = chat({ stream: true })) => (await ask(router.url, body)).text();
/** The tokens that CloudWatch is told. */
const told = async () => {
  await until(() => router.lines.some(({ msg }) => msg === 'request'), 'the request is logged');
  await router.drain();
  const { InputTokens, OutputTokens } = router.lines.find((line) => line.OutputTokens !== undefined);
  return [InputTokens, OutputTokens];
};

describe('the tokens of a stream', () => {
  test('are asked for where the caller does not, who is not told of them', async () => {
    await start(counting(ENDED));
    expect(await stream()).toBe([ROLE, ...ENDED].map(sse).join('') + sse('[DONE]'));
    expect(engine.requests[0].body).toEqual({ ...chat({ stream: true }), stream_options: { include_usage: true } });
    expect(await told()).toEqual([12, 3]);
  });

  test('are told a caller who asks for them', async () => {
    await start(counting(ENDED));
    expect(await stream(chat({ stream: true, stream_options: { include_usage: true } }))).toContain(JSON.stringify(USAGE));
    expect(await told()).toEqual([12, 3]);
  });

  test('are not told in every chunk because the router asks for them', async () => {
    await start(counting(ENDED));
    expect(await stream(chat({ stream: true, stream_options: { continuous_usage_stats: true } }))).not.toContain('usage');
    expect(engine.requests[0].body.stream_options).toEqual({ include_usage: true });
  });

  test.each<[string, object, object]>([
    ['as the caller has it', {}, {}],
    ['of a model with another name', { modelName: 'other' }, { model: 'other' }],
  ])('are asked for in a request %s, whatever its text looks like', async (_, target, more) => {
    await start(counting(ENDED), target);
    const messages = [{ role: 'user', content: '} "stream_options"' }];
    for (const options of ['', ', "stream_options": null', ', "stream_options": {"include_usage": false}']) {
      await stream(`{"model": "${MODEL}", "stream": true, "seed": 9007199254740993, "messages": ${JSON.stringify(messages)}${options}} \n`);
      const { body, text } = engine.requests.at(-1)!;
      expect(body).toEqual({ model: MODEL, stream: true, seed: expect.any(Number), messages, stream_options: { include_usage: true }, ...more });
      expect([text.includes('9007199254740993'), text.match(/"stream_options":/g)]).toEqual([true, ['"stream_options":']]);
    }
  });

  test('are the parts of the answer where the engine does not tell them', async () => {
    await start(streaming([ROLE, ...ENDED]));
    await stream();
    expect(await told()).toEqual([0, 3]);
  });

  test('that breaks off are the parts that came', async () => {
    await start((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write([ROLE, ...TOKENS.map(chunkOf)].map(sse).join(''), () => response.destroy());
    });
    expect((await drained(await ask(router.url, chat({ stream: true })))).broken).toBe(true);
    expect(await lastLineOf(router)).toMatchObject({ code: 'stream_error', completionTokens: 3 });
    expect(await router.metrics.registry.getSingleMetricAsString('router_output_tokens_total')).toContain('{target="engine"} 3');
  });

  test('are told with the end of the answer by some engines, which the caller is told', async () => {
    const end = { ...delta({}, 'stop'), usage: USAGE };
    await start(streaming([...TOKENS.map(chunkOf), end]));
    expect(await stream()).toContain(sse(end));
    expect(await told()).toEqual([12, 3]);
  });

  test('are not there yet where an engine says so in every chunk', async () => {
    const chunks = TOKENS.map((text) => ({ ...chunkOf(text), usage: null }));
    await start((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end([...chunks, { choices: [], usage: USAGE }].map(sse).join('') + DONE);
    });
    expect(await stream()).toBe(chunks.map(sse).join('') + DONE);
    expect(await told()).toEqual([12, 3]);
  });

  test('are counted alike for callers of Llama\'s API, in its chunks and in the end', async () => {
    const part = (text: string, reason: string | null = null) => ({ object: 'text_completion', choices: [{ index: 0, text, finish_reason: reason }] });
    await start(streaming([...TOKENS.map((text) => part(text)), part('', 'stop'), { choices: [], usage: USAGE }]));
    const answer = await ask(router.url, { prompt: 'a prompt' }, {}, `/model/${MODEL}/invoke-with-response-stream`);
    const chunks = Buffer.from(await answer.arrayBuffer()).toString('latin1').match(/(?<="bytes":")[^"]*/g)!
      .map((bytes) => JSON.parse(Buffer.from(bytes, 'base64').toString()));
    expect(chunks.map(({ generation_token_count: count }) => count)).toEqual([1, 2, 3, 3]);
    expect(chunks.at(-1)['amazon-bedrock-invocationMetrics']).toMatchObject({ inputTokenCount: 12, outputTokenCount: 3 });
  });
});

describe('of a prompt that is handed on, the tokens in a cache', () => {
  const PARAMS = {
    do_remote_prefill: true, remote_block_ids: [[1]], remote_engine_id: 'e', remote_request_id: 'r', remote_host: 'h', remote_port: 5559,
  };
  const usageWith = (cached: number | undefined) => ({ ...USAGE, prompt_tokens_details: cached === undefined ? null : { cached_tokens: cached } });
  let prefill: MockEngine;
  const startPair = async (cached: number | undefined) => {
    prefill = await MockEngine.start(wholly({ ...COMPLETION, usage: usageWith(cached), kv_transfer_params: PARAMS }));
    // to the engine that fetches it, nearly all of it comes from a cache.
    engine = await MockEngine.start((response, received) => (received.body.stream
      ? streaming([...ENDED, { choices: [], usage: usageWith(11) }]) : wholly({ ...COMPLETION, usage: usageWith(11) }))(response, received));
    router = await routerFor([
      { name: 'decode', role: 'decode', protocol: 'openai', url: engine.url, kvConnector: 'NixlConnector', prefill: 'prefill' },
      { name: 'prefill', role: 'prefill', protocol: 'openai', url: prefill.url, kvConnector: 'NixlConnector' },
    ], { routing: { minPromptTokens: 0 } });
  };
  afterEach(async () => prefill.stop());

  const converse = { messages: [{ role: 'user', content: [{ text: 'a prompt' }] }] };
  const response = { model: MODEL, input: 'a prompt' };
  const options = { stream: true, stream_options: { include_usage: true } };
  const APIS: [string, string, object, string][] = [
    ['a chat completion', '/v1/chat/completions', chat(), '"prompt_tokens_details":{"cached_tokens":#}'],
    ['its stream', '/v1/chat/completions', chat(options), '"prompt_tokens_details":{"cached_tokens":#}'],
    ['Converse', `/model/${MODEL}/converse`, converse, '"cacheReadInputTokens":#'],
    ['ConverseStream', `/model/${MODEL}/converse-stream`, converse, '"cacheReadInputTokens":#'],
    ['InvokeModel', `/model/${MODEL}/invoke`, chat({ model: undefined }), '"prompt_tokens_details":{"cached_tokens":#}'],
    ['a response', '/v1/responses', response, '"cached_tokens":#'],
    ['a streamed response', '/v1/responses', { ...response, stream: true }, '"cached_tokens":#'],
  ];

  test.each(APIS)('are told by %s as the engine counts them that read it', async (_, path, body, member) => {
    await startPair(8);
    expect(await (await ask(router.url, body, {}, path)).text()).toContain(member.replace('#', '8'));
    expect([prefill.requests.length, engine.requests[0].body.kv_transfer_params]).toEqual([1, PARAMS]);
    await lastLineOf(router);
    const { values } = await router.metrics.promptTokens.get();
    expect(values.map(({ labels: { target, source }, value }) => [target, source, value])).toEqual([['prefill', 'cache', 8], ['prefill', 'read', 4]]);
  });

  test.each(APIS)('are not told by %s where that engine does not tell them', async (_, path, body) => {
    await startPair(undefined);
    const text = await (await ask(router.url, body, {}, path)).text();
    expect(text.replace(/"cached_tokens":0/, '')).not.toMatch(/cached_tokens|cacheRead/);
  });

  test('are those of the engine that answers where it reads the prompt itself', async () => {
    await startPair(8);
    prefill.behaviour = wholly({ ...COMPLETION, usage: usageWith(8), kv_transfer_params: { ...PARAMS, remote_port: 0 } });
    expect(await (await ask(router.url, chat())).json()).toMatchObject({ usage: usageWith(11) });
  });
});

describe('what is told of requests', () => {
  const keys = [{ name: 'chat', key: 'key-of-chat' }, 'key-of-nobody'];
  const askAs = async (key: string, body: object) => (await ask(router.url, body, { authorization: `Bearer ${key}` })).text();
  const requests = async (count: number) => {
    await until(() => router.lines.filter(({ msg }) => msg === 'request').length === count, 'the requests are logged');
    return router.lines.filter(({ msg }) => msg === 'request');
  };

  test('in the log is who asked for what, and its tokens, but no key and no prompt', async () => {
    const answer = wholly({ ...COMPLETION, usage: { ...USAGE, prompt_tokens_details: { cached_tokens: 8 } } });
    engine = await MockEngine.start((response, received) => (received.body.stream ? counting(ENDED) : answer)(response, received));
    router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], {}, { KEYS: JSON.stringify(keys) });
    await askAs('key-of-chat', chat({ stream: true, service_tier: 'flex' }));
    await askAs('key-of-nobody', chat());
    const [named, nameless] = await requests(2);
    expect(named).toMatchObject({ caller: 'chat', stream: true, tier: 'flex', promptTokens: 12, completionTokens: 3 });
    expect(nameless).toMatchObject({ stream: false, tier: 'default', promptTokens: 12, cachedTokens: 8, completionTokens: 3 });
    expect([Object.hasOwn(named, 'cachedTokens'), Object.hasOwn(nameless, 'caller')]).toEqual([false, false]);
    expect(JSON.stringify(router.lines)).not.toMatch(/key-of|secret prompt|one two/);
    const metrics = await router.metrics.registry.metrics();
    expect(metrics).toContain('router_output_tokens_total{target="engine"} 6');
    expect(metrics).toContain('router_prompt_tokens_total{target="engine",source="unknown"} 12');
    expect(metrics).toContain('router_prompt_tokens_total{target="engine",source="cache"} 8');
    expect(metrics).toContain('router_request_duration_seconds_count{route="chat_completions",target="engine"} 2');
    expect(metrics).not.toMatch(/key-of|chat"/);
  });
});
