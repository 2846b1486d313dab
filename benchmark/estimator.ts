/**
 * Speed of the estimator: run with `npx tsx --tsconfig benchmark/tsconfig.json benchmark/estimator.ts`.
 */
import { DeploymentSpec, Estimator, FleetPlanner } from '../src/estimator';
import { Service } from '../src/estimator/service';
import { LengthDistribution, Workload } from '../src/workload';

const steady = Workload.steady({ requestsPerSecond: 5, inputTokens: 1155, outputTokens: 211 });
const mixed = Workload.fromDistributions({
  requestsPerSecond: 5,
  inputTokens: LengthDistribution.lognormal({ meanTokens: 1155, p95Tokens: 3500 }),
  outputTokens: LengthDistribution.lognormal({ meanTokens: 211, p95Tokens: 600 }),
});

function spec(workload: Workload, planned: boolean): DeploymentSpec {
  return {
    schema: 'cdk-disaggregated-inference/deployment-spec/v1',
    model: { id: 'llama-3.3-70b' },
    workload: workload.toSpec(),
    objective: { ttftSeconds: 2, tpotSeconds: 0.04 },
    prefill: { hardware: 'trn2.48xlarge', instances: planned ? undefined : 2 },
    decode: { hardware: 'trn2.48xlarge', instances: planned ? undefined : 2 },
  };
}

// mean of the repetitions once the compiler's work is done, in microseconds of processor time: what a free core takes, whoever else uses the machine
function time(repetitions: number, run: () => void): number {
  for (let i = 0; i < repetitions / 2; i++) {
    run();
  }
  const before = process.cpuUsage();
  for (let i = 0; i < repetitions; i++) {
    run();
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / repetitions;
}

const rows = [['steady', steady], ['lognormal lengths', mixed]] as const;
console.log('workload            classes  closed form us  estimate with intervals us  plan ms  search ms  with simulation ms');
for (const [name, workload] of rows) {
  const service = new Service(spec(workload, false));
  const solve = time(5000, () => service.solve(2, 2));
  const estimate = time(40, () => Estimator.estimate(spec(workload, false)));
  const plan = time(20, () => FleetPlanner.plan(spec(workload, true)));
  const search = time(10, () => FleetPlanner.search(spec(workload, true), { simulate: false }));
  const confirmed = time(5, () => FleetPlanner.search(spec(workload, true)));
  const columns = [name.padEnd(19), String(workload.toSpec().lengthClasses.length).padStart(7), solve.toFixed(1).padStart(15)];
  console.log([...columns, estimate.toFixed(0).padStart(27), (plan / 1000).toFixed(1).padStart(8),
    (search / 1000).toFixed(0).padStart(10), (confirmed / 1000).toFixed(0).padStart(19)].join(' '));
}
