import { VendorClaim } from './estimate';
import { Service } from './service';
import { DRAWS, interval } from './uncertainty';
import { Hardware } from '../hardware';
import { Figure, optionalFigure } from '../hardware/figure';
import { waferClaims } from '../hardware/wafer-claims';
import { ModelArchitecture } from '../model';

const GB = 1e9;

/** A model whose speed nobody has told. */
const UNTOLD: Figure = { value: null, source: 'Cerebras publishes no speed of this model' };

/**
 * What the vendor claims of the wafers that decode, beside what the estimate says of the same; empty where none do.
 *
 * @param streams output tokens per second of one stream in each draw of the coefficients.
 */
export function vendorClaims({ spec, resolved, form }: Service, streams: Float64Array): VendorClaim[] {
  const { decode } = resolved.plant;
  const slots = Math.floor(decode.slots);
  const claims = waferClaims(spec.decode.hardware);
  if (claims === undefined || decode.wafers === undefined) {
    return [];
  }
  const { id } = ModelArchitecture.fromSpec(spec.model);
  const io = Hardware.wafer(spec.decode.hardware)!.ioBytesPerSecondPerWafer / GB;
  const { value, relativeSigma } = resolved.decode.set.coefficients.waferIngestUtilisation;
  const ingest = interval(io * value, new Float64Array(DRAWS).fill(io * value), relativeSigma);
  const claim = (figure: string, claimed: Figure): Pick<VendorClaim, 'figure' | 'claimed' | 'source'> => (
    { figure, ...claimed.value !== null && { claimed: optionalFigure(claimed)! }, source: claimed.source });
  return [
    {
      ...claim(`output tokens per second of one stream of ${id}`, claims.outputTokensPerSecondPerUser[id] ?? UNTOLD),
      estimated: interval(1 / form.stepSeconds(1), streams),
      input: 'decode.outputTokensPerSecondPerUser',
    },
    {
      ...claim('sequences that a replica decodes at once', claims.sequences),
      estimated: { value: slots, low: slots, high: slots },
      input: 'decode.maxConcurrentSequences',
    },
    {
      ...claim('GB of KV cache per second into a wafer', claims.kvIngest),
      estimated: { ...ingest, high: Math.min(io, ingest.high) },
      input: 'calibration.decode.waferIngestUtilisation',
    },
    claim('token capacity over that of aggregated serving in the same footprint', claims.tokenCapacityOverAggregated),
  ];
}
