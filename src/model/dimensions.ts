import { ArchitectureSpec } from './model-spec';

/** The matrices of a decoder-only transformer, as a model's configuration gives them. */
export interface Dimensions {
  readonly layers: number;
  readonly hiddenSize: number;
  readonly attentionHeads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocabSize: number;
  readonly tiedEmbeddings: boolean;
  readonly maxContextTokens: number;
  /** three matrices in a feed-forward layer instead of two */
  readonly gatedFeedForward: boolean;
  /** width of dense feed-forward layers; absent if every layer has experts */
  readonly feedForwardSize?: number;
  readonly fullAttentionLayers: number;
  readonly window?: { readonly layers: number; readonly tokens: number; readonly kind: string };
  /** heads of the full-attention layers where they differ from those of the windowed ones (Gemma 4) */
  readonly full?: { readonly headDim: number; readonly kvHeads: number; readonly sharedKeyValueProjection: boolean };
  /** gated delta net layers (Qwen 3.5, Qwen3-Next) */
  readonly linear?: {
    readonly layers: number;
    readonly keyHeads: number;
    readonly keyHeadDim: number;
    readonly valueHeads: number;
    readonly valueHeadDim: number;
    readonly convolutionTokens: number;
  };
  /** the query projection is doubled to gate the attention's output (Qwen 3.5, Qwen3-Next) */
  readonly gatedAttentionOutput?: boolean;
  readonly moe?: {
    readonly layers: number;
    readonly experts: number;
    readonly expertsPerToken: number;
    readonly expertSize: number;
    readonly sharedExpertSize?: number;
  };
  /** multi-head latent attention (MLA); queryRank is null if queries are projected directly */
  readonly latent?: {
    readonly kvRank: number;
    readonly queryRank: number | null;
    readonly ropeHeadDim: number;
    readonly nopeHeadDim: number;
    readonly valueHeadDim: number;
  };
  /** DeepSeek sparse attention */
  readonly sparse?: { readonly heads: number; readonly headDim: number; readonly tokens: number };
}

// the recurrent state is kept in fp32 and the convolution's inputs in bf16, whatever the KV cache's format
const STATE_BYTES = 4;
const CONVOLUTION_BYTES = 2;

/**
 * Counts of a transformer with these dimensions.
 *
 * Matrices only: no norms, biases, multi-token prediction layers or vision towers. Active parameters count the unembedding, not the input embedding.
 */
export function architectureOf(dimensions: Dimensions): ArchitectureSpec {
  const { layers, fullAttentionLayers, hiddenSize, attentionHeads, kvHeads, headDim, window, linear, latent, sparse, moe } = dimensions;
  const full = dimensions.full ?? { headDim, kvHeads, sharedKeyValueProjection: false };
  const windowLayers = window?.layers ?? 0;

  const embedding = dimensions.vocabSize * hiddenSize;
  const expert = moe ? feedForward(dimensions, moe.expertSize) : 0;
  const parameters = attentionParameters(dimensions) + feedForwardParameters(dimensions) + embedding * (dimensions.tiedEmbeddings ? 1 : 2);
  const idle = (moe ? moe.layers * (moe.experts - moe.expertsPerToken) * expert : 0) + (dimensions.tiedEmbeddings ? 0 : embedding);

  const windowedFlops = 4 * attentionHeads * headDim * windowLayers;
  const scoreAndValueDim = latent ? latent.nopeHeadDim + latent.ropeHeadDim + latent.valueHeadDim : 2 * full.headDim;
  return {
    layers,
    hiddenSize,
    attentionHeads,
    kvHeads,
    headDim,
    vocabSize: dimensions.vocabSize,
    maxContextTokens: dimensions.maxContextTokens,
    parameters,
    activeParameters: parameters - idle,
    kvElementsPerTokenFull: fullAttentionLayers * (latent ? latent.kvRank + latent.ropeHeadDim : 2 * full.kvHeads * full.headDim),
    kvElementsPerTokenWindowed: windowLayers * 2 * kvHeads * headDim,
    fullAttentionLayers,
    windowAttentionLayers: windowLayers,
    ...(window && { windowTokens: window.tokens, windowKind: window.kind }),
    attentionFlopsPerTokenPair: 2 * attentionHeads * scoreAndValueDim * fullAttentionLayers + windowedFlops,
    ...(window && { windowedAttentionFlopsPerTokenPair: windowedFlops }),
    ...(latent && { decodeAttentionFlopsPerTokenPair: 2 * attentionHeads * (2 * latent.kvRank + latent.ropeHeadDim) * fullAttentionLayers }),
    ...(sparse && { sparseAttentionTokens: sparse.tokens, sparseIndexFlopsPerTokenPair: 2 * sparse.heads * sparse.headDim * layers }),
    ...(linear && { linearStateBytesPerSequence: linear.layers * linearStateBytes(linear) }),
    ...(moe && { moe: { experts: moe.experts, expertsPerToken: moe.expertsPerToken, parametersPerExpert: expert, layers: moe.layers } }),
    latentAttention: latent !== undefined,
  };
}

function attentionParameters(dimensions: Dimensions): number {
  const { hiddenSize, attentionHeads, kvHeads, headDim, window, linear } = dimensions;
  const full = dimensions.full ?? { headDim, kvHeads, sharedKeyValueProjection: false };
  const plain = (dim: number, keyValueHeads: number) =>
    hiddenSize * dim * (attentionHeads * (dimensions.gatedAttentionOutput ? 3 : 2) + keyValueHeads);
  const perFullLayer = dimensions.latent
    ? latentParameters(dimensions, dimensions.latent)
    : plain(full.headDim, full.kvHeads * (full.sharedKeyValueProjection ? 1 : 2));
  let total = dimensions.fullAttentionLayers * perFullLayer + (window?.layers ?? 0) * plain(headDim, 2 * kvHeads);
  if (linear) {
    const keys = linear.keyHeads * linear.keyHeadDim;
    const values = linear.valueHeads * linear.valueHeadDim;
    // queries, keys, values, gate and output, and two scalars per value head
    total += linear.layers * hiddenSize * (2 * keys + 3 * values + 2 * linear.valueHeads);
  }
  return total;
}

function latentParameters(dimensions: Dimensions, latent: NonNullable<Dimensions['latent']>): number {
  const { hiddenSize, attentionHeads, sparse } = dimensions;
  const queries = attentionHeads * (latent.nopeHeadDim + latent.ropeHeadDim);
  const queryInput = latent.queryRank ?? hiddenSize;
  return (latent.queryRank === null ? 0 : hiddenSize * latent.queryRank) + queryInput * queries
    + hiddenSize * (latent.kvRank + latent.ropeHeadDim)
    + latent.kvRank * attentionHeads * (latent.nopeHeadDim + latent.valueHeadDim)
    + attentionHeads * latent.valueHeadDim * hiddenSize
    + (sparse ? queryInput * sparse.heads * sparse.headDim + hiddenSize * (sparse.headDim + sparse.heads) : 0);
}

function feedForwardParameters(dimensions: Dimensions): number {
  const { layers, moe } = dimensions;
  const dense = feedForward(dimensions, dimensions.feedForwardSize ?? 0);
  if (!moe) {
    return layers * dense;
  }
  const router = dimensions.hiddenSize * moe.experts;
  const perLayer = moe.experts * feedForward(dimensions, moe.expertSize) + feedForward(dimensions, moe.sharedExpertSize ?? 0) + router;
  return moe.layers * perLayer + (layers - moe.layers) * dense;
}

function feedForward(dimensions: Dimensions, size: number): number {
  return (dimensions.gatedFeedForward ? 3 : 2) * dimensions.hiddenSize * size;
}

function linearStateBytes(linear: NonNullable<Dimensions['linear']>): number {
  const state = linear.valueHeads * linear.keyHeadDim * linear.valueHeadDim * STATE_BYTES;
  const channels = 2 * linear.keyHeads * linear.keyHeadDim + linear.valueHeads * linear.valueHeadDim;
  return state + channels * linear.convolutionTokens * CONVOLUTION_BYTES;
}
