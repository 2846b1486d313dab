import { Seen, apart, loaded, mixed, simulated } from './simulated';
import { steady, trn2 } from './specs';
import { DeploymentSpec, Simulation } from '../../src/estimator';

describe('in a run', () => {
  test('an instance that fails ends what it writes, and what it reads is read by decode engines', () => {
    const spec = { ...loaded(mixed, 0.5), decode: { ...mixed.decode, instances: 2 } };
    const usual = simulated(spec, { requests: 5000 });
    expect([usual.failedRequests, usual.readByDecodeRequests]).toEqual([0, 0]);
    const { durationSeconds: span } = usual;
    const observed = new Seen();
    const decodeFails = simulated(spec, { requests: 5000, failures: [{ pool: 'decode', instance: 1, atSeconds: span / 3, untilSeconds: span / 2 }], observer: observed });
    expect(decodeFails.failedRequests).toBeGreaterThan(0);
    // who got an error got nothing in time: here about a third of the requests
    const promised = (percentile: number) => simulated({ ...spec, objective: { endToEndSeconds: 1e6, percentile } }, {
      requests: 5000,
      failures: [0, 1].map((instance) => ({ pool: 'decode', instance, atSeconds: 2 * span / 3 })),
    }).objectives[0].verdict;
    expect([promised(50), promised(90)]).toEqual(['held', 'missed']);
    expect(decodeFails.ttftSeconds.avg).toBeGreaterThan(usual.ttftSeconds.avg);
    expect(observed.requests.length).toBe(5000 - decodeFails.failedRequests);
    expect(observed.failed.length).toBe(decodeFails.failedRequests);
    // nobody is sent there while it is down
    const during = observed.requests.filter((one) => one.arrivalSeconds > span / 3 && one.arrivalSeconds + one.endToEndSeconds < span / 2);
    expect(during.length).toBeGreaterThan(100);
    expect(during.every((one) => one.decodeEngine === 0)).toBe(true);

    const seen = new Seen();
    const prefillFails = simulated(spec, {
      requests: 5000, failures: [0, 1].map((instance) => ({ pool: 'prefill', instance, atSeconds: span / 3, untilSeconds: span / 2 })), observer: seen,
    });
    expect(prefillFails.failedRequests).toBe(0);
    expect(prefillFails.readByDecodeRequests).toBe(seen.requests.filter((one) => one.prefillEngine === undefined).length);
    expect(prefillFails.readByDecodeRequests).toBeGreaterThan(100);
  });

  test('the router lets decode engines read short prompts, and more of them the busier the prefill engines are', () => {
    const spec = { ...loaded(mixed, 0.5), objective: undefined };
    const seen = new Seen();
    const { readByDecodeRequests } = simulated(spec, { requests: 3000, routing: { minPromptTokens: 400 }, observer: seen });
    // 300 new tokens in half the requests; of 1,500 1,000 are cached
    expect(seen.requests.every(({ inputTokens, prefillEngine }) => (inputTokens === 300) === (prefillEngine === undefined))).toBe(true);
    expect(readByDecodeRequests / 3000).toBeCloseTo(0.5, 1);
    expect(simulated(spec, { requests: 3000, routing: { minPromptTokens: 0 } }).readByDecodeRequests).toBe(0);

    const shares = [0.3, 0.6, 0.9].map((share) => simulated(
      { ...loaded(mixed, share), objective: { ttftSeconds: 0.6 } }, { requests: 5000, routing: { minPromptTokens: 0 } },
    ).readByDecodeRequests);
    expect(shares[0]).toBeLessThan(shares[1]);
    expect(shares[1]).toBeLessThan(shares[2]);
    // the estimator's length hands on everything here, as the deployed router does
    expect(simulated(spec, { requests: 3000, routing: {} }).readByDecodeRequests).toBe(0);
  });

  test('a failure after the end changes nothing', () => {
    const spec = { ...loaded(mixed, 0.6), link: { blockTokens: 16 } };
    const after = { failures: [{ pool: 'prefill', instance: 0, atSeconds: 1e8 }] };
    for (const one of [spec, loaded(mixed, 0.6)]) {
      const [usual, same] = [simulated(one, { requests: 3000 }), simulated(one, { requests: 3000, ...after })];
      expect(same.endToEndSeconds.avg / usual.endToEndSeconds.avg).toBeCloseTo(1, 9);
      const busy = (simulation: Simulation) => simulation.stages.map(({ utilisation }) => utilisation.toPrecision(9));
      expect(busy(same)).toEqual(busy(usual));
    }
  });

  test('who is urgent waits less, who is not waits more, and the others as before on average', () => {
    const tiers = (names: string[]): DeploymentSpec => ({
      ...loaded(apart, 0.9),
      workload: {
        source: 'tiers',
        requestsPerSecond: loaded(apart, 0.9).workload.requestsPerSecond,
        lengthClasses: names.map((serviceTier, i) => ({ weight: 1 / names.length, inputTokens: 1000 + i, outputTokens: 200, serviceTier })),
      },
    });
    const ttft = (spec: DeploymentSpec) => {
      const seen = new Seen();
      simulated(spec, { requests: 20_000, observer: seen });
      return [1000, 1001, 1002].map((tokens) => {
        const own = seen.requests.filter(({ inputTokens }) => inputTokens === tokens);
        return own.reduce((sum, { ttftSeconds }) => sum + ttftSeconds, 0) / own.length;
      });
    };
    const alike = ttft(tiers(['default', 'default', 'default']));
    const [urgent, usual, patient] = ttft(tiers(['priority', 'default', 'flex']));
    expect(urgent).toBeLessThan(alike[0]);
    expect(urgent).toBeLessThan(usual);
    expect(usual).toBeLessThan(patient);
    // work is conserved: equal requests wait as long in all
    expect((urgent + usual + patient) / (alike[0] + alike[1] + alike[2])).toBeCloseTo(1, 1);
  });

  test('where the KV cache is full, sequences lose their places, and every request is answered all the same', () => {
    const spec = trn2({
      workload: steady(1, 200, 8000),
      prefill: undefined,
      decode: { hardware: 'p5.48xlarge', instances: 1, tensorParallelDegree: 4, maxBatchedTokens: 2048, maxConcurrentSequences: 256 },
    });
    const { preemptions, requests, outputTokensPerSecond, durationSeconds } = simulated(spec, { concurrency: 500, requests: 500 });
    expect(preemptions).toBeGreaterThan(0);
    expect(requests).toBe(500);
    expect(outputTokensPerSecond * durationSeconds / (500 * 8000)).toBeCloseTo(1, 3);
  });

  test('each service tier has latencies of its own, those of all its requests', () => {
    const lengthClasses = mixed.workload.lengthClasses.map((one, i) => ({ ...one, serviceTier: i === 0 ? 'flex' : 'priority' }));
    const spec = { ...mixed, workload: { ...mixed.workload, lengthClasses } };
    const observer = new Seen();
    const { tiers, requests } = simulated(loaded(spec, 0.8), { requests: 2000, observer });
    expect(tiers.map(({ serviceTier }) => serviceTier)).toEqual(['priority', 'flex']);
    expect(tiers.reduce((sum, tier) => sum + tier.requests, 0)).toBe(requests);
    for (const { serviceTier, requests: count, ttftSeconds, endToEndSeconds } of tiers) {
      const own = observer.requests.filter((one) => one.serviceTier === serviceTier);
      expect(own.length).toBe(count);
      expect(ttftSeconds.avg).toBeCloseTo(own.reduce((sum, one) => sum + one.ttftSeconds, 0) / count, 9);
      expect(endToEndSeconds.max).toBe(Math.max(...own.map((one) => one.endToEndSeconds)));
    }
    expect(simulated(mixed, { requests: 100 }).tiers).toEqual([]);
  });
});
