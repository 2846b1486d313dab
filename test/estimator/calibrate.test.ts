import { calibrate } from '../../src/estimator/calibration/calibrate';
import { configurationsOf, foreseen } from '../../src/estimator/calibration/held-out';
import { ClosedLoop, MeasuredConfiguration, MeasuredEngine, Measurements } from '../../src/estimator/calibration/measurements';
import { Coefficients } from '../../src/estimator/phases/coefficients';
import { modelShape } from '../../src/estimator/phases/model-shape';
import { promptSeconds } from '../../src/estimator/phases/prefill';
import { MixedEngine } from '../../src/estimator/simulation/mixed-engine';
import { MixedRequest, replay } from '../../src/estimator/simulation/replay';
import { ModelArchitecture } from '../../src/model';

const ENGINE = {
  model: modelShape(ModelArchitecture.of('llama-3.1-8b').spec, 2, 2),
  engine: {
    flopsPerSecond: 1e15,
    memoryBytesPerSecond: 3e12,
    memoryBytes: 8e10,
    ranks: 1,
    chips: 1,
    linkBytesPerSecond: 0,
    stages: 1,
    expertSharers: 1,
    kvCopies: 1,
    serialKvHeads: 1,
    contextLayerTokens: 0,
    expertPasses: 0,
    peakDoublings: 0,
  },
  limits: { sequences: 64, stepTokens: 2048, blockTokens: 16, kvTokens: Infinity },
};
const START = Object.assign(new Coefficients(), {
  denseUtilisation: 0.6,
  prefillAttentionUtilisation: 0.4,
  prefillLayerSeconds: 3e-5,
  weightBandwidthUtilisation: 0.8,
  kvBandwidthUtilisation: 0.6,
  decodeLayerSeconds: 5e-5,
  decodeSequenceLayerSeconds: 3e-7,
  gatewaySeconds: 0.01,
});
const TRUE = Object.assign(new Coefficients(), START, {
  denseUtilisation: 0.45, weightBandwidthUtilisation: 0.7, kvBandwidthUtilisation: 0.8, decodeLayerSeconds: 8e-5, gatewaySeconds: 0.02,
});

const NOTHING: Measurements = { prompts: [], steps: [], loops: [], logs: [] };
const compare = (measurements: Partial<Measurements>, k: Coefficients) => (
  new MeasuredConfiguration(ENGINE, { ...NOTHING, ...measurements }).compare(k));

/** What an engine of these coefficients would be measured as. */
function measuredOf(truth: Coefficients): Measurements {
  const prompts = [64, 256, 1024, 4096, 8192].map((inputTokens) => ({ inputTokens, ttftSeconds: 1 }));
  const steps = [1, 4, 16, 64].flatMap((sequences) => [512, 4096].map((contextTokens) => ({ sequences, contextTokens, stepSeconds: 1 })));
  const loops = [4, 32].map((concurrency) => ({ concurrency, inputTokens: 1024, outputTokens: 64, ttftSeconds: 1, tpotSeconds: 1 }));
  const logs = [Array.from({ length: 30 }, (_, i) => (
    { arrivalSeconds: i / 10, inputTokens: 200 + 50 * i, outputTokens: 40, ttftSeconds: 1, endToEndSeconds: 2 }))];
  const times = compare({ prompts, steps, loops, logs }, truth).map(({ predicted }) => predicted);
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

test.each<[string, Partial<Coefficients>]>([
  ['near', TRUE],
  ['slow to start, quick to read', { ...TRUE, denseUtilisation: 0.75, weightBandwidthUtilisation: 0.9, decodeLayerSeconds: 2e-4, gatewaySeconds: 0.002 }],
  ['slow with many', { ...TRUE, decodeSequenceLayerSeconds: 2e-6, prefillAttentionUtilisation: 0.15, prefillLayerSeconds: 1e-4 }],
])('coefficients are found again from what they give, every time of it: %s', (_, truth) => {
  const exact = Object.assign(new Coefficients(), truth);
  const measurements = measuredOf(exact);
  const { coefficients, relativeSigmas } = calibrate(START, configurationsOf(ENGINE, measurements));
  for (const { measured, predicted } of compare(measurements, coefficients)) {
    expect(Math.abs(predicted / measured - 1)).toBeLessThan(1e-3);
  }
  expect(Math.abs(coefficients.gatewaySeconds / exact.gatewaySeconds - 1)).toBeLessThan(0.01);
  expect(Math.abs(coefficients.decodeLayerSeconds / exact.decodeLayerSeconds - 1)).toBeLessThan(0.01);
  expect(relativeSigmas.get('gatewaySeconds')).toBeLessThan(0.1);
});

test('the sum of what is not told apart is known better than its parts, and so is what estimates say of it', () => {
  // one batch and context: floors, weights and caches are one time.
  const steps = [0.99, 1, 1.01].map((share) => ({ sequences: 8, contextTokens: 1024, stepSeconds: 0.02 * share }));
  const configuration = new MeasuredConfiguration(ENGINE, { ...NOTHING, steps });
  const fit = calibrate(START, [configuration]);
  const spreadOf = (correlations: typeof fit.correlations) => {
    const [{ low, high }] = foreseen(configuration, { ...fit, correlations });
    return Math.log(high / low);
  };
  expect(fit.relativeSigmas.get('decodeLayerSeconds')).toBeGreaterThan(0.1);
  expect(spreadOf(fit.correlations)).toBeLessThan(0.05);
  expect(spreadOf({})).toBeGreaterThan(5 * spreadOf(fit.correlations));
});

test('a prompt that the engine reads in segments takes a step for each', () => {
  const ttft = (inputTokens: number, segmentTokens?: number) => (
    compare({ prompts: [{ inputTokens, segmentTokens, ttftSeconds: 1 }] }, TRUE)[0].predicted);
  const { gatewaySeconds } = TRUE;
  expect(ttft(8192, 2048)).toBeCloseTo(gatewaySeconds + promptSeconds(ENGINE.model, ENGINE.engine, TRUE, 8192, 0, 2048), 12);
  expect(ttft(8192, 2048)).toBeGreaterThan(ttft(8192));
  expect(ttft(2048, 2048)).toBeCloseTo(ttft(2048), 12);
});

describe('a closed loop', () => {
  const engine = { ...ENGINE, limits: { sequences: Infinity, stepTokens: 1000, blockTokens: 16, kvTokens: 1e5 } };
  const loop = (of: Partial<ClosedLoop>, measured: MeasuredEngine) => {
    const whole = { concurrency: 1, inputTokens: 1000, outputTokens: 20, ttftSeconds: 1, tpotSeconds: 1, shortestShare: 1, ...of };
    return new MeasuredConfiguration(measured, { ...NOTHING, loops: [whole] }).compare(TRUE).map(({ predicted }) => predicted);
  };

  test('falls out of step where nothing says that all lengths are one', () => {
    const [together] = loop({ concurrency: 9, outputTokens: 200 }, engine);
    const [apart] = loop({ concurrency: 9, outputTokens: 200, shortestShare: undefined }, engine);
    expect(apart).toBeLessThan(0.9 * together);
  });

  test('waits for an answer to end where the engine holds a request back', () => {
    const [ttft, tpot] = loop({ concurrency: 4, outputTokens: 200 }, engine);
    const [heldTtft, heldTpot] = loop({ concurrency: 4, outputTokens: 200, heldBack: 1 }, engine);
    const answerSeconds = heldTtft + 199 * heldTpot - TRUE.gatewaySeconds;
    expect(heldTtft - ttft).toBeGreaterThan(0.5 * answerSeconds / 4);
    expect(heldTtft - ttft).toBeLessThan(1.2 * answerSeconds / 4);
    expect(heldTpot).toBeLessThan(tpot);
  });

  test('of one client takes as long as the engine that is simulated request by request', () => {
    for (const [inputTokens, outputTokens] of [[1000, 20], [2500, 7], [30, 300]]) {
      const request: MixedRequest = { arrivalSeconds: 0, inputTokens, outputTokens, firstTokenSeconds: NaN, lastTokenSeconds: NaN };
      replay(new MixedEngine(engine.model, engine.engine, TRUE, engine.limits), [request]);
      const [ttft, tpot] = loop({ inputTokens, outputTokens }, engine);
      expect(ttft).toBeCloseTo(TRUE.gatewaySeconds + request.firstTokenSeconds, 9);
      expect(tpot).toBeCloseTo((request.lastTokenSeconds - request.firstTokenSeconds) / (outputTokens - 1), 9);
    }
  });

  test('of many clients reads prompts one after the other, and writes when all are read, where steps read or write', () => {
    const [alone] = loop({ outputTokens: 1 }, engine);
    const [ttft, tpot] = loop({ concurrency: 9 }, { ...engine, promptsAlone: true });
    expect(ttft - TRUE.gatewaySeconds).toBeCloseTo((alone - TRUE.gatewaySeconds) * 5, 9);
    expect(loop({ concurrency: 9 }, engine)[0]).toBeLessThan(ttft);
    // between the first token and the last of a request are the prompts that are read after its own.
    const [step] = new MeasuredConfiguration(engine, { ...NOTHING, steps: [{ sequences: 9, contextTokens: 1010, stepSeconds: 1 }] }).compare(TRUE);
    expect(tpot).toBeCloseTo(step.predicted + 4 * (alone - TRUE.gatewaySeconds) / 19, 9);
  });

  test('beyond the KV cache waits for room', () => {
    const roomy = loop({ concurrency: 8, outputTokens: 200 }, engine);
    const [ttft, tpot] = loop({ concurrency: 8, outputTokens: 200 }, { ...engine, limits: { ...engine.limits, kvTokens: 2400 } });
    expect(ttft).toBeGreaterThan(10 * roomy[0]);
    expect(tpot).toBeLessThan(roomy[1]);
  });

  test('of lengths that differ keeps to their mean', () => {
    const [, alike] = loop({ concurrency: 4, inputTokens: 900, outputTokens: 270 }, engine);
    const [, differing] = loop({ concurrency: 4, inputTokens: 1000, outputTokens: 300, shortestShare: 0.8 }, engine);
    expect(Math.abs(differing / alike - 1)).toBeLessThan(0.05);
  });
});

test('what the measurements say nothing of stays as it was, with its spread', () => {
  const { steps } = measuredOf(TRUE);
  const { coefficients, relativeSigmas } = calibrate(START, [new MeasuredConfiguration(ENGINE, { ...NOTHING, steps })]);
  expect(coefficients.prefillLayerSeconds).toBeCloseTo(START.prefillLayerSeconds, 8);
  expect(relativeSigmas.get('prefillLayerSeconds')).toBeCloseTo(0.7, 6);
});

test('a request whose times are not known is load to the others', () => {
  const log = [0, 0.001, 0.002].map((arrivalSeconds) => (
    { arrivalSeconds, inputTokens: 8000, outputTokens: 20, ttftSeconds: 1, endToEndSeconds: 2 }));
  const last = (first: number) => (
    compare({ logs: [log.slice(first)] }, START).slice(-2).map(({ predicted }) => predicted));
  const unknown = log.map((one, i) => i < 2 ? { ...one, ttftSeconds: undefined, endToEndSeconds: undefined } : one);
  const compared = compare({ logs: [unknown] }, START);
  expect(compared).toHaveLength(2);
  expect(compared.map(({ predicted }) => predicted)).toEqual(last(0));
  expect(compared[0].predicted).toBeGreaterThan(2 * last(2)[0]);
});
