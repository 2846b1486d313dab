import { ProblemsError } from '../../src/problems';
import { ObjectiveSpec, ServiceLevelObjective } from '../../src/workload';

test('speaks of the 95th percentile unless said', () => {
  const objective = ServiceLevelObjective.of({ ttftSeconds: 0.9, tpotSeconds: 0.03 });
  expect(objective.ttftSeconds).toBe(0.9);
  expect(objective.tpotSeconds).toBe(0.03);
  expect(objective.endToEndSeconds).toBeUndefined();
  expect(objective.percentile).toBe(95);
  expect(objective.toSpec()).toEqual({ ttftSeconds: 0.9, tpotSeconds: 0.03, percentile: 95 });
});

test('survives JSON', () => {
  const spec = { endToEndSeconds: 12, percentile: 99 };
  expect(ServiceLevelObjective.fromSpec(JSON.parse(JSON.stringify(ServiceLevelObjective.of(spec).toSpec()))).toSpec()).toEqual(spec);
});

test.each<[ObjectiveSpec, string[]]>([
  [{}, ['objective ObjectiveEmpty']],
  [{ ttftSeconds: 0, tpotSeconds: NaN, percentile: 97 }, ['objective.ttftSeconds ObjectiveNotPositive', 'objective.tpotSeconds ObjectiveNotPositive',
    'objective.percentile ObjectivePercentileUnknown']],
  [{ endToEndSeconds: Infinity }, ['objective.endToEndSeconds ObjectiveNotPositive']],
])('refuses %j', (spec, rules) => {
  let problems: string[] = [];
  try {
    ServiceLevelObjective.of(spec);
  } catch (error) {
    problems = (error as ProblemsError).problems.map((p) => `${p.path} ${p.rule}`);
  }
  expect(problems).toEqual(rules);
});
