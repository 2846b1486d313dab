import { SCHEMA, estimateOf } from './specs';
import { DeploymentSpec, Simulator } from '../../src/estimator';

const MIX: [number, number][] = [[500, 100], [1500, 300], [3000, 500]];
const LONG_ANSWERS: [number, number][] = [[300, 1000], [300, 300]];

const spec = (lengths: [number, number][], kvCacheTokens: number, requestsPerSecond = 0.01, maxBatchedTokens?: number): DeploymentSpec => ({
  schema: SCHEMA,
  model: { id: 'llama-3.3-70b' },
  workload: {
    source: 'kv', requestsPerSecond, lengthClasses: lengths.map(([inputTokens, outputTokens]) => ({ weight: 1 / lengths.length, inputTokens, outputTokens })),
  },
  decode: { hardware: 'p5.48xlarge', instances: 1, maxConcurrentSequences: 256, kvCacheTokens, maxBatchedTokens },
});

test.each([[MIX, 8000], [MIX, 20_000], [LONG_ANSWERS, 20_000], [[[1500, 300]] as [number, number][], 20_000]])(
  'of %j, %d tokens of KV cache serve as many as in a simulation in which others always wait', (lengths, kvCacheTokens) => {
    const bound = spec(lengths, kvCacheTokens);
    const { requests, durationSeconds } = Simulator.simulate(bound, { requests: 6000, concurrency: 120 }).simulation!;
    expect(estimateOf(bound).goodputRequestsPerSecond.value / (requests / durationSeconds)).toBeGreaterThan(0.95);
    expect(estimateOf(bound).goodputRequestsPerSecond.value / (requests / durationSeconds)).toBeLessThan(1.05);
  });

test('where sequences may lose their places the estimate says that it does not count it', () => {
  const { confidence } = estimateOf(spec(MIX, 20_000, 1.5, 2048));
  expect(confidence).toEqual({ level: 'low', reason: expect.stringContaining('sequences that lose their place in it are read again') });
  expect(estimateOf(spec(MIX, 20_000, 0.2, 2048)).confidence.reason).not.toContain('lose their place');
  expect(estimateOf(spec(MIX, 20_000, 1.2)).confidence.reason).not.toContain('lose their place');
});
