import { Range } from '../estimator';

/**
 * Rows as text with aligned columns.
 *
 * @param rows cells, the first row being the heading.
 * @param rightFrom index of the first column that is aligned to the right.
 * @param rightTo index behind the last column that is aligned to the right.
 */
export function table(rows: string[][], rightFrom: number, rightTo: number = Infinity): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) => row.map((cell, column) =>
    column >= rightFrom && column < rightTo ? cell.padStart(widths[column]) : cell.padEnd(widths[column])).join('  ').trimEnd()).join('\n');
}

/** A number with three significant digits: `1,230`, `0.0123`. */
export function number(value: number): string {
  return Number.isFinite(value)
    ? Number(value.toPrecision(3)).toLocaleString('en-US', { maximumSignificantDigits: 3 })
    : value > 0 ? 'unbounded' : 'unknown';
}

/** A time in the unit that suits it: `850 ms`, `12.3 s`. */
export function time(seconds: number): string {
  return seconds < 1 ? `${number(seconds * 1000)} ms` : `${number(seconds)} s`;
}

/** A share with one decimal: `12.3 %`. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** The 80 % interval of a figure. */
export function interval(range: Range, format: (value: number) => string): string {
  return `${format(range.low)}..${format(range.high)}`;
}

/** How far something is, in place of what a terminal's line showed before. */
export function progressBar(share: number): string {
  return `\r[${'='.repeat(Math.floor(share * 40)).padEnd(40)}] ${Math.round(share * 100)} %`;
}

/** Takes a progress bar off a terminal's line. */
export const NO_PROGRESS_BAR = '\r\u001b[K';
