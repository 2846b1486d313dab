import type { Logger } from 'pino';
import { EmfConfig } from '../config';
import { Exchange } from '../exchange';
import { CloudWatchMetric, PATH_DIMENSION, REQUEST_METRICS, ROUTER_DIMENSION, ROUTER_METRICS, TARGET_DIMENSION, TARGET_METRICS } from './metric-names';
import { RouterMetrics } from './metrics';
import { Target } from '../targets/target';

/** Most values of a metric in one document. */
const MAX_VALUES = 100;
/** Where requests belong that no path was chosen for. */
const NO_PATH = '';

/** A metric of a document, with all of its values. */
type Told = readonly [CloudWatchMetric, number | readonly number[]];

/** What requests of one path add up to until it is told. */
class Requests {
  private readonly counts = new Map<CloudWatchMetric, number>();
  private readonly values = new Map<CloudWatchMetric, number[]>();

  public add(metric: CloudWatchMetric, count: number): void {
    this.counts.set(metric, (this.counts.get(metric) ?? 0) + count);
  }

  /** Returns whether there is no room for more. */
  public observe(metric: CloudWatchMetric, value: number | undefined): boolean {
    if (value === undefined) {
      return false;
    }
    const values = this.values.get(metric) ?? [];
    values.push(value);
    this.values.set(metric, values);
    return values.length === MAX_VALUES;
  }

  public told(): Told[] {
    return [...this.counts, ...this.values];
  }
}

/**
 * Tells CloudWatch what requests took, in its embedded metric format: JSON objects in the log, which CloudWatch Logs makes metrics of. Every request is in it, but
 * in few lines: counts are summed over an interval, times are listed, up to a hundred in a line, so that percentiles are exact.
 */
export class EmbeddedMetrics {
  private readonly config: EmfConfig;
  private readonly metrics: RouterMetrics;
  private readonly targets: () => readonly Target[];
  private readonly log: Logger;
  private readonly timer: NodeJS.Timeout;
  private requests = new Map<string, Requests>();
  private limitedAloneBefore = 0;

  /**
   * @param config as what, and how often.
   * @param metrics what is told in each interval.
   * @param targets the targets that there are now.
   * @param log where it is written.
   */
  constructor(config: EmfConfig, metrics: RouterMetrics, targets: () => readonly Target[], log: Logger) {
    this.config = config;
    this.metrics = metrics;
    this.targets = targets;
    this.log = log;
    this.timer = setInterval(() => void this.tell(this.targets()), config.intervalSeconds * 1000).unref();
  }

  /** A request has ended. */
  public observe(exchange: Exchange): void {
    const { decision, code, isServerError, handoff, promptTokens, completionTokens, ttftSeconds, tpotSeconds, queuedSeconds } = exchange;
    const path = decision?.path ?? NO_PATH;
    const requests = this.requests.get(path) ?? new Requests();
    this.requests.set(path, requests);
    requests.add(REQUEST_METRICS.requests, 1);
    // a count that is none is told too: an alarm needs data.
    requests.add(REQUEST_METRICS.serverErrors, Number(isServerError));
    requests.add(REQUEST_METRICS.streamErrors, Number(code === 'stream_error'));
    requests.add(REQUEST_METRICS.throttles, Number(code === '429'));
    requests.add(REQUEST_METRICS.handoffFallbacks, Number(handoff?.startsWith('fallback_') ?? false));
    requests.add(REQUEST_METRICS.inputTokens, promptTokens ?? 0);
    requests.add(REQUEST_METRICS.outputTokens, completionTokens ?? 0);
    const isFull = [
      requests.observe(REQUEST_METRICS.timeToFirstToken, ttftSeconds),
      requests.observe(REQUEST_METRICS.timePerOutputToken, tpotSeconds),
      requests.observe(REQUEST_METRICS.queueTime, queuedSeconds),
    ].some((full) => full);
    if (isFull) {
      this.requests.delete(path);
      this.writeRequests(path, requests);
    }
  }

  /** Tells what is untold, and no more. */
  public async stop(): Promise<void> {
    clearInterval(this.timer);
    // nobody looks after targets any more.
    await this.tell([]);
  }

  private async tell(targets: readonly Target[]): Promise<void> {
    const { requests } = this;
    this.requests = new Map();
    requests.forEach((of, path) => this.writeRequests(path, of));
    const { values: [{ value: queued }] } = await this.metrics.queueRequests.get();
    const { values: [{ value: alone }] } = await this.metrics.rateLimitsAlone.get();
    this.write({}, [[ROUTER_METRICS.queuedRequests, queued], [ROUTER_METRICS.limitedAlone, alone - this.limitedAloneBefore]], [[]]);
    this.limitedAloneBefore = alone;
    targets.forEach(({ config: { name }, healthyCount }) =>
      this.write({ [TARGET_DIMENSION]: name }, [[TARGET_METRICS.healthyEndpoints, healthyCount]], [[TARGET_DIMENSION]]));
  }

  private writeRequests(path: string, requests: Requests): void {
    if (path === NO_PATH) {
      this.write({}, requests.told(), [[]]);
    } else {
      this.write({ [PATH_DIMENSION]: path }, requests.told(), [[], [PATH_DIMENSION]]);
    }
  }

  /** Writes one document, whose metrics are told by the router and, in each set, the dimensions beside it. */
  private write(dimensions: { readonly [name: string]: string }, told: Told[], sets: string[][]): void {
    const { namespace, router } = this.config;
    this.log.info({
      _aws: {
        Timestamp: Date.now(),
        CloudWatchMetrics: [{
          Namespace: namespace,
          Dimensions: sets.map((set) => [ROUTER_DIMENSION, ...set]),
          Metrics: told.map(([{ name, unit }]) => ({ Name: name, Unit: unit })),
        }],
      },
      [ROUTER_DIMENSION]: router,
      ...dimensions,
      ...Object.fromEntries(told.map(([{ name }, value]) => [name, value])),
    }, 'metrics');
  }
}
