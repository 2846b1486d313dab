import { WildSpecs, outcomeOf } from '../test/estimator/wild-specs';

/**
 * Estimates specs of every kind, a part of them wrong: `npx tsx --tsconfig benchmark/tsconfig.json benchmark/wild-specs.ts [count] [seed]`.
 *
 * Every one has to end in an estimate without a number that is none, in a refusal, or in problems that name what is wrong.
 */
const [count, seed] = [Number(process.argv[2] ?? 1_000_000), Number(process.argv[3] ?? 1)];
const specs = new WildSpecs(seed);
const outcomes = new Map<string, number>();
const started = performance.now();
for (let i = 0; i < count; i++) {
  const spec = specs.next();
  const outcome = outcomeOf(spec);
  if (!['estimated', 'refused', 'wrong'].includes(outcome)) {
    console.log(`spec ${i}: ${outcome}\n${JSON.stringify(spec, (_, value: unknown) => typeof value === 'number' && !Number.isFinite(value) ? String(value) : value)}`);
    process.exitCode = 1;
  }
  const kind = outcome.split(':')[0];
  outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1);
}
const seconds = (performance.now() - started) / 1000;
console.log(`${[...outcomes].map(([kind, number]) => `${number} ${kind}`).join(', ')}; ${seconds.toFixed(0)} s, ${(1e6 * seconds / count).toFixed(0)} us a spec`);
