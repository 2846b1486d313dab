import { ModelSpec, PrecisionSpec } from '../model';
import { ObjectiveSpec, WorkloadSpec } from '../workload';
import { CalibrationSpec } from './calibration-spec';

/**
 * A deployment, described for the estimator: one plain value that survives JSON.
 *
 * The construct builds it at synth, the CLI reads it from a file, the router's configuration is derived from it.
 */
export interface DeploymentSpec {
  /** Version of this format: `cdk-disaggregated-inference/deployment-spec/v1`. */
  readonly schema: string;

  /**
   * A name for messages and reports.
   *
   * @default - the model's id
   */
  readonly name?: string;

  /** What is served. */
  readonly model: ModelSpec;

  /**
   * Number formats of weights, activations and KV cache.
   *
   * @default - bf16 for all three
   */
  readonly precision?: PrecisionSpec;

  /** What is asked. */
  readonly workload: WorkloadSpec;

  /**
   * What is promised.
   *
   * @default - nothing is promised: the estimate judges stability only, and counts must be given
   */
  readonly objective?: ObjectiveSpec;

  /**
   * What a planned fleet can lose and grow by and still hold the objective. Has no effect where the spec gives all counts.
   *
   * @default - none: the fleet holds the objective at the workload's rate with every instance there
   */
  readonly headroom?: HeadroomSpec;

  /**
   * The fleet that reads prompts.
   *
   * @default - aggregated serving: the decode pool reads prompts too
   */
  readonly prefill?: PoolSpec;

  /**
   * The path of the KV cache from prefill to decode.
   *
   * @default - EFA of both pools at the efficiency that the calibration gives
   */
  readonly link?: LinkSpec;

  /** The pool that writes tokens. */
  readonly decode: DecodeSpec;

  /**
   * The software that the pools run, by a name such as `vllm` or `sglang`: a calibration that says that it is of another one is refused.
   *
   * @default - any
   */
  readonly engine?: string;

  /**
   * Coefficients measured by the user, in place of the shipped ones.
   *
   * @default - the shipped calibration of the pool's accelerator
   */
  readonly calibration?: CalibrationSpec;
}

/**
 * What a planned fleet has room for.
 */
export interface HeadroomSpec {
  /**
   * Growth of the rate that the fleet still holds the objective at, as a share: 0.2 for a fifth more requests per second.
   *
   * @default 0
   */
  readonly growth?: number;

  /**
   * Instances of one pool that may be gone while the fleet holds the objective; 1 is what is called N+1. Each pool whose count is planned is taken alone.
   *
   * @default 0
   */
  readonly spareInstances?: number;
}

/**
 * A pool of equal instances.
 */
export interface PoolSpec {
  /** Name of the instance type, UltraServer or wafer system, such as `trn2.48xlarge`, `Trn3 Gen2 UltraServer` or `cs-3`. */
  readonly hardware: string;

  /**
   * Figures of hardware that the library does not know, of which `hardware` is a name of your own. Nobody has measured it, so that `calibration` has to give
   * coefficients or name a set, such as `unmeasured`.
   *
   * @default - those of the hardware of that name
   */
  readonly accelerator?: AcceleratorSpec;

  /**
   * Number of instances; for wafers, number of replicas of the model.
   *
   * @default - planned: the fewest that hold the objective
   */
  readonly instances?: number;

  /**
   * Logical cores or chips that one copy of the model is split over.
   *
   * @default - the largest degree that the instance and the attention heads allow
   */
  readonly tensorParallelDegree?: number;

  /**
   * Stages of one engine, each of as many ranks as the tensor parallel degree has: each holds a part of the layers, and works on a batch of its own. All of an
   * engine are on one instance.
   *
   * @default 1
   */
  readonly pipelineParallelDegree?: number;

  /**
   * Engines of an instance that share one copy of the routed experts, spread over the ranks of all, and have the rest of the model each: data parallel attention
   * with expert parallelism. Mixtures of experts only.
   *
   * @default 1
   */
  readonly dataParallelDegree?: number;

  /**
   * Engines that one instance runs, each a copy of the model but for experts that they share.
   *
   * @default - as many as these degrees fit into the instance
   */
  readonly enginesPerInstance?: number;

  /**
   * Sequences that one engine decodes at once. For prefill only 1 is modelled. On wafers the KV cache alone is the bound unless this is given.
   *
   * @default - 1 for prefill, 64 for decode, fewer if the KV cache holds fewer
   */
  readonly maxConcurrentSequences?: number;

  /**
   * Compiled prompt lengths of a static-shape engine, in tokens, ascending: a prompt is padded to the next one. A prompt longer than the last one is
   * read in segments of the last one, each after the other.
   *
   * @default - powers of two from 128 to the longest sequence on Neuron, none elsewhere
   */
  readonly promptBuckets?: number[];

  /**
   * Longest sequence that an engine takes, prompt and output together, in tokens; a prefill engine writes one token. At most the model's context.
   *
   * @default - the model's context
   */
  readonly maxSequenceTokens?: number;

  /**
   * Tokens of a block of the KV cache, of which a sequence holds whole ones in a simulation: `--block-size` of vLLM.
   *
   * @default - the engine's: 32 on Neuron, 16 on GPUs; wafers are counted by the token
   */
  readonly kvBlockTokens?: number;

  /**
   * Tokens that the KV cache of one engine holds, each in all layers, as vLLM logs it at its start.
   *
   * @default - what its memory holds beside the weights
   */
  readonly kvCacheTokens?: number;

  /**
   * How the instances are bought: `on-demand`, `spot`, `capacity-block` or `reservation`, which is billed as On-Demand. Its sourced price counts; a
   * Spot price is of one zone and day, as `priceSource` then says.
   *
   * @default - the way with the cheapest list price; Spot has none
   */
  readonly purchaseOption?: string;

  /**
   * Price of one instance, in USD per hour; for wafers, of one replica.
   *
   * @default - the sourced price of the purchase option; no cost is estimated where there is none
   */
  readonly usdPerInstanceHour?: number;

  /**
   * Where the price comes from.
   *
   * @default - the source of the shipped figure
   */
  readonly priceSource?: string;
}

/**
 * Figures of an accelerator that the library does not know, or of a processor in its place.
 */
export interface AcceleratorSpec {
  /**
   * Accelerators of one instance, each a rank of tensor parallelism.
   *
   * @default 1
   */
  readonly count?: number;

  /** Peak dense 16 bit rate of one of them, in FLOP per second. */
  readonly bf16FlopsPerSecond: number;

  /** Memory of one of them, in bytes. */
  readonly hbmBytes: number;

  /** Peak bandwidth of that memory, in bytes per second. */
  readonly hbmBytesPerSecond: number;

  /**
   * Bandwidth to the others of the instance, one way, in bytes per second.
   *
   * @default - unknown: a model is not split over several
   */
  readonly linkBytesPerSecond?: number;
}

/**
 * The pool that writes tokens.
 */
export interface DecodeSpec extends PoolSpec {
  /**
   * Tokens of one step, read and written ones together, where engines read prompts in the steps that write tokens (chunked prefill, vLLM's
   * `max_num_batched_tokens`). For aggregated serving on engines without compiled prompt lengths.
   *
   * @default - a prompt is read whole, between two steps
   */
  readonly maxBatchedTokens?: number;

  /**
   * Drafts of the next tokens, which each step verifies. Not for wafer-scale systems, whose published speeds have it in them.
   *
   * @default - one token a step
   */
  readonly speculation?: SpeculationSpec;

  /**
   * Wafers that one replica of the model is laid over. Wafer-scale systems only.
   *
   * @default - as many as weights and KV cache need
   */
  readonly wafersPerReplica?: number;

  /**
   * Speed of one stream on an otherwise idle replica, in tokens per second. Wafer-scale systems only.
   *
   * @default - the latency-per-layer model with its published spread
   */
  readonly outputTokensPerSecondPerUser?: number;
}

/**
 * Speculative decoding.
 */
export interface SpeculationSpec {
  /** Tokens of a draft, a whole number from 1 to 128. */
  readonly draftTokens: number;

  /** Chance that a token of the draft is accepted if those before it are, from 0 to 1; a step writes `(1 - a^(n + 1)) / (1 - a)` tokens on average. */
  readonly acceptanceRate: number;

  /**
   * Time to draft one token over that of a step without drafts.
   *
   * @default 0 - drafts are looked up, as n-grams are
   */
  readonly draftStepShare?: number;
}

/**
 * The path of the KV cache from prefill to decode.
 */
export interface LinkSpec {
  /**
   * Usable bandwidth of one prefill instance towards decode, in bytes per second.
   *
   * @default - the narrower of both ends' EFA line rates times the calibrated efficiency
   */
  readonly bytesPerSecond?: number;

  /**
   * Whether KV blocks leave while later layers are still computed: `layerwise` or `after-prefill`.
   *
   * @default 'after-prefill'
   */
  readonly overlap?: string;

  /**
   * Tokens of a KV block, where every block of every layer is sent on its own, keys and values apart, as vLLM's NIXL connector does: to post them takes longer
   * than to send them where blocks are small.
   *
   * @default - set-up takes the time of a measured transfer of 1,785 pieces, whatever the prompt
   */
  readonly blockTokens?: number;

  /**
   * `device-direct`, or `host-staged` where the cache is copied to the memory of both hosts on its way, which is taken to halve the bandwidth.
   *
   * @default 'device-direct'
   */
  readonly path?: string;
}
