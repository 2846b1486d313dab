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
