import * as fc from 'fast-check';
import * as configs from './hugging-face-configs.json';
import { ModelArchitecture } from '../../src/model';
import { Problem, ProblemsError } from '../../src/problems';

/** The architecture keys of public config.json files, by the id of the shipped model that they describe. */
const { default: HUGGING_FACE_CONFIGS } = configs as unknown as { default: { readonly [id: string]: any } };

const LLAMA = HUGGING_FACE_CONFIGS['llama-3.3-70b'];
const DEEPSEEK = HUGGING_FACE_CONFIGS['deepseek-v3'];

function problemsOf(config: unknown): Problem[] {
  try {
    ModelArchitecture.fromHuggingFaceConfig(config);
  } catch (error) {
    if (error instanceof ProblemsError) {
      return error.problems;
    }
    throw error;
  }
  return [];
}

const pathsOf = (config: unknown) => problemsOf(config).map((problem) => problem.path);

describe('public config.json files', () => {
  test.each(Object.keys(HUGGING_FACE_CONFIGS))('%s is read as the shipped architecture', (id) => {
    expect(ModelArchitecture.fromHuggingFaceConfig(HUGGING_FACE_CONFIGS[id]).spec).toEqual(ModelArchitecture.of(id).spec);
  });

  test('an unknown model_type is read by its dimensions', () => {
    const model = ModelArchitecture.fromHuggingFaceConfig({ ...LLAMA, model_type: 'brand_new' });
    expect(model.id).toBe('brand_new');
    expect(model.spec).toEqual(ModelArchitecture.LLAMA_3_3_70B.spec);
  });

  test('a name can be given', () => {
    const spec = ModelArchitecture.fromHuggingFaceConfig(LLAMA, 'ours').toSpec();
    expect(spec).toEqual({ id: 'ours', architecture: ModelArchitecture.LLAMA_3_3_70B.spec });
  });

  test('Qwen3-Next has an 80B total and a 3B active count', () => {
    const { spec } = ModelArchitecture.fromHuggingFaceConfig({
      model_type: 'qwen3_next',
      decoder_sparse_step: 1,
      full_attention_interval: 4,
      head_dim: 256,
      hidden_act: 'silu',
      hidden_size: 2048,
      intermediate_size: 5120,
      linear_conv_kernel_dim: 4,
      linear_key_head_dim: 128,
      linear_num_key_heads: 16,
      linear_num_value_heads: 32,
      linear_value_head_dim: 128,
      max_position_embeddings: 262144,
      mlp_only_layers: [],
      moe_intermediate_size: 512,
      num_attention_heads: 16,
      num_experts: 512,
      num_experts_per_tok: 10,
      num_hidden_layers: 48,
      num_key_value_heads: 2,
      shared_expert_intermediate_size: 512,
      tie_word_embeddings: false,
      use_sliding_window: false,
      vocab_size: 151936,
    });
    expect(spec.parameters / 80e9).toBeCloseTo(1, 1);
    expect(spec.activeParameters).toBeGreaterThan(3e9);
    expect(spec.activeParameters).toBeLessThan(4e9);
    expect(spec.fullAttentionLayers).toBe(12);
  });

  test('Phi-2 has two matrices in a feed-forward layer', () => {
    const { spec } = ModelArchitecture.fromHuggingFaceConfig({
      model_type: 'phi',
      hidden_act: 'gelu_new',
      hidden_size: 2560,
      intermediate_size: 10240,
      max_position_embeddings: 2048,
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: null,
      tie_word_embeddings: false,
      vocab_size: 51200,
    });
    expect(spec.parameters / 2.78e9).toBeCloseTo(1, 2);
  });

  test('Gemma 2 alternates windows, Gemma 3 has one full layer in six', () => {
    const gemma = { ...LLAMA, head_dim: 256, num_attention_heads: 16, num_key_value_heads: 8, sliding_window: 4096 };
    expect(ModelArchitecture.fromHuggingFaceConfig({ ...gemma, model_type: 'gemma2' }).spec.fullAttentionLayers).toBe(40);
    const gemma3 = ModelArchitecture.fromHuggingFaceConfig({ ...gemma, model_type: 'gemma3_text', num_hidden_layers: 62, sliding_window_pattern: 6 });
    expect(gemma3.spec.fullAttentionLayers).toBe(10);
    expect(gemma3.spec.windowAttentionLayers).toBe(52);
  });

  test('DeepSeek-V2-Lite has no query rank', () => {
    const { spec } = ModelArchitecture.fromHuggingFaceConfig({
      model_type: 'deepseek_v2',
      first_k_dense_replace: 1,
      hidden_act: 'silu',
      hidden_size: 2048,
      intermediate_size: 10944,
      kv_lora_rank: 512,
      max_position_embeddings: 163840,
      moe_intermediate_size: 1408,
      moe_layer_freq: 1,
      n_routed_experts: 64,
      n_shared_experts: 2,
      num_attention_heads: 16,
      num_experts_per_tok: 6,
      num_hidden_layers: 27,
      num_key_value_heads: 16,
      q_lora_rank: null,
      qk_nope_head_dim: 128,
      qk_rope_head_dim: 64,
      tie_word_embeddings: false,
      v_head_dim: 128,
      vocab_size: 102400,
    });
    expect(spec.parameters / 15.7e9).toBeCloseTo(1, 2);
    expect(spec.kvElementsPerTokenFull).toBe(27 * 576);
  });
});

describe('bad config.json files', () => {
  test.each([undefined, null, 7, 'text', [], true])('%p is refused', (config) => {
    expect(problemsOf(config).map((problem) => problem.rule)).toContain('HuggingFaceConfigInvalid');
  });

  test('every missing key is named at once, with its path', () => {
    expect(pathsOf({ model_type: 'x', text_config: {} })).toEqual([
      'text_config.num_hidden_layers', 'text_config.hidden_size', 'text_config.num_attention_heads', 'text_config.vocab_size',
      'text_config.max_position_embeddings', 'text_config.intermediate_size',
    ]);
    expect(problemsOf({})[0]).toEqual({
      rule: 'HuggingFaceConfigKeyMissing',
      path: 'num_hidden_layers',
      message: 'the key is missing',
      mend: 'add it, or one of n_layer, n_layers, num_layers',
    });
  });

  test.each([NaN, Infinity, 0, -1, 1.5, '80', [80], {}, true, 1e300])('%p layers are refused', (layers) => {
    expect(pathsOf({ ...LLAMA, num_hidden_layers: layers })).toEqual(['num_hidden_layers']);
  });

  test('the value is shown, NaN included', () => {
    expect(problemsOf({ ...LLAMA, hidden_size: NaN })[0]).toMatchObject({ path: 'hidden_size', value: 'NaN' });
    expect(problemsOf({ ...LLAMA, hidden_size: '8192' })[0]).toMatchObject({ path: 'hidden_size', value: '"8192"' });
  });

  test.each([
    ['heads that do not split', { num_key_value_heads: 7 }, 'num_key_value_heads'],
    ['a hidden size that does not split', { head_dim: undefined, hidden_size: 8191 }, 'head_dim'],
    ['a short list of layers', { layer_types: ['full_attention'] }, 'layer_types'],
    ['a list that is none', { layer_types: 'full_attention' }, 'layer_types'],
    ['layers of an unknown kind', { layer_types: [...Array(79).fill('full_attention'), 'mamba'] }, 'layer_types[79]'],
    ['a window without a size', { layer_types: Array(80).fill('sliding_attention') }, 'sliding_window'],
    ['lightning attention', { attn_type_list: [0, ...Array(79).fill(1)] }, 'attn_type_list[0]'],
    ['state-space layers', { hybrid_override_pattern: 'M-M*' }, 'hybrid_override_pattern'],
    ['an encoder', { is_encoder_decoder: true }, 'is_encoder_decoder'],
    ['shared KV caches', { num_kv_shared_layers: 15 }, 'num_kv_shared_layers'],
    ['sparse attention without latent attention', { index_topk: 2048, index_n_heads: 64, index_head_dim: 128 }, 'index_topk'],
    ['ties that are no boolean', { tie_word_embeddings: 'yes' }, 'tie_word_embeddings'],
  ])('%s', (_, change, path) => {
    expect(pathsOf({ ...LLAMA, ...change })).toEqual([path]);
  });

  test.each([
    ['more visited experts than experts', { num_experts_per_tok: 257 }, 'num_experts_per_tok'],
    ['no layer with experts', { first_k_dense_replace: 61 }, 'first_k_dense_replace'],
    ['a missing rank', { v_head_dim: undefined }, 'v_head_dim'],
  ])('%s', (_, change, path) => {
    expect(pathsOf({ ...DEEPSEEK, ...change })).toContain(path);
  });
});

describe('laws', () => {
  const isGood = (value: unknown) => typeof value === 'number' && Number.isFinite(value) && value > 0;
  const scalar = fc.oneof(fc.integer({ min: -3, max: 300 }), fc.double(), fc.string());
  const garbage = fc.oneof(scalar, fc.constantFrom(null, undefined, true, [], {}), fc.anything());
  const keys = [...new Set(Object.values(HUGGING_FACE_CONFIGS).flatMap((config) => Object.keys({ ...config, ...config.text_config })))];

  test('whatever is changed in a configuration, the answer is problems or positive numbers', () => {
    const change = fc.array(fc.tuple(fc.constantFrom(...keys), garbage), { maxLength: 5 });
    fc.assert(fc.property(fc.constantFrom(...Object.values(HUGGING_FACE_CONFIGS)), change, (config, changes) => {
      const flat = { ...config, ...config.text_config, text_config: undefined, ...Object.fromEntries(changes) };
      if (problemsOf(flat).length > 0) {
        return true;
      }
      const model = ModelArchitecture.fromHuggingFaceConfig(flat);
      const { spec } = model;
      return [spec.layers, spec.parameters, spec.activeParameters, spec.attentionHeads, spec.kvHeads, spec.headDim, model.weightBytes('bf16'),
        model.kvBytesForContext(1000, 'fp8')].every(isGood)
        && spec.activeParameters <= spec.parameters
        && spec.attentionHeads % spec.kvHeads === 0
        && Object.values(spec).every((value) => typeof value !== 'number' || Number.isFinite(value));
    }), { numRuns: 500 });
  });

  test('anything at all is problems or a model', () => {
    fc.assert(fc.property(fc.anything(), (config) => problemsOf(config).every((problem) => problem.path !== '' && problem.mend !== '')));
  });
});
