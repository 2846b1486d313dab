import { Coefficients } from './coefficients';
import { communicationSeconds } from './communication';
import { distinctExperts, weightSeconds } from './roofline';
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
  const attention = attentionFlops / (engine.flopsPerSecond * k.prefillAttentionUtilisation);
  return weightSeconds(model, engine, k, tokens, sequences + prompts) + kvSeconds(engine, k, kvBytesRead) + attention
    + layerSeconds(model, k, sequences, newTokens) + communicationSeconds(model, engine, k, tokens)
    + prompts * k.prefillPromptSeconds + k.engineStepSeconds;
}

/**
 * Seconds to read `bytes` bytes of KV cache, counted in one copy; every rank reads its own.
 */
export function kvSeconds(engine: EngineShape, k: Coefficients, bytes: number): number {
  return bytes * engine.kvCopies / (engine.memoryBytesPerSecond * k.decodeKvBandwidthUtilisation);
}

/**
 * Seconds of launch and serial work over all layers, which grow with the tokens; one launch of a layer serves written and read ones.
 *
 * @param writes tokens that are written, or verified.
 * @param reads tokens of prompts.
 */
export function layerSeconds(model: ModelShape, k: Coefficients, writes: number, reads: number): number {
  const writing = writes > 0 ? 1 : 0;
  const reading = reads > 0 ? 1 : 0;
  const layer = Math.max(writing * k.decodeLayerSeconds, reading * k.prefillLayerSeconds)
    + writing * k.decodeSequenceLayerSeconds * (writes - 1) + k.prefillTokenLayerSeconds * reads;
  const experts = reading === 0 ? 0 : distinctExperts(model, writes + reads);
  const expertLayer = Math.max(writing * k.decodeExpertLayerSeconds, experts * k.prefillExpertSeconds);
  return model.layers * layer + model.expertLayers * expertLayer;
}
