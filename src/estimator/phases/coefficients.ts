/**
 * The coefficients of the phases; the unit is in the name, ratios are to the peak of the data sheet.
 *
 * Mutable on purpose: one object is refilled for each draw of the uncertainty analysis, so that the inner loop allocates nothing.
 */
export class Coefficients {
  /** Share of peak FLOP/s that projections and feed-forward reach, of read tokens and of written ones. */
  public denseUtilisation = 1;
  /** Share of peak FLOP/s that attention to prompts reaches while they are read. */
  public prefillAttentionUtilisation = 1;
  /** Gain in these FLOP/s of projections and feed-forward for each doubling of the peak by a narrower format of weights. */
  public lowPrecisionGain = 1;
  /** Share of peak FLOP/s that routed experts reach where each token of a prompt passes all of them. */
  public promptExpertUtilisation = 1;
  /** Launch floor of one layer in prefill. */
  public prefillLayerSeconds = 0;
  /** Serial work of one token in one layer: norms, residuals. */
  public prefillTokenLayerSeconds = 0;
  /** Serial work of one prompt, whatever its length: scheduling it, and its first token. */
  public prefillPromptSeconds = 0;
  /** Serial work of one routed expert in prefill. */
  public prefillExpertSeconds = 0;
  /** Share of peak memory bandwidth that is reached on weights, which every step reads. */
  public weightBandwidthUtilisation = 1;
  /** Gain in this share for each halving of weights from 16 bit, routed experts left out; a loss if below 1, as a kernel has fewer bytes to read, and their scales. */
  public lowPrecisionBandwidthGain = 1;
  /** Share of peak memory bandwidth that is reached on the KV cache, which written tokens read. */
  public kvBandwidthUtilisation = 1;
  /** Launch floor of one layer in decode. */
  public decodeLayerSeconds = 0;
  /** The same for each further sequence of the batch, or for each of its KV heads where a rank takes these one after another. */
  public decodeSequenceLayerSeconds = 0;
  /** Serial work of attention to one token of the context in one layer, whatever the batch, where graphs are compiled for a length. */
  public decodeContextLayerSeconds = 0;
  /** Extra floor of a layer with routed experts in decode. */
  public decodeExpertLayerSeconds = 0;
  /** Work of the host for one step, whatever it does: to schedule it, and to take its tokens. */
  public engineStepSeconds = 0;
  /** Latency of a sum over ranks for each doubling of their number. */
  public collectiveHopSeconds = 0;
  /** Share of the links between chips that such a sum reaches. */
  public collectiveBandwidthUtilisation = 1;
  /** Share of the EFA line rate that a KV transfer reaches. */
  public linkUtilisation = 1;
  /** Set-up time of a KV transfer. */
  public linkBaseSeconds = 0;
  /** Time to post one piece of a KV transfer. */
  public linkDescriptorSeconds = 0;
  /** Host, tokenisation and HTTP before and after the engine. */
  public gatewaySeconds = 0;
  /** Time of one layer on a wafer, as one stream sees it. */
  public waferLayerSeconds = 0;
  /** Hop from wafer to wafer. */
  public waferHopSeconds = 0;
  /** Share of a wafer's external I/O that KV ingest reaches. */
  public waferIngestUtilisation = 1;
}

/** Names of the coefficients. */
export type CoefficientName = keyof Coefficients;

/** Every coefficient's name, in a fixed order. */
export const COEFFICIENT_NAMES = Object.keys(new Coefficients()) as CoefficientName[];
