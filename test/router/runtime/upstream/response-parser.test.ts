import { once } from 'node:events';
import { request } from 'node:http';
import { AddressInfo, createServer } from 'node:net';
import { MalformedResponse, ResponseParser } from '../../../../src/router/runtime/upstream/response-parser';

const BODY = 'data: {"text":"ä\u{1f600}"}\n\n'.repeat(3);
const LENGTH = Buffer.byteLength(BODY);
const chunked = (...chunks: string[]) => chunks.map((chunk) => `${Buffer.byteLength(chunk).toString(16)}\r\n${chunk}\r\n`).join('');

/** Responses that Node's own client understands. */
const RESPONSES: { readonly [what: string]: string } = {
  'a length': `HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\ncontent-length: ${LENGTH}\r\n\r\n${BODY}`,
  'a length of none': 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n',
  'chunks': `HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n${chunked(BODY, 'b', BODY)}0\r\n\r\n`,
  'chunks with extensions and a trailer': `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n00${LENGTH.toString(16).toUpperCase()};a=b\r\n${BODY}\r\n0;c\r\nx-sum: 1\r\n\r\n`,
  'the end of the connection': `HTTP/1.1 200 OK\r\n\r\n${BODY}`,
  'an older server': `HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\n${BODY}`,
  'no body by its status': 'HTTP/1.1 204 No Content\r\n\r\n',
  'no reason phrase': 'HTTP/1.1 503 \r\ncontent-length: 0\r\nretry-after:  7 \r\n\r\n',
  'what comes before': `HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: ${LENGTH}\r\n\r\n${BODY}`,
  'headers of one name': 'HTTP/1.1 200 OK\r\nx-a: 1\r\nX-A: 2\r\nx-empty:\r\ncontent-length: 0\r\n\r\n',
};

interface Read {
  readonly status: number;
  readonly headers: { readonly [name: string]: string | undefined };
  readonly body: string;
  readonly isWhole: boolean;
}

/** What is read of bytes that come piece by piece, each in a buffer that is used again for the next. */
function read(pieces: Buffer[]): Read & { readonly keepsAlive: boolean } {
  const parser = new ResponseParser();
  const body = pieces.map((piece) => {
    const bytes = Buffer.from(piece);
    const part = parser.read(bytes);
    bytes.fill('!');
    return part;
  });
  parser.end();
  const { status, headers, isWhole, keepsAlive } = parser;
  return { status, headers, body: Buffer.concat(body).toString(), isWhole, keepsAlive };
}

/** The same as Node's own client reads it. */
async function readByNode(response: string): Promise<Read> {
  const server = createServer((socket) => socket.once('data', () => socket.end(response))).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const asked = request({ port: (server.address() as AddressInfo).port, agent: false }).end();
    const [answer] = await once(asked, 'response');
    let body = '';
    for await (const piece of answer.setEncoding('utf8')) {
      body += piece;
    }
    return { status: answer.statusCode, headers: answer.headers, body, isWhole: answer.complete };
  } finally {
    server.close();
  }
}

describe('a response', () => {
  test.each(Object.keys(RESPONSES))('with %s is read as Node reads it, wherever it is cut', async (what) => {
    const bytes = Buffer.from(RESPONSES[what]);
    const { keepsAlive, ...whole } = read([bytes]);
    expect(whole).toEqual(await readByNode(RESPONSES[what]));
    expect(keepsAlive).toBe(!['the end of the connection', 'an older server'].includes(what));
    for (let first = 0; first <= bytes.length; first++) {
      expect(read([bytes.subarray(0, first), bytes.subarray(first)])).toEqual({ ...whole, keepsAlive });
    }
    expect(read([...bytes].map((byte) => Buffer.from([byte])))).toEqual({ ...whole, keepsAlive });
  });

  test.each(Object.keys(RESPONSES).filter((what) => !['the end of the connection', 'an older server'].includes(what)))(
    'with %s that is cut is not whole, and what comes behind it is not of it', (what) => {
      const bytes = Buffer.from(RESPONSES[what]);
      for (let length = 0; length < bytes.length; length++) {
        expect(read([bytes.subarray(0, length)]).isWhole).toBe(false);
      }
      const { keepsAlive, ...longer } = read([Buffer.concat([bytes, Buffer.from('HTTP/1.1 200 OK\r\n')])]);
      expect(longer).toMatchObject({ body: read([bytes]).body, isWhole: true });
      expect(keepsAlive).toBe(false);
    });

  test('asks for the end of its connection', () => {
    for (const connection of ['close', 'Close', 'keep-alive, close']) {
      expect(read([Buffer.from(`HTTP/1.1 200 OK\r\nconnection: ${connection}\r\ncontent-length: 0\r\n\r\n`)])).toMatchObject({ isWhole: true, keepsAlive: false });
    }
  });
});

test.each([
  'HTTP/2 200 OK\r\n\r\n',
  'HTTP/1.1 99 Low\r\n\r\n',
  'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n',
  'ICY 200 OK\r\n\r\n',
  '{"error":"no HTTP"}\r\n\r\n',
  'HTTP/1.1 200 OK\r\nno colon\r\n\r\n',
  'HTTP/1.1 200 OK\r\na b: c\r\n\r\n',
  'HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n',
  'HTTP/1.1 200 OK\r\na: b\nc: d\r\n\r\n',
  'HTTP/1.1 200 OK\r\na: b\rc: d\r\n\r\n',
  'HTTP/1.1 200 OK\r\na: \0\r\n\r\n',
  'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab',
  'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n',
  'HTTP/1.1 200 OK\r\ncontent-length: 0x1\r\n\r\na',
  'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
  'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
  'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
  'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\na\r\n0\r\n\r\n',
  'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n',
  'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n',
  'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n',
  'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n111111111\r\na',
  `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${'0'.repeat(2000)}`,
  `HTTP/1.1 200 OK\r\na: ${'b'.repeat(20_000)}\r\n\r\n`,
  'a'.repeat(20_000),
])('%j is no response', (response) => {
  expect(() => read([Buffer.from(response)])).toThrow(MalformedResponse);
  expect(() => read([...Buffer.from(response)].map((byte) => Buffer.from([byte])))).toThrow(MalformedResponse);
});

test.each(['SSH-2.0', '\r\n', 'HTTP/2', 'HTTP/1.1 OK\r\n', 'HTTP/1.1 200 OK\n'])('%j is refused before its head has an end', (beginning) => {
  expect(() => read([Buffer.from(beginning)])).toThrow(MalformedResponse);
  expect(() => read([...Buffer.from(`HTTP/1.1 103 Early\r\n\r\n${beginning}`)].map((byte) => Buffer.from([byte])))).toThrow(MalformedResponse);
  expect(read([Buffer.from('HTTP/1.1 20')])).toMatchObject({ status: 0, isWhole: false });
});
