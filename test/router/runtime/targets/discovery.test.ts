import { createServer } from 'node:http';
import { AddressInfo } from 'node:net';
import { Cancellation } from '../../../../src/router/runtime/cancellation';
import { Engines } from '../../../../src/router/runtime/targets/engines';
import { MockEngine, until, whole } from '../harness';
import { NameServer } from '../upstream/name-server';

let mocks: MockEngine[] = [];
let names: NameServer;
/** The ports of the engines that the name server tells. */
let told: number[] = [];
let engines: Engines;

const portOf = ({ url }: { readonly url: string }) => Number(new URL(url).port);
const startMocks = async (count: number) => {
  mocks = await Promise.all(Array.from({ length: count }, async () => MockEngine.start(whole)));
  return mocks.map(portOf);
};
const ports = () => engines.endpoints.map(portOf);
const endpointAt = (port: number) => engines.endpoints.find((endpoint) => portOf(endpoint) === port)!;

beforeEach(async () => {
  names = await NameServer.start(() => told.map((port) => ({ host: '127.0.0.1', port })));
  engines = new Engines({ name: 't', role: 'decode', protocol: 'openai', srv: 'engines.test', maxInFlight: 2, prefixLoadFactor: 1 }, undefined);
  await engines.start();
});
afterEach(async () => {
  await engines.stop();
  await names.stop();
  await Promise.all(mocks.splice(0).map(async (mock) => mock.stop()));
});

test('engines of which a name server tells eight at a time are all known, and stay what they were, until they are down', async () => {
  const all = await startMocks(11);
  told = all.slice(0, 8);
  await engines.discover();
  const first = [...engines.endpoints];
  endpointAt(all[0]).take();
  told = all.slice(3);
  await engines.discover();
  expect(new Set(ports())).toEqual(new Set(all));
  expect(engines.endpoints).toEqual(expect.arrayContaining(first));
  expect(endpointAt(all[0]).freeSlots).toBe(1);
  endpointAt(all[0]).release();

  await mocks[0].stop();
  for (let i = 0; i < 3; i++) {
    await engines.discover();
  }
  expect(new Set(ports())).toEqual(new Set(all.slice(1)));
});

test('an engine that is not told where all are is not known, and is the one that it was if it comes back before its last request has ended', async () => {
  const [a, b] = await startMocks(2);
  told = [a, b];
  await engines.discover();
  const endpoint = endpointAt(b);
  endpoint.take();
  told = [a];
  await engines.discover();
  expect(ports()).toEqual([a]);
  told = [a, b];
  await engines.discover();
  expect(endpointAt(b)).toBe(endpoint);
  endpoint.release();
  expect((await endpoint.post('/v1/chat/completions', {}, [Buffer.from('{}')], new Cancellation())).status).toBe(200);

  told = [a];
  await engines.discover();
  told = [a, b];
  await engines.discover();
  expect(endpointAt(b)).not.toBe(endpoint);
  expect(endpointAt(b).isUp).toBe(true);
});

test('requests of an engine that stands still are given up though it is told no longer', async () => {
  let isMute = false;
  let isAsked = false;
  const server = createServer((request, response) => {
    if (request.url !== '/health') {
      isAsked = true;
    } else if (!isMute) {
      response.end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const [other] = await startMocks(1);
    told = [port];
    await engines.discover();
    const [endpoint] = engines.endpoints;
    endpoint.take();
    const answer = endpoint.post('/asked', {}, [Buffer.from('{}')], new Cancellation());
    const failure = answer.then(() => undefined, (error: Error) => error.message);
    await until(() => isAsked, 'it has a request');
    isMute = true;
    told = [other];
    await engines.discover();
    await engines.discover();
    expect(await failure).toBe('the engine answers nothing any more');
    endpoint.release();
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}, 30_000);
