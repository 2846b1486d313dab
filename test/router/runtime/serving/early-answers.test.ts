import { once } from 'node:events';
import { connect, IncomingHttpHeaders } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { BedrockRuntimeClient, ConverseCommand } from '@aws-sdk/client-bedrock-runtime';
import { RawConnection } from './raw-connection';
import { DATA, END_HEADERS, END_STREAM, frame, HEADERS, literal, PREFACE, RST_STREAM, SETTINGS } from '../fuzz/raw-http2';
import { KEY, MockEngine, MODEL, routerFor, TestRouter, until, whole } from '../harness';

const CHAT = '/v1/chat/completions';
const MIB = 1024 * 1024;
/** Of which a frame is at most, unless its reader allows more. */
const FRAME_BYTES = 16_384;

let engine: MockEngine;
let router: TestRouter;
const start = async (limits: object = {}) => {
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { limits });
};

beforeEach(async () => {
  engine = await MockEngine.start(whole);
});
afterEach(async () => {
  await router.drain();
  await engine.stop();
});

describe('over HTTP/2 a caller who is refused before its body was read', () => {
  /** What is answered to a body of which all but the first byte is sent once the answer is there, and whether its stream is reset meanwhile. */
  const ask = async (path: string, key: string, bytes: number) => {
    const said = await RawConnection.open(router.port);
    const frames = () => framesOf(Buffer.from(said.text, 'latin1'));
    const fields = { ':method': 'POST', ':path': path, ':scheme': 'http', ':authority': 'a', 'authorization': `Bearer ${key}`, 'content-length': String(bytes) };
    const head = Buffer.concat(Object.entries(fields).map(([name, value]) => literal(name, value)));
    said.socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0, Buffer.alloc(0)), frame(HEADERS, END_HEADERS, 1, head), frame(DATA, 0, 1, Buffer.from(' '))]));
    await until(() => frames().some(({ stream, isLast }) => stream === 1 && isLast), 'the answer is there');
    // whatever follows the answer at once has come by then.
    await sleep(50);
    const isReset = frames().some(({ type }) => type === RST_STREAM);
    const parts = Math.ceil((bytes - 1) / FRAME_BYTES);
    for (let i = 1; i <= parts; i++) {
      const length = i === parts ? bytes - 1 - (parts - 1) * FRAME_BYTES : FRAME_BYTES;
      said.socket.write(frame(DATA, i === parts ? END_STREAM : 0, 1, Buffer.alloc(length, ' ')));
    }
    said.socket.write(frame(HEADERS, END_HEADERS + END_STREAM, 3, Buffer.concat(
      Object.entries({ ...fields, ':method': 'GET', ':path': '/healthz', 'content-length': '0' }).map(([name, value]) => literal(name, value)))));
    await until(() => frames().some(({ stream, isLast }) => stream === 3 && isLast), 'the next is answered');
    said.socket.destroy();
    const body = frames().filter(({ type, stream }) => type === DATA && stream === 1).map(({ payload }) => payload.toString()).join('');
    return { body, isReset: isReset || frames().some(({ type }) => type === RST_STREAM) };
  };

  test.each([
    ['whose key nobody knows', CHAT, 'wrong', 20_000],
    ['whose key nobody knows, at Bedrock\'s API', `/model/${MODEL}/converse`, 'wrong', 900_000],
    ['who asks for what is not there', '/nothing', KEY, 60_000],
    ['whose body is too long', CHAT, KEY, 60_000],
  ])('%s has its answer, and its body is taken', async (_, path, key, bytes) => {
    await start({ maxBodyBytes: 50_000 });
    expect(await ask(path, key, bytes)).toEqual({ body: expect.stringContaining('message'), isReset: false });
  });

  test('and does not send it is cut off in its time', async () => {
    await start({ bodyTimeoutSeconds: 0.3 });
    const session = connect(router.url);
    const stream = session.request({ ':method': 'POST', ':path': CHAT, 'authorization': 'Bearer wrong', 'content-length': 20 * MIB }, { endStream: false });
    const closed = once(stream, 'close');
    const [{ ':status': status }] = await once(stream.resume(), 'response') as [IncomingHttpHeaders];
    await closed;
    expect([status, stream.rstCode, session.closed]).toEqual([401, 0, false]);
    session.destroy();
  });
});

/** The frames of a connection of HTTP/2, as far as they have come. */
function framesOf(bytes: Buffer): { type: number; stream: number; isLast: boolean; payload: Buffer }[] {
  const frames = [];
  for (let at = 0; at + 9 <= bytes.length && at + 9 + bytes.readUIntBE(at, 3) <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    const payload = bytes.subarray(at + 9, at + 9 + bytes.readUIntBE(at, 3));
    frames.push({ type: bytes[at + 3], stream: bytes.readUInt32BE(at + 5), isLast: bytes[at + 4] % 2 === END_STREAM, payload });
  }
  return frames;
}

describe('AWS\' SDK, which is answered while it has much to send,', () => {
  const send = async (key: string, bytes: number) => {
    const client = new BedrockRuntimeClient({ region: 'us-east-1', endpoint: router.url, token: { token: key }, authSchemePreference: ['httpBearerAuth'], maxAttempts: 1 });
    try {
      return await client.send(new ConverseCommand({ modelId: MODEL, messages: [{ role: 'user', content: [{ text: 'e'.repeat(bytes) }] }] }));
    } finally {
      client.destroy();
    }
  };

  test.each([8, 12, 20])('is told of its key after %p MiB', async (mib) => {
    await start();
    for (let i = 0; i < 3; i++) {
      await expect(send('wrong', mib * MIB)).rejects.toMatchObject({ name: 'AccessDeniedException', $metadata: { httpStatusCode: 403 } });
    }
  });

  test('is told of a body that is too long', async () => {
    await start();
    for (let i = 0; i < 3; i++) {
      await expect(send(KEY, 27 * MIB)).rejects.toMatchObject({ name: 'ValidationException', $metadata: { httpStatusCode: 400 } });
    }
  });

  test('is told of a body for which there is no room', async () => {
    await start({ maxBodyBytes: 10 * MIB, maxHeldBytes: 10 * MIB });
    await expect(send(KEY, 15 * MIB)).rejects.toMatchObject({ name: 'ValidationException' });
  });
});
