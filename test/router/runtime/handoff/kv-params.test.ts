import * as fc from 'fast-check';
import { VllmPair } from './vllm-pair';
import { KvParams } from '../../../../src/router/runtime/handoff/kv-params';
import { membersOf, withMembers } from '../../../../src/router/runtime/wire/json-object';

const PARAMS = {
  do_remote_prefill: true, remote_block_ids: [[1, 2]], remote_engine_id: 'e', remote_request_id: 'r', remote_host: 'h', remote_port: 5559,
};
const read = (params: unknown, blockTokens?: number) => (
  KvParams.read(Buffer.from(JSON.stringify({ choices: [], kv_transfer_params: params })), 1_000, blockTokens));

describe('parameters of a KV cache', () => {
  test('are there once', () => {
    const params = read(PARAMS)!;
    expect(params.take(2_000, 25)).toBe(JSON.stringify(PARAMS));
    expect(params.take(2_000, 25)).toBeUndefined();
  });

  test('are there within the lease', () => {
    expect(read(PARAMS)!.take(25_999, 25)).toBeDefined();
    expect(read(PARAMS)!.take(26_000, 25)).toBeUndefined();
  });

  test.each([[[1, 2]], [[[1], []]], [[[0]]]])('may list blocks as %j', (remote_block_ids) => {
    expect(read({ ...PARAMS, remote_block_ids })).toBeDefined();
  });

  test.each<[number, object]>([
    [64, {}],
    [64, { remote_block_ids: [1, 2] }],
    [64, { remote_block_ids: [[1], [1, 2]] }],
    [128, { dcp_size: 2 }],
  ])('are of at most %d tokens in blocks of 32, %j', (tokens, more) => {
    expect(read({ ...PARAMS, ...more, remote_num_tokens: tokens }, 32)).toBeDefined();
    expect(read({ ...PARAMS, ...more, remote_num_tokens: tokens + 1 }, 32)).toBeUndefined();
    expect(read({ ...PARAMS, ...more, remote_num_tokens: tokens + 1 })).toBeDefined();
    expect(read({ ...PARAMS, ...more }, 32)).toBeDefined();
  });

  test.each(['', '[]', 'null', '{"kv_transfer_params":', '{"choices":[{"kv_transfer_params":{}}]}'])('are not read from %j', (answer) => {
    expect(KvParams.read(Buffer.from(answer), 0)).toBeUndefined();
  });
});

describe('the members of a JSON object', () => {
  test('are found whatever the text is', () => {
    fc.assert(fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.constantFrom(undefined, 2, '\t'), (object, space) => {
      const text = Buffer.from(JSON.stringify(object, undefined, space));
      const found = membersOf(text).map(({ name, valueStart, end }) => [name, JSON.parse(text.toString('utf8', valueStart, end))]);
      expect(found).toEqual(Object.entries(JSON.parse(text.toString())));
    }));
  });

  test('are changed alone', () => {
    const maybe = fc.option(fc.jsonValue(), { nil: undefined });
    fc.assert(fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.string(), maybe, (object, name, value) => {
      const before = JSON.parse(JSON.stringify(object));
      const changes = { [name]: value === undefined ? undefined : JSON.stringify(value) };
      const after = JSON.parse(withMembers(Buffer.from(JSON.stringify(object)), changes).toString());
      const others = Object.entries(before).filter(([key]) => key !== name);
      expect(Object.entries(after).filter(([key]) => key !== name)).toEqual(others);
      expect(Object.hasOwn(after, name)).toBe(value !== undefined);
      expect(after[name]).toEqual(value === undefined ? ({} as { [name: string]: unknown })[name] : JSON.parse(JSON.stringify(value)));
    }));
  });

  test('of one name go together', () => {
    expect(withMembers(Buffer.from('{"a":1, "b" : 1.0 ,"a":[{"a":2}]}'), { a: undefined, c: 'null' }).toString()).toBe('{"b" : 1.0 ,"c":null}');
    expect(withMembers(Buffer.from('{ }'), { a: '1' }).toString()).toBe('{"a":1}');
  });
});

/** What the tests of the hand-off stand on: that the pair of engines would give a mistake of the router away. */
describe('engines as vLLM has them', () => {
  let pair: VllmPair;
  const post = async (url: string, body: object) =>
    fetch(`${url}/v1/chat/completions`, { method: 'POST', headers: { 'x-request-id': 'r' }, body: JSON.stringify(body) });
  const of = (content: string, more: object = {}) => ({ messages: [{ role: 'user', content }], ...more });
  const jsonOf = async (response: Promise<Response>): Promise<any> => (await response).json();
  const prefill = async (content: string) =>
    (await jsonOf(post(pair.prefill.url, of(content, { max_tokens: 1, kv_transfer_params: { do_remote_decode: true } })))).kv_transfer_params;
  const decode = async (content: string, params: unknown) => jsonOf(post(pair.decode.url, of(content, { kv_transfer_params: params })));

  beforeEach(async () => {
    pair = await VllmPair.start();
  });
  afterEach(async () => pair.stop());

  test('answer another prompt from the cache that they are told of, and garbage from one that was used or has expired', async () => {
    expect((await decode('b', await prefill('a'))).choices[0].message.content).toBe('read a and more');
    const used = await prefill('a');
    await decode('a', used);
    expect((await decode('a', used)).choices[0].message.content).toBe('read garbage and more');
    const late = await prefill('a');
    pair.expire();
    expect((await decode('a', late)).choices[0].message.content).toBe('read garbage and more');
  });

  test('generate and refuse what is left of the limits, and die of bad parameters', async () => {
    await post(pair.prefill.url, of('a', { max_tokens: 1, max_completion_tokens: 50 }));
    expect(pair.prefillTokens).toBe(50);
    expect((await post(pair.prefill.url, of('a', { max_tokens: 1, min_tokens: 3 }))).status).toBe(400);
    expect((await post(pair.prefill.url, of('a', { stream_options: {} }))).status).toBe(400);
    expect((await post(pair.decode.url, of('a', { kv_transfer_params: 'x' }))).status).toBe(400);
    expect((await post(pair.decode.url, of('a', { kv_transfer_params: { do_remote_prefill: true } }))).status).toBe(500);
    await expect(post(pair.decode.url, of('a'))).rejects.toThrow();
    expect((await fetch(`${pair.decode.url}/health`)).status).toBe(503);
  });
});
