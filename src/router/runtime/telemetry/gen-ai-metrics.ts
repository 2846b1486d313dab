import { Attributes, Histogram } from '@opentelemetry/api';
import { Resource } from '@opentelemetry/resources';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { Exchange } from '../exchange';
import { answererOf, operationOf, providerOf } from './gen-ai-names';
import { MetricExporter } from './metric-exporter';
import { TargetConfig } from '../config';

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

/** What stands for the attributes of requests that are alike. */
interface Kind {
  readonly request: Attributes;
  readonly promptTokens: Attributes;
  readonly answerTokens: Attributes;
}

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
  private readonly exporter = new MetricExporter();
  private readonly kinds = new Map<string, Kind>();

  /**
   * @param resource who sends.
   * @param env says how often.
   */
  constructor(resource: Resource, env: { readonly [name: string]: string | undefined }) {
    const exportIntervalMillis = millis(env.OTEL_METRIC_EXPORT_INTERVAL) ?? INTERVAL_MILLIS;
    const exportTimeoutMillis = Math.min(exportIntervalMillis, millis(env.OTEL_METRIC_EXPORT_TIMEOUT) ?? TIMEOUT_MILLIS);
    const reader = new PeriodicExportingMetricReader({ exporter: this.exporter, exportIntervalMillis, exportTimeoutMillis });
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
   * @param target who has answered it; undefined if nobody has.
   * @param modelId the model that is served.
   */
  public observe(exchange: Exchange, durationSeconds: number, target: TargetConfig | undefined, modelId: string): void {
    const { code = '499', ttftSeconds, tpotSeconds, promptTokens, completionTokens } = exchange;
    const kind = this.kindOf(exchange, target, modelId);
    if (Number(code) < 400) {
      this.durationSeconds.record(durationSeconds, kind.request);
      if (ttftSeconds !== undefined) {
        this.ttftSeconds.record(ttftSeconds, kind.request);
      }
      if (tpotSeconds !== undefined) {
        this.tpotSeconds.record(tpotSeconds, kind.request);
      }
    } else {
      this.durationSeconds.record(durationSeconds, { 'error.type': code, ...kind.request });
    }
    if (promptTokens !== undefined) {
      this.tokens.record(promptTokens, kind.promptTokens);
    }
    if (completionTokens !== undefined) {
      this.tokens.record(completionTokens, kind.answerTokens);
    }
  }

  /** Sends what is unsent. Never rejects. */
  public async stop(): Promise<void> {
    await this.provider.shutdown().catch(() => undefined);
  }

  private kindOf(exchange: Exchange, target: TargetConfig | undefined, modelId: string): Kind {
    const operation = operationOf(exchange);
    const provider = providerOf(exchange);
    const model = exchange.asked?.model;
    const key = `${operation}\n${provider}\n${model}\n${modelId}\n${target?.name}\n${target?.modelName}\n${target?.url}`;
    let kind = this.kinds.get(key);
    if (kind === undefined) {
      const names: Attributes = { 'gen_ai.operation.name': operation, 'gen_ai.provider.name': provider };
      if (model !== undefined) {
        names['gen_ai.request.model'] = model;
      }
      Object.assign(names, target && answererOf(target, modelId));
      kind = {
        request: this.exporter.standInFor(names),
        promptTokens: this.exporter.standInFor({ ...names, 'gen_ai.token.type': 'input' }),
        answerTokens: this.exporter.standInFor({ ...names, 'gen_ai.token.type': 'output' }),
      };
      this.kinds.set(key, kind);
    }
    return kind;
  }
}

/** Milliseconds that a variable says; undefined if it says none that a timer can have. */
function millis(text: string | undefined): number | undefined {
  const value = Number(text);
  return Number.isInteger(value) && value > 0 && value <= MAX_TIMER_MILLIS ? value : undefined;
}
