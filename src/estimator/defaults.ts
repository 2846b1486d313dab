/** Prompts that one prefill engine reads at once. */
export const DEFAULT_PREFILL_SEQUENCES = 1;

/** Sequences that one engine decodes at once unless told more, or the KV memory holds fewer. */
export const DEFAULT_DECODE_SEQUENCES = 64;

/** Ranks that a model is split over unless told otherwise: the largest divisor of the attention heads that is at most the ranks of an instance. */
export function defaultTensorParallelDegree(heads: number, ranks: number): number {
  for (let degree = Math.min(heads, ranks); degree > 1; degree--) {
    if (heads % degree === 0) {
      return degree;
    }
  }
  return 1;
}
