import { KEY, MODEL } from '../harness';
import { Random } from './random';

/** A request to send, whatever is wrong with it. */
export interface FuzzedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: { readonly [name: string]: string };
  readonly body: Buffer;
}

/** What stands for something nested so deeply that this process could not write it as a value. */
const DEEP = '@deep@';

const TOOL_SCHEMA = { type: 'object', properties: { city: { type: 'string' } } };
const converse = (text: string) => ({
  system: [{ text: 'be brief' }],
  messages: [
    { role: 'user', content: [{ text }] },
    { role: 'assistant', content: [{ toolUse: { toolUseId: 't1', name: 'weather', input: { city: 'Ulm' } } }] },
    { role: 'user', content: [{ toolResult: { toolUseId: 't1', content: [{ text: 'sunny' }], status: 'success' } }] },
  ],
  inferenceConfig: { maxTokens: 20, temperature: 0.5, topP: 0.9, stopSequences: ['stop'] },
  toolConfig: { tools: [{ toolSpec: { name: 'weather', description: 'tells it', inputSchema: { json: TOOL_SCHEMA } } }], toolChoice: { auto: {} } },
  additionalModelRequestFields: { top_k: 5 },
});
const chat = (text: string, stream: boolean) => ({
  model: MODEL,
  messages: [{ role: 'system', content: 'be brief' }, { role: 'user', content: [{ type: 'text', text }] }],
  stream,
  max_tokens: 20,
  temperature: 0.5,
  top_p: 0.9,
  stop: ['END'],
  top_k: 5,
  user: 'me',
  response_format: { type: 'text' },
  ...(stream && { stream_options: { include_usage: true } }),
  tools: [{ type: 'function', function: { name: 'weather', parameters: TOOL_SCHEMA } }],
});
const responses = (text: string, stream: boolean) => ({
  model: MODEL, input: [{ role: 'user', content: [{ type: 'input_text', text }] }], instructions: 'be brief', max_output_tokens: 20, stream, metadata: { a: 'b' },
});

/** A valid request of each operation, by its path. */
const VALID: readonly (readonly [path: string, body: (text: string) => unknown])[] = [
  [`/model/${MODEL}/converse`, converse],
  [`/model/${MODEL}/converse-stream`, converse],
  [`/model/${MODEL}/invoke`, (text) => ({ messages: [{ role: 'user', content: text }], max_tokens: 20 })],
  [`/model/${MODEL}/invoke`, (prompt) => ({ prompt, max_gen_len: 20, temperature: 0.5, top_p: 0.9 })],
  [`/model/${MODEL}/invoke-with-response-stream`, (text) => ({ messages: [{ role: 'user', content: text }], max_tokens: 20 })],
  [`/model/${MODEL}/invoke-with-response-stream`, (prompt) => ({ prompt, max_gen_len: 20 })],
  [`/model/${MODEL}/count-tokens`, (text) => ({ input: { converse: { messages: [{ role: 'user', content: [{ text }] }] } } })],
  [`/model/${MODEL}/count-tokens`, (prompt) => ({ input: { invokeModel: { body: Buffer.from(JSON.stringify({ prompt })).toString('base64') } } })],
  ['/v1/chat/completions', (text) => chat(text, false)],
  ['/openai/v1/chat/completions', (text) => chat(text, true)],
  ['/v1/completions', (prompt) => ({ model: MODEL, prompt, max_tokens: 20, temperature: 1, n: 1, frequency_penalty: 1 })],
  ['/openai/v1/completions', (prompt) => ({ model: MODEL, prompt, stream: true })],
  ['/v1/responses', (text) => responses(text, false)],
  ['/openai/v1/responses', (text) => responses(text, true)],
];

/** A request with nothing wrong with it, some of them long enough to be handed off. */
export function validRequest(random: Random): FuzzedRequest {
  const [path, body] = random.pick(VALID);
  const text = random.pick(['hi', 'a b c '.repeat(100), 'ä€😀'.repeat(300)]);
  return {
    method: 'POST', path, headers: { 'authorization': `Bearer ${KEY}`, 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(body(text))),
  };
}

/** A valid request of which something was changed: its values, its bytes, its headers, its path. */
export function mutatedRequest(random: Random): FuzzedRequest {
  const valid = validRequest(random);
  return random.pick([
    () => valid,
    () => ({ ...valid, body: mutatedJson(valid.body, random) }),
    () => ({ ...valid, body: mutatedJson(valid.body, random) }),
    () => ({ ...valid, body: mutatedJson(mutatedJson(valid.body, random, false), random) }),
    () => ({ ...valid, body: random.damaged(valid.body) }),
    () => ({ ...valid, headers: mutatedHeaders(valid.headers, random) }),
    () => ({ ...valid, path: mutatedPath(valid.path, random), method: random.pick(['POST', 'POST', 'GET', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) }),
  ])();
}

function mutatedJson(body: Buffer, random: Random, deeply = true): Buffer {
  let root: unknown;
  try {
    root = JSON.parse(body.toString());
  } catch {
    return random.damaged(body);
  }
  const places: (readonly [holder: any, key: string])[] = [];
  const left = [root];
  // no recursion: what was changed before may be nested deeply.
  while (left.length > 0) {
    const value = left.pop();
    if (typeof value === 'object' && value !== null && places.length < 10_000) {
      for (const [key, member] of Object.entries(value)) {
        places.push([value, key]);
        left.push(member);
      }
    }
  }
  const place = places.length === 0 ? undefined : random.pick(places);
  if (place === undefined || random.chance(0.02)) {
    root = oddValue(random);
  } else {
    const [holder, key] = place;
    // members of a list have no names.
    const named = (one: any) => (Array.isArray(one) ? {} : one);
    random.pick([
      () => (holder[key] = oddValue(random)),
      () => (holder[key] = oddValue(random)),
      () => delete holder[key],
      () => (named(holder)[oddName(random)] = oddValue(random)),
      () => (named(holder)[oddName(random)] = holder[key]),
      () => (holder[key] = [holder[key]]),
      () => (holder[key] = { [oddName(random)]: holder[key] }),
      () => (holder[key] = structuredClone(random.pick(places)[0])),
    ])();
  }
  const depth = random.pick([100, 5_000, 50_000]);
  const deep = random.pick(['['.repeat(depth) + ']'.repeat(depth), '{"a":'.repeat(depth) + '1' + '}'.repeat(depth)]);
  const text = JSON.stringify(root).replace(`"${DEEP}"`, deeply ? deep : '[]');
  // a name that comes twice, which objects cannot hold.
  return Buffer.from(random.chance(0.03) ? text.replace('{', `{${JSON.stringify(oddName(random))}:${JSON.stringify(oddValue(random))},`) : text);
}

function oddValue(random: Random): unknown {
  return random.pick<() => unknown>([
    () => null, () => true, () => false, () => 0, () => -1, () => 1.5, () => 1e308, () => 2 ** 53, () => 128001, () => '', () => 'text', () => '\u0000', () => '\ud800',
    () => '__proto__', () => 'x'.repeat(random.below(100_000)), () => '😀'.repeat(random.below(1000)), () => [], () => ({}), () => [[]], () => [null], () => [{}],
    () => DEEP, () => ({ __proto__: null, constructor: { prototype: 1 } }), () => Array.from({ length: random.below(2000) }, (_, i) => i), () => ({ text: 'x' }),
    () => ({ toJSON: 1, toString: 2, length: -1 }), () => 'data:image/png;base64,AAAA', () => ['stop'], () => 'required', () => ({ type: 'json_schema' }), () => 'hot', () => '0.5', () => [0.5],
  ])();
}

function oddName(random: Random): string {
  return random.pick([
    'model', 'stream', 'messages', 'prompt', 'n', 'tools', 'tool_choice', 'max_tokens', 'max_completion_tokens', 'kv_transfer_params', 'stream_options', 'echo',
    'response_format', 'temperature', 'top_p', 'stop', 'max_token', 'maxTokens', 'Temperature', 'guided_json', '__proto__', 'constructor', 'hasOwnProperty', 'toString', '', 'x'.repeat(300), 'guardrailConfig', 'serviceTier', 'vllm_xargs', 'image', 'document',
    'toolUse', 'cachePoint', 'text', 'images', 'content', 'length', '0', 'input', 'include', 'truncation',
  ]);
}

function mutatedHeaders(headers: { readonly [name: string]: string }, random: Random): { [name: string]: string } {
  const { authorization, ...others } = headers;
  return random.pick<() => { [name: string]: string }>([
    () => others,
    () => ({ ...others, authorization: random.pick(['Bearer', 'Bearer ', 'Basic eDp5', 'Bearer wrong', `bearer  ${KEY}`, `Bearer ${KEY} ${KEY}`, 'x'.repeat(8000)]) }),
    () => ({ ...headers, 'content-type': random.pick(['', 'text/plain', 'multipart/form-data; boundary=x', 'application/json; charset=utf-16']) }),
    () => ({ ...headers, 'x-request-id': random.pick(['', 'a b', '../..', 'x'.repeat(129), 'ok.1', '${jndi}']) }),
    () => ({ ...headers, 'accept-encoding': 'gzip', 'content-encoding': random.pick(['gzip', 'br', 'identity']) }),
    () => ({ ...headers, 'x-amzn-bedrock-service-tier': random.pick(['priority', 'flex', 'reserved', '', '__proto__']), 'traceparent': '00-0-0-00' }),
    () => ({ ...headers, accept: 'x'.repeat(random.below(30_000)) }),
    () => ({ ...headers, 'x-forwarded-host': 'evil', 'cookie': 'a=b', 'range': 'bytes=0-1', 'if-match': '*' }),
  ])();
}

function mutatedPath(path: string, random: Random): string {
  return random.pick([
    () => `${path}?${random.pick(['', 'a=b', '%', '?', '/v1/models'])}`,
    () => path.replace(MODEL, random.pick(['llama', 'other', '%2e%2e', '%', '%ff', 'a%2Fb', 'x'.repeat(2000), 'arn%3Aaws%3Abedrock', '__proto__'])),
    () => `/${path}`,
    () => `${path}/`,
    () => path.toUpperCase(),
    () => random.pick(['/', '/v1', '/v1/models', '/model', '/model/', '/model//converse', '/v1/embeddings', '/healthz', '/readyz', '/metrics', '/constructor', '/__proto__', '*']),
    () => path.slice(0, 1 + random.below(path.length)),
  ])();
}
