import { Problem, Problems } from '../problems';
import { Dimensions } from './dimensions';

// what to do where the format is too narrow
const BY_HAND = 'give the counts as ModelSpec.architecture';

type Config = { readonly [key: string]: unknown };

// feed-forward layers of two matrices; every other model_type has three unless its activation is one of the plain ones
const UNGATED_TYPES = new Set([
  'bloom', 'codegen', 'falcon', 'gpt2', 'gpt_bigcode', 'gpt_neo', 'gpt_neox', 'gptj', 'mpt', 'nemotron', 'opt', 'phi', 'starcoder2',
]);
const UNGATED_ACTIVATIONS = new Set(['relu', 'relu2', 'gelu_new', 'gelu_fast']);

// feed-forward layers four times as wide as the residual stream where the file gives no width
const FOURFOLD_TYPES = new Set(['bloom', 'codegen', 'falcon', 'gpt2', 'gpt_bigcode', 'gpt_neo', 'gptj']);

// embeddings shared with the unembedding where the file does not say
const TIED_TYPES = /^(bloom|cohere|falcon|gemma|gpt2|gpt_bigcode|gpt_neo$|mpt|opt|starcoder2)/;

// every n-th layer sees everything where the file does not say
const WINDOW_PATTERNS: readonly (readonly [RegExp, number])[] = [[/^gemma2/, 2], [/^gpt_oss/, 2], [/^gemma3/, 6], [/^cohere2/, 4]];

// keys of architectures that ArchitectureSpec cannot express; a count of 0, an empty list, false and null say that the model does without
const UNSUPPORTED: readonly (readonly [string, string])[] = [
  ['attention_other_setting', 'heads that differ by layer'],
  ['compress_ratios', 'compressed attention'],
  ['cross_attention_layers', 'cross attention'],
  ['enable_moe_block', 'experts beside a dense feed-forward layer'],
  ['hidden_size_per_layer_input', 'embeddings for every layer'],
  ['hybrid_override_pattern', 'state-space layers'],
  ['is_encoder_decoder', 'an encoder'],
  ['layers_block_type', 'state-space layers'],
  ['linear_attn_config', 'linear attention other than gated delta nets'],
  ['mamba_d_state', 'state-space layers'],
  ['mamba_num_heads', 'state-space layers'],
  ['num_attention_heads_per_layer', 'heads that differ by layer'],
  ['num_kv_shared_layers', 'KV caches shared by layers'],
  ['ssm_cfg', 'state-space layers'],
  ['state_size', 'state-space layers'],
];

/**
 * The dimensions that a Hugging Face `config.json` gives.
 *
 * Throws a `ProblemsError` with every key that is missing, wrong or not understood.
 */
export function dimensionsOfHuggingFaceConfig(config: unknown): Dimensions {
  const reader = new ConfigReader(config);
  const dimensions = reader.dimensions();
  Problems.throwIfAny(reader.problems);
  return dimensions;
}

/** Reads key after key; what is wrong becomes a problem and NaN, and NaN contradicts nothing. */
class ConfigReader {
  public readonly problems: Problem[] = [];
  private readonly root: Config;
  private readonly text: Config;
  private readonly prefix: string;
  private readonly type: string;

  constructor(config: unknown) {
    if (!isObject(config)) {
      this.refuse('HuggingFaceConfigInvalid', 'config', config, 'this is not a config.json', 'give the parsed JSON object of a model');
    }
    this.root = isObject(config) ? config : {};
    const nested = ['text_config', 'llm_config', 'language_config'].find((key) => isObject(this.root[key]));
    this.text = nested ? this.root[nested] as Config : this.root;
    this.prefix = nested ? `${nested}.` : '';
    this.type = this.word('model_type') || (typeof this.root.model_type === 'string' ? this.root.model_type : '');
  }

  public dimensions(): Dimensions {
    if (this.problems.length === 0) {
      this.refuseUnsupported();
    }
    const layers = this.count(['num_hidden_layers', 'n_layer', 'n_layers', 'num_layers']);
    const hiddenSize = this.count(['hidden_size', 'n_embd', 'd_model', 'n_embed']);
    const attentionHeads = this.count(['num_attention_heads', 'n_head', 'n_heads', 'num_heads']);
    const latent = this.latent();
    const headDim = latent ? latent.nopeHeadDim + latent.ropeHeadDim : this.headDim(hiddenSize, attentionHeads);
    const kvHeads = this.kvHeads(attentionHeads);
    const attention = this.attention(layers);
    if (latent && attention.window) {
      this.refuse('HuggingFaceConfigUnsupported', `${this.prefix}kv_lora_rank`, this.text.kv_lora_rank, 'latent attention with a window cannot be described',
        BY_HAND);
    }
    const moe = this.moe(layers);
    const needsDense = !moe || moe.layers < layers;
    return {
      layers,
      hiddenSize,
      attentionHeads,
      kvHeads,
      headDim,
      vocabSize: this.count(['vocab_size']),
      tiedEmbeddings: this.tiedEmbeddings(),
      maxContextTokens: this.count(['max_position_embeddings', 'n_positions', 'seq_length', 'max_seq_len', 'max_sequence_length', 'n_ctx']),
      gatedFeedForward: !UNGATED_TYPES.has(this.type) && !UNGATED_ACTIVATIONS.has(this.word('hidden_act') || this.word('activation_function')),
      feedForwardSize: needsDense ? this.feedForwardSize(hiddenSize) : undefined,
      ...attention,
      full: attention.window && this.fullLayerHeads(kvHeads, attentionHeads),
      gatedAttentionOutput: this.text.attn_output_gate === true || this.type.startsWith('qwen3_next'),
      moe,
      latent,
      sparse: this.sparse(latent !== undefined),
    };
  }

  private refuseUnsupported(): void {
    for (const [key, what] of UNSUPPORTED) {
      const value = this.text[key] ?? this.root[key];
      if (value && !(Array.isArray(value) && value.length === 0)) {
        this.refuse('HuggingFaceConfigUnsupported', this.prefix + key, value, `${what} cannot be described`, BY_HAND);
      }
    }
  }

  private headDim(hiddenSize: number, attentionHeads: number): number {
    if (this.has('head_dim')) {
      return this.count(['head_dim']);
    }
    if (hiddenSize % attentionHeads > 0) {
      this.refuse('HuggingFaceConfigContradictory', `${this.prefix}head_dim`, undefined,
        `a hidden size of ${hiddenSize} does not split over ${attentionHeads} attention heads`,
        'add head_dim, or correct the hidden size or the heads');
    }
    return hiddenSize / attentionHeads;
  }

  private kvHeads(attentionHeads: number): number {
    let key = 'num_key_value_heads';
    if (!this.has(key) && this.has('num_kv_heads')) {
      key = 'num_kv_heads';
    }
    // without the key, every query head has its own keys, or all share one in multi-query models
    const kvHeads = this.has(key) ? this.count([key]) : (this.text.multi_query === true ? 1 : attentionHeads);
    if (attentionHeads % kvHeads > 0) {
      this.refuse('HuggingFaceConfigContradictory', this.prefix + key, kvHeads, `${attentionHeads} attention heads cannot share them evenly`,
        'use a divisor of the attention heads');
    }
    return kvHeads;
  }

  private tiedEmbeddings(): boolean {
    const given = this.text.tie_word_embeddings ?? this.root.tie_word_embeddings;
    if (given !== undefined && given !== null && typeof given !== 'boolean') {
      this.refuse('HuggingFaceConfigInvalid', `${this.prefix}tie_word_embeddings`, given, 'this is neither true nor false', 'use true or false');
    }
    return typeof given === 'boolean' ? given : TIED_TYPES.test(this.type);
  }

  private feedForwardSize(hiddenSize: number): number {
    // Llama 4 has a key of its own for dense layers, because intermediate_size is that of an expert there
    if (this.has('intermediate_size_mlp')) {
      return this.count(['intermediate_size_mlp']);
    }
    const keys = ['intermediate_size', 'ffn_dim', 'n_inner', 'ffn_hidden_size', 'd_ff'];
    return FOURFOLD_TYPES.has(this.type) && !keys.some((key) => this.has(key)) ? 4 * hiddenSize : this.count(keys);
  }

  private latent(): Dimensions['latent'] {
    if (!this.has('kv_lora_rank')) {
      return undefined;
    }
    return {
      kvRank: this.count(['kv_lora_rank']),
      queryRank: this.has('q_lora_rank') ? this.count(['q_lora_rank']) : null,
      ropeHeadDim: this.count(['qk_rope_head_dim']),
      nopeHeadDim: this.count(['qk_nope_head_dim']),
      valueHeadDim: this.count(['v_head_dim']),
    };
  }

  private sparse(isLatent: boolean): Dimensions['sparse'] {
    if (!this.has('index_topk')) {
      return undefined;
    }
    if (!isLatent) {
      this.refuse('HuggingFaceConfigUnsupported', `${this.prefix}index_topk`, this.text.index_topk, 'sparse attention is known with latent attention only',
        BY_HAND);
    }
    return { heads: this.count(['index_n_heads']), headDim: this.count(['index_head_dim']), tokens: this.count(['index_topk']) };
  }

  /** Full layers whose heads differ from the windowed ones. */
  private fullLayerHeads(kvHeads: number, attentionHeads: number): Dimensions['full'] {
    if (!this.has('global_head_dim')) {
      return undefined;
    }
    const fullKvHeads = this.has('num_global_key_value_heads') ? this.count(['num_global_key_value_heads']) : kvHeads;
    if (attentionHeads % fullKvHeads > 0) {
      this.refuse('HuggingFaceConfigContradictory', `${this.prefix}num_global_key_value_heads`, fullKvHeads,
        `${attentionHeads} attention heads cannot share them evenly`, 'use a divisor of the attention heads');
    }
    const dim = this.count(['global_head_dim']);
    const shared = this.text.attention_k_eq_v === true;
    return { headDim: dim, kvHeads: fullKvHeads, sharedKeyValueProjection: shared };
  }

  /** Which layers see the whole context, which a window, and which keep a state. */
  private attention(layers: number): Pick<Dimensions, 'fullAttentionLayers' | 'window' | 'linear'> {
    const kinds = this.layerKinds(layers);
    const windowed = kinds.sliding + kinds.chunked;
    return {
      fullAttentionLayers: layers - windowed - kinds.linear,
      window: windowed === 0 ? undefined : {
        layers: windowed,
        tokens: this.count([kinds.chunked > 0 ? 'attention_chunk_size' : 'sliding_window']),
        kind: kinds.chunked > 0 ? 'chunked' : 'sliding',
      },
      linear: kinds.linear === 0 ? undefined : {
        layers: kinds.linear,
        keyHeads: this.count(['linear_num_key_heads']),
        keyHeadDim: this.count(['linear_key_head_dim']),
        valueHeads: this.count(['linear_num_value_heads']),
        valueHeadDim: this.count(['linear_value_head_dim']),
        convolutionTokens: this.count(['linear_conv_kernel_dim']),
      },
    };
  }

  private layerKinds(layers: number): { sliding: number; chunked: number; linear: number } {
    if (this.has('layer_types')) {
      const kinds = this.list('layer_types', layers, ['full_attention', 'attention', 'sliding_attention', 'chunked_attention', 'linear_attention']);
      const number = (kind: string) => kinds.filter((other) => other === kind).length;
      return { sliding: number('sliding_attention'), chunked: number('chunked_attention'), linear: number('linear_attention') };
    }
    const none = { sliding: 0, chunked: 0, linear: 0 };
    if (this.has('attn_type_list')) {
      // 1 is softmax attention, 0 lightning attention
      this.list('attn_type_list', layers, [1]);
      return none;
    }
    if (this.has('attention_chunk_size')) {
      return { ...none, chunked: this.chunkedLayers(layers) };
    }
    if (this.has('linear_num_value_heads')) {
      return { ...none, linear: layers - Math.floor(layers / this.count(['full_attention_interval'])) };
    }
    return { ...none, sliding: this.slidingLayers(layers) };
  }

  // layers without rotary embedding see everything (Llama 4)
  private chunkedLayers(layers: number): number {
    if (Array.isArray(this.text.no_rope_layers) && this.text.no_rope_layers.length > 0) {
      return this.list('no_rope_layers', layers, [0, 1]).filter((rotary) => rotary === 1).length;
    }
    return layers - Math.floor(layers / (this.has('no_rope_layer_interval') ? this.count(['no_rope_layer_interval']) : 4));
  }

  private slidingLayers(layers: number): number {
    const used = this.text.use_sliding_window;
    if (!this.has('sliding_window') || used === false || (this.type.startsWith('qwen') && used !== true)) {
      return 0;
    }
    if (used === true && this.has('max_window_layers')) {
      return Math.max(0, layers - this.count(['max_window_layers'], 0));
    }
    const key = ['sliding_window_pattern', '_sliding_window_pattern'].find((candidate) => this.has(candidate));
    const pattern = key ? this.count([key]) : WINDOW_PATTERNS.find(([type]) => type.test(this.type))?.[1];
    return pattern === undefined ? layers : layers - Math.floor(layers / pattern);
  }

  private moe(layers: number): Dimensions['moe'] {
    const key = ['num_local_experts', 'num_experts', 'n_routed_experts', 'moe_num_experts'].find((candidate) => this.has(candidate));
    if (!key || this.text[key] === 0 || this.text[key] === 1) {
      return undefined;
    }
    const experts = this.count([key]);
    const expertsPerToken = this.count(['num_experts_per_tok', 'experts_per_token', 'num_experts_per_token', 'moe_top_k', 'moe_topk', 'moe_k']);
    if (expertsPerToken > experts) {
      this.refuse('HuggingFaceConfigContradictory', `${this.prefix}num_experts_per_tok`, expertsPerToken, `there are only ${experts} experts`,
        'use at most the number of experts');
    }
    const expertSize = this.count(['moe_intermediate_size', 'intermediate_size']);
    return { layers: this.moeLayers(layers), experts, expertsPerToken, expertSize, sharedExpertSize: this.sharedExpertSize(expertSize) };
  }

  private sharedExpertSize(expertSize: number): number | undefined {
    const sizeKey = ['shared_expert_intermediate_size', 'shared_intermediate_size'].find((key) => this.has(key));
    if (sizeKey) {
      return this.count([sizeKey], 0) || undefined;
    }
    const numberKey = ['n_shared_experts', 'num_shared_experts', 'moe_num_shared_experts'].find((key) => this.has(key));
    // every expert layer of Llama 4 has one shared expert, which its file does not mention
    const number = numberKey ? this.count([numberKey], 0) : (this.type.startsWith('llama4') ? 1 : 0);
    return number * expertSize || undefined;
  }

  private moeLayers(layers: number): number {
    if (this.has('mlp_layer_types')) {
      return this.list('mlp_layer_types', layers, ['dense', 'sparse']).filter((kind) => kind === 'sparse').length;
    }
    if (Array.isArray(this.text.moe_layer_freq)) {
      return this.list('moe_layer_freq', layers, [0, 1]).filter((isMoe) => isMoe === 1).length;
    }
    const step = this.has('interleave_moe_layer_step') ? this.count(['interleave_moe_layer_step'])
      : this.has('decoder_sparse_step') ? this.count(['decoder_sparse_step'])
        : this.has('moe_layer_freq') ? this.count(['moe_layer_freq']) : 1;
    const denseFirst = this.has('first_k_dense_replace') ? this.count(['first_k_dense_replace'], 0) : 0;
    if (denseFirst >= layers) {
      this.refuse('HuggingFaceConfigContradictory', `${this.prefix}first_k_dense_replace`, denseFirst, `no layer of ${layers} is left for experts`,
        'use less than the number of layers');
    }
    const dense = new Set(Array.isArray(this.text.mlp_only_layers) ? this.text.mlp_only_layers : []);
    let moeLayers = 0;
    // a wrong count was reported already; the bound keeps an absurd one from being walked
    for (let layer = denseFirst; layer < Math.min(layers, MAX_LAYERS); layer++) {
      // DeepSeek counts its frequency from layer 0, Llama 4 and Qwen from layer 1
      const isMoe = this.has('moe_layer_freq') ? layer % step === 0 : (layer + 1) % step === 0;
      moeLayers += isMoe && !dense.has(layer) ? 1 : 0;
    }
    if (moeLayers === 0 && step > 0) {
      this.refuse('HuggingFaceConfigContradictory', `${this.prefix}mlp_only_layers`, this.text.mlp_only_layers, 'no layer is left for the experts',
        'correct the keys that place the experts, or remove the experts');
    }
    return moeLayers;
  }

  private has(key: string): boolean {
    return this.text[key] !== undefined && this.text[key] !== null;
  }

  private word(key: string): string {
    const value = this.text[key];
    return typeof value === 'string' ? value : '';
  }

  /** The first of these keys that is there, a whole number from `least` on. */
  private count(keys: readonly string[], least: number = 1): number {
    const key = keys.find((candidate) => this.has(candidate));
    if (key === undefined) {
      this.refuse('HuggingFaceConfigKeyMissing', this.prefix + keys[0], undefined, 'the key is missing',
        keys.length > 1 ? `add it, or one of ${keys.slice(1).join(', ')}` : 'add it');
      return NaN;
    }
    const value = this.text[key];
    const most = key.endsWith('layers') || key.startsWith('n_layer') ? MAX_LAYERS : MAX_COUNT;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
      this.refuse('HuggingFaceConfigInvalid', this.prefix + key, value, 'this is not a count', `use a whole number from ${least} to ${most}`);
      return NaN;
    }
    return value;
  }

  /** A list with one known value for every layer. */
  private list(key: string, layers: number, known: readonly unknown[]): unknown[] {
    const value = this.text[key];
    if (!Array.isArray(value)) {
      this.refuse('HuggingFaceConfigInvalid', this.prefix + key, value, 'this is not a list', 'give one entry for every layer');
      return [];
    }
    const stranger = value.findIndex((entry) => !known.includes(entry));
    if (stranger >= 0) {
      this.refuse('HuggingFaceConfigUnsupported', `${this.prefix}${key}[${stranger}]`, value[stranger], 'layers of this kind cannot be described',
        `use ${known.map((entry) => JSON.stringify(entry)).join(', ')}, or ${BY_HAND}`);
    }
    if (value.length < layers || value.length > layers) {
      this.refuse('HuggingFaceConfigContradictory', this.prefix + key, value.length, `the list does not have one entry for each of ${layers} layers`,
        'give one entry for every layer');
    }
    return value;
  }

  private refuse(rule: string, path: string, value: unknown, message: string, mend: string): void {
    // a key that is read twice is still one problem
    if (!this.problems.some((problem) => problem.path === path)) {
      this.problems.push({ rule, path, value: typeof value === 'number' ? String(value) : JSON.stringify(value), message, mend });
    }
  }
}

// far above every model, and low enough that no product of dimensions overflows
const MAX_LAYERS = 100_000;
const MAX_COUNT = 2 ** 31 - 1;

function isObject(value: unknown): value is Config {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
