import { Compared } from './measurements';
import { EIGHTY_PERCENT } from '../uncertainty';

/** One measured time beside what is predicted of it, and the 80 % interval of that. */
export interface Ranged extends Compared {
  readonly low: number;
  readonly high: number;
}

/** How far predictions are from measurements. */
export interface Score {
  readonly count: number;
  /** Mean absolute relative error. */
  readonly mape: number;
  readonly median: number;
  /** What they are off by as a factor, the geometric mean: 2 of predictions that are twice or half of what was measured. */
  readonly factor: number;
  /** Median signed relative error. */
  readonly bias: number;
  /** Share of measurements within the 80 % interval; undefined where no interval was given. */
  readonly coverage?: number;
}

/** What measurements repeat to at best. */
const LEAST_SIGMA = 0.01;

/** Configurations that the spread of others counts as: that of few says little. */
const OTHERS_COUNT = 3;

/** How far predictions are from measurements; whether these are within the intervals is told where all have one. */
export function score(compared: readonly (Compared | Ranged)[]): Score {
  const errors = compared.map(({ measured, predicted }) => predicted / measured - 1);
  const ranged = compared.filter((one): one is Ranged => 'low' in one);
  const inside = ranged.filter(({ measured, low, high }) => low <= measured && measured <= high);
  const sizes = errors.map(Math.abs);
  return {
    count: compared.length,
    mape: mean(sizes),
    median: median(sizes),
    factor: Math.exp(mean(compared.map(({ measured, predicted }) => Math.abs(Math.log(predicted / measured))))),
    bias: median(errors),
    coverage: ranged.length < compared.length ? undefined : inside.length / compared.length,
  };
}

/**
 * What predictions are off by beyond what the spread of their coefficients explains, as a standard deviation of the logarithm: with it, four fifths of them
 * are within their intervals, whatever the odd ones are off by. That of a few configurations is drawn towards what is known of others.
 *
 * @param held what was held out with the intervals that the spread of the coefficients gives it, by configuration.
 * @param others the same of others; none if undefined.
 * @returns undefined where nothing is known.
 */
export function misfitSigma(held: readonly (readonly Ranged[])[], others?: number): number | undefined {
  const measured = held.filter((one) => one.length > 0);
  const misfits = measured.flat().map(misfit).sort((a, b) => a - b);
  if (misfits.length === 0) {
    return others;
  }
  const own = Math.max(LEAST_SIGMA, misfits[Math.min(misfits.length - 1, Math.floor(0.8 * misfits.length))]);
  return others === undefined ? own
    : Math.exp((measured.length * Math.log(own) + OTHERS_COUNT * Math.log(others)) / (measured.length + OTHERS_COUNT));
}

/** The spread that an interval has to be widened by for it to reach the measurement. */
function misfit({ measured, predicted, low, high }: Ranged): number {
  const off = Math.log(measured / predicted);
  const explained = Math.log((off > 0 ? high : low) / predicted);
  return Math.sqrt(Math.max(0, off * off - explained * explained)) / EIGHTY_PERCENT;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}
