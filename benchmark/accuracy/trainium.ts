import { GroupScore, scoreDevice } from './group-score';
import { Coefficients } from '../../src/estimator/phases/coefficients';
import * as trn1 from '../../test/estimator/data/trn1-decoder.json';
import * as trn2 from '../../test/estimator/data/trn2.json';
import { Row, configurationsOfRows } from '../../test/estimator/predict';

/** Rough values of any accelerator with a compiled graph: nothing of these tables is in them. Times of Trainium 1 begin in the engine. */
export const TRAINIUM_START: Coefficients = Object.assign(new Coefficients(), {
  denseUtilisation: 0.4,
  prefillAttentionUtilisation: 0.2,
  prefillLayerSeconds: 3e-4,
  prefillTokenLayerSeconds: 5e-7,
  promptExpertUtilisation: 0.2,
  weightBandwidthUtilisation: 0.8,
  // as of GPUs: weights of 8 bit are widened as they are read.
  lowPrecisionBandwidthGain: 0.85,
  kvBandwidthUtilisation: 0.4,
  decodeLayerSeconds: 1.5e-4,
  decodeSequenceLayerSeconds: 2e-6,
  decodeContextLayerSeconds: 5e-9,
  decodeExpertLayerSeconds: 1e-4,
  engineStepSeconds: 1e-3,
  collectiveHopSeconds: 2e-6,
  collectiveBandwidthUtilisation: 0.8,
});

/** The same with the time of a request outside the engine: what was known before Trainium 2 was measured. */
export const TRAINIUM_2_START: Coefficients = Object.assign(new Coefficients(), TRAINIUM_START, { gatewaySeconds: 0.0156 });

/** Accuracy over the tables of the Neuron SDK. A configuration is a model at a precision and degree. */
export function trainiumScores(): GroupScore[] {
  // a batch is read whole before its first token in the tables of Trainium 1.
  const ofRows = (rows: readonly unknown[], isBatchReadAtOnce: boolean) => (
    configurationsOfRows(rows as Row[], isBatchReadAtOnce).map((configuration) => ({ configuration })));
  return [
    ...scoreDevice(TRAINIUM_START, new Map([['Trainium 1 Neuron, dense', ofRows(trn1.rows, true)]])),
    ...scoreDevice(TRAINIUM_2_START, new Map([['Trainium 2 Neuron, dense and MoE', ofRows(trn2.rows, false)]])),
  ];
}
