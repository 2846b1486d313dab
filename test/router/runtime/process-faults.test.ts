import { ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { ClientHttp2Session, connect, constants } from 'node:http2';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { ask, Behaviour, chat, chunkOf, configOf, DONE, drained, KEY, MockEngine, sleep, sse, streamOf, until } from './harness';
import { bundle, OUT, RouterProcess } from './router-process';

const DAY_MILLIS = 86_400_000;
/** The clock of a process: SIGUSR2 sets it a day forth, then a day back. Timers do not follow it, as they follow none that is set. */
const CLOCK = `
  const { Date: Real } = globalThis;
  let shift = 0;
  globalThis.Date = class extends Real {
    constructor(...given) {
      super(...(given.length === 0 ? [Real.now() + shift] : given));
    }
    static now() {
      return Real.now() + shift;
    }
  };
  process.on('SIGUSR2', () => (shift = shift > 0 ? ${-DAY_MILLIS} : ${DAY_MILLIS}));`;
/** A caller as a process of its own, which tells of each piece of a stream that it reads. */
const CALLER = `
  const [url, headers, body] = process.argv.slice(1);
  fetch(url, { method: 'POST', headers: JSON.parse(headers), body }).then(async (response) => {
    for await (const piece of response.body) {
      console.log(piece.length);
    }
  });`;
/** More than the buffers of all sockets on the way. */
const LONG = 48;
const LONG_PIECE = sse(chunkOf('x'.repeat(1024 ** 2)));

let script: string;
let engine: MockEngine;
let router: RouterProcess;
let url: string;
let caller: ChildProcess | undefined;

beforeAll(() => {
  script = bundle('faults.js');
});
afterEach(async () => {
  caller?.kill('SIGKILL');
  router.child.kill('SIGKILL');
  await engine.stop();
});

async function start(behaviour: Behaviour, { target = {}, limits = {}, env = {} } = {}): Promise<void> {
  engine = await MockEngine.start(behaviour);
  const config = configOf([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url, ...target }], { limits });
  router = new RouterProcess(script, { ROUTER_CONFIG: JSON.stringify(config), KEYS: KEY, ...env });
  url = `http://127.0.0.1:${(await router.said('listening')).port}`;
}

/** A stream that is longer than what is on the way, and how many pieces of it the engine could write. */
function longStream(pieces: number): { behaviour: Behaviour; written(): number } {
  let written = 0;
  async function* all() {
    for (; written < pieces; written++) {
      yield LONG_PIECE;
    }
    yield DONE;
  }
  return {
    behaviour: async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      // whoever leaves is what is tested.
      await pipeline(all, response).catch(() => undefined);
    },
    written: () => written,
  };
}

const inFlight = async () => /router_in_flight\{target="engine"\} (\d+)/.exec(await (await fetch(`${url}/metrics`)).text())?.[1];

test('a clock that is set a day forth or back ends no request, be it answered, asked for or waiting', async () => {
  const clock = join(OUT, 'clock.js');
  writeFileSync(clock, CLOCK);
  let release = () => {};
  const gate = new Promise<void>((resolve) => (release = resolve));
  await start(async (response, received) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    if (engine.requests.length === 1) {
      response.write(sse(chunkOf('begun')));
    }
    await gate;
    await streamOf(['a', 'b'])(Object.assign(response, { writeHead: () => response }), received);
  }, { target: { maxInFlight: 2 }, env: { NODE_OPTIONS: `--require ${clock}` } });
  const begun = await ask(url, chat({ stream: true }));
  const asked = ask(url, chat({ stream: true }));
  await until(() => engine.requests.length === 2, 'the engine has both');
  const waiting = ask(url, chat({ stream: true }));
  await until(async () => (await (await fetch(`${url}/metrics`)).text()).includes('router_queue_requests 1'), 'another waits');
  for (const shift of [DAY_MILLIS, -DAY_MILLIS]) {
    router.child.kill('SIGUSR2');
    await until(async () => {
      const from = router.lines.length;
      expect((await ask(url, chat({ model: 'another' }))).status).toBe(404);
      const { time } = await router.said('request', from);
      return Math.abs(time - Date.now() - shift) < DAY_MILLIS / 2;
    }, 'the log has the time that was set');
  }
  release();
  const rest = sse(chunkOf('a')) + sse(chunkOf('b')) + DONE;
  expect(await drained(begun)).toEqual({ text: sse(chunkOf('begun')) + rest, broken: false });
  expect(await drained(await asked)).toEqual({ text: rest, broken: false });
  expect(await drained(await waiting)).toEqual({ text: rest, broken: false });
});

test('a caller that reads slowly has all of its answer, for longer than one that reads nothing is waited for, and the engine writes no faster', async () => {
  const { behaviour, written } = longStream(LONG);
  await start(behaviour, { limits: { writeStallSeconds: 1 } });
  const reader = (await ask(url, chat({ stream: true }))).body!.getReader();
  let [length, ahead] = [0, 0];
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    if (Math.floor(length / LONG_PIECE.length) < Math.floor((length += piece.value.length) / LONG_PIECE.length)) {
      // it is the time that passes which is tested.
      await sleep(50);
      ahead = Math.max(ahead, written() - length / LONG_PIECE.length);
    }
  }
  expect(length).toBe(LONG * LONG_PIECE.length + DONE.length);
  expect(ahead).toBeLessThan(LONG * 0.75);
  expect(await router.said('request')).toMatchObject({ code: '200' });
}, 60_000);

test.each<[string, NodeJS.Signals]>([['stands still', 'SIGSTOP'], ['dies', 'SIGKILL']])('a caller whose process %s in the middle of its answer frees its engine', async (_, signal) => {
  await start(longStream(10_000).behaviour, { target: { maxInFlight: 1 }, limits: { writeStallSeconds: 1 } });
  caller = spawn(process.execPath, [
    '-e', CALLER, `${url}/v1/chat/completions`, JSON.stringify({ authorization: `Bearer ${KEY}` }), JSON.stringify(chat({ stream: true })),
  ], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(createInterface({ input: caller.stdout! }), 'line');
  caller.kill(signal);
  await until(() => engine.requests[0].aborted, 'the engine is told');
  expect(await router.said('request')).toMatchObject({ code: '499' });
  engine.behaviour = streamOf(['a']);
  expect((await drained(await ask(url, chat({ stream: true })))).text).toBe(sse(chunkOf('a')) + DONE);
});

test('10,000 streams that are aborted once they have begun leave no slot, connection or request behind', async () => {
  const [streams, atOnce, ofOneSession] = [10_000, 50, 400];
  await start((response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(chunkOf('begun'))), { target: { maxInFlight: atOnce } });
  const body = JSON.stringify(chat({ stream: true }));
  const abortOne = async (session: ClientHttp2Session) => {
    const stream = session.request({ ':method': 'POST', ':path': '/v1/chat/completions', 'authorization': `Bearer ${KEY}` });
    stream.end(body);
    await once(stream, 'data');
    stream.close(constants.NGHTTP2_CANCEL);
    await once(stream, 'close');
  };
  for (let done = 0; done < streams; done += ofOneSession) {
    const session = connect(url);
    for (let i = 0; i < ofOneSession; i += atOnce) {
      await Promise.all(Array.from({ length: atOnce }, async () => abortOne(session)));
    }
    session.destroy();
  }
  await until(async () => await inFlight() === '0' && engine.active === 0, 'the engine has no requests');
  expect(engine.requests).toHaveLength(streams);
  expect(engine.requests.every(({ aborted }) => aborted)).toBe(true);
  // as many as fit are answered at once.
  engine.behaviour = streamOf(['a'], 20);
  const answers = await Promise.all(Array.from({ length: atOnce }, async () => drained(await ask(url, chat({ stream: true })))));
  expect(new Set(answers.map(({ text }) => text))).toEqual(new Set([sse(chunkOf('a')) + DONE]));
  expect(router.lines.filter(({ msg, code }) => msg === 'request' && code === '499')).toHaveLength(streams);
}, 240_000);
