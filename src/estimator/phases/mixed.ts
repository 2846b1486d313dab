import { Coefficients } from './coefficients';
import { distinctExperts } from './prefill';
import { EngineShape, ModelShape } from './shapes';

/**
 * Seconds of one step that writes a token of each of `sequences` sequences and reads `newTokens` tokens of prompts, as engines with chunked prefill do.
 *
 * Weights are read once for both, and multiplied for every token of either; attention to prompts and the reading of caches add up. With no tokens
 * of prompts it is a decode step, with no sequences the prefill of those tokens.
 *
 * @param sequences sequences that each write a token.
 * @param kvBytesRead KV bytes that they read in all, one copy.
 * @param newTokens tokens of prompts.
 * @param attentionFlops FLOPs of attention of these tokens, see `prefillAttentionFlops`.
 * @param prompts prompts that these tokens are of.
 */
export function mixedStepSeconds(
  model: ModelShape, engine: EngineShape, k: Coefficients,
  sequences: number, kvBytesRead: number, newTokens: number, attentionFlops: number, prompts: number,
): number {
  const tokens = sequences + newTokens;
  const gain = engine.lowPrecision ? k.prefillLowPrecisionGain : 1;
  const experts = model.experts === 0 ? 0 : distinctExperts(model.experts, model.expertsPerToken, tokens);
  const bytes = model.sharedWeightBytes + experts * model.expertBytes * model.expertLayers;
  const flops = tokens * model.denseFlopsPerToken + (sequences + prompts) * model.headFlopsPerToken;
  const weights = Math.max(
    bytes / (engine.memoryBytesPerSecond * k.decodeBandwidthUtilisation),
    flops / (engine.flopsPerSecond * k.prefillDenseUtilisation * gain),
  );
  const caches = kvBytesRead * engine.kvCopies / (engine.memoryBytesPerSecond * k.decodeKvBandwidthUtilisation);
  const attention = attentionFlops / (engine.flopsPerSecond * k.prefillAttentionUtilisation);
  const writing = sequences > 0 ? 1 : 0;
  const reading = newTokens > 0 ? 1 : 0;
  // one launch of a layer serves both.
  const layer = Math.max(writing * k.decodeLayerSeconds, reading * k.prefillLayerSeconds)
    + writing * k.decodeSequenceLayerSeconds * (sequences - 1) + k.prefillTokenLayerSeconds * newTokens;
  const expertLayer = Math.max(writing * k.decodeExpertLayerSeconds, reading * experts * k.prefillExpertSeconds);
  return weights + caches + attention + model.layers * layer + model.expertLayers * expertLayer + prompts * k.prefillPromptSeconds;
}
