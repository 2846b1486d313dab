import { SimulatedLatency, SimulatedRequest } from '../estimator';
import { Compared, LoggedRequest } from '../estimator/calibration/measurements';
import { Score, mean, score } from '../estimator/calibration/score';
import { ProblemsError } from '../problems';
import { RequestTrace } from '../workload';
import { readMeasurements } from './measurement-file';
import { percent, table, time } from './text-table';

const NAMES = { ttft: 'time to first token', tpot: 'time per output token' } as const;

/** Measured times of one kind beside those that a simulation gives the same requests. */
export interface RunComparison extends Score {
  readonly metric: Compared['metric'];
  readonly measuredSeconds: SimulatedLatency;
  readonly predictedMeanSeconds: number;
}

/** A run of requests that was measured, to be simulated and compared request by request. */
export class MeasuredRun {
  /**
   * Reads a run from a file, as `calibrate` reads it.
   *
   * @throws ProblemsError if the file cannot be read, or holds no run of requests with measured times, or several.
   */
  public static fromFile(file: string): MeasuredRun {
    const { logs } = readMeasurements([file]);
    const timed = logs.filter((log) => log.some(({ ttftSeconds }) => ttftSeconds !== undefined));
    if (timed.length !== 1) {
      throw new ProblemsError([{
        rule: 'MeasuredRunNotOne',
        path: file,
        message: `the file holds ${timed.length === 0 ? 'no run' : `${timed.length} runs`} of requests with measured times`,
        mend: 'give the requests of one run, each with its arrival, lengths and times, see "calibrate --help"',
      }]);
    }
    return new MeasuredRun(file, timed[0]);
  }

  /** Its requests, as they came. */
  public readonly trace: RequestTrace;
  private readonly compared: Compared[] = [];

  private constructor(file: string, private readonly log: readonly LoggedRequest[]) {
    const rows = log.map(({ arrivalSeconds, inputTokens, outputTokens }) => `${arrivalSeconds},${inputTokens},${outputTokens}`);
    this.trace = RequestTrace.fromText(['arrivalSeconds,inputTokens,outputTokens', ...rows].join('\n'), file);
  }

  /** Takes what became of a request in the simulation. */
  public add({ request, ttftSeconds, tpotSeconds }: SimulatedRequest): void {
    const { ttftSeconds: ttft, endToEndSeconds: endToEnd, outputTokens } = this.log[request];
    if (ttft === undefined) {
      return;
    }
    this.compared.push({ metric: 'ttft', measured: ttft, predicted: ttftSeconds });
    if (endToEnd !== undefined && tpotSeconds !== undefined) {
      this.compared.push({ metric: 'tpot', measured: (endToEnd - ttft) / (outputTokens - 1), predicted: tpotSeconds });
    }
  }

  /** How far the simulation was off, by metric. */
  public comparisons(): RunComparison[] {
    return (['ttft', 'tpot'] as const).flatMap((metric) => {
      const own = this.compared.filter((one) => one.metric === metric);
      return own.length === 0 ? [] : [{
        metric,
        ...score(own),
        measuredSeconds: latencyOf(own.map(({ measured }) => measured)),
        predictedMeanSeconds: mean(own.map(({ predicted }) => predicted)),
      }];
    });
  }
}

function latencyOf(times: readonly number[]): SimulatedLatency {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1];
  return { avg: mean(sorted), min: sorted[0], max: sorted.at(-1)!, p50: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99) };
}

/** Comparisons as text for a terminal, a table of what was measured and one of errors. */
export function comparisonText(comparisons: readonly RunComparison[]): string {
  const signed = (share: number) => `${share > 0 ? '+' : ''}${percent(share)}`;
  return [
    table([
      ['measured', 'avg', 'min', 'max', 'p50', 'p90', 'p95', 'p99'],
      ...comparisons.map(({ metric, measuredSeconds: { avg, min, max, p50, p90, p95, p99 } }) => (
        [NAMES[metric], ...[avg, min, max, p50, p90, p95, p99].map(time)])),
    ], 1),
    table([
      ['simulated beside measured', 'requests', 'measured mean', 'simulated mean', 'off by', 'MAPE', 'median', 'bias'],
      ...comparisons.map(({ metric, count, measuredSeconds, predictedMeanSeconds, mape, median, bias }) => [
        NAMES[metric], String(count), time(measuredSeconds.avg), time(predictedMeanSeconds), signed(predictedMeanSeconds / measuredSeconds.avg - 1),
        percent(mape), percent(median), signed(bias),
      ]),
    ], 1),
  ].join('\n\n');
}
