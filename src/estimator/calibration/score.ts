import { Compared } from './measurements';

/** How far predictions are from measurements. */
export interface Score {
  readonly count: number;
  /** Mean absolute relative error. */
  readonly mape: number;
  readonly median: number;
  /** Median signed relative error. */
  readonly bias: number;
  /** Share of measurements within the 80 % interval; undefined where no interval was given. */
  readonly coverage?: number;
}

/** Standard deviations of a normal distribution that hold 80 % of it. */
const EIGHTY_PERCENT = 1.2816;

/**
 * @param compared measurements with their predictions.
 * @param sigma standard deviation of the logarithm, as measurements that were fitted show it.
 */
export function score(compared: readonly Compared[], sigma?: number): Score {
  const errors = compared.map(({ measured, predicted }) => predicted / measured - 1);
  const inside = sigma === undefined ? undefined
    : compared.filter(({ measured, predicted }) => Math.abs(Math.log(predicted / measured)) <= EIGHTY_PERCENT * sigma).length / compared.length;
  const sizes = errors.map(Math.abs);
  return { count: compared.length, mape: mean(sizes), median: median(sizes), bias: median(errors), coverage: inside };
}

/** Spread of the logarithm of the ratios, which odd ones do not widen: from the distance that 80 % keep. */
export function spreadOf(compared: readonly Compared[]): number {
  const distances = compared.map(({ measured, predicted }) => Math.abs(Math.log(predicted / measured))).sort((a, b) => a - b);
  return distances[Math.min(distances.length - 1, Math.floor(0.8 * distances.length))] / EIGHTY_PERCENT;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}
