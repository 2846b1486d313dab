import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { setGlobalErrorHandler } from '@opentelemetry/core';
import { defaultResource, detectResources, envDetector, resourceFromAttributes, serviceInstanceIdDetector } from '@opentelemetry/resources';
import type { Logger } from 'pino';
import { TargetConfig } from '../config';
import { Exchange } from '../exchange';
import { GenAiMetrics } from './gen-ai-metrics';
import { answererOf } from './gen-ai-names';
import { RequestTrace, Tracing } from './tracing';

/** How long the last of it may take to be sent. A container that is stopped has three seconds more than requests have to end. */
const STOP_MILLIS = 2_000;
/** How often, at most, the log tells that nothing can be sent. */
const TOLD_EVERY_MILLIS = 60_000;

type Environment = { readonly [name: string]: string | undefined };

/** What is told of requests by OTLP over HTTP, as the variables `OTEL_…` of the environment say. */
export class OpenTelemetry {
  /** Undefined if nothing is to be told. */
  public static from(env: Environment, log: Logger): OpenTelemetry | undefined {
    const [traces, metrics] = [isSent('TRACES', env), isSent('METRICS', env)];
    if (!traces && !metrics) {
      return undefined;
    }
    tellFailures(log);
    // without an id of its own, what several routers add up to would be taken for one sum that jumps.
    const resource = defaultResource().merge(resourceFromAttributes({ 'service.name': 'router' }))
      .merge(detectResources({ detectors: [serviceInstanceIdDetector, envDetector] }));
    return new OpenTelemetry(traces ? new Tracing(resource) : undefined, metrics ? new GenAiMetrics(resource, env) : undefined, log);
  }

  private readonly tracing?: Tracing;
  private readonly metrics?: GenAiMetrics;
  private readonly log: Logger;

  private constructor(tracing: Tracing | undefined, metrics: GenAiMetrics | undefined, log: Logger) {
    this.tracing = tracing;
    this.metrics = metrics;
    this.log = log;
  }

  /**
   * A request has come. Returns its trace; undefined if none is told.
   *
   * @param exchange the request.
   * @param path where it was asked, without what its caller chose there.
   */
  public begin(exchange: Exchange, path: string): RequestTrace | undefined {
    return this.tracing?.begin(exchange, path);
  }

  /**
   * A request has ended.
   *
   * @param exchange the request.
   * @param durationSeconds what it took.
   * @param target who has answered it; undefined if nobody has.
   * @param modelId the model that is served.
   */
  public end(exchange: Exchange, durationSeconds: number, target: TargetConfig | undefined, modelId: string): void {
    exchange.trace?.end(exchange, target && answererOf(target, modelId));
    this.metrics?.observe(exchange, durationSeconds, target, modelId);
  }

  /** Sends what is unsent, unless the collector does not take it. */
  public async stop(): Promise<void> {
    const sent = Promise.all([this.tracing?.stop(), this.metrics?.stop()]);
    if (await Promise.race([sent, sleep(STOP_MILLIS, 'late', { ref: false })]) === 'late') {
      this.log.warn('OpenTelemetry\'s collector has not taken what was left to send');
    }
  }
}

/** Whether a signal is sent: its endpoint is named, and it is not turned off. By OpenTelemetry's specification an empty variable is none. */
function isSent(signal: 'TRACES' | 'METRICS', env: Environment): boolean {
  const given = (name: string) => env[name]?.trim() || undefined;
  const exporters = (given(`OTEL_${signal}_EXPORTER`) ?? 'otlp').split(',').map((name) => name.trim());
  const endpoint = given('OTEL_EXPORTER_OTLP_ENDPOINT') ?? given(`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`);
  return endpoint !== undefined && exporters.includes('otlp') && given('OTEL_SDK_DISABLED')?.toLowerCase() !== 'true';
}

/** Lets the log tell what cannot be sent: seldom, as a collector may be gone for long. */
function tellFailures(log: Logger): void {
  let next = -Infinity;
  setGlobalErrorHandler((error) => {
    const now = performance.now();
    if (now >= next) {
      next = now + TOLD_EVERY_MILLIS;
      log.warn({ error: typeof error === 'string' ? error : error.message }, 'OpenTelemetry\'s collector does not take what it is sent');
    }
  });
}
