import { calibrate } from '../../src/estimator/calibration/calibrate';
import { heldOut } from '../../src/estimator/calibration/held-out';
import { Compared, MeasuredConfiguration } from '../../src/estimator/calibration/measurements';
import { Score, score, spreadOf } from '../../src/estimator/calibration/score';
import { Coefficients } from '../../src/estimator/phases/coefficients';

/** Scores of one group of configurations; undefined where nothing was measured, or no configuration can be left out. */
export interface GroupScore {
  readonly group: string;
  readonly configurations: number;
  readonly scores: { readonly [metric in Compared['metric']]: { readonly start?: Score; readonly fitted?: Score; readonly heldOut?: Score } };
}

/**
 * Calibrates on all configurations, and on all but one for each of them.
 *
 * @param group name of the group.
 * @param start the coefficients before calibration.
 * @param configurations what was measured.
 */
export function scoreGroup(group: string, start: Coefficients, configurations: readonly MeasuredConfiguration[]): GroupScore {
  const { coefficients } = calibrate(start, configurations);
  const [before, fitted] = [start, coefficients].map((k) => configurations.flatMap((one) => one.compare(k)));
  const held = heldOut(start, configurations) ?? [];
  const scored = (metric: Compared['metric']) => {
    const only = (compared: readonly Compared[]) => compared.filter((one) => one.metric === metric);
    if (only(fitted).length === 0) {
      return {};
    }
    const start_ = { start: score(only(before)), fitted: score(only(fitted)) };
    const own = held.map(only);
    const all = own.flat();
    // the interval of a configuration is as wide as what was held out of the others was off by.
    const inside = own.reduce((sum, one, i) => (
      one.length === 0 ? sum : sum + one.length * score(one, spreadOf(own.filter((_, j) => j !== i).flat())).coverage!), 0);
    return all.length === 0 ? start_ : { ...start_, heldOut: { ...score(all), coverage: inside / all.length } };
  };
  return { group, configurations: configurations.length, scores: { ttft: scored('ttft'), tpot: scored('tpot') } };
}
