import { Configuration, GroupScore, scoreGroup } from './held-out';
import { FreeCoefficient, fitCoefficients } from '../../src/estimator/calibration/fit';
import { Compared } from '../../src/estimator/calibration/measurements';
import { CoefficientName, Coefficients } from '../../src/estimator/phases/coefficients';
import * as trn1 from '../../test/estimator/data/trn1-decoder.json';
import * as trn2 from '../../test/estimator/data/trn2.json';
import { Row, tpot, ttft } from '../../test/estimator/predict';

/** Rough values of any accelerator with a compiled graph: nothing of these tables is in them. */
const START = Object.assign(new Coefficients(), {
  prefillDenseUtilisation: 0.4,
  prefillAttentionUtilisation: 0.2,
  prefillLayerSeconds: 3e-4,
  prefillTokenLayerSeconds: 5e-7,
  prefillExpertSeconds: 2e-4,
  decodeBandwidthUtilisation: 0.8,
  decodeKvBandwidthUtilisation: 0.4,
  decodeLayerSeconds: 1.5e-4,
  decodeSequenceLayerSeconds: 2e-6,
  decodeExpertLayerSeconds: 1e-4,
});

const FREE = ([
  ['prefillDenseUtilisation', 0.5], ['prefillAttentionUtilisation', 0.5], ['prefillLayerSeconds', 0.7], ['prefillTokenLayerSeconds', 1],
  ['prefillExpertSeconds', 1.5], ['decodeBandwidthUtilisation', 0.2], ['decodeKvBandwidthUtilisation', 0.4], ['decodeLayerSeconds', 0.5],
  ['decodeSequenceLayerSeconds', 1], ['decodeExpertLayerSeconds', 1],
] as [CoefficientName, number][]).map(([name, relativeSigma]): FreeCoefficient => ({ name, relativeSigma }));

/** Accuracy over the tables of the Neuron SDK. A configuration is a model at a precision. */
export function trainiumScores(): GroupScore[] {
  // a batch is read whole before its first token in the tables of Trainium 1.
  return [
    ...scores('Trainium 1 Neuron, dense', trn1.rows as Row[], (row, k) => ttft(row, k, row.batch), 0),
    ...scores('Trainium 2 Neuron, dense and MoE', trn2.rows as Row[], (row, k) => ttft(row, k, 1), 0.0156),
  ];
}

function scores(group: string, rows: readonly Row[], ttftOf: (row: Row, k: Coefficients) => number, gatewaySeconds: number): GroupScore[] {
  const names = [...new Set(rows.map(nameOf))];
  const start = Object.assign(new Coefficients(), START, { gatewaySeconds });
  const configurations = names.map((name): Configuration => {
    const own = rows.filter((row) => nameOf(row) === name);
    return {
      compare: (k) => own.flatMap((row): Compared[] => [
        ...row.ttftSeconds === undefined ? [] : [{ metric: 'ttft' as const, measured: row.ttftSeconds, predicted: ttftOf(row, k) }],
        ...row.tpotSeconds === undefined ? [] : [{ metric: 'tpot' as const, measured: row.tpotSeconds, predicted: tpot(row, k) }],
      ]),
    };
  });
  const compared = (of: readonly Configuration[], k: Coefficients) => of.flatMap((one) => one.compare(k));
  return [scoreGroup(group, start, configurations, (of) => fitCoefficients(
    start, FREE, compared(of, start).map(({ measured }) => measured), (k) => compared(of, k).map(({ predicted }) => predicted)).coefficients)];
}

function nameOf({ model, weights, tensorParallelDegree }: Row): string {
  return `${model} ${weights} ${tensorParallelDegree}`;
}
