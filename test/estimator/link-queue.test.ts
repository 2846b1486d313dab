import { SCHEMA } from './specs';
import { DeploymentSpec, Estimator, Simulator } from '../../src/estimator';
import { Service } from '../../src/estimator/service';

/** Prefill instances with an engine each, whose prompts and KV caches load them and their links so far. */
function fleet(prefill: number, overlap: string, prefillLoad: number, linkLoad: number): DeploymentSpec {
  const pool = { hardware: 'p5.48xlarge', tensorParallelDegree: 8 };
  const spec = (requestsPerSecond: number, bytesPerSecond: number): DeploymentSpec => ({
    schema: SCHEMA,
    model: { id: 'llama-3.3-70b' },
    workload: { source: 'link', requestsPerSecond, lengthClasses: [{ weight: 1, inputTokens: 2000, outputTokens: 100 }] },
    prefill: { ...pool, instances: prefill },
    link: { overlap, bytesPerSecond },
    decode: { ...pool, instances: 8 },
  });
  const loads = (of: DeploymentSpec) => {
    const service = new Service(of);
    service.solve(prefill, 8);
    return service.form;
  };
  const requestsPerSecond = prefillLoad / loads(spec(1, 1e12)).prefillLoad;
  return spec(requestsPerSecond, 1e12 * loads(spec(requestsPerSecond, 1e12)).linkLoad / linkLoad);
}

describe.each(['after-prefill', 'layerwise'])('caches that move %s', (overlap) => {
  test.each([
    [1, 0.2, 0.6], [1, 0.5, 0.8], [1, 0.8, 0.8], [4, 0.2, 0.6], [4, 0.2, 0.8], [4, 0.5, 0.3], [8, 0.5, 0.8],
  ])('%d engines, loads of %d and %d of their links: waits are those of the simulation', (prefill, prefillLoad, linkLoad) => {
    const spec = fleet(prefill, overlap, prefillLoad, linkLoad);
    const estimated = Estimator.estimate(spec).estimate!.ttftSeconds;
    const simulated = Simulator.simulate(spec, { requests: 40_000 }).simulation!.ttftSeconds;
    expect(Math.abs(estimated.mean.value / simulated.avg - 1)).toBeLessThan(0.15);
    (['p50', 'p95', 'p99'] as const).forEach((p) => expect(Math.abs(estimated[p].value / simulated[p] - 1)).toBeLessThan(0.15));
  });
});

test('an engine that is slower than its link never makes its caches wait', () => {
  const transfer = (linkLoad: number) => {
    const service = new Service(fleet(1, 'after-prefill', 0.7, linkLoad));
    service.solve(1, 8);
    return service.form.transferMeanSeconds;
  };
  expect((transfer(0.6) - transfer(0.4)) / (transfer(0.4) - transfer(0.2))).toBeCloseTo(1, 6);
});
