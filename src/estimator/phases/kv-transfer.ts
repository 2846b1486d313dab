/**
 * Seconds to post a KV cache that is sent block by block: each rank of an engine posts a piece for each block and layer, keys and values apart, all ranks at once.
 */
export function postingSeconds(layers: number, tokens: number, blockTokens: number, descriptorSeconds: number): number {
  return 2 * layers * Math.ceil(tokens / blockTokens) * descriptorSeconds;
}

/**
 * Seconds that a request waits for its KV cache: set-up, then the bytes at the bandwidth of the narrower end, shared with other transfers.
 *
 * With `overlapLayers` above 1 the layers leave while later ones are computed, so only the last layer, or what the link cannot
 * hide behind the computation, is waited for.
 */
export function kvTransferSeconds(
  bytes: number, bytesPerSecond: number, linkUtilisation: number, baseSeconds: number, overlapLayers: number, prefillSeconds: number,
): number {
  const whole = bytes / (bytesPerSecond * (1 - linkUtilisation));
  if (overlapLayers <= 1) {
    return baseSeconds + whole;
  }
  return baseSeconds + Math.max(whole / overlapLayers, whole - prefillSeconds * (overlapLayers - 1) / overlapLayers);
}
