/**
 * Speed of the event simulation: run with `npx tsx benchmark/simulation.ts [requests...]`.
 */
import { DeploymentSpec, Simulator } from '../src/estimator';
import { Service } from '../src/estimator/service';
import { LengthDistribution, Workload } from '../src/workload';

const steady = Workload.steady({ requestsPerSecond: 1, inputTokens: 1155, outputTokens: 211 });
const mixed = Workload.fromDistributions({
  requestsPerSecond: 1,
  inputTokens: LengthDistribution.lognormal({ meanTokens: 1155, p95Tokens: 3500 }),
  outputTokens: LengthDistribution.lognormal({ meanTokens: 211, p95Tokens: 600 }),
});

const TRAINIUM = { hardware: 'trn2.48xlarge', enginesPerInstance: 1, tensorParallelDegree: 64 };
const CHUNKS = { hardware: 'p5.48xlarge', enginesPerInstance: 1, tensorParallelDegree: 8, maxBatchedTokens: 2048 };

/** A deployment of whole engines at 70 % of what it can take. */
function spec(workload: Workload, prefill: number | undefined, decode: number, engines: Omit<DeploymentSpec['decode'], 'instances'> = TRAINIUM): DeploymentSpec {
  const deployment = (requestsPerSecond: number): DeploymentSpec => ({
    schema: 'cdk-disaggregated-inference/deployment-spec/v1',
    model: { id: 'llama-3.3-70b' },
    workload: { ...workload.toSpec(), requestsPerSecond },
    objective: { ttftSeconds: 2, tpotSeconds: 0.04 },
    prefill: prefill === undefined ? undefined : { ...engines, instances: prefill },
    decode: { ...engines, instances: decode },
  });
  const service = new Service(deployment(1));
  service.solve(prefill ?? 0, decode);
  return deployment(0.7 / service.fullest);
}

const fleets: [string, DeploymentSpec, number | undefined][] = [
  ['1P1D, equal lengths', spec(steady, 1, 1), undefined],
  ['1P1D, lognormal lengths', spec(mixed, 1, 1), undefined],
  ['8P8D, lognormal lengths', spec(mixed, 8, 8), undefined],
  ['16 aggregated, lognormal', spec(mixed, undefined, 16), undefined],
  ['1 that reads in chunks', spec(mixed, undefined, 1, CHUNKS), undefined],
  ['16 that read in chunks', spec(mixed, undefined, 16, CHUNKS), undefined],
  ['8P8D, closed loop of 64', spec(mixed, 8, 8), 64],
];
const counts = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [10_000, 1_000_000];

// the compiler's work is done before the clock starts
fleets.forEach(([, fleet, concurrency]) => Simulator.simulate(fleet, { requests: 50_000, concurrency }));
// on a machine that others use too, requests per second of processor time tell what a free core does
console.log('fleet                      requests      seconds   requests/s   requests/CPU s   MB resident');
for (const [name, fleet, concurrency] of fleets) {
  for (const requests of counts) {
    const start = process.hrtime.bigint();
    const before = process.cpuUsage();
    Simulator.simulate(fleet, { requests, concurrency });
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    const { user, system } = process.cpuUsage(before);
    console.log([
      name.padEnd(24),
      String(requests).padStart(10),
      seconds.toFixed(3).padStart(12),
      Math.round(requests / seconds).toString().padStart(12),
      Math.round(requests / (user + system) * 1e6).toString().padStart(16),
      (process.memoryUsage().rss / 2 ** 20).toFixed(0).padStart(13),
    ].join(' '));
  }
}
