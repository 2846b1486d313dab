import * as fc from 'fast-check';
import { DeploymentSpec, Estimator, FleetPlanner, Simulator } from '../../../src/estimator';
import { Service } from '../../../src/estimator/service';
import { isHeld } from '../../../src/estimator/verdict';
import { SCHEMA, steady } from '../specs';

/** Requests that come in bursts beyond what engines have slots for, which the closed form cannot judge. */
function bursty(overrides: Partial<DeploymentSpec> = {}): DeploymentSpec {
  return {
    schema: SCHEMA,
    model: { id: 'qwen3-32b' },
    workload: { ...steady(60, 1024, 512), interarrivalScv: 20 },
    objective: { ttftSeconds: 0.3, endToEndSeconds: 30 },
    decode: { hardware: 'p5.48xlarge', tensorParallelDegree: 4, maxConcurrentSequences: 32 },
    ...overrides,
  };
}

const withCount = (spec: DeploymentSpec, instances: number) => ({ ...spec, decode: { ...spec.decode, instances } });
const holdsSimulated = (spec: DeploymentSpec, requests?: number) => (
  Simulator.simulate(spec, { requests }).simulation?.objectives.every(isHeld) ?? false);

test('where the closed form cannot tell, the fewest instances that hold the objective by simulation are planned', () => {
  const spec = bursty();
  const { outcome: { estimate }, rejected } = FleetPlanner.plan(spec);
  const planned = estimate!.spec.decode.instances!;
  // the closed form alone is sure of more instances only
  expect(new Service(spec).suffices(0, planned)).toBeUndefined();
  expect(Estimator.estimate(withCount(spec, planned)).estimate!.objectives.map(({ verdict }) => verdict)).toEqual(['unknown', 'unknown']);
  expect(estimate!.objectives.map(({ verdict }) => verdict)).toEqual(['held', 'held']);
  expect(estimate!.objectives.map(({ simulatedSeconds }) => simulatedSeconds))
    .toEqual(Simulator.simulate(withCount(spec, planned)).simulation!.objectives.map(({ simulatedSeconds }) => simulatedSeconds));
  expect([planned - 1, planned].map((count) => holdsSimulated(withCount(spec, count)))).toEqual([false, true]);
  expect(rejected.find(({ decodeInstances }) => decodeInstances === planned - 1)!.reason).toMatch(/simulated: ttft p95 \d+ ms exceeds 300 ms$/);
  expect(Estimator.estimate(spec)).toEqual({ estimate });
});

test('what is planned holds the objective by simulation, and one instance fewer does not', () => {
  let fewer = 0;
  fc.assert(fc.property(
    fc.double({ min: 40, max: 120, noNaN: true }), fc.integer({ min: 500, max: 4000 }), fc.integer({ min: 20, max: 600 }),
    fc.double({ min: 0.15, max: 0.8, noNaN: true }), fc.constantFrom(undefined, 2048),
    (rate, inputTokens, outputTokens, ttftSeconds, maxBatchedTokens) => {
      const spec: DeploymentSpec = {
        ...bursty(),
        workload: steady(rate, inputTokens, outputTokens),
        objective: { ttftSeconds },
        decode: { ...bursty().decode, maxConcurrentSequences: 256, maxBatchedTokens },
      };
      const { estimate } = FleetPlanner.plan(spec).outcome;
      fc.pre(estimate !== undefined);
      const planned = estimate!.spec.decode.instances!;
      expect(holdsSimulated(estimate!.spec)).toBe(true);
      if (planned > 1) {
        fewer++;
        expect(holdsSimulated(withCount(spec, planned - 1), 100_000)).toBe(false);
      }
    },
  ), { numRuns: 8 });
  expect(fewer).toBeGreaterThan(4);
}, 60_000);

test('a fleet whose waits a short run does not tell is simulated for longer, and not planned if it misses the objective then', () => {
  const spec = bursty({ objective: { ttftSeconds: 0.9 } });
  const planned = FleetPlanner.plan(spec).outcome.estimate!.spec.decode.instances!;
  const fewer = withCount(spec, planned - 1);
  expect(holdsSimulated(fewer)).toBe(true);
  expect(Simulator.simulate(fewer).simulation!.steadiness!.isSteady).toBe(false);
  expect(holdsSimulated(fewer, 100_000)).toBe(false);
});

test('headroom is held by the simulation where the closed form cannot tell', () => {
  const { estimate } = FleetPlanner.plan(bursty({ headroom: { growth: 0.25, spareInstances: 1 } })).outcome;
  const reduced = (less: number) => {
    const spec = bursty();
    const grown = { ...spec, workload: { ...spec.workload, requestsPerSecond: 75 } };
    return holdsSimulated(withCount(grown, estimate!.spec.decode.instances! - less), 50_000);
  };
  expect([reduced(1), reduced(2)]).toEqual([true, false]);
});

test('where a count is given that misses the objective by simulation whatever is beside it, there is no fleet', () => {
  const spec = bursty();
  const { refusal } = FleetPlanner.plan({ ...withCount(spec, 7), prefill: { hardware: 'p5.48xlarge', tensorParallelDegree: 4 } }).outcome;
  expect(refusal).toMatchObject({ kind: 'infeasible', reason: expect.stringMatching(/^even with 1000 prefill and 7 decode simulated: ttft p95/) });
});

test('a search without simulation takes nothing that the closed form cannot judge, and one with it takes cheaper fleets that hold', () => {
  const options = { hardware: ['p5.48xlarge'], servings: ['aggregated'] };
  const sure = FleetPlanner.search(bursty(), { ...options, simulate: false }).outcome.estimate!;
  const confirmed = FleetPlanner.search(bursty(), options).outcome.estimate!;
  expect([sure, confirmed].map(({ objectives }) => objectives.every(isHeld))).toEqual([true, true]);
  expect(confirmed.usdPerHour).toBeLessThan(sure.usdPerHour!);
  expect(holdsSimulated(confirmed.spec)).toBe(true);
});
