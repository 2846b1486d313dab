import { AddressInfo, createServer, Socket } from 'node:net';
import { ask, chat, MockEngine, routerFor, until, whole } from '../harness';

test('few requests wait for a Valkey that says nothing', async () => {
  let scripts = 0;
  const server = createServer((socket) => socket.on('error', () => undefined).on('data', (bytes) => {
    const text = bytes.toString('latin1');
    if (/eval(?:sha)?\r\n/i.test(text)) {
      scripts++;
    } else {
      socket.write('+OK\r\n'.repeat(text.match(/^\*/gm)?.length ?? 0));
    }
  }));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const engine = await MockEngine.start(whole);
  const router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], {
    rateLimits: { requestsPerMinute: 100, valkey: { url: `valkey://127.0.0.1:${(server.address() as AddressInfo).port}`, timeoutSeconds: 0.05 } },
  });
  for (let i = 0; i < 20; i++) {
    expect((await ask(router.url, chat())).status).toBe(200);
  }
  // it is asked again a second later.
  expect(scripts).toBeGreaterThan(0);
  expect(scripts).toBeLessThan(10);
  await router.drain();
  await engine.stop();
  server.close();
});

test('what Valkey has admitted counts once it cannot be asked any more, and each interval tells of its own requests alone', async () => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('data', (bytes) => {
      const text = bytes.toString('latin1');
      // it lets everybody in.
      socket.write(/eval(?:sha)?\r\n/i.test(text) ? '*2\r\n:0\r\n:0\r\n' : '+OK\r\n'.repeat(text.match(/^\*/gm)?.length ?? 0));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const engine = await MockEngine.start(whole);
  const router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], {
    rateLimits: { requestsPerMinute: 3, valkey: { url: `valkey://127.0.0.1:${(server.address() as AddressInfo).port}`, timeoutSeconds: 5 } },
    emf: { router: 'r', intervalSeconds: 0.05 },
  });
  const statuses = async (requests: number) => {
    const told: number[] = [];
    for (let i = 0; i < requests; i++) {
      told.push((await ask(router.url, chat())).status);
    }
    return told;
  };
  const alone = () => router.lines.flatMap(({ LimitedAlone }) => LimitedAlone ?? []) as number[];
  expect(await statuses(2)).toEqual([200, 200]);
  expect((await router.metrics.rateLimitsAlone.get()).values[0].value).toBe(0);
  server.close();
  sockets.forEach((socket) => socket.destroy());
  await until(() => sockets.size > 0 && [...sockets].every(({ closed }) => closed), 'it is gone');
  expect(await statuses(2)).toEqual([200, 429]);
  await until(() => alone().some((count) => count > 0), 'it is told');
  const told = alone().length;
  await until(() => alone().length >= told + 3, 'three intervals more are over');
  await router.drain();
  // one was refused before Valkey was to be asked.
  expect(alone().reduce((sum, count) => sum + count, 0)).toBe(1);
  await engine.stop();
});
