import { createServer } from 'node:http';
import { AddressInfo } from 'node:net';
import { COUNTED } from '../engine-answer';
import {
  ask, Behaviour, chat, chunkOf, configOf, DONE, drained, errorOf, KEY, lastLineOf, MockEngine, ROLE, routerFor, sleep,
  sse, streamedText, streaming, TestRouter, textOf, until, whole, wholly,
} from '../harness';
import { VllmPair } from './vllm-pair';
import { parseRouterConfig, RouterMetrics } from '../../../../src/router/runtime';
import { HeldBodies } from '../../../../src/router/runtime/admission/held-bodies';
import { RateLimits } from '../../../../src/router/runtime/admission/rate-limits';
import { CallerGone } from '../../../../src/router/runtime/cancellation';
import { TargetConfig } from '../../../../src/router/runtime/config';
import { Exchange } from '../../../../src/router/runtime/exchange';
import { Forwarder } from '../../../../src/router/runtime/execution/forwarder';
import { Answer } from '../../../../src/router/runtime/serving/answer';
import { bodyOf } from '../../../../src/router/runtime/serving/request-body';
import { Discovery } from '../../../../src/router/runtime/targets/discovery';
import { Engines } from '../../../../src/router/runtime/targets/engines';
import { Target } from '../../../../src/router/runtime/targets/target';
import { parseOpenAi } from '../../../../src/router/runtime/wire/openai-request';
import { OPENAI_WIRE } from '../../../../src/router/runtime/wire/openai-wire';

/** However short a prompt is, it is handed on. */
const ALWAYS = { minPromptTokens: 0 };
const USAGE = { stream_options: { include_usage: true } };
const TOOL = { type: 'function', function: { name: 'weather' } };

let pair: VllmPair;
let router: TestRouter;
const others: MockEngine[] = [];

const targets = (prefill: object = {}, decode: object = {}) => [
  { name: 'decode', role: 'decode', protocol: 'openai', url: pair.decode.url, kvConnector: 'NixlConnector', prefill: 'prefill', ...decode },
  { name: 'prefill', role: 'prefill', protocol: 'openai', url: pair.prefill.url, kvConnector: 'NixlConnector', ...prefill },
];
const start = async (more: object = {}, prefill: object = {}, decode: object = {}) => {
  router = await routerFor(targets(prefill, decode), { routing: ALWAYS, ...more });
};
const prompt = (content: string, more: object = {}) => chat({ messages: [{ role: 'user', content }], ...more });
const outcomes = async (from = router.metrics) =>
  Object.fromEntries((await from.handoffs.get()).values.map(({ labels, value }) => [labels.outcome, value]));
const late = async () => (await router.metrics.handoffsLate.get()).values[0].value;
const dropped = async () => (await router.metrics.kvCachesDropped.get()).values[0].value;
const inFlight = async (from = router.metrics) => (await from.inFlight.get()).values.map(({ value }) => value);

beforeEach(async () => {
  pair = await VllmPair.start();
});
afterEach(async () => {
  await until(async () => (await inFlight()).every((value) => value === 0), 'every slot was given back');
  await router.drain();
  await Promise.all([pair, ...others.splice(0)].map(async (engine) => engine.stop()));
});

describe('a prompt', () => {
  test.each([true, false])('is read by the prefill engine and answered by the decode engine, stream %p', async (stream) => {
    await start();
    const body = prompt('a long one', { stream, stream_options: stream ? { include_usage: true } : undefined, max_completion_tokens: 50, min_tokens: 3 });
    const response = await ask(router.url, body);
    expect(response.status).toBe(200);
    expect(response.headers.get('x-router-route')).toBe('disaggregated; reason=long_prompt');
    const text = await response.text();
    expect(stream ? streamedText(text) : JSON.parse(text).choices[0].message.content).toBe(pair.answerTo(body));
    expect(text).not.toMatch(/kv_transfer_params|10\.0\.0\.9|never to be seen/);
    expect([pair.prefillTokens, pair.fetches, pair.localPrefills, pair.pinned]).toEqual([1, 1, 0, 0]);
    expect(await outcomes()).toEqual({ handed_off: 1 });
    expect(await lastLineOf(router)).toMatchObject({ target: 'decode', code: '200', handoff: 'handed_off', endpoint: pair.decode.url });
  });

  test('is told the engines as vLLM expects it: one token of the same body, then the body itself with the parameters as they came', async () => {
    await start();
    await ask(router.url, prompt('p', { stream: true, stream_options: { include_usage: true }, max_tokens: 9, max_completion_tokens: 50, min_tokens: 3, seed: 7 }),
      { 'x-request-id': 'mine', 'traceparent': '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' });
    const [first, second] = [pair.prefill.requests[0], pair.decode.requests[0]];
    expect(first.path).toBe('/v1/chat/completions');
    expect(first.body).toEqual(prompt('p', {
      stream: false,
      max_tokens: 1,
      seed: 7,
      kv_transfer_params: {
        do_remote_decode: true, do_remote_prefill: false, remote_engine_id: null, remote_block_ids: null, remote_host: null, remote_port: null,
      },
    }));
    const { kv_transfer_params: params, ...rest } = second.body;
    expect(rest).toEqual(prompt('p', { stream: true, stream_options: { include_usage: true }, max_tokens: 9, max_completion_tokens: 50, min_tokens: 3, seed: 7 }));
    expect(params).toMatchObject({ do_remote_prefill: true, remote_block_ids: [[1, 2]], remote_host: '10.0.0.9', transfer_mode: 'pull', remote_blocks_expiry_time: null });
    expect(first.headers['x-request-id']).toMatch(/^mine\.[0-9a-f]{12}$/);
    expect(second.headers['x-request-id']).toBe(first.headers['x-request-id']);
    expect(second.headers.traceparent).toBe(first.headers.traceparent);
  });

  test('is the same to the letter for both engines, where JavaScript would spell it otherwise', async () => {
    await start({}, { modelName: '/models/p' }, { modelName: '/models/d' });
    const tools = '[{"type":"function","function":{"name":"f","parameters":{"b":{"minimum":1.0},"2":{},"1":{"maximum":12345678901234567890}}}}]';
    const response = await ask(router.url, `{"model":"llama", "tools":${tools}, "messages":[{"role":"user","content":"a \\"quoted\\\\\\" {one}"}]}`);
    expect(response.headers.get('x-router-route')).toBe('disaggregated; reason=long_prompt');
    for (const [engine, model] of [[pair.prefill, '/models/p'], [pair.decode, '/models/d']] as const) {
      expect(engine.requests[0].text).toContain(`"tools":${tools}`);
      expect(engine.requests[0].body.model).toBe(model);
    }
  });

  test('is handed on with parameters whose numbers JavaScript would round', async () => {
    await start();
    pair.prefill.behaviour = (response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"choices":[],"kv_transfer_params": {"do_remote_prefill":true, "remote_block_ids":[1],'
        + '"remote_engine_id":"engine-p","remote_request_id":"r","remote_host":"h","remote_port":5559,"odd":12345678901234567890.0} }');
    };
    await ask(router.url, prompt('p'));
    expect(pair.decode.requests[0].text).toContain('"odd":12345678901234567890.0}');
  });

  test('is measured whole: time to first token covers both engines', async () => {
    await start();
    let open = () => {};
    pair.gate = new Promise((resolve) => {
      open = resolve;
    });
    const asked = ask(router.url, prompt('p', { stream: true }));
    await until(() => pair.prefill.requests.length === 1, 'the prompt is being read');
    expect(await inFlight()).toEqual([1, 1]);
    open();
    await drained(await asked);
    const { ttftSeconds } = await lastLineOf(router);
    const { values } = await router.metrics.prefillSeconds.get();
    const of = (name: string) => values.find(({ metricName }) => metricName === `router_prefill_seconds_${name}`)!.value;
    expect(of('count')).toBe(1);
    expect(ttftSeconds).toBeGreaterThan(of('sum'));
  });

  test('of many callers at once is never answered to another', async () => {
    await start();
    const answers = await Promise.all(Array.from({ length: 40 }, async (_, i) => textOf(await ask(router.url, prompt(`number ${i}`), { 'x-request-id': 'same' }))));
    answers.forEach((answer, i) => expect(answer).toBe(pair.answerTo(prompt(`number ${i}`))));
    expect(await outcomes()).toEqual({ handed_off: 40 });
    expect(new Set(pair.decode.requests.map(({ body }) => body.kv_transfer_params.remote_request_id)).size).toBe(40);
    expect(pair.pinned).toBe(0);
  });
});

describe('the decode engine reads the prompt itself', () => {
  const expectAggregated = async (body: any, reason: string) => {
    const response = await ask(router.url, body);
    expect([response.status, response.headers.get('x-router-route')]).toEqual([200, `aggregated; reason=${reason}`]);
    expect(await textOf(response)).toBe(pair.answerTo(body));
    expect(pair.decode.requests.at(-1)!.body).toEqual(JSON.parse(JSON.stringify(body)));
    expect(await outcomes()).toEqual({ [['not_eligible', 'no_pair', 'pair_full'].includes(reason) ? reason : `fallback_${reason}`]: 1 });
  };

  test.each([
    { n: 2 }, { use_beam_search: true }, { prompt_logprobs: 1 }, { truncate_prompt_tokens: -1 }, { tool_choice: 'required', tools: [TOOL] },
    { stream_options: {} }, { stream: false, stream_options: {} },
  ])('where one KV cache is not enough: %j', async (more) => {
    await start();
    await expectAggregated(prompt('p', more), 'not_eligible');
    expect(pair.prefill.requests).toHaveLength(0);
  });

  test.each([
    { n: 1 }, { n: null }, { use_beam_search: false }, { tool_choice: 'auto', tools: [TOOL] }, { max_tokens: 1, max_completion_tokens: null }, { stream_options: null },
    { stream: true, stream_options: { include_usage: true } },
  ])('but not where one is: %j', async (more) => {
    await start();
    expect((await ask(router.url, prompt('p', more))).headers.get('x-router-route')).toBe('disaggregated; reason=long_prompt');
  });

  test('if no prefill engine is up', async () => {
    pair.prefill.healthStatus = 503;
    await start();
    await expectAggregated(prompt('p'), 'no_pair');
  });

  test('if the prefill engine has as many prompts as it may have, and callers are refused only if the decode engine is full as well', async () => {
    await start({ queue: { maxRequests: 0 } }, { maxInFlight: 1 }, { maxInFlight: 2 });
    let open = () => {};
    pair.gate = new Promise((resolve) => {
      open = resolve;
    });
    const waiting = ask(router.url, prompt('first'));
    await until(() => pair.prefill.requests.length === 1, 'the prompt is being read');
    await expectAggregated(prompt('second'), 'pair_full');
    pair.decode.behaviour = () => undefined;
    const leaving = new AbortController();
    const third = fetch(`${router.url}/v1/chat/completions`, {
      method: 'POST', headers: { authorization: `Bearer ${KEY}` }, body: JSON.stringify(prompt('third')), signal: leaving.signal,
    });
    third.catch(() => undefined);
    await until(() => pair.decode.requests.length === 2, 'the decode engine has the third');
    const full = await ask(router.url, prompt('fourth'));
    expect([full.status, full.headers.get('retry-after'), (await errorOf(full)).code]).toEqual([429, '1', 'engines_full']);
    expect(pair.prefill.requests).toHaveLength(1);
    leaving.abort();
    pair.decode.behaviour = whole;
    open();
    expect((await waiting).headers.get('x-router-route')).toBe('disaggregated; reason=long_prompt');
  });

  test('if no connection to the prefill engine can be made', async () => {
    await start();
    await pair.prefill.stop();
    await expectAggregated(prompt('p'), 'prefill_failed');
    expect((await ask(router.url, prompt('again'))).headers.get('x-router-route')).toBe('aggregated; reason=no_pair');
  });

  test.each([500, 503, 429, 401, 402, 404, 302])('if the prefill engine answers %d', async (status) => {
    await start();
    pair.prefill.behaviour = (response) => {
      response.writeHead(status).end('no');
    };
    await expectAggregated(prompt('p'), 'prefill_failed');
  });

  test('if the prefill engine breaks off', async () => {
    await start();
    pair.prefill.behaviour = (response) => {
      response.writeHead(200, { 'content-length': '1000' }).write('{');
      setImmediate(() => response.destroy());
    };
    await expectAggregated(prompt('p'), 'prefill_failed');
  });

  test('if the prefill engine takes too long, which it is told', async () => {
    await start({ limits: { prefillTimeoutSeconds: 0.1 } });
    pair.prefill.behaviour = () => undefined;
    await expectAggregated(prompt('p'), 'prefill_failed');
    await until(() => pair.prefill.requests[0].aborted, 'the prefill engine sees its connection closed');
  });

  test('if the prefill engine answers without end', async () => {
    await start();
    pair.prefill.behaviour = (response) => {
      response.on('error', () => undefined);
      response.writeHead(200).write(Buffer.alloc(5 * 1024 * 1024, ' '));
    };
    await expectAggregated(prompt('p'), 'prefill_failed');
    await until(() => pair.prefill.requests[0].aborted, 'the prefill engine sees its connection closed');
  });

  test.each<[string, (params: any) => unknown]>([
    ['null', () => null],
    ['missing', () => undefined],
    ['empty', () => ({})],
    ['a string', () => 'x'],
    ['only do_remote_prefill', () => ({ do_remote_prefill: true })],
    ['those of the request', (params) => ({ ...params, do_remote_prefill: false, do_remote_decode: true })],
    ['without a request id', ({ remote_request_id: _, ...params }) => params],
    ['without an engine id', (params) => ({ ...params, remote_engine_id: '' })],
    ['without a host', (params) => ({ ...params, remote_host: null })],
    ['with a port that is none', (params) => ({ ...params, remote_port: '5559' })],
    ['without blocks', (params) => ({ ...params, remote_block_ids: [] })],
    ['with empty blocks', (params) => ({ ...params, remote_block_ids: [[]] })],
    ['with blocks that are none', (params) => ({ ...params, remote_block_ids: [['1']] })],
    ['that are too long', (params) => ({ ...params, more: 'x'.repeat(1024 * 1024) })],
  ])('if the parameters are %s', async (_, disguise) => {
    await start();
    pair.disguise = disguise;
    await expectAggregated(prompt('p'), 'params_invalid');
    expect(pair.crashed).toBe(false);
  });

  test('if the KV cache is older than its lease', async () => {
    // every KV cache is older than that.
    await start({ limits: { kvLeaseSeconds: 1e-9 } });
    await expectAggregated(prompt('p'), 'lease');
    pair.expire();
    expect([pair.fetches, await dropped()]).toEqual([0, 1]);
  });

  test('if the last hand-offs of the prefill engine failed', async () => {
    await start();
    pair.reachable = false;
    for (let i = 0; i < 3; i++) {
      expect((await ask(router.url, prompt(`p${i}`))).headers.get('x-router-route')).toBe('aggregated; reason=decode_failed');
    }
    const response = await ask(router.url, prompt('p'));
    expect([response.status, response.headers.get('x-router-route')]).toEqual([200, 'aggregated; reason=no_pair']);
    expect(await outcomes()).toEqual({ fallback_decode_failed: 3, no_pair: 1 });
  });

  test('if it has no prefill engines, which is not counted', async () => {
    await start({}, {}, { prefill: undefined });
    const response = await ask(router.url, prompt('p'));
    expect([response.status, response.headers.get('x-router-route')]).toEqual([200, 'aggregated; reason=only_path']);
    expect([await outcomes(), pair.prefill.requests.length]).toEqual([{}, 0]);
  });
});

describe('a failure', () => {
  test.each([true, false])('of the transfer before the first token has the decode engine read the prompt, stream %p', async (stream) => {
    await start();
    pair.reachable = false;
    const body = prompt('p', { stream, ...(stream && USAGE) });
    const response = await ask(router.url, body);
    expect([response.status, response.headers.get('x-router-route')]).toEqual([200, 'aggregated; reason=decode_failed']);
    const text = await response.text();
    expect(stream ? streamedText(text) : JSON.parse(text).choices[0].message.content).toBe(pair.answerTo(body));
    expect(pair.prefill.requests).toHaveLength(1);
    const [first, second, ...more] = pair.decode.requests;
    expect([second.body, more]).toEqual([body, []]);
    expect(second.headers['x-request-id']).not.toBe(first.headers['x-request-id']);
    expect(await outcomes()).toEqual({ fallback_decode_failed: 1 });
    expect(await lastLineOf(router)).toMatchObject({ target: 'decode', code: '200', handoff: 'fallback_decode_failed' });
  });

  test.each([true, false])('of the decode engine to read the prompt as well is told, and nobody is asked a third time, stream %p', async (stream) => {
    await start();
    pair.decode.behaviour = (response) => {
      response.writeHead(500, { 'content-type': 'application/json' }).end('{"error":{"message":"so"}}');
    };
    const response = await ask(router.url, prompt('p', { stream }));
    expect([response.status, await response.json()]).toEqual([500, { error: { message: 'so' } }]);
    expect([pair.prefill.requests.length, pair.decode.requests.length]).toEqual([1, 2]);
    expect(await outcomes()).toEqual({ fallback_decode_failed: 1 });
  });

  test('to make an answer of what the decode engine says has it asked again in its slot, which nobody else has meanwhile', async () => {
    await start({}, {}, { maxInFlight: 1 });
    const { behaviour } = pair.decode;
    let isNext = false;
    pair.decode.behaviour = async (response, received) => {
      if (pair.decode.requests.length === 1) {
        await until(() => isNext, 'another waits');
        return wholly({ object: 'error' })(response, received);
      }
      // who had a slot as well would be here by then.
      await sleep(100);
      return behaviour(response, received);
    };
    const asked = ['a', 'b'].map(async (content) => ask(router.url, prompt(content)));
    await until(async () => pair.decode.requests.length === 1 && (await router.metrics.queueRequests.get()).values[0].value === 1, 'one waits for the other');
    isNext = true;
    const texts = await Promise.all(asked.map(async (response) => textOf(await response)));
    expect(texts).toEqual(['a', 'b'].map((content) => pair.answerTo(prompt(content))));
    expect([pair.decode.requests.length, pair.decode.mostActive, await outcomes()]).toEqual([3, 1, { fallback_decode_failed: 1, handed_off: 1 }]);
  });

  test('of the transfer counts no KV cache for what the engine says when it is to read the prompt itself', async () => {
    await start();
    pair.decode.behaviour = (answer, { body }) => {
      answer.writeHead(body.kv_transfer_params === undefined ? 400 : 500, { 'content-type': 'application/json' }).end('{"error":{"message":"no"}}');
    };
    expect((await ask(router.url, prompt('p'))).status).toBe(400);
    expect([pair.decode.requests.length, await dropped()]).toEqual([2, 0]);
  });

  test('of a decode engine that is gone afterwards goes to no other', async () => {
    router = await routerFor([...targets(), { name: 'spare', role: 'aggregated', protocol: 'openai', url: pair.prefill.url }], { routing: ALWAYS });
    pair.decode.behaviour = async (response) => {
      const stopped = pair.decode.stop();
      response.destroy();
      await stopped;
    };
    const response = await ask(router.url, prompt('p'));
    expect([response.status, response.headers.get('x-router-route')]).toEqual([502, 'aggregated; reason=decode_failed']);
    expect(await response.json()).toMatchObject({ error: { code: 'engine_failed' } });
    expect([pair.prefill.requests.length, pair.decode.requests.length]).toEqual([1, 1]);
    expect(router.lines.map(({ msg }) => msg)).toContain('an engine gets no request until it has answered a probe');
    pair.decode = await MockEngine.start(whole);
  });

  test('after the first token is the caller\'s to know: it cannot be taken back', async () => {
    await start();
    pair.decode.behaviour = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end(sse(chunkOf('a')) + sse({ error: { message: 'so' } }) + sse('[DONE]'));
    };
    const response = await ask(router.url, prompt('p', { stream: true }));
    expect([response.status, response.headers.get('x-router-route')]).toEqual([200, 'disaggregated; reason=long_prompt']);
    expect(await response.text()).toContain('so');
    expect([pair.decode.requests.length, await outcomes()]).toEqual([1, { handed_off: 1 }]);
  });

  const refusing = (status: number): Behaviour => (response) => void response.writeHead(status).end('no');
  test.each<[string, boolean, number, Behaviour]>([
    ['status 401', false, 502, refusing(401)],
    ['status 429', false, 429, refusing(429)],
    ['status 429 instead of a stream', true, 429, refusing(429)],
    ['the first event of a stream', true, 429, streaming([{ error: { message: 'no', code: 429 } }])],
  ])('by %s is no failure of the hand-off, whose KV cache nobody fetches', async (_, stream, status, behaviour) => {
    await start();
    pair.decode.behaviour = behaviour;
    const response = await ask(router.url, prompt('p', { stream }));
    expect([response.status, response.headers.get('x-router-route')]).toEqual([status, 'disaggregated; reason=long_prompt']);
    await response.text();
    expect([pair.decode.requests.length, await outcomes(), await dropped()]).toEqual([1, { rejected: 1 }, 1]);
    expect(await lastLineOf(router)).toMatchObject({ target: 'decode', endpoint: pair.decode.url, handoff: 'rejected', code: String(status) });
    expect((await router.metrics.promptTokens.get()).values.map(({ labels, value }) => [labels.target, value])).toEqual([['prefill', COUNTED.prompt_tokens]]);
  });

  test('that is the caller\'s is told by the prefill engine, without what engines know of each other', async () => {
    await start();
    pair.prefill.behaviour = (response) => {
      response.writeHead(400, { 'content-type': 'application/json', 'x-internal': 'secret' }).end('{"error":{"message":"no such tool","code":400}}');
    };
    const plain = await ask(router.url, prompt('p', { stream: true }));
    expect(plain.headers.get('x-router-route')).toBe('disaggregated; reason=long_prompt');
    expect([plain.status, plain.headers.get('x-internal'), await plain.json()]).toEqual([400, null, { error: { message: 'no such tool', code: 400 } }]);
    pair.prefill.behaviour = (response, { body }) => {
      response.writeHead(422, { 'content-type': 'application/json' }).end(JSON.stringify({ error: { message: `got ${JSON.stringify(body)}` } }));
    };
    const quoting = await ask(router.url, prompt('p'));
    expect([quoting.status, await quoting.json()]).toMatchObject([422, { error: { code: 'engine_refused', type: 'invalid_request_error' } }]);
    expect(pair.decode.requests).toHaveLength(0);
    expect(await outcomes()).toEqual({ rejected: 2 });
    expect(await lastLineOf(router)).toMatchObject({ target: 'prefill', endpoint: pair.prefill.url });
  });

  test('to connect to a decode engine has the prompt read again for the next', async () => {
    const gone = await MockEngine.start(whole);
    router = await routerFor([{ ...targets()[0], name: 'gone', url: gone.url }, ...targets()], { routing: ALWAYS });
    await gone.stop();
    const response = await ask(router.url, prompt('p'));
    expect(await textOf(response)).toBe(pair.answerTo(prompt('p')));
    const [first, second] = pair.prefill.requests;
    expect(first.headers['x-request-id']).not.toBe(second.headers['x-request-id']);
    expect(pair.decode.requests[0].body.kv_transfer_params.remote_request_id).toContain(second.headers['x-request-id']);
    expect([await outcomes(), await dropped(), pair.pinned]).toEqual([{ handed_off: 1 }, 1, 1]);
  });

  test('to connect to a prefill engine has the next read the prompt', async () => {
    await start();
    const second = await MockEngine.start(pair.prefill.behaviour);
    others.push(second);
    const target = targetOf({ ...targets()[1], url: undefined, srv: 's' }, { addresses: async () => [pair.prefill.url, second.url] });
    const decode = targetOf(targets()[0]);
    await Promise.all([target.engines.discover(), decode.engines.discover()]);
    const metrics = new RouterMetrics(undefined);
    const forwarder = forwarderFor([decode, target], metrics);
    // equals take turns, so that either is asked first by one of two.
    await pair.prefill.stop();
    for (let i = 0; i < 2; i++) {
      expect((await forwarder.answer(prompt('p'))).headers.get('x-router-route')).toBe('disaggregated; reason=long_prompt');
    }
    await forwarder.stop();
    expect([await outcomes(metrics), await inFlight(metrics)]).toEqual([{ handed_off: 2 }, [0, 0]]);
    await Promise.all([target.engines.stop(), decode.engines.stop()]);
  });

  test('that quotes the parameters is not told on', async () => {
    await start();
    pair.decode.behaviour = (answer, { body }) => {
      answer.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ error: { message: `min_tokens: ${JSON.stringify(body)}` } }));
    };
    const response = await ask(router.url, prompt('p'));
    expect(response.status).toBe(400);
    expect(await response.text()).not.toContain('10.0.0.9');
    expect(await dropped()).toBe(1);
    pair.decode.behaviour = (answer) => {
      answer.writeHead(200, { 'content-type': 'text/event-stream' }).end(sse({ choices: [{ delta: { content: 'a' } }] })
        + sse({ error: { message: 'remote_host 10.0.0.9 is gone' } }) + sse('[DONE]'));
    };
    const { text } = await drained(await ask(router.url, prompt('p', { stream: true })));
    expect(text).toContain('"code":"engine_failed"');
    expect(text).not.toContain('10.0.0.9');
  });
});

describe('a KV cache whose lease ends before it is fetched', () => {
  const queue = () => {
    let open = () => {};
    pair.queue = new Promise((resolve) => {
      open = resolve;
    });
    return open;
  };

  test('is not used for a stream: the decode engine stops, and reads the prompt itself', async () => {
    await start({ limits: { kvLeaseSeconds: 0.5 } });
    const open = queue();
    const body = prompt('p', { stream: true, ...USAGE });
    const response = await ask(router.url, body);
    expect([response.status, response.headers.get('x-router-route')]).toEqual([200, 'aggregated; reason=lease']);
    expect(streamedText((await drained(response)).text)).toBe(pair.answerTo(body));
    const [first, second] = pair.decode.requests;
    await until(() => first.aborted, 'the decode engine sees its connection closed');
    open();
    expect([second.body, pair.prefill.requests.length, pair.fetches, await late()]).toEqual([body, 1, 0, 0]);
    expect(await outcomes()).toEqual({ fallback_lease: 1 });
  });

  test('is not used for a stream that only told its role', async () => {
    await start({ limits: { kvLeaseSeconds: 0.5 } });
    const { behaviour } = pair.decode;
    pair.decode.behaviour = async (response, received) => {
      if (received.body.kv_transfer_params === undefined) {
        return behaviour(response, received);
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(ROLE));
    };
    const body = prompt('p', { stream: true });
    expect(streamedText((await drained(await ask(router.url, body))).text)).toBe(pair.answerTo(body));
    expect(await outcomes()).toEqual({ fallback_lease: 1 });
  });

  test('does not end a stream that began within the lease', async () => {
    await start({ limits: { kvLeaseSeconds: 0.5 } });
    pair.decode.behaviour = async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(chunkOf('a')));
      await sleep(700);
      response.end(sse(chunkOf('b')) + DONE);
    };
    const response = await ask(router.url, prompt('p', { stream: true }));
    expect(streamedText(await response.text())).toBe('ab');
    expect([pair.decode.requests.length, await outcomes(), await late()]).toEqual([1, { handed_off: 1 }, 0]);
  });

  test('is told of, where the answer is no stream and may be wrong', async () => {
    await start({ limits: { kvLeaseSeconds: 0.5 } });
    const open = queue();
    const asked = ask(router.url, prompt('p'), { 'x-request-id': 'mine' });
    await until(() => pair.decode.requests.length === 1, 'the decode engine has the request');
    await sleep(600);
    open();
    const response = await asked;
    expect([response.status, response.headers.get('x-router-route')]).toEqual([200, 'disaggregated; reason=long_prompt']);
    await lastLineOf(router);
    await until(() => router.lines.some(({ level }) => level === 40), 'a warning');
    expect(router.lines.find(({ level }) => level === 40)).toMatchObject({
      requestId: 'mine', endpoint: pair.decode.url, msg: 'the answer began after the lease of its KV cache and may be wrong',
    });
    expect([await outcomes(), await late()]).toEqual([{ handed_off: 1 }, 1]);
  });

  test('is not told of where the answer came in time', async () => {
    await start();
    await ask(router.url, prompt('p'));
    await lastLineOf(router);
    expect([router.lines.filter(({ level }) => level === 40), await late()]).toEqual([[], 0]);
  });
});

describe('a caller', () => {
  test.each<[string, object]>([
    ['kv_transfer_params', { kv_transfer_params: { do_remote_prefill: true, remote_host: '169.254.169.254', remote_port: 80 } }],
    ['kv_transfer_params of null', { kv_transfer_params: null }],
    ['vllm_xargs with them', { vllm_xargs: { kv_transfer_params: 'x' } }],
  ])('that gives %s is refused: it would name a host to connect to', async (_, more) => {
    await start();
    const response = await ask(router.url, prompt('p', more));
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: 'kv_transfer_params_refused' } });
    expect([pair.prefill.requests.length, pair.decode.requests.length]).toEqual([0, 0]);
  });

  test('that hides their name in escapes is refused as well', async () => {
    await start();
    const body = JSON.stringify(prompt('p')).replace('{', '{"kv_transfer\\u005fparams":{},');
    expect((await ask(router.url, body)).status).toBe(400);
  });

  test('that speaks of them may do so', async () => {
    await start();
    pair.more = [' "kv_transfer_params"'];
    const body = prompt('what are "kv_transfer_params"?', { stream: true });
    expect(streamedText((await drained(await ask(router.url, body))).text)).toBe(pair.answerTo(body));
  });

  const leavable = (body: unknown) => {
    const leaving = new AbortController();
    const asked = fetch(`${router.url}/v1/chat/completions`, {
      method: 'POST', headers: { authorization: `Bearer ${KEY}` }, body: JSON.stringify(body), signal: leaving.signal,
    });
    asked.catch(() => undefined);
    return leaving;
  };

  test('that leaves while its prompt is read stops the prefill engine, and the decode engine is never asked', async () => {
    await start();
    pair.prefill.behaviour = () => undefined;
    const leaving = leavable(prompt('p'));
    await until(() => pair.prefill.requests.length === 1, 'the prompt is being read');
    leaving.abort();
    await until(() => pair.prefill.requests[0].aborted, 'the prefill engine sees its connection closed');
    expect(await lastLineOf(router)).toMatchObject({ code: '499' });
    expect([pair.decode.requests.length, await outcomes()]).toEqual([0, {}]);
  });

  test('that leaves while it is answered stops the decode engine', async () => {
    await start();
    pair.decode.behaviour = () => undefined;
    const leaving = leavable(prompt('p', { stream: true }));
    await until(() => pair.decode.requests.length === 1, 'the decode engine has the request');
    leaving.abort();
    await until(() => pair.decode.requests[0].aborted, 'the decode engine sees its connection closed');
    expect(await lastLineOf(router)).toMatchObject({ code: '499', handoff: 'handed_off' });
  });

  test('that leaves in between leaves a KV cache to its lease, which is counted', async () => {
    await start();
    const own = targets().map((target) => targetOf(target));
    await Promise.all(own.map(async (target) => target.engines.start()));
    const metrics = new RouterMetrics(undefined);
    const forwarder = forwarderFor(own, metrics);
    jest.spyOn(metrics.prefillSeconds, 'observe').mockImplementation(() => forwarder.exchanges[0].cancel(new CallerGone('the caller closed its connection')));
    await expect(forwarder.answer(prompt('p'))).rejects.toThrow();
    await until(() => forwarder.exchanges[0].code === '499', 'the exchange has failed');
    expect([pair.prefill.requests.length, pair.decode.requests.length, pair.pinned]).toEqual([1, 0, 1]);
    expect((await metrics.kvCachesDropped.get()).values[0].value).toBe(1);
    expect([await outcomes(metrics), await inFlight(metrics)]).toEqual([{}, [0, 0]]);
    await forwarder.stop();
    await Promise.all(own.map(async (target) => target.engines.stop()));
  });
});

function targetOf(given: object, discovery?: Discovery): Target {
  const config = { ...given, maxInFlight: 9 } as TargetConfig;
  return new Target(config, new Engines(config, undefined, discovery));
}

/** A forwarder behind a server of its own, whose exchanges a test can reach. */
function forwarderFor(of: Target[], metrics: RouterMetrics) {
  const config = parseRouterConfig(JSON.stringify(configOf(targets(), { routing: ALWAYS })), { KEYS: KEY });
  const forwarder = new Forwarder(config, of, new RateLimits({}), metrics);
  const exchanges: Exchange[] = [];
  const server = createServer((request, response) => {
    const exchange = new Exchange('id', 'chat_completions', request, new Answer(response, 1), OPENAI_WIRE);
    exchanges.push(exchange);
    void bodyOf(exchange, config.limits, new HeldBodies(metrics))
      .then(async (bytes) => forwarder.forward(exchange, ({ model }) => parseOpenAi('/v1/chat/completions', bytes, model)))
      .catch(async (e) => exchange.fail(e));
  });
  const listening = new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    exchanges,
    answer: async (body: unknown) => {
      await listening;
      return ask(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, body);
    },
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
