import { SERVICE_TIERS, ServiceTier } from '../../routing';
import { LengthClass } from '../../workload';

/** The lengths that occur, and which prompts begin alike, one column each; a request is of one kind. */
export interface RequestLengths {
  readonly inputTokens: Float64Array;
  /** Leading prompt tokens whose KV cache is there already. */
  readonly cachedTokens: Float64Array;
  readonly outputTokens: Float64Array;
  /** Ids of the pieces that each prompt begins with, `PREFIX_BLOCK_TOKENS` long; undefined where nobody knows of any: prompts then find what is cached. */
  readonly prefixes?: readonly (readonly number[])[];
  /** Place of each in `SERVICE_TIERS`: the lowest is first wherever requests wait. */
  readonly ranks: Uint8Array;
}

/** Whole tokens of the given lengths; where prompts are told apart by what they begin with, what is cached comes out of the simulation. */
export function requestLengths(lengths: readonly Omit<LengthClass, 'weight'>[], prefixes?: RequestLengths['prefixes']): RequestLengths {
  const column = (value: (index: number) => number) => Float64Array.from(lengths, (_, index) => value(index));
  // classes of a trace have mean lengths; a simulated request has whole tokens
  const inputTokens = column((i) => Math.max(1, Math.round(lengths[i].inputTokens)));
  const cachedTokens = column((i) => prefixes === undefined ? Math.min(Math.round(lengths[i].cachedInputTokens ?? 0), inputTokens[i]) : 0);
  return {
    inputTokens,
    cachedTokens,
    prefixes,
    outputTokens: column((i) => Math.max(1, Math.round(lengths[i].outputTokens))),
    ranks: Uint8Array.from(lengths, ({ serviceTier = 'default' }) => SERVICE_TIERS.indexOf(serviceTier as ServiceTier)),
  };
}
