import { extname } from 'node:path';
import { attempt } from './attempt';
import { ExpectedFile, displayName, readText } from './bounded-text';
import { FIELDS, Field, Row } from './measurement-columns';
import { measuredRows } from './measurement-formats';
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
  cachedTokens: MAX_TOKENS,
  outputTokens: MAX_TOKENS,
  contextTokens: MAX_TOKENS,
  concurrency: MAX_TOKENS,
  sequences: MAX_TOKENS,
  ttft: MAX_SECONDS,
  tpot: MAX_SECONDS,
  endToEnd: MAX_SECONDS,
  step: MAX_SECONDS,
};

/** Fields that may be 0. */
const MAY_BE_NONE: readonly Field[] = ['contextTokens', 'cachedTokens'];

/** The most of a prompt that the engine may have had in its cache: the coefficients are of prompts that are read. */
const MOST_CACHED = 0.05;

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

/** What records have that say nothing of it, as tables do whose heading tells it for all of them. */
export type GivenNumbers = { readonly [field in 'inputTokens' | 'outputTokens' | 'sequences']?: number };

/** The fields of a record that is right. */
type Numbers = { readonly [field in Field]?: number };

/** Measurements of one engine while they are read. */
interface Gathered {
  readonly prompts: UnloadedPrompt[];
  readonly steps: DecodeStep[];
  readonly loops: ClosedLoop[];
  readonly logs: LoggedRequest[][];
  /** Records whose time per output token is left out, by the options that would tell of what batch it is. */
  readonly withoutBatch: Map<string, number>;
}

/** Requests of one run while they are read. */
interface Run {
  readonly log: LoggedRequest[];
  /** The one that arrived last. */
  last: Row;
}

/** The records of a file that tell the same of their engine. */
interface Part {
  readonly traits: Row['traits'];
  /** Where the first of them is. */
  readonly place: string;
  readonly file: string;
  readonly measurements: Gathered;
  readonly runs: Map<string, Run>;
  /** Those of the file where nothing is told of the engine: such records are never left out. */
  readonly problems: ToldProblems;
  records: number;
}

/** What a file holds. */
interface ReadFile {
  readonly parts: readonly Part[];
  /** What is wrong with what is no record. */
  readonly problems: ToldProblems;
}

/** What traits are of the engine that is asked about, where records of several are together: by trait, the names that it goes by. */
export type AskedEngine = { readonly [trait: string]: readonly string[] };

/** Measurements, and what the records say of the engine. */
export interface ToldMeasurements extends Measurements {
  /** Name of the engine, such as `vllm`; undefined where nothing is said. */
  readonly engine?: string;
  /** Its ranks; undefined where nothing is said, or no number. */
  readonly tensorParallelDegree?: number;
  /** What was left out, as it is of other engines or says too little, a sentence a file and reason. */
  readonly skipped: readonly string[];
}

/**
 * Reads measurements of an engine from files.
 *
 * - JSON Lines, CSV or a JSON list of records with `arrivalSeconds`, `inputTokens`, `outputTokens`, `ttftSeconds` and `endToEndSeconds` (a request of a
 *   run), `concurrency`, `inputTokens`, `outputTokens`, `ttftSeconds` and `tpotSeconds` (means of a closed loop), `inputTokens` and `ttftSeconds` (a
 *   prompt that an idle engine read), `sequences`, `contextTokens` and `stepSeconds` (a decode step), or `batchSize`, `inputTokens`, `outputTokens`,
 *   `ttftSeconds` and `tpotSeconds` (a batch that begins and ends together). Columns go by the names that tools and tables have for them, too.
 * - Results of `vllm bench serve --save-result --save-detailed`, with `--append-result` also several, each a run.
 * - `profile_export.jsonl` of aiperf, `profile_export.json` of genai-perf, and the summaries of both of a closed loop, in JSON or as CSV.
 * - `benchmarks.json` of guidellm.
 *
 * @param files their paths, or `-`.
 * @param least the least that the engine may take to the first token and for each further one; any time if undefined.
 * @param asked the engine that is meant where records are of several; those of others are left out.
 * @param given what records have that do not say it.
 * @throws ProblemsError with everything that is wrong: files that cannot be read, fields of records, the first of each file one by one, and
 * records that say that they are of several engines, none of which is asked about.
 */
export function readMeasurements(files: readonly string[], least = ANY_TIME, asked: AskedEngine = {}, given: GivenNumbers = {}): ToldMeasurements {
  const problems: Problem[] = [];
  const read = files.map((file) => {
    const unreadable: Problem[] = [];
    return { unreadable, held: attempt(unreadable, () => readFile(file, least, given)) };
  });
  const { parts, skipped } = ofEngine(read.flatMap(({ held }) => held?.parts ?? []), asked);
  for (const { unreadable, held } of read) {
    const kept = held?.parts.filter((part) => parts.includes(part)) ?? [];
    problems.push(...unreadable);
    new Set([held, ...kept].map((one) => one?.problems)).forEach((told) => attempt(problems, () => told?.throwIfAny()));
  }
  problems.push(...severalProblems(parts, asked));
  Problems.throwIfAny(problems);
  const told = (trait: string) => parts.map(({ traits }) => traits[trait]).find((value) => value !== undefined);
  const ranks = Number(told('tensor parallel degrees') ?? NaN);
  const engine = told('engines');
  return {
    prompts: parts.flatMap(({ measurements }) => measurements.prompts),
    steps: parts.flatMap(({ measurements }) => measurements.steps),
    loops: parts.flatMap(({ measurements }) => measurements.loops),
    logs: parts.flatMap(({ measurements }) => measurements.logs),
    engine: engine === undefined ? undefined : String(engine).toLowerCase(),
    tensorParallelDegree: Number.isNaN(ranks) ? undefined : ranks,
    skipped: [...skipped, ...parts.flatMap(({ file, measurements }) => [...measurements.withoutBatch].map(([options, count]) => (
      `${file}: TPOT of ${count} records is left out, as they do not say of what batch it is: give ${options}`)))],
  };
}

/** The parts that are of the engine that is asked about, where it is among several. */
function ofEngine(all: readonly Part[], asked: AskedEngine): { readonly parts: readonly Part[]; readonly skipped: readonly string[] } {
  const skipped: string[] = [];
  const parts = Object.entries(asked).reduce<readonly Part[]>((left, [trait, names]) => {
    const isAsked = ({ traits }: Part) => traits[trait] === undefined || names.some((name) => plainName(name) === plainName(traits[trait]));
    if (!left.some((part) => part.traits[trait] !== undefined && isAsked(part))) {
      return left;
    }
    const others = left.filter((part) => !isAsked(part));
    for (const file of new Set(others.map((part) => part.file))) {
      const own = others.filter((part) => part.file === file);
      const count = own.reduce((sum, { records }) => sum + records, 0);
      skipped.push(`${file}: ${count} records are skipped, as they are of other ${trait} than ${names[0]}: ${listed(own.map(({ traits }) => String(traits[trait])))}`);
    }
    return left.filter(isAsked);
  }, all);
  return { parts, skipped };
}

/** A name as it is compared: that of a model is told with and without its maker, and tuned as it came. */
function plainName(name: unknown): string {
  return String(name).toLowerCase().split('/').at(-1)!.replace(/[^a-z0-9.]/g, '').replace(/(instruct|chat|hf)+$/, '');
}

function listed(values: readonly string[]): string {
  const distinct = [...new Set(values)];
  const more = distinct.length - MAX_VALUES;
  return `${distinct.slice(0, MAX_VALUES).map(shown).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function severalProblems(parts: readonly Part[], asked: AskedEngine): Problem[] {
  return [...new Set(parts.flatMap(({ traits }) => Object.keys(traits)))].flatMap((trait) => {
    const told = parts.filter(({ traits }) => traits[trait] !== undefined);
    const distinct = told.filter((part, i) => told.findIndex(({ traits }) => plainName(traits[trait]) === plainName(part.traits[trait])) === i);
    const values = distinct.map(({ traits }) => String(traits[trait]).toLowerCase());
    return distinct.length < 2 ? [] : [{
      rule: 'MeasurementsOfSeveralEngines',
      path: distinct[1].place,
      value: shown(values[1]),
      message: `a calibration is of one engine, and the records are of ${distinct.length} ${trait}: ${listed(values)}`,
      mend: trait in asked ? 'let the spec name one of them, whose records are taken then, or give the records of no other'
        : 'calibrate each by itself, with the records of no other',
    }];
  });
}

function readFile(file: string, least: LeastTime, given: GivenNumbers): ReadFile {
  const name = displayName(file);
  const text = readText(file, MAX_BYTES, EXPECTED).replace(/^\uFEFF/, '');
  const problems = new ToldProblems(name);
  const parts = new Map<string, Part>();
  for (const row of measuredRows(text, name, extname(file).toLowerCase() === '.csv', problems)) {
    const part = partOf(row, parts, name, problems);
    part.records++;
    const numbers = rightNumbers(row, least, given, part.problems);
    const request = numbers === undefined ? undefined : add(row, numbers, part.measurements, part.problems);
    if (request !== undefined) {
      const run = part.runs.get(row.run) ?? { log: [], last: row };
      run.log.push(request);
      run.last = secondsOf(row, 'arrival') > secondsOf(run.last, 'arrival') ? row : run.last;
      part.runs.set(row.run, run);
    }
  }
  if (parts.size === 0) {
    problems.throwIfAny();
    throw new ProblemsError([{ rule: 'MeasurementsMissing', path: name, message: 'the file holds no measurements', mend: 'give records, see "calibrate --help"' }]);
  }
  parts.forEach(endRuns);
  return { parts: [...parts.values()], problems };
}

function partOf({ traits, place }: Row, parts: Map<string, Part>, file: string, ofFile: ToldProblems): Part {
  const key = JSON.stringify(traits).toLowerCase();
  const part = parts.get(key) ?? {
    traits,
    place,
    file,
    measurements: { prompts: [], steps: [], loops: [], logs: [], withoutBatch: new Map() },
    runs: new Map(),
    problems: Object.keys(traits).length === 0 ? ofFile : new ToldProblems(file),
    records: 0,
  };
  parts.set(key, part);
  return part;
}

/** The runs of a part, each in order of arrival and from its first request on. */
function endRuns({ runs, measurements, problems }: Part): void {
  for (const { log, last } of runs.values()) {
    log.sort((a, b) => a.arrivalSeconds - b.arrivalSeconds);
    const [{ arrivalSeconds: first }] = log;
    if (secondsOf(last, 'arrival') - first > MAX_SPAN_SECONDS) {
      wrong(problems, last, 'arrival', 'MeasurementTooLarge', `is more than ${MAX_SPAN_SECONDS} seconds after the first of the run`, 'correct the unit, or leave such records out');
    }
    measurements.logs.push(log.map((request) => ({ ...request, arrivalSeconds: request.arrivalSeconds - first })));
  }
}

/** What a record tells as numbers; undefined where one is not of a size that can be, each of which is a problem. */
function rightNumbers(row: Row, least: LeastTime, given: GivenNumbers, problems: ToldProblems): Numbers | undefined {
  const bad = FIELDS.filter((field) => {
    const value = row.cells[field]?.value;
    const most = LARGEST[field] ?? Infinity;
    if (value === undefined) {
      return false;
    }
    if (typeof value !== 'number' || !Number.isFinite(value) || !(field === 'arrival' || value > 0 || (MAY_BE_NONE.includes(field) && value === 0))) {
      wrong(problems, row, field, 'MeasurementNotANumber', `is not a number${field === 'arrival' ? '' : MAY_BE_NONE.includes(field) ? ' from 0 on' : ' above 0'}`, 'correct it, or leave such records out');
    } else if (value > most) {
      wrong(problems, row, field, 'MeasurementTooLarge', `is above ${most}${most === MAX_SECONDS ? ' seconds' : ''}`, 'correct the unit, or leave such records out');
    } else if (field === 'cachedTokens' && value > MOST_CACHED * Number(row.cells.inputTokens?.value ?? given.inputTokens)) {
      wrong(problems, row, field, 'MeasurementCached', 'says that the engine had part of the prompt in its cache, so that its time is not that of reading it',
        'measure without prefix cache (vLLM: --no-enable-prefix-caching), or leave such records out');
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
  const told = FIELDS.filter((field) => row.cells[field] !== undefined).map((field) => [field, row.cells[field]!.value]);
  const numbers: Numbers = { ...given, ...Object.fromEntries(told) };
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
    into.steps.push({ sequences, contextTokens: contextTokens + (outputTokens ?? 0) / 2, stepSeconds: step });
  } else if (
    concurrency !== undefined && inputTokens !== undefined && outputTokens !== undefined && ttft !== undefined
    && (tpot !== undefined || outputTokens < 2)
  ) {
    into.loops.push({ concurrency, inputTokens, outputTokens, ttftSeconds: ttft, tpotSeconds: tpot });
  } else if (arrival !== undefined && inputTokens !== undefined && outputTokens !== undefined) {
    const last = ttft !== undefined && tpot !== undefined ? ttft + tpot * (outputTokens - 1) : undefined;
    return { arrivalSeconds: arrival, inputTokens, outputTokens, ttftSeconds: ttft, endToEndSeconds: endToEnd ?? last };
  } else if (sequences !== undefined && inputTokens !== undefined && outputTokens !== undefined && ttft !== undefined && tpot !== undefined) {
    into.prompts.push({ inputTokens, prompts: sequences, ttftSeconds: ttft });
    into.steps.push({ sequences, contextTokens: inputTokens + outputTokens / 2, stepSeconds: tpot });
  } else if (inputTokens !== undefined && ttft !== undefined && concurrency === undefined) {
    into.prompts.push({ inputTokens, ttftSeconds: ttft, ...(sequences !== undefined && { prompts: sequences }) });
    if (tpot !== undefined) {
      const options = [...outputTokens === undefined ? ['--output-tokens'] : [], ...sequences === undefined ? ['--batch-size'] : []].join(' and ');
      into.withoutBatch.set(options, (into.withoutBatch.get(options) ?? 0) + 1);
    }
  } else {
    problems.add({
      rule: 'MeasurementUnknown',
      path: place,
      message: `a record of ${FIELDS.flatMap((field) => cells[field]?.name ?? []).join(', ') || 'nothing that is known'} is no measurement`,
      mend: `${missingText(numbers)}give what "calibrate --help" lists${meantInstead(unread, cells)}`,
    });
  }
  return undefined;
}

/** What a record with the times of a batch lacks to be one, and how it is told for all records of a file. */
function missingText({ ttft, tpot, inputTokens, outputTokens, sequences, concurrency, arrival }: Numbers): string {
  if (ttft === undefined) {
    return '';
  }
  const missing = [
    ...inputTokens === undefined ? [['inputTokens', '--input-tokens']] : [],
    ...tpot === undefined || outputTokens !== undefined ? [] : [['outputTokens', '--output-tokens']],
    ...tpot === undefined || (sequences ?? concurrency ?? arrival) !== undefined ? [] : [['batchSize', '--batch-size']],
  ];
  return missing.length === 0 ? ''
    : `add ${missing.map(([column]) => column).join(', ')}, give ${missing.map(([, option]) => option).join(', ')} where they are the same for all records, or `;
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
