import { calibrate } from './calibrate';
import { CoefficientDraws } from './draws';
import { Fit } from './fit';
import { LoggedRequest, MeasuredConfiguration, MeasuredEngine, Measurements } from './measurements';
import { Ranged } from './score';
import { Coefficients } from '../phases/coefficients';
import { DRAWS, interval } from '../uncertainty';

const NOTHING: Measurements = { prompts: [], steps: [], loops: [], logs: [] };

/**
 * What a fit to the others says of each configuration, with intervals, in their order; undefined where there is one, which nothing can be held out of.
 *
 * @param start the coefficients known before.
 * @param configurations what was measured, by what is alike and so left out together.
 * @param folds configurations beyond these are held out together, some at a time: each fold costs a fit.
 * @param fitted called after each fit with the share of them that are done.
 */
export function heldOut(
  start: Coefficients, configurations: readonly MeasuredConfiguration[], folds = Infinity, fitted?: (share: number) => void,
): Ranged[][] | undefined {
  if (configurations.length < 2) {
    return undefined;
  }
  const count = Math.min(folds, configurations.length);
  const fits = Array.from({ length: count }, (_, fold) => {
    const fit = calibrate(start, configurations.filter((__, i) => i % count !== fold));
    fitted?.((fold + 1) / count);
    return fit;
  });
  return configurations.map((one, i) => foreseen(one, fits[i % count]));
}

/** What a fit says of a configuration, with the interval that the spread of its coefficients gives each time. */
export function foreseen(configuration: MeasuredConfiguration, { coefficients, relativeSigmas, correlations }: Fit): Ranged[] {
  const spread = [...relativeSigmas].map(([name, relativeSigma]) => ({ name, value: coefficients[name], relativeSigma }));
  const draws = new CoefficientDraws(spread, correlations);
  const k = Object.assign(new Coefficients(), coefficients);
  const drawn = Array.from({ length: DRAWS }, (_, draw) => {
    draws.fill(k, draw);
    return configuration.compare(k);
  });
  return configuration.compare(coefficients).map((one, i) => {
    const { low, high } = interval(one.predicted, Float64Array.from(drawn, (all) => all[i].predicted));
    return { ...one, low, high };
  });
}

/**
 * The configurations of one engine: prompts of one length, steps of one batch and context, one closed loop, one run of requests.
 *
 * A lone run of requests is two, its halves: of the requests of the other half, only when they came and how long they are is known.
 */
export function configurationsOf(engine: MeasuredEngine, { prompts, steps, loops, logs }: Measurements): MeasuredConfiguration[] {
  const parts = [
    ...grouped(prompts, ({ inputTokens, prompts: together = 1 }) => `${together} ${inputTokens}`).map((group) => ({ ...NOTHING, prompts: group })),
    ...grouped(steps, ({ sequences, contextTokens }) => `${sequences} ${contextTokens}`).map((group) => ({ ...NOTHING, steps: group })),
    ...grouped(loops, ({ concurrency, inputTokens, outputTokens }) => `${concurrency} ${inputTokens} ${outputTokens}`)
      .map((group) => ({ ...NOTHING, loops: group })),
    ...logs.map((log) => ({ ...NOTHING, logs: [log] })),
  ];
  const [log] = logs;
  const isLone = parts.length === 1 && log !== undefined && log.length > 1;
  return (isLone ? halves(log).map((half) => ({ ...NOTHING, logs: [half] })) : parts).map((part) => new MeasuredConfiguration(engine, part));
}

/** A run twice: once with what became of its first half, once with what became of the second. */
export function halves(log: readonly LoggedRequest[]): LoggedRequest[][] {
  const unknown = (request: LoggedRequest) => ({ ...request, ttftSeconds: undefined, endToEndSeconds: undefined });
  const isFirst = (i: number) => i < Math.floor(log.length / 2);
  return [log.map((request, i) => isFirst(i) ? request : unknown(request)), log.map((request, i) => isFirst(i) ? unknown(request) : request)];
}

function grouped<T>(all: readonly T[], keyOf: (one: T) => unknown): T[][] {
  const groups = new Map<unknown, T[]>();
  for (const one of all) {
    const group = groups.get(keyOf(one)) ?? [];
    group.push(one);
    groups.set(keyOf(one), group);
  }
  return [...groups.values()];
}
