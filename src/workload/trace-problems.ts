import { Problem, ProblemsError } from '../problems';
import { MAX_SPAN_SECONDS, MAX_TOKENS } from './limits';

/** Problems that are told one by one; the rest is counted. */
const MAX_TOLD = 20;

/** Characters of a wrong value that are repeated in the message. */
const MAX_VALUE_LENGTH = 80;

/**
 * Collects what is wrong with a trace, field by field.
 */
export class TraceProblems {
  private readonly told: Problem[] = [];
  private untold = 0;

  constructor(private readonly fileName: string) {}

  /** Notes a wrong field; `line` and `column` count from 1. */
  public add(rule: string, line: number, column: number, value: unknown, message: string, mend: string): void {
    if (this.told.length === MAX_TOLD) {
      this.untold++;
      return;
    }
    const json = value === undefined ? undefined : JSON.stringify(value);
    this.told.push({
      rule,
      path: `${this.fileName}:${line}:${column}`,
      value: json === undefined || json.length <= MAX_VALUE_LENGTH ? json : `${json.slice(0, MAX_VALUE_LENGTH)}...`,
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
    if (this.untold > 0) {
      this.told.push({
        rule: 'TraceMoreProblems',
        path: this.fileName,
        message: `${this.untold} more fields are wrong`,
        mend: 'mend the fields above first',
      });
    }
    if (this.told.length > 0) {
      throw new ProblemsError(this.told);
    }
  }
}
