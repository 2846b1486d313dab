import { DEFAULT_DECODE_SEQUENCES } from './defaults';
import { PoolSpec } from './deployment-spec';
import { kvMemoryBytes, kvSlots, kvTokenBytes } from './phases/memory';
import { EngineShape, ModelShape, engineWeightBytes, kvBytes } from './phases/shapes';
import { ClassTable, TokenSlots } from './plant';
import { Refused } from './refused';

/** Share of device memory that an engine takes: vLLM's default of `gpu_memory_utilization`. */
const USABLE_MEMORY = 0.9;
/** Activations and compiled graphs, in bytes per rank: an assumption, on the large side for one prompt at a time. */
const RESERVE_BYTES_PER_RANK = 0.5e9;

/** What holds KV caches: the memory of one engine for them. */
export interface KvMemory {
  readonly stage: string;
  /** Of all copies together. */
  readonly freeBytes: number;
  readonly copies: number;
  /** Tokens of a block: a sequence holds whole ones. */
  readonly blockTokens: number;
  /** Whether a sequence takes blocks as it is written; otherwise it is let in when all that it will have fits. */
  readonly growsByStep: boolean;
}

/** An engine of a pool. */
interface PoolEngine {
  readonly engine: EngineShape;
  readonly tensorParallelDegree: number;
  readonly stage: string;
}

/** Bytes that an engine has for KV caches; throws `Refused` where the weights leave none. */
export function freeKvBytes(
  { hardware, kvCacheTokens }: PoolSpec, { engine, tensorParallelDegree: ranks, stage }: PoolEngine, model: ModelShape,
): number {
  if (kvCacheTokens !== undefined) {
    return kvCacheTokens * kvTokenBytes(model) * engine.kvCopies / engine.stages;
  }
  const reserve = ranks * RESERVE_BYTES_PER_RANK;
  const weights = engineWeightBytes(model, engine);
  const free = kvMemoryBytes(engine.memoryBytes, USABLE_MEMORY, weights, reserve);
  if (free <= 0) {
    throw new Refused({
      kind: 'infeasible',
      stage,
      reason: `the weights take ${gib(weights)} and the ${ranks} ranks of ${hardware} leave ${gib(engine.memoryBytes * USABLE_MEMORY - reserve)}`,
      mend: 'use a higher tensor parallel degree, a larger instance or a narrower weight format',
    });
  }
  return free;
}

/** Throws `Refused` where a sequence of the longest has no room. */
export function checkFits({ freeBytes, copies, stage }: Pick<KvMemory, 'freeBytes' | 'copies' | 'stage'>, model: ModelShape, tokens: Float64Array): void {
  const longest = tokens.reduce((most, length) => Math.max(most, kvBytes(model, length)), 0);
  if (kvSlots(freeBytes, longest * copies) < 1) {
    throw new Refused({
      kind: 'infeasible',
      stage,
      reason: `the longest requests need ${gib(longest * copies)} of KV cache (${copies} copies) and ${gib(freeBytes)} is left beside the weights`,
      mend: 'use a larger instance, more wafers, a narrower KV cache format or shorter requests',
    });
  }
}

/**
 * Slots of an engine: as many sequences as are configured, or as the memory holds on average of the mix of those that are in it at a time, whichever is less; a
 * whole number where all take as much. Throws `Refused` where the longest has no room.
 */
export function slotsOf(
  memory: KvMemory, configured: number, model: ModelShape, classes: ClassTable,
): Pick<TokenSlots, 'slots' | 'slotsBoundByKv' | 'maxSequences' | 'kvMemoryBytes'> {
  const { weights, inputTokens, outputTokens } = classes;
  checkFits(memory, model, inputTokens.map((tokens, i) => tokens + outputTokens[i]));
  const { freeBytes, copies, blockTokens, growsByStep } = memory;
  const bytes = (tokens: number) => kvBytes(model, Math.ceil(tokens / blockTokens) * blockTokens) * copies;
  let held = 0;
  let output = 0;
  let next = 0;
  let nextSquare = 0;
  let areAlike = !growsByStep;
  const first = bytes(inputTokens[0] + outputTokens[0]);
  weights.forEach((weight, i) => {
    const whole = bytes(inputTokens[i] + outputTokens[i]);
    areAlike &&= whole === first;
    // the time that one is there grows with its answer
    held += weight * outputTokens[i] * (growsByStep ? bytes(inputTokens[i] + outputTokens[i] / 2) : whole);
    output += weight * outputTokens[i];
    const needed = growsByStep ? bytes(inputTokens[i]) : whole;
    next += weight * needed;
    nextSquare += weight * needed * needed;
  });
  // what is left is less than the next one needs, by chance half of it (renewals: Cox, Renewal Theory, section 5.1)
  const left = next > 0 ? nextSquare / next / 2 : 0;
  const slots = areAlike ? kvSlots(freeBytes, first) : held > 0 ? Math.max(1, (freeBytes - left) / (held / output)) : Number.MAX_SAFE_INTEGER;
  return { slots: Math.min(configured, slots), slotsBoundByKv: slots < configured, maxSequences: configured, kvMemoryBytes: freeBytes };
}

/** Sequences that one engine of a pool is configured for, in each of its stages. */
export function configuredSequences({ maxConcurrentSequences = DEFAULT_DECODE_SEQUENCES }: PoolSpec, stages: number): number {
  return Math.max(1, Math.floor(maxConcurrentSequences / stages));
}

export function gib(bytes: number): string {
  return `${Math.round(bytes)} bytes (${(bytes / 2 ** 30).toFixed(1)} GiB)`;
}
