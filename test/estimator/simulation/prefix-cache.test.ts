import { simulationText } from '../../../src/cli/simulate';
import { DeploymentSpec, SimulatedRequest, Simulation, SimulationObserver, Simulator } from '../../../src/estimator';
import { RequestTrace } from '../../../src/workload';
import { steady, trn2 } from '../specs';

class Log extends SimulationObserver {
  public readonly requests: SimulatedRequest[] = [];

  public onRequest(request: SimulatedRequest): void {
    this.requests[request.request] = request;
  }
}

const replay = (spec: DeploymentSpec, trace: RequestTrace): { requests: SimulatedRequest[]; simulation: Simulation } => {
  const observer = new Log();
  const { simulation, refusal } = Simulator.simulate(spec, { trace, observer });
  if (simulation === undefined) {
    throw new Error(JSON.stringify(refusal));
  }
  return { requests: observer.requests, simulation };
};

/** Conversations of some turns each, in turn: every prompt goes on from the one before. */
function conversations(count: number, turns: number, withIds = true): RequestTrace {
  const rows = Array.from({ length: count * turns }, (_, i) => {
    const [conversation, turn] = [i % count, Math.floor(i / count)];
    const inputTokens = 1500 * (turn + 1) + 10 * conversation + 3;
    const hashIds = Array.from({ length: Math.ceil(inputTokens / 512) }, (_id, piece) => `${conversation} ${piece}${(piece + 1) * 512 > inputTokens ? ` of ${turn}` : ''}`);
    return JSON.stringify({ timestamp: 700 * i, input_length: inputTokens, output_length: 20 + turn, ...withIds && { hash_ids: hashIds } });
  });
  return RequestTrace.fromText(rows.join('\n'), 'conversations.jsonl');
}

const pool = { hardware: 'trn2.48xlarge', instances: 1, enginesPerInstance: 1, tensorParallelDegree: 64 };
const disaggregated = (kvCacheTokens?: number) => trn2({ prefill: { ...pool, kvCacheTokens }, decode: pool });
const aggregated = (kvCacheTokens?: number) => trn2({ prefill: undefined, decode: { ...pool, kvCacheTokens } });
const chunked = (kvCacheTokens?: number) => trn2({
  prefill: undefined, decode: { hardware: 'p5en.48xlarge', instances: 1, enginesPerInstance: 1, maxBatchedTokens: 2048, kvCacheTokens },
});

test.each([['disaggregated', disaggregated], ['aggregated', aggregated], ['in chunks', chunked]])('%s: a cache that never fills finds all that earlier prompts had', (_, spec) => {
  const trace = conversations(8, 5);
  const { requests, simulation } = replay(spec(), trace);
  const ideal = trace.requests.map(({ cachedInputTokens }) => Math.floor(cachedInputTokens / 32) * 32);
  expect(requests.map(({ cachedTokens }) => cachedTokens)).toEqual(ideal);
  const prompts = trace.requests.reduce((sum, { inputTokens }) => sum + inputTokens, 0);
  expect(simulation.prefixHitRate).toBeCloseTo(ideal.reduce((sum, tokens) => sum + tokens, 0) / prompts, 12);
  expect(simulation.evictedBlocks).toBe(0);
});

test.each([['disaggregated', disaggregated], ['aggregated', aggregated], ['in chunks', chunked]])('%s: a smaller cache finds less, and prompts take longer', (_, spec) => {
  const trace = conversations(8, 5);
  const results = [1e6, 40_000, 20_000, 9000].map((tokens) => replay(spec(tokens), trace).simulation);
  results.slice(1).forEach(({ prefixHitRate, evictedBlocks, ttftSeconds }, i) => {
    expect(prefixHitRate).toBeLessThanOrEqual(results[i].prefixHitRate);
    expect(evictedBlocks).toBeGreaterThanOrEqual(results[i].evictedBlocks);
    expect(ttftSeconds.avg).toBeGreaterThanOrEqual(results[i].ttftSeconds.avg);
  });
  expect(results[3].prefixHitRate).toBeLessThan(0.1 * results[0].prefixHitRate);
  expect(simulationText(results[0])).toMatch(/% of the prompts' tokens were found in prefix caches$/);
  expect(simulationText(results[2])).toMatch(/% of the prompts' tokens were found in prefix caches, which lost \d+ blocks as others needed the room$/);
});

test.each([['disaggregated', disaggregated], ['aggregated', aggregated], ['in chunks', chunked]])('%s: prompts that have nothing in common take as long as if nobody knew', (_, spec) => {
  const [known, unknown] = [true, false].map((withIds) => replay(spec(), conversations(40, 1, withIds)));
  expect(known.simulation.prefixHitRate).toBe(0);
  known.requests.forEach(({ ttftSeconds, endToEndSeconds }, i) => {
    expect(Math.abs(ttftSeconds / unknown.requests[i].ttftSeconds - 1)).toBeLessThan(1e-9);
    expect(Math.abs(endToEndSeconds / unknown.requests[i].endToEndSeconds - 1)).toBeLessThan(1e-9);
  });
});

test('a recorded prompt that has more blocks than an engine is refused by its line', () => {
  const { refusal } = Simulator.simulate(disaggregated(5000), { trace: conversations(1, 4) });
  expect(refusal?.reason).toMatch(/: conversations\.jsonl:4 has 6003 \+ 23 tokens$/);
});

test('KV caches of a given size hold as many sequences', () => {
  const workload = steady(1, 1000, 100);
  const spec = (kvBlockTokens: number) => trn2({ workload, decode: { ...pool, kvCacheTokens: 11_100, kvBlockTokens } });
  const batch = (kvBlockTokens: number) => (
    Simulator.simulate(spec(kvBlockTokens), { concurrency: 30, requests: 300 }).simulation!.stages[2].meanBatch!);
  // ten sequences by the token, five in blocks of 2,000
  expect(batch(1)).toBeGreaterThan(9);
  expect(batch(1)).toBeLessThanOrEqual(10);
  expect(batch(2000)).toBeLessThanOrEqual(5);
});
