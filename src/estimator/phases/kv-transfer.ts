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

/** The narrower end of the way from prefill to decode, which is a link for each of its instances. */
export interface NarrowerEnd {
  /** Whether it is the prefill instances; else it is the decode instances, or replicas. */
  readonly isPrefill: boolean;
  readonly links: number;
  /** Bytes per second of one link. */
  readonly bytesPerSecond: number;
}

/** The narrower end at these counts of instances. */
export function narrowerEnd({ fromPrefill, intoDecode }: LinkRates, prefillInstances: number, decodeInstances: number): NarrowerEnd {
  return prefillInstances * fromPrefill <= decodeInstances * intoDecode
    ? { isPrefill: true, links: prefillInstances, bytesPerSecond: fromPrefill }
    : { isPrefill: false, links: decodeInstances, bytesPerSecond: intoDecode };
}

/**
 * Seconds that a request waits for a KV cache whose bytes take `transferSeconds`: set-up, then these.
 *
 * With `overlapLayers` above 1 the layers leave while later ones are computed, so only the last layer, or what the link cannot
 * hide behind the computation, is waited for.
 */
export function kvTransferSeconds(transferSeconds: number, setUpSeconds: number, overlapLayers: number, prefillSeconds: number): number {
  return setUpSeconds + Math.max(transferSeconds / overlapLayers, transferSeconds - prefillSeconds * (overlapLayers - 1) / overlapLayers);
}
