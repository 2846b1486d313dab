import { Deployment, estimateOfLoop } from './estimates';
import { CalibrationSpec } from '../../src/estimator';
import { calibrate } from '../../src/estimator/calibration/calibrate';
import { Fit } from '../../src/estimator/calibration/fit';
import { fittedCoefficients } from '../../src/estimator/calibration/fitted-coefficients';
import { foreseen } from '../../src/estimator/calibration/held-out';
import { Compared, MeasuredConfiguration } from '../../src/estimator/calibration/measurements';
import { Ranged, Score, misfitSigma, score } from '../../src/estimator/calibration/score';
import { Coefficients } from '../../src/estimator/phases/coefficients';
import { widened } from '../../src/estimator/uncertainty';

/** Configurations beyond these share the measurements that their interval is taken from: each pair of folds costs a fit. */
const MAX_FOLDS = 4;

export const METRICS = ['ttft', 'tpot'] as const;

type Metric = Compared['metric'];

/** What was measured of a model on one device and engine. */
export interface MeasuredDeployment {
  readonly configuration: MeasuredConfiguration;
  /** What estimates are of; undefined where a spec cannot say what was measured. */
  readonly deployment?: Deployment;
}

/** A configuration of a group that is predicted by fits that have not seen it. */
interface Judged extends MeasuredDeployment {
  readonly group: string;
  readonly fold: number;
}

/** What is predicted of a configuration, and by which fit. */
interface Foreseen {
  readonly fit: Fit;
  readonly times: readonly Ranged[];
}

const KINDS = ['shipped', 'heldOut'] as const;

type Kind = typeof KINDS[number];

/** Where a spec says what was measured: the times per output token of an estimate, with its intervals. */
export type Estimated = { readonly [kind in Kind]: readonly Ranged[] };

/** Predictions of one group: by the set of its device, after calibration on the group, and by both without the configuration that is predicted. */
export interface GroupScore {
  readonly group: string;
  readonly configurations: number;
  readonly start: readonly Compared[];
  readonly fitted: readonly Compared[];
  readonly shipped: readonly Ranged[];
  readonly heldOut: readonly Ranged[];
  readonly estimated: Estimated;
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
export function scoreDevice(start: Coefficients, groups: ReadonlyMap<string, readonly MeasuredDeployment[]>): GroupScore[] {
  const all = [...groups].flatMap(([group, of]) => of.map((one) => ({ ...one, group }))).map((one, i): Judged => ({ ...one, fold: i % MAX_FOLDS }));
  const device = calibrate(start, all.map(({ configuration }) => configuration)).coefficients;
  const predict = ({ group, configuration }: Judged, isKnown: (other: Judged) => boolean, known?: Fit): { readonly [kind in Kind]: Foreseen } => {
    const fit = known ?? calibrate(start, all.filter(isKnown).map((other) => other.configuration), device);
    const others = groups.size === 1 ? [] : all.filter((other) => other.group === group && isKnown(other)).map((other) => other.configuration);
    const own = others.length === 0 ? fit : calibrate(fit.coefficients, others);
    const [shipped, heldOut] = [fit, own].map((of) => ({ fit: of, times: foreseen(configuration, of) }));
    return { shipped, heldOut };
  };
  const judged = all.map((one) => ({ ...one, ...predict(one, (other) => other !== one) }));

  // what is off by how much without two folds: the one that is judged, and its own.
  const witnesses = Array.from({ length: MAX_FOLDS }, () => new Map<Judged, { readonly [kind in Kind]: Foreseen }>());
  for (let a = 0; a < MAX_FOLDS; a++) {
    for (let b = a + 1; b < MAX_FOLDS; b++) {
      const isKnown = ({ fold }: Judged) => fold !== a && fold !== b;
      let known: Fit | undefined;
      for (const one of all.filter((other) => !isKnown(other))) {
        const predicted = predict(one, isKnown, known);
        known = predicted.shipped.fit;
        witnesses[one.fold === a ? b : a].set(one, predicted);
      }
    }
  }
  const misfits = (one: Judged, kind: Kind) => Object.fromEntries(METRICS.map((metric) => {
    const off = (of: (other: Judged) => boolean) => (
      [...witnesses[one.fold]].filter(([other]) => of(other)).map(([, predicted]) => predicted[kind].times.filter((time) => time.metric === metric)));
    return [metric, misfitSigma(off(({ group }) => group === one.group), misfitSigma(off(() => true)))!];
  })) as { [metric in Metric]: number };
  return [...groups].map(([group, of]): GroupScore => {
    const own = judged.filter((one) => one.group === group);
    const { coefficients } = groups.size === 1 ? { coefficients: device } : calibrate(device, of.map(({ configuration }) => configuration));
    const [[shipped, ofShipped], [heldOut, ofHeldOut]] = KINDS.map((kind) => {
      const known = own.map((one) => ({ ...one, ...one[kind], misfit: misfits(one, kind) }));
      return [
        known.flatMap(({ times, misfit }) => times.map((time) => ({ ...time, ...widened({ ...time, value: time.predicted }, misfit[time.metric]) }))),
        known.flatMap(({ configuration, deployment, fit, misfit }) => (
          deployment === undefined ? [] : estimatedTimes(deployment, calibrationOf(fit, misfit), configuration))),
      ];
    });
    return {
      group,
      configurations: of.length,
      start: of.flatMap(({ configuration }) => configuration.compare(start)),
      fitted: of.flatMap(({ configuration }) => configuration.compare(coefficients)),
      shipped,
      heldOut,
      estimated: { shipped: ofShipped, heldOut: ofHeldOut },
    };
  });
}

/** A calibration as `calibrate` would write it, with the coefficients that its fit left as they were. */
function calibrationOf(fit: Fit, { ttft, tpot }: { readonly [metric in Metric]: number }): CalibrationSpec {
  const fitted = fittedCoefficients('decode', fit);
  return { ...fitted, decode: { ...fit.coefficients, ...fitted.decode }, ttftRelativeSigma: ttft, tpotRelativeSigma: tpot };
}

function estimatedTimes(deployment: Deployment, calibration: CalibrationSpec, { measurements: { loops } }: MeasuredConfiguration): Ranged[] {
  return loops.flatMap((loop) => {
    if (loop.tpotSeconds === undefined) {
      return [];
    }
    const { value: predicted, low, high } = estimateOfLoop(deployment, calibration, loop).tpotSeconds.mean;
    return [{ metric: 'tpot', measured: loop.tpotSeconds, predicted, low, high }];
  });
}

/** The score of predictions of one metric. */
export function scoreOf(compared: readonly (Compared | Ranged)[], metric: Metric): Score {
  return score(compared.filter((one) => one.metric === metric));
}
