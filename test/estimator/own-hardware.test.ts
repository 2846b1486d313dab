import { estimateOf, steady, trn2 } from './specs';
import { DeploymentSpec, Estimator, FleetPlanner } from '../../src/estimator';
import { specProblems } from '../../src/estimator/spec-check';
import { Accelerator } from '../../src/hardware';

const H100 = Accelerator.H100;
const FIGURES = {
  bf16FlopsPerSecond: H100.bf16FlopsPerSecond!,
  hbmBytes: H100.hbmBytes,
  hbmBytesPerSecond: H100.hbmBytesPerSecond,
  linkBytesPerSecond: H100.linkBytesPerSecond!,
};

function own(overrides: Partial<DeploymentSpec> = {}, pool: object = {}): DeploymentSpec {
  return trn2({
    model: { id: 'qwen3-32b' },
    workload: steady(1, 1000, 200),
    prefill: undefined,
    decode: { hardware: 'my machine', accelerator: { count: 8, ...FIGURES }, instances: 1, tensorParallelDegree: 8, ...pool },
    calibration: { coefficientSet: 'h100' },
    ...overrides,
  });
}

test('figures of one\'s own are estimated with as those of shipped hardware are', () => {
  const shipped = estimateOf(own({ decode: { hardware: 'p5.48xlarge', instances: 1, tensorParallelDegree: 8 }, calibration: undefined }));
  const estimate = estimateOf(own());
  expect(estimate.ttftSeconds).toEqual(shipped.ttftSeconds);
  expect(estimate.tpotSeconds).toEqual(shipped.tpotSeconds);
  expect(estimate.stages[0]).toMatchObject({ name: 'aggregated', hardware: 'my machine' });
  expect(estimate.usdPerHour).toBeUndefined();
  expect(estimateOf(own({}, { usdPerInstanceHour: 3 })).usdPerHour).toBe(3);
});

test('an instance has as many ranks as accelerators, one unless said', () => {
  const alone = own({}, { accelerator: { ...FIGURES, linkBytesPerSecond: undefined }, tensorParallelDegree: undefined, kvCacheTokens: 100_000 });
  expect(estimateOf(alone).tpotSeconds.mean.value).toBeGreaterThan(3 * estimateOf(own()).tpotSeconds.mean.value);
  expect(specProblems(own({}, { accelerator: FIGURES })).map(({ rule }) => rule)).toEqual(['TensorParallelDegreeTooHigh']);
});

test('what nobody has measured is refused unless a set to start from is named, and is not sure then', () => {
  expect(Estimator.estimate(own({ calibration: undefined })).refusal).toMatchObject({
    kind: 'unknown',
    reason: 'no published measurement supports coefficients for my machine, the accelerator of my machine',
    mend: expect.stringContaining('such as unmeasured'),
  });
  const { confidence, tpotSeconds: { mean } } = estimateOf(own({ calibration: { coefficientSet: 'unmeasured' } }));
  expect(confidence.level).toBe('low');
  expect(mean.high / mean.low).toBeGreaterThan(2);
});

test('a calibration is of the hardware that it was measured on', () => {
  const calibration = { coefficientSet: 'unmeasured', accelerator: 'my machine', decode: { weightBandwidthUtilisation: 0.5 } };
  expect(specProblems(own({ calibration }))).toEqual([]);
  expect(specProblems(own({ calibration: { ...calibration, accelerator: 'another' } })).map(({ rule }) => rule)).toEqual(['CalibrationOfOtherHardware']);
});

test.each<[string, object, string[]]>([
  ['a name that other hardware has', { hardware: 'p5.48xlarge' }, ['decode.hardware HardwareNameTaken']],
  ['no name', { hardware: '' }, ['decode.hardware HardwareNameTaken']],
  ['figures that are none', { accelerator: { count: 0.5, bf16FlopsPerSecond: -1, hbmBytesPerSecond: 1e12, linkBytesPerSecond: '1' }, tensorParallelDegree: 1 }, [
    'decode.accelerator.count CountNotPositive', 'decode.accelerator.bf16FlopsPerSecond NumberNotPositive', 'decode.accelerator.hbmBytes NumberNotPositive',
    'decode.accelerator.linkBytesPerSecond NumberNotPositive',
  ]],
  ['a number in place of figures', { accelerator: 5, tensorParallelDegree: 1 }, ['decode.accelerator SpecPartNotAnObject']],
  ['nothing in place of figures', { accelerator: null, tensorParallelDegree: 1 }, ['decode.accelerator SpecPartNotAnObject']],
])('%s is told', (_, pool, expected) => {
  expect(specProblems(own({ calibration: undefined }, pool)).map(({ path, rule }) => `${path} ${rule}`)).toEqual(expected);
});

test('a plan finds the count of hardware of one\'s own', () => {
  const spec = own({ workload: steady(40, 1000, 200), objective: { ttftSeconds: 1, tpotSeconds: 0.05 } }, { instances: undefined });
  const { outcome } = FleetPlanner.plan(spec);
  expect(outcome.estimate!.objectives.map(({ verdict }) => verdict)).toEqual(['held', 'held']);
  expect(outcome.estimate!.stages[0].instances).toBeGreaterThan(1);
});
