import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { AddressInfo, createServer, Server, Socket } from 'node:net';
import { dirname } from 'node:path';
import { performance } from 'node:perf_hooks';
import { Cancellation } from '../../../../src/router/runtime/cancellation';
import { ask as askOver } from '../../../../src/router/runtime/targets/ask';
import { readWhole } from '../../../../src/router/runtime/targets/read-whole';
import { Connection, ConnectError } from '../../../../src/router/runtime/upstream/connection';
import { Connections } from '../../../../src/router/runtime/upstream/connections';
import { HostLookup } from '../../../../src/router/runtime/upstream/host-lookup';
import { ask, chat, configOf, COMPLETION, until } from '../harness';
import { bundle, OUT, RouterProcess } from '../router-process';
import { localCertificate } from '../serving/certificate';

const answer = (body: string, more = '') => `HTTP/1.1 200 OK\r\n${more}content-length: ${body.length}\r\n\r\n${body}`;

/** A server that answers each request, as far as it is one piece, and says how many connections it has had. */
class RawServer {
  public readonly sockets: Socket[] = [];
  public received = '';
  private readonly server: Server;

  constructor(respond: (socket: Socket, head: string) => void) {
    this.server = createServer((socket) => {
      this.sockets.push(socket);
      socket.on('error', () => undefined).on('data', (data) => {
        this.received += data.toString('latin1');
        if (data.includes('HTTP/1.1\r\n')) {
          respond(socket, data.toString('latin1'));
        }
      });
    });
  }

  public async start(): Promise<URL> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return new URL(`http://127.0.0.1:${this.port}`);
  }

  public get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Takes no more connections. */
  public refuse(): void {
    this.server.close();
  }

  public async stop(): Promise<void> {
    this.sockets.forEach((socket) => socket.destroy());
    await new Promise((resolve) => this.server.close(resolve));
  }
}

let server: RawServer;
let connections: Connections;
const startWith = async (respond: (socket: Socket, head: string) => void) => {
  server = new RawServer(respond);
  connections = new Connections(await server.start());
};

afterEach(async () => {
  jest.restoreAllMocks();
  connections.close();
  await server.stop();
});

async function post(path: string, body = '{}', headers: { [name: string]: string } = {}, isRepeatable = true): Promise<string> {
  const response = await askOver(connections, { method: 'POST', path, headers, body: [Buffer.from(body.slice(0, 1)), Buffer.from(body.slice(1))], isRepeatable }, new Cancellation());
  return (await readWhole(response, 1_000_000)).body.toString();
}

/** Until the next turn of the event loop. */
const turn = async () => new Promise((resolve) => setImmediate(resolve));

test('requests that follow each other share a connection, those at once do not', async () => {
  await startWith((socket, head) => socket.write(answer(head.split(' ')[1])));
  for (const path of ['/a', '/b', '/c']) {
    expect(await post(path)).toBe(path);
  }
  expect(server.sockets).toHaveLength(1);
  expect(await Promise.all(['/d', '/e'].map(async (path) => post(path)))).toEqual(['/d', '/e']);
  expect(server.sockets).toHaveLength(2);
});

test('a request arrives whole, whatever its length', async () => {
  await startWith((socket, head) => socket.write(/content-length: 3\r\n/.test(head) ? answer('short') : answer('long')));
  expect(await post('/a', 'abc', { 'x-a': 'é' })).toBe('short');
  expect(server.received).toMatch(/^POST \/a HTTP\/1\.1\r\nhost: 127\.0\.0\.1:\d+\r\nconnection: keep-alive\r\nx-a: \xe9\r\ncontent-length: 3\r\n\r\nabc$/);
  const long = 'x'.repeat(300_000);
  server.received = '';
  expect(await post('/b', long)).toBe('long');
  await until(() => server.received.endsWith(`content-length: 300000\r\n\r\n${long}`), 'the body arrives');
});

test('a header that is none is not sent', async () => {
  await startWith((socket) => socket.write(answer('a')));
  await expect(post('/a', '{}', { 'x-a': 'b\r\nx-c: d' })).rejects.toThrow(TypeError);
  expect(server.sockets).toHaveLength(0);
});

test.each([
  ['with it', 0],
  ['later', 1],
])('what a server sends behind a response, %s, is not taken for the response to another request', async (_, turns) => {
  await startWith(async (socket, head) => {
    if (!head.includes('/a ')) {
      socket.write(answer('right'));
    } else if (turns === 0) {
      socket.write(answer('first') + answer('wrong'));
    } else {
      socket.write(answer('first'), () => void turn().then(() => socket.write(answer('wrong'))));
    }
  });
  expect(await post('/a')).toBe('first');
  await until(() => server.sockets[0].destroyed, 'the connection is closed');
  expect(await post('/b')).toBe('right');
  expect(server.sockets).toHaveLength(2);
});

test('what has come over an idle connection, and is yet to be read, is not taken for the response to the next request', async () => {
  let sendMore = (): unknown => undefined;
  await startWith((socket, head) => {
    socket.write(answer(head.includes('/a ') ? 'first' : 'right'));
    sendMore = () => socket.write(answer('wrong'));
  });
  expect(await post('/a')).toBe('first');
  await turn();
  sendMore();
  // nothing of it was sent, so that it may be sent whatever it is.
  expect(await post('/b', '{}', {}, false)).toBe('right');
  expect([server.sockets.length, server.received.split('POST /b ').length - 1]).toEqual([2, 1]);
});

test('a request of which nothing was sent is sent over a new connection, however late it is seen that the idle one has ended', async () => {
  await startWith((socket) => socket.write(answer('a')));
  await post('/a');
  await turn();
  const asked = post('/b', '{}', {}, false);
  server.sockets[0].destroy();
  const now = performance.now();
  jest.spyOn(performance, 'now').mockImplementation(() => now + 5_000);
  expect(await asked).toBe('a');
});

test.each([
  ['closed', (socket: Socket) => socket.end(answer('a'))],
  ['said to be closed', (socket: Socket) => socket.write(answer('a', 'connection: close\r\n'))],
  ['said to be kept for a second', (socket: Socket) => socket.write(answer('a', 'keep-alive: timeout=1\r\n'))],
])('a connection that is %s after a response is not used again', async (_, respond) => {
  await startWith(respond);
  expect(await post('/a')).toBe('a');
  await until(() => server.sockets[0].destroyed, 'the connection is closed');
  expect(await post('/b')).toBe('a');
  expect(server.sockets).toHaveLength(2);
});

test.each([
  ['a long request is refused', 'HTTP/1.1 413 No\r\ncontent-length: 2\r\n\r\nno', 20_000, 2],
  ['a short request is refused', 'HTTP/1.1 413 No\r\ncontent-length: 2\r\n\r\nno', 10, 1],
  ['a long request is answered', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno', 20_000, 1],
])('after %s, the connections that two requests need are as many as are sure to be read', async (_, response, length, expected) => {
  await startWith((socket) => socket.write(response));
  for (let i = 0; i < 2; i++) {
    expect(await post('/a', 'x'.repeat(length))).toBe('no');
  }
  expect(server.sockets).toHaveLength(expected);
});

test('a connection that could not be made is told from one that broke', async () => {
  await startWith((socket) => socket.destroy());
  const broken = await post('/a').catch((error: unknown) => error);
  expect(broken).toBeInstanceOf(Error);
  expect(broken).not.toBeInstanceOf(ConnectError);
  await server.stop();
  await expect(post('/a')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  await expect(post('/a')).rejects.toThrow(ConnectError);
});

describe('a connection that had a response ends after it was sent another request', () => {
  const answerRight = (socket: Socket) => socket.write(answer('right'));
  let end: (socket: Socket) => unknown;
  const timesAsked = (path: string) => server.received.split(`POST ${path} `).length - 1;

  beforeEach(async () => {
    await startWith((socket, head) => (head.includes('/a ') ? answerRight : end)(socket));
    expect(await post('/a')).toBe('right');
  });

  test.each([
    ['closed', (socket: Socket) => socket.end()],
    ['reset', (socket: Socket) => socket.resetAndDestroy()],
  ])('%s at once: it is sent over a new one', async (_, way) => {
    end = (socket) => {
      end = answerRight;
      way(socket);
    };
    expect(await post('/b')).toBe('right');
    expect([server.sockets.length, timesAsked('/b')]).toEqual([2, 2]);
  });

  test('at once: it is not sent again if it is not repeatable', async () => {
    end = (socket) => socket.end();
    await expect(post('/b', '{}', {}, false)).rejects.toThrow('the other side closed the connection');
    expect(timesAsked('/b')).toBe(1);
  });

  test('as does the new one: it is not sent a third time', async () => {
    end = (socket) => {
      end = (other) => other.destroy();
      end(socket);
    };
    await expect(post('/b')).rejects.toThrow('the other side closed the connection');
    expect([server.sockets.length, timesAsked('/b')]).toEqual([2, 2]);
  });

  test('and no other can be made: it is not told as one that nobody was sent', async () => {
    end = (socket) => {
      server.refuse();
      socket.destroy();
    };
    const error = await post('/b').catch((e: unknown) => e);
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(ConnectError);
  });

  test('after a byte of the response: it is not sent again', async () => {
    end = (socket) => socket.end('H');
    await expect(post('/b')).rejects.toThrow('the other side closed the connection');
    expect(timesAsked('/b')).toBe(1);
  });

  test('seconds later, when the server had it: it is not sent again', async () => {
    const now = performance.now();
    end = (socket) => {
      jest.spyOn(performance, 'now').mockReturnValue(now + 60_000);
      socket.destroy();
    };
    await expect(post('/b')).rejects.toThrow('the other side closed the connection');
    expect(timesAsked('/b')).toBe(1);
  });
});

test('a server that takes a connection and says nothing of TLS is given up', async () => {
  await startWith(() => undefined);
  connections = new Connections(new URL(`https://127.0.0.1:${server.port}`));
  const error = await post('/a').catch((e: unknown) => e);
  expect(error).toBeInstanceOf(ConnectError);
  expect(error).toMatchObject({ message: 'no connection within 3 s' });
});

test('a connection asks whether the other host is there still', async () => {
  const keepAlive = jest.spyOn(Socket.prototype, 'setKeepAlive');
  await startWith((socket) => socket.write(answer('a')));
  await post('/a');
  expect(keepAlive.mock.calls).toEqual([[true, 15_000]]);
});

test('that a connection is closed is told once', async () => {
  await startWith((socket) => socket.write(answer('a')));
  const closed = jest.fn();
  const connection = await new Promise<Connection>((idle) => {
    new Connection({ host: '127.0.0.1', port: server.port, isTls: false, lookup: new HostLookup().lookup }, { heard: false }, idle, closed)
      .ask('GET / HTTP/1.1\r\n\r\n', [], { began: () => {}, came: () => {}, ended: () => {}, failed: () => {} });
  });
  connection.destroy();
  connection.destroy();
  await once(server.sockets[0], 'close');
  await turn();
  expect(closed).toHaveBeenCalledTimes(1);
});

test('what is no HTTP is an error, not an answer', async () => {
  await startWith((socket) => socket.write('SSH-2.0-OpenSSH_9.6\r\n'));
  await expect(post('/a')).rejects.toThrow('the response is not of HTTP/1.1');
  await until(() => server.sockets[0].destroyed, 'the connection is closed');
});

test('engines are asked over TLS, if their certificate is to be trusted', async () => {
  await startWith(() => undefined);
  const files = localCertificate();
  const [cert, key] = [files.certificateFile, files.keyFile].map((file) => readFileSync(file));
  const engine = createTlsServer({ cert, key }, ({ headers, socket }, response) => {
    if (String(headers['x-request-id']).startsWith('unframed')) {
      socket.end(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n${JSON.stringify(COMPLETION)}`);
    } else {
      response.end(JSON.stringify(COMPLETION));
    }
  }).listen(0, '127.0.0.1');
  await once(engine, 'listening');
  const url = `https://localhost:${(engine.address() as AddressInfo).port}`;
  const config = JSON.stringify(configOf([{ name: 'engine', role: 'aggregated', protocol: 'openai', url }], { auth: 'none' }));
  const script = bundle('tls-upstream.js');
  const routers = [files.certificateFile, ''].map((file) => new RouterProcess(script, { NODE_EXTRA_CA_CERTS: file, ROUTER_CONFIG: config }));
  try {
    const [trusting, other] = await Promise.all(routers.map(async (router) => {
      const { port } = await router.said('listening');
      const response = await ask(`http://127.0.0.1:${port}`, chat());
      return { status: response.status, body: await response.json() };
    }));
    expect(trusting).toEqual({ status: 200, body: COMPLETION });
    expect(other.status).toBe(503);
    // an answer that ends with its connection may have been cut by whoever is between.
    const { port } = await routers[0].said('listening');
    expect((await ask(`http://127.0.0.1:${port}`, chat(), { 'x-request-id': 'unframed' })).status).toBe(502);
    expect(await routers[1].said('an engine cannot be reached')).toMatchObject({ error: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  } finally {
    routers.forEach(({ child }) => child.kill('SIGKILL'));
    await Promise.all(routers.map(async ({ exit }) => exit));
    engine.closeAllConnections();
    engine.close();
    rmSync(dirname(files.keyFile), { recursive: true });
    rmSync(OUT, { recursive: true });
  }
});
