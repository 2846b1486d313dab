import * as fc from 'fast-check';
import { idsOf } from './blocks-reference';
import { ReferenceRequest, reference } from './reference';
import { DeploymentSpec } from '../../../src/estimator';
import { kvTokenBytes } from '../../../src/estimator/phases/memory';
import { kvBytes } from '../../../src/estimator/phases/shapes';
import { routingRates } from '../../../src/estimator/routing-rates';
import { Service } from '../../../src/estimator/service';
import { InstanceFailure } from '../../../src/estimator/simulation';
import { RandomArrivals } from '../../../src/estimator/simulation/arrivals';
import { EventEngine } from '../../../src/estimator/simulation/event-engine';
import { fleetTables } from '../../../src/estimator/simulation/fleet-tables';
import { Outages } from '../../../src/estimator/simulation/outages';
import { RequestLengths, requestLengths } from '../../../src/estimator/simulation/request-lengths';
import { FleetRouting } from '../../../src/estimator/simulation/routing';
import { ModelArchitecture, ModelSpec } from '../../../src/model';
import { PathRates, SERVICE_TIERS } from '../../../src/routing';
import { SCHEMA } from '../specs';

const FLEETS = 2000;

interface Fleet {
  readonly spec: DeploymentSpec;
  readonly prefill: number;
  readonly decode: number;
  /** KV memory of an engine in the caches of the longest request. */
  readonly memory?: number;
  /** Whether prompts find what others have left, in place of what is given. */
  readonly caching: boolean;
  readonly requests: number;
  readonly clients: number;
  /** By shares: of the pool's instances, of the time that the requests come in. */
  readonly failures: readonly { readonly pool: string; readonly instance: number; readonly at: number; readonly until: number }[];
  /** Length from which on the router hands prompts on. */
  readonly minPromptTokens?: number;
  readonly seed: number;
}

const classes = fc.array(
  fc.record({
    inputTokens: fc.oneof(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 5000 })),
    cachedShare: fc.constantFrom(0, 0, 0.5, 1),
    outputTokens: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 120 })),
    serviceTier: fc.constantFrom(undefined, undefined, 'priority', 'flex'),
  }),
  { minLength: 1, maxLength: 12 },
);

const fleets: fc.Arbitrary<Fleet> = fc.record({
  model: fc.constantFrom<ModelSpec>(
    ...['llama-3.1-8b', 'llama-3.3-70b', 'gpt-oss-120b', 'qwen3-32b', 'llama-4-maverick', 'deepseek-v3.2'].map((id) => ({ id })),
    // attends to 200.5 tokens
    { id: 'odd-window', architecture: { ...ModelArchitecture.LLAMA_4_MAVERICK.spec, windowTokens: 401 } },
  ),
  prefill: fc.constantFrom(undefined, 'trn2.48xlarge', 'p5en.48xlarge'),
  prefillEngines: fc.constantFrom(undefined, 1),
  decode: fc.constantFrom('trn2.48xlarge', 'p6-b200.48xlarge', 'cs-3'),
  memory: fc.constantFrom(undefined, 1, 2.5),
  kvBlockTokens: fc.constantFrom(undefined, undefined, 16, 100, 600),
  caching: fc.boolean(),
  counts: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  scv: fc.constantFrom(0, 0.3, 1, 3),
  maxConcurrentSequences: fc.constantFrom(undefined, 1, 2, 5),
  decodeBuckets: fc.constantFrom<number[] | undefined>(undefined, undefined, [700, 6000]),
  bytesPerSecond: fc.constantFrom(undefined, 1e8, 3e9),
  blockTokens: fc.constantFrom(undefined, undefined, 16, 128),
  speculation: fc.option(fc.record({
    draftTokens: fc.integer({ min: 1, max: 7 }), acceptanceRate: fc.double({ min: 0, max: 1, noNaN: true }), draftStepShare: fc.constantFrom(0, 0.1),
  }), { freq: 1, nil: undefined }),
  overlap: fc.constantFrom('layerwise', 'after-prefill'),
  load: fc.double({ min: 0.05, max: 3, noNaN: true }),
  clients: fc.constantFrom(0, 0, 0, 1, 7, 40),
  requests: fc.integer({ min: 1, max: 60 }),
  failures: fc.oneof(fc.constant([]), fc.array(fc.record({
    pool: fc.constantFrom('prefill', 'decode'),
    instance: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    at: fc.double({ min: 0.01, max: 1, noNaN: true }),
    until: fc.double({ min: 0.02, max: 2, noNaN: true }),
  }), { minLength: 1, maxLength: 3 })),
  minPromptTokens: fc.constantFrom(undefined, undefined, 0, 300, 2000),
  tiers: fc.boolean(),
  objective: fc.constantFrom(undefined, { ttftSeconds: 0.1 }, { ttftSeconds: 0.5, tpotSeconds: 0.02 }),
  seed: fc.integer(),
  classes,
}).map((r) => ({
  spec: {
    schema: SCHEMA,
    model: r.model,
    precision: { weights: 'fp8' },
    workload: {
      source: 'random',
      requestsPerSecond: r.load,
      interarrivalScv: r.scv,
      lengthClasses: r.classes.map(({ inputTokens, cachedShare, outputTokens, serviceTier }) => (
        {
          weight: 1 / r.classes.length,
          inputTokens,
          outputTokens,
          serviceTier: r.tiers ? serviceTier : undefined,
          cachedInputTokens: Math.floor(cachedShare * (inputTokens - 1)),
        }
      )),
    },
    objective: r.objective,
    prefill: r.prefill && { hardware: r.prefill, instances: r.counts[0], enginesPerInstance: r.prefillEngines, kvBlockTokens: r.kvBlockTokens },
    link: r.prefill && { overlap: r.overlap, bytesPerSecond: r.bytesPerSecond, blockTokens: r.blockTokens },
    decode: {
      hardware: r.decode,
      instances: r.counts[1],
      kvBlockTokens: r.kvBlockTokens,
      maxConcurrentSequences: r.maxConcurrentSequences,
      ...r.decode !== 'cs-3' && { speculation: r.speculation, promptBuckets: r.decodeBuckets },
    },
  },
  prefill: r.prefill ? r.counts[0] : 0,
  decode: r.counts[1],
  memory: r.memory,
  caching: r.caching,
  requests: r.requests,
  clients: r.clients,
  failures: r.failures,
  minPromptTokens: r.minPromptTokens,
  seed: r.seed,
}));

// loads are multiples of what the fleet can take, so that queues of every length occur
function loaded(fleet: Fleet): Service | undefined {
  try {
    const { spec, prefill, decode } = fleet;
    const idle = new Service(spec);
    idle.solve(prefill, decode);
    const requestsPerSecond = spec.workload.requestsPerSecond * idle.rate / idle.fullest;
    return new Service({ ...spec, workload: { ...spec.workload, requestsPerSecond } });
  } catch (error) {
    if ((error as { refusal?: unknown }).refusal === undefined) {
      throw error;
    }
    return undefined;
  }
}

// every request is of its own kind, compiled lengths or not, and clients start apart: where two engines do the same at the same time, the last bit
// of a sum would decide which one is first. All start before one is answered, as requests come in order of time
class Distinct extends RandomArrivals {
  private start = 0.0001;
  private next = 0;

  constructor(public readonly clients: number, ...random: ConstructorParameters<typeof RandomArrivals>) {
    super(...random);
  }

  public seconds(): number {
    return this.clients > 0 ? this.start *= 1.0173205 : super.seconds();
  }

  public kind(): number {
    return this.next++;
  }
}

function routingOf(service: Service, { minPromptTokens }: Fleet, lengths: RequestLengths): FleetRouting | undefined {
  const rates = routingRates(service.spec);
  const expected = (of: PathRates) => ({ rates: of, ttftFactor: 1, tpotFactor: 1 });
  return rates?.aggregated && {
    policy: {
      ...service.spec.objective,
      minPromptTokens: minPromptTokens!,
      disaggregated: expected(rates.disaggregated),
      aggregated: expected(rates.aggregated),
    },
    promptTokens: lengths.inputTokens.map((tokens, kind) => tokens - lengths.cachedTokens[kind]),
    tiers: Array.from(lengths.ranks, (rank) => SERVICE_TIERS[rank]),
  };
}

test(`per-request times equal a token-by-token simulation's to 1e-9 over ${FLEETS} random fleets`, () => {
  let compared = 0;
  let failed = 0;
  let readHere = 0;
  let found = 0;
  let evicted = 0;
  fc.assert(fc.property(fleets, (fleet) => {
    const service = loaded(fleet);
    fc.pre(service !== undefined);
    const { classes: { weights }, arrivalScv } = service!.resolved.plant;
    const { requests, clients, seed } = fleet;
    const draws = new RandomArrivals(seed, requests, service!.rate, arrivalScv, weights);
    const drawn = Array.from({ length: requests }, (_, i) => {
      const one = service!.spec.workload.lengthClasses[draws.kind()];
      return { ...one, inputTokens: one.inputTokens + i, cachedInputTokens: one.cachedInputTokens! + i };
    });
    const ids = drawn.map(({ inputTokens }, i) => idsOf(inputTokens, i % 3, i * 7 % 11, i));
    const lengths = requestLengths(drawn, fleet.caching ? ids : undefined);
    const { model, decode, prefill } = service!.resolved.plant;
    const longest = lengths.inputTokens.reduce((most, input, i) => Math.max(most, input + lengths.outputTokens[i]), 0);
    if (fleet.memory !== undefined) {
      const whole = Math.ceil(longest / decode.kvBlockTokens) * decode.kvBlockTokens;
      (decode as { kvMemoryBytes: number }).kvMemoryBytes = fleet.memory * kvBytes(model, whole) * decode.kvCopies;
    }
    let blocks: number | undefined;
    if (fleet.caching) {
      // prompts of which nothing is cached would be padded to the same length, and take the same time
      [service!.resolved.prefill, service!.resolved.decode].forEach((pool) => pool && Object.assign(pool, { promptBuckets: [] }));
      const { engine, kvBlockTokens } = prefill ?? decode;
      blocks = Math.ceil((fleet.memory ?? 4) * Math.ceil(longest / kvBlockTokens));
      // a hair more, as sums of whole blocks may be a bit less
      ((prefill ?? decode) as { kvMemoryBytes: number }).kvMemoryBytes = (blocks + 0.5) * kvBlockTokens * kvTokenBytes(model) * engine!.kvCopies;
    }
    const span = requests / service!.rate;
    const failures: InstanceFailure[] = fleet.failures.filter(({ pool }) => pool === 'decode' || fleet.prefill > 0).map(({ pool, instance, at, until }) => ({
      pool,
      instance: Math.floor(instance * (pool === 'prefill' ? fleet.prefill : fleet.decode)),
      atSeconds: at * span,
      untilSeconds: until > at ? until * span : undefined,
    }));
    const arrivals = () => new Distinct(clients, seed, requests, service!.rate, arrivalScv, weights);

    const given = arrivals();
    const expected: ReferenceRequest[] = Array.from({ length: requests }, (_, i) => ({
      inputTokens: lengths.inputTokens[i],
      ids: ids[i],
      cachedTokens: lengths.cachedTokens[i],
      outputTokens: lengths.outputTokens[i],
      rank: lengths.ranks[i],
      failed: false,
      arrival: given.seconds(),
      firstToken: 0,
      finish: 0,
      written: 0,
    }));
    const routed = fleet.minPromptTokens === undefined ? undefined : routingOf(service!, fleet, lengths);
    reference(service!, fleet.prefill, fleet.decode, expected, clients, failures, routed, blocks);

    const actual: number[][] = [];
    const tables = fleetTables(service!, fleet.prefill, fleet.decode, lengths, requests, failures.length > 0 || routed !== undefined);
    const outages = new Outages(failures, (pool) => (pool === 'prefill' ? prefill! : decode).enginesPerInstance, tables.overheadSeconds);
    const simulated = new EventEngine(tables, arrivals(), {
      finished: (request, _kind, arrival, firstToken, finish, prefillEngine, _decodeEngine, cached) => {
        found += fleet.caching ? cached : 0;
        if (cached !== expected[request].cachedTokens) {
          throw new Error(`request ${request} of ${expected.length}: ${cached} cached tokens, expected ${expected[request].cachedTokens}`);
        }
        readHere += routed !== undefined && prefillEngine < 0 ? 1 : 0;
        actual[request] = [arrival, firstToken, finish];
      },
      failed: (request, _kind, arrival, failure) => {
        actual[request] = [arrival, NaN, failure];
        failed++;
      },
    }, outages, routed);
    simulated.run();
    evicted += simulated.evictedBlocks;

    expect(actual.length).toBe(expected.length);
    expected.forEach(({ arrival, firstToken, finish, failed: isFailed }, i) => {
      [arrival, isFailed ? NaN : firstToken, finish].forEach((time, j) => {
        if (!(Number.isNaN(time) && Number.isNaN(actual[i][j])) && !(Math.abs(actual[i][j] - time) <= 1e-9 * time)) {
          throw new Error(`request ${i} of ${expected.length}: ${['arrival', 'first token', 'finish'][j]} ${actual[i][j]}, expected ${time}`);
        }
      });
    });
    compared += expected.length;
  }), { numRuns: FLEETS, seed: 20261124 });
  expect(compared).toBeGreaterThan(10 * FLEETS);
  expect(failed).toBeGreaterThan(FLEETS / 10);
  expect(readHere).toBeGreaterThan(FLEETS / 10);
  expect(found).toBeGreaterThan(100 * FLEETS);
  expect(evicted).toBeGreaterThan(10 * FLEETS);
}, 300_000);
