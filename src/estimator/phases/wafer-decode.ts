/**
 * Seconds per token of one stream on a wafer-scale pipeline: the token crosses all layers in series, and hops between wafers.
 *
 * A layer holds one token at a time, so streams beyond the number of layers share the pipeline.
 */
export function waferTokenSeconds(layers: number, wafers: number, layerSeconds: number, hopSeconds: number, batch: number): number {
  return (layers * layerSeconds + (wafers - 1) * hopSeconds) * Math.max(1, batch / layers);
}

/**
 * Wafers that the weights need when at most `weightBytesPerWafer` fit beside buffers.
 */
export function wafersForWeights(weightBytes: number, weightBytesPerWafer: number): number {
  return Math.ceil(weightBytes / weightBytesPerWafer);
}
