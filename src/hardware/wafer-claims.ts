import * as data from './data/wafer-claims.json';
import { Figure } from './figure';

/** What the vendor of a wafer-scale system says of it, and nobody has measured here: figures beside which results are shown, never results. */
export interface WaferClaims {
  /** Output tokens per second of one stream, by the id of the model. */
  readonly outputTokensPerSecondPerUser: { readonly [modelId: string]: Figure };
  /** Sequences that a replica decodes at once. */
  readonly sequences: Figure;
  /** Bytes of KV cache that enter a wafer a second. */
  readonly kvIngest: Figure;
  /** High-speed token capacity of Trainium prefill with this decode over that of aggregated serving. */
  readonly tokenCapacityOverAggregated: Figure;
}

/** What is claimed of a system; undefined where nothing is. */
export function waferClaims(system: string): WaferClaims | undefined {
  return (data as unknown as { readonly [system: string]: WaferClaims })[system];
}
