import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { connect, Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { parseRouterConfig } from '../../../../src/router/runtime';
import {
  ask, chat, chunkOf, COMPLETION, configOf, delta, DONE, drained, errorOf, KEY, MockEngine, MODEL, ROLE, routerFor, sleep, sse, streamOf,
  TestRouter, until, whole,
} from '../harness';

/** A trace of a caller's, as W3C Trace Context has it. */
const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

let engine: MockEngine;
let router: TestRouter;

const start = async (more: object = {}, target: object = {}, env: { [name: string]: string } = {}) => {
  router = await routerFor([{ name: 'decode', role: 'decode', protocol: 'openai', url: engine.url, ...target }], more, env);
};
const lastLine = async () => {
  await until(() => router.lines.some((line) => line.msg === 'request'), 'an access log line');
  return router.lines.filter((line) => line.msg === 'request').at(-1);
};

beforeEach(async () => {
  engine = await MockEngine.start(whole);
});
afterEach(async () => {
  await router?.drain();
  await engine.stop();
});

describe('an answer that is not a stream', () => {
  test.each(['/v1/chat/completions', '/openai/v1/chat/completions'])('is passed on from %s', async (path) => {
    await start();
    const response = await ask(router.url, chat(), {}, path);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(await response.json()).toEqual(COMPLETION);
    expect(engine.requests[0].path).toBe('/v1/chat/completions');
    expect(await lastLine()).toMatchObject({ route: 'chat_completions', target: 'decode', code: '200', endpoint: engine.url });
  });

  test('reaches the engine as the very bytes of the caller where the model has one name', async () => {
    await start();
    const body = `{ "model":"${MODEL}", "messages":[{"role":"user", "content":"hi"}], "seed": 1234567890123456789 }`;
    await ask(router.url, body);
    expect(engine.requests[0].text).toBe(body);
  });

  test('is asked for under the name that the engine knows', async () => {
    await start({}, { modelName: '/models/llama' });
    await ask(router.url, chat({ model: 'llama', temperature: 0 }));
    expect(engine.requests[0].body).toEqual(chat({ model: '/models/llama', temperature: 0 }));
  });

  test.each([400, 422, 429, 500, 503])('with status %d keeps status, body and retry-after', async (status) => {
    await start();
    engine.behaviour = (response) => {
      response.writeHead(status, { 'content-type': 'application/json', 'retry-after': '7', 'x-internal': 'secret' }).end('{"error":{"message":"so"}}');
    };
    const response = await ask(router.url, chat({ stream: true }));
    expect(response.status).toBe(status);
    expect(response.headers.get('retry-after')).toBe('7');
    expect(response.headers.get('x-internal')).toBeNull();
    expect(await response.json()).toEqual({ error: { message: 'so' } });
    expect(engine.requests).toHaveLength(1);
  });

  test.each<[string, number, string, object]>([
    ['FastAPI', 422, '{"detail":[{"type":"missing","loc":["body","messages",0,"content"],"msg":"Field required","input":{}},{"loc":["query"],"msg":"no"}]}',
      { message: 'messages[0].content: Field required; query: no', type: 'invalid_request_error', param: 'messages[0].content', code: 'engine_refused' }],
    ['Starlette', 413, '{"detail":"too large"}', { message: 'too large', type: 'invalid_request_error', param: null, code: 'engine_refused' }],
    ['an engine that wraps nothing', 400, '{"object":"error","message":"too long","type":"BadRequestError","param":"messages","code":400}',
      { message: 'too long', type: 'BadRequestError', param: 'messages', code: 'engine_refused' }],
    ['one that says it in a word', 400, '{"error":"too long"}', { message: 'too long', type: 'invalid_request_error', param: null, code: 'engine_refused' }],
    ['a proxy', 502, '<html>Bad Gateway</html>', { message: 'the engine failed with status 502', type: 'server_error', param: null, code: 'engine_refused' }],
    ['nobody knows whom', 409, '[null]', { message: 'the engine refused the request', type: 'invalid_request_error', param: null, code: 'engine_refused' }],
    ['somebody who tells little', 400, '{"detail":[null,{"loc":7,"msg":7}],"error":{"code":"c"}}',
      { message: 'the engine refused the request', type: 'invalid_request_error', param: null, code: 'c' }],
  ])('is told as OpenAI tells errors where %s has refused or failed', async (_, status, body, error) => {
    await start();
    engine.behaviour = (response) => void response.writeHead(status, { 'content-type': 'text/html', 'retry-after': '7' }).end(body);
    for (const path of ['/v1/chat/completions', '/v1/responses']) {
      const response = await ask(router.url, path === '/v1/responses' ? { model: MODEL, input: 'hi' } : chat({ stream: true }), {}, path);
      expect([response.status, response.headers.get('content-type'), response.headers.get('retry-after')]).toEqual([status, 'application/json', '7']);
      expect(await response.json()).toEqual({ error });
    }
  });

  test.each<[string, string | string[], string | null]>([
    ['a date', 'Wed, 21 Oct 2026 07:28:00 GMT', 'Wed, 21 Oct 2026 07:28:00 GMT'],
    ['nothing', '', null],
    ['two times', ['5', '6'], null],
    ['no text', '\xff', null],
    ['a time below none', '-1', null],
  ])('is passed on without a retry-after that is none: %s', async (_, value, expected) => {
    await start();
    engine.behaviour = (response) => void response.setHeader('retry-after', value).writeHead(503, { 'content-type': 'application/json' }).end('{}');
    const response = await ask(router.url, chat());
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, expected]);
  });

  test('that is none, as the engine closed an idle connection meanwhile, is asked for once more', async () => {
    await start();
    await (await ask(router.url, chat())).text();
    engine.behaviour = (response) => {
      engine.behaviour = whole;
      response.destroy();
    };
    const response = await ask(router.url, chat({ seed: 1 }));
    expect([response.status, await response.json()]).toEqual([200, COMPLETION]);
    expect(engine.requests.map(({ body }) => body)).toEqual([chat(), chat({ seed: 1 }), chat({ seed: 1 })]);
  });

  test.each([202, 204, 206, 301, 304, 401, 402, 403])('with status %d is the router\'s own trouble', async (status) => {
    await start();
    engine.behaviour = (response) => {
      response.writeHead(status, { location: 'http://elsewhere.example' }).end('no');
    };
    const response = await ask(router.url, chat());
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: { code: 'engine_refused' } });
  });

  test.each([false, true])('that is compressed, though nobody asked for it, is 502; a stream: %p', async (stream) => {
    await start();
    engine.behaviour = (response) => {
      const type = stream ? 'text/event-stream' : 'application/json';
      response.writeHead(200, { 'content-type': type, 'content-encoding': 'gzip' }).end(gzipSync(JSON.stringify(COMPLETION)));
    };
    const response = await ask(router.url, chat({ stream }));
    expect([response.status, (await errorOf(response)).code]).toEqual([502, 'engine_failed']);
    expect(engine.requests[0].headers['accept-encoding']).toBe('identity');
  });

  test.each(['<html>it works</html>', JSON.stringify(COMPLETION).slice(0, -1), '{"object":"error"}', ''])('with status 200 that is no completion is 502: %p', async (text) => {
    await start();
    engine.behaviour = (response) => void response.writeHead(200, { 'content-type': 'application/json' }).end(text);
    const response = await ask(router.url, chat());
    expect([response.status, (await errorOf(response)).code]).toEqual([502, 'engine_failed']);
  });

  test.each<[string, string]>([
    ['is cut', JSON.stringify(COMPLETION).slice(0, -9)],
    ['is a page', '<html></html>'],
    ['tells of an error', '{"error":{"message":"so"}}'],
    ['has no choice', '{"choices":[]}'],
    ['was given up', JSON.stringify(COMPLETION).replace('"stop"', '"abort"')],
    ['has no end', JSON.stringify(COMPLETION).replace('"stop"', 'null')],
  ])('that %s is the engine\'s failure, whatever its status', async (_, body) => {
    await start();
    engine.behaviour = (response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(body);
    };
    const response = await ask(router.url, chat());
    expect([response.status, await response.json()]).toMatchObject([502, { error: { code: 'engine_failed' } }]);
  });

  test('that dies in the middle never looks whole', async () => {
    await start();
    engine.behaviour = (response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
      response.write('{"object":');
      setTimeout(() => response.destroy(), 20);
    };
    const response = await ask(router.url, chat());
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: { code: 'engine_failed' } });
    expect(await lastLine()).toMatchObject({ code: '502', failure: 'the engine broke off its answer' });
  });

  test.each([
    ['before its body', 'transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n', 'the end of the body is told in another way than by chunks'],
    ['within it', 'transfer-encoding: chunked\r\n\r\n3\r\n{"a!', 'a chunk is longer than it says'],
    ['where its head ends', `x-a: ${'a'.repeat(20_000)}\r\n\r\n`, 'the head is too long'],
  ])('that cannot be read, %s, is said to be so', async (_, rest, what) => {
    await start();
    engine.behaviour = ({ socket }) => void socket!.write(`HTTP/1.1 200 OK\r\n${rest}\r\n\r\n`);
    expect((await ask(router.url, chat())).status).toBe(502);
    expect(await lastLine()).toMatchObject({ code: '502', failure: `the engine's answer cannot be read: ${what}` });
  });

  test('that never ends is not gathered', async () => {
    await start();
    engine.behaviour = (response) => {
      response.on('error', () => undefined);
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write(Buffer.alloc(33 * 1024 * 1024, ' '));
    };
    const response = await ask(router.url, chat());
    expect([response.status, (await errorOf(response)).message]).toEqual([502, 'the answer is longer than 33554432 bytes']);
    await until(() => engine.requests[0].aborted, 'the engine is told');
  });

  test('that takes longer than a request may is 504, and the engine is told', async () => {
    await start({ limits: { requestTimeoutSeconds: 0.1 } });
    engine.behaviour = () => undefined;
    const response = await ask(router.url, chat());
    expect(response.status).toBe(504);
    expect(await response.json()).toMatchObject({ error: { code: 'request_timeout', type: 'server_error' } });
    await until(() => engine.requests[0].aborted, 'the engine sees its connection closed');
  });
});

describe('a stream', () => {
  test('is passed on byte for byte, each event as it comes', async () => {
    await start();
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    engine.behaviour = async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(': hello\n\n' + sse(chunkOf('a ß')));
      await gate;
      response.end(sse({ ...delta({}, 'stop'), usage: { completion_tokens: 5 } }) + 'data: [DONE]\r\n\r\n');
    };
    const response = await ask(router.url, chat({ stream: true }));
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const reader = response.body!.getReader();
    const first = Buffer.from((await reader.read()).value!).toString();
    expect(first).toBe(': hello\n\n' + sse(chunkOf('a ß')));
    release();
    let rest = '';
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      rest += Buffer.from(step.value).toString();
    }
    expect(rest).toBe(sse({ ...delta({}, 'stop'), usage: { completion_tokens: 5 } }) + 'data: [DONE]\r\n\r\n');
    const line = await lastLine();
    expect(line).toMatchObject({ code: '200' });
    expect(line.ttftSeconds).toBeGreaterThan(0);
    expect(line.tpotSeconds).toBeGreaterThan(0);
  });

  test('ends at [DONE], even if the engine goes on', async () => {
    await start();
    engine.behaviour = streamOf(['a'], 0, DONE + sse(chunkOf('more')));
    expect(await drained(await ask(router.url, chat({ stream: true })))).toEqual({ text: sse(chunkOf('a')) + DONE, broken: false });
  });

  test.each<[string, (response: any) => void]>([
    ['dies', (response) => response.destroy()],
    ['ends well but without [DONE]', (response) => response.end()],
  ])('that %s in the middle ends with an error event and a broken connection', async (_, die) => {
    await start();
    engine.behaviour = async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(sse(chunkOf('a')) + 'data: {"half');
      await sleep(30);
      die(response);
    };
    const { text, broken } = await drained(await ask(router.url, chat({ stream: true })));
    expect(broken).toBe(true);
    const events = text.split('\n\n').filter((event) => event !== '');
    expect(events[0]).toBe(sse(chunkOf('a')).trimEnd());
    expect(JSON.parse(events[1].replace('data: ', ''))).toMatchObject({ error: { type: 'server_error' } });
    expect(events).toHaveLength(2);
    expect(await lastLine()).toMatchObject({ code: 'stream_error' });
  });

  test.each<[string, string]>([
    ['has nothing but its end', sse('[DONE]')],
    ['ends without a reason', sse(chunkOf('b')) + sse('[DONE]')],
    ['is given up', sse(delta({}, 'abort')) + sse('[DONE]')],
    ['is no JSON', 'data: hello\n\n' + DONE],
    ['is JSON that was cut', 'data: {"choices":[{"index":0,"delta":{"content":"b"},}\n\n' + DONE],
    ['tells of an error as older engines do', sse({ object: 'error', message: 'so', type: 'InternalServerError', param: null, code: 500 }) + sse('[DONE]')],
    ['tells of an error by the name of its event', 'event: error\ndata: {"message":"so"}\n\n' + sse('[DONE]')],
  ])('that %s is the engine\'s failure, before its first token and after', async (_, rest) => {
    await start();
    let begins = '';
    engine.behaviour = async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': hello\n\n' + begins);
      await sleep(begins === '' ? 0 : 30);
      response.end(rest);
    };
    if (!rest.startsWith(sse(chunkOf('b')))) {
      expect((await ask(router.url, chat({ stream: true }))).status).toBe(502);
    }
    begins = sse(chunkOf('a'));
    await drained(await ask(router.url, chat({ stream: true })));
    await until(() => router.lines.some(({ code }) => code === 'stream_error'), 'it is counted as failed');
  });

  test('that fails before its first event is an HTTP error', async () => {
    await start();
    engine.behaviour = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      setTimeout(() => response.destroy(), 20);
    };
    const response = await ask(router.url, chat({ stream: true }));
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: { code: 'engine_failed' } });
  });

  test('with an error event inside is passed on and counted as failed', async () => {
    await start();
    const error = { error: { message: 'KV load failed', type: 'InternalServerError', code: 500 } };
    engine.behaviour = streamOf(['a'], 0, sse(error) + sse('[DONE]'));
    expect(await drained(await ask(router.url, chat({ stream: true })))).toEqual({ text: sse(chunkOf('a')) + sse(error) + sse('[DONE]'), broken: false });
    expect(await lastLine()).toMatchObject({ code: 'stream_error', failure: 'the engine told of an error in its stream' });
  });

  test('that begins with an error event is an HTTP error', async () => {
    await start();
    engine.behaviour = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end(sse({ error: { message: 'KV load failed', code: 500 } }) + sse('[DONE]'));
    };
    const response = await ask(router.url, chat({ stream: true }));
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: { code: 'engine_failed' } });
    expect(await lastLine()).toMatchObject({ code: '502', failure: 'the engine told of an error before its first token' });
  });

  test('that tells an error after its role is an HTTP error', async () => {
    await start();
    engine.behaviour = async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': hello\n\n' + sse(ROLE) + sse({ choices: [] }));
      await sleep(30);
      response.end(sse({ error: { message: 'KV load failed', code: 500 } }) + sse('[DONE]'));
    };
    const response = await ask(router.url, chat({ stream: true }));
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: { code: 'engine_failed' } });
    const line = await lastLine();
    expect(line).toMatchObject({ code: '502', failure: 'the engine told of an error before its first token' });
    expect(line.ttftSeconds).toBeUndefined();
  });

  test.each<[string, object]>([
    ['text', { delta: { content: 'a' } }],
    ['reasoning', { delta: { reasoning: 'a' } }],
    ['older reasoning', { delta: { reasoning_content: 'a' } }],
    ['a tool call', { delta: { tool_calls: [{ index: 0, function: { name: 'f' } }] } }],
    ['an end', { delta: {}, finish_reason: 'stop' }],
  ])('begins with %s, and its role is passed on with that', async (_, choice) => {
    await start();
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    engine.behaviour = async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(ROLE));
      await sleep(60);
      response.write(sse({ choices: [choice] }));
      await gate;
      response.end(DONE);
    };
    const response = await ask(router.url, chat({ stream: true }));
    const reader = response.body!.getReader();
    expect(Buffer.from((await reader.read()).value!).toString()).toBe(sse(ROLE) + sse({ choices: [choice] }));
    release();
    expect(Buffer.from((await reader.read()).value!).toString()).toBe(DONE);
    // timers may be early by less than that.
    expect((await lastLine()).ttftSeconds).toBeGreaterThan(0.05);
  });

  test('that tells its role without end is broken off, not gathered', async () => {
    await start();
    engine.behaviour = (response) => {
      response.on('error', () => undefined);
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(ROLE).repeat(50_000));
    };
    const response = await ask(router.url, chat({ stream: true }));
    expect([response.status, (await errorOf(response)).message]).toEqual([502, 'the engine sends more than 4194304 bytes before its first token']);
    await until(() => engine.requests[0].aborted, 'the engine is told');
  });

  test('without a token is passed on whole', async () => {
    await start();
    engine.behaviour = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end(sse(ROLE) + DONE);
    };
    expect(await drained(await ask(router.url, chat({ stream: true })))).toEqual({ text: sse(ROLE) + DONE, broken: false });
  });

  test('whose text speaks of "error" is whole', async () => {
    await start();
    engine.behaviour = streamOf(['{"error": {"code": 1}}']);
    expect((await drained(await ask(router.url, chat({ stream: true })))).broken).toBe(false);
    expect(await lastLine()).toMatchObject({ code: '200' });
  });

  test('that does not begin in time is 504', async () => {
    await start({ limits: { firstByteTimeoutSeconds: 0.1 } });
    engine.behaviour = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    };
    const response = await ask(router.url, chat({ stream: true }));
    expect(response.status).toBe(504);
    expect(await response.json()).toMatchObject({ error: { code: 'first_byte_timeout' } });
    await until(() => engine.requests[0].aborted, 'the engine sees its connection closed');
  });

  test('that falls silent is broken off', async () => {
    await start({ limits: { idleTimeoutSeconds: 0.1 } });
    engine.behaviour = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(chunkOf('a')));
    };
    const { text, broken } = await drained(await ask(router.url, chat({ stream: true })));
    expect(broken).toBe(true);
    expect(text).toContain('"code":"idle_timeout"');
  });

  test('of one endless line is broken off, not gathered', async () => {
    await start();
    engine.behaviour = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const line = Buffer.alloc(1024 * 1024, 'x');
      response.on('error', () => undefined);
      const more = () => {
        while (!response.destroyed && response.write(line)) { /* as fast as it goes */ }
        response.once('drain', more);
      };
      more();
    };
    const response = await ask(router.url, chat({ stream: true }));
    expect(response.status).toBe(502);
    expect((await errorOf(response)).message).toBe('an event is longer than 4194304 bytes');
    await until(() => engine.requests[0].aborted, 'the engine is told');
  });

  test('that is no stream is 502', async () => {
    await start();
    expect((await ask(router.url, chat({ stream: true }))).status).toBe(502);
  });
});

describe('a caller', () => {
  test('that leaves stops its engine', async () => {
    await start();
    engine.behaviour = streamOf(Array.from({ length: 500 }, () => 'a'), 10);
    const leaving = new AbortController();
    const response = await fetch(`${router.url}/v1/chat/completions`, {
      method: 'POST', headers: { authorization: `Bearer ${KEY}` }, body: JSON.stringify(chat({ stream: true })), signal: leaving.signal,
    });
    await response.body!.getReader().read();
    leaving.abort();
    await until(() => engine.requests[0].aborted, 'the engine sees its connection closed');
    expect(await lastLine()).toMatchObject({ code: '499', failure: 'the caller closed its connection' });
    expect(await router.metrics.registry.getSingleMetricAsString('router_in_flight')).toContain('router_in_flight{target="decode"} 0');
  });

  test('that leaves before its answer begins stops its engine', async () => {
    await start();
    engine.behaviour = () => undefined;
    const leaving = new AbortController();
    const asked = fetch(`${router.url}/v1/chat/completions`, {
      method: 'POST', headers: { authorization: `Bearer ${KEY}` }, body: JSON.stringify(chat()), signal: leaving.signal,
    });
    asked.catch(() => undefined);
    await until(() => engine.requests.length === 1, 'the engine has the request');
    leaving.abort();
    await until(() => engine.requests[0].aborted, 'the engine sees its connection closed');
    expect(await lastLine()).toMatchObject({ code: '499' });
  });

  test('that does not read holds the engine back, then is given up', async () => {
    await start({ limits: { writeStallSeconds: 0.5 } });
    let written = 0;
    engine.behaviour = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.on('error', () => undefined);
      const event = sse(chunkOf('x'.repeat(64 * 1024)));
      const more = () => {
        while (!response.destroyed && written < 1024 ** 3 && response.write(event)) {
          written += event.length;
        }
        response.once('drain', more);
      };
      more();
    };
    const body = JSON.stringify(chat({ stream: true }));
    const socket = connect(router.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.pause();
    socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: r\r\nauthorization: Bearer ${KEY}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    await until(() => engine.requests[0]?.aborted === true, 'the engine is told');
    // what the sockets' buffers hold, far from all that the engine would give.
    expect(written).toBeLessThan(64 * 1024 ** 2);
    expect(await lastLine()).toMatchObject({ code: '499', failure: 'the caller took no byte for too long' });
    socket.destroy();
  });

  test('that sends requests without waiting for answers gets them in turn, and leaves none behind when it goes', async () => {
    await start();
    const pipelined = (body: string) => `POST /v1/chat/completions HTTP/1.1\r\nhost: r\r\nauthorization: Bearer ${KEY}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    const socket = connect(router.port, '127.0.0.1');
    let text = '';
    socket.on('error', () => undefined).setEncoding('utf8').on('data', (piece) => { text += piece; });
    socket.write([JSON.stringify(chat()), '{', JSON.stringify(chat())].map(pipelined).join(''));
    await until(() => text.match(/HTTP\/1\.1 \d+/g)?.length === 3, 'all are answered');
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400', 'HTTP/1.1 200']);

    engine.behaviour = () => undefined;
    const asked = engine.requests.length;
    socket.write(pipelined(JSON.stringify(chat())).repeat(4));
    await until(() => engine.requests.length > asked, 'the first is asked');
    socket.destroy();
    await until(async () => (await router.metrics.registry.getSingleMetricAsString('router_in_flight')).includes('{target="decode"} 0'), 'nothing is in flight');
    expect(engine.requests.length).toBe(asked + 1);
  });

  test('that sends more requests ahead than anyone does is cut, and costs others nothing', async () => {
    await start();
    engine.behaviour = () => undefined;
    const socket = connect(router.port, '127.0.0.1').on('error', () => undefined).resume();
    const body = JSON.stringify(chat());
    socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: r\r\nauthorization: Bearer ${KEY}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    socket.write('GET / HTTP/1.1\r\nhost: r\r\n\r\n'.repeat(20_000));
    await new Promise((resolve) => socket.once('close', resolve));
    expect((await fetch(`${router.url}/healthz`)).status).toBe(200);
    await until(async () => (await router.metrics.registry.getSingleMetricAsString('router_in_flight')).includes('{target="decode"} 0'), 'nothing is in flight');
  });

  test('that is refused over and over on one connection leaves nothing behind on it', async () => {
    const sockets: Socket[] = [];
    const accepted = (message: unknown) => void sockets.push((message as { socket: Socket }).socket);
    subscribe('net.server.socket', accepted);
    await start();
    const socket = connect(router.port, '127.0.0.1').on('error', () => undefined);
    let answers = '';
    socket.setEncoding('utf8').on('data', (piece) => { answers += piece; });
    const listeners: number[] = [];
    for (let asked = 1; asked <= 20; asked++) {
      socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: r\r\nauthorization: Bearer ${KEY}\r\ncontent-length: 1\r\n\r\n{`);
      await until(() => answers.match(/HTTP\/1\.1 400/g)?.length === asked, 'it is answered');
      listeners.push(sockets.find(({ localPort }) => localPort === router.port)!.listenerCount('close'));
    }
    unsubscribe('net.server.socket', accepted);
    socket.destroy();
    expect(Math.max(...listeners)).toBe(listeners[0]);
  });

  test.each<[string, unknown, number, string, string | null, string]>([
    ['that is not JSON', '{', 400, 'invalid_json', null, 'the body is not JSON: line 1, column 2: expected a property name in double quotes, got the end of the text'],
    ['with a secret that is no string', '{"model": "m",\n "user": hunter2}', 400, 'invalid_json', null, 'the body is not JSON: line 2, column 10: expected a value, got a letter or digit'],
    ['with a line break in a text', `{"prompt": "${'a secret '.repeat(200_000)}\n"}`, 400, 'invalid_json', null,
      'the body is not JSON: line 1, column 1800013: expected the end of a string, without control characters in it, got a line break'],
    ['with a comma at its end', '{"model": "m",}', 400, 'invalid_json', null, 'the body is not JSON: line 1, column 15: expected a property name in double quotes, got "}"'],
    ['with a text that is cut', '{"prompt": "a sec', 400, 'invalid_json', null,
      'the body is not JSON: line 1, column 18: expected the end of a string, without control characters in it, got the end of the text'],
    ['with Python\'s quotes', "{'prompt': 'a'}", 400, 'invalid_json', null, 'the body is not JSON: line 1, column 2: expected a property name in double quotes, got "\'"'],
    ['with a path of Windows', '{"prompt": "C:\\d"}', 400, 'invalid_json', null, 'the body is not JSON: line 1, column 15: expected an escape sequence of JSON, got "\\\\"'],
    ['that is a list', [], 400, 'invalid_json', null, 'the body is not a JSON object'],
    ['without a model', { messages: [] }, 400, 'invalid_model', 'model', 'model is missing'],
    ['with a model of another type', chat({ model: 7 }), 400, 'invalid_model', 'model', 'model is not a string'],
    ['for an unknown model', chat({ model: 'gpt-5' }), 404, 'model_not_found', 'model',
      `the model "gpt-5" is not served here; this router serves "${MODEL}", "llama"`],
  ])('that sends a body %s is refused', async (_, body, status, code, param, message) => {
    await start();
    const response = await ask(router.url, body);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { code, type: 'invalid_request_error', param, message } });
    expect(engine.requests).toHaveLength(0);
  });

  test.each<[string, string, unknown]>([
    ['/v1/chat/completions', 'max_tokens', 0], ['/v1/chat/completions', 'max_completion_tokens', 'ten'], ['/v1/completions', 'max_tokens', -1], ['/v1/completions', 'max_tokens', 1.5],
    [`/model/${MODEL}/invoke`, 'max_completion_tokens', 0],
  ])('to %s whose %s is %j is refused', async (path, param, limit) => {
    await start();
    const { messages } = chat();
    const response = await ask(router.url, { model: MODEL, ...(path === '/v1/completions' ? { prompt: 'text' } : { messages }), [param]: limit }, {}, path);
    const message = `${param}: expected a whole number from 1 to 2147483647, got ${JSON.stringify(limit)}`;
    const told = path.startsWith('/model/') ? { message } : { error: { message, param, code: 'invalid_request' } };
    expect([response.status, await response.json()]).toMatchObject([400, told]);
    expect(engine.requests).toHaveLength(0);
  });

  test.each<[string, unknown]>([
    ['text and a token', ['text', 1]], ['tokens and text', [1, 'text']], ['tokens and prompts', [[1], 2]], ['texts and tokens', ['text', [1]]], ['nothing', []],
    ['a prompt without a token', [[1], []]], ['a half token', [1.5]], ['a truth', [true]], ['no list', { text: 'text' }],
  ])('that completes a prompt of %s is refused', async (_, prompt) => {
    await start();
    const response = await ask(router.url, { model: MODEL, prompt }, {}, '/v1/completions');
    expect([response.status, await errorOf(response)]).toMatchObject([400, { code: 'invalid_request', param: 'prompt' }]);
    expect(engine.requests).toHaveLength(0);
  });

  test.each<[string, unknown]>([['texts', ['a', 'b']], ['tokens', [1, 2]], ['prompts of tokens', [[1, 2], [3]]]])('that completes %s is passed on', async (_, prompt) => {
    await start();
    expect((await ask(router.url, { model: MODEL, prompt }, {}, '/v1/completions')).status).toBe(200);
    expect(engine.requests[0].body.prompt).toEqual(prompt);
  });

  test.each([
    ['POST /nothing', KEY, 404], ['GET /healthz', KEY, 200], ['POST /v1/chat/completions', 'wrong', 401], ['POST /v1/chat/completions', KEY, 413],
  ])('whose body is dripped after the answer of %s with the key %p is cut off', async (operation, key, status) => {
    await start({ limits: { bodyTimeoutSeconds: 0.3, writeStallSeconds: 5, maxBodyBytes: 100 } });
    const socket = connect(router.port, '127.0.0.1');
    socket.write(`${operation} HTTP/1.1\r\nhost: router\r\nauthorization: Bearer ${key}\r\ncontent-length: 1000000\r\n\r\n`);
    let told = '';
    socket.on('data', (bytes) => (told += bytes.toString())).on('error', () => undefined);
    const drip = setInterval(() => socket.write(' '), 20);
    await new Promise((resolve) => socket.once('close', resolve));
    clearInterval(drip);
    expect(told.startsWith(`HTTP/1.1 ${status} `)).toBe(true);
  });

  test('whose target leads back to the router is told so, through others as well', async () => {
    await start();
    const target = (url: string) => [{ name: 'router', role: 'aggregated', protocol: 'openai', url, apiKeyEnv: 'KEYS' }];
    const other = await routerFor(target(router.url));
    await router.reload(parseRouterConfig(JSON.stringify(configOf(target(other.url))), { KEYS: KEY }));
    const response = await ask(router.url, chat());
    await other.drain();
    expect([response.status, (await errorOf(response)).code]).toEqual([508, 'loop_detected']);
  });

  test('that never says a word is let go when the router goes', async () => {
    await start();
    const socket = connect(router.port, '127.0.0.1');
    const closed = new Promise((resolve) => socket.once('close', resolve).on('error', () => undefined).resume());
    await new Promise((resolve) => socket.once('connect', resolve));
    // whoever came later was seen, so that it was too.
    expect((await ask(router.url, chat())).status).toBe(200);
    await router.drain();
    await closed;
  }, 8_000);

  test('may not send more than the limits allow', async () => {
    await start({ limits: { maxBodyBytes: 1000, maxHeaderBytes: 2048 } });
    const long = await ask(router.url, chat({ user: 'x'.repeat(2000) }));
    expect(long.status).toBe(413);
    expect(await long.json()).toMatchObject({ error: { code: 'body_too_long' } });
    const chunked = await fetch(`${router.url}/v1/chat/completions`, {
      method: 'POST', headers: { authorization: `Bearer ${KEY}` }, body: new Blob(['x'.repeat(5000)]).stream(), duplex: 'half',
    } as any);
    expect(chunked.status).toBe(413);
    expect((await ask(router.url, chat(), { 'x-long': 'x'.repeat(4000) })).status).toBe(431);
    expect((await ask(router.url, chat())).status).toBe(200);
  });
});

describe('headers', () => {
  test('of a caller stay here, save the trace; the engine gets its own key', async () => {
    await start({}, { apiKeyEnv: 'ENGINE_KEY' }, { ENGINE_KEY: 'key-of-the-engine' });
    const response = await ask(router.url, chat(), {
      'traceparent': TRACE,
      'x-request-id': 'req-1',
      'cookie': 'session=1',
      'x-prefiller-host-port': 'evil.example:80',
      'x-forwarded-for': '10.0.0.1',
      'openai-organization': 'org',
    });
    expect(response.headers.get('x-request-id')).toBe('req-1');
    const { headers } = engine.requests[0];
    expect(headers).toMatchObject({ 'traceparent': TRACE, 'authorization': 'Bearer key-of-the-engine', 'content-type': 'application/json' });
    expect(Object.keys(headers).sort()).toEqual(
      ['accept', 'accept-encoding', 'authorization', 'connection', 'content-length', 'content-type', 'host', 'traceparent', 'via', 'x-request-id']);
    expect(headers.via).toMatch(/^1\.1 router-[\da-f-]{36}$/);
  });

  test.each<[string, string | undefined, string | undefined, string[]]>([
    ['a trace and its state', TRACE, 'a=1,b=2', [TRACE, 'a=1,b=2']],
    ['a trace of a later version, as far as it is known', `01-${TRACE.slice(3)}-more`, 'a=1', [TRACE, 'a=1']],
    ['no trace of no version', `ff${TRACE.slice(2)}`, 'a=1', []],
    ['no trace with more than there is', `${TRACE}-more`, 'a=1', []],
    ['no trace of nothing', TRACE.replace(/b7\w+/, '0'.repeat(16)), 'a=1', []],
    ['no trace in capitals', TRACE.toUpperCase(), 'a=1', []],
    ['no state without a trace', undefined, 'a=1', []],
    ['no state that is too long', TRACE, `a=${'x'.repeat(511)}`, [TRACE]],
    ['no state of too many', TRACE, Array.from({ length: 33 }, (_, i) => `a${i}=1`).join(), [TRACE]],
    ['no state that is no text', TRACE, 'a=\xe4', [TRACE]],
  ])('tell engines %s', async (_, traceparent, tracestate, expected) => {
    await start();
    const headers = { ...(traceparent !== undefined && { traceparent }), ...(tracestate !== undefined && { tracestate }) };
    expect((await ask(router.url, chat(), headers)).status).toBe(200);
    const { headers: told } = engine.requests[0];
    expect([told.traceparent, told.tracestate]).toEqual([expected[0], expected[1]]);
  });

  test('give engines an id of their own for each request', async () => {
    await start();
    await ask(router.url, chat(), { 'x-request-id': 'same' });
    await ask(router.url, chat(), { 'x-request-id': 'same' });
    const [one, two] = engine.requests.map((request) => request.headers['x-request-id']);
    expect(one).toMatch(/^same\.[0-9a-f]{12}$/);
    expect(two).not.toBe(one);
  });

  test('with an id that is not sane get another', async () => {
    await start();
    const response = await ask(router.url, chat(), { 'x-request-id': 'a b{}' });
    expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('authentication', () => {
  test.each<[string, string]>([
    ['no key', ''],
    ['a wrong key', 'Bearer wrong'],
    ['another scheme', `Basic ${KEY}`],
    ['a key and more', `Bearer ${KEY} x`],
  ])('with %s is refused before the body is read', async (_, authorization) => {
    await start();
    const response = await ask(router.url, chat(), { authorization });
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ error: { type: 'authentication_error', code: 'invalid_api_key' } });
    expect(engine.requests).toHaveLength(0);
    expect((await fetch(`${router.url}/v1/models`)).status).toBe(401);
  });

  test.each([JSON.stringify(['first-key', 'second-key']), 'first-key\nsecond-key\n'])('takes any of several keys: %j', async (keys) => {
    await start({}, {}, { KEYS: keys });
    for (const key of ['first-key', 'second-key']) {
      expect((await ask(router.url, chat(), { authorization: `bearer ${key}` })).status).toBe(200);
    }
    expect((await ask(router.url, chat())).status).toBe(401);
  });

  test('can be left to the network, in so many words', async () => {
    await start({ auth: 'none' });
    expect((await ask(router.url, chat(), { authorization: '' })).status).toBe(200);
  });
});

describe('other routes', () => {
  test('list models, tell health, metrics and what does not exist', async () => {
    await start({ expected: { ttftSeconds: 0.9, tpotSeconds: 0.03 } });
    engine.behaviour = streamOf(['a', 'b']);
    await drained(await ask(router.url, chat({ stream: true })));
    await lastLine();
    for (const path of ['/v1/models', '/openai/v1/models?limit=1']) {
      const models = await fetch(`${router.url}${path}`, { headers: { authorization: `Bearer ${KEY}` } });
      expect(await models.json()).toEqual({ object: 'list', data: [MODEL, 'llama'].map((id) => ({ id, object: 'model', created: 0, owned_by: 'router' })) });
    }
    for (const path of ['/healthz', '/health']) {
      const health = await fetch(`${router.url}${path}`);
      expect([health.status, await health.json()]).toEqual([200, { status: 'alive' }]);
    }
    expect(await (await fetch(`${router.url}/readyz`)).json()).toEqual({ status: 'ready', targets: { decode: { endpoints: 1, healthy: 1 } } });
    const wrongMethod = await fetch(`${router.url}/v1/chat/completions`);
    expect([wrongMethod.status, wrongMethod.headers.get('allow')]).toEqual([405, 'POST']);
    expect((await fetch(`${router.url}/v1/nothing`, { headers: { authorization: `Bearer ${KEY}` } })).status).toBe(404);
    expect((await fetch(`${router.url}/constructor`, { headers: { authorization: `Bearer ${KEY}` } })).status).toBe(404);
    const metrics = await (await fetch(`${router.url}/metrics`)).text();
    expect(metrics).toContain('router_requests_total{route="chat_completions",target="decode",code="200"} 1');
    expect(metrics).toContain('router_ttft_seconds_bucket{le="0.9",route="chat_completions",target="decode"} 1');
    expect(metrics).toContain('router_tpot_seconds_bucket{le="0.03",route="chat_completions",target="decode"} 1');
    expect(metrics).toContain('router_upstream_healthy{target="decode"} 1');
  });

  test('tell one model by each of its names, and of no other', async () => {
    await start({ model: { id: MODEL, servedNames: ['meta-llama/Llama-3.3-70B', 'Llama 3.3'] } });
    const told = async (path: string) => {
      const response = await fetch(`${router.url}${path}`, { headers: { authorization: `Bearer ${KEY}` } });
      const { id, error } = await response.json() as { id?: string; error?: { code: string; param: string } };
      return [response.status, id ?? error!.code];
    };
    for (const prefix of ['/v1/models', '/openai/v1/models']) {
      for (const [name, id] of [['meta-llama%2FLlama-3.3-70B', 'meta-llama/Llama-3.3-70B'], ['meta-llama/Llama-3.3-70B?a=b', 'meta-llama/Llama-3.3-70B'], ['Llama%203.3', 'Llama 3.3']]) {
        expect(await told(`${prefix}/${name}`)).toEqual([200, id]);
      }
      for (const name of ['llama-3.3-70b', 'meta-llama', '%', 'constructor', 'meta-llama%2FLlama-3.3-70B/']) {
        expect(await told(`${prefix}/${name}`)).toEqual([404, 'model_not_found']);
      }
      expect(await told(`${prefix}/`)).toEqual([404, 'not_found']);
    }
    expect((await fetch(`${router.url}/v1/models/Llama%203.3`)).status).toBe(401);
    expect((await ask(router.url, {}, {}, '/v1/models/Llama%203.3')).status).toBe(405);
  });

  test.each([
    ['/chat/completions', '"/v1/chat/completions"'], ['/v1/v1/responses', '"/v1/responses"'], ['/v1/model', '"/v1/models"'], ['/model/m/convers', '"/model/m/converse"'],
    ['/model/m/x', undefined], ['/', undefined], [`/v1/${'x'.repeat(5000)}`, undefined],
  ])('at %s there is nothing, but perhaps nearby', async (path, near) => {
    await start();
    const { error, message = error.message } = await (await ask(router.url, chat(), {}, path)).json() as any;
    expect(message).toBe(`there is nothing at this path${near === undefined ? '' : `; did you mean ${near}?`}`);
  });

  test('many names of a model are not all told', async () => {
    await start({ model: { id: 'm', servedNames: ['a', 'b', 'c', 'd', 'e'] } });
    expect((await errorOf(await ask(router.url, chat()))).message).toMatch(/ serves "a", "b", "c" and 2 more$/);
  });

  test('no line of the log holds a prompt or a key', async () => {
    await start();
    await ask(router.url, chat());
    await ask(router.url, chat({ model: 'a secret prompt' }));
    await lastLine();
    expect(JSON.stringify(router.lines)).not.toContain('a secret prompt');
    expect(JSON.stringify(router.lines)).not.toContain(KEY);
  });
});
