import { SrvRecord } from 'node:dns';
import { promptOf } from '../engine-answer';
import {
  ask, Behaviour, broken, chat, chunkOf, configOf, drained, KEY, MockEngine, MODEL, ROLE, routerFor, silent, sse,
  streamedText, TestRouter, textOf, until, whole,
} from '../harness';
import { SglangPair } from './sglang-pair';
import { ProblemsError } from '../../../../src/problems';
import { parseRouterConfig } from '../../../../src/router/runtime';

const mockRecords: { [name: string]: SrvRecord[] } = {};
jest.mock('node:dns/promises', () => ({ Resolver: class { public resolveSrv = async (name: string) => mockRecords[name]; } }));

let pair: SglangPair;
let router: TestRouter;
const others: MockEngine[] = [];

const targets = () => [
  { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector: 'sglang', prefill: 'prefill' },
  { name: 'prefill', role: 'prefill', protocol: 'openai', srv: 'prefill', kvConnector: 'sglang' },
];
const start = async (more: object = {}, prefills = pair.prefills, further: object[] = []) => {
  mockRecords.prefill = prefills.map(({ port }) => ({ name: '127.0.0.1', port, priority: 1, weight: 1 }));
  router = await routerFor([...targets(), ...further], more);
};
const prompt = (content: string, more: object = {}) => chat({ messages: [{ role: 'user', content }], ...more });
const inFlight = async () => (await router.metrics.inFlight.get()).values.map(({ value }) => value);
const outcomes = async () => Object.fromEntries((await router.metrics.handoffs.get()).values.map(({ labels, value }) => [labels.outcome, value]));
const rooms = () => pair.decode.requests.map(({ body }) => body.bootstrap_room);

const status = (code: number, body: object = { error: { message: 'no' } }): Behaviour => (response) => {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
};

beforeEach(async () => {
  pair = await SglangPair.start();
});
afterEach(async () => {
  await until(async () => (await inFlight()).every((value) => value === 0), 'every slot was given back');
  await router.drain();
  await Promise.all([pair, ...others.splice(0)].map(async (engine) => engine.stop()));
});

describe('a request', () => {
  test.each([true, false])('is given to both engines, which meet in a room, stream %p', async (stream) => {
    await start();
    const tools = [{ type: 'function', function: { name: 'f' } }];
    const body = prompt('a long one', { stream, stream_options: stream ? { include_usage: true } : undefined, max_tokens: 50, tool_choice: 'required', tools });
    const response = await ask(router.url, body);
    expect([response.status, response.headers.get('x-router-route')]).toEqual([200, 'disaggregated; reason=only_path']);
    const text = await response.text();
    expect(stream ? streamedText(text) : JSON.parse(text).choices[0].message.content).toBe(`read ${promptOf(body)}`);
    const [read, written] = [pair.reads[0], pair.decode.requests[0]];
    const { bootstrap_room, ...asked } = written.body;
    expect(asked).toEqual({ ...JSON.parse(JSON.stringify(body)), bootstrap_host: '127.0.0.1', bootstrap_port: 8998 });
    expect(read.body).toEqual({ ...written.body, stream: false, stream_options: undefined });
    expect(read.headers['x-request-id']).toBe(written.headers['x-request-id']);
    expect([pair.reads.length, pair.decode.requests.length, await outcomes()]).toEqual([1, 1, { handed_off: 1 }]);
  });

  test('is with the decode engine before its prompt was read', async () => {
    let open = () => {};
    pair.gate = new Promise<void>((resolve) => (open = resolve));
    await start();
    const answer = ask(router.url, prompt('p', { stream: true }));
    await until(() => pair.decode.requests.length === 1 && pair.reads.length === 1, 'both engines have it');
    open();
    expect(streamedText(await (await answer).text())).toBe('read p');
  });

  test('has a room that no other has', async () => {
    await start();
    const answers = await Promise.all(Array.from({ length: 40 }, async (_, i) => textOf(await ask(router.url, prompt(`p${i}`)))));
    expect(answers).toEqual(answers.map((_, i) => `read p${i}`));
    expect(new Set(rooms()).size).toBe(40);
  });

  test.each(['bootstrap_host', 'bootstrap_port', 'bootstrap_room'])('that names %s is refused: it would choose whose prompt is answered', async (name) => {
    await start();
    for (const [path, body] of [['/v1/chat/completions', prompt('p')], [`/model/${MODEL}/invoke`, { messages: [{ role: 'user', content: 'p' }] }]] as const) {
      expect((await ask(router.url, { ...body, [name]: 1 }, {}, path)).status).toBe(400);
    }
    const converse = { messages: [{ role: 'user', content: [{ text: 'p' }] }], additionalModelRequestFields: { [name]: 1 } };
    expect((await ask(router.url, converse, {}, `/model/${MODEL}/converse`)).status).toBe(400);
    expect(pair.decode.requests).toHaveLength(0);
  });

  test('waits for a slot of a prefill engine too, of which each wakes one of those that wait', async () => {
    const opens: (() => void)[] = [];
    const close = () => {
      pair.gate = new Promise<void>((resolve) => opens.push(resolve));
    };
    close();
    mockRecords.prefill = pair.prefills.map(({ port }) => ({ name: '127.0.0.1', port, priority: 1, weight: 1 }));
    const [decode, prefill] = targets();
    router = await routerFor([{ ...decode, maxInFlight: 64 }, { ...prefill, maxInFlight: 1 }]);
    const asked = Array.from({ length: 8 }, async (_, i) => ask(router.url, prompt(`p${i}`)));
    await until(() => router.metrics.queueRequests.get().then(({ values: [{ value }] }) => value === 6), 'all others wait');
    close();
    opens[0]();
    await until(() => pair.reads.length >= 4, 'two more are read');
    opens[1]();
    expect((await Promise.all(asked)).map(({ status: code }) => code)).toEqual(Array(8).fill(200));
    expect(pair.prefills.map(({ mostActive }) => mostActive)).toEqual([1, 1]);
  });

  test('for several answers is for engines that can give them', async () => {
    await start();
    for (const [field, path, body] of [
      ['n', '/v1/chat/completions', prompt('p', { n: 2 })], ['prompt', '/v1/completions', { model: MODEL, prompt: ['p', 'q'] }],
    ] as const) {
      const refused = await ask(router.url, body, {}, path);
      expect(refused.status).toBe(400);
      expect(await refused.json()).toMatchObject({ error: { param: field, message: expect.stringContaining('reads the prompt itself') } });
    }
    expect(pair.decode.requests).toHaveLength(0);
    await router.drain();
    const other = await MockEngine.start(whole);
    others.push(other);
    await start({}, pair.prefills, [{ name: 'spare', role: 'aggregated', protocol: 'openai', url: other.url }]);
    expect((await ask(router.url, prompt('p', { n: 2 }))).status).toBe(200);
    expect([other.requests.length, pair.decode.requests.length]).toEqual([1, 0]);
  });
});

describe('a prefill engine', () => {
  test.each<[string, Behaviour]>([
    ['that answers with status 500', status(500)],
    ['that refuses the router', status(401)],
    ['whose connection breaks', broken],
    ['that says nothing', silent],
  ])('%s is not awaited: another reads the prompt, in another room', async (_, fault) => {
    pair.prefillFaults = [fault];
    await start({ limits: { prefillTimeoutSeconds: 0.3 } });
    const response = await ask(router.url, prompt('p', { stream: true }));
    expect(streamedText(await response.text())).toBe('read p');
    expect(pair.prefills.map(({ requests }) => requests.length)).toEqual([1, 1]);
    expect(new Set(rooms()).size).toBe(2);
    await until(() => pair.decode.requests[0].aborted, 'the first request is cancelled');
    expect(pair.decode.requests[1].aborted).toBe(false);
  });

  test('that cannot be reached is not awaited', async () => {
    await start();
    await pair.prefills[0].stop();
    for (let i = 0; i < 2; i++) {
      expect(streamedText(await (await ask(router.url, prompt('p', { stream: true }))).text())).toBe('read p');
    }
    expect(pair.reads).toHaveLength(2);
  });

  test('that was the last one to fail is the end of the request, not a wait', async () => {
    pair.prefillFaults = [status(500)];
    await start({}, pair.prefills.slice(0, 1));
    const response = await ask(router.url, prompt('p'));
    expect([response.status, await response.json()]).toMatchObject([502, { error: { code: 'engine_failed' } }]);
    await until(() => pair.decode.requests[0].aborted, 'the decode engine is told');
    expect(pair.decode.requests).toHaveLength(1);
  });

  test('that refuses the request answers it', async () => {
    pair.prefillFaults = [status(400, { error: { message: 'the prompt is too long' } })];
    await start();
    const response = await ask(router.url, prompt('p'));
    expect([response.status, await response.json()]).toEqual([400, { error: { message: 'the prompt is too long' } }]);
    await until(() => pair.decode.requests[0].aborted, 'the decode engine is told');
    expect(await outcomes()).toEqual({ rejected: 1 });
  });

  test('that is not there leaves the request to other engines, as decode engines read no prompts', async () => {
    const other = await MockEngine.start(whole);
    others.push(other);
    pair.prefills.forEach((engine) => (engine.healthStatus = 503));
    await start();
    expect((await ask(router.url, prompt('p'))).status).toBe(503);
    await router.drain();
    await start({}, pair.prefills, [{ name: 'spare', role: 'aggregated', protocol: 'openai', url: other.url }]);
    expect((await ask(router.url, prompt('p'))).status).toBe(200);
    expect([other.requests.length, pair.decode.requests.length]).toEqual([1, 0]);
  });
});

describe('a decode engine', () => {
  test.each<[string, Behaviour]>([
    ['that answers with status 500', status(500)],
    ['whose connection breaks', broken],
    ['that tells of an error before its first token', (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end(sse(ROLE) + sse({ error: { message: 'KVTransferError', code: 500 } }) + sse('[DONE]'));
    }],
  ])('%s is asked once more, in another room, and the prefill engine told', async (_, fault) => {
    pair.decodeFaults = [fault];
    await start();
    expect(streamedText(await (await ask(router.url, prompt('p', { stream: true }))).text())).toBe('read p');
    expect(new Set(rooms()).size).toBe(2);
    await until(() => pair.reads.filter(({ aborted }) => aborted).length === 1, 'the first read is cancelled');
  });

  test('is asked once more when a prefill engine has room, which another request was given meanwhile', async () => {
    let [fail, open] = [() => {}, () => {}];
    const failing = new Promise<void>((resolve) => (fail = resolve));
    pair.gate = new Promise<void>((resolve) => (open = resolve));
    pair.decodeFaults = [async (response) => {
      await failing;
      response.destroy();
    }];
    mockRecords.prefill = pair.prefills.slice(0, 1).map(({ port }) => ({ name: '127.0.0.1', port, priority: 1, weight: 1 }));
    const [decode, prefill] = targets();
    router = await routerFor([decode, { ...prefill, maxInFlight: 1 }]);
    const first = ask(router.url, prompt('first'));
    await until(() => pair.reads.length === 1 && pair.decode.requests.length === 1, 'the first is with both');
    const second = ask(router.url, prompt('second'));
    await until(() => router.metrics.queueRequests.get().then(({ values: [{ value }] }) => value === 1), 'the second waits');
    fail();
    await until(() => pair.reads.length === 2, 'the second has the slot');
    open();
    const texts = await Promise.all([first, second].map(async (asked) => textOf(await asked)));
    expect(texts).toEqual(['read first', 'read second']);
  });

  test('that fails twice is not asked again', async () => {
    pair.decodeFaults = [status(500), status(500)];
    await start();
    expect((await ask(router.url, prompt('p'))).status).toBe(502);
    await until(() => pair.reads.every(({ aborted }) => aborted), 'nobody reads for it');
    expect(pair.decode.requests).toHaveLength(2);
  });

  test('that refuses the request answers it, and the prefill engine is told', async () => {
    pair.decodeFaults = [status(400, { error: { message: 'so it is' } })];
    await start();
    const response = await ask(router.url, prompt('p'));
    expect([response.status, await response.json()]).toEqual([400, { error: { message: 'so it is' } }]);
    await until(() => pair.reads[0].aborted, 'the prefill engine is told');
  });

  test('that has begun to answer is not asked again', async () => {
    pair.decodeFaults = [(response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(chunkOf('a')));
      setTimeout(() => response.destroy(), 20);
    }];
    await start();
    const { text, broken: isBroken } = await drained(await ask(router.url, prompt('p', { stream: true })));
    expect([isBroken, text.includes('engine_failed')]).toEqual([true, true]);
    expect(pair.decode.requests).toHaveLength(1);
    await until(() => pair.reads[0].aborted, 'the prefill engine is told');
  });
});

test('a caller that leaves frees both engines', async () => {
  pair.gate = new Promise(() => {});
  await start();
  const caller = new AbortController();
  const answer = fetch(`${router.url}/v1/chat/completions`, {
    method: 'POST', headers: { authorization: `Bearer ${KEY}` }, body: JSON.stringify(prompt('p', { stream: true })), signal: caller.signal,
  });
  await until(() => pair.decode.requests.length === 1 && pair.reads.length === 1, 'both engines have it');
  caller.abort();
  await expect(answer).rejects.toThrow();
  await until(() => pair.decode.requests[0].aborted && pair.reads[0].aborted, 'both are told');
});

test('the configuration pairs decode engines, which could not answer alone', async () => {
  await start();
  const problemsOf = (...of: object[]) => {
    try {
      parseRouterConfig(JSON.stringify(configOf(of)), { KEYS: KEY });
    } catch (e) {
      return (e as ProblemsError).problems.map(({ path, message }) => `${path}: ${message}`);
    }
    return [];
  };
  const [decode, prefill] = targets();
  expect(problemsOf({ ...decode, prefill: undefined })).toEqual(['config.targets[0].prefill: decode engines of SGLang read no prompts']);
  expect(problemsOf(decode, { ...prefill, bootstrapPort: 9000 })).toEqual([]);
  expect(problemsOf({ ...decode, kvConnector: 'NixlConnector' }, { ...prefill, kvConnector: 'NixlConnector', bootstrapPort: 9000 })).toEqual([
    'config.targets[1].bootstrapPort: such a target has no such setting',
  ]);
});
