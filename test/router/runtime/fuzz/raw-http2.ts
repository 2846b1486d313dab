import { Random } from './random';
import { validRequest } from './requests';

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
export const DATA = 0;
export const HEADERS = 1;
export const RST_STREAM = 3;
export const SETTINGS = 4;
const PING = 6;
const WINDOW_UPDATE = 8;
const CONTINUATION = 9;
export const END_STREAM = 1;
export const END_HEADERS = 4;

/** What a connection of HTTP/2 is sent. */
export interface RawHttp2 {
  readonly kind: string;
  readonly pieces: readonly Buffer[];
  readonly frames: number;
}

/** Frames for a connection of HTTP/2. */
export function rawHttp2(random: Random): RawHttp2 {
  const [kind, make] = random.pick<[string, () => Buffer[]]>([
    ['random frames', () => many(random, 40, () => randomFrame(random))],
    ['frames among requests', () => many(random, 20, (i) => (random.chance(0.5) ? request(random, 2 * i + 1) : randomFrame(random)))],
    ['HPACK rubbish', () => many(random, 5, (i) => frame(HEADERS, END_HEADERS + random.below(2), 2 * i + 1, random.bytes(random.below(300))))],
    ['damaged HPACK', () => many(random, 5, (i) => frame(HEADERS, END_HEADERS, 2 * i + 1, random.damaged(head(random))))],
    ['rapid reset', () => many(random, 300, (i) => Buffer.concat([
      frame(HEADERS, END_HEADERS + random.below(2), 2 * i + 1, head(random)), frame(RST_STREAM, 0, 2 * i + 1, uint32(random.below(14))),
    ]))],
    ['settings flood', () => many(random, 500, () => frame(SETTINGS, 0, 0, Buffer.concat(many(random, 4, () => Buffer.concat([
      Buffer.from([0, 1 + random.below(8)]), uint32(random.pick([0, 1, 100, 65535, 2 ** 31, 2 ** 32 - 1])),
    ])))))],
    ['ping flood', () => many(random, 1000, () => frame(PING, 0, 0, random.bytes(8)))],
    ['continuation flood', () => [
      frame(HEADERS, 0, 1, head(random)), ...many(random, 300, () => frame(CONTINUATION, 0, 1, literal(`x-${random.below(1000)}`, 'y'.repeat(100)))),
    ]],
    ['half-open streams', () => many(random, 100, (i) => frame(HEADERS, END_HEADERS, 2 * i + 1, head(random)))],
    ['windows', () => [request(random, 1), ...many(random, 50, () => frame(WINDOW_UPDATE, 0, random.below(4), uint32(random.pick([0, 1, 2 ** 31 - 1]))))]],
    ['empty data', () => [frame(HEADERS, END_HEADERS, 1, head(random)), ...many(random, 1000, () => frame(DATA, 0, 1, Buffer.alloc(0)))]],
    ['no settings', () => [request(random, 1)]],
  ]);
  const frames = make();
  const front = Buffer.concat([PREFACE, ...(kind === 'no settings' ? [] : [frame(SETTINGS, 0, 0, Buffer.alloc(0))])]);
  const bytes = Buffer.concat([random.chance(0.02) ? random.damaged(front) : front, ...frames]);
  return { kind, pieces: random.torn(random.chance(0.1) ? bytes.subarray(0, random.below(bytes.length)) : bytes, 6), frames: frames.length };
}

function many(random: Random, most: number, make: (index: number) => Buffer): Buffer[] {
  return Array.from({ length: 1 + random.below(most) }, (_, i) => make(i));
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function frame(type: number, flags: number, stream: number, payload: Buffer, length = payload.length): Buffer {
  const front = Buffer.alloc(9);
  front.writeUIntBE(length, 0, 3);
  front.writeUInt8(type, 3);
  front.writeUInt8(flags, 4);
  front.writeUInt32BE(stream, 5);
  return Buffer.concat([front, payload]);
}

function randomFrame(random: Random): Buffer {
  const payload = random.bytes(random.pick([0, 4, 5, 8, 6, random.below(200)]));
  const length = random.chance(0.9) ? payload.length : random.pick([0, 16385, 2 ** 24 - 1, random.below(2 ** 24)]);
  const stream = random.pick([0, 1, 2, 3, 5, random.below(20), random.below(2 ** 31), 2 ** 31 + 1]);
  return frame(random.chance(0.9) ? random.below(11) : random.below(256), random.below(256), stream, payload, length);
}

function request(random: Random, stream: number): Buffer {
  const { body } = validRequest(random);
  return Buffer.concat([frame(HEADERS, END_HEADERS, stream, head(random)), frame(DATA, END_STREAM, stream, body.subarray(0, 16384))]);
}

/** The header block of a request, each field as a literal that is not indexed. */
function head(random: Random): Buffer {
  const { method, path, headers } = validRequest(random);
  const fields = Object.entries({ ':method': method, ':scheme': 'http', ':path': path, ':authority': 'router', ...headers });
  if (random.chance(0.2)) {
    fields.splice(random.below(fields.length), random.below(2), random.pick([
      [':path', ''], [':method', 'CONNECT'], [':protocol', 'websocket'], ['connection', 'close'], ['Upper', 'case'], ['te', 'gzip'], [':status', '200'], ['', ''],
      ['content-length', '5'], ['content-length', '-1'], ['transfer-encoding', 'chunked'], ['a\r\nb', 'c'], ['x', 'y'.repeat(20_000)], [':unknown', 'x'], ['host', 'a b'],
    ]));
  }
  return Buffer.concat(fields.map(([name, value]) => literal(name, value)));
}

/** A field of a header block, as a literal that is not indexed. */
export function literal(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0]), lengthOf(name), Buffer.from(name, 'latin1'), lengthOf(value), Buffer.from(value, 'latin1')]);
}

/** A length as HPACK writes it: RFC 7541, section 5.1, with a prefix of 7 bits. */
function lengthOf({ length }: string): Buffer {
  if (length < 127) {
    return Buffer.from([length]);
  }
  const bytes = [127];
  let rest = length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) {
    bytes.push(128 + rest % 128);
  }
  return Buffer.from([...bytes, rest]);
}
