/**
 * Hit rate of prefix caches by their size, and speed of the simulation: run with `npx tsx benchmark/prefix-cache.ts [trace.jsonl]`, a trace of Mooncake's;
 * without one with made-up conversations: 40 shared instructions of 2,000 tokens, turns of some hundred tokens, answers in the next turn's prompt.
 */
import { DeploymentSpec, Simulator } from '../src/estimator';
import { Random } from '../src/estimator/simulation/random';
import { RequestTrace } from '../src/workload';

const REQUESTS = 20_000;
const OPEN_CONVERSATIONS = 300;

function conversations(): RequestTrace {
  const random = new Random(1, 0);
  const whole = (least: number, most: number) => least + Math.floor(random.uniform() * (most - least + 1));
  const fresh = (number: number) => ({ name: `c${number}`, instructions: whole(0, 39), tokens: 2000 + whole(50, 4000), turnsLeft: whole(1, 8) });
  let begun = OPEN_CONVERSATIONS;
  const open = Array.from({ length: OPEN_CONVERSATIONS }, (_, i) => fresh(i));
  let now = 0;
  const rows = Array.from({ length: REQUESTS }, (_, turn) => {
    const place = whole(0, OPEN_CONVERSATIONS - 1);
    const one = open[place];
    const output = whole(20, 600);
    const hashIds = Array.from({ length: Math.ceil(one.tokens / 512) }, (_id, piece) => {
      const isShared = (piece + 1) * 512 <= 2000;
      return isShared ? `s${one.instructions} ${piece}` : `${one.name} ${piece}${(piece + 1) * 512 > one.tokens ? ` of ${turn}` : ''}`;
    });
    const row = JSON.stringify({ timestamp: Math.round(now), input_length: one.tokens, output_length: output, hash_ids: hashIds });
    now += 1000 * random.exponential();
    one.tokens += output + whole(20, 1500);
    if (--one.turnsLeft === 0) {
      open[place] = fresh(begun++);
    }
    return row;
  });
  return RequestTrace.fromText(rows.join('\n'), 'conversations.jsonl');
}

/** Llama-3.3-70B on one engine an instance; `kvCacheTokens` of each that reads prompts. */
function spec(trace: RequestTrace, prefill: number | undefined, decode: number, kvCacheTokens: number): DeploymentSpec {
  const pool = { hardware: 'trn2.48xlarge', enginesPerInstance: 1, tensorParallelDegree: 64 };
  const longest = Math.max(...trace.requests.map(({ inputTokens, outputTokens }) => inputTokens + outputTokens));
  return {
    schema: 'cdk-disaggregated-inference/deployment-spec/v1',
    model: { id: 'llama-3.3-70b' },
    workload: {
      source: trace.name, requestsPerSecond: trace.requestsPerSecond, lengthClasses: [{ weight: 1, inputTokens: 4000, outputTokens: 300 }],
    },
    prefill: prefill === undefined ? undefined : { ...pool, instances: prefill, kvCacheTokens, promptBuckets: [2048, longest] },
    decode: { ...pool, instances: decode, promptBuckets: [2048, longest], ...prefill === undefined && { kvCacheTokens } },
  };
}

const trace = process.argv[2] === undefined ? conversations() : RequestTrace.fromFile(process.argv[2]);
const sum = (value: (request: typeof trace.requests[number]) => number) => trace.requests.reduce((total, request) => total + value(request), 0);
const share = sum(({ cachedInputTokens }) => cachedInputTokens) / sum(({ inputTokens }) => inputTokens);
console.log(`${trace.name}: ${trace.requests.length} requests; a single endless cache would find ${(100 * share).toFixed(1)} % of the prompts' tokens`);
console.log('fleet            tokens of a cache   hit rate   evicted blocks   mean TTFT   requests/CPU s');
for (const [name, prefill, decode] of [['1P1D', 1, 1], ['4P4D', 4, 4], ['4 aggregated', undefined, 4]] as const) {
  for (const kvCacheTokens of [150_000, 300_000, 600_000, 1_200_000, 2_400_000, 100_000_000]) {
    const before = process.cpuUsage();
    const { simulation, refusal } = Simulator.simulate(spec(trace, prefill, decode, kvCacheTokens), { trace });
    const { user, system } = process.cpuUsage(before);
    console.log(simulation === undefined ? `${name}: ${refusal!.reason}` : [
      name.padEnd(16),
      String(kvCacheTokens).padStart(17),
      `${(100 * simulation.prefixHitRate).toFixed(1)} %`.padStart(10),
      String(simulation.evictedBlocks).padStart(16),
      `${simulation.ttftSeconds.avg.toFixed(3)} s`.padStart(11),
      String(Math.round(trace.requests.length / (user + system) * 1e6)).padStart(16),
    ].join(' '));
  }
}
