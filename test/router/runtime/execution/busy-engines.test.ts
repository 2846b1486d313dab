import { SglangPair } from '../handoff/sglang-pair';
import { VllmPair } from '../handoff/vllm-pair';
import { ask, Behaviour, chat, COMPLETION, MockEngine, MODEL, routerFor, silent, streamedText, streamOf, TestRouter, until, whole } from '../harness';
import { answering, FakeBedrock } from '../targets/fake-bedrock';

const BUSY = { error: { message: 'too many requests', type: 'overloaded' } };
/** An engine that takes no request now. */
const busy = (status = 429, headers: { [name: string]: string } = {}): Behaviour => (response) => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(BUSY));
};
const hello = streamOf(['hel', 'lo']);
/** However short a prompt is, it is handed on. */
const ALWAYS = { minPromptTokens: 0 };

let router: TestRouter;
const engines: { stop(): Promise<void> }[] = [];

const kept = <T extends { stop(): Promise<void> }>(engine: T): T => {
  engines.push(engine);
  return engine;
};
const engineWith = async (behaviour: Behaviour) => kept(await MockEngine.start(behaviour));
const one = (name: string, { url }: MockEngine) => ({ name, role: 'aggregated', protocol: 'openai', url });
const inFlight = async () => (await router.metrics.inFlight.get()).values.map(({ value }) => value);
const outcomes = async () => Object.fromEntries((await router.metrics.handoffs.get()).values.map(({ labels, value }) => [labels.outcome, value]));
const dropped = async () => (await router.metrics.kvCachesDropped.get()).values[0].value;
const prompt = (content: string, more: object = {}) => chat({ messages: [{ role: 'user', content }], ...more });

afterEach(async () => {
  await until(async () => (await inFlight()).every((value) => value === 0), 'every slot was given back');
  await router.drain();
  await Promise.all(engines.splice(0).map(async (engine) => engine.stop()));
});

describe('a request that an engine has no room for', () => {
  test.each([[429, false], [429, true], [503, false], [503, true]])('is answered by one that has: status %d, stream %p', async (status, stream) => {
    const [a, b] = [await engineWith(busy(status)), await engineWith(stream ? hello : whole)];
    router = await routerFor([one('a', a), one('b', b)]);
    const response = await ask(router.url, chat({ stream }));
    expect([response.status, response.headers.get('retry-after')]).toEqual([200, null]);
    const text = await response.text();
    expect(stream ? streamedText(text) : JSON.parse(text)).toEqual(stream ? 'hello' : COMPLETION);
    expect([a.requests.length, b.requests.length]).toEqual([1, 1]);
    await until(() => router.lines.some(({ msg }) => msg === 'request'), 'the log tells it');
    expect(router.lines.find(({ msg }) => msg === 'request')).toMatchObject({ target: 'b', code: '200' });
  });

  test('is answered by another for callers of Bedrock, too', async () => {
    const [a, b] = [await engineWith(busy()), await engineWith(whole)];
    router = await routerFor([one('a', a), one('b', b)]);
    const response = await ask(router.url, { messages: [{ role: 'user', content: [{ text: 'hi' }] }] }, {}, `/model/${MODEL}/converse`);
    expect({ status: response.status, body: await response.json() })
      .toMatchObject({ status: 200, body: { output: { message: expect.objectContaining({ content: [{ text: 'hello' }] }) } } });
    expect([a.requests.length, b.requests.length]).toEqual([1, 1]);
  });

  test('does not come to it for as long as it has said while there is another', async () => {
    const [a, b] = [await engineWith(busy(429, { 'retry-after': '60' })), await engineWith(whole)];
    router = await routerFor([one('a', a), one('b', b)]);
    for (let i = 0; i < 5; i++) {
      expect((await ask(router.url, prompt(`${i}`))).status).toBe(200);
    }
    expect([a.requests.length, b.requests.length]).toEqual([1, 5]);
  });

  test('has its refusal where there is no other, and is not made to wait', async () => {
    const a = await engineWith(busy(429, { 'retry-after': '60' }));
    router = await routerFor([one('a', a)]);
    for (let i = 0; i < 2; i++) {
      const response = await ask(router.url, chat());
      expect([response.status, response.headers.get('retry-after'), await response.json()]).toEqual([429, '60', BUSY]);
    }
    expect(a.requests).toHaveLength(2);
  });

  test('is not asked of Bedrock for that: it costs what nobody may have meant to spend', async () => {
    const bedrock = kept(await FakeBedrock.start());
    bedrock.behaviour = answering(200, {});
    const a = await engineWith(busy());
    router = await routerFor([one('a', a), { name: 'bedrock', role: 'aggregated', protocol: 'bedrock', region: 'us-east-2', modelName: 'm', url: bedrock.url }]);
    expect((await ask(router.url, chat())).status).toBe(429);
    expect(a.requests).toHaveLength(1);
  });

  test('is asked of no more engines than the retry budget has', async () => {
    const all = await Promise.all(Array.from({ length: 25 }, async () => engineWith(busy())));
    router = await routerFor(all.map((engine, i) => one(`e${i}`, engine)));
    const response = await ask(router.url, chat());
    expect([response.status, await response.json()]).toEqual([429, BUSY]);
    expect(all.filter(({ requests }) => requests.length > 0)).toHaveLength(21);
    const { values } = await router.metrics.throttled.get();
    expect(values.find(({ labels }) => labels.reason === 'retry_budget')!.value).toBe(1);
  });

  test('is asked of more where more requests came lately', async () => {
    const good = await engineWith(whole);
    const others = await Promise.all(Array.from({ length: 26 }, async () => engineWith(busy())));
    router = await routerFor([good, ...others].map((engine, i) => one(`e${i}`, engine)));
    for (let i = 0; i < 24; i++) {
      expect((await ask(router.url, chat())).status).toBe(200);
    }
    good.behaviour = busy();
    expect((await ask(router.url, chat())).status).toBe(429);
    // twenty retries, and a fifth of 25 requests.
    expect(others.filter(({ requests }) => requests.length > 0)).toHaveLength(25);
  });

  test('ends with its caller who leaves while another engine has it', async () => {
    const [a, b] = [await engineWith(busy()), await engineWith(silent)];
    router = await routerFor([one('a', a), one('b', b)]);
    const leaving = new AbortController();
    const asked = fetch(`${router.url}/v1/chat/completions`, {
      method: 'POST', headers: { authorization: 'Bearer key-of-a-caller' }, body: JSON.stringify(chat()), signal: leaving.signal,
    });
    await until(() => b.requests.length === 1, 'the other has it');
    leaving.abort();
    await expect(asked).rejects.toThrow();
    await until(() => b.requests[0].aborted, 'it sees its connection closed');
  });

  test('is told of the failure of the other', async () => {
    const [a, b] = [await engineWith(busy()), await engineWith(busy(500))];
    router = await routerFor([one('a', a), one('b', b)]);
    expect((await ask(router.url, chat())).status).toBe(500);
    expect([a.requests.length, b.requests.length]).toEqual([1, 1]);
  });

  test.each([500, 502, 504])('goes to no other where the engine may have begun with it: status %d', async (status) => {
    const [a, b] = [await engineWith(busy(status)), await engineWith(whole)];
    router = await routerFor([one('a', a), one('b', b)]);
    expect((await ask(router.url, chat())).status).toBe(status);
    expect(b.requests).toHaveLength(0);
  });
});

describe('a hand-off to engines that have no room', () => {
  const pairTargets = (pair: VllmPair) => [
    { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector: 'NixlConnector', prefill: 'prefill' },
    { name: 'prefill', role: 'prefill', protocol: 'openai', url: pair.prefill.url, kvConnector: 'NixlConnector' },
  ];

  test.each([[429, true], [429, false], [503, true], [503, false]])(
    'is made anew with another decode engine, which gets a KV cache of its own: status %d, stream %p', async (status, stream) => {
      const pair = kept(await VllmPair.start());
      const full = await engineWith(busy(status));
      router = await routerFor([{ ...pairTargets(pair)[0], name: 'full', url: full.url }, ...pairTargets(pair)].map((target) => ({ ...target, maxInFlight: 1 })), {
        routing: ALWAYS,
      });
      const body = prompt('p', { stream });
      const response = await ask(router.url, body);
      const text = await response.text();
      expect(stream ? streamedText(text) : JSON.parse(text).choices[0].message.content).toBe(pair.answerTo(body));
      const [refused, taken] = [full, pair.decode].map(({ requests: [{ body: asked }] }) => asked.kv_transfer_params.remote_request_id);
      expect(refused).not.toBe(taken);
      expect([full.requests.length, pair.decode.requests.length, pair.prefill.requests.length, pair.fetches]).toEqual([1, 1, 2, 1]);
      expect([await outcomes(), await dropped(), pair.pinned]).toEqual([{ handed_off: 1 }, 1, 1]);
      // the only slot of each engine is free again.
      let release = () => {};
      pair.queue = new Promise((resolve) => (release = resolve));
      full.behaviour = whole;
      const held = ask(router.url, prompt('q'));
      await until(() => pair.decode.requests.length === 2, 'the decode engine has the next');
      expect([(await ask(router.url, prompt('r'))).status, full.requests.length]).toEqual([200, 2]);
      release();
      expect((await held).status).toBe(200);
      const params = [...full.requests, ...pair.decode.requests].map(({ body: asked }) => asked.kv_transfer_params.remote_request_id);
      expect(new Set(params).size).toBe(4);
    });

  test.each([429, 503])('that is the only one is not made anew, nor is the prompt read by it: its refusal is the caller\'s: status %d', async (status) => {
    const pair = kept(await VllmPair.start());
    router = await routerFor(pairTargets(pair), { routing: ALWAYS });
    pair.decode.behaviour = busy(status, { 'retry-after': '60' });
    const response = await ask(router.url, prompt('p'));
    expect([response.status, response.headers.get('retry-after'), await response.json()]).toEqual([status, '60', BUSY]);
    expect([pair.prefill.requests.length, pair.decode.requests.length, pair.localPrefills]).toEqual([1, 1, 0]);
    expect([await outcomes(), await dropped(), pair.pinned]).toEqual([{ rejected: 1 }, 1, 1]);
  });

  test('of the decode engine goes to no other once it was asked to read the prompt itself', async () => {
    const pair = kept(await VllmPair.start());
    const spare = await engineWith(whole);
    pair.decode.behaviour = async (...call) => busy(call[1].body.kv_transfer_params === undefined ? 503 : 500)(...call);
    router = await routerFor([...pairTargets(pair), one('spare', spare)], { routing: ALWAYS });
    expect((await ask(router.url, prompt('p'))).status).toBe(503);
    expect([pair.decode.requests.length, spare.requests.length, await outcomes()]).toEqual([2, 0, { fallback_decode_failed: 1 }]);
  });

  test('has the prompt read by another prefill engine', async () => {
    const pair = kept(await VllmPair.start());
    const full = await engineWith(busy());
    router = await routerFor([
      { ...pairTargets(pair)[0], name: 'first', prefill: 'full' }, { ...pairTargets(pair)[1], name: 'full', url: full.url }, ...pairTargets(pair),
    ], { routing: ALWAYS });
    const answers = [await ask(router.url, prompt('p')), await ask(router.url, prompt('q'))];
    expect(answers.map((answer) => answer.headers.get('x-router-route'))).toEqual(['aggregated; reason=prefill_failed', 'disaggregated; reason=long_prompt']);
    expect([full.requests.length, pair.prefill.requests.length]).toEqual([1, 1]);
  });

  test('does not fail by it, however many do: the prefill engine is asked again when it said', async () => {
    const pair = kept(await VllmPair.start());
    const { behaviour } = pair.prefill;
    pair.prefill.behaviour = async (...call) => {
      await until(() => pair.prefill.requests.length === 4, 'it has all of them');
      return busy(429)(...call);
    };
    router = await routerFor(pairTargets(pair), { routing: ALWAYS });
    const routeOf = async (content: string) => (await ask(router.url, prompt(content))).headers.get('x-router-route');
    const burst = await Promise.all(['a', 'b', 'c', 'd'].map(routeOf));
    expect(burst).toEqual(Array(4).fill('aggregated; reason=prefill_failed'));
    pair.prefill.behaviour = behaviour;
    await until(async () => await routeOf('e') === 'disaggregated; reason=long_prompt', 'it reads again');
    expect(router.lines.filter(({ level }) => level > 30)).toEqual([]);
  });

  test('of SGLang is made anew in another room', async () => {
    const pair = kept(await SglangPair.start());
    const full = await engineWith(busy());
    const decode = { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector: 'sglang', prefill: 'prefill' };
    router = await routerFor([
      { ...decode, name: 'full', url: full.url }, decode,
      { name: 'prefill', role: 'prefill', protocol: 'openai', url: pair.prefills[0].url, kvConnector: 'sglang' },
    ], { routing: ALWAYS });
    const body = prompt('p');
    const response = await ask(router.url, body);
    expect({ status: response.status, body: await response.json() })
      .toMatchObject({ status: 200, body: { choices: [{ message: { content: expect.stringContaining('read ') } }] } });
    const [refused, taken] = [full.requests[0], pair.decode.requests[0]].map(({ body: { bootstrap_room } }) => bootstrap_room);
    expect([refused === taken, await outcomes()]).toEqual([false, { handed_off: 1 }]);
  });
});
