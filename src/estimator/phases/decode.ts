import { Coefficients } from './coefficients';
import { distinctExperts } from './prefill';
import { EngineShape, ModelShape } from './shapes';

/**
 * Seconds to read the weights that a step of `batch` sequences touches, or to multiply them where that takes longer.
 */
export function decodeWeightSeconds(model: ModelShape, engine: EngineShape, k: Coefficients, batch: number): number {
  const experts = model.experts === 0 ? 0 : distinctExperts(model.experts, model.expertsPerToken, batch);
  const bytes = model.sharedWeightBytes + experts * model.expertBytes * model.expertLayers;
  const gain = engine.lowPrecision ? k.prefillLowPrecisionGain : 1;
  const flops = batch * (model.denseFlopsPerToken + model.headFlopsPerToken);
  return Math.max(
    bytes / (engine.memoryBytesPerSecond * k.decodeBandwidthUtilisation),
    flops / (engine.flopsPerSecond * k.prefillDenseUtilisation * gain),
  );
}

/**
 * Seconds to read the KV cache of `batch` sequences; every rank reads its own copy.
 */
export function decodeKvSeconds(engine: EngineShape, k: Coefficients, batch: number, kvBytesPerSequence: number): number {
  return batch * kvBytesPerSequence * engine.kvCopies / (engine.memoryBytesPerSecond * k.decodeKvBandwidthUtilisation);
}

/**
 * Seconds of launch, synchronisation and collectives over all layers, which grow with the batch.
 */
export function decodeLayerSeconds(model: ModelShape, k: Coefficients, batch: number): number {
  return model.layers * (k.decodeLayerSeconds + k.decodeSequenceLayerSeconds * (batch - 1)) + model.expertLayers * k.decodeExpertLayerSeconds;
}

/**
 * Seconds of one decode step of `batch` sequences whose caches hold `kvBytesPerSequence` bytes each, one copy.
 */
export function decodeStepSeconds(model: ModelShape, engine: EngineShape, k: Coefficients, batch: number, kvBytesPerSequence: number): number {
  return decodeWeightSeconds(model, engine, k, batch) + decodeKvSeconds(engine, k, batch, kvBytesPerSequence) + decodeLayerSeconds(model, k, batch);
}
