import { SCHEMA, estimateOf, steady, trn2 } from './specs';
import { DeploymentSpec, Estimate, Simulator } from '../../src/estimator';

const ENGINES = [1, 4, 16];
const LOADS = [0.3, 0.6, 0.8];
const SCVS = [1, 4, 20];
const REQUESTS = 30_000;

/** A fleet with its prefill engines, or all of them, as full as the load says. */
function fleet(aggregated: boolean, engines: number, load: number, interarrivalScv: number): DeploymentSpec {
  const at = (requestsPerSecond: number) => trn2({
    workload: {
      source: 'bursts',
      requestsPerSecond,
      interarrivalScv,
      lengthClasses: [{ weight: 0.7, inputTokens: 500, outputTokens: 100 }, { weight: 0.3, inputTokens: 4000, outputTokens: 300 }],
    },
    prefill: aggregated ? undefined : { hardware: 'trn2.48xlarge', instances: engines },
    decode: { hardware: 'trn2.48xlarge', instances: aggregated ? engines : 4 * engines },
  });
  return at(0.01 * load / estimateOf(at(0.01)).stages[0].utilisation.value);
}

function ratios(estimate: Estimate, spec: DeploymentSpec): { readonly mean: number; readonly p95: number } {
  const { ttftSeconds } = Simulator.simulate(spec, { requests: REQUESTS }).simulation!;
  return { mean: estimate.ttftSeconds.mean.value / ttftSeconds.avg, p95: estimate.ttftSeconds.p95.value / ttftSeconds.p95 };
}

const CASES = ENGINES.flatMap((engines) => LOADS.flatMap((load) => SCVS.map((scv) => [engines, load, scv] as const)));

test.each(CASES)('prefill apart, %d engines, load %d, scv %d: TTFT is within a quarter of the simulation\'s', (engines, load, scv) => {
  const spec = fleet(false, engines, load, scv);
  const { mean, p95 } = ratios(estimateOf(spec), spec);
  expect(mean).toBeGreaterThan(0.85);
  expect(mean).toBeLessThan(1.2);
  expect(p95).toBeGreaterThan(0.85);
  expect(p95).toBeLessThan(1.25);
});

test.each(CASES)('aggregated, %d engines, load %d, scv %d: TTFT is within a third of the simulation\'s, or the estimate says that it is not', (engines, load, scv) => {
  const spec = fleet(true, engines, load, scv);
  const estimate = estimateOf(spec);
  if (/bursts bring \d+ % .* simulate tells/.test(estimate.confidence.reason)) {
    expect(estimate.confidence.level).toBe('low');
    expect(scv).toBeGreaterThan(1);
    return;
  }
  const { mean, p95 } = ratios(estimate, spec);
  expect(mean).toBeGreaterThan(0.8);
  expect(mean).toBeLessThan(1.25);
  expect(p95).toBeGreaterThan(0.8);
  expect(p95).toBeLessThan(1.35);
});

test.each([[8, 0.3], [8, 10], [6.5, 0.05], [10, 2]])('bursts at %d requests/s outrun the slots: no promise is firmly held or missed, and the interval has the simulation\'s p95',
  (requestsPerSecond, ttftSeconds) => {
    const spec: DeploymentSpec = {
      schema: SCHEMA,
      model: { id: 'qwen3-32b' },
      workload: { ...steady(requestsPerSecond, 1024, 1024), interarrivalScv: 20 },
      objective: { ttftSeconds, endToEndSeconds: 20 },
      decode: { hardware: 'p5.48xlarge', instances: 1, tensorParallelDegree: 4, maxConcurrentSequences: 128, maxBatchedTokens: 2048 },
    };
    const { objectives, ttftSeconds: { p95 }, goodputRequestsPerSecond: goodput, confidence } = estimateOf(spec);
    expect(objectives.map(({ verdict }) => verdict)).toEqual(['unknown', 'unknown']);
    expect(confidence).toEqual({ level: 'low', reason: expect.stringMatching(/bursts bring \d+ % .* simulate tells/) });
    const simulated = Simulator.simulate(spec, { requests: REQUESTS }).simulation!.ttftSeconds.p95;
    expect(simulated).toBeGreaterThan(p95.low);
    expect(simulated).toBeLessThan(p95.high);
    expect(goodput.low).toBeLessThan(requestsPerSecond);
  });
