import { Operation } from './operations';
import { COUNTED, promptOf, streamedAnswer, tell, wholeAnswer } from '../../router/runtime/engine-answer';
import { MooncakePair } from '../../router/runtime/handoff/mooncake-pair';
import { SglangPair } from '../../router/runtime/handoff/sglang-pair';
import { VllmPair } from '../../router/runtime/handoff/vllm-pair';
import { Behaviour, MockEngine, MODEL, Received, wholly } from '../../router/runtime/harness';
import { FakeBedrock, frame, answering, streaming } from '../../router/runtime/targets/fake-bedrock';

/** LiteLLM knows by the name of a model what it can do. */
export const BEDROCK_ID = 'us.meta.llama3-3-70b-instruct-v1:0';
export const NAMES = [MODEL, BEDROCK_ID];
/** What a router is told besides: every prompt is to be handed on. */
export const CONFIG = { model: { id: MODEL, servedNames: NAMES }, routing: { minPromptTokens: 0 } };

/** Engines that run. */
export interface Engines {
  /** What a router is told of them. */
  readonly targets: object[];
  /** What its environment has for them. */
  readonly env?: { readonly [name: string]: string };
  /** What has been asked of engines since this was last called: how often of each, and what became of KV caches. */
  takeProof(): object;
  stop(): Promise<unknown>;
}

/** A way that requests take. */
export interface Path {
  readonly name: string;
  /** What there is behind the router. */
  readonly about: string;
  /** What engines did for one answer. */
  readonly proof: object;
  /** What they did for CountTokens. */
  readonly counts: object;
  /** What is not here, with the error that the client tells. */
  readonly refuses: { readonly [operation in Operation]?: string };
  start(): Promise<Engines>;
}

/** How many requests engines had since this was last called. */
const taken = (...engines: { readonly requests: Received[] }[]) =>
  engines.reduce((sum, { requests }) => sum + requests.splice(0).filter(({ path }) => path !== '/v1/models').length, 0);

const engineAt = (url: string, more: object = {}) => ({ name: 'engine', role: 'aggregated', protocol: 'openai', url, ...more });
const pairAt = (prefill: string, decode: string, kvConnector: string, more: object = {}) => [
  { name: 'prefill', role: 'prefill', protocol: 'openai', url: prefill, kvConnector, ...more },
  { name: 'decode', role: 'decode', protocol: 'openai', url: decode, kvConnector, prefill: 'prefill' },
];

const COUNT = wholly({ count: COUNTED.prompt_tokens, max_model_len: 4096, tokens: [] });
const wordsOf = (body: any) => ['read ', promptOf(body)];

const ENGINE: Path = {
  name: 'one engine',
  about: 'one engine with OpenAI\'s API, which reads and answers',
  start: async () => {
    const engine = await MockEngine.start((response, received) => (
      received.path === '/tokenize' ? COUNT(response, received) : tell(response, received.body, wordsOf(received.body))));
    return {
      targets: [engineAt(engine.url)],
      takeProof: () => ({ asked: taken(engine) }),
      stop: async () => engine.stop(),
    };
  },
  proof: { asked: 1 },
  counts: { asked: 1 },
  refuses: {},
};

const NIXL: Path = {
  name: 'NIXL',
  about: 'a prefill and a decode engine of vLLM with its NIXL connector',
  start: async () => {
    const pair = await VllmPair.start();
    pair.more = [];
    return {
      targets: pairAt(pair.prefill.url, pair.decode.url, 'NixlConnector'),
      takeProof: () => {
        const { fetches, prefillTokens, localPrefills, pinned } = pair;
        Object.assign(pair, { fetches: 0, prefillTokens: 0 });
        return { prefill: taken(pair.prefill), decode: taken(pair.decode), fetches, prefillTokens, localPrefills, pinned };
      },
      stop: async () => pair.stop(),
    };
  },
  proof: { prefill: 1, decode: 1, fetches: 1, prefillTokens: 1, localPrefills: 0, pinned: 0 },
  counts: { prefill: 0, decode: 1, fetches: 0, prefillTokens: 0, localPrefills: 0, pinned: 0 },
  refuses: {},
};

const MOONCAKE: Path = {
  name: 'Mooncake',
  about: 'a prefill and a decode engine of vLLM with its Mooncake connector',
  start: async () => {
    const pair = await MooncakePair.start();
    return {
      targets: pairAt(pair.prefill.url, pair.decode.url, 'MooncakeConnector', { bootstrapPort: pair.bootstrapPort }),
      takeProof: () => ({ prefill: taken(pair.prefill), decode: taken(pair.decode), localPrefills: pair.localPrefills, pinned: pair.pinned }),
      stop: async () => pair.stop(),
    };
  },
  proof: { prefill: 1, decode: 1, localPrefills: 0, pinned: 0 },
  counts: { prefill: 0, decode: 1, localPrefills: 0, pinned: 0 },
  refuses: {},
};

const SGLANG: Path = {
  name: 'SGLang',
  about: 'a prefill and a decode engine of SGLang',
  start: async () => {
    const pair = await SglangPair.start();
    return {
      targets: pairAt(pair.prefills[0].url, pair.decode.url, 'sglang'),
      takeProof: () => ({ prefill: taken(...pair.prefills), decode: taken(pair.decode) }),
      stop: async () => pair.stop(),
    };
  },
  proof: { prefill: 1, decode: 1 },
  counts: { prefill: 0, decode: 0 },
  refuses: { CountTokens: 'ValidationException' },
};

const CEREBRAS: Path = {
  name: 'Cerebras',
  about: 'the API of Cerebras\' cloud, by a mock of it',
  start: async () => {
    const cloud = await MockEngine.start((response, received) => (received.path === '/v1/models'
      ? wholly({ object: 'list', data: [] })(response, received)
      : tell(response, received.body, wordsOf(received.body), { endHasUsage: true })));
    return {
      targets: [engineAt(cloud.url, { protocol: 'cerebras', apiKeyEnv: 'CEREBRAS', modelName: 'gpt-oss-120b' })],
      env: { CEREBRAS: 'of-cerebras' },
      takeProof: () => ({ asked: taken(cloud) }),
      stop: async () => cloud.stop(),
    };
  },
  proof: { asked: 1 },
  counts: { asked: 0 },
  refuses: { CountTokens: 'ValidationException' },
};

/** What Bedrock answers to each operation of its API. */
const asBedrock: Behaviour = async (response, received) => {
  const { path, body } = received;
  const usage = { inputTokens: COUNTED.prompt_tokens, outputTokens: COUNTED.completion_tokens, totalTokens: COUNTED.total_tokens };
  if (path.endsWith('/count-tokens')) {
    return answering(200, { inputTokens: usage.inputTokens })(response, received);
  }
  const content = body.messages?.[0].content;
  const words = Array.isArray(content) ? ['read ', content[0].text] : wordsOf(body);
  const metrics = { latencyMs: 9 };
  const isLlama = body.prompt !== undefined;
  const llama = (generation: string, stop_reason: string | null = null) => (
    { generation, prompt_token_count: usage.inputTokens, generation_token_count: usage.outputTokens, stop_reason });
  switch (path.slice(path.lastIndexOf('/'))) {
    case '/converse':
      return answering(200, { output: { message: { role: 'assistant', content: [{ text: words.join('') }] } }, stopReason: 'end_turn', usage, metrics })(response, received);
    case '/converse-stream':
      return streaming([
        frame('messageStart', { role: 'assistant' }),
        ...words.map((text) => frame('contentBlockDelta', { contentBlockIndex: 0, delta: { text } })),
        frame('contentBlockStop', { contentBlockIndex: 0 }),
        frame('messageStop', { stopReason: 'end_turn' }),
        frame('metadata', { usage, metrics }),
      ])(response, received);
    case '/invoke':
      return answering(200, isLlama ? llama(words.join(''), 'stop') : wholeAnswer(body, words.join('')), {
        'x-amzn-bedrock-input-token-count': `${usage.inputTokens}`, 'x-amzn-bedrock-output-token-count': `${usage.outputTokens}`,
      })(response, received);
    case '/invoke-with-response-stream': {
      const chunks = isLlama ? [...words.map((word) => llama(word)), llama('', 'stop')] : streamedAnswer(body, words);
      const counted = { inputTokenCount: usage.inputTokens, outputTokenCount: usage.outputTokens, invocationLatency: 9, firstByteLatency: 4 };
      return streaming([...chunks.slice(0, -1), { ...chunks.at(-1), 'amazon-bedrock-invocationMetrics': counted }]
        .map((chunk) => frame('chunk', { bytes: Buffer.from(JSON.stringify(chunk)).toString('base64') })))(response, received);
    }
    default:
      return tell(response, body, words);
  }
};

const BEDROCK: Path = {
  name: 'Bedrock',
  about: 'Bedrock, by a fake that verifies signatures',
  start: async () => {
    const bedrock = await FakeBedrock.start();
    bedrock.behaviour = asBedrock;
    // each router fetches its own.
    bedrock.rotates = false;
    // nothing of this machine, and the credentials of a task's role.
    ['AWS_PROFILE', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'].forEach((name) => delete process.env[name]);
    Object.assign(process.env, {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: bedrock.credentialsUrl, AWS_CONFIG_FILE: '/nowhere', AWS_SHARED_CREDENTIALS_FILE: '/nowhere', AWS_EC2_METADATA_DISABLED: 'true',
    });
    return {
      targets: [engineAt(bedrock.url, { protocol: 'bedrock', region: 'us-east-2', modelName: BEDROCK_ID })],
      takeProof: () => ({ asked: taken(bedrock) }),
      stop: async () => bedrock.stop(),
    };
  },
  proof: { asked: 1 },
  counts: { asked: 1 },
  refuses: { 'completions': 'NotFoundError', 'completions streamed': 'NotFoundError' },
};

export const PATHS: readonly Path[] = [ENGINE, NIXL, MOONCAKE, SGLANG, CEREBRAS, BEDROCK];
