import { ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ask, chat, configOf, MockEngine, until, whole } from '../harness';
import { bundle, OUT } from '../router-process';

/** So long that few requests fill what may wait to be written. */
const NAME = 'n'.repeat(20_000);
const KEYS = JSON.stringify([{ name: NAME, key: 'key-of-a-caller' }]);

let script: string;
let engine: MockEngine;
let port: number;
const children: ChildProcess[] = [];

beforeAll(() => {
  script = bundle('log.js');
});
beforeEach(async () => {
  engine = await MockEngine.start(whole);
  const other = await MockEngine.start(whole);
  port = other.port;
  await other.stop();
});
afterEach(async () => {
  children.splice(0).forEach((child) => child.kill('SIGKILL'));
  await engine.stop();
});

/** A router whose log goes to a file, that the caller has open. */
const launch = (log: number) => {
  const config = configOf([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { port, drainSeconds: 0 });
  const child = spawn(process.execPath, [script], { env: { ROUTER_CONFIG: JSON.stringify(config), KEYS }, stdio: ['ignore', log, 'inherit'] });
  closeSync(log);
  children.push(child);
  return child;
};
const isUp = async () => fetch(`http://127.0.0.1:${port}/readyz`).then(({ status }) => status === 200, () => false);
const answered = async (requests: number) => {
  for (let i = 0; i < requests; i += 10) {
    const statuses = await Promise.all(Array.from({ length: 10 }, async () => {
      const response = await ask(`http://127.0.0.1:${port}`, chat());
      await response.text();
      return response.status;
    }));
    expect(statuses).toEqual(Array(10).fill(200));
  }
};

test('a log that nobody reads for a while stops nothing, and tells how many of its lines are missing', async () => {
  const pipe = join(OUT, 'log');
  execFileSync('mkfifo', [pipe]);
  const reading = openSync(pipe, constants.O_RDONLY + constants.O_NONBLOCK);
  const router = launch(openSync(pipe, constants.O_WRONLY));
  await until(isUp, 'it is ready');
  await answered(400);
  const lines: any[] = [];
  const reader = new Socket({ fd: reading, readable: true, writable: false });
  createInterface({ input: reader }).on('line', (line) => lines.push(JSON.parse(line)));
  await until(() => lines.some(({ dropped }) => dropped > 0), 'lines are missing');
  await answered(10);
  router.kill('SIGTERM');
  expect(await once(router, 'exit')).toEqual([0, null]);
  await until(() => lines.at(-1).msg === 'drained', 'all is read');
  const requests = lines.filter(({ msg }) => msg === 'request').length;
  expect(requests + lines.reduce((missing, { dropped = 0 }) => missing + dropped, 0)).toBe(410);
});

test('a log that is never read does not keep a router from its end', async () => {
  const pipe = join(OUT, 'unread');
  execFileSync('mkfifo', [pipe]);
  const reading = openSync(pipe, constants.O_RDONLY + constants.O_NONBLOCK);
  const router = launch(openSync(pipe, constants.O_WRONLY));
  await until(isUp, 'it is ready');
  await answered(30);
  router.kill('SIGTERM');
  expect(await once(router, 'exit')).toEqual([0, null]);
  closeSync(reading);
});

test('a log whose disk is full stops nothing', async () => {
  const router = launch(openSync('/dev/full', 'w'));
  await until(isUp, 'it is ready');
  await answered(30);
  router.kill('SIGTERM');
  expect(await once(router, 'exit')).toEqual([0, null]);
});
