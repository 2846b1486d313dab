import { Random } from './random';
import { FuzzedRequest, validRequest } from './requests';
import { KEY, MODEL } from '../harness';

/** What a connection of HTTP/1.1 is sent. */
export interface RawHttp {
  readonly kind: string;
  readonly pieces: readonly Buffer[];
  /** Messages within it, about. */
  readonly messages: number;
  /** Status of each answer; undefined where any answer, or none, is right. */
  readonly expected?: readonly number[];
}

/** Text of a prompt that no engine may ever see, as a server that does would have taken a body for a request. */
export const SMUGGLED = 'smuggled';

const SMUGGLED_BODY = JSON.stringify({ model: MODEL, messages: [{ role: 'user', content: SMUGGLED }] });
const SMUGGLED_REQUEST = `POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${KEY}\r\ncontent-length: ${SMUGGLED_BODY.length}\r\n\r\n${SMUGGLED_BODY}`;

/** Bytes for a connection of HTTP/1.1. */
export function rawHttp(random: Random): RawHttp {
  const [kind, make] = random.pick<[string, (random: Random) => Omit<RawHttp, 'kind' | 'pieces'> & { bytes: Buffer }]>([
    ['garbage', () => ({ bytes: random.bytes(1 + random.below(2000)), messages: 1 })],
    ['pipelined', pipelined],
    ['pipelined', pipelined],
    ['damaged', () => ({ bytes: random.damaged(message(validRequest(random))), messages: 1 })],
    ['damaged', () => ({ bytes: random.damaged(message(validRequest(random))), messages: 1 })],
    ['damaged head', damagedHead],
    ['headers too long', tooLong],
    ['chunked', () => ({ bytes: chunked(wholeRequest(random), random), messages: 1, expected: [200] })],
    ['damaged chunks', () => ({ bytes: random.damaged(chunked(validRequest(random), random)), messages: 1 })],
    ['smuggled', smuggled],
    ['torn off', () => {
      const bytes = message(validRequest(random));
      return { bytes: bytes.subarray(0, random.below(bytes.length)), messages: 1 };
    }],
    ['odd', odd],
  ]);
  const { bytes, ...more } = make(random);
  return { kind, pieces: random.torn(bytes, 8), ...more };
}

function head({ method, path, headers }: FuzzedRequest, more: { readonly [name: string]: string }): string {
  const lines = Object.entries({ host: 'router', ...headers, ...more }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

function message(request: FuzzedRequest): Buffer {
  return Buffer.concat([Buffer.from(head(request, { 'content-length': String(request.body.length) })), request.body]);
}

/** A valid request whose answer is no stream. */
function wholeRequest(random: Random): FuzzedRequest {
  for (;;) {
    const request = validRequest(random);
    if (!/stream|\/openai/.test(request.path)) {
      return request;
    }
  }
}

function pipelined(random: Random) {
  const requests = Array.from({ length: 1 + random.below(5) }, () => wholeRequest(random));
  return { bytes: Buffer.concat(requests.map(message)), messages: requests.length, expected: requests.map(() => 200) };
}

function damagedHead(random: Random) {
  const request = validRequest(random);
  const text = head(request, { 'content-length': String(request.body.length) });
  const at = random.below(text.length);
  const inserted = random.pick(['\r', '\n', '\0', '\t', ' ', ':', '\x7f', 'ÿ', '\r\n', '\r\n ', ';', ',', '%', '\r\n\r\n']);
  return { bytes: Buffer.concat([Buffer.from(text.slice(0, at) + inserted + text.slice(at + random.below(2)), 'latin1'), request.body]), messages: 1 };
}

function tooLong(random: Random) {
  const more = random.pick<() => { [name: string]: string }>([
    () => ({ x: 'y'.repeat(20_000 + random.below(100_000)) }),
    () => Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`x-${i}`, 'yyyyyyyyyy'])),
    () => ({ ['x'.repeat(20_000)]: '1' }),
  ])();
  return { bytes: Buffer.from(head(validRequest(random), more)), messages: 1, expected: [431] };
}

function chunked(request: FuzzedRequest, random: Random): Buffer {
  const extension = random.pick(['', '', ';a=b', ';a="b;c"']);
  const chunks = random.torn(request.body, 10).filter((chunk) => chunk.length > 0)
    .flatMap((chunk) => [Buffer.from(`${chunk.length.toString(16)}${extension}\r\n`), chunk, Buffer.from('\r\n')]);
  const trailer = random.pick(['', '', 'x-trailer: 1\r\n']);
  return Buffer.concat([Buffer.from(head(request, { 'transfer-encoding': 'chunked' })), ...chunks, Buffer.from(`0\r\n${trailer}\r\n`)]);
}

function smuggled(random: Random) {
  const short = `0\r\n\r\n${SMUGGLED_REQUEST}`;
  const lengths = random.pick([
    { headers: `content-length: ${short.length}\r\ntransfer-encoding: chunked\r\n`, body: short },
    { headers: `transfer-encoding: chunked\r\ncontent-length: ${short.length}\r\n`, body: short },
    { headers: `content-length: ${SMUGGLED_REQUEST.length}\r\ncontent-length: 0\r\n`, body: SMUGGLED_REQUEST },
    { headers: `content-length: ${SMUGGLED_REQUEST.length}, 0\r\n`, body: SMUGGLED_REQUEST },
    { headers: 'content-length: +0\r\n', body: SMUGGLED_REQUEST },
    { headers: 'transfer-encoding: xchunked\r\n', body: short },
    { headers: 'transfer-encoding: chunked, identity\r\n', body: short },
    { headers: `transfer-encoding:\x0bchunked\r\ncontent-length: ${short.length}\r\n`, body: short },
    { headers: `transfer-encoding : chunked\r\ncontent-length: ${short.length}\r\n`, body: short },
    { headers: `x: y\r\n content-length: 0\r\ncontent-length: ${SMUGGLED_REQUEST.length}\r\n`, body: SMUGGLED_REQUEST },
    { headers: `x: y\rtransfer-encoding: chunked\r\ncontent-length: ${short.length}\r\n`, body: short },
  ]);
  const front = `POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${KEY}\r\n`;
  return { bytes: Buffer.from(`${front}${lengths.headers}\r\n${lengths.body}`, 'latin1'), messages: 1 };
}

function odd(random: Random) {
  const bytes = Buffer.from(random.pick([
    'CONNECT example.com:443 HTTP/1.1\r\nhost: a\r\n\r\n',
    'GET http://169.254.169.254/latest/meta-data HTTP/1.1\r\nhost: a\r\n\r\n',
    'GET /v1/models HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n',
    'GET /healthz HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: AAAA\r\nsec-websocket-version: 13\r\n\r\n',
    'POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n{"a":',
    'POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nexpect: a-pony\r\ncontent-length: 5\r\n\r\n{"a":',
    'GET /\r\n', 'GET / HTTP/0.9\r\n\r\n', 'GET / HTTP/1.0\r\n\r\n', 'GET / HTTP/3.0\r\n\r\n', 'HEAD /healthz HTTP/1.1\r\nhost: a\r\n\r\n', 'PRI * HTTP/1.1\r\n\r\n',
    'PRI', 'P', 'PR\r\n', 'PRI * HTTP/2.0\r\n\r\nSN', 'OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n', 'GET /healthz HTTP/1.1\r\n\r\n', '\r\n\r\n\r\n', '\u0016\u0003\u0001\u0002\u0000\u0001',
    'POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\n',
    'POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n',
    `POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${KEY}\r\ncontent-length: 26214401\r\n\r\n`,
  ]), 'latin1');
  return { bytes, messages: 1 };
}
