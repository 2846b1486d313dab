/** What a record may tell of a measurement. Times may be given in seconds or milliseconds. */
export const FIELDS = [
  'arrival', 'inputTokens', 'cachedTokens', 'outputTokens', 'ttft', 'tpot', 'endToEnd', 'concurrency', 'sequences', 'contextTokens', 'step',
] as const;

/** One of these. */
export type Field = typeof FIELDS[number];

/** When tokens came, by the clock of the arrival: the time since then is what counts. */
const STAMPS = { firstToken: 'ttft', lastToken: 'endToEnd' } as const;

type Stamp = keyof typeof STAMPS;

/** A value of a record. */
export interface Cell {
  /** Name that the file gives it. */
  readonly name: string;
  /** The value as the file has it. */
  readonly given: unknown;
  /** The same in seconds where it is a time. */
  readonly value: unknown;
}

/** Values by the names of this library. */
export type Cells = { readonly [field in Field]?: Cell };

/** A record by the names of this library, whatever tool wrote it. */
export interface Row {
  /** Where it is, such as `runs.csv:3`. */
  readonly place: string;
  /** Where the run is that it is of; requests of one run are one load. */
  readonly run: string;
  readonly cells: Cells;
  /** What it tells of the engine, by the keys of `TRAITS`; empty where it tells nothing. */
  readonly traits: { readonly [trait: string]: unknown };
  /** Names that are neither, each without its unit; undefined of what a tool wrote. */
  readonly unread?: ReadonlyMap<string, string>;
}

/**
 * Names of columns, without their units and statistics. Of several that a record has, the first counts: what the engine saw before what the client did, and
 * when a request was sent before when it was due.
 */
const COLUMNS: { readonly [field in Field | Stamp]: readonly string[] } = {
  arrival: ['queuedTs', 'sent', 'arrival', 'arrivalTime'],
  inputTokens: ['inputTokens', 'promptTokens', 'inputToks', 'inputLength', 'inputSequenceLength', 'isl'],
  cachedTokens: ['cachedTokens', 'cachedInputTokens', 'cachedPromptTokens', 'promptCacheReadTokens'],
  outputTokens: ['outputTokens', 'completionTokens', 'outputToks', 'outputLength', 'outputSequenceLength', 'osl', 'out'],
  ttft: ['ttft', 'ttftLatency', 'timeToFirstToken'],
  tpot: ['tpot', 'tpotLatency', 'timePerOutputToken', 'interTokenLatency', 'itl'],
  endToEnd: ['endToEnd', 'e2e', 'e2eLatency', 'requestLatency'],
  concurrency: ['concurrency', 'maxConcurrency'],
  sequences: ['sequences', 'batch', 'batchSize'],
  contextTokens: ['contextTokens', 'context'],
  step: ['step'],
  firstToken: ['firstTokenTs'],
  lastToken: ['lastTokenTs'],
};

/** What tells engines apart, and the columns that it is found in. */
const TRAITS: { readonly [trait: string]: readonly string[] } = {
  'models': ['model', 'modelId', 'modelName', 'modelPath'],
  'engines': ['engine', 'framework', 'backend'],
  'versions': ['version', 'engineVersion', 'frameworkVersion', 'backendVersion'],
  'devices': ['device', 'hardware', 'accelerator', 'gpu', 'system', 'instanceType', 'instType'],
  'formats of weights': ['weights', 'precision', 'weightStorageDataType'],
  'tensor parallel degrees': ['tensorParallelDegree', 'tensorParallelSize', 'tpSize', 'tpDegree', 'tp'],
};

const FIELD_OF_COLUMN = new Map(Object.entries(COLUMNS).flatMap(([field, columns]) => (
  columns.map((column, rank) => [column, { field: field as Field | Stamp, rank }] as const))));

const TRAIT_OF_COLUMN = new Map(Object.entries(TRAITS).flatMap(([trait, columns]) => columns.map((column) => [column, trait])));

/** Units that the name of a time may have in it. */
const UNITS: { readonly [unit: string]: number } = { seconds: 1, s: 1, ms: 1e-3, milliseconds: 1e-3 };

/** Statistics that a name may have in it, the one that counts first; others, such as `p99`, are not read. */
const STATISTICS: { readonly [statistic: string]: number } = { mean: 0, avg: 0, p50: 1, med: 1, median: 1 };

/** A prompt that an idle engine read, whenever it came. */
const UNLOADED = /^unloaded/;

/**
 * A record of one object or line, by the names of its values.
 *
 * @param place where it is.
 * @param run where the run is that it is of.
 */
export function flatRow(record: { readonly [name: string]: unknown }, place: string, run: string): Row {
  const found: { [field in Field | Stamp]?: Cell } = {};
  const ranks: { [field in Field | Stamp]?: number } = {};
  const traits: { [trait: string]: unknown } = {};
  const unread = new Map<string, string>();
  for (const [name, value] of Object.entries(record)) {
    if (value === null || value === '') {
      continue;
    }
    const { column, unit, statistic } = readName(name);
    const known = FIELD_OF_COLUMN.get(column);
    const trait = TRAIT_OF_COLUMN.get(column);
    if (known !== undefined) {
      const rank = known.rank + statistic / 10;
      if (rank < (ranks[known.field] ?? Infinity)) {
        found[known.field] = cell(name, value, unit);
        ranks[known.field] = rank;
      }
    } else if (trait !== undefined && typeof value !== 'object') {
      traits[trait] = value;
    } else {
      unread.set(name, column);
    }
  }
  return { place, run, cells: cellsOf(found, UNLOADED.test(String(record.kind))), traits, unread };
}

function cellsOf({ firstToken, lastToken, ...cells }: { [field in Field | Stamp]?: Cell }, isUnloaded: boolean): Cells {
  const { arrival } = cells;
  for (const [field, stamp] of [[STAMPS.firstToken, firstToken], [STAMPS.lastToken, lastToken]] as const) {
    if (stamp !== undefined && arrival !== undefined) {
      cells[field] ??= { ...stamp, value: Number(stamp.value) - Number(arrival.value) };
    }
  }
  return isUnloaded ? { ...cells, arrival: undefined } : cells;
}

/** The value of a name, with its unit. */
export function cell(name: string, given: unknown, scale = 1): Cell {
  return { name, given, value: typeof given === 'number' ? given * scale : given };
}

/** `TTFT Latency P50 (ms)` is the column `ttftLatency` in milliseconds. */
function readName(name: string): { readonly column: string; readonly unit?: number; readonly statistic: number } {
  const words = name.replace(/([a-z0-9])([A-Z])/g, '$1 $2').toLowerCase().split(/[^a-z0-9]+/).filter((word) => word !== '');
  const unit = words.find((word) => UNITS[word] !== undefined);
  const statistic = words.find((word) => STATISTICS[word] !== undefined);
  const rest = words.filter((word) => word !== unit && word !== statistic && !(unit !== undefined && word === 'in'));
  return {
    column: rest.map((word, i) => i === 0 ? word : word[0].toUpperCase() + word.slice(1)).join(''),
    unit: unit === undefined ? undefined : UNITS[unit],
    // a name without one is of the value itself
    statistic: statistic === undefined ? 0 : 1 + STATISTICS[statistic],
  };
}
