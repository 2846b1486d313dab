import { gzipSync } from 'node:zlib';
import {
  ask, chat, chunkOf, COMPLETION, delta, DONE, drained, errorOf, lastLineOf, MockEngine, MODEL, ROLE, routerFor, sleep, sse, streamOf, TestRouter,
  until, whole,
} from '../harness';

let engine: MockEngine;
let router: TestRouter;

const start = async (more: object = {}, target: object = {}, env: { [name: string]: string } = {}) => {
  router = await routerFor([{ name: 'decode', role: 'decode', protocol: 'openai', url: engine.url, ...target }], more, env);
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
    expect(await lastLineOf(router)).toMatchObject({ route: 'chat_completions', target: 'decode', code: '200', endpoint: engine.url });
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
    expect(await lastLineOf(router)).toMatchObject({ code: '502', failure: 'the engine broke off its answer' });
  });

  test.each([
    ['before its body', 'transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n', 'the end of the body is told in another way than by chunks'],
    ['within it', 'transfer-encoding: chunked\r\n\r\n3\r\n{"a!', 'a chunk is longer than it says'],
    ['where its head ends', `x-a: ${'a'.repeat(20_000)}\r\n\r\n`, 'the head is too long'],
  ])('that cannot be read, %s, is said to be so', async (_, rest, what) => {
    await start();
    engine.behaviour = ({ socket }) => void socket!.write(`HTTP/1.1 200 OK\r\n${rest}\r\n\r\n`);
    expect((await ask(router.url, chat())).status).toBe(502);
    expect(await lastLineOf(router)).toMatchObject({ code: '502', failure: `the engine's answer cannot be read: ${what}` });
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
    const line = await lastLineOf(router);
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
    expect(await lastLineOf(router)).toMatchObject({ code: 'stream_error' });
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
    expect(await lastLineOf(router)).toMatchObject({ code: 'stream_error', failure: 'the engine told of an error in its stream' });
  });

  test('that begins with an error event is an HTTP error', async () => {
    await start();
    engine.behaviour = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end(sse({ error: { message: 'KV load failed', code: 500 } }) + sse('[DONE]'));
    };
    const response = await ask(router.url, chat({ stream: true }));
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: { code: 'engine_failed' } });
    expect(await lastLineOf(router)).toMatchObject({ code: '502', failure: 'the engine told of an error before its first token' });
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
    const line = await lastLineOf(router);
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
    expect((await lastLineOf(router)).ttftSeconds).toBeGreaterThan(0.05);
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
    expect(await lastLineOf(router)).toMatchObject({ code: '200' });
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
