/**
 * The closed form over the simulation, from half to nearly full: run with `npx tsx --tsconfig benchmark/tsconfig.json benchmark/closed-form.ts [requests]`.
 *
 * Each row has the least and the largest ratio over the loads, and the last ones the mean of how far those of a serving are off.
 */
import { DeploymentSpec, Estimator, Simulator } from '../src/estimator';
import { Service } from '../src/estimator/service';
import { LengthDistribution, Workload } from '../src/workload';

type Classes = DeploymentSpec['workload']['lengthClasses'];

const LENGTHS: Record<string, Classes> = {
  constant: [{ weight: 1, inputTokens: 1024, outputTokens: 1024 }],
  lognormal: Workload.fromDistributions({
    requestsPerSecond: 1,
    inputTokens: LengthDistribution.lognormal({ meanTokens: 1155, p95Tokens: 3500 }),
    outputTokens: LengthDistribution.lognormal({ meanTokens: 211, p95Tokens: 600 }),
  }).toSpec().lengthClasses,
  long: [
    { weight: 0.5, inputTokens: 2000, outputTokens: 50 },
    { weight: 0.3, inputTokens: 6000, outputTokens: 200 },
    { weight: 0.2, inputTokens: 12_000, outputTokens: 500 },
  ],
};
const ENGINES = { hardware: 'p5.48xlarge', tensorParallelDegree: 8 };
const SERVINGS = ['prefill apart', 'in chunks', 'between steps'] as const;
const MODELS = ['qwen3-32b', 'gpt-oss-120b'];
const LOADS = [0.5, 0.8, 0.9, 0.95];
const METRICS = ['TTFT p50', 'TTFT p95', 'TPOT p50', 'TPOT p95'];
const requests = Number(process.argv[2] ?? 200_000);

function spec(model: string, serving: typeof SERVINGS[number], lengthClasses: Classes, instances: number, requestsPerSecond: number): DeploymentSpec {
  return {
    schema: 'cdk-disaggregated-inference/deployment-spec/v1',
    model: { id: model },
    workload: { source: 'benchmark', requestsPerSecond, lengthClasses },
    prefill: serving === 'prefill apart' ? { ...ENGINES, instances } : undefined,
    decode: { ...ENGINES, instances, maxConcurrentSequences: 128, maxBatchedTokens: serving === 'in chunks' ? 2048 : undefined },
  };
}

function ratios(deployment: DeploymentSpec): number[] {
  const { ttftSeconds: ttft, tpotSeconds: tpot } = Estimator.estimate(deployment).estimate!;
  const simulated = Simulator.simulate(deployment, { requests }).simulation!;
  return [
    ttft.p50.value / simulated.ttftSeconds.p50, ttft.p95.value / simulated.ttftSeconds.p95,
    tpot.p50.value / simulated.tpotSeconds!.p50, tpot.p95.value / simulated.tpotSeconds!.p95,
  ];
}

const off = new Map<string, number[][]>();
console.log(['model'.padEnd(12), 'prompts'.padEnd(13), 'lengths'.padEnd(9), 'engines', ...METRICS.map((metric) => metric.padStart(11))].join('  '));
for (const model of MODELS) {
  for (const serving of SERVINGS) {
    const all: number[][] = [];
    for (const lengths of Object.keys(LENGTHS)) {
      for (const engines of [1, 2, 8]) {
        const service = new Service(spec(model, serving, LENGTHS[lengths], engines, 1));
        service.solve(serving === 'prefill apart' ? engines : 0, engines);
        const byLoad = LOADS.map((load) => ratios(spec(model, serving, LENGTHS[lengths], engines, load / service.fullest)));
        all.push(...byLoad);
        const ranges = METRICS.map((_, i) => byLoad.map((row) => row[i]));
        console.log([
          model.padEnd(12), serving.padEnd(13), lengths.padEnd(9), String(engines).padStart(7),
          ...ranges.map((range) => `${Math.min(...range).toFixed(2)} - ${Math.max(...range).toFixed(2)}`.padStart(11)),
        ].join('  '));
      }
    }
    off.set(`${model.padEnd(12)}  ${serving.padEnd(13)}`, all);
  }
}
console.log('\nmean of how far these are off');
for (const [name, rows] of off) {
  const means = METRICS.map((_, i) => rows.reduce((sum, row) => sum + Math.abs(row[i] - 1), 0) / rows.length);
  console.log([name, ...means.map((mean) => `${(100 * mean).toFixed(0)} %`.padStart(11))].join('  '));
}
