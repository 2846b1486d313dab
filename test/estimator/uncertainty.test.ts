import * as fc from 'fast-check';
import { estimateOf, steady, trn2 } from './specs';
import { CalibrationSpec } from '../../src/estimator';
import { Correlations, predictionSpreads, roundedCorrelations, setNamed } from '../../src/estimator/calibration/calibration';
import { CoefficientDraws } from '../../src/estimator/calibration/draws';
import { choleskyFactor } from '../../src/estimator/cholesky';
import { CoefficientName, Coefficients } from '../../src/estimator/phases/coefficients';
import { ModelShape } from '../../src/estimator/phases/shapes';
import { specProblems } from '../../src/estimator/spec-check';
import { DRAWS } from '../../src/estimator/uncertainty';

const NAMES: CoefficientName[] = ['decodeLayerSeconds', 'engineStepSeconds', 'weightBandwidthUtilisation', 'kvBandwidthUtilisation', 'collectiveHopSeconds'];

/** A matrix of correlations that can be, from any directions. */
const direction = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 7, maxLength: 7 });
const correlationMatrices = fc.array(direction, { minLength: 5, maxLength: 5 })
  .map((rows) => rows.map((row, i) => row.map((value, j) => (i === j ? 0.1 + Math.abs(value) : value))))
  .map((rows) => rows.map((a) => rows.map((b) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)))));

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * b[i], 0);
}

const asWritten = (matrix: readonly (readonly number[])[]) => roundedCorrelations(Object.fromEntries(
  NAMES.map((name, i) => [name, Object.fromEntries(NAMES.slice(0, i).map((other, j) => [other, matrix[i][j]]))])));

function drawnOf(values: readonly number[], relativeSigmas: readonly number[], correlations: Correlations): number[][] {
  const draws = new CoefficientDraws(values.map((value, i) => ({ name: NAMES[i], value, relativeSigma: relativeSigmas[i] })), correlations);
  return Array.from({ length: DRAWS }, (_, draw) => {
    const k = new Coefficients();
    draws.fill(k, draw);
    return NAMES.slice(0, values.length).map((name) => k[name]);
  });
}

test('a matrix is the product of its factor with itself', () => {
  fc.assert(fc.property(correlationMatrices, (matrix) => {
    const lower = choleskyFactor(matrix, 1e-12)!;
    matrix.forEach((row, i) => row.slice(0, i + 1).forEach((value, j) => {
      expect(dot(lower[i], [...lower[j], ...NAMES.map(() => 0)])).toBeCloseTo(value, 5);
    }));
  }));
  expect(choleskyFactor([[1, 2], [2, 1]])).toBeUndefined();
});

test('what "calibrate" rounds is taken, and draws are of its coefficients: positive, shares at most 1, the same each time', () => {
  const spreads = fc.array(fc.double({ min: 0.01, max: 2, noNaN: true }), { minLength: 5, maxLength: 5 });
  fc.assert(fc.property(correlationMatrices, spreads, (matrix, sigmas) => {
    const values = [1e-4, 1e-3, 0.8, 0.5, 1e-6];
    const correlations = asWritten(matrix);
    const decode = Object.fromEntries(NAMES.map((name, i) => [name, values[i]]));
    expect(specProblems(trn2({ calibration: { decode, decodeCorrelations: correlations } }))).toEqual([]);
    const drawn = drawnOf(values, sigmas, correlations);
    expect(drawn).toEqual(drawnOf(values, sigmas, correlations));
    const most = NAMES.map((name) => (name.endsWith('Utilisation') ? 1 : Infinity));
    expect(drawn.filter((row) => !row.every((value, i) => value > 0 && value <= most[i]))).toEqual([]);
  }));
});

test('times of which the sum is known have it in every draw', () => {
  for (const [first, second] of drawnOf([3e-4, 1e-4], [0.1, 0.3], { engineStepSeconds: { decodeLayerSeconds: -1 } })) {
    expect(first + second).toBeCloseTo(4e-4, 12);
  }
});

test('a share and its inverse in a product leave it as it is', () => {
  for (const [, , share, other] of drawnOf([1, 1, 0.3, 0.2], [0, 0, 0.4, 0.4], { kvBandwidthUtilisation: { weightBandwidthUtilisation: -1 } })) {
    expect(share * other).toBeCloseTo(0.06, 12);
  }
});

test('an estimate is as sure of a sum as its calibration is, and not of its parts', () => {
  const decode = { decodeLayerSeconds: 1e-4, engineStepSeconds: 8e-3 };
  const decodeRelativeSigmas = { decodeLayerSeconds: 0.3, engineStepSeconds: 0.3 };
  const widthOf = (more: object) => {
    const { mean } = estimateOf(trn2({ workload: steady(0.01, 1000, 100), calibration: { decode, decodeRelativeSigmas, ...more } })).tpotSeconds;
    return Math.log(mean.high / mean.low);
  };
  const apart = widthOf({ tpotRelativeSigma: 0 });
  expect(widthOf({ tpotRelativeSigma: 0, decodeCorrelations: { decodeLayerSeconds: { engineStepSeconds: -0.99 } } })).toBeLessThan(0.6 * apart);
  expect(widthOf({ tpotRelativeSigma: 0, decodeCorrelations: { engineStepSeconds: { decodeLayerSeconds: 0.99 } } })).toBeGreaterThan(apart);
  const misfit = 0.2;
  expect(widthOf({ tpotRelativeSigma: misfit })).toBeCloseTo(Math.hypot(apart, 2 * 1.2816 * misfit), 2);
});

test('one coefficient that the user gives leaves what the others are off by, and all of them nothing', () => {
  const spec = trn2({ prefill: undefined, workload: steady(0.01, 1000, 100) });
  const widthsOf = (calibration: CalibrationSpec) => {
    const { ttftSeconds, tpotSeconds } = estimateOf({ ...spec, calibration });
    return [ttftSeconds, tpotSeconds].map(({ mean }) => Math.log(mean.high / mean.low));
  };
  const [{ coefficients }] = estimateOf(spec).stages;
  const { prefillLayerSeconds, ...others } = Object.fromEntries(coefficients.map(({ name, value }) => [name, value]));
  const { ttft, tpot } = predictionSpreads(setNamed('trainium2')!, { experts: 0 } as ModelShape);
  const [atLeast, ofTokens] = [ttft!, tpot!].map(({ relativeSigma }) => 2 * 1.2815 * relativeSigma);
  for (const decode of [{ prefillLayerSeconds }, others]) {
    const widths = widthsOf({ decode });
    expect(widths[0]).toBeGreaterThanOrEqual(atLeast);
    expect(widths[1]).toBeGreaterThanOrEqual(ofTokens);
    const told = widthsOf({ decode, ttftRelativeSigma: 0 });
    expect(told[0]).toBeLessThan(widths[0]);
    expect(told[1]).toBe(widths[1]);
  }
  expect(widthsOf({ decode: { prefillLayerSeconds, ...others } })).toEqual([0, 0]);
});

test.each<[string, object, string[]]>([
  ['beyond 1', { decodeLayerSeconds: { engineStepSeconds: 1.1 } }, ['CalibrationCorrelationOutOfRange']],
  ['no number', { decodeLayerSeconds: { engineStepSeconds: '1' } }, ['CalibrationCorrelationOutOfRange']],
  ['of a pair twice', { decodeLayerSeconds: { engineStepSeconds: 0.1 }, engineStepSeconds: { decodeLayerSeconds: 0.1 } }, ['CalibrationCorrelationTwice']],
  ['with itself', { decodeLayerSeconds: { decodeLayerSeconds: 1 } }, ['CalibrationCorrelationTwice']],
  ['of what is not given', { decodeLayerSeconds: { gatewaySeconds: 0.1 } }, ['CalibrationCorrelationAlone']],
  ['of three that cannot be together', { decodeLayerSeconds: { engineStepSeconds: 0.9, collectiveHopSeconds: -0.9 }, engineStepSeconds: { collectiveHopSeconds: 0.9 } },
    ['CalibrationCorrelationsImpossible']],
  ['of one as another, which goes with a third otherwise',
    { engineStepSeconds: { decodeLayerSeconds: 1 }, collectiveHopSeconds: { engineStepSeconds: -0.5, decodeLayerSeconds: 0.5 } },
    ['CalibrationCorrelationsImpossible']],
])('a correlation %s is told', (_, decodeCorrelations, rules) => {
  const decode = { decodeLayerSeconds: 1e-4, engineStepSeconds: 1e-3, collectiveHopSeconds: 1e-6 };
  // as a file has it, which may have anything.
  const calibration: CalibrationSpec = JSON.parse(JSON.stringify({ decode, decodeCorrelations }));
  expect(specProblems(trn2({ calibration })).map(({ rule }) => rule)).toEqual(rules);
});
