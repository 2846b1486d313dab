import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { connect, Socket } from 'node:net';
import { parseRouterConfig } from '../../../../src/router/runtime';
import {
  ask, chat, chunkOf, COMPLETION, configOf, drained, errorOf, KEY, lastLineOf, MockEngine, MODEL, routerFor, sse, streamOf, TestRouter, until, whole,
} from '../harness';

/** A trace of a caller's, as W3C Trace Context has it. */
const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

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
    expect(await lastLineOf(router)).toMatchObject({ code: '499', failure: 'the caller closed its connection' });
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
    expect(await lastLineOf(router)).toMatchObject({ code: '499' });
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
    expect(await lastLineOf(router)).toMatchObject({ code: '499', failure: 'the caller took no byte for too long' });
    socket.destroy();
  });

  test('that reads a long answer slowly gets all of it', async () => {
    await start({ limits: { writeStallSeconds: 2 } });
    const text = JSON.stringify({ ...COMPLETION, padding: 'x'.repeat(24 * 1024 ** 2) });
    engine.behaviour = (response) => void response.writeHead(200, { 'content-type': 'application/json' }).end(text);
    const body = JSON.stringify(chat());
    const socket = connect(router.port, '127.0.0.1');
    let bytes = 0;
    socket.on('error', () => undefined).on('data', (piece) => {
      bytes += piece.length;
      socket.pause();
      setTimeout(() => socket.resume(), 15);
    });
    socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: r\r\nconnection: close\r\nauthorization: Bearer ${KEY}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    await once(socket, 'close');
    expect(await lastLineOf(router)).toMatchObject({ code: '200' });
    expect(bytes).toBeGreaterThan(text.length);
  }, 60_000);

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
    const drip = setInterval(() => socket.writable && socket.write(' '), 20);
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
    } as RequestInit);
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
    await lastLineOf(router);
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
    const response = await ask(router.url, chat(), {}, path);
    const { error, message = error.message } = await response.json() as { message?: string; error: { message: string } };
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
    await lastLineOf(router);
    expect(JSON.stringify(router.lines)).not.toContain('a secret prompt');
    expect(JSON.stringify(router.lines)).not.toContain(KEY);
  });
});
