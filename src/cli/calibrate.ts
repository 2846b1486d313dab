import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { attempt } from './attempt';
import { AskedEngine, GivenNumbers, ToldMeasurements, readMeasurements } from './measurement-file';
import { readSpec } from './spec-file';
import { NO_PROGRESS_BAR, number, percent, progressBar, table, time } from './text-table';
import { checkWritable, writing } from './written-file';
import { CalibrationSpec, DeploymentSpec } from '../estimator';
import { calibrate as fit } from '../estimator/calibration/calibrate';
import { isSameEngine } from '../estimator/calibration/calibrated-pools';
import { fittedCoefficients } from '../estimator/calibration/fitted-coefficients';
import { configurationsOf, heldOut } from '../estimator/calibration/held-out';
import { EngineOfSpec, MeasuredPool, engineOfSpec, leastTokenSeconds } from '../estimator/calibration/measured-engine';
import { Compared, LoggedRequest } from '../estimator/calibration/measurements';
import { Score, misfitSigma, mean, score } from '../estimator/calibration/score';
import { Refusal } from '../estimator/estimate';
import { CoefficientName } from '../estimator/phases/coefficients';
import { Refused } from '../estimator/refused';
import { ModelArchitecture } from '../model';
import { Problem, Problems } from '../problems';
import { MAX_TOKENS } from '../workload/limits';

const METRICS = ['ttft', 'tpot'] as const;

/** `max_num_batched_tokens` of vLLM's server where nobody says otherwise. */
const DEFAULT_STEP_TOKENS = 2048;

/** Configurations beyond these are held out together: each fold costs a fit. */
const MAX_FOLDS = 6;

/** Requests that a fit is of, in all runs together: each step of a fit replays them, and more hardly change it. */
const MAX_FITTED_REQUESTS = 1000;

/** What was held out is hardly off by this factor where the engine is the spec's. */
const UNLIKE = 1.5;

/** Predictions that are off by this factor are of no use. */
const ABSURD = 2;

/** Predictions before a fit that are off by this factor are hardly of the engine that was measured. */
const FAR_OFF = 10;

/** A share of a peak that is fitted to this is at its end: the machine does more than the spec's can. */
const PEAK_SHARE = 0.995;

/** Options of `calibrate`, as commander gives them. */
export interface CalibrateOptions {
  readonly spec: string;
  readonly set: string[];
  readonly pool: MeasuredPool;
  readonly maxNumBatchedTokens?: string;
  readonly inputTokens?: string;
  readonly outputTokens?: string;
  readonly batchSize?: string;
  readonly out?: string;
}

/** How far predictions are from measurements of one kind. */
export interface CalibratedMetric {
  readonly metric: Compared['metric'];
  readonly meanSeconds: number;
  readonly before: Score;
  readonly fitted: Score;
  /** Undefined where nothing could be held out. */
  readonly heldOut?: Score;
}

/** How much was measured. */
export interface MeasuredCounts {
  readonly prompts: number;
  readonly steps: number;
  readonly loops: number;
  readonly runs: number;
  /** Of all runs. */
  readonly requests: number;
  /** Those of them that the fit is of: the first of each run; the errors before and after it are of all. */
  readonly fittedRequests: number;
}

/** A coefficient before and after the fit. */
export interface FittedCoefficient {
  readonly name: CoefficientName;
  readonly before: number;
  readonly fitted: number;
  /** Standard deviation of the logarithm, given the measurements. */
  readonly relativeSigma: number;
}

/** What `calibrate` found. */
export interface Calibration {
  readonly hardware: string;
  readonly tensorParallelDegree: number;
  readonly measured: MeasuredCounts;
  /** What was left out of the files, as it is of other engines or says too little, a sentence each. */
  readonly skipped: readonly string[];
  readonly coefficients: readonly FittedCoefficient[];
  readonly metrics: readonly CalibratedMetric[];
  /** For `calibration` of a spec or a construct; undefined where the fit is of no use. */
  readonly calibration?: CalibrationSpec;
  /** Why it is of no use, a sentence each; empty where it is. */
  readonly useless: readonly string[];
  /** What tells that the measurements may be of another engine than the spec's, a sentence each; empty where nothing does. */
  readonly warnings: readonly string[];
}

/** A calibration, or why there is none. */
export interface CalibrationOutcome {
  readonly calibration?: Calibration;
  readonly refusal?: Refusal;
}

/**
 * Fits the coefficients of an engine to measurements of it.
 *
 * @param files of measurements.
 * @param options as given.
 * @param progress takes text for a terminal; undefined where there is none.
 * @throws ProblemsError if a file, the spec or an option is wrong.
 */
export function calibrate(files: readonly string[], options: CalibrateOptions, progress?: (text: string) => void): CalibrationOutcome {
  const problems: Problem[] = [];
  const spec = attempt(problems, () => readSpec(options.spec, options.set));
  const { maxNumBatchedTokens: given, out } = options;
  if (given !== undefined && !/^[1-9]\d*$/.test(given)) {
    problems.push({
      rule: 'StepTokensInvalid',
      path: '--max-num-batched-tokens',
      value: JSON.stringify(given),
      message: 'the tokens of a step are no whole number above 0',
      mend: 'give what the engine was started with',
    });
  }
  const lengths = [
    ['--input-tokens', 'inputTokens', options.inputTokens], ['--output-tokens', 'outputTokens', options.outputTokens], ['--batch-size', 'sequences', options.batchSize],
  ] as const;
  for (const [path, , text] of lengths) {
    if (text !== undefined && !(/^[1-9]\d*$/.test(text) && Number(text) <= MAX_TOKENS)) {
      problems.push({
        rule: 'RecordLengthInvalid', path, value: JSON.stringify(text), message: `this is no whole number from 1 to ${MAX_TOKENS}`, mend: 'give what was measured with, in digits alone',
      });
    }
  }
  const ofAll: GivenNumbers = Object.fromEntries(lengths.flatMap(([, field, text]) => text === undefined ? [] : [[field, Number(text)]]));
  const stepTokens = Number(given ?? spec?.decode.maxBatchedTokens ?? DEFAULT_STEP_TOKENS);
  const { engine, refusal }: KnownEngine = spec === undefined ? {} : knownEngine(spec, options.pool, stepTokens);
  const measurements = attempt(problems, () => readMeasurements(files, engine && {
    seconds: leastTokenSeconds(engine),
    reason: `a tenth of the time in which ${engine.hardware} reads the weights at its peak bandwidth`,
  }, engine && askedEngine(spec!, engine), ofAll));
  const asked = spec?.engine;
  problems.push(...otherEngineProblems(asked, engine, options.pool, measurements));
  if (measurements !== undefined && !hasTimes(measurements)) {
    problems.push({
      rule: 'MeasurementsWithoutTimes',
      path: files.join(', '),
      message: 'these are requests without a time that was measured',
      mend: 'give ttftSeconds and endToEndSeconds beside arrivals and lengths',
    });
  }
  if (out !== undefined) {
    attempt(problems, () => checkWritable(out));
  }
  Problems.throwIfAny(problems);
  if (refusal !== undefined) {
    return { refusal };
  }
  const calibration = calibrated(engine!, measurements!, asked ?? measurements!.engine, files, options, progress);
  if (out !== undefined && calibration.calibration !== undefined) {
    writing(out, () => writeFileSync(out, `${JSON.stringify(calibration.calibration, undefined, 2)}\n`));
  }
  return { calibration };
}

function hasTimes({ prompts, steps, loops, logs }: ToldMeasurements): boolean {
  return prompts.length + steps.length + loops.length > 0 || logs.some((log) => log.some(({ ttftSeconds }) => ttftSeconds !== undefined));
}

/** What of records of several engines is of the spec's. */
function askedEngine({ model, engine }: DeploymentSpec, { hardware, accelerator, weights, tensorParallelDegree }: EngineOfSpec): AskedEngine {
  const { id, aliases } = ModelArchitecture.fromSpec(model);
  return {
    'models': [id, ...aliases],
    'devices': [hardware, accelerator],
    'tensor parallel degrees': [String(tensorParallelDegree)],
    'formats of weights': [weights],
    ...engine === undefined ? {} : { engines: [engine] },
  };
}

/** What the records tell of the engine and the spec tells otherwise; names of models and devices are not compared, as each tool has its own. */
function otherEngineProblems(
  asked: string | undefined, engine: EngineOfSpec | undefined, pool: MeasuredPool, measurements: ToldMeasurements | undefined,
): Problem[] {
  const { engine: told, tensorParallelDegree } = measurements ?? {};
  const ranks = engine?.tensorParallelDegree;
  return [
    ...asked === undefined || told === undefined || isSameEngine(asked, told) ? [] : [{
      rule: 'MeasurementsOfOtherEngine',
      path: 'engine',
      value: JSON.stringify(asked),
      message: `the measurements say that they are of ${told}`,
      mend: 'name the engine that was measured',
    }],
    ...ranks === undefined || tensorParallelDegree === undefined || ranks === tensorParallelDegree ? [] : [{
      rule: 'MeasurementsOfOtherDegree',
      path: `${pool}.tensorParallelDegree`,
      value: JSON.stringify(ranks),
      message: `the measurements say that they are of an engine of ${tensorParallelDegree} ranks`,
      mend: 'give the degree of the engine that was measured',
    }],
  ];
}

interface KnownEngine {
  readonly engine?: EngineOfSpec;
  /** Why nothing is known of it. */
  readonly refusal?: Refusal;
}

function knownEngine(spec: DeploymentSpec, pool: MeasuredPool, stepTokens: number): KnownEngine {
  try {
    return { engine: engineOfSpec(spec, pool, stepTokens) };
  } catch (error) {
    if (error instanceof Refused) {
      return { refusal: error.refusal };
    }
    throw error;
  }
}

function calibrated(
  engine: EngineOfSpec, measurements: ToldMeasurements, engineName: string | undefined, files: readonly string[], { pool }: CalibrateOptions,
  progress?: (text: string) => void,
): Calibration {
  const mostOfRun = Math.floor(MAX_FITTED_REQUESTS / measurements.logs.length);
  const looked = { ...measurements, logs: measurements.logs.map((log) => beginning(log, mostOfRun)) };
  const configurations = configurationsOf(engine, looked);
  progress?.(progressBar(0));
  const fitOfAll = fit(engine.start, configurations);
  const { coefficients, relativeSigmas } = fitOfAll;
  const ofHeldOut = 1 - 1 / (1 + Math.min(MAX_FOLDS, configurations.length));
  progress?.(progressBar(1 - ofHeldOut));
  const held = heldOut(engine.start, configurations, MAX_FOLDS, (share) => progress?.(progressBar(1 - ofHeldOut * (1 - share))));
  progress?.(NO_PROGRESS_BAR);
  const everything = configurationsOf(engine, measurements);
  const [before, fitted] = [engine.start, coefficients].map((k) => everything.flatMap((one) => one.compare(k)));
  const only = <T extends Compared>(metric: Compared['metric'], all: readonly T[]) => all.filter((one) => one.metric === metric);
  const rows = [...relativeSigmas].map(([name, relativeSigma]) => ({ name, before: engine.start[name], fitted: coefficients[name], relativeSigma }));
  const metrics = METRICS.filter((metric) => only(metric, fitted).length > 0).map((metric): CalibratedMetric => ({
    metric,
    meanSeconds: mean(only(metric, fitted).map(({ measured }) => measured)),
    before: score(only(metric, before)),
    fitted: score(only(metric, fitted)),
    heldOut: held && only(metric, held.flat()).length > 0 ? score(only(metric, held.flat())) : undefined,
  }));
  const calibration: CalibrationSpec = {
    coefficientSet: engine.coefficientSet,
    accelerator: engine.accelerator,
    weights: engine.weights,
    model: engine.modelId,
    ...engineName === undefined ? {} : { engine: engineName },
    ...fittedCoefficients(pool, fitOfAll),
    ...Object.fromEntries(METRICS.flatMap((metric) => {
      const sigma = misfitSigma((held ?? []).map((one) => only(metric, one)), engine.spread[metric]);
      return sigma === undefined ? [] : [[`${metric}RelativeSigma`, Number(sigma.toPrecision(4))]];
    })),
    ...Object.fromEntries(metrics.flatMap(({ metric, heldOut: judged }) => (
      judged === undefined ? [] : [[`${metric}HeldOut`, { times: judged.count, meanError: Number(judged.mape.toPrecision(4)) }]]))),
    source: `calibrate of ${files.map((file) => basename(file)).join(', ')}: ${fitted.length} times of ${engine.hardware}`,
  };
  const useless = uselessness(score(before), score(fitted), metrics);
  return {
    hardware: engine.hardware,
    tensorParallelDegree: engine.tensorParallelDegree,
    measured: {
      prompts: measurements.prompts.length,
      steps: measurements.steps.length,
      loops: measurements.loops.length,
      runs: measurements.logs.length,
      requests: measurements.logs.reduce((sum, log) => sum + log.length, 0),
      fittedRequests: measurements.logs.reduce((sum, log) => sum + Math.min(log.length, mostOfRun), 0),
    },
    skipped: measurements.skipped,
    coefficients: rows,
    metrics,
    calibration: useless.length === 0 ? calibration : undefined,
    useless,
    warnings: warnings(rows, metrics),
  };
}

/** Why a fit is of no use, a sentence each. A fit takes odd times less seriously, so that their mean error alone may grow. */
function uselessness(before: Score, fitted: Score, metrics: readonly CalibratedMetric[]): string[] {
  return [
    ...fitted.factor > before.factor && fitted.median > before.median ? [
      `the fitted coefficients are further off than those before, by a factor of ${number(fitted.factor)} in place of ${number(before.factor)}`,
    ] : [],
    ...metrics.flatMap(({ metric, fitted: ofAll, heldOut: held }) => (
      ofAll.factor > ABSURD ? [`${metric.toUpperCase()} is off by a factor of ${number(ofAll.factor)} after the fit`]
        : held !== undefined && held.factor > ABSURD ? [`${metric.toUpperCase()} that was held out is off by a factor of ${number(held.factor)}`] : [])),
  ];
}

/** What tells that the measurements may be of another engine than the spec's. */
function warnings(coefficients: readonly FittedCoefficient[], metrics: readonly CalibratedMetric[]): string[] {
  const off = metrics.filter(({ before }) => before.bias + 1 >= FAR_OFF || before.bias + 1 <= 1 / FAR_OFF);
  const pinned = coefficients.filter(({ name, before, fitted }) => name.endsWith('Utilisation') && before < PEAK_SHARE && fitted >= PEAK_SHARE);
  const found = [
    ...off.map(({ metric, before }) => `before the fit, ${metric.toUpperCase()} is ${Number((before.bias + 1).toPrecision(2))} times what was measured`),
    ...pinned.length === 0 ? [] : [`${pinned.map(({ name }) => name).join(' and ')} would be all of the peak, which no engine reaches`],
  ];
  return found.map((one) => `${one}: the measurements may be of another model, machine, degree or number format than those of --spec, or in another unit`);
}

/** The first requests of a run, those that came while these were served as load to them alone. */
function beginning(log: readonly LoggedRequest[], count: number): readonly LoggedRequest[] {
  const kept = log.slice(0, count);
  const end = kept.reduce((latest, { arrivalSeconds, endToEndSeconds = 0 }) => Math.max(latest, arrivalSeconds + endToEndSeconds), 0);
  const load = log.slice(count).filter(({ arrivalSeconds }) => arrivalSeconds < end);
  return [...kept, ...load.map(({ arrivalSeconds, inputTokens, outputTokens }) => ({ arrivalSeconds, inputTokens, outputTokens }))];
}

/** A calibration as text for a terminal. */
export function calibrationText(
  { hardware, tensorParallelDegree, measured, skipped, coefficients, metrics, useless }: Calibration, out: string | undefined,
): string {
  const errors = (one: Score | undefined) => one === undefined ? ['-', '-', '-'] : [percent(one.mape), percent(one.median), percent(one.bias)];
  const counts = [
    [measured.prompts, 'prompts'], [measured.steps, 'decode steps'], [measured.loops, 'closed loops'], [measured.requests, `requests of ${measured.runs} runs`],
  ] as const;
  return [
    `${hardware}, one engine of ${tensorParallelDegree} ranks: ${counts.filter(([count]) => count > 0).map(([count, noun]) => `${count} ${noun}`).join(', ')}`,
    ...skipped.length === 0 ? [] : [skipped.join('\n')],
    table([
      ['coefficient', 'before', 'fitted', 'spread'],
      ...coefficients.map(({ name, before, fitted, relativeSigma }) => (
        [name, before.toPrecision(3), fitted.toPrecision(3), `${(100 * relativeSigma).toFixed(0)} %`])),
    ], 1),
    table([
      ['error', 'times', 'mean', 'MAPE', 'median', 'bias'],
      ...metrics.flatMap(({ metric, meanSeconds, before, fitted, heldOut: held }) => ([['before', before], ['fitted', fitted], ['held out', held]] as const)
        .map(([name, one]) => [`${metric.toUpperCase()} ${name}`, String(one?.count ?? 0), time(meanSeconds), ...errors(one)])),
    ], 1),
    ...measured.fittedRequests < measured.requests ? [
      `the fit, and what was held out, are of the first ${measured.fittedRequests} of ${measured.requests} requests; the errors before and fitted are of all`,
    ] : [],
    ...metrics.some((one) => one.heldOut === undefined) ? ['there is one configuration: what others would be off by is not known'] : [],
    ...metrics.some((one) => (one.heldOut?.factor ?? 1) > UNLIKE) ? ['what was held out is so far off that the measurements may be of another model or accelerator than the spec\'s'] : [],
    useless.length > 0 ? `there is no calibration: ${useless.join(', and ')}` : out === undefined ? 'write it with --out, and name the file as "calibration" of a spec' : `written to ${out}: name it as "calibration" of a spec`,
  ].join('\n\n');
}
