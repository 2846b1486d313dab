import { calibrate } from './calibrate';
import { Compared, LoggedRequest, MeasuredConfiguration, MeasuredEngine, Measurements } from './measurements';
import { Coefficients } from '../phases/coefficients';

const NOTHING: Measurements = { prompts: [], steps: [], loops: [], logs: [] };

/**
 * What a fit to the others says of each configuration, in their order; undefined where there is one, which nothing can be held out of.
 *
 * @param start the coefficients known before.
 * @param configurations what was measured, by what is alike and so left out together.
 * @param folds configurations beyond these are held out together, some at a time: each fold costs a fit.
 * @param fitted called after each fit with the share of them that are done.
 */
export function heldOut(
  start: Coefficients, configurations: readonly MeasuredConfiguration[], folds = Infinity, fitted?: (share: number) => void,
): Compared[][] | undefined {
  if (configurations.length < 2) {
    return undefined;
  }
  const count = Math.min(folds, configurations.length);
  const fits = Array.from({ length: count }, (_, fold) => {
    const { coefficients } = calibrate(start, configurations.filter((__, i) => i % count !== fold));
    fitted?.((fold + 1) / count);
    return coefficients;
  });
  return configurations.map((one, i) => one.compare(fits[i % count]));
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
