import * as fc from 'fast-check';
import { DeploymentSpec, Estimator, FleetPlan, FleetPlanner } from '../../../src/estimator';
import { cheapest, closedForm } from '../../../src/estimator/planner/counts';
import { fleetPrice } from '../../../src/estimator/report';
import { Counts, Service } from '../../../src/estimator/service';
import { isHeld } from '../../../src/estimator/verdict';
import { ProblemsError } from '../../../src/problems';
import { LengthDistribution, Workload } from '../../../src/workload';
import { steady, trn2 } from '../specs';

function planned(overrides: Partial<DeploymentSpec> = {}): DeploymentSpec {
  return trn2({
    objective: { ttftSeconds: 0.9, tpotSeconds: 0.03 },
    workload: steady(6, 1000, 250),
    prefill: { hardware: 'trn2.48xlarge' },
    decode: { hardware: 'trn2.48xlarge' },
    ...overrides,
  });
}

function mixedLengths(requestsPerSecond: number): DeploymentSpec['workload'] {
  return Workload.fromDistributions({
    requestsPerSecond,
    inputTokens: LengthDistribution.lognormal({ meanTokens: 1000, p95Tokens: 3000 }),
    outputTokens: LengthDistribution.lognormal({ meanTokens: 200, p95Tokens: 500 }),
  }).toSpec();
}

const MOST = 5;

// every fleet up to five instances a pool, judged one by one
function bruteForce(spec: DeploymentSpec): number | undefined {
  let best: number | undefined;
  for (let prefill = 1; prefill <= MOST; prefill++) {
    for (let decode = 1; decode <= MOST; decode++) {
      const { estimate } = Estimator.estimate({
        ...spec, prefill: { ...spec.prefill!, instances: prefill }, decode: { ...spec.decode, instances: decode },
      });
      if (estimate?.objectives.every(isHeld) && (best === undefined || estimate.usdPerHour! < best)) {
        best = estimate.usdPerHour;
      }
    }
  }
  return best;
}

test('picks the cheapest of all fleets that hold the objective', () => {
  fc.assert(fc.property(
    fc.double({ min: 1, max: 15, noNaN: true }), fc.double({ min: 0.3, max: 2, noNaN: true }), fc.double({ min: 0.022, max: 0.05, noNaN: true }),
    fc.double({ min: 5, max: 100, noNaN: true }), fc.double({ min: 5, max: 100, noNaN: true }),
    (rate, ttftSeconds, tpotSeconds, prefillUsd, decodeUsd) => {
      const spec = planned({
        workload: steady(rate, 1000, 200),
        objective: { ttftSeconds, tpotSeconds },
        prefill: { hardware: 'trn2.48xlarge', usdPerInstanceHour: prefillUsd },
        decode: { hardware: 'trn2.48xlarge', usdPerInstanceHour: decodeUsd },
      });
      const best = bruteForce(spec);
      fc.pre(best !== undefined);
      const { outcome } = FleetPlanner.plan(spec);
      expect(outcome.estimate!.usdPerHour).toBeLessThanOrEqual(best! + 1e-9);
      expect(outcome.estimate!.objectives.every(isHeld)).toBe(true);
    },
  ), { numRuns: 8 });
}, 60_000);

test('finds what trying all counts up to a few finds, whatever the lengths, bursts and headroom', () => {
  let found = 0;
  fc.assert(fc.property(
    fc.double({ min: 0.5, max: 40, noNaN: true }), fc.double({ min: 0.2, max: 3, noNaN: true }), fc.double({ min: 0.02, max: 0.06, noNaN: true }),
    fc.boolean(), fc.constantFrom(0.5, 1, 3), fc.boolean(), fc.constantFrom(undefined, { growth: 0.3 }, { spareInstances: 1 }),
    fc.double({ min: 5, max: 100, noNaN: true }),
    (rate, ttftSeconds, tpotSeconds, apart, interarrivalScv, spread, headroom, usdPerInstanceHour) => {
      const service = new Service(planned({
        workload: { ...spread ? mixedLengths(rate) : steady(rate, 1000, 200), interarrivalScv },
        objective: { ttftSeconds, tpotSeconds },
        headroom,
        prefill: apart ? { hardware: 'trn2.48xlarge', usdPerInstanceHour } : undefined,
      }));
      const judge = closedForm(service, true);
      const all = Array.from({ length: 12 }, (_, i) => i + 1);
      const enough = all.flatMap((decode) => (apart ? all : [0]).map((prefill) => ({ prefill, decode })))
        .filter((counts) => judge.suffices(counts));
      const usdOf = ({ prefill, decode }: Counts) => fleetPrice(service, prefill, decode)!;
      fc.pre(enough.length > 0);
      const counts = cheapest(service, judge)!;
      expect(judge.suffices(counts)).toBe(true);
      expect(usdOf(counts)).toBeLessThanOrEqual(Math.min(...enough.map(usdOf)));
      found++;
    },
  ), { numRuns: 60 });
  expect(found).toBe(60);
});

test('tells why its neighbours were not chosen, the nearest first, at most twenty', () => {
  const { outcome, rejected } = FleetPlanner.plan(planned());
  const chosen = outcome.estimate!.spec;
  expect(rejected.length).toBe(20);
  const distance = rejected.map((fleet) => (
    Math.abs(fleet.prefillInstances - chosen.prefill!.instances!) + Math.abs(fleet.decodeInstances - chosen.decode.instances!)
  ));
  expect(distance).toEqual([...distance].sort((a, b) => a - b));
  const cheaper = rejected.filter((r) => r.usdPerHour! < outcome.estimate!.usdPerHour!);
  expect(cheaper.length).toBeGreaterThan(0);
  for (const { reason } of cheaper) {
    expect(reason).toMatch(/exceeds|of its capacity/);
  }
});

test('counts that are given are kept', () => {
  const { outcome } = FleetPlanner.plan(planned({ prefill: { hardware: 'trn2.48xlarge', instances: 3 } }));
  expect(outcome.estimate!.spec.prefill!.instances).toBe(3);
  const judged = FleetPlanner.plan(planned({ prefill: { hardware: 'trn2.48xlarge', instances: 1 }, decode: { hardware: 'trn2.48xlarge', instances: 1 } }));
  expect(judged.outcome.estimate!.objectives.some((objective) => !isHeld(objective))).toBe(true);
  expect(judged.rejected).toEqual([]);
});

test('a plan is what the estimator answers for the same spec, and the same again', () => {
  const spec = planned();
  const plan = FleetPlanner.plan(spec);
  expect(Estimator.estimate(spec)).toEqual(plan.outcome);
  expect(JSON.stringify(FleetPlanner.plan(spec))).toBe(JSON.stringify(plan));
});

test('without prices the fewest instances are chosen', () => {
  const { outcome } = FleetPlanner.plan(planned({ prefill: { hardware: 'u-trn2x64' }, decode: { hardware: 'cs-3' } }));
  expect(outcome.estimate!.spec.prefill!.instances).toBe(1);
  expect(outcome.estimate!.spec.decode.instances).toBe(1);
});

test('says what even the largest fleet lacks', () => {
  const { outcome, rejected } = FleetPlanner.plan(planned({ objective: { ttftSeconds: 0.05 } }));
  expect(outcome.refusal).toMatchObject({ kind: 'infeasible', reason: expect.stringMatching(/even with 1000 prefill and 1000 decode TTFT p95/) });
  expect(rejected).toHaveLength(1);
});

test('aggregated fleets are planned too', () => {
  const { outcome } = FleetPlanner.plan(planned({ prefill: undefined, decode: { hardware: 'p5en.48xlarge' }, objective: { ttftSeconds: 1, tpotSeconds: 0.05 } }));
  expect(outcome.estimate!.serving).toBe('aggregated');
  expect(outcome.estimate!.objectives.every(isHeld)).toBe(true);
});

describe('with headroom', () => {
  const counts = ({ outcome: { estimate } }: FleetPlan) => [estimate!.spec.prefill!.instances!, estimate!.spec.decode.instances!];
  const holds = (spec: DeploymentSpec, prefill: number, decode: number, rate = 1) => {
    const { estimate } = Estimator.estimate({
      ...spec,
      workload: { ...spec.workload, requestsPerSecond: spec.workload.requestsPerSecond * rate },
      prefill: { ...spec.prefill!, instances: prefill },
      decode: { ...spec.decode, instances: decode },
    });
    return estimate !== undefined && estimate.objectives.every(isHeld);
  };

  test('the objective is held without an instance of either pool and at the grown rate, and with no fewer instances', () => {
    const spec = planned({ headroom: { growth: 0.5, spareInstances: 1 } });
    const [prefill, decode] = counts(FleetPlanner.plan(spec));
    expect(holds(spec, prefill - 1, decode, 1.5)).toBe(true);
    expect(holds(spec, prefill, decode - 1, 1.5)).toBe(true);
    const cheaperOnes = [[prefill - 1, decode], [prefill, decode - 1]];
    expect(cheaperOnes.filter(([p, d]) => holds(spec, p - 1, d, 1.5) && holds(spec, p, d - 1, 1.5))).toEqual([]);
  });

  test('a spare instance is one more of each pool where the pools are one short of it', () => {
    const [prefill, decode] = counts(FleetPlanner.plan(planned()));
    const spare = counts(FleetPlanner.plan(planned({ headroom: { spareInstances: 1 } })));
    expect(spare[0]).toBeGreaterThanOrEqual(prefill);
    expect(spare[1]).toBeGreaterThan(decode);
  });

  test('a count that is given loses nothing', () => {
    const [prefill, decode] = counts(FleetPlanner.plan(planned({ prefill: { hardware: 'trn2.48xlarge', instances: 3 }, headroom: { spareInstances: 1 } })));
    const [, plain] = counts(FleetPlanner.plan(planned({ prefill: { hardware: 'trn2.48xlarge', instances: 3 } })));
    expect([prefill, decode]).toEqual([3, plain + 1]);
  });

  test('the reason of a rejected fleet says what is gone', () => {
    const { rejected } = FleetPlanner.plan(planned({ headroom: { growth: 0.2, spareInstances: 1 } }));
    expect(rejected.map(({ reason }) => reason)).toContainEqual(expect.stringMatching(/with 1 (prefill|decode) instance gone and 20 % more requests .*(exceeds|of its capacity)/));
  });

  test.each([
    [{ growth: -0.1 }, ['headroom.growth GrowthOutOfRange']],
    [{ growth: NaN, spareInstances: 1.5 }, ['headroom.growth GrowthOutOfRange', 'headroom.spareInstances CountNotPositive']],
    [3, ['headroom SpecPartNotAnObject']],
  ])('%j is refused', (headroom, problems) => {
    try {
      FleetPlanner.plan(planned({ headroom: headroom as DeploymentSpec['headroom'] }));
      throw new Error('not refused');
    } catch (error) {
      expect((error as ProblemsError).problems.map(({ path, rule }) => `${path} ${rule}`)).toEqual(problems);
    }
  });
});

test('hundreds of instances are planned where the load asks for them', () => {
  const { outcome } = FleetPlanner.plan(planned({ workload: steady(600, 1000, 200) }));
  expect(outcome.estimate!.spec.decode.instances).toBeGreaterThan(64);
  expect(outcome.estimate!.objectives.every(isHeld)).toBe(true);
});
