import { Compared } from '../../src/estimator/calibration/measurements';
import { Score, score, spreadOf } from '../../src/estimator/calibration/score';
import { Coefficients } from '../../src/estimator/phases/coefficients';

/** Measurements of one configuration: what is left out together, as its rows are alike. */
export interface Configuration {
  compare(k: Coefficients): Compared[];
}

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
 * @param fit how coefficients are fitted.
 */
export function scoreGroup<T extends Configuration>(
  group: string, start: Coefficients, configurations: readonly T[], fit: (of: readonly T[]) => Coefficients,
): GroupScore {
  const predict = (k: Coefficients, of: readonly T[]) => of.flatMap((one) => one.compare(k));
  const before = predict(start, configurations);
  const all = predict(fit(configurations), configurations);
  const left = configurations.length < 2 ? [] : configurations.map((one) => {
    const others = configurations.filter((other) => other !== one);
    const k = fit(others);
    return { held: predict(k, [one]), others: predict(k, others) };
  });
  const scored = (metric: Compared['metric']) => {
    const only = (compared: readonly Compared[]) => compared.filter((one) => one.metric === metric);
    if (only(all).length === 0) {
      return {};
    }
    const held = left.flatMap((one) => only(one.held));
    if (held.length === 0) {
      return { start: score(only(before)), fitted: score(only(all), spreadOf(only(all))) };
    }
    // the interval of a configuration is as wide as those show that were fitted.
    const inside = left.reduce((sum, one) => {
      const others = only(one.others);
      const own = only(one.held);
      return sum + (own.length === 0 || others.length === 0 ? 0 : score(own, spreadOf(others)).coverage! * own.length);
    }, 0);
    return { start: score(only(before)), fitted: score(only(all), spreadOf(only(all))), heldOut: { ...score(held), coverage: inside / held.length } };
  };
  return { group, configurations: configurations.length, scores: { ttft: scored('ttft'), tpot: scored('tpot') } };
}
