import { Coefficients } from './coefficients';
import { mixedStepSeconds, writingStep } from './mixed';
import { EngineShape, ModelShape } from './shapes';

/**
 * Seconds of one decode step of `batch` sequences whose caches hold `kvBytesPerSequence` bytes each, one copy.
 */
export function decodeStepSeconds(model: ModelShape, engine: EngineShape, k: Coefficients, batch: number, kvBytesPerSequence: number): number {
  return mixedStepSeconds(model, engine, k, writingStep(batch, batch * kvBytesPerSequence));
}
