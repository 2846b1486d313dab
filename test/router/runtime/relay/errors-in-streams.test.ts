import OpenAI from 'openai';
import { SglangPair } from '../handoff/sglang-pair';
import { ask, chat, chunkOf, drained, errorOf, KEY, MockEngine, MODEL, ROLE, routerFor, sse, streamedText, streaming, streamOf, TestRouter, until, wholly } from '../harness';

const TOO_LONG = 'The input (9000 tokens) is longer than the model\'s context length (8192 tokens).';
/** An error as SGLang and vLLM tell it in a stream. */
const told = (code: number, message = TOO_LONG) => ({ error: { object: 'error', message, type: 'BadRequestError', param: null, code } });
const CONVERSE_STREAM = `/model/${MODEL}/converse-stream`;
const ASKED = { messages: [{ role: 'user', content: [{ text: 'x' }] }] };
const asks: [string, (more?: object) => Promise<Response>][] = [
  ['a chat completion', async () => ask(router.url, chat({ stream: true }))],
  ['a response', async () => ask(router.url, { model: MODEL, input: 'x', stream: true }, {}, '/v1/responses')],
  ['ConverseStream', async () => ask(router.url, ASKED, {}, CONVERSE_STREAM)],
];

let router: TestRouter;
const engines: { stop(): Promise<void> }[] = [];

const kept = <T extends { stop(): Promise<void> }>(engine: T): T => {
  engines.push(engine);
  return engine;
};
const one = (name: string, { url }: MockEngine) => ({ name, role: 'aggregated', protocol: 'openai', url });
const inFlight = async () => (await router.metrics.inFlight.get()).values.map(({ value }) => value);

afterEach(async () => {
  await until(async () => (await inFlight()).every((value) => value === 0), 'every slot was given back');
  await router.drain();
  await Promise.all(engines.splice(0).map(async (engine) => engine.stop()));
});

describe('an engine that refuses a request by the first event of a stream', () => {
  test.each(asks)('has refused %s, in its words, and has not failed', async (_, asked) => {
    const engine = kept(await MockEngine.start(streaming([ROLE, told(400)])));
    router = await routerFor([one('a', engine)]);
    for (let i = 0; i < 4; i++) {
      const response = await asked();
      expect([response.status, await response.text()]).toEqual([400, expect.stringContaining('longer than the model')]);
    }
    expect(engine.requests).toHaveLength(4);
    await until(() => router.lines.filter(({ msg }) => msg === 'request').length === 4, 'the log tells it');
    expect(router.lines.filter(({ level }) => level > 30)).toEqual([]);
  });

  test('as its prompt is too long is told so in Bedrock\'s words, by which agents know it', async () => {
    router = await routerFor([one('a', kept(await MockEngine.start(streaming([told(400)]))))]);
    expect(await (await ask(router.url, ASKED, {}, CONVERSE_STREAM)).json()).toEqual({ message: `Input is too long for requested model. ${TOO_LONG}` });
  });

  test('of OpenAI\'s client and SGLang\'s engines is asked once', async () => {
    const pair = kept(await SglangPair.start());
    pair.decodeFaults = [streaming([told(400)])];
    router = await routerFor([
      { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector: 'sglang', prefill: 'prefill' },
      { name: 'prefill', role: 'prefill', protocol: 'openai', url: pair.prefills[0].url, kvConnector: 'sglang' },
    ]);
    const client = new OpenAI({ baseURL: `${router.url}/v1`, apiKey: KEY });
    await expect(client.chat.completions.create({ model: MODEL, messages: [{ role: 'user', content: 'x' }], stream: true }))
      .rejects.toMatchObject({ status: 400, message: `400 ${TOO_LONG}`, type: 'BadRequestError' });
    expect([pair.decode.requests.length, pair.reads.length]).toEqual([1, 1]);
  });

  test('and quotes the address of another engine is not quoted', async () => {
    router = await routerFor([one('a', kept(await MockEngine.start(streaming([told(400, 'wrong kv_transfer_params')]))))]);
    const response = await ask(router.url, chat({ stream: true }));
    expect([response.status, (await errorOf(response)).message]).toEqual([400, 'the engine refused the request']);
  });
});

describe.each([429, 503])('an engine that has no room, and says so with %i by the first event of a stream', (code) => {
  test('leaves the request to another', async () => {
    const [full, other] = [kept(await MockEngine.start(streaming([told(code, 'The request queue is full.')]))), kept(await MockEngine.start(streamOf(['hello'])))];
    router = await routerFor([one('full', full), one('other', other)]);
    for (let i = 0; i < 2; i++) {
      expect(streamedText(await (await ask(router.url, chat({ stream: true }))).text())).toBe('hello');
    }
    expect([full.requests.length, other.requests.length]).toEqual([1, 2]);
  });

  test('tells the caller where there is no other', async () => {
    router = await routerFor([one('full', kept(await MockEngine.start(streaming([told(code, 'The request queue is full.')]))))]);
    const response = await ask(router.url, chat({ stream: true }));
    expect([response.status, (await errorOf(response)).message]).toEqual([code, 'The request queue is full.']);
  });
});

test.each([
  ['without a member of that name', sse({ object: 'error', message: 'CUDA OOM', code: 500 })],
  ['by the name of its event', 'event: error\ndata: {"message":"CUDA OOM"}\n\n'],
  ['by the name of its event, in plain text', 'event: error\ndata: CUDA OOM\n\n'],
  ['in a text', sse({ error: 'CUDA OOM' })],
])('an error in the midst of a stream that is told %s is one to OpenAI\'s clients', async (_, event) => {
  const engine = kept(await MockEngine.start(streaming([ROLE, chunkOf('Hel')], event + sse('[DONE]'))));
  router = await routerFor([one('a', engine)]);
  const client = new OpenAI({ baseURL: `${router.url}/v1`, apiKey: KEY, maxRetries: 0 });
  const stream = await client.chat.completions.create({ model: MODEL, messages: [{ role: 'user', content: 'x' }], stream: true });
  let text = '';
  await expect((async () => {
    for await (const { choices } of stream) {
      text += choices[0].delta.content;
    }
  })()).rejects.toMatchObject({ error: { message: 'CUDA OOM', type: 'server_error' } });
  expect(text).toBe('Hel');
});

test('a stream of several choices is whole once all of them have ended', async () => {
  const choice = (index: number, content: string, finish: string | null = null) => (
    { choices: [{ index, delta: { content }, finish_reason: finish }] });
  const engine = kept(await MockEngine.start(streaming([])));
  router = await routerFor([one('a', engine)]);
  const begun = [choice(0, 'a'), choice(1, 'b'), choice(1, 'c'), choice(0, '', 'stop')];
  const whole = [...begun, choice(1, '', 'length')];
  engine.behaviour = streaming(whole);
  expect((await drained(await ask(router.url, chat({ stream: true, n: 2 })))).text).toBe(whole.map(sse).join('') + sse('[DONE]'));
  engine.behaviour = streaming(begun);
  expect((await drained(await ask(router.url, chat({ stream: true, n: 2 })))).text).toContain('the engine ended its answer without a reason');
});

test.each<[string, string, object]>([
  ['n', '/v1/chat/completions', chat({ n: 2 })],
  ['n of InvokeModel', `/model/${MODEL}/invoke`, chat({ n: 2 })],
  ['prompts', '/v1/completions', { model: MODEL, prompt: ['a', 'b'] }],
  ['prompts and n', '/v1/completions', { model: MODEL, prompt: [[1], [2]], n: 2 }],
])('an answer of fewer choices than were asked for is none: %s', async (_, path, asked) => {
  const choice = (index: number) => ({ index, text: 'a', delta: { content: 'a' }, message: { role: 'assistant', content: 'a' }, finish_reason: 'stop' });
  const isBedrock = path.startsWith('/model/');
  const engine = kept(await MockEngine.start(wholly({ choices: [choice(0)] })));
  router = await routerFor([one('a', engine)]);
  const response = await ask(router.url, asked, {}, path);
  expect([response.status, await response.text()]).toEqual([isBedrock ? 424 : 502, expect.stringMatching(/the engine answers with 1 of [24] choices/)]);
  engine.behaviour = streaming([{ choices: [choice(0)] }]);
  const { text } = await drained(await ask(router.url, isBedrock ? asked : { ...asked, stream: true }, {}, isBedrock ? `${path}-with-response-stream` : path));
  expect(text).toContain('the engine ended its answer before it was whole');
  expect(text).not.toContain('[DONE]');
});
