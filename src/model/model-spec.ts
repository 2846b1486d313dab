/**
 * A model, as a deployment spec names it: a shipped architecture by id, or any architecture in full.
 */
export interface ModelSpec {
  /** Id of a shipped architecture such as `llama-3.3-70b`, or any name if `architecture` is given. */
  readonly id: string;

  /**
   * Dimensions of a model that is not shipped.
   *
   * @default - the shipped architecture of that id
   */
  readonly architecture?: ArchitectureSpec;
}

/**
 * Number formats: `bf16`, `fp16`, `fp8`, `int8`, `mxfp8`, `mxfp4`, `nvfp4`, `int4`.
 */
export interface PrecisionSpec {
  /**
   * Format of the weights.
   *
   * @default 'bf16'
   */
  readonly weights?: string;

  /**
   * Format of the KV cache.
   *
   * @default 'bf16'
   */
  readonly kvCache?: string;
}

/**
 * Dimensions of a decoder-only transformer. Counts are counts; lengths are in tokens.
 */
export interface ArchitectureSpec {
  /** Decoder layers. */
  readonly layers: number;
  /** Width of the residual stream. */
  readonly hiddenSize: number;
  /** Query heads. */
  readonly attentionHeads: number;
  /** Key/value heads; equal to `attentionHeads` without grouping. */
  readonly kvHeads: number;
  /** Elements of one query/key head. */
  readonly headDim: number;
  /** Entries of the vocabulary. */
  readonly vocabSize: number;
  /** Longest context, in tokens. */
  readonly maxContextTokens: number;
  /** Parameters in all, as a count. */
  readonly parameters: number;
  /** Parameters that one token touches, unembedding included and input embedding not, as a count. */
  readonly activeParameters: number;
  /** Elements cached per token in layers that see the whole context. */
  readonly kvElementsPerTokenFull: number;
  /** Elements cached per token in windowed layers, before the cap. */
  readonly kvElementsPerTokenWindowed: number;
  /** Layers that see the whole context. */
  readonly fullAttentionLayers: number;
  /** Layers that see a window. */
  readonly windowAttentionLayers: number;
  /**
   * Tokens that a windowed layer sees.
   *
   * @default - no windowed layers
   */
  readonly windowTokens?: number;
  /**
   * What a windowed layer sees: `sliding` (the last `windowTokens` tokens) or `chunked` (back to the last multiple of `windowTokens`, half of it on average).
   *
   * @default 'sliding'
   */
  readonly windowKind?: string;
  /** FLOPs of score and value products per query token and visible token, over all attention layers (4 x heads x headDim x layers for plain attention). */
  readonly attentionFlopsPerTokenPair: number;
  /**
   * The part of `attentionFlopsPerTokenPair` that windowed layers do.
   *
   * @default - in proportion to the layers
   */
  readonly windowedAttentionFlopsPerTokenPair?: number;
  /**
   * The same as `attentionFlopsPerTokenPair` for decode, where latent attention (MLA) multiplies the latent itself.
   *
   * @default - as for prefill
   */
  readonly decodeAttentionFlopsPerTokenPair?: number;
  /**
   * Tokens that sparse attention picks for one query out of the visible ones (DeepSeek sparse attention).
   *
   * @default - all visible tokens
   */
  readonly sparseAttentionTokens?: number;
  /**
   * FLOPs per query token and visible token, over all layers, with which sparse attention picks.
   *
   * @default 0
   */
  readonly sparseIndexFlopsPerTokenPair?: number;
  /**
   * Bytes of recurrent state per sequence in linear-attention layers.
   *
   * @default 0
   */
  readonly linearStateBytesPerSequence?: number;
  /**
   * Mixture-of-experts layers.
   *
   * @default - dense
   */
  readonly moe?: MoeSpec;
  /** Whether the KV cache is one latent shared by all heads (MLA): replicated, not split, under tensor parallelism. */
  readonly latentAttention: boolean;
}

/**
 * Mixture-of-experts layers.
 */
export interface MoeSpec {
  /** Routed experts in one layer. */
  readonly experts: number;
  /** Routed experts that one token visits. */
  readonly expertsPerToken: number;
  /** Parameters of one routed expert in one layer, as a count. */
  readonly parametersPerExpert: number;
  /** Layers with experts. */
  readonly layers: number;
}
