import { WildSpecs, outcomeOf } from './wild-specs';

test('specs of every kind end in an estimate without a number that is none, in a refusal, or in problems', () => {
  // benchmark/wild-specs.ts goes on with this for a million.
  const specs = new WildSpecs(7);
  const outcomes = Array.from({ length: 800 }, () => {
    const spec = specs.next();
    const outcome = outcomeOf(spec);
    return ['estimated', 'refused', 'wrong'].includes(outcome) ? outcome : { outcome, spec };
  });
  expect(outcomes.filter((outcome) => typeof outcome !== 'string')).toEqual([]);
  expect(new Set(outcomes)).toEqual(new Set(['estimated', 'refused', 'wrong']));
}, 120_000);
