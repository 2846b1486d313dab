import { calibrate } from '../../src/estimator/calibration/calibrate';
import { Fit } from '../../src/estimator/calibration/fit';
import { foreseen } from '../../src/estimator/calibration/held-out';
import { Compared, MeasuredConfiguration } from '../../src/estimator/calibration/measurements';
import { Ranged, Score, misfitSigma, score } from '../../src/estimator/calibration/score';
import { Coefficients } from '../../src/estimator/phases/coefficients';
import { widened } from '../../src/estimator/uncertainty';

/** Configurations beyond these share the measurements that their interval is taken from: each pair of folds costs a fit. */
const MAX_FOLDS = 4;

export const METRICS = ['ttft', 'tpot'] as const;

type Metric = Compared['metric'];

/** A measured configuration of a group, and its predictions by fits that have not seen it. */
interface Judged {
  readonly group: string;
  readonly configuration: MeasuredConfiguration;
  readonly fold: number;
}

/** Predictions of one group: by the set of its device, after calibration on the group, and by both without the configuration that is predicted. */
export interface GroupScore {
  readonly group: string;
  readonly configurations: number;
  readonly start: readonly Compared[];
  readonly fitted: readonly Compared[];
  readonly shipped: readonly Ranged[];
  readonly heldOut: readonly Ranged[];
}

/**
 * Predicts each configuration of a device twice without it: by the coefficients of the device, and by these calibrated on the rest of its group.
 *
 * Intervals are as wide as the same predictions of other configurations were off by, by fits that have seen neither these nor the one that is judged:
 * those of the group, drawn towards those of the device where they are few.
 *
 * @param start the coefficients before any measurement.
 * @param groups configurations of the device, by engine and kind of model.
 */
export function scoreDevice(start: Coefficients, groups: ReadonlyMap<string, readonly MeasuredConfiguration[]>): GroupScore[] {
  const all = [...groups].flatMap(([group, of]) => of.map((configuration) => ({ group, configuration })))
    .map((one, i): Judged => ({ ...one, fold: i % MAX_FOLDS }));
  const device = calibrate(start, all.map(({ configuration }) => configuration)).coefficients;
  const predict = ({ group, configuration }: Judged, isKnown: (other: Judged) => boolean, known?: Fit) => {
    const fit = known ?? calibrate(start, all.filter(isKnown).map((other) => other.configuration), device);
    const others = groups.size === 1 ? [] : all.filter((other) => other.group === group && isKnown(other)).map((other) => other.configuration);
    const shipped = foreseen(configuration, fit);
    return { fit, shipped, heldOut: others.length === 0 ? shipped : foreseen(configuration, calibrate(fit.coefficients, others)) };
  };
  const judged = all.map((one) => ({ ...one, ...predict(one, (other) => other !== one) }));

  // what is off by how much without two folds: the one that is judged, and its own.
  const witnesses = Array.from({ length: MAX_FOLDS }, () => new Map<Judged, { shipped: Ranged[]; heldOut: Ranged[] }>());
  for (let a = 0; a < MAX_FOLDS; a++) {
    for (let b = a + 1; b < MAX_FOLDS; b++) {
      const isKnown = ({ fold }: Judged) => fold !== a && fold !== b;
      let known: Fit | undefined;
      for (const one of all.filter((other) => !isKnown(other))) {
        const { fit, ...predicted } = predict(one, isKnown, known);
        known = fit;
        witnesses[one.fold === a ? b : a].set(one, predicted);
      }
    }
  }
  const ranged = (one: typeof judged[number], by: 'shipped' | 'heldOut'): Ranged[] => {
    const sigmas = Object.fromEntries(METRICS.map((metric) => {
      const off = (of: (other: Judged) => boolean) => (
        [...witnesses[one.fold]].filter(([other]) => of(other))
          .map(([, predicted]) => predicted[by].filter((compared) => compared.metric === metric)));
      return [metric, misfitSigma(off(({ group }) => group === one.group), misfitSigma(off(() => true)))!];
    })) as { [metric in Metric]: number };
    return one[by].map((compared) => ({ ...compared, ...widened({ ...compared, value: compared.predicted }, sigmas[compared.metric]) }));
  };
  return [...groups].map(([group, of]): GroupScore => {
    const own = judged.filter((one) => one.group === group);
    const { coefficients } = groups.size === 1 ? { coefficients: device } : calibrate(device, of);
    return {
      group,
      configurations: of.length,
      start: of.flatMap((one) => one.compare(start)),
      fitted: of.flatMap((one) => one.compare(coefficients)),
      shipped: own.flatMap((one) => ranged(one, 'shipped')),
      heldOut: own.flatMap((one) => ranged(one, 'heldOut')),
    };
  });
}

/** The score of predictions of one metric. */
export function scoreOf(compared: readonly (Compared | Ranged)[], metric: Metric): Score {
  return score(compared.filter((one) => one.metric === metric));
}
