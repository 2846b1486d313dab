import { ModelShape } from './shapes';

/**
 * Bytes left for KV cache: usable memory less weights less what activations and compiled graphs take; negative if the model does not fit.
 */
export function kvMemoryBytes(memoryBytes: number, usableShare: number, weightBytes: number, reserveBytes: number): number {
  return memoryBytes * usableShare - weightBytes - reserveBytes;
}

/**
 * KV cache of one token in all layers, one copy, in bytes.
 */
export function kvTokenBytes(model: ModelShape): number {
  return model.kvBytesPerTokenFull + model.kvBytesPerTokenWindowed;
}

/**
 * Tokens whose KV cache fits, each in all layers, one copy; state of sequences left out.
 */
export function kvTokens(model: ModelShape, freeBytes: number): number {
  return freeBytes / kvTokenBytes(model);
}

/**
 * Sequences whose KV caches fit, as a whole number.
 */
export function kvSlots(freeBytes: number, kvBytesPerSequence: number): number {
  return kvBytesPerSequence === 0 ? Number.MAX_SAFE_INTEGER : Math.floor(freeBytes / kvBytesPerSequence);
}
