import { Coefficients } from './coefficients';
import { EngineShape, ModelShape } from './shapes';

/** Sums over ranks in a layer that is split over them: after attention, and after the feed-forward part (Megatron-LM, arXiv:1909.08053). */
const SUMS_PER_LAYER = 2;

/**
 * Seconds in which the ranks of an engine exchange the activations of `tokens` tokens, over all layers.
 *
 * Every sum is taken in a ring of chips, whose links each carry `2 (c - 1) / c` of the activations (Patarasuk and Yuan, doi:10.1016/j.jpdc.2008.09.002),
 * after a latency for each doubling of the ranks.
 */
export function communicationSeconds(model: ModelShape, engine: EngineShape, k: Coefficients, tokens: number): number {
  const { ranks, chips, linkBytesPerSecond } = engine;
  if (ranks === 1) {
    return 0;
  }
  const bytes = 2 * (chips - 1) / chips * tokens * model.activationBytes;
  const seconds = Math.log2(ranks) * k.collectiveHopSeconds + bytes / (linkBytesPerSecond * k.collectiveBandwidthUtilisation);
  return SUMS_PER_LAYER * model.layers * seconds;
}
