import { roundedCorrelations } from './calibration';
import { Fit } from './fit';
import { MeasuredPool } from './measured-engine';
import { CalibrationSpec } from '../calibration-spec';

/** Significant digits of a coefficient and its spread as they are written. */
const DIGITS = 4;

/** What a fit says of a pool, as a spec takes it. */
export function fittedCoefficients(pool: MeasuredPool, { coefficients, relativeSigmas, correlations }: Fit): CalibrationSpec {
  const names = [...relativeSigmas.keys()];
  const rounded = (value: number) => Number(value.toPrecision(DIGITS));
  return {
    [pool]: Object.fromEntries(names.map((name) => [name, rounded(coefficients[name])])),
    [`${pool}RelativeSigmas`]: Object.fromEntries(names.map((name) => [name, rounded(relativeSigmas.get(name)!)])),
    [`${pool}Correlations`]: roundedCorrelations(correlations),
  };
}
