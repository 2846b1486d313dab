import { DeploymentSpec } from './deployment-spec';

/**
 * A figure and the interval that the spread of the coefficients gives it.
 */
export interface Range {
  /** The figure with every coefficient at its centre. */
  readonly value: number;

  /** Lower end of the 80 % interval. */
  readonly low: number;

  /** Upper end of the 80 % interval. */
  readonly high: number;
}

/**
 * A latency's percentiles over requests, in seconds.
 */
export interface LatencyEstimate {
  /** Mean over requests, in seconds. */
  readonly mean: Range;
  /** Median over requests, in seconds. */
  readonly p50: Range;
  /** 90th percentile over requests, in seconds. */
  readonly p90: Range;
  /** 95th percentile over requests, in seconds. */
  readonly p95: Range;
  /** 99th percentile over requests, in seconds. */
  readonly p99: Range;
}

/**
 * One stage of the service: `prefill`, `kv-transfer` or `decode`.
 */
export interface StageEstimate {
  /** `prefill`, `kv-transfer`, `decode`, or `aggregated`. */
  readonly name: string;
  /** Name of the hardware, or of the link. */
  readonly hardware: string;
  /** Number of instances, replicas or links. */
  readonly instances: number;
  /** Logical cores or chips that one copy of the model is split over. */
  readonly tensorParallelDegree: number;
  /** Share of the stage's capacity in use, 0 to 1. */
  readonly utilisation: Range;
  /**
   * What bounds the stage: `compute`, `memory-bandwidth`, `layer-latency`, `interconnect` (between the chips of an engine), `host` (of an engine),
   * `kv-capacity`, `network`.
   */
  readonly bottleneck: string;
  /** Price of the stage in USD per hour; undefined where no price is known. */
  readonly usdPerHour?: number;
  /** Name, centre, relative spread and source of each coefficient used. */
  readonly coefficients: CoefficientUse[];
}

/**
 * A coefficient that an estimate rests on.
 */
export interface CoefficientUse {
  /** Name of the coefficient, unit included. */
  readonly name: string;
  /** Its centre. */
  readonly value: number;
  /** Its relative standard deviation, 0.2 for 20 %. */
  readonly relativeSigma: number;
  /** Where it comes from. */
  readonly source: string;
}

/**
 * A part of the mean time to first token.
 */
export interface LatencyPart {
  /** `gateway`, `prefill-queue`, `prefill`, `kv-transfer`, `decode-admission`, `first-decode-step`. */
  readonly name: string;
  /** Mean over requests, in seconds. */
  readonly seconds: number;
}

/**
 * Whether one promise is kept.
 */
export interface ObjectiveVerdict {
  /** `ttftSeconds`, `tpotSeconds` or `endToEndSeconds`. */
  readonly metric: string;
  /** Percentile that the promise speaks of, such as 95. */
  readonly percentile: number;
  /** The promise, in seconds. */
  readonly objectiveSeconds: number;
  /** The estimate, in seconds. */
  readonly estimateSeconds: Range;
  /** What a simulation showed, in seconds, of a fleet that was planned; the verdict is its where the estimate alone does not say that the promise is kept. */
  readonly simulatedSeconds?: number;
  /**
   * `held` or `missed` where the whole interval says so, `likely held` or `likely missed` where its centre does and an end does not.
   * `unknown` of counts that were given where bursts outrun the slots: `simulate` tells then.
   */
  readonly verdict: string;
}

/**
 * How far an estimate can be trusted.
 */
export interface Confidence {
  /** `high`, `medium` or `low`. */
  readonly level: string;
  /** Why, in one sentence. */
  readonly reason: string;
}

/**
 * What a vendor says of its hardware: a claim, which nothing here confirms and no estimate is made of.
 */
export interface VendorClaim {
  /** What the figure is of, unit included. */
  readonly figure: string;
  /** What is claimed; undefined where nothing is. */
  readonly claimed?: number;
  /** Who claims it, when and where, or that nobody does. */
  readonly source: string;
  /** What this estimate takes or finds in its place; undefined where it says nothing of it. */
  readonly estimated?: Range;
  /** The field of the spec that gives your own figure in place of the estimated one. */
  readonly input?: string;
}

/**
 * What to expect of a deployment.
 */
export interface Estimate {
  /** Version of this format: `cdk-disaggregated-inference/estimate/v1`. */
  readonly schema: string;
  /** The deployment with every default and planned count filled in. */
  readonly spec: DeploymentSpec;
  /** `disaggregated` or `aggregated`. */
  readonly serving: string;
  /** Time to first token, in seconds. */
  readonly ttftSeconds: LatencyEstimate;
  /** Time per output token after the first, in seconds. */
  readonly tpotSeconds: LatencyEstimate;
  /** Time to the last token, in seconds. */
  readonly endToEndSeconds: LatencyEstimate;
  /** Parts of the mean time to first token. */
  readonly ttftParts: LatencyPart[];
  /** Output tokens per second at the workload's rate, whole service. */
  readonly outputTokensPerSecond: Range;
  /** The highest request rate at which the objective still holds, or, without an objective, at which the fleet is stable; requests per second. */
  readonly goodputRequestsPerSecond: Range;
  /** Stages, in the order a request passes them. */
  readonly stages: StageEstimate[];
  /** Name of the stage with the highest utilisation. */
  readonly bottleneck: string;
  /** Price of the fleet in USD per hour; undefined where a price is not known. */
  readonly usdPerHour?: number;
  /** Fleet price over output tokens at the workload's rate, in USD per million; undefined where a price is not known. */
  readonly costUsdPerMillionOutputTokens?: Range;
  /** Each promise with its verdict; empty without an objective. */
  readonly objectives: ObjectiveVerdict[];
  /** Which solver answered: `closed-form`. */
  readonly solver: string;
  /** How far to trust it. */
  readonly confidence: Confidence;
  /** What the vendor claims where little is published, beside what this estimate says of it; empty but for decode on wafers. */
  readonly vendorClaims: VendorClaim[];
}

/**
 * Why there is no estimate.
 */
export interface Refusal {
  /** `unstable` (the load exceeds the capacity), `infeasible` (memory, or no count holds the objective) or `unknown` (no published basis). */
  readonly kind: string;
  /** What is the matter, in one sentence. */
  readonly reason: string;
  /** What to do, in one sentence. */
  readonly mend: string;
  /** The stage that falls short, where one does. */
  readonly stage?: string;
  /** Where the load exceeds the capacity, the pools that have too few instances, and how many they lack. */
  readonly shortfalls?: PoolShortfall[];
}

/**
 * A pool that has too few instances for its load.
 */
export interface PoolShortfall {
  /** `prefill`, `decode`, or `aggregated`. */
  readonly stage: string;
  /** Instances that it lacks; with them it has a steady state, but need not hold an objective. */
  readonly instances: number;
}

/**
 * An estimate, or the reason why there is none: exactly one of the two.
 */
export interface EstimateOutcome {
  /** The estimate. */
  readonly estimate?: Estimate;
  /** Why there is none. */
  readonly refusal?: Refusal;
}

/**
 * A fleet that was considered, and why it was not chosen.
 */
export interface RejectedCandidate {
  /** Prefill instances; 0 where serving is aggregated. */
  readonly prefillInstances: number;
  /** Decode instances or replicas. */
  readonly decodeInstances: number;
  /** Tensor parallel degree of decode. */
  readonly tensorParallelDegree: number;
  /** Price of the candidate in USD per hour, where known. */
  readonly usdPerHour?: number;
  /** Why it was not chosen, in one sentence. */
  readonly reason: string;
}

/**
 * The cheapest fleet that holds the objective.
 */
export interface FleetPlan {
  /** Version of this format: `cdk-disaggregated-inference/fleet-plan/v1`. */
  readonly schema: string;
  /** The spec with counts filled in and its estimate, or why no fleet was found. */
  readonly outcome: EstimateOutcome;
  /** Candidates that were considered and not chosen, the nearest ones first. */
  readonly rejected: RejectedCandidate[];
}
