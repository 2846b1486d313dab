import { calibrate } from './calibrate';
import { Compared, LoggedRequest, MeasuredEngine, Measurements, compare } from './measurements';
import { Coefficients } from '../phases/coefficients';

/** Configurations beyond these are held out together, some at a time: each costs a fit. */
const MAX_FOLDS = 6;

const NOTHING: Measurements = { prompts: [], steps: [], loops: [], logs: [] };

/**
 * What a fit to the rest says of each configuration: prompts of one length, steps of one batch and context, one closed loop, one run of requests.
 *
 * A lone run of requests is held out by halves: the first is fitted, and of the second only when its requests came and how long they are is known.
 *
 * @param engine the engine that was measured.
 * @param start the coefficients known before.
 * @param measurements what was measured.
 * @returns undefined where there is one configuration, which nothing can be held out of.
 */
export function heldOut(engine: MeasuredEngine, start: Coefficients, measurements: Measurements): Compared[] | undefined {
  const parts = configurationsOf(measurements);
  if (parts.length === 1) {
    const [log] = measurements.logs;
    return log === undefined || log.length < 2 ? undefined : secondHalf(engine, start, log);
  }
  const folds = Array.from({ length: Math.min(MAX_FOLDS, parts.length) }, (_, fold) => (
    { out: parts.filter((__, i) => i % MAX_FOLDS === fold), rest: parts.filter((__, i) => i % MAX_FOLDS !== fold) }));
  return folds.flatMap(({ out, rest }) => {
    const { coefficients } = calibrate(start, [{ engine, measurements: joined(rest) }]);
    return compare(engine, joined(out), coefficients);
  });
}

function secondHalf(engine: MeasuredEngine, start: Coefficients, log: readonly LoggedRequest[]): Compared[] {
  const half = Math.floor(log.length / 2);
  const outcomes = (isKnown: (i: number) => boolean) => [log.map((request, i): LoggedRequest => (
    isKnown(i) ? request : { ...request, ttftSeconds: undefined, endToEndSeconds: undefined }))];
  const { coefficients } = calibrate(start, [{ engine, measurements: { ...NOTHING, logs: outcomes((i) => i < half) } }]);
  return compare(engine, { ...NOTHING, logs: outcomes((i) => i >= half) }, coefficients);
}

/** Measurements of one configuration each. */
function configurationsOf({ prompts, steps, loops, logs }: Measurements): Measurements[] {
  return [
    ...grouped(prompts, ({ inputTokens }) => inputTokens).map((group) => ({ ...NOTHING, prompts: group })),
    ...grouped(steps, ({ sequences, contextTokens }) => `${sequences} ${contextTokens}`).map((group) => ({ ...NOTHING, steps: group })),
    ...grouped(loops, ({ concurrency, inputTokens, outputTokens }) => `${concurrency} ${inputTokens} ${outputTokens}`)
      .map((group) => ({ ...NOTHING, loops: group })),
    ...logs.map((log) => ({ ...NOTHING, logs: [log] })),
  ];
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

function joined(parts: readonly Measurements[]): Measurements {
  return {
    prompts: parts.flatMap(({ prompts }) => prompts),
    steps: parts.flatMap(({ steps }) => steps),
    loops: parts.flatMap(({ loops }) => loops),
    logs: parts.flatMap(({ logs }) => logs),
  };
}
