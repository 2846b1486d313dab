import { Correlations } from './calibration';
import { Compared } from './measurements';
import { choleskyFactor } from '../cholesky';
import { CoefficientName, Coefficients } from '../phases/coefficients';

/** A coefficient that is fitted, and how sure one is of it beforehand. */
export interface FreeCoefficient {
  readonly name: CoefficientName;
  /** Standard deviation of the logarithm around where the fit starts. */
  readonly relativeSigma: number;
}

/** What a fit found. */
export interface Fit {
  readonly coefficients: Coefficients;
  /** Standard deviation of the logarithm of each free coefficient, given the measurements, wherever the others are. */
  readonly relativeSigmas: ReadonlyMap<CoefficientName, number>;
  /** How these go together: what is measured is the sum of what several do, so that one may be more where another is less. */
  readonly correlations: Correlations;
}

/** What the measurements of a kind are off by, as a standard deviation of the logarithm, before any is seen; it counts as one measurement. */
const MEASUREMENT_SIGMA = 0.003;

/** At most this is what they are taken for at first: what is further off then is odd. */
const FIRST_SIGMA = 0.3;

/**
 * Degrees of freedom of the distribution (Student's) that errors are taken to have: heavy in its tails, as runs that met a compilation or a cache that
 * nobody wrote down are off by a factor and should not pull the rest.
 */
const FREEDOM = 2;

/** Estimates of what the measurements are off by, each after a descent to the bottom. */
const MAX_PASSES = 8;

/** A share beyond this is taken for it where a fit starts: the log-odds of 1 are without end. */
const HIGHEST_SHARE = 0.99;

/** Steps of a descent, each a prediction of everything for every coefficient and up to `MAX_ATTEMPTS` more. */
const MAX_ITERATIONS = 30;

const MAX_ATTEMPTS = 6;

/** Share of what is left by which a step of a descent is one. */
const LEAST_GAIN = 1e-3;

const FIRST_DAMPING = 1e-2;

/** Standard deviations that a coefficient moves by at once: what is beyond is another landscape. */
const LONGEST = 1;

/**
 * Changes of a coefficient's logarithm that its effect is measured by, each taken when the one before leads no further down: requests of a simulated
 * run meet whole steps, so that what a small change does of their times says little of what a larger one does.
 */
const STEPS = [0.1, 0.02, 1e-3, 1e-5];

/**
 * Fits coefficients to measured times: the most probable ones, given what was known of them before, odd measurements pulling little.
 *
 * Levenberg and Marquardt's method on logarithms. How exact the measurements are is not given but estimated, by metric, from what the fit leaves
 * (MacKay's evidence approximation): what is known before gives way where measurements are exact, and holds where they are few or rough.
 *
 * Coefficients that the measurements say nothing of stay where they were, with the spread that they had.
 *
 * @param start the coefficients known before.
 * @param free those that are fitted.
 * @param predict what coefficients say of each measurement.
 * @param from where the search begins; it may end in another valley than from `start`.
 */
export function fitCoefficients(
  start: Coefficients, free: readonly FreeCoefficient[], predict: (k: Coefficients) => readonly Compared[], from = start,
): Fit {
  const scales = free.map((one) => new Scale(one, start[one.name]));
  // in units of the spread known before, so that the prior is the unit matrix.
  const at = (x: readonly number[]): Coefficients => {
    const k = Object.assign(new Coefficients(), start);
    free.forEach(({ name }, i) => {
      k[name] = scales[i].valueAt(x[i]);
    });
    return k;
  };
  const off = (x: readonly number[]) => predict(at(x)).map(({ predicted, measured }) => Math.log(predicted / measured));
  const isTtft = predict(start).map(({ metric }) => metric === 'ttft');
  let x = free.map(({ name }, i) => scales[i].placeOf(from[name]));
  let errors = off(x);
  let sigmas = [false, true].map((ttft) => {
    const squares = errors.filter((_, i) => isTtft[i] === ttft).map((error) => error * error);
    return Math.min(FIRST_SIGMA, Math.sqrt((MEASUREMENT_SIGMA ** 2 + squares.reduce((sum, one) => sum + one, 0)) / (1 + squares.length)));
  });
  let hessian = identity(free.length);
  let covariance = hessian;
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const scaled = (of: readonly number[]) => of.map((e, i) => e / sigmas[Number(isTtft[i])]);
    const height = (of: readonly number[], point: readonly number[]) => (
      scaled(of).reduce((sum, e) => sum + (FREEDOM + 1) * Math.log1p(e * e / FREEDOM), 0) + point.reduce((sum, e) => sum + e * e, 0)
    );
    let best = height(errors, x);
    let damping = FIRST_DAMPING;
    let weights: number[] = [];
    let jacobian: number[][] = [];
    let stride = 0;
    for (let iteration = 0; iteration < MAX_ITERATIONS && stride < STEPS.length; iteration++) {
      const r = scaled(errors);
      jacobian = free.map((_, j) => {
        const h = STEPS[stride] / free[j].relativeSigma;
        return scaled(off(x.map((value, i) => i === j ? value + h : value))).map((e, i) => (e - r[i]) / h);
      });
      weights = r.map((e) => (FREEDOM + 1) / (FREEDOM + e * e));
      hessian = free.map((_, a) => free.map((__, b) => (
        jacobian[a].reduce((sum, e, i) => sum + weights[i] * e * jacobian[b][i], a === b ? 1 : 0))));
      const gradient = x.map((value, a) => value + jacobian[a].reduce((sum, e, i) => sum + weights[i] * e * r[i], 0));
      const before = best;
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        const step = solve(hessian.map((row, a) => row.map((value, b) => a === b ? value * (1 + damping) : value)), gradient);
        const longest = Math.max(...step.map(Math.abs));
        const next = x.map((value, i) => value - step[i] * Math.min(1, LONGEST / longest));
        const moved = off(next);
        const value = height(moved, next);
        if (value < best) {
          [x, errors, best] = [next, moved, value];
          damping /= 8;
          break;
        }
        damping *= 8;
      }
      if (before - best < LEAST_GAIN * before) {
        stride += 1;
        damping = FIRST_DAMPING;
      }
    }
    // the share of a parameter that the measurements of a metric determine is not theirs to be off by.
    covariance = identity(free.length).map((unit) => solve(hessian, unit));
    const before = sigmas;
    sigmas = [false, true].map((ttft) => {
      let [count, determined, squares] = [0, 0, 0];
      errors.forEach((error, i) => {
        if (isTtft[i] === ttft) {
          count += 1;
          squares += weights[i] * error * error;
          const slopes = jacobian.map((column) => column[i]);
          determined += weights[i] * dot(slopes, covariance.map((row) => dot(row, slopes)));
        }
      });
      return Math.sqrt((MEASUREMENT_SIGMA ** 2 + squares) / (1 + count - determined));
    });
    if (sigmas.every((sigma, metric) => Math.abs(Math.log(sigma / before[metric])) < 0.02)) {
      break;
    }
  }
  const correlation = (a: number, b: number) => covariance[a][b] / Math.sqrt(covariance[a][a] * covariance[b][b]);
  const relativeSigmaOf = (i: number) => scales[i].relativeSigmaAt(x[i]) * Math.sqrt(covariance[i][i]);
  return {
    coefficients: at(x),
    relativeSigmas: new Map(free.map(({ name }, i): [CoefficientName, number] => [name, relativeSigmaOf(i)])),
    correlations: Object.fromEntries(free.map(({ name }, a) => (
      [name, Object.fromEntries(free.slice(0, a).map((other, b) => [other.name, correlation(a, b)]))]))),
  };
}

/** A coefficient by how many standard deviations it is from what was known: of its logarithm, or of a share, which ends at 1, of its log-odds. */
class Scale {
  private readonly centre: number;
  private readonly unit: number;
  private readonly isShare: boolean;

  constructor({ name, relativeSigma }: FreeCoefficient, value: number) {
    this.isShare = name.endsWith('Utilisation');
    const share = Math.min(value, HIGHEST_SHARE);
    this.centre = this.isShare ? Math.log(share / (1 - share)) : Math.log(value);
    this.unit = this.isShare ? relativeSigma / (1 - share) : relativeSigma;
  }

  public valueAt(place: number): number {
    const moved = Math.exp(this.centre + place * this.unit);
    return this.isShare ? moved / (1 + moved) : moved;
  }

  /** By how much the logarithm of the value changes with its place, there. */
  public relativeSigmaAt(place: number): number {
    return this.isShare ? this.unit * (1 - this.valueAt(place)) : this.unit;
  }

  public placeOf(value: number): number {
    const share = Math.min(value, HIGHEST_SHARE);
    return (Math.log(this.isShare ? share / (1 - share) : value) - this.centre) / this.unit;
  }
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * b[i], 0);
}

function identity(size: number): number[][] {
  return Array.from({ length: size }, (_, a) => Array.from({ length: size }, (__, b) => a === b ? 1 : 0));
}

/** Solves a system of equations whose matrix is symmetric and positive definite. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const n = right.length;
  const lower = choleskyFactor(matrix)!;
  const y: number[] = [];
  for (let i = 0; i < n; i++) {
    y.push((right[i] - y.reduce((sum, value, m) => sum + lower[i][m] * value, 0)) / lower[i][i]);
  }
  const x = new Array<number>(n).fill(0);
  for (let i = n - 1; i >= 0; i--) {
    x[i] = (y[i] - x.slice(i + 1).reduce((sum, value, m) => sum + lower[i + 1 + m][i] * value, 0)) / lower[i][i];
  }
  return x;
}
