import { Coefficients } from './coefficients';
import { communicationSeconds } from './communication';
import { allExpertsSeconds, multiplySeconds, ownExperts, weightReadSeconds } from './roofline';
import { EngineShape, ModelShape } from './shapes';

/** What an engine does in one step. */
export interface Step {
  /** Sequences that each write a token. */
  readonly sequences: number;
  /** KV bytes that they read in all, one copy. */
  readonly kvBytesRead: number;
  /** Tokens of prompts that are read. */
  readonly newTokens: number;
  /** FLOPs of attention of these tokens, see `prefillAttentionFlops`. */
  readonly attentionFlops: number;
  /** Prompts that end with these tokens. */
  readonly prompts: number;
}

/** Seconds of a step by what takes them; they add up to it. */
export interface StepParts {
  /** Attention to prompts, what all experts take of them, and the multiplication of weights where that takes longer than to read them. */
  readonly computeSeconds: number;
  /** Reading of KV caches, and of weights where that takes longer than to multiply them. */
  readonly memorySeconds: number;
  /** Launches and serial work of the layers. */
  readonly layerSeconds: number;
  /** Exchange of activations between ranks, stages and engines. */
  readonly exchangeSeconds: number;
  /** Work of the host for the step and for its prompts. */
  readonly hostSeconds: number;
}

/** A step that only writes, or verifies, a token of each of so many sequences. */
export function writingStep(sequences: number, kvBytesRead: number): Step {
  return { sequences, kvBytesRead, newTokens: 0, attentionFlops: 0, prompts: 0 };
}

/**
 * Seconds of one step that writes a token of each of some sequences and reads some tokens of prompts, as engines with chunked prefill do.
 *
 * Weights are read once for both, and multiplied for every token of either; attention to prompts and the reading of caches add up. With no tokens
 * of prompts it is a decode step, with no sequences the prefill of those tokens.
 */
export function mixedStepSeconds(model: ModelShape, engine: EngineShape, k: Coefficients, step: Step): number {
  const { computeSeconds, memorySeconds, layerSeconds: layers, exchangeSeconds, hostSeconds } = stepParts(model, engine, k, step);
  return computeSeconds + memorySeconds + layers + exchangeSeconds + hostSeconds;
}

/**
 * What the seconds of such a step are taken by.
 */
export function stepParts(model: ModelShape, engine: EngineShape, k: Coefficients, step: Step): StepParts {
  const { sequences, kvBytesRead, newTokens, attentionFlops, prompts } = step;
  const tokens = sequences + newTokens;
  const multiply = multiplySeconds(model, engine, k, tokens, sequences + prompts);
  const read = weightReadSeconds(model, engine, k, tokens);
  const attention = attentionFlops / (engine.flopsPerSecond * k.prefillAttentionUtilisation);
  return {
    computeSeconds: attention + allExpertsSeconds(model, engine, k, newTokens) + (multiply > read ? multiply : 0),
    memorySeconds: kvSeconds(engine, k, kvBytesRead) + (multiply > read ? 0 : read),
    layerSeconds: layerSeconds(model, engine, k, sequences, newTokens),
    exchangeSeconds: communicationSeconds(model, engine, k, tokens),
    hostSeconds: prompts * k.prefillPromptSeconds + k.engineStepSeconds,
  };
}

/**
 * Seconds to read `bytes` bytes of KV cache, counted in one copy; every rank reads its own.
 */
export function kvSeconds(engine: EngineShape, k: Coefficients, bytes: number): number {
  return bytes * engine.kvCopies / (engine.memoryBytesPerSecond * k.kvBandwidthUtilisation);
}

/**
 * Seconds of launch and serial work over all layers, which grow with the tokens; one launch of a layer serves written and read ones.
 *
 * @param writes tokens that are written, or verified.
 * @param reads tokens of prompts.
 */
function layerSeconds(model: ModelShape, engine: EngineShape, k: Coefficients, writes: number, reads: number): number {
  const writing = writes > 0 ? 1 : 0;
  const reading = reads > 0 ? 1 : 0;
  const layer = Math.max(writing * k.decodeLayerSeconds, reading * k.prefillLayerSeconds)
    + writing * k.decodeSequenceLayerSeconds * engine.serialKvHeads * (writes - 1) + k.prefillTokenLayerSeconds * reads;
  const experts = reading === 0 ? 0 : ownExperts(model, engine, writes + reads);
  const expertLayer = Math.max(writing * k.decodeExpertLayerSeconds, experts * k.prefillExpertSeconds);
  return model.layers * layer + model.expertLayers * expertLayer + writing * k.decodeContextLayerSeconds * engine.contextLayerTokens;
}
