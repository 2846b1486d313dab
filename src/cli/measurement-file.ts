import { extname } from 'node:path';
import { attempt } from './attempt';
import { ExpectedFile, displayName, readText } from './bounded-text';
import { FIELDS, Field, Row, measuredRows } from './measurement-formats';
import { time } from './text-table';
import { ClosedLoop, DecodeStep, LoggedRequest, Measurements, UnloadedPrompt } from '../estimator/calibration/measurements';
import { nearestNames } from '../nearest';
import { Problem, Problems, ProblemsError, ToldProblems, shown } from '../problems';
import { MAX_SPAN_SECONDS, MAX_TOKENS } from '../workload/limits';

const MAX_BYTES = 512 * 1024 * 1024;

const EXPECTED: ExpectedFile = { holds: 'measurements', tooLarge: 'give fewer requests' };

/** Most seconds that a request takes: eleven days, beyond which a unit or a column is mixed up. */
const MAX_SECONDS = 1e6;

/** The most that a field may be; arrivals are bounded by the span of a run. */
const LARGEST: { readonly [field in Field]?: number } = {
  inputTokens: MAX_TOKENS,
  outputTokens: MAX_TOKENS,
  contextTokens: MAX_TOKENS,
  concurrency: MAX_TOKENS,
  sequences: MAX_TOKENS,
  ttft: MAX_SECONDS,
  tpot: MAX_SECONDS,
  endToEnd: MAX_SECONDS,
  step: MAX_SECONDS,
};

/** Engines that are told by name where there are several. */
const MAX_VALUES = 5;

/** The least that a time may be. */
export interface LeastTime {
  readonly seconds: number;
  /** What it is. */
  readonly reason: string;
}

const ANY_TIME: LeastTime = { seconds: 0, reason: 'nothing' };

/** Fields that are the time to a first token or of one token; that to the last one is compared with that to the first. */
const TOKEN_TIMES: readonly Field[] = ['ttft', 'tpot', 'step'];

/** The fields of a record that is right. */
type Numbers = { readonly [field in Field]?: number };

/** Measurements while they are read. */
interface Gathered {
  readonly prompts: UnloadedPrompt[];
  readonly steps: DecodeStep[];
  readonly loops: ClosedLoop[];
  readonly logs: LoggedRequest[][];
}

/** Requests of one run while they are read. */
interface Run {
  readonly log: LoggedRequest[];
  /** The one that arrived last. */
  last: Row;
}

/** Measurements, and what the records say of the engine. */
export interface ToldMeasurements extends Measurements {
  /** Name of the engine, such as `vllm`; undefined where nothing is said. */
  readonly engine?: string;
  /** Its ranks; undefined where nothing is said, or no number. */
  readonly tensorParallelDegree?: number;
}

/** What records tell of their engines: where each value of a trait is first. */
type Traits = Map<string, Map<string, string>>;

/**
 * Reads measurements of an engine from files.
 *
 * - JSON Lines, CSV or a JSON list of records with `arrivalSeconds`, `inputTokens`, `outputTokens`, `ttftSeconds` and `endToEndSeconds` (a request of a
 *   run), `concurrency`, `inputTokens`, `outputTokens`, `ttftSeconds` and `tpotSeconds` (means of a closed loop), `inputTokens` and `ttftSeconds` (a
 *   prompt that an idle engine read), or `sequences`, `contextTokens` and `stepSeconds` (a decode step). Names may be in snake case, times in `_s` or `_ms`.
 * - Results of `vllm bench serve --save-result --save-detailed`, with `--append-result` also several, each a run.
 * - `profile_export.jsonl` of aiperf, and the summaries `profile_export_aiperf.json` and `profile_export_genai_perf.json` of a closed loop.
 * - `benchmarks.json` of guidellm.
 *
 * @param files their paths, or `-`.
 * @param least the least that the engine may take to the first token and for each further one; any time if undefined.
 * @throws ProblemsError with everything that is wrong: files that cannot be read, fields of records, the first of each file one by one, and
 * records that say that they are of several engines.
 */
export function readMeasurements(files: readonly string[], least = ANY_TIME): ToldMeasurements {
  const problems: Problem[] = [];
  const result: Gathered = { prompts: [], steps: [], loops: [], logs: [] };
  const traits: Traits = new Map();
  for (const file of files) {
    attempt(problems, () => readFile(file, least, result, traits));
  }
  problems.push(...severalProblems(traits));
  Problems.throwIfAny(problems);
  const told = (trait: string) => [...traits.get(trait)?.keys() ?? []].at(0);
  const ranks = Number(told('tensor parallel degrees') ?? NaN);
  return { ...result, engine: told('engines'), tensorParallelDegree: Number.isNaN(ranks) ? undefined : ranks };
}

function severalProblems(traits: Traits): Problem[] {
  return [...traits].filter(([, places]) => places.size > 1).map(([trait, places]) => {
    const values = [...places.keys()];
    const more = values.length - MAX_VALUES;
    return {
      rule: 'MeasurementsOfSeveralEngines',
      path: places.get(values[1])!,
      value: shown(values[1]),
      message: `a calibration is of one engine, and the records are of ${values.length} ${trait}: ${values.slice(0, MAX_VALUES).map(shown).join(', ')}${more > 0 ? ` and ${more} more` : ''}`,
      mend: 'calibrate each by itself, with the records of no other',
    };
  });
}

function readFile(file: string, least: LeastTime, into: Gathered, traits: Traits): void {
  const name = displayName(file);
  const text = readText(file, MAX_BYTES, EXPECTED).replace(/^\uFEFF/, '');
  const problems = new ToldProblems(name);
  const runs = new Map<string, Run>();
  let records = 0;
  for (const row of measuredRows(text, name, extname(file).toLowerCase() === '.csv', problems)) {
    records++;
    noteTraits(row, traits);
    const numbers = rightNumbers(row, least, problems);
    const request = numbers === undefined ? undefined : add(row, numbers, into, problems);
    if (request !== undefined) {
      const run = runs.get(row.run) ?? { log: [], last: row };
      run.log.push(request);
      run.last = secondsOf(row, 'arrival') > secondsOf(run.last, 'arrival') ? row : run.last;
      runs.set(row.run, run);
    }
  }
  for (const { log, last } of runs.values()) {
    log.sort((a, b) => a.arrivalSeconds - b.arrivalSeconds);
    const [{ arrivalSeconds: first }] = log;
    if (secondsOf(last, 'arrival') - first > MAX_SPAN_SECONDS) {
      wrong(problems, last, 'arrival', 'MeasurementTooLarge', `is more than ${MAX_SPAN_SECONDS} seconds after the first of the run`, 'correct the unit, or leave such records out');
    }
    into.logs.push(log.map((request) => ({ ...request, arrivalSeconds: request.arrivalSeconds - first })));
  }
  problems.throwIfAny();
  if (records === 0) {
    throw new ProblemsError([{ rule: 'MeasurementsMissing', path: name, message: 'the file holds no measurements', mend: 'give records, see "calibrate --help"' }]);
  }
}

function noteTraits(row: Row, traits: Traits): void {
  for (const [trait, value] of Object.entries(row.traits)) {
    const places = traits.get(trait) ?? new Map<string, string>();
    const name = String(value).toLowerCase();
    traits.set(trait, places.has(name) ? places : places.set(name, row.place));
  }
}

/** What a record tells as numbers; undefined where one is not of a size that can be, each of which is a problem. */
function rightNumbers(row: Row, least: LeastTime, problems: ToldProblems): Numbers | undefined {
  const bad = FIELDS.filter((field) => {
    const value = row.cells[field]?.value;
    const most = LARGEST[field] ?? Infinity;
    if (value === undefined) {
      return false;
    }
    if (typeof value !== 'number' || !Number.isFinite(value) || !(field === 'arrival' || value > 0 || (field === 'contextTokens' && value === 0))) {
      wrong(problems, row, field, 'MeasurementNotANumber', `is not a number${field === 'arrival' ? '' : ' above 0'}`, 'correct it, or leave such records out');
    } else if (value > most) {
      wrong(problems, row, field, 'MeasurementTooLarge', `is above ${most}${most === MAX_SECONDS ? ' seconds' : ''}`, 'correct the unit, or leave such records out');
    } else if (TOKEN_TIMES.includes(field) && value < least.seconds) {
      wrong(problems, row, field, 'MeasurementTooSmall', `is below ${belowText(least)}`, 'correct the unit, or leave such records out');
    } else {
      return false;
    }
    return true;
  });
  if (bad.length > 0) {
    return undefined;
  }
  const numbers: Numbers = Object.fromEntries(FIELDS.map((field) => [field, row.cells[field]?.value]));
  const problem = gapProblem(row, numbers, least);
  if (problem !== undefined) {
    problems.add(problem);
    return undefined;
  }
  return numbers;
}

/** What is wrong with the time of the tokens after the first, which two fields tell together. */
function gapProblem({ place, cells }: Row, { ttft, endToEnd, outputTokens }: Numbers, least: LeastTime): Problem | undefined {
  if (ttft === undefined || endToEnd === undefined || outputTokens === undefined || outputTokens <= 1) {
    return undefined;
  }
  const gap = (endToEnd - ttft) / (outputTokens - 1);
  return gap > 0 && gap >= least.seconds ? undefined : {
    rule: 'MeasurementTooSmall',
    path: place,
    value: `${cells.ttft!.name} ${cells.ttft!.given}, ${cells.endToEnd!.name} ${cells.endToEnd!.given}`,
    message: `each of the ${outputTokens} tokens but the first took ${gap > 0 ? `${time(gap)}, below ${belowText(least)}` : 'no time'}`,
    mend: 'correct the unit, or leave such records out',
  };
}

/** Adds the measurement of a record; what is a request of a run is returned. */
function add({ place, cells, unread }: Row, numbers: Numbers, into: Gathered, problems: ToldProblems): LoggedRequest | undefined {
  const { arrival, inputTokens, outputTokens, ttft, tpot, endToEnd, concurrency, sequences, contextTokens, step } = numbers;
  if (sequences !== undefined && contextTokens !== undefined && step !== undefined) {
    into.steps.push({ sequences, contextTokens, stepSeconds: step });
  } else if (
    concurrency !== undefined && inputTokens !== undefined && outputTokens !== undefined && ttft !== undefined
    && (tpot !== undefined || outputTokens < 2)
  ) {
    into.loops.push({ concurrency, inputTokens, outputTokens, ttftSeconds: ttft, tpotSeconds: tpot });
  } else if (arrival !== undefined && inputTokens !== undefined && outputTokens !== undefined) {
    return { arrivalSeconds: arrival, inputTokens, outputTokens, ttftSeconds: ttft, endToEndSeconds: endToEnd };
  } else if (inputTokens !== undefined && ttft !== undefined && concurrency === undefined) {
    into.prompts.push({ inputTokens, ttftSeconds: ttft });
  } else {
    problems.add({
      rule: 'MeasurementUnknown',
      path: place,
      message: `a record of ${FIELDS.flatMap((field) => cells[field]?.name ?? []).join(', ') || 'nothing that is known'} is no measurement`,
      mend: `give what "calibrate --help" lists${meantInstead(unread, cells)}`,
    });
  }
  return undefined;
}

/** What names that are not known may be meant to be. */
function meantInstead(unread: Row['unread'], cells: Row['cells']): string {
  return [...unread ?? []].map(([name, field]) => {
    const [near] = nearestNames(field, FIELDS.filter((one) => cells[one] === undefined));
    return near === undefined ? '' : `; ${shown(name)} is not known, did you mean ${near}?`;
  }).join('');
}

function wrong(problems: ToldProblems, { place, cells }: Row, field: Field, rule: string, message: string, mend: string): void {
  const { name, given } = cells[field]!;
  problems.add({ rule, path: place, value: shown(given), message: `${name} ${message}`, mend });
}

function belowText({ seconds, reason }: LeastTime): string {
  return `${time(seconds)}, ${reason}`;
}

function secondsOf({ cells }: Row, field: Field): number {
  return cells[field]!.value as number;
}
