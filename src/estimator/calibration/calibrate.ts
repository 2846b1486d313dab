import { FreeCoefficient, Fit, fitCoefficients } from './fit';
import { MeasuredConfiguration } from './measurements';
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

/**
 * Fits the coefficients of an accelerator and an engine to measurements, those of several configurations together if there are several.
 *
 * @param start the coefficients known before; one that is 0 stays 0.
 * @param configurations what was measured.
 */
export function calibrate(start: Coefficients, configurations: readonly MeasuredConfiguration[]): Fit {
  const spreads = {
    ...SPREADS,
    ...configurations.some(({ measured }) => measured.engine.lowPrecision) ? LOW_PRECISION_SPREADS : {},
    ...configurations.some(({ measured }) => measured.model.experts > 0) ? EXPERT_SPREADS : {},
  };
  const free = Object.entries(spreads).filter(([name]) => start[name as CoefficientName] > 0)
    .map(([name, relativeSigma]): FreeCoefficient => ({ name: name as CoefficientName, relativeSigma }));
  const fit = (of: readonly MeasuredConfiguration[], from: Coefficients) => (
    fitCoefficients(start, free, (k) => of.flatMap((one) => one.compare(k)), from));
  // simulated runs make the landscape rough: what else was measured leads to the right valley.
  const smooth = configurations.filter(({ measurements }) => measurements.logs.length === 0);
  const led = smooth.length > 0 && smooth.length < configurations.length ? fit(smooth, start).coefficients : start;
  return fit(configurations, led);
}
