import { calibrate } from '../../src/estimator/calibration/calibrate';
import { Measurements, compare } from '../../src/estimator/calibration/measurements';
import { Coefficients } from '../../src/estimator/phases/coefficients';
import { modelShape } from '../../src/estimator/phases/model-shape';
import { ModelArchitecture } from '../../src/model';

const ENGINE = {
  model: modelShape(ModelArchitecture.of('llama-3.1-8b').spec, 2, 2),
  engine: { flopsPerSecond: 1e15, memoryBytesPerSecond: 3e12, memoryBytes: 8e10, kvCopies: 1, lowPrecision: false },
  limits: { sequences: 64, stepTokens: 2048, kvTokens: Infinity },
};
const START = Object.assign(new Coefficients(), {
  prefillDenseUtilisation: 0.6,
  prefillAttentionUtilisation: 0.4,
  prefillLayerSeconds: 3e-5,
  decodeBandwidthUtilisation: 0.8,
  decodeKvBandwidthUtilisation: 0.6,
  decodeLayerSeconds: 5e-5,
  decodeSequenceLayerSeconds: 3e-7,
  gatewaySeconds: 0.01,
});
const TRUE = Object.assign(new Coefficients(), START, {
  prefillDenseUtilisation: 0.45, decodeBandwidthUtilisation: 0.7, decodeKvBandwidthUtilisation: 0.8, decodeLayerSeconds: 8e-5, gatewaySeconds: 0.02,
});

/** What an engine of the true coefficients would be measured as. */
function measured(): Measurements {
  const prompts = [64, 256, 1024, 4096, 8192].map((inputTokens) => ({ inputTokens, ttftSeconds: 1 }));
  const steps = [1, 4, 16, 64].flatMap((sequences) => [512, 4096].map((contextTokens) => ({ sequences, contextTokens, stepSeconds: 1 })));
  const loops = [4, 32].map((concurrency) => ({ concurrency, inputTokens: 1024, outputTokens: 64, ttftSeconds: 1, tpotSeconds: 1 }));
  const logs = [Array.from({ length: 30 }, (_, i) => (
    { arrivalSeconds: i / 10, inputTokens: 200 + 50 * i, outputTokens: 40, ttftSeconds: 1, endToEndSeconds: 2 }))];
  const times = compare(ENGINE, { prompts, steps, loops, logs }, TRUE).map(({ predicted }) => predicted);
  return {
    prompts: prompts.map((one) => ({ ...one, ttftSeconds: times.shift()! })),
    steps: steps.map((one) => ({ ...one, stepSeconds: times.shift()! })),
    loops: loops.map((one) => ({ ...one, ttftSeconds: times.shift()!, tpotSeconds: times.shift()! })),
    logs: logs.map((log) => log.map((one) => {
      const [ttftSeconds, gap] = [times.shift()!, times.shift()!];
      return { ...one, ttftSeconds, endToEndSeconds: ttftSeconds + gap * (one.outputTokens - 1) };
    })),
  };
}

test('coefficients are found again from what they give', () => {
  const { coefficients, relativeSigmas } = calibrate(START, [{ engine: ENGINE, measurements: measured() }]);
  const errors = (k: Coefficients) => compare(ENGINE, measured(), k).map(({ measured: time, predicted }) => Math.abs(predicted / time - 1));
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  // measurements count as exact to a tenth, and what was known before pulls as well.
  expect(mean(errors(coefficients))).toBeLessThan(0.05);
  expect(mean(errors(coefficients))).toBeLessThan(mean(errors(START)) / 5);
  expect(Math.abs(coefficients.gatewaySeconds / TRUE.gatewaySeconds - 1)).toBeLessThan(0.15);
  expect(Math.abs(coefficients.decodeLayerSeconds / TRUE.decodeLayerSeconds - 1)).toBeLessThan(0.15);
  expect(relativeSigmas.get('gatewaySeconds')).toBeLessThan(0.2);
});

test('what the measurements say nothing of stays as it was, with its spread', () => {
  const { steps } = measured();
  const { coefficients, relativeSigmas } = calibrate(START, [{ engine: ENGINE, measurements: { prompts: [], steps, loops: [], logs: [] } }]);
  expect(coefficients.prefillLayerSeconds).toBeCloseTo(START.prefillLayerSeconds, 8);
  expect(relativeSigmas.get('prefillLayerSeconds')).toBeCloseTo(0.7, 6);
});

test('a request whose times are not known is load to the others', () => {
  const log = [0, 0.001, 0.002].map((arrivalSeconds) => (
    { arrivalSeconds, inputTokens: 8000, outputTokens: 20, ttftSeconds: 1, endToEndSeconds: 2 }));
  const last = (first: number) => (
    compare(ENGINE, { prompts: [], steps: [], loops: [], logs: [log.slice(first)] }, START).slice(-2).map(({ predicted }) => predicted));
  const unknown = log.map((one, i) => i < 2 ? { ...one, ttftSeconds: undefined, endToEndSeconds: undefined } : one);
  const compared = compare(ENGINE, { prompts: [], steps: [], loops: [], logs: [unknown] }, START);
  expect(compared).toHaveLength(2);
  expect(compared.map(({ predicted }) => predicted)).toEqual(last(0));
  expect(compared[0].predicted).toBeGreaterThan(2 * last(2)[0]);
});
