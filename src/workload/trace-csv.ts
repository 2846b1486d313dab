import { MAX_SPAN_SECONDS } from './limits';
import { TraceProblems } from './trace-problems';
import { TraceRequest } from './trace-request';

/** The headers that are understood; names match in any case, order does not matter, further columns are ignored. */
const HEADERS = [
  ['TIMESTAMP', 'ContextTokens', 'GeneratedTokens'],
  ['arrivalSeconds', 'inputTokens', 'outputTokens'],
  ['timestamp', 'inputTokens', 'outputTokens'],
];

const NUMBER = /^[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?$/;
const SECONDS = /^[0-5]\d(?:\.\d+)?$/;
const DATE_TIME = /^(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):([0-5]\d(?:\.\d+)?)(?:Z|([+-])(\d\d):?(\d\d))?$/;

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const QUOTE = 34;
const COMMA = 44;
const ZERO = 48;

/** Seconds from which a plain number is taken for milliseconds since 1970: as seconds it would be the year 5138. */
const MILLISECONDS_FROM = 1e11;

/**
 * Reads the requests of a CSV trace, in the order of the file.
 */
export function parseCsvTrace(text: string, problems: TraceProblems): TraceRequest[] {
  const requests: TraceRequest[] = [];
  const row = new Row(text);
  if (!row.next()) {
    return requests;
  }
  const columns = headerColumns(row);
  if (columns === undefined) {
    problems.add('TraceHeaderUnknown', row.line, 1, row.text, 'the header is not one of a trace',
      `name the columns as one of ${HEADERS.map((header) => `"${header.join(',')}"`).join(', ')}`);
    return requests;
  }
  const arrivalColumn = columns[0];
  const inputColumn = columns[1];
  const outputColumn = columns[2];
  const width = Math.max(...columns) + 1;
  let clock: ((field: string) => number) | undefined;
  let first = NaN;
  let latest = -Infinity;
  while (row.next()) {
    if (row.fields < width) {
      problems.add('TraceRowTooShort', row.line, 1, row.text, 'the row has fewer fields than the header', 'give a value for every column');
      continue;
    }
    const field = row.field(arrivalColumn);
    clock ??= NUMBER.test(field) ? readSeconds : dateTimeReader();
    const seconds = clock(field);
    first = Number.isNaN(first) ? seconds : first;
    if (!(seconds >= latest && seconds < MILLISECONDS_FROM)) {
      addArrivalProblem(field, seconds, row.line, row.columnOf(arrivalColumn), problems);
    } else if (seconds - first > MAX_SPAN_SECONDS) {
      problems.addSpan(field, row.line, row.columnOf(arrivalColumn));
    } else {
      latest = seconds;
    }
    const inputTokens = readLength(row, inputColumn, 'the input length', problems);
    const outputTokens = readLength(row, outputColumn, 'the output length', problems);
    requests.push({ line: row.line, arrivalSeconds: seconds - first, inputTokens, cachedInputTokens: 0, outputTokens });
  }
  return requests;
}

function addArrivalProblem(field: string, seconds: number, line: number, column: number, problems: TraceProblems): void {
  if (Number.isNaN(seconds)) {
    problems.add('TraceTimestampInvalid', line, column, field, 'the arrival is not a time of the kind that the file begins with',
      'give seconds as a number, or times such as "2023-11-16 18:15:46.6805900", in all rows');
  } else if (seconds >= MILLISECONDS_FROM) {
    problems.add('TraceTimestampNotSeconds', line, column, field, 'the arrival is too large to be in seconds', 'divide milliseconds by 1000');
  } else {
    problems.add('TraceOutOfOrder', line, column, field, 'the request arrives before an earlier row', 'sort the trace by arrival');
  }
}

/** Walks the rows of a CSV text in one pass; a row ends with its line, also within quotes. */
class Row {
  /** Line of the row, from 1. */
  public line = 0;
  /** Number of fields. */
  public fields = 0;
  private start = 0;
  private end = -1;
  /** Offset behind each field, in the text. */
  private readonly ends: number[] = [];

  constructor(private readonly csv: string) {}

  public get text(): string {
    return this.csv.slice(this.start, this.end).trimEnd();
  }

  /** Steps to the next row that is not blank. */
  public next(): boolean {
    while (this.end + 1 < this.csv.length) {
      this.start = this.end + 1;
      this.line++;
      this.split();
      if (this.fields > 1 || this.text.trim() !== '') {
        return true;
      }
    }
    return false;
  }

  /** A field without its quotes and the space around it. */
  public field(index: number): string {
    const raw = this.csv.slice(this.offset(index), this.ends[index]).trim();
    return raw.length >= 2 && raw.startsWith('"') && raw.endsWith('"') ? raw.slice(1, -1).replaceAll('""', '"').trim() : raw;
  }

  /** A field of up to 7 plain digits as a number, else NaN: the case that must be fast. */
  public digits(index: number): number {
    const end = this.ends[index] - (this.csv.charCodeAt(this.ends[index] - 1) === CARRIAGE_RETURN ? 1 : 0);
    const start = this.offset(index);
    if (end === start || end - start > 7) {
      return NaN;
    }
    let value = 0;
    for (let i = start; i < end; i++) {
      const digit = this.csv.charCodeAt(i) - ZERO;
      if (digit < 0 || digit > 9) {
        return NaN;
      }
      value = value * 10 + digit;
    }
    return value;
  }

  /** Column at which a field starts, from 1. */
  public columnOf(index: number): number {
    return this.offset(index) - this.start + 1;
  }

  private offset(index: number): number {
    return index === 0 ? this.start : this.ends[index - 1] + 1;
  }

  private split(): void {
    this.fields = 0;
    let quoted = false;
    let i = this.start;
    for (; i < this.csv.length; i++) {
      const char = this.csv.charCodeAt(i);
      if (char === LINE_FEED) {
        break;
      } else if (char === COMMA && !quoted) {
        this.ends[this.fields++] = i;
      } else if (char === QUOTE) {
        quoted = !quoted;
      }
    }
    this.ends[this.fields++] = i;
    this.end = i;
  }
}

function headerColumns(row: Row): number[] | undefined {
  const given = Array.from({ length: row.fields }, (_, index) => row.field(index).toLowerCase());
  return HEADERS
    .map((header) => header.map((name) => given.indexOf(name.toLowerCase())))
    .find((found) => found.every((column) => column >= 0));
}

function readLength(row: Row, column: number, name: string, problems: TraceProblems): number {
  const plain = row.digits(column);
  if (plain >= 1) {
    return plain;
  }
  const field = row.field(column);
  const tokens = NUMBER.test(field) ? Number(field) : NaN;
  problems.checkLength(name, field, tokens, row.line, row.columnOf(column));
  return tokens;
}

function readSeconds(field: string): number {
  return NUMBER.test(field) ? Number(field) : NaN;
}

/** A reader of dates with times. It counts from the first one's minute, as seconds since 1970 have no room for seven decimals. */
function dateTimeReader(): (field: string) => number {
  let originMillis = NaN;
  let prefix = '-';
  let prefixSeconds = NaN;
  return (field) => {
    // most rows share their minute with the row above, and the full match is what costs time here.
    const seconds = field.slice(prefix.length);
    if (field.startsWith(prefix) && SECONDS.test(seconds)) {
      return prefixSeconds + Number(seconds);
    }
    const match = DATE_TIME.exec(field);
    if (!match) {
      return NaN;
    }
    const millis = utcMinute(match);
    originMillis = Number.isNaN(originMillis) ? millis : originMillis;
    prefixSeconds = (millis - originMillis) / 1000;
    prefix = field.slice(0, 'yyyy-mm-dd hh:mm:'.length);
    const offsetMinutes = match[7] ? (Number(match[8]) * 60 + Number(match[9])) * (match[7] === '-' ? -1 : 1) : 0;
    return prefixSeconds - offsetMinutes * 60 + Number(match[6]);
  };
}

function utcMinute(match: RegExpExecArray): number {
  const [year, month, day, hour, minutes] = match.slice(1, 6).map(Number);
  const date = new Date(Date.UTC(year, month - 1, day, hour, minutes));
  // Date.UTC rolls the 31st of November over instead of refusing it.
  const same = date.getUTCMonth() === month - 1 && date.getUTCDate() === day && date.getUTCHours() === hour && date.getUTCMinutes() === minutes;
  return same ? date.getTime() : NaN;
}
