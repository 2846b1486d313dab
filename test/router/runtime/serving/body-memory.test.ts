import { createServer, request } from 'node:http';
import { AddressInfo } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { KEY, MODEL, routerFor, sleep, until } from '../harness';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes that are in use: what is no longer is freed a little after it was found to be so. */
async function bytesInUse(): Promise<number> {
  for (let last = Infinity; ;) {
    collect();
    await sleep(20);
    const { arrayBuffers: now } = process.memoryUsage();
    if (now >= last) {
      return now;
    }
    last = now;
  }
}

const BODIES = 10;
const TEXT = 'words of a long prompt. ';
/** Each of two thousand bytes, which are left where they are in the body. */
const TEXTS = Array.from({ length: 1000 }, () => TEXT.repeat(80));

test.each<[string, string, object, number]>([
  ['of one long text', '/v1/chat/completions', { model: MODEL, messages: [{ role: 'user', content: TEXT.repeat(80_000) }] }, 1],
  ['of many texts', '/v1/chat/completions', { model: MODEL, messages: TEXTS.map((content) => ({ role: 'user', content })) }, 1],
  ['that is translated', `/model/${MODEL}/converse`, { messages: TEXTS.map((text) => ({ role: 'user', content: [{ text }] })) }, 2],
])('the bytes of a body %s are no more often in memory than they have to be', async (_, path, body, times) => {
  const bytes = Buffer.from(JSON.stringify(body));
  let asked = 0;
  // an engine that takes its time to read.
  const engine = createServer(({ url }, response) => {
    if (url === '/health') {
      response.end();
    } else {
      asked++;
    }
  });
  await new Promise<void>((resolve) => engine.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(engine.address() as AddressInfo).port}`;
  const router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url }]);
  const before = await bytesInUse();
  const headers = { 'authorization': `Bearer ${KEY}`, 'content-length': bytes.length };
  const callers = Array.from({ length: BODIES }, () => request(router.url + path, { method: 'POST', headers, agent: false }).on('error', () => undefined));
  callers.forEach((caller) => caller.end(bytes));
  await until(() => asked === BODIES, 'the engine has all requests');
  const held = await bytesInUse() - before;
  expect(held / BODIES / bytes.length).toBeLessThan(times + 0.5);
  callers.forEach((caller) => caller.destroy());
  await until(() => callers.every(({ closed }) => closed), 'the callers are gone');
  engine.closeAllConnections();
  await router.drain();
  engine.close();
});
