import { RawConnection } from './raw-connection';
import { DATA, END_HEADERS, END_STREAM, frame, HEADERS, literal, PREFACE, RST_STREAM, SETTINGS } from '../fuzz/raw-http2';
import { chat, COMPLETION, KEY, MockEngine, MODEL, routerFor, TestRouter, until, whole } from '../harness';

const BODY = JSON.stringify(chat());
const HEX = BODY.length.toString(16);
const CHUNKS = `${HEX}\r\n${BODY}\r\n0\r\n\r\n`;
const LINE = 'POST /v1/chat/completions HTTP/1.1\r\n';
const HOST = 'host: a\r\n';
const AUTH = `authorization: Bearer ${KEY}\r\n`;
const LENGTH = `content-length: ${BODY.length}\r\n`;
const CODING = 'transfer-encoding: chunked\r\n';
/** With a body of a known length, and in chunks. */
const long = (more: string, front = LINE + HOST) => `${front}${more}${AUTH}${LENGTH}\r\n${BODY}`;
const chunked = (more: string, chunks = CHUNKS, front = LINE + HOST) => `${front}${AUTH}${more}\r\n${chunks}`;
const lastByLf = (text: string) => text.replace(/\r\n$/, '\n');

let engine: MockEngine;
let router: TestRouter;

beforeAll(async () => {
  engine = await MockEngine.start(whole);
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }]);
});
afterAll(async () => {
  await router.drain();
  await engine.stop();
});
beforeEach(() => {
  engine.requests.length = 0;
});

describe('over HTTP/1.1', () => {
  /** What a connection is told; the bytes are followed by a request that must not be seen where they are refused. */
  async function told(bytes: string): Promise<{ statuses: number[]; isClosed: boolean; text: string }> {
    const said = await RawConnection.open(router.port);
    said.socket.write(Buffer.from(bytes + long(''), 'latin1'));
    const statuses = () => (said.text.match(/HTTP\/1\.1 \d+/g) ?? []).map((line) => Number(line.slice(-3)));
    const areAnswered = () => statuses().length === 2 && said.text.endsWith(JSON.stringify(COMPLETION));
    await until(() => said.isClosed || areAnswered(), 'the connection is closed, or both are answered');
    const { text, isClosed } = said;
    said.socket.destroy();
    return { statuses: statuses(), isClosed, text };
  }

  test.each<[string, string]>([
    ['a host', long('')],
    ['a host of IPv6 with a port', long('', `${LINE}host: [::1]:8080\r\n`)],
    ['a host that is empty', long('', `${LINE}host:\r\n`)],
    ['another host in the target', long('', `POST http://b/v1/chat/completions HTTP/1.1\r\n${HOST}`)],
    ['a body in chunks', chunked(CODING)],
    ['chunks by their name in capitals', chunked('Transfer-Encoding: Chunked\r\n')],
    ['an extension of a chunk', chunked(CODING, `${HEX};a=b\r\n${BODY}\r\n0\r\n\r\n`)],
    ['a trailer', chunked(CODING, `${HEX}\r\n${BODY}\r\n0\r\nx: y\r\n\r\n`)],
  ])('%s is taken, and what comes after it', async (_, bytes) => {
    expect([(await told(bytes)).statuses, engine.requests.length]).toEqual([[200, 200], 2]);
  });

  test.each<[string, string, number?]>([
    ['two hosts', long('Host: b\r\n')],
    ['one host twice', long(HOST)],
    ['a host with a path', long('', `${LINE}host: a/b\r\n`)],
    ['a host with a user', long('', `${LINE}host: user@a\r\n`)],
    ['a host with a space', long('', `${LINE}host: a b\r\n`)],
    ['a host with a port that is none', long('', `${LINE}host: a:8x\r\n`)],
    ['no host', long('', LINE)],
    ['transfer-encoding: gzip, chunked', chunked('transfer-encoding: gzip, chunked\r\n')],
    ['transfer-encoding: gzip, then chunked', chunked(`transfer-encoding: gzip\r\n${CODING}`)],
    ['transfer-encoding: chunked, twice', chunked(CODING + CODING)],
    ['transfer-encoding: chunked, gzip', chunked('transfer-encoding: chunked, gzip\r\n')],
    ['transfer-encoding: gzip', chunked('transfer-encoding: gzip\r\n')],
    ['transfer-encoding: identity', chunked('transfer-encoding: identity\r\n')],
    ['transfer-encoding: identity, with a length', long('transfer-encoding: identity\r\n')],
    ['transfer-encoding: xchunked', chunked('transfer-encoding: xchunked\r\n')],
    ['transfer-encoding: ,chunked', chunked('transfer-encoding: ,chunked\r\n')],
    ['transfer-encoding: chunked;q=1', chunked('transfer-encoding: chunked;q=1\r\n')],
    ['transfer-encoding: "chunked"', chunked('transfer-encoding: "chunked"\r\n')],
    ['transfer-encoding that is empty, with a length', long('transfer-encoding:\r\n')],
    ['transfer-encoding after a vertical tab', chunked('transfer-encoding:\x0bchunked\r\n')],
    ['transfer-encoding in HTTP/1.0', chunked(CODING, CHUNKS, LINE.replace('1.1', '1.0') + HOST)],
    ['chunks and a length', chunked(LENGTH + CODING)],
    ['two lengths', long('content-length: 1\r\n')],
    ['one length twice', long(LENGTH)],
    ['a list of lengths', `${LINE}${HOST}${AUTH}content-length: ${BODY.length}, ${BODY.length}\r\n\r\n${BODY}`],
    ['a length with a sign', `${LINE}${HOST}${AUTH}content-length: +${BODY.length}\r\n\r\n${BODY}`],
    ['a length that is empty', `${LINE}${HOST}${AUTH}content-length:\r\n\r\n${BODY}`],
    ['a length of more than 64 bits', `${LINE}${HOST}${AUTH}content-length: ${2n ** 64n + BigInt(BODY.length)}\r\n\r\n${BODY}`],
    ['a header that is continued', long('x: y\r\n z\r\n')],
    ['a first header that is continued', long('', `${LINE} ${HOST}`)],
    ['a coding in a continued header', chunked('transfer-encoding:\r\n chunked\r\n')],
    ['lines that end with a line feed alone', `${`${LINE}${HOST}${AUTH}${LENGTH}`.replace(/\r/g, '')}\n${BODY}`],
    ['a header that ends with a line feed alone', long('x: y\n')],
    ['a head that ends with a line feed alone', `${LINE}${HOST}${AUTH}${LENGTH}\n${BODY}`],
    ['a carriage return in a header', long('x: y\rz: a\r\n')],
    ['a name with a space', long('x y: z\r\n')],
    ['a space before the colon', chunked('transfer-encoding : chunked\r\n')],
    ['a name that is empty', long(': x\r\n')],
    ['a header without a colon', long('x\r\n')],
    ['NUL in a value', long('x: a\0b\r\n')],
    ['NUL in a name', long('x\0: a\r\n')],
    ['NUL in the target', long('', LINE.replace('chat', 'chat\0') + HOST)],
    ['NUL after the coding', chunked('transfer-encoding: chunked\0\r\n')],
    ['a size with a plus', chunked(CODING, `+${CHUNKS}`)],
    ['a size with a minus', chunked(CODING, `-${CHUNKS}`)],
    ['a size with 0x', chunked(CODING, `0x${CHUNKS}`)],
    ['a size after a space', chunked(CODING, ` ${CHUNKS}`)],
    ['a size before a space', chunked(CODING, `${HEX} \r\n${BODY}\r\n0\r\n\r\n`)],
    ['a size of more than 64 bits', chunked(CODING, `1${HEX.padStart(16, '0')}\r\n${BODY}\r\n0\r\n\r\n`)],
    ['a size that is empty', chunked(CODING, `\r\n${BODY}\r\n0\r\n\r\n`)],
    ['an extension longer than 16 KiB', chunked(CODING, `${HEX};a=${'b'.repeat(20_000)}\r\n${BODY}\r\n0\r\n\r\n`), 413],
    ['an extension that ends with a line feed alone', chunked(CODING, `${HEX};a\n${BODY}\r\n0\r\n\r\n`)],
    ['a size that ends with a line feed alone', chunked(CODING, `${HEX}\n${BODY}\r\n0\r\n\r\n`)],
    ['a chunk that ends with a line feed alone', chunked(CODING, `${HEX}\r\n${BODY}\n0\r\n\r\n`)],
    ['a chunk longer than its size', chunked(CODING, `1\r\n${BODY}\r\n0\r\n\r\n`)],
    ['a last chunk that ends with a line feed alone', chunked(CODING, lastByLf(CHUNKS))],
    ['a length in a trailer', chunked(CODING, `${HEX}\r\n${BODY}\r\n0\r\ncontent-length: 3\r\n\r\n`)],
    ['trailers longer than a head may be', chunked(CODING, `${HEX}\r\n${BODY}\r\n0\r\n${'x: y\r\n'.repeat(10_000)}\r\n`), 431],
    ['HTTP/1.2', long('', LINE.replace('1.1', '1.2') + HOST)],
    ['tabs in the first line', long('', LINE.replace(/ /g, '\t') + HOST)],
  ])('%s is refused, and nothing after it is taken for a request', async (_, bytes, status = 400) => {
    const { statuses, isClosed } = await told(bytes);
    expect([statuses, isClosed, engine.requests.length]).toEqual([[status], true, 0]);
  });

  test('callers are told what is wrong in their own terms', async () => {
    expect((await told(long(HOST))).text).toContain('"message":"host: give it once"');
    const { text } = await told(chunked('transfer-encoding: gzip, chunked\r\n', CHUNKS, `POST /model/${MODEL}/converse HTTP/1.1\r\n${HOST}`));
    expect(text).toMatch(/x-amzn-errortype: ValidationException\r\n.*\{"message":"transfer-encoding: only chunked is taken, and that of HTTP\/1\.1"\}$/s);
  });
});

describe('over HTTP/2', () => {
  type Field = [name: string, value: string];
  const FIELDS: Field[] = [[':method', 'POST'], [':scheme', 'http'], [':path', '/v1/chat/completions'], [':authority', 'a'], ['authorization', `Bearer ${KEY}`]];
  /** The fields, of which one has another value. */
  const withOther = (name: string, value: string): Field[] => FIELDS.map(([one, before]) => [one, one === name ? value : before]);
  const without = (name: string) => FIELDS.filter(([one]) => one !== name);
  const withMore = (name: string, value: string): Field[] => [...FIELDS, [name, value]];
  const INDEXED: { readonly [first: number]: number } = { 0x88: 200, 0x8c: 400 };

  /** The status that a stream is answered with, or the code by which it is reset. */
  async function told(fields: Field[]): Promise<number | string> {
    const said = await RawConnection.open(router.port);
    const block = Buffer.concat(fields.map(([name, value]) => literal(name, value)));
    const frames = [frame(SETTINGS, 0, 0, Buffer.alloc(0)), frame(HEADERS, END_HEADERS, 1, block), frame(DATA, END_STREAM, 1, Buffer.from(BODY))];
    said.socket.write(Buffer.concat([PREFACE, ...frames]));
    let outcome: number | string | undefined;
    await until(() => {
      const bytes = Buffer.from(said.text, 'latin1');
      for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
        const payload = bytes.subarray(at + 9, at + 9 + bytes.readUIntBE(at, 3));
        outcome ??= bytes[at + 3] === HEADERS ? INDEXED[payload[0]] : bytes[at + 3] === RST_STREAM ? `reset ${payload.readUInt32BE(0)}` : undefined;
      }
      return outcome !== undefined;
    }, 'the stream is answered or reset');
    said.socket.destroy();
    return outcome!;
  }

  test.each<[string, Field[]]>([
    ['an authority', FIELDS],
    ['a host instead of it', [...without(':authority'), ['host', 'a']]],
    ['a host beside it that is the same', withMore('host', 'A')],
    ['te: trailers', withMore('te', 'trailers')],
    ['the length of the body', withMore('content-length', String(BODY.length))],
  ])('%s is taken', async (_, fields) => {
    expect([await told(fields), engine.requests.length]).toEqual([200, 1]);
  });

  test.each<[string, Field[], (number | string)?]>([
    ['a host that is not the authority', withMore('host', 'b'), 400],
    ['an authority with a user', withOther(':authority', 'user@a'), 400],
    ['an authority with a port that is none', withOther(':authority', 'a:8x'), 400],
    ['an authority with a space', withOther(':authority', 'a b')],
    ['neither authority nor host', without(':authority')],
    ['two hosts', [...FIELDS, ['host', 'a'], ['host', 'a']]],
    ['no method', without(':method')],
    ['no scheme', without(':scheme')],
    ['no path', without(':path')],
    ['a path that is empty', withOther(':path', '')],
    ['a path without a slash', withOther(':path', 'v1/chat/completions')],
    ['a path with a space', withOther(':path', '/healthz HTTP/1.1')],
    ['a path with NUL', withOther(':path', '/v1/chat\0/completions')],
    ['two paths', [[':path', '/v1/models'], ...FIELDS]],
    ['a method with a space', withOther(':method', 'PO ST')],
    ['a pseudo header after others', [...without(':method'), [':method', 'POST']]],
    ['a pseudo header that there is not', [[':x', 'y'], ...FIELDS]],
    ['a status', [[':status', '200'], ...FIELDS]],
    ['connection', withMore('connection', 'close')],
    ['keep-alive', withMore('keep-alive', '1')],
    ['proxy-connection', withMore('proxy-connection', 'close')],
    ['upgrade', withMore('upgrade', 'h2c')],
    ['transfer-encoding', withMore('transfer-encoding', 'chunked')],
    ['te: gzip', withMore('te', 'gzip')],
    ['a name in capitals', withMore('X-Upper', '1')],
    ['a length below that of the body', withMore('content-length', '5')],
    ['a length above it', withMore('content-length', '5000')],
    ['a length with a sign', withMore('content-length', '+5')],
    ['two lengths', [...FIELDS, ['content-length', String(BODY.length)], ['content-length', String(BODY.length)]]],
  ])('%s is refused', async (_, fields, outcome = 'reset 1') => {
    expect([await told(fields), engine.requests.length]).toEqual([outcome, 0]);
  });
});
