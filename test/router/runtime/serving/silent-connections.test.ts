import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { connect, Socket } from 'node:net';
import { dirname } from 'node:path';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { localCertificate } from './certificate';
import { chat, chunkOf, DONE, KEY, MockEngine, routerFor, sse, TestRouter, until } from '../harness';

const FILES = localCertificate();
const ca = readFileSync(FILES.certificateFile);
/** As many as there may be that say nothing, and some more. */
const MOST = 1_000;
const BEYOND = 50;
/** How long one may be silent, however many there are. */
const PATIENCE_MILLIS = 2_000;

let engine: MockEngine;
let router: TestRouter;
let finish: () => void;
const sockets: Socket[] = [];

beforeEach(async () => {
  const told = new Promise<void>((resolve) => (finish = resolve));
  engine = await MockEngine.start(async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(chunkOf('hel')));
    await told;
    response.end(sse(chunkOf('lo')) + DONE);
  });
});

afterEach(async () => {
  sockets.splice(0).forEach((socket) => socket.destroy());
  await router.drain();
  await engine.stop();
});

afterAll(() => rmSync(dirname(FILES.keyFile), { recursive: true }));

/** Connections, one after the other, on which `word` was sent. */
async function connections(count: number, word: Buffer | string): Promise<Socket[]> {
  const opened: Socket[] = [];
  for (let i = 0; i < count; i++) {
    const socket = connect(router.port, '127.0.0.1', () => socket.write(word));
    opened.push(socket.on('error', () => undefined).resume());
    // the router takes one at a time; those that it has not taken are more than fit soon.
    await turn();
  }
  sockets.push(...opened);
  return opened;
}

describe.each([
  ['plain', false, ''],
  // the beginning of a handshake that never goes on.
  ['TLS', true, Buffer.from('1603010200010001fc0303', 'hex')],
] as const)('of the connections of a port (%s) that say nothing', (_, isTls, word) => {
  /** The text of a streamed answer, on a connection of its own. */
  async function streamedAnswer(): Promise<string> {
    return new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port: router.port, path: '/v1/chat/completions', method: 'POST', headers: { authorization: `Bearer ${KEY}` }, ca };
      let text = '';
      (isTls ? requestHttps : requestHttp)(options, (response) => {
        response.setEncoding('utf8').on('data', (piece) => { text += piece; }).on('end', () => resolve(text)).on('error', reject);
      }).on('error', reject).end(JSON.stringify(chat({ stream: true })));
    });
  }

  test('the oldest are cut once there are too many, and those that have spoken stay', async () => {
    router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], isTls ? { tls: FILES } : {});
    const streamed = streamedAnswer();
    await until(() => engine.requests.length === 1, 'the engine has the request');
    const spoken = isTls ? connectTls({ port: router.port, host: '127.0.0.1', ca }) : connect(router.port, '127.0.0.1');
    sockets.push(spoken.on('error', () => undefined).resume());
    spoken.write('GET /healthz HTTP/1.1\r\nhost: a\r\n');
    await once(spoken, isTls ? 'secureConnect' : 'connect');
    const oldest = await connections(BEYOND, word);
    // as if all had come at once: nobody is cut yet.
    const others = await connections(MOST, word);
    expect(oldest.filter(({ closed }) => closed)).toHaveLength(0);
    await sleep(PATIENCE_MILLIS);
    others.push(...await connections(BEYOND, word));
    await until(() => oldest.every(({ closed }) => closed), 'the oldest are cut');
    const answered = once(spoken, 'data');
    spoken.write('\r\n');
    expect(String((await answered)[0])).toContain('200 OK');
    expect(others.filter(({ closed }) => closed)).toHaveLength(0);
    finish();
    expect(await streamed).toContain('[DONE]');
    expect(await streamedAnswer()).toContain('[DONE]');
  }, 20_000);
});
