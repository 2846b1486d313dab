import { performance } from 'node:perf_hooks';

/** How engines name their gauges: vLLM, of which older versions say `gpu_cache_usage_perc`, and SGLang. */
const RUNNING = ['vllm:num_requests_running', 'sglang:num_running_reqs'];
const WAITING = ['vllm:num_requests_waiting', 'sglang:num_queue_reqs'];
const KV_CACHE_USAGE = ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc', 'sglang:token_usage'];
const SAMPLE = new RegExp(`^(${[...RUNNING, ...WAITING, ...KV_CACHE_USAGE].join('|')})(?:\\{.*\\})? +([^ \\r\\n]+)`, 'gm');
/** Far above what any engine has: what is beyond is no number of requests. */
const MAX_GAUGE = 1e9;

/** What an engine says of its load. */
export interface EngineReport {
  /** Requests that it runs, and those that wait in it. */
  readonly running: number;
  readonly waiting: number;
  /** Share of its KV cache that requests fill, 0 to 1, that of its fullest part if it has several; 0 if it does not say. */
  readonly kvCacheUsage: number;
}

/**
 * Reads an engine's Prometheus metrics; undefined if they do not say how many requests it has. What parts of it say (data-parallel ranks) is added up.
 *
 * @param text in the format of text that Prometheus scrapes.
 */
export function readEngineReport(text: string): EngineReport | undefined {
  let [running, waiting, kvCacheUsage] = [NaN, 0, 0];
  for (const [, name, told] of text.matchAll(SAMPLE)) {
    const value = Number(told);
    if (!(value >= 0 && value <= MAX_GAUGE)) {
      continue;
    }
    if (RUNNING.includes(name)) {
      running = (Number.isNaN(running) ? 0 : running) + value;
    } else if (WAITING.includes(name)) {
      waiting += value;
    } else {
      kvCacheUsage = Math.max(kvCacheUsage, Math.min(1, value));
    }
  }
  return Number.isNaN(running) ? undefined : { running, waiting, kvCacheUsage };
}

/**
 * What an engine has said of its load, and for how long that counts: an engine that says nothing any more has the requests that this router knows of.
 */
export class ReportedLoad {
  private report?: EngineReport;
  private others = 0;
  private untilMillis = 0;

  /** What the engine said lately; undefined if nothing. */
  public get latest(): EngineReport | undefined {
    return performance.now() < this.untilMillis ? this.report : undefined;
  }

  /** Requests that it has of others than this router, as far as it said so lately. */
  public get othersRequests(): number {
    return performance.now() < this.untilMillis ? this.others : 0;
  }

  /**
   * The engine has said something.
   *
   * @param report what.
   * @param ownRequests the most requests that it had of this router while it was asked.
   * @param seconds how long that counts.
   */
  public take(report: EngineReport, ownRequests: number, seconds: number): void {
    this.report = report;
    this.others = Math.max(0, report.running + report.waiting - ownRequests);
    this.untilMillis = performance.now() + seconds * 1000;
  }
}
