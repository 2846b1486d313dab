/**
 * A model at chosen precisions, as the phases see it: plain numbers only.
 */
export interface ModelShape {
  readonly layers: number;
  /** Bytes of one token between two layers. */
  readonly activationBytes: number;
  /** Longest context, in tokens. */
  readonly maxContextTokens: number;
  /** Multiply-add FLOPs of one token through all layers; head, routed experts and attention scores left out. */
  readonly sharedFlopsPerToken: number;
  /** FLOPs of the unembedding for one token, at 16 bit. */
  readonly headFlopsPerToken: number;
  /** FLOPs of scores and values per query token and token attended to, in layers that see everything. */
  readonly fullAttentionFlopsPerPair: number;
  /** Tokens that such a layer attends to at most: all visible ones, unless attention is sparse. */
  readonly attendedTokens: number;
  /** FLOPs of picking them, per query token and visible token. */
  readonly indexFlopsPerPair: number;
  /** The same in windowed layers. */
  readonly windowAttentionFlopsPerPair: number;
  /** Tokens whose cache a windowed layer keeps; 0 without windows. */
  readonly windowTokens: number;
  /** Tokens that one of its queries attends to at most, on average: half of them in a chunked window. */
  readonly windowAttendedTokens: number;
  /** Bytes of all weights. */
  readonly weightBytes: number;
  /** Bytes of the weights that every step reads: all but routed experts and input embedding. */
  readonly sharedWeightBytes: number;
  /** Times that these are halved from 16 bit: 1 for 8 bit. */
  readonly sharedHalvings: number;
  /** Routed experts in a layer; 0 for a dense model. */
  readonly experts: number;
  readonly expertsPerToken: number;
  readonly expertBytes: number;
  /** Multiply-add FLOPs of one token through one routed expert of every layer that has them. */
  readonly expertFlopsPerToken: number;
  /** Columns of its first matrices. */
  readonly expertColumns: number;
  readonly expertLayers: number;
  /** KV bytes of one token in layers that see everything, one copy. */
  readonly kvBytesPerTokenFull: number;
  /** KV bytes of one token in windowed layers, one copy. */
  readonly kvBytesPerTokenWindowed: number;
  /** Bytes of recurrent state of one sequence. */
  readonly stateBytes: number;
  /** Layers that attend to a KV cache. */
  readonly attentionLayers: number;
  /** Tensors of the KV cache: keys and values of each layer that has them, one of a layer with a latent cache. */
  readonly kvTensors: number;
  /** Most ranks that the KV cache can be split over without copies: KV heads, or 1 for a latent cache. */
  readonly kvShards: number;
}

/**
 * One engine: the part of an instance that holds one copy of the model.
 */
export interface EngineShape {
  /** Peak dense FLOP/s at 16 bit. */
  readonly flopsPerSecond: number;
  /** Peak memory bandwidth, in bytes per second. */
  readonly memoryBytesPerSecond: number;
  /** Memory, in bytes. */
  readonly memoryBytes: number;
  /** Ranks that each layer is split over. */
  readonly ranks: number;
  /** Chips that these are on. */
  readonly chips: number;
  /** Stages that the layers are split over, each of as many ranks and chips; the engine is one of as many batches that are in them at a time. */
  readonly stages: number;
  /** Engines that the routed experts are spread over, this one included: they take their steps together. */
  readonly expertSharers: number;
  /** Bandwidth of one chip to the others, one way, in bytes per second. */
  readonly linkBytesPerSecond: number;
  /** Copies of the KV cache that tensor parallelism beyond the KV heads makes, padding of heads that it does not divide included; at least 1. */
  readonly kvCopies: number;
  /** KV heads of a rank that it takes one after another for each sequence; 1 where all are taken at once. */
  readonly serialKvHeads: number;
  /** Tokens, summed over layers, that every step attends to: those of the longest sequence, which its graph is compiled for. */
  readonly contextLayerTokens: number;
  /** Routed experts that each token of a prompt passes, with the padding of each to whole arrays of the multiplier; 0 where it passes its own alone. */
  readonly expertPasses: number;
  /** Doublings of the 16 bit peak that the chips multiply narrow weights at: 1 where it is twice as fast; 0 where weights have 16 bit. */
  readonly peakDoublings: number;
}

/**
 * Bytes of weights that one engine has to hold: its share of routed experts that several hold together, and of stages that several batches pass.
 */
export function engineWeightBytes(model: ModelShape, { stages, expertSharers }: EngineShape): number {
  const routed = model.experts * model.expertBytes * model.expertLayers;
  return (model.weightBytes - routed * (1 - 1 / expertSharers)) / stages;
}

/**
 * KV bytes that one decode step reads of a sequence, one copy: sparse attention reads what it picked.
 */
export function kvReadBytes(model: ModelShape, contextTokens: number): number {
  return model.kvBytesPerTokenFull * Math.min(contextTokens, model.attendedTokens)
    + model.kvBytesPerTokenWindowed * Math.min(contextTokens, model.windowAttendedTokens) + model.stateBytes;
}

/**
 * An engine whose longest sequences have so many tokens.
 */
export function compiledFor(engine: EngineShape, model: ModelShape, contextTokens: number): EngineShape {
  const tokenBytes = model.kvBytesPerTokenFull + model.kvBytesPerTokenWindowed;
  const read = kvReadBytes(model, contextTokens) - model.stateBytes;
  return { ...engine, contextLayerTokens: tokenBytes === 0 ? 0 : model.attentionLayers * read / tokenBytes };
}

/**
 * KV cache of one sequence, one copy, in bytes.
 */
export function kvBytes(model: ModelShape, contextTokens: number): number {
  const windowed = Math.min(contextTokens, model.windowTokens);
  return model.kvBytesPerTokenFull * contextTokens + model.kvBytesPerTokenWindowed * windowed + model.stateBytes;
}
