import { CoefficientName } from './coefficients';
import { EngineShape, ModelShape } from './shapes';

/**
 * Whether the steps of an engine depend on a coefficient at all: a dense model has no experts, and a single chip exchanges nothing.
 */
export function bearsOn(name: CoefficientName, model: ModelShape, engine: EngineShape): boolean {
  switch (name) {
    case 'lowPrecisionGain':
      return engine.peakDoublings > 0;
    case 'lowPrecisionBandwidthGain':
      return model.sharedHalvings > 0;
    case 'prefillExpertSeconds':
    case 'decodeExpertLayerSeconds':
      return model.experts > 0;
    case 'promptExpertUtilisation':
      return engine.expertPasses > 0;
    case 'collectiveHopSeconds':
    case 'collectiveBandwidthUtilisation':
      return engine.ranks * engine.stages * engine.expertSharers > 1;
    default:
      return true;
  }
}
