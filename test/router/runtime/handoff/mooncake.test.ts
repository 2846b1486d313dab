import { ServerResponse } from 'node:http';
import {
  ask, Behaviour, broken, chat, chunkOf, configOf, drained, KEY, MockEngine, ROLE, routerFor, silent, sse,
  streamedText, TestRouter, textOf, until, wholly,
} from '../harness';
import { MooncakePair } from './mooncake-pair';
import { ProblemsError } from '../../../../src/problems';
import { parseRouterConfig } from '../../../../src/router/runtime';

let pair: MooncakePair;
let router: TestRouter;

const start = async (more: object = {}, ofPrefill: object = {}) => {
  router = await routerFor([
    { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector: 'MooncakeConnector', prefill: 'prefill' },
    { name: 'prefill', role: 'prefill', protocol: 'openai', url: pair.prefill.url, kvConnector: 'MooncakeConnector', bootstrapPort: pair.bootstrapPort, ...ofPrefill },
  ], { routing: { minPromptTokens: 0 }, ...more });
};
const prompt = (content: string, more: object = {}) => chat({ messages: [{ role: 'user', content }], ...more });
const inFlight = async () => (await router.metrics.inFlight.get()).values.map(({ value }) => value);
const outcomes = async () => Object.fromEntries((await router.metrics.handoffs.get()).values.map(({ labels, value }) => [labels.outcome, value]));
const dropped = async () => (await router.metrics.kvCachesDropped.get()).values[0].value;
const route = (response: Response) => response.headers.get('x-router-route');

beforeEach(async () => {
  pair = await MooncakePair.start();
});
afterEach(async () => {
  await until(async () => (await inFlight()).every((value) => value === 0), 'every slot was given back');
  await router.drain();
  await pair.stop();
});

describe('a request', () => {
  test('has a slot of the prefill engine while its bootstrap server is asked', async () => {
    const held: ServerResponse[] = [];
    let open = () => {};
    pair.gate = new Promise<void>((resolve) => (open = resolve));
    pair.bootstrapFault = (response) => void held.push(response);
    await start({}, { maxInFlight: 2 });
    const asked = Array.from({ length: 6 }, async (_, i) => ask(router.url, prompt(`p${i}`)));
    await until(async () => (await router.metrics.inFlight.get()).values.some(({ labels, value }) => labels.target === 'decode' && value === 6)
      || pair.localPrefills === 4, 'all have come');
    pair.bootstrapFault = undefined;
    held.forEach((response) => response.end(JSON.stringify({ 0: { engine_id: 'engine-p' } })));
    await until(() => pair.prefill.active >= 2, 'it reads');
    open();
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(Array(6).fill(200));
    expect([pair.prefill.mostActive, await outcomes()]).toEqual([2, { handed_off: 2, pair_full: 4 }]);
  });

  test.each([true, false])('is given to both engines at once, which know it by one id, stream %p', async (stream) => {
    await start();
    const limits = { max_completion_tokens: 50, stop: ['x'], stop_token_ids: [7], min_tokens: 3 };
    const body = prompt('a long one', { stream, stream_options: stream ? { include_usage: true } : undefined, ...limits });
    const response = await ask(router.url, body);
    expect([response.status, route(response)]).toEqual([200, 'disaggregated; reason=long_prompt']);
    const text = await response.text();
    expect(stream ? streamedText(text) : JSON.parse(text).choices[0].message.content).toBe('read a long one');
    const [read, written] = [pair.prefill.requests[0], pair.decode.requests[0]];
    const { kv_transfer_params: params, ...asked } = written.body;
    expect(asked).toEqual(JSON.parse(JSON.stringify(body)));
    expect(params).toEqual({
      do_remote_decode: false,
      do_remote_prefill: true,
      remote_bootstrap_addr: `http://127.0.0.1:${pair.bootstrapPort}`,
      remote_engine_id: 'engine-p',
      transfer_id: expect.stringMatching(/^xfer-.{36}$/),
    });
    expect(read.body).toEqual({
      model: body.model,
      messages: asked.messages,
      stream: false,
      max_tokens: 1,
      ignore_eos: true,
      kv_transfer_params: { do_remote_decode: true, do_remote_prefill: false, transfer_id: params.transfer_id },
    });
    expect(read.headers['x-request-id']).toBe(written.headers['x-request-id']);
    expect([read.headers['x-data-parallel-rank'], written.headers['x-data-parallel-rank']]).toEqual(['0', undefined]);
    expect([pair.localPrefills, pair.pinned, await outcomes()]).toEqual([0, 0, { handed_off: 1 }]);
  });

  test('is with the decode engine before its prompt was read', async () => {
    let open = () => {};
    pair.gate = new Promise<void>((resolve) => (open = resolve));
    await start();
    const answer = ask(router.url, prompt('p', { stream: true }));
    await until(() => pair.decode.requests.length === 1 && pair.prefill.requests.length === 1, 'both engines have it');
    open();
    expect(streamedText(await (await answer).text())).toBe('read p');
  });

  test('has an id that no other has, and goes to the rank whose engine the other is told', async () => {
    pair.engineIds = ['engine-p0', 'engine-p1'];
    await start();
    const answers = await Promise.all(Array.from({ length: 40 }, async (_, i) => textOf(await ask(router.url, prompt(`p${i}`)))));
    expect(answers).toEqual(answers.map((_, i) => `read p${i}`));
    expect(new Set(pair.decode.requests.map(({ body }) => body.kv_transfer_params.transfer_id)).size).toBe(40);
    expect(new Set(pair.prefill.requests.map(({ headers }) => headers['x-data-parallel-rank']))).toEqual(new Set(['0', '1']));
    expect([pair.localPrefills, pair.pinned]).toEqual([0, 0]);
  });

  test('whose first token would end its answer is handed off like others', async () => {
    pair.endsAtOnce = true;
    await start();
    expect(await (await ask(router.url, prompt('p', { stop: ['x'] }))).json()).toMatchObject({ choices: [{ message: { content: 'read p' } }] });
    expect(await outcomes()).toEqual({ handed_off: 1 });
  });
});

describe('the decode engine reads the prompt itself', () => {
  const expectAlone = async (reason: string, stream = true) => {
    const response = await ask(router.url, prompt('p', { stream }));
    const text = await response.text();
    expect([response.status, stream ? streamedText(text) : JSON.parse(text).choices[0].message.content]).toEqual([200, 'read p']);
    expect(route(response)).toBe(`aggregated; reason=${reason}`);
    expect(pair.decode.requests.at(-1)!.body.kv_transfer_params).toBeUndefined();
    expect([pair.localPrefills, await outcomes()]).toEqual([1, { [`fallback_${reason}`]: 1 }]);
  };

  test.each<[string, Behaviour]>([
    ['answers with status 500', wholly({ error: { message: 'no' } }, 500)],
    ['refuses the router', wholly({ error: { message: 'no' } }, 401)],
    ['breaks the connection', broken],
    ['says nothing', silent],
    ['ends its answer before the limit, so that it keeps nothing', wholly({ choices: [{ index: 0, message: { content: '' }, finish_reason: 'stop' }] })],
  ])('where the prefill engine %s, which the other would await', async (_, fault) => {
    pair.prefillFaults = [fault];
    await start({ limits: { prefillTimeoutSeconds: 0.3 } });
    await expectAlone('prefill_failed');
    await until(() => pair.decode.requests[0].aborted, 'the first request is cancelled');
    expect(pair.decode.requests).toHaveLength(2);
  });

  test('where the prefill engine cannot be reached', async () => {
    await start();
    await ask(router.url, prompt('before'));
    await pair.prefill.stop();
    const response = await ask(router.url, prompt('p', { stream: true }));
    expect([streamedText(await response.text()), route(response)]).toEqual(['read p', 'aggregated; reason=prefill_failed']);
    pair.prefill = await MockEngine.start(silent);
  });

  test.each<[string, (response: ServerResponse) => void]>([
    ['answers with status 503', (response) => response.writeHead(503).end('{"0":{"engine_id":"engine-p"}}')],
    ['says what is no JSON', (response) => response.end('engine-p')],
    ['knows none', (response) => response.end('{}')],
    ['says too much', (response) => response.end(`{"0":{"engine_id":"engine-p"}}${' '.repeat(1024 * 1024)}`)],
    ['breaks off', (response) => response.destroy()],
    ['says nothing', () => undefined],
  ])('where the bootstrap server %s', async (_, fault) => {
    pair.bootstrapFault = fault;
    await start();
    await expectAlone('prefill_failed');
    expect([pair.prefill.requests.length, pair.decode.requests.length]).toEqual([0, 1]);
  });

  test('where the bootstrap server fails, which is asked by the next, and has the prefill engine keep no slot', async () => {
    pair.bootstrapFault = (response) => response.writeHead(503).end();
    await start({}, { maxInFlight: 1 });
    await expectAlone('prefill_failed');
    pair.bootstrapFault = undefined;
    expect(route(await ask(router.url, prompt('q')))).toBe('disaggregated; reason=long_prompt');
  });

  test.each<[string, Behaviour]>([
    ['answers with status 500', wholly({ error: { message: 'KV load failed' } }, 500)],
    ['breaks the connection', broken],
    ['tells of an error before its first token', (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end(sse(ROLE) + sse({ error: { message: 'KV load failed', code: 500 } }) + sse('[DONE]'));
    }],
  ])('where it %s at first', async (_, fault) => {
    pair.decodeFaults = [fault];
    await start();
    await expectAlone('decode_failed');
    expect(pair.decode.requests.map(({ headers }) => headers['x-request-id'])[0]).not.toBe(pair.decode.requests[1].headers['x-request-id']);
  });

  test('where the prefill engine is another than it was, once', async () => {
    await start();
    await ask(router.url, prompt('before'));
    pair.engineIds = ['engine-restarted'];
    const response = await ask(router.url, prompt('p'));
    expect([await textOf(response), route(response)]).toEqual(['read p', 'aggregated; reason=decode_failed']);
    const next = await ask(router.url, prompt('q'));
    expect([await textOf(next), route(next)]).toEqual(['read q', 'disaggregated; reason=long_prompt']);
  });

  test('not twice', async () => {
    pair.decodeFaults = [broken, wholly({ error: { message: 'no' } }, 500)];
    await start();
    expect((await ask(router.url, prompt('p', { stream: true }))).status).toBe(500);
    expect(pair.decode.requests).toHaveLength(2);
  });
});

test('a prefill engine that refuses the request answers it', async () => {
  pair.prefillFaults = [wholly({ error: { message: 'the prompt is too long' } }, 400)];
  await start();
  const response = await ask(router.url, prompt('p'));
  expect([response.status, await response.json()]).toEqual([400, { error: { message: 'the prompt is too long' } }]);
  await until(() => pair.decode.requests[0].aborted, 'the decode engine is told');
  expect(await outcomes()).toEqual({ rejected: 1 });
});

test.each([true, false])('a decode engine that refuses the request answers it; a KV cache that was made is counted, made %p', async (made) => {
  let refuse = () => {};
  const refusing = new Promise<void>((resolve) => (refuse = resolve));
  pair.decodeFaults = [async (response, received) => {
    await refusing;
    await wholly({ error: { message: 'so it is' } }, 400)(response, received);
  }];
  pair.gate = made ? pair.gate : new Promise(() => {});
  await start();
  const answer = ask(router.url, prompt('p'));
  const isRead = async () => (await router.metrics.prefillSeconds.get()).values.length > 0;
  await until(async () => pair.prefill.requests.length === 1 && (!made || isRead()), 'the prefill engine has it');
  refuse();
  const response = await answer;
  expect([response.status, await response.json()]).toEqual([400, { error: { message: 'so it is' } }]);
  await until(() => made || pair.prefill.requests[0].aborted, 'the prefill engine is told');
  expect([await dropped(), pair.pinned]).toEqual(made ? [1, 1] : [0, 0]);
});

test('a decode engine that has begun to answer is not asked again', async () => {
  pair.decodeFaults = [(response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(chunkOf('a')));
    setTimeout(() => response.destroy(), 20);
  }];
  await start();
  const { text, broken: isBroken } = await drained(await ask(router.url, prompt('p', { stream: true })));
  expect([isBroken, text.includes('engine_failed'), pair.decode.requests.length]).toEqual([true, true, 1]);
});

test('a caller that leaves frees both engines', async () => {
  pair.gate = new Promise(() => {});
  await start();
  const caller = new AbortController();
  const answer = fetch(`${router.url}/v1/chat/completions`, {
    method: 'POST', headers: { authorization: `Bearer ${KEY}` }, body: JSON.stringify(prompt('p', { stream: true })), signal: caller.signal,
  });
  await until(() => pair.decode.requests.length === 1 && pair.prefill.requests.length === 1, 'both engines have it');
  caller.abort();
  await expect(answer).rejects.toThrow();
  await until(() => pair.decode.requests[0].aborted && pair.prefill.requests[0].aborted, 'both are told');
});

test('a request for which one KV cache is not enough is read by the decode engine', async () => {
  await start();
  const response = await ask(router.url, prompt('p', { n: 2 }));
  expect([response.status, route(response), pair.prefill.requests.length]).toEqual([200, 'aggregated; reason=not_eligible', 0]);
});

test('the configuration knows the connectors, and what was meant', async () => {
  await start();
  const problemsOf = (kvConnector: string, more: object = {}) => {
    const target = { protocol: 'openai', url: 'http://e', kvConnector };
    const both = [{ ...target, name: 'prefill', role: 'prefill', ...more }, { ...target, name: 'decode', role: 'decode', prefill: 'prefill' }];
    try {
      parseRouterConfig(JSON.stringify(configOf(both)), { KEYS: KEY });
    } catch (e) {
      return (e as ProblemsError).problems;
    }
    return [];
  };
  expect(problemsOf('MooncakeConnector', { bootstrapPort: 9000 })).toEqual([]);
  const [problem, ...more] = problemsOf('MooncakeConector');
  expect(problem).toMatchObject({
    rule: 'RouterTargetConnector', path: 'config.targets[0].kvConnector', value: '"MooncakeConector"', mend: expect.stringMatching(/^use "MooncakeConnector"/),
  });
  expect(more.map(({ path }) => path)).toEqual(['config.targets[1].kvConnector']);
  expect(problemsOf('mooncake')[0].mend).toBe('use "MooncakeConnector"');
  expect(problemsOf('nixl')[0].mend).toMatch(/^use "NixlConnector" or/);
  expect(problemsOf('SGLang')[0].mend).toBe('use "sglang"');
  expect(problemsOf('carrier pigeon')[0].mend).toContain('"NeuronNixlConnector"');
});
