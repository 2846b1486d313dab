import { genaiPerfRows } from './genai-perf-requests';
import { Cell, Row, cell, flatRow } from './measurement-columns';
import { JsonSyntaxError, parseJson } from '../json-text';
import { ToldProblems } from '../problems';

/** Units of aiperf's metrics that are not those of this library. */
const METRIC_UNITS: { readonly [unit: string]: number } = { ms: 1e-3, ns: 1e-9 };

type Json = { readonly [name: string]: any };

/**
 * The records of a file; what cannot be read as one is a problem.
 *
 * @param text of the file.
 * @param name of the file in messages.
 * @param isCsv whether it is CSV, and no JSON.
 */
export function measuredRows(text: string, name: string, isCsv: boolean, problems: ToldProblems): Iterable<Row> {
  return isCsv ? csvRows(text, name, problems) : jsonRows(text, name, problems);
}

function* jsonRows(text: string, name: string, problems: ToldProblems): Iterable<Row> {
  const lines = text.split('\n');
  const isLines = lines.filter((line) => line.trim() !== '').length > 1 && lines.every((line) => line.trim() === '' || /^\s*\{.*\}\s*$/.test(line));
  if (isLines) {
    yield* lineRows(lines, name, problems);
    return;
  }
  const value = parsed(text, name, 0, problems);
  if (Array.isArray(value)) {
    yield* value.flatMap((record, i) => recordRows(record, `${name} record ${i + 1}`, name, problems));
  } else if (Array.isArray(Object(value).benchmarks)) {
    yield* (Object(value).benchmarks as unknown[]).flatMap((benchmark, i) => guidellmRows(benchmark, `${name} benchmark ${i + 1}`, problems));
  } else if (Array.isArray(Object(value).experiments)) {
    yield* (Object(value).experiments as unknown[]).flatMap((experiment, i) => genaiPerfRows(experiment, `${name} experiment ${i + 1}`, problems));
  } else if (value !== undefined) {
    yield* recordRows(value, name, name, problems);
  }
}

function* lineRows(lines: readonly string[], name: string, problems: ToldProblems): Iterable<Row> {
  for (const [i, line] of lines.entries()) {
    const record = line.trim() === '' ? undefined : parsed(line, name, i, problems);
    if (record !== undefined) {
      yield* recordRows(record, `${name}:${i + 1}`, name, problems);
    }
  }
}

/** The value of a text; undefined where it is not JSON. */
function parsed(text: string, name: string, line: number, problems: ToldProblems): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) {
      throw error;
    }
    problems.add({
      rule: 'MeasurementsNotJson',
      path: `${name}:${line + error.line}:${error.column}`,
      message: `the text is not JSON: ${error.message}`,
      mend: 'give JSON, JSON Lines, or CSV in a file whose name ends in .csv',
    });
    return undefined;
  }
}

function recordRows(record: unknown, place: string, run: string, problems: ToldProblems): Row[] {
  const object = Object(record) as Json;
  if (object.mean_ttft_ms !== undefined || (Array.isArray(object.input_lens) && Array.isArray(object.ttfts))) {
    return vllmRows(object, place, problems);
  }
  if (object.metrics !== undefined && typeof object.metadata === 'object' && object.metadata !== null) {
    return aiperfRows(object, place, run);
  }
  return object.time_to_first_token?.avg === undefined ? [flatRow(object, place, run)] : summaryRows(object, place, problems);
}

// a run: lists of one value for each request, failed ones with an error and a first token at 0.
function vllmRows(result: Json, place: string, problems: ToldProblems): Row[] {
  const { input_lens: inputs, output_lens: outputs, ttfts, itls, start_times: starts, errors } = result;
  if (![inputs, outputs, ttfts, itls, starts].every((list) => Array.isArray(list) && list.length === inputs?.length)) {
    incomplete(problems, place, 'the result lacks input_lens, output_lens, ttfts, itls or start_times of each request',
      'write it with --save-result --save-detailed by a vLLM that records start_times');
    return [];
  }
  const isRight = errors === undefined
    || (Array.isArray(errors) && errors.length === inputs.length && errors.every((error) => error === null || typeof error === 'string'));
  if (!isRight) {
    incomplete(problems, place, 'errors is no list of a text for each request', 'give the result as vLLM writes it');
    return [];
  }
  // the backend is the way in which it asked.
  const { backend, ...told } = result;
  const { traits } = flatRow(told, place, place);
  return inputs.flatMap((inputTokens: unknown, i: number): Row[] => errors?.[i] || outputs[i] === 0 ? [] : [{
    place: `${place} request ${i + 1}`,
    run: place,
    traits,
    cells: {
      arrival: cell('start_times', starts[i]),
      inputTokens: cell('input_lens', inputTokens),
      outputTokens: cell('output_lens', outputs[i]),
      ttft: cell('ttfts', ttfts[i]),
      endToEnd: endToEndOf(ttfts[i], itls[i]),
    },
  }]);
}

/** The time to the last token, or the first gap between two that is none. */
function endToEndOf(ttft: number, gaps: unknown): Cell {
  const isGap = (gap: unknown) => typeof gap === 'number' && gap >= 0;
  return Array.isArray(gaps) && gaps.every(isGap)
    ? cell('ttfts and itls', gaps.reduce((sum: number, gap: number) => sum + gap, ttft))
    : { name: 'itls', given: Array.isArray(gaps) ? gaps.find((gap) => !isGap(gap)) : gaps, value: NaN };
}

function aiperfRows({ metadata, metrics, error }: Json, place: string, run: string): Row[] {
  const metric = (name: string) => cell(name, metrics?.[name]?.value ?? null, METRIC_UNITS[metrics?.[name]?.unit]);
  return error || metadata.was_cancelled || metadata.benchmark_phase === 'warmup' ? [] : [{
    place,
    run,
    traits: {},
    cells: {
      arrival: cell('request_start_ns', metadata.request_start_ns, 1e-9),
      inputTokens: metric('input_sequence_length'),
      outputTokens: metric('output_sequence_length'),
      ttft: metric('time_to_first_token'),
      endToEnd: metric('request_latency'),
    },
  }];
}

/** Means of a whole run, of aiperf or genai-perf. */
function summaryRows(summary: Json, place: string, problems: ToldProblems): Row[] {
  const mean = (name: string) => cell(`${name}.avg`, summary[name]?.avg ?? null, METRIC_UNITS[summary[name]?.unit]);
  const concurrency = concurrencyOf(summary);
  if (typeof concurrency !== 'number') {
    incomplete(problems, place, 'the summary is of no closed loop: it has no concurrency', 'give profile_export.jsonl, or the summary in JSON, in its place');
    return [];
  }
  return [{
    place,
    run: place,
    traits: flatRow({ model: summary.input_config?.models?.items?.[0]?.name ?? null }, place, place).traits,
    cells: {
      concurrency: cell('concurrency', concurrency),
      inputTokens: mean('input_sequence_length'),
      outputTokens: mean('output_sequence_length'),
      ttft: mean('time_to_first_token'),
      tpot: mean('inter_token_latency'),
    },
  }];
}

function concurrencyOf({ input_config: config, effective_concurrency: observed }: Json): unknown {
  if (config === undefined) {
    // a table does not tell what was asked for: clients that always have a request under way make most of the run as busy as its busiest moment.
    return observed?.p50 === observed?.max ? observed?.max : undefined;
  }
  const { loadgen, perf_analyzer: analyzer, phases } = Object(config) as Json;
  // aiperf tells the phases of a run since 0.13, of which one is measured
  const measured = Array.isArray(phases) ? phases.find((phase) => phase?.kind === 'profiling' && phase.type === 'concurrency') : undefined;
  return measured?.concurrency ?? loadgen?.concurrency ?? analyzer?.stimulus?.concurrency;
}

function guidellmRows(benchmark: unknown, place: string, problems: ToldProblems): Row[] {
  const requests: unknown = (Object(benchmark) as Json).requests?.successful;
  if (!Array.isArray(requests)) {
    incomplete(problems, place, 'the benchmark has no requests.successful', 'give benchmarks.json as guidellm writes it');
    return [];
  }
  return requests.map(Object).map((request: Json, i) => {
    const own = (name: string, scale?: number) => cell(name, request[name] ?? null, scale);
    const cached: unknown = request.input_metrics?.cached_tokens ?? null;
    return {
      place: `${place} request ${i + 1}`,
      run: place,
      traits: {},
      cells: {
        arrival: own('request_start_time'),
        inputTokens: own('prompt_tokens'),
        ...(cached !== null && { cachedTokens: cell('input_metrics.cached_tokens', cached) }),
        outputTokens: own('output_tokens'),
        ttft: own('time_to_first_token_ms', 1e-3),
        endToEnd: own('request_latency'),
      },
    };
  });
}

function* csvRows(text: string, name: string, problems: ToldProblems): Iterable<Row> {
  const lines = text.split(/\r?\n/);
  const names = csvCells(lines[0]);
  if (names[0] === 'Metric' && names.includes('avg')) {
    yield* summaryRows(summaryOf(lines, names), name, problems);
    return;
  }
  for (let i = 1; i < lines.length; i++) {
    if (lines[i].trim() !== '') {
      yield flatRow(Object.fromEntries(csvCells(lines[i]).map((value, column) => [names[column] ?? '', numeric(value)])), `${name}:${i + 1}`, name);
    }
  }
}

/** The table of metrics that aiperf and genai-perf write beside a summary in JSON, as that: `Time to First Token (ms)` is `time_to_first_token`. */
function summaryOf(lines: readonly string[], statistics: readonly string[]): Json {
  return Object.fromEntries(lines.slice(1).map((line) => {
    const [title, ...values] = csvCells(line);
    const [, metric, unit] = /^(.*?)(?: \((.*)\))?$/.exec(title)!;
    return [metric.toLowerCase().replaceAll(' ', '_'), { unit, ...Object.fromEntries(values.map((value, i) => [statistics[i + 1], numeric(value)])) }];
  }));
}

function numeric(value: string): string | number {
  return Number.isNaN(Number(value)) || value === '' ? value : Number(value);
}

function csvCells(line: string): string[] {
  return [...`,${line}`.matchAll(/,\s*(?:"((?:[^"]|"")*)"\s*|([^,]*))/g)].map(([, quoted, plain]) => (quoted?.replaceAll('""', '"') ?? plain).trim());
}

function incomplete(problems: ToldProblems, path: string, message: string, mend: string): void {
  problems.add({ rule: 'MeasurementsIncomplete', path, message, mend });
}
