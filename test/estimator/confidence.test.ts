import { estimateOf, steady, trn2 } from './specs';
import { CalibrationSpec, Confidence, DeploymentSpec } from '../../src/estimator';
import { specProblems } from '../../src/estimator/spec-check';

const DECODE = { decodeLayerSeconds: 1e-4 };
const SMALL = { times: 40, meanError: 0.06 };
const OWN: CalibrationSpec = { decode: DECODE, model: 'llama-3.3-70b', ttftHeldOut: SMALL, tpotHeldOut: SMALL };

function confidenceOf(calibration: CalibrationSpec, overrides: Partial<DeploymentSpec> = {}): Confidence {
  return estimateOf(trn2({ prefill: undefined, workload: steady(0.1, 1000, 200), calibration, ...overrides })).confidence;
}

test('an estimate is as sure as what its figures were held against', () => {
  const { level, reason } = confidenceOf(OWN);
  expect(level).toBe('high');
  expect(reason).toBe('times to the first token rest on 40 of llama-3.3-70b on trn2.48xlarge, off by 6 % on average where they were left out; '
    + 'times per output token rest on 40 of llama-3.3-70b on trn2.48xlarge, off by 6 % on average where they were left out');
  expect(confidenceOf({ ...OWN, tpotHeldOut: { times: 40, meanError: 0.2 } }).level).toBe('medium');
  expect(confidenceOf({ ...OWN, tpotHeldOut: { times: 6, meanError: 0.01 } }).level).toBe('medium');
  expect(confidenceOf({ ...OWN, ttftHeldOut: { times: 100, meanError: 0.4 } }).level).toBe('low');
  expect(confidenceOf({ ...OWN, ttftHeldOut: { times: 2, meanError: 0 } }).level).toBe('low');
});

test('what was not measured is as sure as what is published of it', () => {
  const { level, reason } = confidenceOf({ ...OWN, ttftHeldOut: undefined });
  expect(level).toBe('medium');
  expect(reason).toContain('no multi-user curve of Trainium2 is public');
  expect(confidenceOf({ ...OWN, model: 'llama-3.1-8b' })).toEqual({ level: 'medium', reason: expect.stringContaining('those of llama-3.3-70b are not measured') });
});

test('hardware that nobody else has measured is sure when its owner has', () => {
  const decode = {
    hardware: 'my machine', accelerator: { count: 8, bf16FlopsPerSecond: 1e15, hbmBytes: 8e10, hbmBytesPerSecond: 3e12, linkBytesPerSecond: 4e11 }, instances: 1,
  };
  const calibration = { ...OWN, coefficientSet: 'unmeasured', accelerator: 'my machine' };
  expect(confidenceOf({ coefficientSet: 'unmeasured' }, { decode }).level).toBe('low');
  expect(confidenceOf(calibration, { decode }).level).toBe('high');
});

test('neither a full engine nor a hand-over is surer than what is known of it', () => {
  const capacity = estimateOf(trn2({ prefill: undefined, workload: steady(0.1, 1000, 200), calibration: OWN })).goodputRequestsPerSecond.value;
  expect(confidenceOf(OWN, { workload: steady(0.7 * capacity, 1000, 200) }).level).toBe('high');
  const full = confidenceOf(OWN, { workload: steady(0.9 * capacity, 1000, 200) });
  expect(full).toEqual({ level: 'medium', reason: expect.stringContaining('aggregated has 90 % of its capacity to do, where waits are far apart') });
  const apart = { ...OWN, prefill: { denseUtilisation: 0.4 } };
  expect(confidenceOf(apart, { prefill: { hardware: 'trn2.48xlarge', instances: 1 } })).toEqual({
    level: 'medium', reason: expect.stringContaining('how long caches are on the way is of published figures'),
  });
});

test('latencies have no upper bound where one in ten draws of the coefficients is unstable', () => {
  const reasonAt = (requestsPerSecond: number) => estimateOf(trn2({ workload: steady(requestsPerSecond, 1024, 256) })).confidence;
  expect(reasonAt(2).reason).not.toContain('no upper bound');
  expect(reasonAt(6.5)).toEqual({ level: 'low', reason: expect.stringMatching(/in \d+ of 64 draws .* so that latencies have no upper bound/) });
});

test('no measurement makes wafers sure', () => {
  const { level, reason } = confidenceOf(
    { decode: { waferLayerSeconds: 1e-5 }, prefill: { denseUtilisation: 0.4 }, model: 'llama-3.3-70b', ttftHeldOut: SMALL, tpotHeldOut: SMALL },
    { prefill: { hardware: 'trn2.48xlarge', instances: 1 }, decode: { hardware: 'cs-3', instances: 1 } },
  );
  expect(level).toBe('low');
  expect(reason).toContain('concurrency, KV ingest and hand-over time of CS-3 are not published');
});

test.each([{ times: 0, meanError: 0.1 }, { times: 1.5, meanError: 0.1 }, { times: 3, meanError: -1 }, { times: 3 }, 5, null])('%j is no evidence', (tpotHeldOut: any) => {
  expect(specProblems(trn2({ calibration: { decode: DECODE, tpotHeldOut } })).map(({ rule, path }) => `${path} ${rule}`))
    .toEqual(['calibration.tpotHeldOut CalibrationHeldOutInvalid']);
});
