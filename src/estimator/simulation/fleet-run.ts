import { Problem, Problems } from '../../problems';
import { DEFAULT_PREFIX_LOAD_FACTOR, PathExpectation, PathRates, SERVICE_TIERS } from '../../routing';
import { RequestTrace } from '../../workload';
import { Refusal } from '../estimate';
import { routingRates } from '../routing-rates';
import { Counts, Service } from '../service';
import { HELD, MISSED } from '../verdict';
import { EventEngine } from './event-engine';
import { FleetTables, fleetTables } from './fleet-tables';
import { Histogram } from './histogram';
import { Load, loadOf } from './load';
import { MixedFleet } from './mixed-fleet';
import { Outages } from './outages';
import { Recorder, TierLatencies } from './recorder';
import { RequestLengths } from './request-lengths';
import { FleetRouting } from './routing';
import { canServe } from './servable';
import {
  InstanceFailure, SimulatedLatency, SimulatedRouting, SimulatedStage, SimulatedTier, SimulatedVerdict, Simulation, SimulationOptions,
  SimulationOutcome,
} from './simulation';
import { steadinessOf } from './steadiness';

/** Engines of a pool: some 2 KB each. */
const MAX_ENGINES = 100_000;
/** Requests that a refusal names. */
const MOST_TOLD = 5;

type FleetRun = EventEngine | MixedFleet;

/**
 * Simulates a service at these counts.
 *
 * Throws a `ProblemsError` if failures or routing are of a pool or path that is not there.
 */
export function simulateFleet(service: Service, counts: Counts, options: SimulationOptions): SimulationOutcome {
  service.solve(counts.prefill, counts.decode);
  const oversize = tooLarge(service, counts);
  if (oversize !== undefined) {
    return { refusal: oversize };
  }
  const load = loadOf(service, options);
  if (load.isSteady && !service.form.stable) {
    return { refusal: service.shortcoming()! };
  }
  const { failures = [], routing } = options;
  const onePath = routing === undefined ? [] : pathProblems(service);
  const prefixLoadFactor = routing && load.lengths.prefixes && (routing.prefixLoadFactor ?? DEFAULT_PREFIX_LOAD_FACTOR);
  // of one path there are still its engines to choose from
  Problems.throwIfAny([...failureProblems(failures, service, counts), ...prefixLoadFactor === undefined ? onePath : []]);
  const most = options.concurrency ?? load.arrivals.requests;
  const choosesPath = routing !== undefined && onePath.length === 0;
  const fleet = fleetTables(service, counts.prefill, counts.decode, load.lengths, most, failures.length > 0 || choosesPath, prefixLoadFactor);
  const refusal = unfit(service, fleet, options.trace);
  return refusal === undefined ? run(service, counts, options, load, fleet, choosesPath ? routingOf(service, routing, load.lengths) : undefined)
    : { refusal };
}

function run(
  service: Service, counts: Counts, options: SimulationOptions, load: Load, fleet: FleetTables, routing: FleetRouting | undefined,
): SimulationOutcome {
  const { spec } = service;
  const recorder = new Recorder(fleet, load.lengths.ranks, load.arrivals.requests, spec.objective, options.observer);
  const { prefill, decode } = service.resolved.plant;
  const outages = new Outages(options.failures ?? [], (pool) => (pool === 'prefill' ? prefill! : decode).enginesPerInstance, fleet.overheadSeconds);
  const engine = fleet.chunked === undefined
    ? new EventEngine(fleet, load.arrivals, recorder, outages, routing)
    : new MixedFleet(fleet, load.arrivals, recorder, outages);
  engine.run();
  if (recorder.firstToken.count === 0) {
    return { refusal: { kind: 'infeasible', reason: 'no request is answered, as instances fail', mend: 'let instances be up again, or add some' } };
  }
  const durationSeconds = recorder.lastFinish - recorder.firstArrival;
  const answered = load.arrivals.requests - recorder.failures;
  const simulation: Simulation = {
    schema: 'cdk-disaggregated-inference/simulation/v1',
    spec: {
      ...spec,
      prefill: spec.prefill && { ...spec.prefill, instances: counts.prefill },
      decode: { ...spec.decode, instances: counts.decode },
    },
    serving: service.aggregated ? 'aggregated' : 'disaggregated',
    load: load.name,
    seed: options.seed ?? 0,
    requests: load.arrivals.requests,
    failedRequests: recorder.failures,
    readByDecodeRequests: recorder.readByDecode,
    durationSeconds,
    ...latencies(recorder),
    tiers: recorder.tiers.flatMap((tier, rank): SimulatedTier[] => (
      tier.endToEnd.count === 0 ? [] : [{ serviceTier: SERVICE_TIERS[rank], requests: tier.endToEnd.count, ...latencies(tier) }])),
    outputTokensPerSecond: recorder.outputTokens / durationSeconds,
    requestsPerSecond: answered / durationSeconds,
    keptRequestsPerSecond: recorder.good / durationSeconds,
    mostInFlight: engine.traffic.mostInFlight,
    preemptions: engine.preemptions,
    prefixHitRate: recorder.cachedTokens / recorder.inputTokens,
    evictedBlocks: engine.evictedBlocks,
    backlogGrows: load.arrivals.clients === 0 && grows(engine, fleet, load.arrivals.requests),
    steadiness: load.isSteady && !options.failures?.length ? steadinessOf(recorder.firstTokenMeans, load.arrivals.requests) : undefined,
    stages: stages(engine, fleet, durationSeconds),
    objectives: verdicts(service, recorder),
  };
  return { simulation };
}

/** What the router goes by. */
function routingOf({ spec }: Service, { minPromptTokens }: SimulatedRouting, lengths: RequestLengths): FleetRouting {
  const rates = routingRates(spec)!;
  // the rates are the simulation's own: nothing is to be learnt of them
  const expected = (of: PathRates): PathExpectation => ({ rates: of, ttftFactor: 1, tpotFactor: 1 });
  return {
    policy: {
      minPromptTokens: minPromptTokens ?? rates.minPromptTokens!,
      ttftSeconds: spec.objective?.ttftSeconds,
      tpotSeconds: spec.objective?.tpotSeconds,
      disaggregated: expected(rates.disaggregated),
      aggregated: expected(rates.aggregated!),
    },
    promptTokens: lengths.inputTokens.map((tokens, kind) => tokens - lengths.cachedTokens[kind]),
    tiers: Array.from(lengths.ranks, (rank) => SERVICE_TIERS[rank]),
  };
}

// a request that was answered with an error is one that missed every promise
function verdicts({ promises }: Service, { firstToken, perToken, endToEnd, failures }: Recorder): SimulatedVerdict[] {
  const figures: { [metric: string]: Histogram } = { ttftSeconds: firstToken, tpotSeconds: perToken, endToEndSeconds: endToEnd };
  return promises.map(({ metric, percentile, seconds }) => {
    const { count } = figures[metric];
    const share = percentile / 100 * (count + failures) / count;
    const simulatedSeconds = figures[metric].quantile(Math.min(1, share));
    return { metric, percentile, objectiveSeconds: seconds, simulatedSeconds, verdict: share <= 1 && simulatedSeconds <= seconds ? HELD : MISSED };
  });
}

// each quarter of the arrivals meets clearly more requests than the one before, and more than the fleet works on at once
function grows({ traffic: { inFlightByQuarter } }: FleetRun, fleet: FleetTables, requests: number): boolean {
  const [, second, third, fourth] = inFlightByQuarter.map((sum) => sum * 4 / requests);
  const worked = fleet.prefillEngines + fleet.decodeEngines * fleet.slots;
  return third > 1.2 * second && fourth > 1.2 * third && fourth > worked;
}

function stages(engine: FleetRun, fleet: FleetTables, seconds: number): SimulatedStage[] {
  const meanBatch = engine.decodeSteps > 0 ? engine.decodedTokens / engine.decodeSteps : undefined;
  const decode: SimulatedStage = {
    name: fleet.aggregated ? 'aggregated' : 'decode',
    engines: fleet.decodeEngines,
    utilisation: engine.decodeBusySeconds / (seconds * fleet.decodeEngines),
    meanBatch,
    maxBatch: fleet.slots,
  };
  return fleet.aggregated ? [decode] : [
    { name: 'prefill', engines: fleet.prefillEngines, utilisation: engine.prefillBusySeconds / (seconds * fleet.prefillEngines) },
    { name: 'kv-transfer', engines: fleet.links, utilisation: engine.linkBusySeconds / (seconds * fleet.links * fleet.flowsAtFullSpeed) },
    decode,
  ];
}

function latencies({ firstToken, perToken, endToEnd }: TierLatencies): Pick<SimulatedTier, 'ttftSeconds' | 'tpotSeconds' | 'endToEndSeconds'> {
  return { ttftSeconds: latency(firstToken), tpotSeconds: perToken.count > 0 ? latency(perToken) : undefined, endToEndSeconds: latency(endToEnd) };
}

function latency(of: Histogram): SimulatedLatency {
  return {
    avg: of.sum / of.count,
    min: of.min,
    max: of.max,
    p50: of.quantile(0.5),
    p90: of.quantile(0.9),
    p95: of.quantile(0.95),
    p99: of.quantile(0.99),
  };
}

function tooLarge({ resolved: { plant } }: Service, counts: Counts): Refusal | undefined {
  for (const name of ['prefill', 'decode'] as const) {
    const { enginesPerInstance } = plant[name] ?? { enginesPerInstance: 0 };
    if (counts[name] * enginesPerInstance > MAX_ENGINES) {
      return {
        kind: 'infeasible',
        reason: `${name}.instances ${counts[name]} is more than the ${Math.floor(MAX_ENGINES / enginesPerInstance)} of such a pool that can be simulated`,
        mend: 'simulate a part of the fleet with its part of the requests',
      };
    }
  }
  return undefined;
}

function unfit(service: Service, { kinds, aggregated, caching }: FleetTables, trace: RequestTrace | undefined): Refusal | undefined {
  const blocksOf = (tokens: number) => Math.ceil(tokens / (caching?.prefixes.blockTokens ?? 1));
  const unfitting = Array.from(kinds.inputTokens.keys()).filter((i) => {
    const [inputTokens, outputTokens] = [kinds.inputTokens[i], kinds.outputTokens[i]];
    return !canServe(service, inputTokens, outputTokens)
      || (caching !== undefined && blocksOf(aggregated ? inputTokens + outputTokens : inputTokens) > caching.blocks);
  });
  const told = unfitting.slice(0, MOST_TOLD).map((i) => {
    const tokens = `${kinds.inputTokens[i]} + ${kinds.outputTokens[i]} tokens`;
    return trace === undefined ? tokens : `${trace.name}:${trace.requests[i].line} has ${tokens}`;
  });
  return unfitting.length === 0 ? undefined : {
    kind: 'infeasible',
    reason: `${unfitting.length} of ${kinds.inputTokens.length} ${trace === undefined ? 'kinds of requests' : 'requests'} have more tokens than the engines take or `
      + `their KV memory holds: ${told.join(', ')}${unfitting.length > told.length ? ', ...' : ''}`,
    mend: 'leave out requests that cannot be served, or let the engines take longer sequences',
  };
}

function pathProblems({ aggregated, resolved: { plant } }: Service): Problem[] {
  const path = aggregated ? 'decode engines read all prompts' : plant.decode.wafers !== undefined ? 'nothing is published of wafers that read prompts' : undefined;
  return path === undefined ? [] : [{
    rule: 'SimulationRoutingOnePath', path: 'routing', message: `there is one path only, as ${path}`, mend: 'leave the routing out, or give a trace that tells which prompts begin alike',
  }];
}

function failureProblems(failures: readonly InstanceFailure[], service: Service, counts: Counts): Problem[] {
  const problems: Problem[] = [];
  const instances: { readonly [pool: string]: number } = { ...service.aggregated ? {} : { prefill: counts.prefill }, decode: counts.decode };
  const refuse = (path: string, value: unknown, message: string, mend: string) =>
    problems.push({ rule: 'SimulationFailureWrong', path, value: String(value), message, mend });
  failures.forEach(({ pool, instance, atSeconds, untilSeconds }, i) => {
    if (!Object.hasOwn(instances, pool)) {
      refuse(`failures[${i}].pool`, pool, 'there is no such pool', `use ${Object.keys(instances).join(' or ')}`);
    } else if (!(Number.isInteger(instance) && instance >= 0 && instance < instances[pool])) {
      refuse(`failures[${i}].instance`, instance, 'there is no such instance', `give a whole number from 0 to ${instances[pool] - 1}`);
    }
    if (!(atSeconds >= 0 && atSeconds < Infinity)) {
      refuse(`failures[${i}].atSeconds`, atSeconds, 'this is no time from the start', 'give seconds from 0');
    }
    if (untilSeconds !== undefined && !(untilSeconds > atSeconds && untilSeconds < Infinity)) {
      refuse(`failures[${i}].untilSeconds`, untilSeconds, 'this is no time after the failure', 'give more than atSeconds, or leave it out');
    }
  });
  return problems;
}
