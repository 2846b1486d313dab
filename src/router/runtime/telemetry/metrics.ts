import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { RouterConfig } from '../config';
import { Exchange } from '../exchange';
import { Target } from '../targets/target';

/** Boundaries around 1, for a latency that is expected. */
const AROUND = [0.1, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 5, 10, 30];
/** Boundaries where nothing is expected, in seconds. */
const TTFT_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];
const DURATION_SECONDS = [0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
const TPOT_SECONDS = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1];

/**
 * What the router tells Prometheus. Labels take few values: no path, caller or model that a request can choose.
 */
export class RouterMetrics {
  /** Where all of it is registered. */
  public readonly registry = new Registry();
  /**
   * Requests that ended: `code` is the HTTP status as the caller got it, 499 if the caller left, `stream_error` if an answer broke off after its status was
   * sent.
   */
  public readonly requests: Counter<'route' | 'target' | 'code'>;
  /** Requests by the path that was chosen for them, and why. */
  public readonly decisions: Counter<'path' | 'reason'>;
  /** Time from a request's arrival to its first token, the prefill engine's part included, streamed answers only. */
  public readonly ttftSeconds: Histogram<'route' | 'target'>;
  /** Mean time between tokens after the first, whole streamed answers only. */
  public readonly tpotSeconds: Histogram<'route' | 'target'>;
  /** Time from a request's arrival to the end of its answer, whatever that is. */
  public readonly durationSeconds: Histogram<'route' | 'target'>;
  /** Time that prefill engines took to read the prompts that were handed on. */
  public readonly prefillSeconds: Histogram<'target'>;
  /** Tokens of prompts, by whether the engine that read a prompt says that it had them in its cache. */
  public readonly promptTokens: Counter<'target' | 'source'>;
  /** Tokens of answers, of those that broke off too. */
  public readonly outputTokens: Counter<'target'>;
  /** Requests to decode engines that take KV caches, by how their prompts were read. */
  public readonly handoffs: Counter<'outcome'>;
  /** Answers that are not streams and may be wrong: see the help text. */
  public readonly handoffsLate: Counter;
  /** KV caches that were made and that no engine will fetch; they fill their engine until the end of their lease. */
  public readonly kvCachesDropped: Counter;
  /** Requests that a target has. */
  public readonly inFlight: Gauge<'target'>;
  /** Requests that wait for a slot of an engine. */
  public readonly queueRequests: Gauge;
  /** Tokens of their prompts, about. */
  public readonly queuePromptTokens: Gauge;
  /** Time that requests waited for a slot, those that need not wait left out. */
  public readonly queueWaitSeconds: Histogram<'tier'>;
  /** Requests that were refused though they might be answered at another time, and retries that were not made. */
  public readonly throttled: Counter<'reason'>;
  /** Requests whose limits this router judged by itself, as Valkey could not be asked. */
  public readonly rateLimitsAlone: Counter;
  /** Endpoints of a target that answered their last probes and requests. */
  public readonly upstreamHealthy: Gauge<'target'>;
  /** Endpoints of a target that told their load lately. */
  public readonly upstreamReporting: Gauge<'target'>;
  /** Requests that these said to have. */
  public readonly upstreamRequests: Gauge<'target' | 'state'>;
  /** The fullest of their KV caches. */
  public readonly upstreamKvCacheUsage: Gauge<'target'>;

  /**
   * @param expected latencies that become boundaries of their histograms.
   */
  constructor(expected: RouterConfig['expected']) {
    const registers = [this.registry];
    this.requests = new Counter({
      name: 'router_requests_total', help: 'Requests that ended, by outcome.', labelNames: ['route', 'target', 'code'], registers,
    });
    this.decisions = new Counter({
      name: 'router_decisions_total', help: 'Requests by the path that was chosen for them, and why.', labelNames: ['path', 'reason'], registers,
    });
    this.ttftSeconds = new Histogram({
      name: 'router_ttft_seconds',
      help: 'Time from when a request was there, body and all, to the first token of a streamed answer.',
      labelNames: ['route', 'target'],
      buckets: buckets(expected?.ttftSeconds, TTFT_SECONDS),
      registers,
    });
    this.tpotSeconds = new Histogram({
      name: 'router_tpot_seconds',
      help: 'Mean time per output token after the first, of a streamed answer whose caller did not keep it waiting; events stand for tokens where usage is not told.',
      labelNames: ['route', 'target'],
      buckets: buckets(expected?.tpotSeconds, TPOT_SECONDS),
      registers,
    });
    this.durationSeconds = new Histogram({
      name: 'router_request_duration_seconds',
      help: 'Time from arrival to the end of the answer, refusals included.',
      labelNames: ['route', 'target'],
      buckets: DURATION_SECONDS,
      registers,
    });
    this.prefillSeconds = new Histogram({
      name: 'router_prefill_seconds',
      help: 'Time of a prefill engine to read a prompt that is handed on, queueing included.',
      labelNames: ['target'],
      buckets: buckets(expected?.ttftSeconds, TTFT_SECONDS),
      registers,
    });
    this.promptTokens = new Counter({
      name: 'router_prompt_tokens_total',
      help: 'Tokens of prompts that engines say that they read, or had in their cache; unknown is the source where they say neither.',
      labelNames: ['target', 'source'],
      registers,
    });
    this.outputTokens = new Counter({
      name: 'router_output_tokens_total',
      help: 'Tokens of answers; events stand for tokens where usage is not told.',
      labelNames: ['target'],
      registers,
    });
    this.handoffs = new Counter({
      name: 'router_handoff_total', help: 'Requests to decode engines that take KV caches, by how their prompts were read.', labelNames: ['outcome'], registers,
    });
    this.handoffsLate = new Counter({
      name: 'router_handoff_late_total',
      help: 'Answers that are not streams and began after the lease of their KV cache: long ones, or ones whose engine fetched the cache too late and that may '
        + 'be wrong without a sign of it. Streams are never late, their prompt is read again.',
      registers,
    });
    this.kvCachesDropped = new Counter({ name: 'router_kv_caches_dropped_total', help: 'KV caches that were made and that no engine will fetch.', registers });
    this.inFlight = new Gauge({ name: 'router_in_flight', help: 'Requests that a target has.', labelNames: ['target'], registers });
    this.queueRequests = new Gauge({ name: 'router_queue_requests', help: 'Requests that wait for a slot of an engine.', registers });
    this.queuePromptTokens = new Gauge({ name: 'router_queue_prompt_tokens', help: 'Tokens of the prompts that wait for a slot, about.', registers });
    this.queueWaitSeconds = new Histogram({
      name: 'router_queue_wait_seconds',
      help: 'Time that a request waited for a slot of an engine, however its wait ended; those that need not wait are left out.',
      labelNames: ['tier'],
      buckets: TTFT_SECONDS,
      registers,
    });
    this.throttled = new Counter({
      name: 'router_throttled_total',
      help: 'Requests that were refused for what others, or the same caller, had asked; and retries that were not made (retry_budget).',
      labelNames: ['reason'],
      registers,
    });
    this.rateLimitsAlone = new Counter({
      name: 'router_rate_limits_alone_total', help: 'Requests whose limits this router judged by itself, as Valkey could not be asked.', registers,
    });
    this.upstreamHealthy = new Gauge({
      name: 'router_upstream_healthy', help: 'Endpoints that answered their last probes and requests.', labelNames: ['target'], registers,
    });
    this.upstreamReporting = new Gauge({
      name: 'router_upstream_reporting', help: 'Endpoints that told their load lately.', labelNames: ['target'], registers,
    });
    this.upstreamRequests = new Gauge({
      name: 'router_upstream_requests',
      help: 'Requests, of any router, that endpoints lately said to run, or to have waiting.',
      labelNames: ['target', 'state'],
      registers,
    });
    this.upstreamKvCacheUsage = new Gauge({
      name: 'router_upstream_kv_cache_usage', help: 'Share, 0 to 1, of the KV cache that was lately the fullest of a target.', labelNames: ['target'], registers,
    });
  }

  /** A request has ended, after so long. */
  public tellRequest({ route, target = 'none', code, ttftSeconds, tpotSeconds, completionTokens }: Exchange, durationSeconds: number): void {
    const labels = { route, target };
    this.requests.inc({ route, target, code });
    if (ttftSeconds !== undefined) {
      this.ttftSeconds.observe(labels, ttftSeconds);
    }
    if (tpotSeconds !== undefined) {
      this.tpotSeconds.observe(labels, tpotSeconds);
    }
    if (completionTokens !== undefined) {
      this.outputTokens.inc({ target }, completionTokens);
    }
    this.durationSeconds.observe(labels, durationSeconds);
  }

  /** An engine has read a prompt of so many tokens, of which some were in its cache; undefined where it does not say. */
  public tellPrompt(target: string, tokens: number | undefined, cachedTokens: number | undefined): void {
    if (tokens !== undefined && cachedTokens === undefined) {
      this.promptTokens.inc({ target, source: 'unknown' }, tokens);
    } else if (tokens !== undefined && cachedTokens !== undefined) {
      this.promptTokens.inc({ target, source: 'cache' }, Math.min(tokens, cachedTokens));
      this.promptTokens.inc({ target, source: 'read' }, Math.max(0, tokens - cachedTokens));
    }
  }

  /** Learns how the engines are. Those that are gone are told no longer. */
  public tellUpstreams(targets: readonly Target[]): void {
    [this.upstreamHealthy, this.upstreamReporting, this.upstreamRequests, this.upstreamKvCacheUsage].forEach((gauge) => gauge.reset());
    for (const { config, healthyCount, engines } of targets) {
      const target = config.name;
      this.upstreamHealthy.set({ target }, healthyCount);
      if (config.metrics === undefined) {
        continue;
      }
      const reports = engines.endpoints.flatMap(({ reported }) => reported.latest ?? []);
      this.upstreamReporting.set({ target }, reports.length);
      this.upstreamRequests.set({ target, state: 'running' }, reports.reduce((sum, { running }) => sum + running, 0));
      this.upstreamRequests.set({ target, state: 'waiting' }, reports.reduce((sum, { waiting }) => sum + waiting, 0));
      this.upstreamKvCacheUsage.set({ target }, Math.max(0, ...reports.map(({ kvCacheUsage }) => kvCacheUsage)));
    }
  }
}

function buckets(expectedSeconds: number | undefined, otherwise: number[]): number[] {
  return expectedSeconds === undefined ? otherwise : AROUND.map((factor) => Number((factor * expectedSeconds).toPrecision(6)));
}
