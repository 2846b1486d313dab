import { SERVICE_TIERS, ServiceTier } from '../../routing';
import { LengthClass } from '../../workload';

/** The lengths that occur, one column each; a request is of one kind. */
export interface RequestLengths {
  readonly inputTokens: Float64Array;
  /** Leading prompt tokens whose KV cache is there already. */
  readonly cachedTokens: Float64Array;
  readonly outputTokens: Float64Array;
  /** Place of each in `SERVICE_TIERS`: the lowest is first wherever requests wait. */
  readonly ranks: Uint8Array;
}

/** Whole tokens of the given lengths. */
export function requestLengths(lengths: readonly Omit<LengthClass, 'weight'>[]): RequestLengths {
  const column = (value: (index: number) => number) => Float64Array.from(lengths, (_, index) => value(index));
  // classes of a trace have mean lengths; a simulated request has whole tokens
  const inputTokens = column((i) => Math.max(1, Math.round(lengths[i].inputTokens)));
  const cachedTokens = column((i) => Math.min(Math.round(lengths[i].cachedInputTokens ?? 0), inputTokens[i]));
  return {
    inputTokens,
    cachedTokens,
    outputTokens: column((i) => Math.max(1, Math.round(lengths[i].outputTokens))),
    ranks: Uint8Array.from(lengths, ({ serviceTier = 'default' }) => SERVICE_TIERS.indexOf(serviceTier as ServiceTier)),
  };
}
