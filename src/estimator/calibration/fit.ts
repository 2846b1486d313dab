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
  /** Standard deviation of the logarithm of each free coefficient, given the measurements. */
  readonly relativeSigmas: ReadonlyMap<CoefficientName, number>;
}

/** What a measurement is off by, as a standard deviation of the logarithm, apart from what the coefficients explain. */
const MEASUREMENT_SIGMA = 0.1;

/** Beyond this many standard deviations a measurement counts as an odd one, which does not pull the rest. */
const ODD = 2;

/** Steps of the simplex, each a prediction of everything or two: enough to be in the valley. */
const SIMPLEX_STEPS = 60;

/** Steps down the valley, each a prediction of everything for every coefficient and up to `MAX_ATTEMPTS` more. */
const MAX_ITERATIONS = 8;

const MAX_ATTEMPTS = 8;

/** Standard deviations that a coefficient moves by at once: what is beyond is another landscape. */
const LONGEST = 0.5;

/** Change of a coefficient's logarithm that its effect is measured by: events of a simulation come in whole steps, which smaller changes show none of. */
const STEP = 0.02;

/**
 * Fits coefficients to measured times: the most probable ones, given what was known of them before, with Huber's weights for odd measurements.
 *
 * A simplex (Nelder and Mead) finds the valley, which simulated queues make rough, and Levenberg and Marquardt's method its bottom and its width.
 *
 * Coefficients that the measurements say nothing of stay where they were, with the spread that they had.
 *
 * @param start the coefficients known before.
 * @param free those that are fitted.
 * @param measured the measured times; what is measured in one unit is predicted in the same.
 * @param predict what the coefficients say of each measurement, in the same order.
 */
export function fitCoefficients(
  start: Coefficients, free: readonly FreeCoefficient[], measured: readonly number[], predict: (k: Coefficients) => readonly number[],
): Fit {
  const scales = free.map((one) => scaleOf(one, start[one.name]));
  const at = (x: readonly number[]): Coefficients => {
    const k = Object.assign(new Coefficients(), start);
    free.forEach(({ name }, i) => {
      k[name] = scales[i](x[i]);
    });
    return k;
  };
  const residuals = (x: readonly number[]) => predict(at(x)).map((value, i) => Math.log(value / measured[i]) / MEASUREMENT_SIGMA);
  const loss = (r: readonly number[], x: readonly number[]) => (
    r.reduce((sum, e) => sum + (Math.abs(e) < ODD ? e * e : ODD * (2 * Math.abs(e) - ODD)), 0) + x.reduce((sum, e) => sum + e * e, 0)
  );
  // in units of the spread known before, so that the prior is the unit matrix.
  let x = descend(free.length, (point) => loss(residuals(point), point));
  let r = residuals(x);
  let best = loss(r, x);
  let damping = 1;
  let hessian = identity(free.length);
  for (let iteration = 0; iteration < MAX_ITERATIONS; iteration++) {
    const jacobian = free.map((_, j) => {
      const h = STEP / free[j].relativeSigma;
      const moved = residuals(x.map((value, i) => i === j ? value + h : value));
      return moved.map((e, i) => (e - r[i]) / h);
    });
    const weights = r.map((e) => Math.abs(e) < ODD ? 1 : ODD / Math.abs(e));
    hessian = identity(free.length).map((row, a) => row.map((one, b) => (
      one + jacobian[a].reduce((sum, e, i) => sum + weights[i] * e * jacobian[b][i], 0))));
    const gradient = x.map((value, a) => value + jacobian[a].reduce((sum, e, i) => sum + weights[i] * e * r[i], 0));
    const before = best;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const step = solve(hessian.map((row, a) => row.map((value, b) => a === b ? value * (1 + damping) : value)), gradient);
      const longest = Math.max(...step.map(Math.abs));
      const next = x.map((value, i) => value - step[i] * Math.min(1, LONGEST / longest));
      const moved = residuals(next);
      const value = loss(moved, next);
      if (value < best) {
        [x, r, best] = [next, moved, value];
        damping /= 4;
        break;
      }
      damping *= 4;
    }
    if (before - best < 1e-4 * before) {
      break;
    }
  }
  const relativeSigmas = free.map(({ name, relativeSigma }, i): [CoefficientName, number] => {
    const unit = free.map((_, j) => i === j ? 1 : 0);
    return [name, relativeSigma * Math.sqrt(solve(hessian, unit)[i])];
  });
  return { coefficients: at(x), relativeSigmas: new Map(relativeSigmas) };
}

/** A coefficient by how many standard deviations it is from where the fit starts: its logarithm, or of a share, which ends at 1, its log-odds. */
function scaleOf({ name, relativeSigma }: FreeCoefficient, value: number): (x: number) => number {
  if (!name.endsWith('Utilisation')) {
    return (x) => value * Math.exp(x * relativeSigma);
  }
  const share = Math.min(value, 0.99);
  const odds = share / (1 - share);
  return (x) => {
    const moved = odds * Math.exp(x * relativeSigma / (1 - share));
    return moved / (1 + moved);
  };
}

/** The lowest point that a simplex finds from the origin in a few steps. */
function descend(dimensions: number, height: (x: readonly number[]) => number): number[] {
  const place = (x: number[]) => ({ x, y: height(x) });
  const origin = identity(dimensions);
  let simplex = [place(origin.map(() => 0)), ...origin.map((unit) => place(unit))];
  for (let step = 0; step < SIMPLEX_STEPS; step++) {
    simplex.sort((a, b) => a.y - b.y);
    const worst = simplex[dimensions];
    const centre = origin.map((_, j) => simplex.slice(0, dimensions).reduce((sum, { x }) => sum + x[j], 0) / dimensions);
    const beyond = (times: number) => place(centre.map((value, j) => value + times * (value - worst.x[j])));
    const reflected = beyond(1);
    const moved = reflected.y < simplex[0].y ? [beyond(2), reflected] : reflected.y < simplex[dimensions - 1].y ? [reflected] : [beyond(-0.5)];
    const best = moved.reduce((a, b) => a.y <= b.y ? a : b);
    if (best.y < worst.y) {
      simplex[dimensions] = best;
    } else {
      simplex = simplex.map(({ x }, i) => i === 0 ? simplex[0] : place(x.map((value, j) => (value + simplex[0].x[j]) / 2)));
    }
  }
  return simplex.reduce((a, b) => a.y <= b.y ? a : b).x;
}

function identity(size: number): number[][] {
  return Array.from({ length: size }, (_, a) => Array.from({ length: size }, (__, b) => a === b ? 1 : 0));
}

/** Solves a system of equations whose matrix is symmetric and positive definite (Cholesky). */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const n = right.length;
  const lower = identity(n).map((row) => row.map(() => 0));
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      const rest = matrix[i][j] - lower[i].slice(0, j).reduce((sum, value, m) => sum + value * lower[j][m], 0);
      lower[i][j] = i === j ? Math.sqrt(rest) : rest / lower[j][j];
    }
  }
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
