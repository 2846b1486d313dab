import { SCHEMA, estimateOf, trn2 } from './specs';
import { DeploymentSpec, Estimator, Simulator } from '../../src/estimator';

type Classes = DeploymentSpec['workload']['lengthClasses'];

/** Answers as even as they come: a twentieth longer or shorter, as those of exactly one length end together. */
const even = (weight: number, inputTokens: number, outputTokens: number): Classes => (
  [0.95, 0.97, 0.99, 1.01, 1.03, 1.05].map((share) => ({ weight: weight / 6, inputTokens, outputTokens: Math.round(outputTokens * share) })));
const MIX = [...even(0.7, 500, 100), ...even(0.3, 4000, 300)];
const EVEN = even(1, 1024, 1024);

/** A fleet at a rate. */
type Fleet = (requestsPerSecond: number) => DeploymentSpec;

const workload = (requestsPerSecond: number, lengthClasses: Classes) => ({ source: 'saturation', requestsPerSecond, lengthClasses });

const gpus = (
  lengthClasses: Classes, instances: number, maxConcurrentSequences: number, maxBatchedTokens?: number, prefill?: number,
): Fleet => (rate) => {
  const hardware = 'p5.48xlarge';
  return {
    schema: SCHEMA,
    model: { id: 'qwen3-32b' },
    workload: workload(rate, lengthClasses),
    ...prefill && { prefill: { hardware, instances: prefill, tensorParallelDegree: 4 } },
    decode: { hardware, instances, tensorParallelDegree: 4, maxConcurrentSequences, maxBatchedTokens },
  };
};

const trainium = (prefill: number, instances: number): Fleet => (rate) => trn2({
  workload: workload(rate, MIX),
  prefill: prefill === 0 ? undefined : { hardware: 'trn2.48xlarge', instances: prefill },
  decode: { hardware: 'trn2.48xlarge', instances },
});

/** Fleets, at loads at which the waits of these runs settle. */
const FLEETS: [string, Fleet, number[]][] = [
  ['prompts in chunks, 2 engines of 128 slots', gpus(EVEN, 1, 128, 2048), [0.3, 0.6, 0.9]],
  ['prompts in chunks, long ones, 2 engines', gpus(MIX, 1, 128, 2048), [0.3, 0.6, 0.9]],
  ['prompts in chunks, long ones, 8 engines', gpus(MIX, 4, 64, 8192), [0.3, 0.6, 0.9]],
  ['prompts between steps, 2 engines of 32 slots', gpus(EVEN, 1, 32), [0.3, 0.6, 0.9, 0.97]],
  ['prompts between steps, long ones, 8 engines', gpus(MIX, 4, 128), [0.3, 0.6, 0.9, 0.97]],
  ['prompts between steps, long ones, 1 engine', trainium(0, 1), [0.3, 0.6, 0.9, 0.97]],
  ['prefill apart, full decode', gpus(EVEN, 4, 32, undefined, 4), [0.3, 0.6, 0.9, 0.97]],
  ['prefill apart, 1 full engine', trainium(1, 4), [0.3, 0.6, 0.9, 0.97]],
  ['prefill apart, 4 full engines', trainium(4, 16), [0.3, 0.6, 0.9, 0.97]],
];

/** Requests of a run: as many as waits take to settle, a quarter of a million at 0.9 within 3 % of those of a million. */
const REQUESTS: { readonly [load: number]: number } = { 0.3: 10_000, 0.6: 10_000, 0.9: 250_000, 0.97: 1_000_000 };

/** The highest rate that there is an estimate of. */
function capacity(fleet: Fleet): number {
  let [low, high] = [1e-3, 1e4];
  while (high / low > 1 + 1e-6) {
    const middle = Math.sqrt(low * high);
    [low, high] = Estimator.estimate(fleet(middle)).estimate === undefined ? [low, middle] : [middle, high];
  }
  return low;
}

test.each(FLEETS)('%s: from idle to full, times are near those of the simulation', (_, fleet, loads) => {
  const most = capacity(fleet);
  for (const load of loads) {
    const spec = fleet(load * most);
    const estimate = estimateOf(spec);
    const { ttftSeconds, tpotSeconds, endToEndSeconds } = Simulator.simulate(spec, { requests: REQUESTS[load] }).simulation!;
    const ratios = {
      load,
      ttft: estimate.ttftSeconds.mean.value / ttftSeconds.avg,
      ttftP95: estimate.ttftSeconds.p95.value / ttftSeconds.p95,
      tpot: estimate.tpotSeconds.mean.value / tpotSeconds!.avg,
      tpotP95: estimate.tpotSeconds.p95.value / tpotSeconds!.p95,
      endToEnd: estimate.endToEndSeconds.mean.value / endToEndSeconds.avg,
    };
    const near = (value: number, least: number, largest: number) => value > least && value < largest;
    expect({
      ...ratios,
      near: near(ratios.ttft, 0.85, 1.15) && near(ratios.ttftP95, 0.88, 1.2) && near(ratios.tpot, 0.95, 1.08)
        && near(ratios.tpotP95, 0.92, 1.12) && near(ratios.endToEnd, 0.95, 1.1),
    }).toEqual({ ...ratios, near: true });
  }
});

test('answers of one length end together, and the estimate says that first tokens may come later than it tells; of lengths that differ by some percent it is right', () => {
  const exact = gpus([{ weight: 1, inputTokens: 2000, outputTokens: 200 }], 4, 256);
  const nearly = gpus(even(1, 2000, 200), 4, 256);
  const rate = 0.7 * capacity(nearly);
  const ratioOf = (fleet: Fleet) => (
    estimateOf(fleet(rate)).ttftSeconds.mean.value / Simulator.simulate(fleet(rate), { requests: 20_000 }).simulation!.ttftSeconds.avg);
  expect(ratioOf(exact)).toBeLessThan(0.7);
  expect(estimateOf(exact(rate)).confidence).toEqual({ level: 'low', reason: expect.stringContaining('answers of so few lengths end together') });
  expect(Math.abs(ratioOf(nearly) - 1)).toBeLessThan(0.1);
  expect(estimateOf(nearly(rate)).confidence.reason).not.toContain('end together');
});

test('near saturation a short run tells of too short waits, and a long one of those of the closed form', () => {
  const fleet = trainium(0, 4);
  const spec = fleet(0.97 * capacity(fleet));
  const expected = estimateOf(spec).ttftSeconds.mean.value;
  const [short, long] = [60_000, 1_000_000].map((requests) => Simulator.simulate(spec, { requests }).simulation!);
  expect(short.steadiness!.isSteady).toBe(false);
  expect(expected / short.ttftSeconds.avg).toBeGreaterThan(1.3);
  expect(Math.abs(expected / long.ttftSeconds.avg - 1)).toBeLessThan(0.1);
});
