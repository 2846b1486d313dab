import { ModelShape } from './shapes';
import { ArchitectureSpec } from '../../model';

/** Mixtures whose weights have fewer bytes than this keep all but their routed experts at 16 bit. */
const EXPERTS_ALONE_BELOW_BYTES = 1;

/**
 * The numbers that the phases need, from an architecture and the bytes of one element of weights and KV cache.
 *
 * Embedding and unembedding have 16 bit whatever the weights have, and in a mixture at 4 bit all but the routed experts has: so published checkpoints are
 * (openai/gpt-oss-120b in MXFP4 has 65 GB, moonshotai/Kimi-K2-Thinking in INT4 594 GB with its scales).
 */
export function modelShape(architecture: ArchitectureSpec, bytesPerWeight: number, bytesPerKvElement: number): ModelShape {
  const { moe } = architecture;
  const head = architecture.vocabSize * architecture.hiddenSize;
  const ofExpert = moe === undefined ? 0 : moe.parametersPerExpert * moe.layers;
  const routed = moe === undefined ? 0 : moe.expertsPerToken * ofExpert;
  const allRouted = moe === undefined ? 0 : moe.experts * ofExpert;
  const shared = Math.max(0, architecture.activeParameters - routed - head);
  const bytesPerShared = moe !== undefined && bytesPerWeight < EXPERTS_ALONE_BELOW_BYTES ? 2 : bytesPerWeight;
  const attentionLayers = architecture.fullAttentionLayers + architecture.windowAttentionLayers;
  const windowed = architecture.windowedAttentionFlopsPerTokenPair
    ?? (attentionLayers === 0 ? 0 : architecture.attentionFlopsPerTokenPair * architecture.windowAttentionLayers / attentionLayers);
  const windowTokens = architecture.windowTokens ?? 0;
  return {
    layers: architecture.layers,
    // activations have 16 bit whatever the weights have.
    activationBytes: 2 * architecture.hiddenSize,
    maxContextTokens: architecture.maxContextTokens,
    sharedFlopsPerToken: 2 * shared,
    headFlopsPerToken: 2 * head,
    fullAttentionFlopsPerPair: architecture.attentionFlopsPerTokenPair - windowed,
    attendedTokens: architecture.sparseAttentionTokens ?? Infinity,
    indexFlopsPerPair: architecture.sparseIndexFlopsPerTokenPair ?? 0,
    windowAttentionFlopsPerPair: windowed,
    windowTokens,
    windowAttendedTokens: architecture.windowKind === 'chunked' ? windowTokens / 2 : windowTokens,
    weightBytes: allRouted * bytesPerWeight + shared * bytesPerShared + 2 * Math.max(0, architecture.parameters - allRouted - shared),
    sharedWeightBytes: shared * bytesPerShared + 2 * head,
    sharedHalvings: Math.log2(2 / bytesPerShared),
    experts: moe?.experts ?? 0,
    expertsPerToken: moe?.expertsPerToken ?? 0,
    expertBytes: (moe?.parametersPerExpert ?? 0) * bytesPerWeight,
    expertFlopsPerToken: 2 * ofExpert,
    // two matrices of these columns, gate and input, and one back
    expertColumns: Math.round((moe?.parametersPerExpert ?? 0) / (3 * architecture.hiddenSize)),
    expertLayers: moe?.layers ?? 0,
    kvBytesPerTokenFull: architecture.kvElementsPerTokenFull * bytesPerKvElement,
    kvBytesPerTokenWindowed: architecture.kvElementsPerTokenWindowed * bytesPerKvElement,
    stateBytes: architecture.linearStateBytesPerSequence ?? 0,
    attentionLayers,
    kvTensors: (architecture.latentAttention ? 1 : 2) * attentionLayers,
    kvShards: architecture.latentAttention ? 1 : architecture.kvHeads,
  };
}
