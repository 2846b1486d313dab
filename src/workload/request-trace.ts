import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { Problems, ProblemsError } from '../problems';
import { factorProblems } from './limits';
import { parseCsvTrace } from './trace-csv';
import { parseJsonlTrace } from './trace-jsonl';
import { TraceProblems } from './trace-problems';
import { TraceRequest } from './trace-request';

/** Fewer requests do not tell the rate of their time. */
const LEAST_REQUESTS = 30;

/**
 * Requests as they were recorded: when each arrived, how long its prompt was and how much was generated.
 *
 * Understood are
 * - the Azure LLM inference traces, CSV with the header `TIMESTAMP,ContextTokens,GeneratedTokens`
 *   (https://github.com/Azure/AzurePublicDataset);
 * - plain CSV with the header `arrivalSeconds,inputTokens,outputTokens` or `timestamp,inputTokens,outputTokens`, where arrivals are
 *   seconds from any start, or dates with times;
 * - the Mooncake traces, JSON lines of `{"timestamp": milliseconds, "input_length", "output_length", "hash_ids"}`
 *   (https://github.com/kvcache-ai/Mooncake). There the cached prefix of a prompt is what an infinite prefix cache would hold when the
 *   prompt arrives: its leading run of 512-token blocks that an earlier row had too. It is an upper bound of what a real cache finds; a simulation
 *   finds out what is cached by itself.
 *   Their timestamps are rounded to about 3 s, so arrivals look burstier than they were.
 *
 * The text is UTF-8. Columns of a CSV may stand in any order and further ones are ignored. Rows are in order of arrival.
 */
export class RequestTrace {
  /**
   * Reads a trace from a file.
   *
   * Throws a `ProblemsError` if the file cannot be read or any of its fields is wrong, naming `file:line:column` of each.
   *
   * @param path path of the file, absolute or relative to the working directory.
   */
  public static fromFile(path: string): RequestTrace {
    let text: string | undefined;
    try {
      // a device such as /dev/zero never ends.
      text = statSync(path).isFile() ? readFileSync(path, 'utf8') : undefined;
    } catch (error) {
      throw new ProblemsError([Problems.unreadableFile('TraceNotReadable', path, error)]);
    }
    if (text === undefined) {
      throw new ProblemsError([{ rule: 'TraceNotReadable', path, message: 'this is no file', mend: 'give the path of a CSV or JSON lines file' }]);
    }
    return RequestTrace.fromText(text, path);
  }

  /**
   * Reads a trace from text.
   *
   * Throws a `ProblemsError` if any field is wrong, naming `file:line:column` of each; never keeps a part of a trace.
   *
   * @param text the whole trace.
   * @param fileName name of the trace in messages.
   */
  public static fromText(text: string, fileName: string): RequestTrace {
    const problems = new TraceProblems(fileName);
    const body = text.charCodeAt(0) === 0xFEFF ? text.slice(1) : text;
    const requests = body.trimStart().startsWith('{') ? parseJsonlTrace(body, problems) : parseCsvTrace(body, problems);
    problems.throwIfAny();
    if (requests.length === 0) {
      problems.add('TraceEmpty', 1, 1, undefined, 'the trace has no requests', 'record at least two requests');
    } else if (requests[requests.length - 1].arrivalSeconds === 0) {
      problems.add('TraceWithoutSpan', 1, 1, undefined, 'all requests arrive at the same time, so there is no rate',
        'record requests over a span of time, or use Workload.steady');
    }
    problems.throwIfAny();
    return new RequestTrace(basename(fileName), requests);
  }

  /** Name of the trace, without folders. */
  public readonly name: string;

  /** The requests in order of arrival; the first one arrives at 0 s. */
  public readonly requests: TraceRequest[];

  private constructor(name: string, requests: TraceRequest[]) {
    this.name = name;
    this.requests = requests;
  }

  /** Mean arrivals per second: the number of requests over the time from the first to the last. */
  public get requestsPerSecond(): number {
    return this.requests.length / this.requests[this.requests.length - 1].arrivalSeconds;
  }

  /**
   * Squared coefficient of variation of the gaps between arrivals, each over the mean gap of its minute: 0 evenly spaced, 1 Poisson, above 1 bursty.
   */
  public get interarrivalScv(): number {
    const { starts, rates } = this.minutes;
    const meanRate = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
    // time that passes as fast as requests come
    const passed = [0];
    rates.forEach((rate, i) => passed.push(passed[i] + rate / meanRate * (starts[i + 1] - starts[i])));
    const at = (seconds: number, minute: number) => passed[minute] + rates[minute] / meanRate * (seconds - starts[minute]);
    let minute = 0;
    const times = this.requests.map(({ arrivalSeconds }) => {
      while (minute < rates.length - 1 && arrivalSeconds >= starts[minute + 1]) {
        minute += 1;
      }
      return at(arrivalSeconds, minute);
    });
    const gaps = times.slice(1).map((time, i) => time - times[i]);
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    return gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length / mean ** 2;
  }

  /**
   * Rate of the busiest minute over the mean, less what chance would bring to the busiest one at a steady rate; at least 1. Where fewer than 30 requests come in
   * a minute it is the busiest of the longer times in which they do.
   */
  public get peakToMeanRatio(): number {
    const { starts, rates } = this.minutes;
    const seconds = starts[1];
    const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length * seconds;
    const chance = Math.sqrt(2 * this.interarrivalScv * mean * Math.log(rates.length));
    return Math.max(1, (Math.max(...rates) * seconds - chance) / mean);
  }

  /**
   * The same requests at another rate.
   *
   * @param factor rate over the present rate, such as 2 for twice as many requests per second; above 0.
   */
  public scaled(factor: number): RequestTrace {
    Problems.throwIfAny(factorProblems(factor));
    return new RequestTrace(this.name, this.requests.map((request) => ({ ...request, arrivalSeconds: request.arrivalSeconds / factor })));
  }

  /** Minutes of the trace, or longer times that have enough requests: where they start and the last one ends, and the requests per second of each. */
  private get minutes(): { readonly starts: readonly number[]; readonly rates: readonly number[] } {
    const span = this.requests[this.requests.length - 1].arrivalSeconds;
    const count = Math.max(1, Math.floor(Math.min(span / 60, this.requests.length / LEAST_REQUESTS)));
    const seconds = span / count;
    const counts = new Array<number>(count).fill(0);
    for (const { arrivalSeconds } of this.requests) {
      counts[Math.min(count - 1, Math.floor(arrivalSeconds / seconds))] += 1;
    }
    return { starts: Array.from({ length: count + 1 }, (_, i) => i * seconds), rates: counts.map((one) => one / seconds) };
  }
}
