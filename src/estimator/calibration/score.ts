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

/** What measurements repeat to at best. */
const LEAST_SIGMA = 0.01;

/** Configurations that the spread of others counts as: that of few says little. */
const OTHERS_COUNT = 3;

/**
 * @param compared measurements with their predictions.
 * @param sigmaOf standard deviation of the logarithm around each prediction; coverage is not known without.
 */
export function score(compared: readonly Compared[], sigmaOf?: (compared: Compared) => number): Score {
  const errors = compared.map(({ measured, predicted }) => predicted / measured - 1);
  const inside = sigmaOf && compared.filter((one) => distance(one) <= EIGHTY_PERCENT * sigmaOf(one)).length / compared.length;
  const sizes = errors.map(Math.abs);
  return { count: compared.length, mape: mean(sizes), median: median(sizes), bias: median(errors), coverage: inside };
}

/**
 * Spread of the logarithm of the ratios, which odd ones do not widen: from the distance that 80 % keep. That of a few configurations is drawn
 * towards what is known of others.
 *
 * @param held what was held out, by configuration.
 * @param others the spread of others; none if undefined.
 * @returns undefined where nothing is known.
 */
export function heldOutSigma(held: readonly (readonly Compared[])[], others?: number): number | undefined {
  const measured = held.filter((one) => one.length > 0);
  const distances = measured.flat().map(distance).sort((a, b) => a - b);
  if (distances.length === 0) {
    return others;
  }
  const own = Math.max(LEAST_SIGMA, distances[Math.min(distances.length - 1, Math.floor(0.8 * distances.length))] / EIGHTY_PERCENT);
  return others === undefined ? own
    : Math.exp((measured.length * Math.log(own) + OTHERS_COUNT * Math.log(others)) / (measured.length + OTHERS_COUNT));
}

function distance({ measured, predicted }: Compared): number {
  return Math.abs(Math.log(predicted / measured));
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}
