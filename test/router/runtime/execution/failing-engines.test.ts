import { VllmPair } from '../handoff/vllm-pair';
import {
  ask, Behaviour, chat, chunkOf, drained, KEY, MockEngine, routerFor, silent, streaming, streamOf, TestRouter, until, whole, wholly,
} from '../harness';
import { answering, FakeBedrock } from '../targets/fake-bedrock';

const OTHER_KEY = 'key-of-another-caller';
const OTHER = { authorization: `Bearer ${OTHER_KEY}` };
const failing = wholly({ error: { message: 'EngineCore died' } }, 500);
/** An engine that fails some requests, whoever else it answers. */
const poisoned: Behaviour = (response, received) => (received.text.includes('poison') ? failing : whole)(response, received);

let router: TestRouter;
const engines: { stop(): Promise<void> }[] = [];
const engineWith = async (behaviour: Behaviour) => {
  const engine = await MockEngine.start(behaviour);
  engines.push(engine);
  return engine;
};
const one = (name: string, url: string, more: object = {}) => ({ name, role: 'aggregated', protocol: 'openai', url, ...more });
const start = async (targets: object[], more: object = {}) => {
  router = await routerFor(targets, more, { KEYS: JSON.stringify(['key-of-a-caller', { name: 'other', key: OTHER_KEY }]) });
};
const asks = async (content: string, headers: { [name: string]: string } = {}) => {
  const response = await ask(router.url, chat({ messages: [{ role: 'user', content }] }), headers);
  await response.arrayBuffer();
  return response.status;
};
/** The statuses of so many different requests, one after the other. */
const statuses = async (count: number) => {
  const all: number[] = [];
  for (let i = 0; i < count; i++) {
    all.push(await asks(`request ${i}`));
  }
  return all;
};
const healthy = async () => {
  const { targets } = await (await fetch(`${router.url}/readyz`)).json() as { targets: { [name: string]: { healthy: number } } };
  return Object.fromEntries(Object.entries(targets).map(([name, target]) => [name, target.healthy]));
};
const EJECTED = 'an engine is passed over for 10 s: its last requests failed';

afterEach(async () => {
  await router.drain();
  await Promise.all(engines.splice(0).map(async (engine) => engine.stop()));
});

describe('an engine that fails every request, though it is well by its probes, is left', () => {
  test('for an engine of another target, which the log tells', async () => {
    const [a, b] = [await engineWith(failing), await engineWith(whole)];
    await start([one('a', a.url), one('b', b.url)]);
    expect(await statuses(20)).toEqual([500, 500, 500, ...Array.from({ length: 17 }, () => 200)]);
    expect(await healthy()).toEqual({ a: 0, b: 1 });
    expect(router.lines.filter(({ msg }) => msg === EJECTED)).toMatchObject([{ level: 40, endpoint: a.url, error: 'status 500' }]);
    // there is nobody else, and it is well again.
    await b.stop();
    a.behaviour = whole;
    await until(async () => await asks('once more') === 200, 'it is asked again');
  });

  test('if it tells of it within its streams', async () => {
    const [a, b] = [await engineWith(streaming([chunkOf('a'), { error: { message: 'EngineCore died' } }])), await engineWith(streamOf(['a']))];
    await start([one('a', a.url), one('b', b.url)]);
    for (let i = 0; i < 5; i++) {
      await drained(await ask(router.url, chat({ messages: [{ role: 'user', content: `request ${i}` }], stream: true })));
      await until(() => router.lines.filter(({ msg }) => msg === 'request').length > i, 'the router is done with it');
    }
    expect([a.requests.length, b.requests.length, await healthy()]).toEqual([3, 2, { a: 0, b: 1 }]);
  });

  test('if it says that it has too much to do, which no engine says for ever', async () => {
    const [a, b] = [await engineWith(whole), await engineWith(whole)];
    a.behaviour = async (...call) => {
      await until(() => a.requests.length === 3, 'it has all of them');
      return wholly({ error: { message: 'overloaded' } }, 503)(...call);
    };
    await start([one('a', a.url), one('b', b.url)]);
    expect(await Promise.all([1, 2, 3].map(async (i) => asks(`request ${i}`)))).toEqual([200, 200, 200]);
    expect([b.requests.length, await healthy()]).toEqual([3, { a: 0, b: 1 }]);
  });

  test('for a spare engine, where it answers for a prefill engine, which is not to blame', async () => {
    const [pair, spare] = [await VllmPair.start(), await engineWith(whole)];
    engines.push(pair);
    pair.decode.behaviour = failing;
    await start([
      { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector: 'NixlConnector', prefill: 'prefill' },
      { name: 'prefill', role: 'prefill', protocol: 'openai', url: pair.prefill.url, kvConnector: 'NixlConnector' },
      one('spare', spare.url),
    ], { routing: { minPromptTokens: 0 } });
    expect(await statuses(16)).toEqual([500, 500, 500, ...Array.from({ length: 13 }, () => 200)]);
    expect(await healthy()).toEqual({ decode: 0, prefill: 1, spare: 1 });
  });

  test('for Bedrock', async () => {
    const bedrock = await FakeBedrock.start();
    engines.push(bedrock);
    bedrock.behaviour = answering(200, {
      output: { message: { role: 'assistant', content: [{ text: 'hello' }] } }, stopReason: 'end_turn', usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2 }, metrics: { latencyMs: 1 },
    });
    const variables = process.env;
    process.env = { ...variables, AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret' };
    try {
      const a = await engineWith(failing);
      await start([one('a', a.url), { name: 'bedrock', role: 'aggregated', protocol: 'bedrock', region: 'us-east-2', modelName: 'm', url: bedrock.url }]);
      expect(await statuses(3)).toEqual([500, 500, 500]);
      await asks('a fourth');
      expect(router.lines.filter(({ msg }) => msg === 'request').map(({ target }) => target)).toEqual(['a', 'a', 'a', 'bedrock']);
    } finally {
      process.env = variables;
    }
  });
});

describe('an engine that is well by its probes, and whose callers leave without an answer,', () => {
  /** Callers that wait a while in vain; one more is answered meanwhile, or is not, as the engine pleases. */
  const leave = async (patienceMillis: number) => Promise.all([1, 2, 3, 4].map(async (i) => {
    const body = JSON.stringify(chat({ messages: [{ role: 'user', content: `in vain ${i}` }] }));
    const signal = AbortSignal.timeout(patienceMillis);
    await fetch(`${router.url}/v1/chat/completions`, { method: 'POST', headers: { 'authorization': `Bearer ${KEY}`, 'content-type': 'application/json' }, body, signal })
      .then(() => undefined, () => undefined);
  }));

  test('is left if it answers nobody', async () => {
    const [a, b] = [await engineWith(silent), await engineWith(whole)];
    await start([one('a', a.url), one('b', b.url)]);
    await leave(11_000);
    await until(() => router.lines.some(({ msg }) => msg === EJECTED), 'it is passed over');
    expect([await healthy(), await asks('another')]).toEqual([{ a: 0, b: 1 }, 200]);
  }, 40_000);

  test('is not while it tells others something, or if they leave soon', async () => {
    const a = await engineWith((response, received) => (received.text.includes('told') ? streamOf(Array.from({ length: 55 }, () => 'x'), 220) : silent)(response, received));
    await start([one('a', a.url), one('b', (await engineWith(whole)).url)]);
    await leave(500);
    const told = ask(router.url, chat({ stream: true, messages: [{ role: 'user', content: 'told' }] }), OTHER);
    await leave(11_000);
    expect(await healthy()).toEqual({ a: 1, b: 1 });
    expect((await drained(await told)).broken).toBe(false);
  }, 40_000);
});

describe('a request that fails', () => {
  test.each([['short', ''], ['long', 'word '.repeat(50_000)]])('goes to another engine when it comes again, a %s one', async (_, text) => {
    const [a, b] = [await engineWith(failing), await engineWith(whole)];
    await start([one('a', a.url), one('b', b.url)]);
    const [same, other] = [`one${text}`, `two${text}`];
    expect([await asks(same), await asks(same), await asks(same), await asks(other)]).toEqual([500, 200, 200, 500]);
  });

  test('wherever it is sent takes no engine away from others', async () => {
    const [a, b] = [await engineWith(poisoned), await engineWith(poisoned)];
    await start([one('a', a.url), one('b', b.url)]);
    for (let i = 0; i < 12; i++) {
      expect(await asks('poison')).toBe(500);
    }
    expect([a.requests.length > 0, b.requests.length > 0, await healthy()]).toEqual([true, true, { a: 1, b: 1 }]);
    expect(router.lines.map(({ msg }) => msg)).not.toContain(EJECTED);
  });

  test('takes no engine away that answers another caller', async () => {
    const a = await engineWith(poisoned);
    await start([one('a', a.url), one('b', (await engineWith(whole)).url)]);
    expect(await asks('fine', OTHER)).toBe(200);
    for (let i = 0; i < 6; i++) {
      expect(await asks(`poison ${i}`)).toBe(500);
    }
    expect(await healthy()).toEqual({ a: 1, b: 1 });
  });
});
