import { EngineShape, ModelShape } from './phases/shapes';
import { Speculation } from './phases/speculation';

/**
 * A deployment with everything looked up and defaulted: what the closed form computes on. Plain numbers; counts of instances are left open.
 */
export interface Plant {
  readonly model: ModelShape;
  readonly classes: ClassTable;
  /** Squared coefficient of variation of the gaps between arrivals. */
  readonly arrivalScv: number;
  /** The pool that reads prompts; without one the decode pool reads them. */
  readonly prefill?: PromptPool;
  readonly link?: KvLink;
  readonly decode: TokenPool;
}

/**
 * The length classes as columns.
 */
export interface ClassTable {
  readonly weights: Float64Array;
  readonly inputTokens: Float64Array;
  readonly cachedTokens: Float64Array;
  /** New prompt tokens after padding to compiled lengths. */
  readonly paddedTokens: Float64Array;
  /** Most prompt tokens that an engine reads at once: the last compiled length; Infinity where prompts are read whole. */
  readonly segmentTokens: number;
  readonly outputTokens: Float64Array;
}

/** Engines that read prompts. */
export interface PromptPool {
  readonly engine: EngineShape;
  /** One for each batch of those whose layers are split over stages, here as below. */
  readonly enginesPerInstance: number;
  /** Memory of one engine for the KV cache, all copies together, in bytes. */
  readonly kvMemoryBytes: number;
  /** Tokens of a block of it. */
  readonly kvBlockTokens: number;
}

/** Engines, or wafer replicas, that write tokens. */
export type TokenPool = TokenEngines | WaferReplicas;

/** What both have. */
export interface TokenSlots {
  readonly enginesPerInstance: number;
  /** Sequences that one engine decodes at once: what is configured or what the KV memory holds on average, whichever is less. */
  readonly slots: number;
  /** Whether the KV memory is what bounds the slots. */
  readonly slotsBoundByKv: boolean;
  /** Sequences that one engine is configured for. */
  readonly maxSequences: number;
  /** Memory of one engine for the KV cache, all copies together, in bytes. */
  readonly kvMemoryBytes: number;
  /** Copies of the KV cache that it holds, see `EngineShape`; 1 on wafers. */
  readonly kvCopies: number;
  /** Tokens of a block of it: a sequence holds whole ones. */
  readonly kvBlockTokens: number;
}

/** Engines of HBM devices. */
export interface TokenEngines extends TokenSlots {
  readonly wafers?: undefined;
  readonly engine: EngineShape;
  /** Drafts that steps verify; undefined without. */
  readonly speculation?: Speculation;
  /** Tokens of a step in which prompts are read and tokens written; undefined where prompts are read between steps. */
  readonly stepTokens?: number;
}

/** Replicas of a model that are laid over wafers. */
export interface WaferReplicas extends TokenSlots {
  /** Wafers of one replica. */
  readonly wafers: number;
  readonly engine?: undefined;
  readonly speculation?: undefined;
  readonly stepTokens?: undefined;
  /** Seconds per token of one stream given by the user; undefined to use the latency-per-layer model. */
  readonly tokenSeconds?: number;
}

/** The engines that read prompts: those that write tokens too where there are no others; beside wafers, which read none, there are. */
export function promptPool({ prefill, decode }: Plant): PromptPool {
  return prefill ?? decode as TokenEngines;
}

/** The path of the KV cache. */
export interface KvLink {
  /** Line rate of a prefill instance, in bytes per second, before the calibrated share; with `measured` the usable rate. */
  readonly prefillBytesPerSecond: number;
  /** Line rate into a decode instance or replica, in bytes per second, before the calibrated share; with `measured` no bound for HBM devices. */
  readonly decodeBytesPerSecond: number;
  /** Whether the user gave the usable bandwidth of a prefill instance. */
  readonly measured: boolean;
  /** Layers that a transfer is spread over: the model's layers if it overlaps with prefill, 1 if it does not. */
  readonly overlapLayers: number;
  /** Tokens of the blocks that are sent one by one; undefined where set-up takes as long for every cache. */
  readonly blockTokens?: number;
}
