import { Attributes, Histogram } from '@opentelemetry/api';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { Resource } from '@opentelemetry/resources';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { Exchange } from '../exchange';
import { operationOf, providerOf } from './gen-ai-names';

/** Boundaries that the conventions recommend. */
const DURATION_SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const TTFT_SECONDS = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const TPOT_SECONDS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];
const TOKENS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864];
/** By OpenTelemetry's specification. */
const INTERVAL_MILLIS = 60_000;
const TIMEOUT_MILLIS = 30_000;
/** Node takes what is longer for a millisecond. */
const MAX_TIMER_MILLIS = 2 ** 31 - 1;

/**
 * Metrics by OpenTelemetry's conventions for generative AI, sent by OTLP over HTTP as the variables `OTEL_…` of the environment say. Their attributes take values
 * of the configuration alone: nothing that a caller can choose freely.
 */
export class GenAiMetrics {
  private readonly provider: MeterProvider;
  private readonly durationSeconds: Histogram;
  private readonly ttftSeconds: Histogram;
  private readonly tpotSeconds: Histogram;
  private readonly tokens: Histogram;

  /**
   * @param resource who sends.
   * @param env says how often.
   */
  constructor(resource: Resource, env: { readonly [name: string]: string | undefined }) {
    const exportIntervalMillis = millis(env.OTEL_METRIC_EXPORT_INTERVAL) ?? INTERVAL_MILLIS;
    const exportTimeoutMillis = Math.min(exportIntervalMillis, millis(env.OTEL_METRIC_EXPORT_TIMEOUT) ?? TIMEOUT_MILLIS);
    const reader = new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter(), exportIntervalMillis, exportTimeoutMillis });
    this.provider = new MeterProvider({ resource, readers: [reader] });
    const meter = this.provider.getMeter('cdk-disaggregated-inference');
    const histogram = (name: string, unit: string, description: string, explicitBucketBoundaries: number[]) =>
      meter.createHistogram(name, { unit, description, advice: { explicitBucketBoundaries } });
    this.durationSeconds = histogram('gen_ai.server.request.duration', 's', 'Time from arrival to the end of the answer.', DURATION_SECONDS);
    this.ttftSeconds = histogram('gen_ai.server.time_to_first_token', 's', 'Time from when a request was there to the first token, of whole streamed answers.', TTFT_SECONDS);
    this.tpotSeconds = histogram('gen_ai.server.time_per_output_token', 's', 'Mean time per token after the first, of whole streamed answers.', TPOT_SECONDS);
    this.tokens = histogram('gen_ai.client.token.usage', '{token}', 'Tokens of prompts and of answers.', TOKENS);
  }

  /**
   * A request has ended.
   *
   * @param exchange the request.
   * @param durationSeconds what it took.
   * @param answerer who has answered it; undefined if nobody has.
   */
  public observe(exchange: Exchange, durationSeconds: number, answerer: Attributes | undefined): void {
    const { asked, code = '499', ttftSeconds, tpotSeconds, promptTokens, completionTokens } = exchange;
    const attributes: Attributes = { 'gen_ai.operation.name': operationOf(exchange), 'gen_ai.provider.name': providerOf(exchange) };
    if (asked !== undefined) {
      attributes['gen_ai.request.model'] = asked.model;
    }
    Object.assign(attributes, answerer);
    const isError = !(Number(code) < 400);
    this.durationSeconds.record(durationSeconds, isError ? Object.assign({ 'error.type': code }, attributes) : attributes);
    if (ttftSeconds !== undefined && !isError) {
      this.ttftSeconds.record(ttftSeconds, attributes);
    }
    if (tpotSeconds !== undefined && !isError) {
      this.tpotSeconds.record(tpotSeconds, attributes);
    }
    if (promptTokens !== undefined) {
      this.tokens.record(promptTokens, Object.assign({ 'gen_ai.token.type': 'input' }, attributes));
    }
    if (completionTokens !== undefined) {
      this.tokens.record(completionTokens, Object.assign({ 'gen_ai.token.type': 'output' }, attributes));
    }
  }

  /** Sends what is unsent. Never rejects. */
  public async stop(): Promise<void> {
    await this.provider.shutdown().catch(() => undefined);
  }
}

/** Milliseconds that a variable says; undefined if it says none that a timer can have. */
function millis(text: string | undefined): number | undefined {
  const value = Number(text);
  return Number.isInteger(value) && value > 0 && value <= MAX_TIMER_MILLIS ? value : undefined;
}
