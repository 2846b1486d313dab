import { SrvRecord } from 'node:dns';
import { MooncakePair } from '../handoff/mooncake-pair';
import { SglangPair } from '../handoff/sglang-pair';
import { ask, chat, KEY, MockEngine, routerFor, silent, sleep, TestRouter, until, whole, wholly } from '../harness';

const mockRecords: { [name: string]: SrvRecord[] } = {};
jest.mock('node:dns/promises', () => ({ Resolver: class { public resolveSrv = async (name: string) => mockRecords[name]; } }));

const OTHER_KEY = 'key-of-another-caller';
const KEYS = { KEYS: JSON.stringify([KEY, { name: 'other', key: OTHER_KEY }]) };
const PASSED_OVER = 'an engine is passed over for 10 s: its last requests failed';
/** How long callers wait in vain: an engine that says nothing for ten seconds stands still. */
const IN_VAIN_MILLIS = 11_000;

const running: { stop(): Promise<void> }[] = [];
const kept = <T extends { stop(): Promise<void> }>(one: T) => {
  running.push(one);
  return one;
};
const prompt = (content: string, more: object = {}) => chat({ messages: [{ role: 'user', content }], ...more });
const target = (name: string, url: string, more: object) => ({ name, protocol: 'openai', url, ...more });
const sglang = (name: string, url: string, more: object = {}) => target(name, url, { role: 'decode', kvConnector: 'sglang', prefill: 'prefill', ...more });
const prefillOf = (pair: SglangPair) => target('prefill', pair.prefills[0].url, { role: 'prefill', kvConnector: 'sglang' });

afterEach(async () => {
  await Promise.all(running.splice(0).map(async (one) => one.stop()));
});

async function start(targets: object[], more: object = {}): Promise<TestRouter> {
  const router = await routerFor(targets, { routing: { minPromptTokens: 0 }, ...more }, KEYS);
  kept({ stop: router.drain });
  return router;
}

/** Some who leave at last, unless they are answered. */
async function askInVain({ url }: TestRouter, count = 4): Promise<void> {
  await Promise.all(Array.from({ length: count }, async (_, i) => {
    const signal = AbortSignal.timeout(IN_VAIN_MILLIS);
    const headers = { 'authorization': `Bearer ${KEY}`, 'content-type': 'application/json' };
    await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body: JSON.stringify(prompt(`in vain ${i}`)), signal })
      .then(async (response) => response.text(), () => undefined);
  }));
}

/** What another caller is answered meanwhile. */
async function askMeanwhile({ url }: TestRouter): Promise<void> {
  await sleep(IN_VAIN_MILLIS / 2);
  expect((await ask(url, prompt('of another'), { authorization: `Bearer ${OTHER_KEY}` })).status).toBe(200);
}

/** The engines that are passed over, once so many are. */
async function passedOver({ lines }: TestRouter, count = 1): Promise<unknown[]> {
  const told = () => lines.filter(({ msg }) => msg === PASSED_OVER).map(({ endpoint }) => endpoint as unknown);
  await until(() => told().length >= count, `${count} are passed over`);
  return told().sort();
}

describe('of two engines that have a request at once, the one is passed over that answers nobody', () => {
  const mooncake = async (which: 'prefill' | 'decode') => {
    const pair = kept(await MooncakePair.start());
    pair[which].behaviour = silent;
    const router = await start([
      target('decode', pair.decode.url, { role: 'decode', kvConnector: 'MooncakeConnector', prefill: 'prefill' }),
      target('prefill', pair.prefill.url, { role: 'prefill', kvConnector: 'MooncakeConnector', bootstrapPort: pair.bootstrapPort }),
    ]);
    await askInVain(router);
    expect(await passedOver(router)).toEqual([pair[which].url]);
  };

  const sglangDecode = async () => {
    const [pair, hung] = [kept(await SglangPair.start()), kept(await MockEngine.start(silent))];
    const router = await start([sglang('hung', hung.url, { maxInFlight: 4 }), sglang('decode', pair.decode.url), prefillOf(pair)]);
    await Promise.all([askInVain(router), askMeanwhile(router)]);
    expect(await passedOver(router)).toEqual([hung.url]);
  };

  const sglangPrefill = async () => {
    const [pair, hung] = [kept(await SglangPair.start()), kept(await MockEngine.start(silent))];
    mockRecords.prefill = [hung, pair.prefills[0]].map(({ port }) => ({ name: '127.0.0.1', port, priority: 1, weight: 1 }));
    const router = await start([sglang('decode', pair.decode.url), { ...prefillOf(pair), url: undefined, srv: 'prefill' }]);
    // every second of them is given to the other.
    await Promise.all([askInVain(router, 8), askMeanwhile(router)]);
    expect(await passedOver(router)).toEqual([hung.url]);
  };

  /** Each of the two awaits the other, and nobody else asks them. */
  const sglangBoth = async () => {
    const [pair, spare] = [kept(await SglangPair.start()), kept(await MockEngine.start(whole))];
    pair.decode.behaviour = silent;
    const router = await start([
      sglang('decode', pair.decode.url), prefillOf(pair), target('spare', spare.url, { role: 'aggregated' }),
    ]);
    await askInVain(router);
    expect(await passedOver(router, 2)).toEqual([pair.decode.url, pair.prefills[0].url].sort());
    expect((await ask(router.url, prompt('another'))).status).toBe(200);
    expect(spare.requests).toHaveLength(1);
  };

  /** Callers wait for longer than a prefill engine may take. */
  const sglangTimeout = async () => {
    const [pair, hung] = [kept(await SglangPair.start()), kept(await MockEngine.start(silent))];
    const router = await start([sglang('hung', hung.url, { maxInFlight: 4 }), sglang('decode', pair.decode.url), prefillOf(pair)], {
      limits: { prefillTimeoutSeconds: IN_VAIN_MILLIS / 1000 - 0.2 },
    });
    const asked = [1, 2, 3, 4].map(async (i) => (await ask(router.url, prompt(`${i}`))).status);
    await askMeanwhile(router);
    expect(await Promise.all(asked)).toEqual(Array(4).fill(502));
    expect(await passedOver(router)).toEqual([hung.url]);
  };

  test('when callers leave, or a prompt is not read in time', async () => {
    const all = await Promise.allSettled([mooncake('prefill'), mooncake('decode'), sglangDecode(), sglangPrefill(), sglangBoth(), sglangTimeout()]);
    expect(all).toEqual(Array(6).fill({ status: 'fulfilled', value: undefined }));
  }, 40_000);
});

test('an engine that cannot read prompts is not passed over for those that no other has read', async () => {
  const pair = kept(await SglangPair.start());
  pair.prefills[0].behaviour = wholly({ error: { message: 'no' } }, 500);
  const router = await start([sglang('decode', pair.decode.url), prefillOf(pair)]);
  for (const content of ['a', 'b', 'c', 'd']) {
    expect((await ask(router.url, prompt(content))).status).toBe(502);
  }
  expect(await passedOver(router)).toEqual([pair.prefills[0].url]);
});
