import { Arrivals, ClientArrivals, RandomArrivals, RecordedArrivals } from './arrivals';
import { RequestLengths, requestLengths } from './request-lengths';
import { canServe } from './servable';
import { SimulationOptions } from './simulation';
import { LengthClass, RequestTrace } from '../../workload';
import { LEAST_VARIATION, ROUNDS, loopLengths } from '../closed-loop-requests';
import { Service } from '../service';

/** Requests that come at the workload's rate where nobody says how many. */
const DEFAULT_REQUESTS = 10_000;

/** Lengths that requests of a class have in a closed loop; a prime, so that they are in step with no number of clients. */
const LENGTHS_OF_CLASS = 251;

/** What comes to a fleet. */
export interface Load {
  /** `trace`, `open-loop` or `closed-loop`. */
  readonly name: string;
  /** Whether requests come at one rate, to which a fleet that keeps up with it has a steady state. */
  readonly isSteady: boolean;
  readonly lengths: RequestLengths;
  readonly arrivals: Arrivals;
}

/** The load that the options name, and the workload in what they leave out. */
export function loadOf(service: Service, { trace, concurrency, seed = 0, requests }: SimulationOptions): Load {
  return trace !== undefined ? traceLoad(trace, requests)
    : concurrency !== undefined ? closedLoop(service, seed, concurrency, requests ?? ROUNDS * concurrency)
      : openLoop(service, seed, requests ?? DEFAULT_REQUESTS);
}

function traceLoad(trace: RequestTrace, requests = trace.requests.length): Load {
  const replayed = trace.requests.slice(0, requests);
  const tells = replayed.some(({ prefixIds }) => prefixIds !== undefined);
  return {
    name: 'trace',
    isSteady: false,
    lengths: requestLengths(replayed, tells ? replayed.map(({ prefixIds = [] }) => prefixIds) : undefined),
    arrivals: new RecordedArrivals(Float64Array.from(replayed, (request) => request.arrivalSeconds), Int32Array.from(replayed, (_, i) => i)),
  };
}

function openLoop({ spec: { workload }, resolved: { plant }, rate }: Service, seed: number, requests: number): Load {
  return {
    name: 'open-loop',
    isSteady: true,
    lengths: requestLengths(workload.lengthClasses),
    arrivals: new RandomArrivals(seed, requests, rate, plant.arrivalScv, plant.classes.weights),
  };
}

function closedLoop(service: Service, seed: number, clients: number, requests: number): Load {
  const { lengthClasses } = service.spec.workload;
  // many classes are lengths that differ already
  const kinds = lengthClasses.length < LENGTHS_OF_CLASS ? Math.min(requests, LENGTHS_OF_CLASS) : 1;
  const varied = lengthClasses.flatMap((named) => kinds === 1 ? [named] : Array.from({ length: kinds }, (_, i) => variedLengths(service, named, i)));
  return {
    name: 'closed-loop',
    isSteady: false,
    lengths: requestLengths(varied),
    arrivals: new ClientArrivals(seed, requests, clients, service.resolved.plant.classes.weights, kinds),
  };
}

/**
 * Lengths that vary around the named ones: those themselves where the fleet takes none that are longer, and those of prompts by less where others would be padded
 * to another compiled length.
 */
function variedLengths(service: Service, named: LengthClass, index: number): LengthClass {
  const newShare = 1 - (named.cachedInputTokens ?? 0) / named.inputTokens;
  const { outputTokens } = loopLengths(named, index);
  const { inputTokens } = loopLengths(named, index, alikePadded(service, newShare * named.inputTokens));
  return canServe(service, inputTokens, outputTokens)
    ? { ...named, inputTokens, outputTokens, cachedInputTokens: (1 - newShare) * inputTokens } : named;
}

/** Between which shares of a prompt's length others are that are as long on the average and are padded to the same. */
function alikePadded({ resolved: { prefill, decode } }: Service, tokens: number): [number, number] {
  const { promptBuckets } = prefill ?? decode;
  const above = promptBuckets.find((longest) => tokens <= longest) ?? Infinity;
  const below = Math.max(0, ...promptBuckets.filter((longest) => longest < tokens));
  const variation = Math.min(LEAST_VARIATION, (above - tokens) / tokens, Math.max(0, tokens - below - 1) / tokens);
  return [1 - variation, 1 + variation];
}
