import { ask, chat, chunkOf, delta, DONE, MockEngine, MODEL, Received, ROLE, routerFor, sse, streaming, TestRouter, until } from './harness';

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
    expect(chunks.slice(0, -1).map(({ generation_token_count: count }) => count)).toEqual([1, 2, 3, 3]);
    expect(chunks.at(-1)['amazon-bedrock-invocationMetrics']).toMatchObject({ inputTokenCount: 12, outputTokenCount: 3 });
  });
});
