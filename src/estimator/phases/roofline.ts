import { Coefficients } from './coefficients';
import { EngineShape, ModelShape } from './shapes';

/**
 * Seconds to read the weights that a step of `tokens` tokens touches. Of experts that engines share, each reads its part of what the tokens of all touch.
 *
 * @param tokens tokens that pass all layers, written and read ones.
 */
export function weightReadSeconds(model: ModelShape, engine: EngineShape, k: Coefficients, tokens: number): number {
  const ofExperts = ownExperts(model, engine, tokens) * model.expertBytes * model.expertLayers;
  const shared = model.sharedWeightBytes / power(k.lowPrecisionBandwidthGain, model.sharedHalvings);
  return (shared + ofExperts) / (engine.memoryBytesPerSecond * k.weightBandwidthUtilisation);
}

/**
 * Seconds to multiply these weights, attention left out.
 *
 * @param tokens tokens that pass all layers, written and read ones.
 * @param logits tokens that a next one is picked after.
 */
export function multiplySeconds(model: ModelShape, engine: EngineShape, k: Coefficients, tokens: number, logits: number): number {
  const gain = power(k.lowPrecisionGain, engine.peakDoublings);
  const shared = model.sharedFlopsPerToken / (model.sharedHalvings > 0 ? gain : 1);
  const flops = tokens * (shared + model.expertsPerToken * model.expertFlopsPerToken / gain) + logits * model.headFlopsPerToken;
  return flops / (engine.flopsPerSecond * k.denseUtilisation);
}

/**
 * Seconds in which tokens of prompts pass routed experts that they did not choose: a graph of static shapes takes all through each, and weighs what is not theirs by 0.
 *
 * Source: `forward_all_experts` of neuronx-distributed, src/neuronx_distributed/modules/moe/expert_mlps_v2.py.
 *
 * @param newTokens tokens of prompts, padding included.
 */
export function allExpertsSeconds(model: ModelShape, engine: EngineShape, k: Coefficients, newTokens: number): number {
  return engine.expertPasses * newTokens * model.expertFlopsPerToken / (engine.flopsPerSecond * k.promptExpertUtilisation);
}

/**
 * Routed experts of one engine that tokens visit in one layer, its own and those of the engines that it shares experts with: `tokens` of each.
 */
export function ownExperts(model: ModelShape, { expertSharers }: EngineShape, tokens: number): number {
  return distinctExperts(model, tokens * expertSharers) / expertSharers;
}

/**
 * Routed experts that `tokens` tokens visit in one layer, expected under uniform routing: `N (1 - (1 - k/N)^B)`; 0 of a dense model.
 */
export function distinctExperts({ experts, expertsPerToken }: ModelShape, tokens: number): number {
  return experts === 0 ? 0 : experts * (1 - Math.pow(1 - expertsPerToken / experts, tokens));
}

/** Most weights have 16 bit, and powers take long. */
function power(gain: number, times: number): number {
  return times === 0 ? 1 : gain ** times;
}
