/**
 * The closed form over the simulation, from half to nearly full: run with `npx tsx --tsconfig benchmark/tsconfig.json benchmark/closed-form.ts [requests]`.
 */
import { DeploymentSpec, Estimator, Simulator } from '../src/estimator';
import { Service } from '../src/estimator/service';
import { LengthDistribution, Workload } from '../src/workload';

const LOGNORMAL = Workload.fromDistributions({
  requestsPerSecond: 1,
  inputTokens: LengthDistribution.lognormal({ meanTokens: 1155, p95Tokens: 3500 }),
  outputTokens: LengthDistribution.lognormal({ meanTokens: 211, p95Tokens: 600 }),
}).toSpec().lengthClasses;
const LONG = [
  { weight: 0.5, inputTokens: 2000, outputTokens: 50 },
  { weight: 0.3, inputTokens: 6000, outputTokens: 200 },
  { weight: 0.2, inputTokens: 12_000, outputTokens: 500 },
];
const ENGINES = { hardware: 'p5.48xlarge', tensorParallelDegree: 8, maxConcurrentSequences: 128 };
const SERVINGS = ['prefill apart', 'in chunks', 'between steps'] as const;
const requests = Number(process.argv[2] ?? 600_000);

function spec(
  serving: typeof SERVINGS[number], lengthClasses: DeploymentSpec['workload']['lengthClasses'], instances: number, requestsPerSecond: number,
): DeploymentSpec {
  return {
    schema: 'cdk-disaggregated-inference/deployment-spec/v1',
    model: { id: 'qwen3-32b' },
    workload: { source: 'benchmark', requestsPerSecond, lengthClasses },
    prefill: serving === 'prefill apart' ? { hardware: ENGINES.hardware, tensorParallelDegree: 8, instances } : undefined,
    decode: { ...ENGINES, instances, maxBatchedTokens: serving === 'in chunks' ? 2048 : undefined },
  };
}

console.log('prompts        lengths    engines  load  TTFT p50   p95  TPOT p50   p95  error of the simulated mean');
for (const serving of SERVINGS) {
  for (const [lengths, classes] of [['lognormal', LOGNORMAL], ['long', LONG]] as const) {
    for (const engines of [1, 2, 8]) {
      const service = new Service(spec(serving, classes, engines, 1));
      service.solve(serving === 'prefill apart' ? engines : 0, engines);
      for (const load of [0.5, 0.8, 0.9, 0.97]) {
        const deployment = spec(serving, classes, engines, load / service.fullest);
        const estimate = Estimator.estimate(deployment).estimate!;
        const { ttftSeconds, tpotSeconds, steadiness } = Simulator.simulate(deployment, { requests }).simulation!;
        const ratios = [
          estimate.ttftSeconds.p50.value / ttftSeconds.p50, estimate.ttftSeconds.p95.value / ttftSeconds.p95,
          estimate.tpotSeconds.p50.value / tpotSeconds!.p50, estimate.tpotSeconds.p95.value / tpotSeconds!.p95,
        ];
        console.log([
          serving.padEnd(14), lengths.padEnd(10), String(engines).padStart(7), load.toFixed(2).padStart(5),
          ...ratios.map((ratio, i) => ratio.toFixed(2).padStart(i % 2 === 0 ? 9 : 5)), `${(100 * steadiness!.ttftErrorShare).toFixed(0).padStart(5)} %`,
        ].join(' '));
      }
    }
  }
}
