import { extname } from 'node:path';
import { ExpectedFile, displayName, readText } from './bounded-text';
import { ClosedLoop, DecodeStep, LoggedRequest, Measurements, UnloadedPrompt } from '../estimator/calibration/measurements';
import { JsonSyntaxError, parseJson } from '../json-text';
import { Problem, ProblemsError } from '../problems';
import { MAX_SPAN_SECONDS, MAX_TOKENS } from '../workload/limits';

const MAX_BYTES = 512 * 1024 * 1024;

const EXPECTED: ExpectedFile = { holds: 'measurements', tooLarge: 'give fewer requests' };

/** Wrong records beyond these are not told one by one. */
const MAX_PROBLEMS = 20;

/** A record by the names of this library, whatever tool wrote it. */
interface Row {
  /** Where it is, such as `runs.csv:3`. */
  readonly place: string;
  /** Undefined where it is not a number. */
  readonly [field: string]: unknown;
}

/** Fields of a record. Times may be given in seconds or milliseconds. */
const FIELDS = ['arrival', 'inputTokens', 'outputTokens', 'ttft', 'tpot', 'endToEnd', 'concurrency', 'sequences', 'contextTokens', 'step'];

/** Most seconds that a request takes: eleven days, beyond which a unit or a column is mixed up. */
const MAX_SECONDS = 1e6;

/** The most that a field may be; arrivals are bounded by the span of a run. */
const LARGEST: { readonly [field: string]: number } = {
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

/** Units that a time's name may end with. */
const UNITS: { readonly [unit: string]: number } = { seconds: 1, s: 1, ms: 1e-3, milliseconds: 1e-3 };

/** Measurements while they are read. */
interface Gathered {
  readonly prompts: UnloadedPrompt[];
  readonly steps: DecodeStep[];
  readonly loops: ClosedLoop[];
  readonly logs: LoggedRequest[][];
}

/**
 * Reads measurements of an engine from a file.
 *
 * - JSON Lines, CSV or a JSON list of records with `arrivalSeconds`, `inputTokens`, `outputTokens`, `ttftSeconds` and `endToEndSeconds` (a request of a
 *   run), `concurrency`, `inputTokens`, `outputTokens`, `ttftSeconds` and `tpotSeconds` (means of a closed loop), `inputTokens` and `ttftSeconds` (a
 *   prompt that an idle engine read), or `sequences`, `contextTokens` and `stepSeconds` (a decode step). Names may be in snake case, times in `_s` or `_ms`.
 * - The result of `vllm bench serve --save-result --save-detailed`.
 * - `profile_export.jsonl` of aiperf, and the summaries `profile_export_aiperf.json` and `profile_export_genai_perf.json` of a closed loop.
 * - `benchmarks.json` of guidellm.
 *
 * @param file path of the file, or `-`.
 * @throws ProblemsError if it cannot be read, or its records are none of these.
 */
export function readMeasurements(file: string): Measurements {
  const name = displayName(file);
  const text = readText(file, MAX_BYTES, EXPECTED).replace(/^\uFEFF/, '');
  const runs = extname(file).toLowerCase() === '.csv' ? [csvRows(text, name)] : jsonRuns(text, name);
  const problems: Problem[] = [];
  const result: Gathered = { prompts: [], steps: [], loops: [], logs: [] };
  for (const run of runs) {
    const log: LoggedRequest[] = [];
    for (const row of run) {
      add(row, result, log, problems);
    }
    if (log.length > 0) {
      log.sort((a, b) => a.arrivalSeconds - b.arrivalSeconds);
      const [{ arrivalSeconds: first }] = log;
      const late = run.find(({ arrival }) => typeof arrival === 'number' && arrival - first > MAX_SPAN_SECONDS);
      if (late !== undefined) {
        problems.push({
          rule: 'MeasurementTooLarge',
          path: late.place,
          value: String(late.arrival),
          message: `arrival is more than ${MAX_SPAN_SECONDS} seconds after the first of the run`,
          mend: 'correct the unit, or leave such records out',
        });
      }
      result.logs.push(log.map((request) => ({ ...request, arrivalSeconds: request.arrivalSeconds - first })));
    }
  }
  if (problems.length > 0) {
    const more = problems.length - MAX_PROBLEMS;
    throw new ProblemsError([...problems.slice(0, MAX_PROBLEMS), ...more > 0 ? [{ ...problems[MAX_PROBLEMS], message: `so are ${more} more records` }] : []]);
  }
  if (Object.values(result).every((list) => list.length === 0)) {
    throw refused('MeasurementsMissing', name, 'the file holds no measurements', 'give records, see "calibrate --help"');
  }
  return result;
}

function add(row: Row, into: Gathered, log: LoggedRequest[], problems: Problem[]): void {
  const fields = row as { [field: string]: any };
  const { place, arrival, inputTokens, outputTokens, ttft, tpot, endToEnd, concurrency, sequences, contextTokens, step } = fields;
  const has = (...values: unknown[]) => values.every((value) => value !== undefined);
  const isWrong = (value: unknown, least: number) => value !== undefined && (typeof value !== 'number' || !Number.isFinite(value) || value < least);
  const wrong = FIELDS.filter((name) => isWrong(fields[name], name === 'arrival' ? -Infinity : name === 'contextTokens' ? 0 : Number.MIN_VALUE));
  const large = FIELDS.find((name) => fields[name] > LARGEST[name]);
  if (wrong.length > 0) {
    problems.push({
      rule: 'MeasurementNotANumber', path: place, value: JSON.stringify(row[wrong[0]]), message: `${wrong[0]} is not a number above 0`, mend: 'leave such records out',
    });
  } else if (large !== undefined) {
    problems.push({
      rule: 'MeasurementTooLarge',
      path: place,
      value: JSON.stringify(row[large]),
      message: `${large} is above ${LARGEST[large]}${LARGEST[large] === MAX_SECONDS ? ' seconds' : ''}`,
      mend: 'correct the unit, or leave such records out',
    });
  } else if (has(ttft, endToEnd, outputTokens) && outputTokens > 1 && !(endToEnd > ttft)) {
    problems.push({
      rule: 'MeasurementWithoutTime',
      path: place,
      value: `ttft ${ttft}, endToEnd ${endToEnd}`,
      message: `${outputTokens} tokens were written in no time after the first`,
      mend: 'leave such records out',
    });
  } else if (has(sequences, contextTokens, step)) {
    into.steps.push({ sequences, contextTokens, stepSeconds: step });
  } else if (has(concurrency, inputTokens, outputTokens, ttft) && (has(tpot) || outputTokens < 2)) {
    into.loops.push({ concurrency, inputTokens, outputTokens, ttftSeconds: ttft, tpotSeconds: tpot });
  } else if (has(arrival, inputTokens, outputTokens)) {
    log.push({ arrivalSeconds: arrival, inputTokens, outputTokens, ttftSeconds: ttft, endToEndSeconds: endToEnd });
  } else if (has(inputTokens, ttft) && !has(concurrency)) {
    into.prompts.push({ inputTokens, ttftSeconds: ttft });
  } else {
    problems.push({
      rule: 'MeasurementUnknown',
      path: place,
      message: `a record of ${FIELDS.filter((name) => has(fields[name])).join(', ') || 'nothing that is known'} is no measurement`,
      mend: 'give what "calibrate --help" lists',
    });
  }
}

function jsonRuns(text: string, name: string): Row[][] {
  const lines = text.split('\n');
  const isLines = lines.filter((line) => line.trim() !== '').length > 1 && lines.every((line) => line.trim() === '' || /^\s*\{.*\}\s*$/.test(line));
  if (isLines) {
    const rows = lines.flatMap((line, i) => line.trim() === '' ? [] : recordRows(parsed(line, name, i), `${name}:${i + 1}`));
    return [rows];
  }
  const value = parsed(text, name, 0);
  if (Array.isArray(value)) {
    return [value.flatMap((record, i) => recordRows(record, `${name} record ${i + 1}`))];
  }
  const { benchmarks } = Object(value) as { benchmarks?: unknown };
  return Array.isArray(benchmarks) ? benchmarks.map((benchmark, i) => guidellmRows(benchmark, `${name} benchmark ${i + 1}`)) : [recordRows(value, name)];
}

function parsed(text: string, name: string, line: number): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    if (error instanceof JsonSyntaxError) {
      throw refused('MeasurementsNotJson', `${name}:${line + error.line}:${error.column}`, `the text is not JSON: ${error.message}`,
        'give JSON, JSON Lines, or CSV in a file whose name ends in .csv');
    }
    throw error;
  }
}

function recordRows(record: unknown, place: string): Row[] {
  const object = Object(record) as { [name: string]: any };
  if (Array.isArray(object.input_lens) && Array.isArray(object.ttfts)) {
    return vllmRows(object, place);
  }
  if (object.metrics !== undefined && isObject(object.metadata)) {
    return aiperfRows(object, place);
  }
  return object.time_to_first_token?.avg === undefined ? [flatRow(object, place)] : [summaryRow(object, place)];
}

// lists of one value for each request, failed ones with an error and a first token at 0.
function vllmRows(result: { [name: string]: any }, place: string): Row[] {
  const { input_lens: inputs, output_lens: outputs, ttfts, itls, start_times: starts, errors } = result;
  if (![outputs, ttfts, itls, starts].every((list) => Array.isArray(list) && list.length === inputs.length)) {
    throw refused('MeasurementsIncomplete', place, 'the result lacks output_lens, ttfts, itls or start_times of each request',
      'write it with --save-result --save-detailed by a vLLM that records start_times');
  }
  return inputs.flatMap((inputTokens: unknown, i: number) => errors?.[i] || !(outputs[i] > 0) ? [] : [{
    place: `${place} request ${i + 1}`,
    arrival: starts[i],
    inputTokens,
    outputTokens: outputs[i],
    ttft: ttfts[i],
    endToEnd: ttfts[i] + (Array.isArray(itls[i]) ? itls[i] as number[] : [NaN]).reduce((sum, gap) => sum + gap, 0),
  }]);
}

function aiperfRows({ metadata, metrics, error }: { [name: string]: any }, place: string): Row[] {
  const value = (name: string) => metrics?.[name]?.value * (metrics?.[name]?.unit === 'ms' ? 1e-3 : metrics?.[name]?.unit === 'ns' ? 1e-9 : 1);
  return error || metadata.was_cancelled || metadata.benchmark_phase === 'warmup' ? [] : [{
    place,
    arrival: metadata.request_start_ns / 1e9,
    inputTokens: value('input_sequence_length'),
    outputTokens: value('output_sequence_length'),
    ttft: value('time_to_first_token'),
    endToEnd: value('request_latency'),
  }];
}

/** Means of a whole run, of aiperf or genai-perf. */
function summaryRow(summary: { [name: string]: any }, place: string): Row {
  const mean = (name: string) => summary[name]?.avg * (summary[name]?.unit === 'ms' ? 1e-3 : 1);
  const { loadgen, perf_analyzer: analyzer, phases } = summary.input_config ?? {};
  // aiperf tells the phases of a run since 0.13, of which one is measured
  const measured = Array.isArray(phases) ? phases.find((phase) => phase?.kind === 'profiling' && phase.type === 'concurrency') : undefined;
  const concurrency: unknown = measured?.concurrency ?? loadgen?.concurrency ?? analyzer?.stimulus?.concurrency;
  if (typeof concurrency !== 'number') {
    throw refused('MeasurementsIncomplete', place, 'the summary is of no closed loop: input_config has no concurrency', 'give profile_export.jsonl in its place');
  }
  return {
    place,
    concurrency,
    inputTokens: mean('input_sequence_length'),
    outputTokens: mean('output_sequence_length'),
    ttft: mean('time_to_first_token'),
    tpot: mean('inter_token_latency'),
  };
}

function guidellmRows(benchmark: unknown, place: string): Row[] {
  const requests: unknown = (Object(benchmark) as { [name: string]: any }).requests?.successful;
  if (!Array.isArray(requests)) {
    throw refused('MeasurementsIncomplete', place, 'the benchmark has no requests.successful', 'give benchmarks.json as guidellm writes it');
  }
  return requests.map(Object).map((request: { [name: string]: any }, i) => ({
    place: `${place} request ${i + 1}`,
    arrival: request.request_start_time,
    inputTokens: request.prompt_tokens,
    outputTokens: request.output_tokens,
    ttft: request.time_to_first_token_ms / 1e3,
    endToEnd: request.request_latency,
  }));
}

function flatRow(record: { [name: string]: unknown }, place: string): Row {
  const fields: { [field: string]: unknown } = {};
  for (const [given, value] of Object.entries(record)) {
    const words = given.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase().split('_');
    const unit = UNITS[words.at(-1)!];
    const camel = (parts: string[]) => parts.map((word, i) => i === 0 ? word : word[0]?.toUpperCase() + word.slice(1)).join('');
    const name = camel(unit === undefined ? words : words.slice(0, -1));
    if (FIELDS.includes(name) && value !== null && value !== '') {
      fields[name] = unit === undefined ? value : typeof value === 'number' ? value * unit : value;
    }
  }
  return { place, ...fields };
}

function csvRows(text: string, name: string): Row[] {
  const lines = text.split(/\r?\n/);
  const names = cells(lines[0]);
  return lines.slice(1).flatMap((line, i) => line.trim() === '' ? [] : [flatRow(Object.fromEntries(cells(line).map((cell, column) => (
    [names[column] ?? '', cell === '' ? undefined : Number.isNaN(Number(cell)) ? cell : Number(cell)]))), `${name}:${i + 2}`)]);
}

function cells(line: string): string[] {
  return [...`,${line}`.matchAll(/,\s*(?:"((?:[^"]|"")*)"\s*|([^,]*))/g)].map(([, quoted, plain]) => (quoted?.replaceAll('""', '"') ?? plain).trim());
}

function refused(rule: string, path: string, message: string, mend: string): ProblemsError {
  return new ProblemsError([{ rule, path, message, mend }]);
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}
