import { ask, chat, COMPLETION, MockEngine, routerFor, TestRouter, until, whole } from '../harness';
import { NameServer } from './name-server';

let engine: MockEngine;
let names: NameServer;
let router: TestRouter | undefined;
/** What the name server says of the engine's host. */
let addresses: readonly string[] | undefined = ['127.0.0.1'];

beforeEach(async () => {
  addresses = ['127.0.0.1'];
  engine = await MockEngine.start((response, ...more) => {
    response.setHeader('connection', 'close');
    return whole(response, ...more);
  });
  names = await NameServer.start((name) => (name === 'engine.test' ? addresses : name.startsWith('silent') ? undefined : []));
});
afterEach(async () => {
  await router?.drain();
  router = undefined;
  await names.stop();
  await engine.stop();
  jest.restoreAllMocks();
});

const target = (name: string, host: string) => ({ name, role: 'aggregated', protocol: 'openai', url: engine.url.replace('127.0.0.1', host) });
const timesAsked = (name: string) => names.asked.filter((asked) => asked === name).length;

test('hosts that a name server is silent about keep no other from being found', async () => {
  router = await routerFor([target('engine', 'engine.test'), ...[1, 2, 3, 4, 5].map((i) => target(`silent-${i}`, `silent${i}.test`))]);
  for (let i = 0; i < 10; i++) {
    expect(await (await ask(router.url, chat())).json()).toEqual(COMPLETION);
  }
});

test('a host is looked up once for many connections, and is still found while no name server answers, until it is told that there is none', async () => {
  router = await routerFor([target('engine', 'engine.test')]);
  const before = timesAsked('engine.test');
  const answers = await Promise.all(Array.from({ length: 20 }, async () => ask(router!.url, chat())));
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect(timesAsked('engine.test') - before).toBeLessThanOrEqual(2);

  addresses = undefined;
  const asked = timesAsked('engine.test');
  await until(async () => {
    expect((await ask(router!.url, chat())).status).toBe(200);
    return timesAsked('engine.test') > asked;
  }, 'it is looked up anew');
  expect((await ask(router.url, chat())).status).toBe(200);

  addresses = [];
  await until(async () => (await ask(router!.url, chat())).status === 503, 'it is not found');
}, 60_000);

test("a host of the system's own is found without a name server", async () => {
  router = await routerFor([target('engine', 'localhost')]);
  expect(await (await ask(router.url, chat())).json()).toEqual(COMPLETION);
  expect(names.asked).toEqual([]);
});

test('a name server that is silent about where engines are holds up the start for seconds alone', async () => {
  router = await routerFor([target('engine', 'engine.test'), { name: 'others', role: 'aggregated', protocol: 'openai', srv: 'silent.test' }]);
  expect(await (await ask(router.url, chat())).json()).toEqual(COMPLETION);
}, 15_000);
