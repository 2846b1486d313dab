import { RequestTrace } from '../../workload';
import { DeploymentSpec } from '../deployment-spec';
import { Refusal } from '../estimate';

/**
 * How a deployment is simulated.
 */
export interface SimulationOptions {
  /**
   * Seed of the random numbers, a whole number from 0 to 2^32 - 1. Of one seed and workload, fleets and rates of every size meet the same requests in the
   * same order, so that two simulations differ by what they compare and not by chance.
   *
   * @default 0
   */
  readonly seed?: number;

  /**
   * Requests to simulate, a whole number from 1 to 2,000,000,000.
   *
   * @default - 10,000; ten for each client; all requests of a trace
   */
  readonly requests?: number;

  /**
   * Clients that each send the next request when the last one is answered (closed loop), their first ones all at once; the workload's rate is not used.
   * Lengths vary by 5 % either way around those of the workload, as `calibrate` takes it too: in a loop of one length all requests would stay in step for ever.
   *
   * @default - requests come at the workload's rate, whatever is answered (open loop)
   */
  readonly concurrency?: number;

  /**
   * Requests to replay as recorded, in place of draws from the workload.
   *
   * @default - drawn from the workload's length classes, rate and variation of gaps
   */
  readonly trace?: RequestTrace;

  /**
   * Lets the router decide for each request whether a prefill engine reads its prompt or the decode engine itself, as the deployed router does: by the
   * prompt's length, the objective, and how busy the engines are. Where the trace tells which prompts begin alike, also which engine: one that was given the
   * beginning of the prompt before, unless it has more to do than others.
   *
   * @default - every prompt is read by a prefill engine, where there are any
   */
  readonly routing?: SimulatedRouting;

  /**
   * Instances that fail while requests come.
   *
   * @default - none fails
   */
  readonly failures?: InstanceFailure[];

  /**
   * Is shown every request.
   *
   * @default - nobody
   */
  readonly observer?: SimulationObserver;
}

/**
 * How the router decides.
 */
export interface SimulatedRouting {
  /**
   * Tokens of the shortest prompt that is rather handed from a prefill to a decode engine; 0 for every prompt.
   *
   * @default - what the estimator tells the router: the shortest that costs its caller no more time than it spares the decode engine
   */
  readonly minPromptTokens?: number;

  /**
   * How much an engine may have to do, with a request, over what the engine with the least would have, to be chosen because it was given the beginning of the
   * prompt before; from 1 to 100. Of use with a trace that tells which prompts begin alike.
   *
   * @default 1.25
   */
  readonly prefixLoadFactor?: number;
}

/**
 * An instance that goes down. Requests whose tokens it writes, or would, are answered with an error; prompts that it reads, or whose KV cache is on its way
 * from it, are read by a decode engine instead, or are answered with an error where wafers decode. The router sends it nothing until it is up again; requests
 * that no instance is left for are answered with an error.
 */
export interface InstanceFailure {
  /** `prefill` or `decode`, which is the only pool of aggregated serving. */
  readonly pool: string;
  /** Number of the instance, from 0. */
  readonly instance: number;
  /** When it goes down, in seconds from the start. */
  readonly atSeconds: number;
  /**
   * When it is up again, with no request, in seconds from the start.
   *
   * @default - never
   */
  readonly untilSeconds?: number;
}

/**
 * A request that was answered with an error.
 */
export interface FailedRequest {
  /** Its number in order of arrival, from 0. */
  readonly request: number;
  /** When it came, in seconds from the start. */
  readonly arrivalSeconds: number;
  /** Prompt length, in tokens. */
  readonly inputTokens: number;
  /** Tokens that it would have generated. */
  readonly outputTokens: number;
  /** Its service tier: `priority`, `default` or `flex`. */
  readonly serviceTier: string;
  /** Time from arrival to the error, in seconds. */
  readonly failedAfterSeconds: number;
}

/**
 * Is shown requests as they finish.
 */
export abstract class SimulationObserver {
  /**
   * Called once for each request, in the order of finishing on each engine.
   *
   * @param request the request.
   */
  public abstract onRequest(request: SimulatedRequest): void;

  /**
   * Called once for each request that an instance's failure ended, in the place of `onRequest`. Does nothing unless overridden.
   *
   * @param _request the request.
   */
  public onFailure(_request: FailedRequest): void {}
}

/**
 * A request that was answered.
 */
export interface SimulatedRequest {
  /** Its number in order of arrival, from 0. */
  readonly request: number;
  /** When it came, in seconds from the start. */
  readonly arrivalSeconds: number;
  /** Prompt length, in tokens. */
  readonly inputTokens: number;
  /** Leading tokens of it that were not read, as the engine had them in its prefix cache. */
  readonly cachedTokens: number;
  /** Generated tokens. */
  readonly outputTokens: number;
  /** Its service tier: `priority`, `default` or `flex`. */
  readonly serviceTier: string;
  /** Time to first token, in seconds. */
  readonly ttftSeconds: number;
  /** Mean time per output token after the first, in seconds; undefined where there is one token only. */
  readonly tpotSeconds?: number;
  /** Time to the last token, in seconds. */
  readonly endToEndSeconds: number;
  /** Number of the engine that read the prompt, from 0; undefined if the decode engine did though there are prefill engines. */
  readonly prefillEngine?: number;
  /** Number of the engine that wrote the tokens, from 0. */
  readonly decodeEngine: number;
}

/**
 * A latency over all simulated requests, in seconds. Mean and extremes are exact, quantiles are within 0.1 % of an exact one.
 */
export interface SimulatedLatency {
  /** Mean. */
  readonly avg: number;
  /** Least. */
  readonly min: number;
  /** Greatest. */
  readonly max: number;
  /** Median. */
  readonly p50: number;
  /** 90th percentile. */
  readonly p90: number;
  /** 95th percentile. */
  readonly p95: number;
  /** 99th percentile. */
  readonly p99: number;
}

/**
 * What the requests of one service tier met.
 */
export interface SimulatedTier {
  /** `priority`, `default` or `flex`. */
  readonly serviceTier: string;
  /** Requests of it that were answered. */
  readonly requests: number;
  /** Time to first token. */
  readonly ttftSeconds: SimulatedLatency;
  /** Mean time per output token after the first, of each request; undefined where all requests have one token. */
  readonly tpotSeconds?: SimulatedLatency;
  /** Time to the last token. */
  readonly endToEndSeconds: SimulatedLatency;
}

/**
 * How busy a stage was, from the first arrival to the last answer.
 */
export interface SimulatedStage {
  /** `prefill`, `kv-transfer`, `decode` or `aggregated`. */
  readonly name: string;
  /** Engines, or links. */
  readonly engines: number;
  /** Share of the time that they worked; of a link the share of its bandwidth. */
  readonly utilisation: number;
  /** Sequences of a decode step on average; undefined where there was none. */
  readonly meanBatch?: number;
  /** Sequences that an engine has room for; undefined where none are written. */
  readonly maxBatch?: number;
}

/**
 * Whether a run was long enough for its figures to be what to expect. One that is too short tells of too short waits, as it begins with idle engines.
 *
 * The run is divided into parts of as many requests each, in order of arrival. How the mean times to first token of the parts differ tells how far the mean
 * over all may be off (batch means): by more the nearer the engines are to what they can take, as waits that are long stay long.
 */
export interface SimulatedSteadiness {
  /** Half the width of the 95 % interval of the mean time to first token, as a share of the mean. */
  readonly ttftErrorShare: number;
  /** Whether that is no more than 0.1. */
  readonly isSteady: boolean;
  /** Requests of a run that would be, or would tell better how many it takes; undefined where this one is. */
  readonly requestsNeeded?: number;
}

/**
 * Whether one promise was kept.
 */
export interface SimulatedVerdict {
  /** `ttftSeconds`, `tpotSeconds` or `endToEndSeconds`. */
  readonly metric: string;
  /** Percentile that the promise speaks of, such as 95. */
  readonly percentile: number;
  /** The promise, in seconds. */
  readonly objectiveSeconds: number;
  /** What the simulation showed, in seconds. */
  readonly simulatedSeconds: number;
  /** `held` or `missed`. */
  readonly verdict: string;
}

/**
 * What a simulation showed.
 */
export interface Simulation {
  /** Version of this format: `cdk-disaggregated-inference/simulation/v1`. */
  readonly schema: string;
  /** The deployment with its counts. */
  readonly spec: DeploymentSpec;
  /** `disaggregated` or `aggregated`. */
  readonly serving: string;
  /** `trace`, `open-loop` or `closed-loop`. */
  readonly load: string;
  /** The seed. */
  readonly seed: number;
  /** Requests that came. */
  readonly requests: number;
  /** Those of them that were answered with an error as an instance failed; latencies and rates are of the others. */
  readonly failedRequests: number;
  /** Those that were answered and whose prompt a decode engine read though there are prefill engines. */
  readonly readByDecodeRequests: number;
  /** From the first arrival to the last answer, in seconds. */
  readonly durationSeconds: number;
  /** Time to first token. */
  readonly ttftSeconds: SimulatedLatency;
  /** Mean time per output token after the first, of each request; undefined where all requests have one token. */
  readonly tpotSeconds?: SimulatedLatency;
  /** Time to the last token. */
  readonly endToEndSeconds: SimulatedLatency;
  /** The same for each service tier of which a request was answered, the most urgent first; empty where the workload names one for all. */
  readonly tiers: SimulatedTier[];
  /** Output tokens per second, whole service. */
  readonly outputTokensPerSecond: number;
  /** Answered requests per second. */
  readonly requestsPerSecond: number;
  /** Answered requests per second that kept every promise of the objective; all of them without an objective. */
  readonly keptRequestsPerSecond: number;
  /** Most requests that were in the service at once. */
  readonly mostInFlight: number;
  /** Times that a request lost its place in an engine because the KV cache was full, and was read again later. */
  readonly preemptions: number;
  /** Share of the prompts' tokens that engines had in their prefix caches, of answered requests. */
  readonly prefixHitRate: number;
  /** Blocks of prefixes that left a cache as others needed the room; 0 where what is cached is given by the workload and not simulated. */
  readonly evictedBlocks: number;
  /** Whether the service fell ever further behind the arrivals: the latencies then tell how long the simulation was, and not what to expect. */
  readonly backlogGrows: boolean;
  /** Whether the run was long enough; undefined of traces and where instances fail, which come to no steady state, of closed loops, which begin
   * with every client at once, and of fewer than 32 requests. */
  readonly steadiness?: SimulatedSteadiness;
  /** Stages, in the order that a request passes them. */
  readonly stages: SimulatedStage[];
  /** Each promise with its verdict; empty without an objective. */
  readonly objectives: SimulatedVerdict[];
}

/**
 * A simulation, or the reason why there is none: exactly one of the two.
 */
export interface SimulationOutcome {
  /** What it showed. */
  readonly simulation?: Simulation;
  /** Why there is none. */
  readonly refusal?: Refusal;
}
