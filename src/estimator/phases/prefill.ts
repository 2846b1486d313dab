import { Coefficients } from './coefficients';
import { EngineShape, ModelShape } from './shapes';

/**
 * Query-key pairs of causal attention: `n` new tokens after `cached` ones, each seeing at most `window` tokens.
 */
export function causalPairs(newTokens: number, cachedTokens: number, window: number): number {
  const n = newTokens;
  // tokens whose whole past is still inside the window
  const growing = Math.max(0, Math.min(n, window - cachedTokens));
  const full = n - growing;
  return growing * (cachedTokens + (growing + 1) / 2) + (full > 0 ? full * window : 0);
}

/**
 * FLOPs of attention scores and values for a prompt.
 */
export function prefillAttentionFlops(model: ModelShape, newTokens: number, cachedTokens: number): number {
  return model.fullAttentionFlopsPerPair * causalPairs(newTokens, cachedTokens, model.attendedTokens)
    + model.indexFlopsPerPair * causalPairs(newTokens, cachedTokens, Infinity)
    + model.windowAttentionFlopsPerPair * causalPairs(newTokens, cachedTokens, model.windowAttendedTokens);
}

/**
 * The compiled length that a prompt is padded to: the first bucket that holds it, the prompt itself without buckets, NaN beyond the last.
 */
export function paddedTokens(tokens: number, buckets: readonly number[]): number {
  if (buckets.length === 0) {
    return tokens;
  }
  for (const bucket of buckets) {
    if (bucket >= tokens) {
      return bucket;
    }
  }
  return NaN;
}

/**
 * Seconds that one engine takes to read `prompts` prompts of `newTokens` (padded) tokens each, `cachedTokens` of each being there already.
 *
 * The projections run at a share of the peak, attention at a lower share, and every layer adds a floor and a serial part for each token,
 * so utilisation rises with length and saturates.
 */
export function prefillSeconds(
  model: ModelShape, engine: EngineShape, k: Coefficients, newTokens: number, cachedTokens: number, prompts: number,
): number {
  const tokens = newTokens * prompts;
  const gain = engine.lowPrecision ? k.prefillLowPrecisionGain : 1;
  const dense = (model.denseFlopsPerToken * tokens + model.headFlopsPerToken * prompts) / (engine.flopsPerSecond * k.prefillDenseUtilisation * gain);
  const experts = model.experts === 0 ? 0 : distinctExperts(model.experts, model.expertsPerToken, tokens);
  const weights = (model.sharedWeightBytes + experts * model.expertBytes * model.expertLayers)
    / (engine.memoryBytesPerSecond * k.decodeBandwidthUtilisation);
  const attention = prompts * prefillAttentionFlops(model, newTokens, cachedTokens) / (engine.flopsPerSecond * k.prefillAttentionUtilisation);
  return Math.max(dense, weights) + attention
    + model.layers * (k.prefillLayerSeconds + k.prefillTokenLayerSeconds * tokens)
    + model.expertLayers * experts * k.prefillExpertSeconds;
}

/**
 * Routed experts that `tokens` tokens visit in one layer, expected under uniform routing: `N (1 - (1 - k/N)^B)`.
 */
export function distinctExperts(experts: number, expertsPerToken: number, tokens: number): number {
  return experts * (1 - Math.pow(1 - expertsPerToken / experts, tokens));
}
