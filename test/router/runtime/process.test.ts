import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { IncomingMessage, request } from 'node:http';
import * as net from 'node:net';
import { ask, chat, chunkOf, configOf, DONE, drained, KEY, MockEngine, routerFor, sleep, sse, streamOf, until } from './harness';
import { bundle, OUT, ROOT, RouterProcess } from './router-process';

const routers: RouterProcess[] = [];
let script: string;
beforeAll(() => {
  script = bundle('index.js');
});
afterEach(() => {
  routers.splice(0).forEach(({ child }) => child.kill('SIGKILL'));
});

const launch = (config: object, env: { [name: string]: string } = { KEYS: KEY }) => {
  const router = new RouterProcess(script, { ROUTER_CONFIG: JSON.stringify(config), ...env });
  routers.push(router);
  return router;
};

test('the bundle is the same in every build and holds no path of the machine', () => {
  const text = readFileSync(script, 'utf8');
  expect(readFileSync(bundle('again.js'), 'utf8')).toBe(text);
  expect(text).not.toContain(ROOT);
  expect(text).not.toContain(OUT);
});

describe('a router that is told to stop', () => {
  test('loses no request: running streams end whole, new ones are served until the listener closes, then it exits with 0', async () => {
    const engine = await MockEngine.start(streamOf(Array.from({ length: 20 }, (_, i) => `${i}`), 60));
    const router = launch(configOf(
      [{ name: 'decode', role: 'decode', protocol: 'openai', url: engine.url }], { lameduckSeconds: 0.5, drainSeconds: 20 }));
    const url = `http://127.0.0.1:${(await router.said('listening')).port}`;
    const early = await Promise.all(Array.from({ length: 8 }, async () => ask(url, chat({ stream: true }))));
    router.child.kill('SIGTERM');
    await router.said('draining');
    const ready = await fetch(`${url}/readyz`);
    expect([ready.status, ready.headers.get('connection')]).toEqual([503, 'close']);
    const late = await Promise.all(Array.from({ length: 4 }, async () => ask(url, chat({ stream: true }))));
    const whole = Array.from({ length: 20 }, (_, i) => sse(chunkOf(`${i}`))).join('') + DONE;
    for (const { text, broken } of await Promise.all([...early, ...late].map(drained))) {
      expect(broken).toBe(false);
      expect(text).toBe(whole);
    }
    expect(await router.exit).toBe(0);
    expect(router.lines.filter((line) => line.msg === 'request' && line.code === '200')).toHaveLength(12);
    expect(await router.said('drained')).toMatchObject({ cut: 0 });
    await expect(fetch(`${url}/readyz`)).rejects.toThrow();
    await engine.stop();
  });

  test('breaks off what is unfinished at the end of the drain, so that no caller takes it for whole', async () => {
    const engine = await MockEngine.start(streamOf(Array.from({ length: 1000 }, () => 'a'), 20));
    const router = launch(configOf(
      [{ name: 'decode', role: 'decode', protocol: 'openai', url: engine.url }], { lameduckSeconds: 0, drainSeconds: 0.5 }));
    const url = `http://127.0.0.1:${(await router.said('listening')).port}`;
    const response = await ask(url, chat({ stream: true }));
    router.child.kill('SIGTERM');
    const { text, broken } = await drained(response);
    expect(broken).toBe(true);
    expect(text).toContain('"code":"shutting_down"');
    expect(await router.exit).toBe(0);
    expect(await router.said('drained')).toMatchObject({ cut: 1 });
    await engine.stop();
  });
});

test('a router that was paused does not take for silent what has spoken meanwhile, nor a caller for stalled', async () => {
  const texts = Array.from({ length: 25 }, (_, i) => `${i}`);
  const engine = await MockEngine.start(streamOf(texts, 100));
  const router = launch(configOf([{ name: 'decode', role: 'decode', protocol: 'openai', url: engine.url }], {
    limits: { firstByteTimeoutSeconds: 1, idleTimeoutSeconds: 1 },
  }));
  const url = `http://127.0.0.1:${(await router.said('listening')).port}`;
  const begun = await ask(url, chat({ stream: true }));
  const asked = ask(url, chat({ stream: true }));
  await until(() => engine.requests.length === 2, 'the engine has both');
  router.child.kill('SIGSTOP');
  // it is the time that passes which is tested.
  await sleep(1_500);
  router.child.kill('SIGCONT');
  for (const response of [begun, await asked]) {
    expect(await drained(response)).toEqual({ text: texts.map((text) => sse(chunkOf(text))).join('') + DONE, broken: false });
  }
  await engine.stop();
});

test('a router that was paused reads what has come of a body meanwhile', async () => {
  const engine = await MockEngine.start(streamOf(['a']));
  const router = launch(configOf(
    [{ name: 'decode', role: 'decode', protocol: 'openai', url: engine.url }], { limits: { bodyTimeoutSeconds: 1, writeStallSeconds: 1 } }));
  const url = `http://127.0.0.1:${(await router.said('listening')).port}`;
  const body = JSON.stringify(chat({ stream: true }));
  const sent = request(`${url}/v1/chat/completions`, { method: 'POST', headers: { 'authorization': `Bearer ${KEY}`, 'content-length': body.length } });
  const answered = once(sent, 'response');
  sent.write(body.slice(0, 10));
  // by then the router has the beginning.
  await fetch(`${url}/healthz`);
  router.child.kill('SIGSTOP');
  sent.end(body.slice(10));
  // it is the time that passes which is tested.
  await sleep(1_500);
  router.child.kill('SIGCONT');
  const [response] = await answered as [IncomingMessage];
  expect(response.statusCode).toBe(200);
  response.resume();
  await engine.stop();
});

describe('a router that cannot start', () => {
  const TARGET = { name: 'decode', role: 'decode', protocol: 'openai', url: 'http://127.0.0.1:1' };

  test('tells every problem on a line of its own and exits with 1', async () => {
    const { exit, lines } = launch(configOf([{ ...TARGET, apiKeyEnv: 'ENGINE_KEY' }]), {});
    expect(await exit).toBe(1);
    expect(lines.map(({ level, problem }) => [level, problem.rule])).toEqual([[60, 'RouterTargetKeyMissing'], [60, 'RouterApiKeysMissing']]);
  });

  test('says why if its port is taken', async () => {
    const engine = await MockEngine.start(() => undefined);
    const { exit, lines } = launch(configOf([TARGET], { port: engine.port }));
    // the mock listens on the loopback address only, so take the port whole.
    const second = launch(configOf([TARGET], { port: engine.port }));
    expect(await Promise.race([exit, second.exit])).toBe(1);
    expect([...lines, ...second.lines].find(({ level }) => level === 60)).toMatchObject({ problem: { rule: 'PortInUse', path: 'config.port' } });
    await engine.stop();
  });

  test('says so if its host is not an address of its machine', async () => {
    const { exit, lines } = launch(configOf([TARGET], { host: '203.0.113.1' }));
    expect(await exit).toBe(1);
    expect(lines.find(({ level }) => level === 60)).toMatchObject({ problem: { rule: 'HostNotHere', path: 'config.host', value: '"203.0.113.1"' } });
  });

  // which ports are for everybody is a setting of the machine, and so is what knows no name.
  test.each([
    ['EACCES', '[config.port] this user may not listen on router.internal:80 (give a port from 1024 on, or let the process have CAP_NET_BIND_SERVICE) [PortNotAllowed]'],
    ['ENOTFOUND', '[config.host] this is no address of this machine, got: "router.internal" (give one that it has, or leave host out for all) [HostNotHere]'],
  ])('says what mends %s', async (code, problem) => {
    jest.spyOn(net.Server.prototype, 'listen').mockImplementationOnce(function (this: net.Server) {
      process.nextTick(() => this.emit('error', Object.assign(new Error(`listen ${code}`), { code })));
      return this;
    });
    await expect(routerFor([TARGET], { host: 'router.internal', port: 80 })).rejects.toThrow(problem);
  });
});
