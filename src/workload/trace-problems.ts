import { ToldProblems, shown } from '../problems';
import { MAX_SPAN_SECONDS, MAX_TOKENS } from './limits';

/**
 * Collects what is wrong with a trace, field by field.
 */
export class TraceProblems {
  private readonly problems: ToldProblems;

  constructor(private readonly fileName: string) {
    this.problems = new ToldProblems(fileName);
  }

  /** Notes a wrong field; `line` and `column` count from 1. */
  public add(rule: string, line: number, column: number, value: unknown, message: string, mend: string): void {
    this.problems.add({
      rule,
      path: `${this.fileName}:${line}:${column}`,
      value: value === undefined ? undefined : shown(value),
      message,
      mend,
    });
  }

  /** Notes a length that is not a whole number of tokens from 1 to 10,000,000. `tokens` is the field as a number, if it is one. */
  public checkLength(name: string, field: unknown, tokens: number, line: number, column: number): void {
    if (!Number.isInteger(tokens)) {
      this.add('TraceLengthNotAnInteger', line, column, field, `${name} is not a whole number of tokens`,
        'give the count of tokens in decimal digits');
    } else if (tokens < 1 || tokens > MAX_TOKENS) {
      this.add('TraceLengthOutOfRange', line, column, field, `${name} is not between 1 and ${MAX_TOKENS} tokens`,
        'correct the length, or leave out requests that failed');
    }
  }

  /** Notes an arrival that is further from the first one than any trace reaches. */
  public addSpan(field: unknown, line: number, column: number): void {
    this.add('TraceSpanTooLong', line, column, field, `the request arrives more than ${MAX_SPAN_SECONDS} seconds after the first`,
      'correct the unit of the arrivals, or split the trace');
  }

  /** Throws all that was noted. */
  public throwIfAny(): void {
    this.problems.throwIfAny();
  }
}
