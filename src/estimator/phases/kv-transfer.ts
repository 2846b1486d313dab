import { KvLink, PromptPool, TokenPool } from '../plant';
import { Coefficients } from './coefficients';

/** Bytes per second on the way from prefill to decode. */
export interface LinkRates {
  /** Of one transfer that has the link to itself. */
  readonly flow: number;
  /** Of all transfers from one prefill instance. */
  readonly fromPrefill: number;
  /** Of all transfers into one decode instance or replica. */
  readonly intoDecode: number;
}

/**
 * What a link carries: one engine sends over its share of the interfaces, and a decode engine takes over its own.
 *
 * @param link the link.
 * @param prefill coefficients of the prefill pool.
 * @param decode coefficients of the decode pool.
 * @param from the prefill pool.
 * @param into the decode pool.
 */
export function linkRates(link: KvLink, prefill: Coefficients, decode: Coefficients, from: PromptPool, into: TokenPool): LinkRates {
  const fromPrefill = link.prefillBytesPerSecond * (link.measured ? 1 : prefill.linkUtilisation);
  const intoDecode = link.decodeBytesPerSecond * (into.wafers === undefined ? decode.linkUtilisation : decode.waferIngestUtilisation);
  // batches of one engine have its interfaces in common
  const shareOf = ({ engine, enginesPerInstance }: PromptPool | TokenPool) => (engine?.stages ?? 1) / enginesPerInstance;
  const flow = Math.min(link.measured ? fromPrefill : fromPrefill * shareOf(from), intoDecode * shareOf(into));
  return { flow, fromPrefill, intoDecode };
}

/**
 * Seconds to post a KV cache that is sent block by block, which is all of its set-up: each rank of an engine posts a piece for each block of each tensor, all
 * ranks at once, as vLLM's NIXL connector does (vllm-project/vllm#34054).
 */
export function postingSeconds(kvTensors: number, tokens: number, blockTokens: number, descriptorSeconds: number): number {
  return kvTensors * Math.ceil(tokens / blockTokens) * descriptorSeconds;
}

/**
 * Seconds that a request waits for its KV cache: set-up, then the bytes at the bandwidth of the narrower end, shared evenly with
 * other transfers: `1 / (1 - load)` as long as alone, as M/G/1 processor sharing has it.
 *
 * With `overlapLayers` above 1 the layers leave while later ones are computed, so only the last layer, or what the link cannot
 * hide behind the computation, is waited for.
 */
export function kvTransferSeconds(
  bytes: number, bytesPerSecond: number, linkLoad: number, setUpSeconds: number, overlapLayers: number, prefillSeconds: number,
): number {
  const whole = bytes / (bytesPerSecond * (1 - linkLoad));
  if (overlapLayers <= 1) {
    return setUpSeconds + whole;
  }
  return setUpSeconds + Math.max(whole / overlapLayers, whole - prefillSeconds * (overlapLayers - 1) / overlapLayers);
}
