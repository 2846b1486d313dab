/**
 * Bytes left for KV cache: usable memory less weights less what activations and compiled graphs take; negative if the model does not fit.
 */
export function kvMemoryBytes(memoryBytes: number, usableShare: number, weightBytes: number, reserveBytes: number): number {
  return memoryBytes * usableShare - weightBytes - reserveBytes;
}

/**
 * Sequences whose KV caches fit, as a whole number.
 */
export function kvSlots(freeBytes: number, kvBytesPerSequence: number): number {
  return kvBytesPerSequence === 0 ? Number.MAX_SAFE_INTEGER : Math.floor(freeBytes / kvBytesPerSequence);
}
