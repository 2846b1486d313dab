import { SrvRecord } from 'node:dns';
import { Behaviour, ask, chat, MockEngine, ROLE, routerFor, sse, TestRouter, until, wholly } from '../harness';
import { VllmPair } from './vllm-pair';

const mockRecords: { [name: string]: SrvRecord[] } = {};
jest.mock('node:dns/promises', () => ({ Resolver: class { public resolveSrv = async (name: string) => mockRecords[name]; } }));

const busy: Behaviour = wholly({ error: { message: 'too many requests' } }, 429);

let pair: VllmPair;
let router: TestRouter;
const prefills: MockEngine[] = [];

/** A router whose prefill engines behave so. */
const start = async (behaviours: Behaviour[], ofPrefill: object = {}, more: object = {}) => {
  prefills.push(...await Promise.all(behaviours.map(async (behaviour) => MockEngine.start(behaviour))));
  mockRecords.prefill = prefills.map(({ port }) => ({ name: '127.0.0.1', port, priority: 1, weight: 1 }));
  router = await routerFor([
    { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector: 'NixlConnector', prefill: 'prefill' },
    { name: 'prefill', role: 'prefill', protocol: 'openai', srv: 'prefill', kvConnector: 'NixlConnector', ...ofPrefill },
  ], { routing: { minPromptTokens: 0 }, ...more });
};
const prompt = (content: string, more: object = {}) => chat({ messages: [{ role: 'user', content }], ...more });
const routeOf = async (body: object) => {
  const response = await ask(router.url, body);
  await response.text();
  return `${response.status} ${response.headers.get('x-router-route')}`;
};
const asked = () => prefills.filter(({ requests }) => requests.length > 0).length;

beforeEach(async () => {
  pair = await VllmPair.start();
});
afterEach(async () => {
  await router.drain();
  await Promise.all([pair, ...prefills.splice(0)].map(async (engine) => engine.stop()));
});

test('a prompt that prefill engines have no room for is read by the next', async () => {
  await start([busy, busy, busy, busy]);
  prefills[3].behaviour = pair.prefill.behaviour;
  for (let i = 0; i < 4; i++) {
    expect(await routeOf(prompt(`p${i}`))).toBe('200 disaggregated; reason=long_prompt');
  }
});

test('a prompt is not offered to more prefill engines than the retry budget has', async () => {
  await start(Array(25).fill(busy));
  expect(await routeOf(prompt('p'))).toBe('200 aggregated; reason=prefill_failed');
  expect(asked()).toBe(21);
  const { values } = await router.metrics.throttled.get();
  expect(values.map(({ labels, value }) => [labels.reason, value])).toEqual([['retry_budget', 1]]);
});

test('a prompt that one has no room for does not go to another beyond its slots', async () => {
  let open = () => {};
  pair.gate = new Promise<void>((resolve) => (open = resolve));
  await start([pair.prefill.behaviour, pair.prefill.behaviour], { maxInFlight: 1 });
  const first = routeOf(prompt('p'));
  await until(() => asked() === 1, 'one reads');
  const [full, other] = prefills[0].requests.length === 1 ? prefills : [...prefills].reverse();
  other.behaviour = busy;
  expect(await routeOf(prompt('q'))).toBe('200 aggregated; reason=prefill_failed');
  expect([full.requests.length, other.requests.length]).toEqual([1, 1]);
  open();
  expect(await first).toBe('200 disaggregated; reason=long_prompt');
});

test('a decode engine that refuses by the first event of its stream is left before it is asked once more', async () => {
  await start([pair.prefill.behaviour]);
  const { behaviour } = pair.decode;
  pair.decode.behaviour = async (response, received) => {
    if (received.body.kv_transfer_params === undefined) {
      return behaviour(response, received);
    }
    // it has failed, and goes on.
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(ROLE) + sse({ error: { message: 'KV load failed', code: 500 } }));
  };
  expect(await routeOf(prompt('p', { stream: true }))).toBe('200 aggregated; reason=decode_failed');
  await until(() => pair.decode.requests[0].aborted, 'it is told');
  expect(pair.decode.requests[1].aborted).toBe(false);
});
