import { DeploymentSpec, SimulatedRequest, Simulation, SimulationObserver, SimulationOptions, Simulator } from '../../../src/estimator';
import { RequestTrace } from '../../../src/workload';
import { trn2 } from '../specs';

class Log extends SimulationObserver {
  public readonly requests: SimulatedRequest[] = [];

  public onRequest(request: SimulatedRequest): void {
    this.requests[request.request] = request;
  }
}

function replay(spec: DeploymentSpec, trace: RequestTrace, routing?: SimulationOptions['routing']): { requests: SimulatedRequest[]; simulation: Simulation } {
  const observer = new Log();
  const { simulation, refusal } = Simulator.simulate(spec, { trace, routing, observer });
  if (simulation === undefined) {
    throw new Error(JSON.stringify(refusal));
  }
  return { requests: observer.requests, simulation };
}

/** Conversations whose turns come in no order; every prompt goes on from the one before. */
function conversations(count: number, turns: number, gapMillis: number): RequestTrace {
  const rows = Array.from({ length: count * turns }, (_, i) => {
    const turn = Math.floor(i / count);
    const conversation = (i * 7 + turn * 3) % count;
    const pieces = 3 * (turn + 1);
    return JSON.stringify({
      timestamp: gapMillis * i,
      input_length: 512 * pieces,
      output_length: 20,
      hash_ids: Array.from({ length: pieces }, (_id, piece) => conversation * 1000 + piece),
    });
  });
  return RequestTrace.fromText(rows.join('\n'), 'conversations.jsonl');
}

const ENGINES = 4;
const pool = { hardware: 'trn2.48xlarge', instances: ENGINES, enginesPerInstance: 1, tensorParallelDegree: 64 };
const fleets: [string, DeploymentSpec][] = [
  ['disaggregated', trn2({ prefill: pool, decode: pool })],
  ['aggregated', trn2({ prefill: undefined, decode: pool })],
  ['in chunks', trn2({ prefill: undefined, decode: { hardware: 'p5en.48xlarge', instances: ENGINES, enginesPerInstance: 1, maxBatchedTokens: 2048 } })],
];

test.each(fleets)('%s: a router that knows what engines have read finds more of it, and prompts are read sooner', (_, spec) => {
  const trace = conversations(24, 8, 50);
  const without = replay(spec, trace).simulation;
  const routed = replay(spec, trace, { minPromptTokens: 0 }).simulation;
  expect(routed.prefixHitRate).toBeGreaterThan(1.2 * without.prefixHitRate);
  expect(routed.ttftSeconds.avg).toBeLessThan(without.ttftSeconds.avg);
  // at a high factor a conversation stays where it began
  const faithful = replay(spec, trace, { minPromptTokens: 0, prefixLoadFactor: 100 }).simulation;
  expect(faithful.prefixHitRate).toBeGreaterThanOrEqual(routed.prefixHitRate);
});

test.each(fleets.slice(1))('%s: an engine that has what all prompts begin with gets no more than its share', (_, spec) => {
  const rows = Array.from({ length: 60 }, (_row, i) => (
    JSON.stringify({ timestamp: i / 100, input_length: 2048 + i, output_length: 50, hash_ids: [1, 2, 3, 4] })));
  const trace = RequestTrace.fromText(rows.join('\n'), 'alike.jsonl');
  const counts = (prefixLoadFactor: number) => {
    const { requests } = replay(spec, trace, { prefixLoadFactor });
    return Array.from({ length: ENGINES }, (_engine, engine) => requests.filter(({ decodeEngine }) => decodeEngine === engine).length);
  };
  for (const factor of [1, 1.25, 2]) {
    const loads = counts(factor);
    expect(Math.max(...loads)).toBeLessThanOrEqual(Math.ceil(factor * (Math.min(...loads) + 1)));
  }
  expect(Math.max(...counts(100))).toBe(60);
});

test('a factor below 1 is refused', () => {
  expect(() => Simulator.simulate(fleets[0][1], { routing: { prefixLoadFactor: 0.5 } })).toThrow(/routing\.prefixLoadFactor/);
});
