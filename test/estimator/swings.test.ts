import { join } from 'node:path';
import { SCHEMA } from './specs';
import { DeploymentSpec, Estimator, FleetPlanner, Simulator } from '../../src/estimator';
import { RequestTrace, Workload } from '../../src/workload';

// its rate swings by a third over the hour
const TRACE = RequestTrace.fromFile(join(__dirname, '../../examples/quick-start/azure-2023-conv.csv'));

function fleet(requestsPerSecond: number, instances?: number): { readonly spec: DeploymentSpec; readonly trace: RequestTrace } {
  const factor = requestsPerSecond / TRACE.requestsPerSecond;
  const pool = { hardware: 'trn2.48xlarge', ...instances && { instances } };
  return {
    trace: TRACE.scaled(factor),
    spec: {
      schema: SCHEMA,
      model: { id: 'llama-3.3-70b' },
      workload: Workload.fromRequestTrace(TRACE).scaled(factor).toSpec(),
      objective: { ttftSeconds: 1.5, tpotSeconds: 0.05 },
      prefill: pool,
      decode: pool,
    },
  };
}

test.each([2, 3, 4])('at %d requests a second the estimate of a trace is what its replay meets', (requestsPerSecond) => {
  const { spec, trace } = fleet(requestsPerSecond, 1);
  const estimate = Estimator.estimate(spec).estimate!;
  const replay = Simulator.simulate(spec, { trace }).simulation!;
  for (const metric of ['ttftSeconds', 'tpotSeconds'] as const) {
    expect(Math.abs(estimate[metric].p95.value / replay[metric]!.p95 - 1)).toBeLessThan(0.15);
  }
  expect(replay.objectives.map(({ verdict }) => verdict)).toEqual(['held', 'held']);
  expect(estimate.objectives.map(({ verdict }) => verdict.replace('likely ', ''))).toEqual(['held', 'held']);
});

test('a fleet that falls behind in the busiest minutes is not said to hold, and a planned one does not fall behind', () => {
  const few = fleet(5, 1);
  const verdictOf = (objectives: readonly { readonly verdict: string }[]) => objectives[0].verdict.replace('likely ', '');
  expect(verdictOf(Estimator.estimate(few.spec).estimate!.objectives)).toBe('missed');
  expect(verdictOf(Simulator.simulate(few.spec, { trace: few.trace }).simulation!.objectives)).toBe('missed');
  const { spec, trace } = fleet(5);
  const planned = FleetPlanner.plan(spec).outcome.estimate!;
  expect(planned.spec.prefill!.instances).toBeGreaterThan(1);
  expect(verdictOf(Simulator.simulate(planned.spec, { trace }).simulation!.objectives)).toBe('held');
});

test('tokens, their price and the goodput are of the mean rate', () => {
  const { spec } = fleet(2, 1);
  const { peakToMeanRatio, ...steady } = spec.workload;
  const [swinging, even] = [spec, { ...spec, workload: steady }].map((one) => Estimator.estimate(one).estimate!);
  expect(swinging.outputTokensPerSecond).toEqual(even.outputTokensPerSecond);
  expect(swinging.costUsdPerMillionOutputTokens).toEqual(even.costUsdPerMillionOutputTokens);
  expect(swinging.goodputRequestsPerSecond.value * peakToMeanRatio!).toBeCloseTo(even.goodputRequestsPerSecond.value, 6);
});
