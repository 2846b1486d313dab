import { Coefficients } from './coefficients';
import { EngineShape, ModelShape } from './shapes';

/** Sums over ranks in a layer that is split over them: after attention, and after the feed-forward part (Megatron-LM, arXiv:1909.08053). */
const SUMS_PER_LAYER = 2;

/** To the experts of a token, and back (GShard, arXiv:2006.16668). */
const EXCHANGES_PER_LAYER = 2;

const DOUBLINGS = Float64Array.from({ length: 129 }, (_, ranks) => Math.log2(ranks));

/**
 * Seconds in which the activations of `tokens` tokens pass between ranks, stages, and engines that share experts, over all layers.
 */
export function communicationSeconds(model: ModelShape, engine: EngineShape, k: Coefficients, tokens: number): number {
  return sumSeconds(model, engine, k, tokens) + sendSeconds(model, engine, k, tokens) + exchangeSeconds(model, engine, k, tokens);
}

/**
 * Every sum is taken in a ring of chips, whose links each carry `2 (c - 1) / c` of the activations (Patarasuk and Yuan, doi:10.1016/j.jpdc.2008.09.002),
 * after a latency for each doubling of the ranks. Where experts are shared, what they give is exchanged and not summed.
 */
function sumSeconds(model: ModelShape, engine: EngineShape, k: Coefficients, tokens: number): number {
  const { ranks, chips, expertSharers } = engine;
  if (ranks === 1) {
    return 0;
  }
  const sums = SUMS_PER_LAYER * model.layers - (expertSharers > 1 ? model.expertLayers : 0);
  return sums * (doublings(ranks) * k.collectiveHopSeconds + linkSeconds(engine, k, 2 * (chips - 1) / chips * tokens * model.activationBytes));
}

/**
 * From each stage to the next: every chip sends its part of the activations, and the chips that take them gather the others' parts, as vLLM's do, so that a link
 * carries all of them once.
 */
function sendSeconds(model: ModelShape, engine: EngineShape, k: Coefficients, tokens: number): number {
  return engine.stages === 1 ? 0 : (engine.stages - 1) * (k.collectiveHopSeconds + linkSeconds(engine, k, tokens * model.activationBytes));
}

/**
 * Every token is sent to its experts, and what they give comes back; of experts that are spread evenly, `1 / chips` are on the chip that the token is on. The
 * chips of an engine each send a part of its tokens.
 */
function exchangeSeconds(model: ModelShape, engine: EngineShape, k: Coefficients, tokens: number): number {
  const { ranks, chips, expertSharers } = engine;
  if (expertSharers === 1) {
    return 0;
  }
  const bytes = (1 - 1 / (chips * expertSharers)) * tokens / chips * model.expertsPerToken * model.activationBytes;
  return EXCHANGES_PER_LAYER * model.expertLayers * (doublings(ranks * expertSharers) * k.collectiveHopSeconds + linkSeconds(engine, k, bytes));
}

/** Ranks of an engine are few, and logarithms take long. */
function doublings(ranks: number): number {
  return ranks < DOUBLINGS.length ? DOUBLINGS[ranks] : Math.log2(ranks);
}

function linkSeconds({ linkBytesPerSecond }: EngineShape, k: Coefficients, bytes: number): number {
  return bytes === 0 ? 0 : bytes / (linkBytesPerSecond * k.collectiveBandwidthUtilisation);
}
