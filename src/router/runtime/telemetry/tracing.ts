import { Attributes, Context, ROOT_CONTEXT, Span, SpanKind, SpanStatusCode, trace, TraceFlags, Tracer } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { Resource } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { Exchange, ExchangeTrace, LegSpan } from '../exchange';
import { addressOf, operationOf, providerOf } from './gen-ai-names';
import { TraceContext, traceContextOf } from './trace-context';
import { isObject } from '../wire/fields';

/** A quote within generated text is escaped. */
const FINISH_REASON = /"(?:finish_reason|stopReason|stop_reason|completionReason)"\s*:\s*"(\w{1,40})"/;
/** What OpenTelemetry calls the numbers of a request. */
const SETTINGS: { readonly [member: string]: string } = {
  max_tokens: 'gen_ai.request.max_tokens',
  // heeded before the other.
  max_completion_tokens: 'gen_ai.request.max_tokens',
  temperature: 'gen_ai.request.temperature',
  top_p: 'gen_ai.request.top_p',
  top_k: 'gen_ai.request.top_k',
  frequency_penalty: 'gen_ai.request.frequency_penalty',
  presence_penalty: 'gen_ai.request.presence_penalty',
  seed: 'gen_ai.request.seed',
};
/** What it calls the formats of an answer that a request can ask for. */
const OUTPUT_TYPES: { readonly [format: string]: string } = { text: 'text', json_object: 'json', json_schema: 'json' };

/**
 * Spans by OpenTelemetry's conventions for generative AI, sent by OTLP over HTTP as the variables `OTEL_…` of the environment say. Nothing that callers or
 * engines write is in them.
 */
export class Tracing {
  private readonly provider: BasicTracerProvider;
  private readonly tracer: Tracer;

  /**
   * @param resource who sends.
   */
  constructor(resource: Resource) {
    this.provider = new BasicTracerProvider({ resource, spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())] });
    this.tracer = this.provider.getTracer('cdk-disaggregated-inference');
  }

  /**
   * The trace of a request that has come, within that of its caller.
   *
   * @param exchange the request.
   * @param path where it was asked, without what its caller chose there.
   */
  public begin(exchange: Exchange, path: string): RequestTrace {
    return new RequestTrace(this.tracer, exchange, path);
  }

  /** Sends what is unsent. Never rejects. */
  public async stop(): Promise<void> {
    await this.provider.shutdown().catch(() => undefined);
  }
}

/** What is told of one request: a span of its own, and one for each engine that had it. */
export class RequestTrace implements ExchangeTrace {
  private readonly tracer: Tracer;
  private readonly span: Span;
  private readonly context: Context;
  private finishReason?: string;

  constructor(tracer: Tracer, exchange: Exchange, path: string) {
    this.tracer = tracer;
    const { method, headers } = exchange.request;
    const parent = contextOf(traceContextOf(headers));
    const operation = operationOf(exchange);
    this.span = tracer.startSpan(operation, {
      kind: SpanKind.SERVER,
      attributes: {
        'http.request.method': method, 'http.route': path, 'gen_ai.operation.name': operation, 'gen_ai.provider.name': providerOf(exchange),
      },
    }, parent);
    this.context = trace.setSpan(parent, this.span);
  }

  /** The request was read, and its model is one that is served. */
  public asked(exchange: Exchange): void {
    const { model, stream, body } = exchange.asked!;
    const operation = operationOf(exchange);
    this.span.updateName(`${operation} ${model}`).setAttribute('gen_ai.operation.name', operation).setAttribute('gen_ai.request.model', model);
    if (stream) {
      this.span.setAttribute('gen_ai.request.stream', true);
    }
    for (const [member, name] of Object.entries(SETTINGS)) {
      const value = body[member];
      if (typeof value === 'number') {
        this.span.setAttribute(name, value);
      }
    }
    if (typeof body.n === 'number' && body.n !== 1) {
      this.span.setAttribute('gen_ai.request.choice.count', body.n);
    }
    const { response_format: format } = body;
    if (isObject(format) && Object.hasOwn(OUTPUT_TYPES, String(format.type))) {
      this.span.setAttribute('gen_ai.output.type', OUTPUT_TYPES[String(format.type)]);
    }
  }

  /** An engine is asked. */
  public leg(name: 'prefill' | 'decode', url: string): LegSpan {
    return new LegTrace(this.tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes: addressOf(url) }, this.context));
  }

  /** Looks for what the answer, or events of it, say of its end. */
  public read(answer: string): void {
    this.finishReason = FINISH_REASON.exec(answer)?.[1] ?? this.finishReason;
  }

  /** The answer has ended, for a reason that is told once it is asked for. */
  public finished(reason: () => unknown): void {
    this.read(JSON.stringify({ finish_reason: reason() }));
  }

  /**
   * The request has ended.
   *
   * @param exchange the request.
   * @param answerer who has answered it; undefined if nobody has.
   */
  public end({ code = '499', decision, handoff, promptTokens, cachedTokens, completionTokens, ttftSeconds }: Exchange, answerer: Attributes | undefined): void {
    const status = Number(code);
    this.span.setAttributes({
      ...answerer,
      'http.response.status_code': status || 200,
      'router.path': decision?.path,
      'router.reason': decision?.reason,
      'router.handoff': handoff,
      'gen_ai.usage.input_tokens': promptTokens,
      'gen_ai.usage.cache_read.input_tokens': cachedTokens,
      'gen_ai.usage.output_tokens': completionTokens,
      'gen_ai.response.finish_reasons': this.finishReason === undefined ? undefined : [this.finishReason],
      'gen_ai.response.time_to_first_chunk': ttftSeconds,
    });
    endSpan(this.span, status < 400 ? undefined : code, !(status < 500));
  }
}

/** What is told of one engine that is asked. */
class LegTrace implements LegSpan {
  /** What makes the engine's spans those of this one. */
  public readonly headers: { readonly traceparent: string };
  private readonly span: Span;

  constructor(span: Span) {
    this.span = span;
    const { traceId, spanId, traceFlags } = span.spanContext();
    this.headers = { traceparent: `00-${traceId}-${spanId}-0${traceFlags % 2}` };
  }

  /** The engine has answered with a status, or not at all. */
  public end(status: number | undefined): void {
    const attributes: Attributes = { 'http.response.status_code': status };
    this.span.setAttributes(attributes);
    endSpan(this.span, status === 200 ? undefined : String(status ?? '_OTHER'), status !== 200);
  }
}

function endSpan(span: Span, errorType: string | undefined, failed: boolean): void {
  if (errorType !== undefined) {
    span.setAttribute('error.type', errorType);
  }
  if (failed) {
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end();
}

/** Within the caller's span, if it tells one; a trace of its own otherwise. */
function contextOf(parent: TraceContext | undefined): Context {
  return parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, {
    traceId: parent.traceId, spanId: parent.spanId, traceFlags: parent.isKept ? TraceFlags.SAMPLED : TraceFlags.NONE, isRemote: true,
  });
}
