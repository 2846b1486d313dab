import { FreeCoefficient, Fit, fitCoefficients } from './fit';
import { MeasuredEngine, Measurements, compare } from './measurements';
import { CoefficientName, Coefficients } from '../phases/coefficients';

/** How far coefficients may be from where a fit starts, as standard deviations of the logarithm: wide, as engines and their releases differ. */
const SPREADS: { readonly [name in CoefficientName]?: number } = {
  prefillDenseUtilisation: 0.4,
  prefillAttentionUtilisation: 0.4,
  prefillLayerSeconds: 0.7,
  decodeBandwidthUtilisation: 0.2,
  decodeKvBandwidthUtilisation: 0.4,
  decodeLayerSeconds: 0.5,
  decodeSequenceLayerSeconds: 1,
  gatewaySeconds: 1,
};

const LOW_PRECISION_SPREADS: typeof SPREADS = { prefillLowPrecisionGain: 0.4 };

const EXPERT_SPREADS: typeof SPREADS = { decodeExpertLayerSeconds: 1, prefillExpertSeconds: 1.5 };

/** Measurements of one engine. */
export interface EngineMeasurements {
  readonly engine: MeasuredEngine;
  readonly measurements: Measurements;
}

/**
 * Fits the coefficients of an accelerator and an engine to measurements, those of several configurations together if there are several.
 *
 * @param start the coefficients known before; one that is 0 stays 0.
 * @param measured what was measured.
 */
export function calibrate(start: Coefficients, measured: readonly EngineMeasurements[]): Fit {
  const spreads = {
    ...SPREADS,
    ...measured.some(({ engine }) => engine.engine.lowPrecision) ? LOW_PRECISION_SPREADS : {},
    ...measured.some(({ engine }) => engine.model.experts > 0) ? EXPERT_SPREADS : {},
  };
  const free = Object.entries(spreads).filter(([name]) => start[name as CoefficientName] > 0)
    .map(([name, relativeSigma]): FreeCoefficient => ({ name: name as CoefficientName, relativeSigma }));
  const compared = (k: Coefficients) => measured.flatMap(({ engine, measurements }) => compare(engine, measurements, k));
  return fitCoefficients(start, free, compared(start).map((one) => one.measured), (k) => compared(k).map(({ predicted }) => predicted));
}
