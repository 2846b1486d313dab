import { ModelShape } from './shapes';
import { ArchitectureSpec } from '../../model';

/**
 * The numbers that the phases need, from an architecture and the bytes of one element of weights and KV cache.
 */
export function modelShape(architecture: ArchitectureSpec, bytesPerWeight: number, bytesPerKvElement: number): ModelShape {
  const { moe } = architecture;
  const head = architecture.vocabSize * architecture.hiddenSize;
  const routed = moe === undefined ? 0 : moe.expertsPerToken * moe.parametersPerExpert * moe.layers;
  const attentionLayers = architecture.fullAttentionLayers + architecture.windowAttentionLayers;
  const windowed = architecture.windowedAttentionFlopsPerTokenPair
    ?? (attentionLayers === 0 ? 0 : architecture.attentionFlopsPerTokenPair * architecture.windowAttentionLayers / attentionLayers);
  const windowTokens = architecture.windowTokens ?? 0;
  return {
    layers: architecture.layers,
    // activations have 16 bit whatever the weights have.
    activationBytes: 2 * architecture.hiddenSize,
    maxContextTokens: architecture.maxContextTokens,
    denseFlopsPerToken: 2 * Math.max(0, architecture.activeParameters - head),
    headFlopsPerToken: 2 * head,
    fullAttentionFlopsPerPair: architecture.attentionFlopsPerTokenPair - windowed,
    attendedTokens: architecture.sparseAttentionTokens ?? Infinity,
    indexFlopsPerPair: architecture.sparseIndexFlopsPerTokenPair ?? 0,
    windowAttentionFlopsPerPair: windowed,
    windowTokens,
    windowAttendedTokens: architecture.windowKind === 'chunked' ? windowTokens / 2 : windowTokens,
    weightBytes: architecture.parameters * bytesPerWeight,
    sharedWeightBytes: Math.max(0, architecture.activeParameters - routed) * bytesPerWeight,
    experts: moe?.experts ?? 0,
    expertsPerToken: moe?.expertsPerToken ?? 0,
    expertBytes: (moe?.parametersPerExpert ?? 0) * bytesPerWeight,
    expertFlopsPerToken: 2 * (moe?.parametersPerExpert ?? 0) * (moe?.layers ?? 0),
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
