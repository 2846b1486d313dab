import { SCHEMA } from './specs';
import { DeploymentSpec, Simulator } from '../../src/estimator';
import { engineOfSpec } from '../../src/estimator/calibration/measured-engine';
import { MeasuredConfiguration } from '../../src/estimator/calibration/measurements';

const STEP_TOKENS = 2048;

function loopOf(hardware: string, model: string, tensorParallelDegree: number, inputTokens: number, outputTokens: number): DeploymentSpec {
  return {
    schema: SCHEMA,
    model: { id: model },
    workload: { source: 'loop', requestsPerSecond: 1, lengthClasses: [{ weight: 1, inputTokens, outputTokens }] },
    decode: { hardware, instances: 1, enginesPerInstance: 1, tensorParallelDegree, maxConcurrentSequences: 256, maxBatchedTokens: STEP_TOKENS },
  };
}

/** Mean times to the first token and per further one, as calibrate lays the loop out. */
function laidOut(spec: DeploymentSpec, concurrency: number): number[] {
  const engine = engineOfSpec(spec, 'decode', STEP_TOKENS);
  const [{ inputTokens, outputTokens }] = spec.workload.lengthClasses;
  const loops = [{ concurrency, inputTokens, outputTokens, ttftSeconds: 1, tpotSeconds: 1 }];
  return new MeasuredConfiguration(engine, { prompts: [], steps: [], loops, logs: [] }).compare(engine.start).map(({ predicted }) => predicted);
}

test.each([
  ['p5.48xlarge', 'qwen3-32b', 4, 1024, 1024], ['p5.48xlarge', 'qwen3-32b', 4, 4096, 512], ['p5.48xlarge', 'qwen3-32b', 4, 128, 2048],
  ['p6-b200.48xlarge', 'llama-3.3-70b', 2, 1024, 1024], ['p6-b200.48xlarge', 'gpt-oss-120b', 2, 1024, 1024],
])('a closed loop takes as long for simulate as for calibrate, within 5 %%: %s, %s over %d, %d + %d tokens', (hardware, model, degree, input, output) => {
  for (const concurrency of [1, 4, 16, 64]) {
    const spec = loopOf(hardware, model, degree, input, output);
    const { requests, tpotSeconds, endToEndSeconds } = Simulator.simulate(spec, { concurrency }).simulation!;
    expect(requests).toBe(10 * concurrency);
    const [ttft, tpot] = laidOut(spec, concurrency);
    expect(Math.abs(tpotSeconds!.avg / tpot - 1)).toBeLessThan(0.05);
    expect(Math.abs(endToEndSeconds.avg / (ttft + tpot * (output - 1)) - 1)).toBeLessThan(0.05);
  }
});

test('clients whose prompts have the same length do not stay in step', () => {
  const first = (concurrency: number) => Simulator.simulate(loopOf('p5.48xlarge', 'qwen3-32b', 4, 1024, 1024), { concurrency, requests: 1000 }).simulation!.ttftSeconds.p50;
  // in step, half of the others' prompts would be read before one's own
  expect(first(64)).toBeLessThan(5 * first(1));
});
