import { once } from 'node:events';
import { connect, Socket } from 'node:net';
import { fuzz } from './fuzzer';
import { ask, chat, MockEngine, MODEL, routerFor, TestRouter, until, whole, wholly } from '../harness';

test('thousands of changed requests, raw bytes and frames of HTTP/2 find nothing', async () => {
  const { findings, inputs, reachedEngines, handedOff } = await fuzz(4_000, 7);
  expect(findings).toEqual([]);
  expect(Object.keys(inputs).sort()).toEqual(['frame of HTTP/2', 'message of HTTP/1.1', 'request']);
  expect(reachedEngines).toBeGreaterThan(500);
  expect(handedOff).toBeGreaterThan(100);
}, 240_000);

describe('what fuzzing found', () => {
  let engine: MockEngine;
  let router: TestRouter;
  const sockets: Socket[] = [];
  const start = async (limits: object = {}) => {
    router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { limits });
  };
  const open = async () => {
    const socket = connect({ port: router.port, host: '127.0.0.1', allowHalfOpen: true });
    sockets.push(socket);
    await once(socket, 'connect');
    return socket;
  };

  beforeEach(async () => {
    engine = await MockEngine.start(whole);
  });
  afterEach(async () => {
    sockets.splice(0).forEach((socket) => socket.destroy());
    await router.drain();
    await engine.stop();
  });

  test('a connection that begins with a part of what tells its protocol keeps nobody else waiting, and is served once it goes on', async () => {
    await start();
    const socket = await open();
    let text = '';
    socket.setEncoding('utf8').on('data', (data) => (text += data));
    socket.write('P');
    expect((await ask(router.url, chat())).status).toBe(200);
    socket.write('R');
    expect((await ask(router.url, chat())).status).toBe(200);
    socket.write('OPFIND /healthz HTTP/1.1\r\nhost: a\r\n\r\n');
    await until(() => text.includes('HTTP/1.1 405 '), 'the answer');
  });

  test('a connection that ends before it told its protocol is closed', async () => {
    await start();
    const socket = await open();
    socket.resume().end('PR');
    await once(socket, 'close');
  });

  test.each([
    ['/v1/chat/completions', (deep: string) => `{"model":"${MODEL}","messages":[${deep}]}`],
    [`/model/${MODEL}/converse`, (deep: string) => `{"messages":[{"role":"user","content":${deep}}]}`],
    [`/model/${MODEL}/invoke`, (deep: string) => `{"messages":[],"x":${deep}}`],
    ['/v1/responses', (deep: string) => `{"model":"${MODEL}","input":${deep}}`],
  ])('what is nested too deeply is refused: %s', async (path, body) => {
    await start();
    for (const deep of ['['.repeat(50_000) + ']'.repeat(50_000), '{"a":'.repeat(50_000) + '1' + '}'.repeat(50_000)]) {
      const response = await ask(router.url, body(deep), {}, path);
      expect([response.status, await response.text()]).toEqual([400, expect.stringContaining('the body is nested deeper than 200 levels')]);
    }
    expect(engine.requests).toEqual([]);
  });

  test('a schema that is nested too deeply within its string is refused', async () => {
    await start();
    const schema = `{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`;
    const response = await ask(router.url, {
      messages: [{ role: 'user', content: [{ text: 'hi' }] }], outputConfig: { textFormat: { type: 'json_schema', structure: { jsonSchema: { schema } } } },
    }, {}, `/model/${MODEL}/converse`);
    expect([response.status, await response.json()]).toEqual(
      [400, { message: 'outputConfig.textFormat.structure.jsonSchema.schema: the JSON is nested deeper than 200 levels' }]);
  });

  test('arguments that are nested too deeply are a malformed call of a tool', async () => {
    await start();
    const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '['.repeat(50_000) + ']'.repeat(50_000) } };
    engine.behaviour = wholly({ choices: [{ index: 0, message: { role: 'assistant', content: null, tool_calls: [call] }, finish_reason: 'tool_calls' }] });
    const response = await ask(router.url, { messages: [{ role: 'user', content: [{ text: 'hi' }] }] }, {}, `/model/${MODEL}/converse`);
    expect([response.status, await response.json()]).toEqual([200, expect.objectContaining({ stopReason: 'malformed_tool_use' })]);
  });

  test('a limit that cannot be text is refused', async () => {
    await start();
    expect((await ask(router.url, chat({ max_tokens: { toString: 1 } }))).status).toBe(400);
    expect(engine.requests).toHaveLength(0);
  });

  test('a session over HTTP/2 that its caller breaks while it is answered is closed', async () => {
    await start({ keepAliveSeconds: 0.2, writeStallSeconds: 0.2 });
    const socket = await open();
    const frame = (type: number, flags: number, stream: number, payload: Buffer) =>
      Buffer.concat([Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, stream]), payload]);
    const literal = (text: string) => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
    const head = Buffer.concat([[':method', 'POST'], [':scheme', 'http'], [':path', '/v1/models'], [':authority', 'a']]
      .flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]));
    socket.resume().end(Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0, Buffer.alloc(0)), frame(1, 5, 1, head), frame(9, 4, 3, head),
    ]));
    await once(socket, 'close');
  });
});
