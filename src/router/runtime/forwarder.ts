import { randomBytes } from 'node:crypto';
import { Dispatcher } from 'undici';
import { RouterConfig } from './config';
import { Exchange } from './exchange';
import { Handoff } from './handoff/handoff';
import { RouterMetrics } from './metrics';
import { relayStream, relayWhole } from './relay';
import { Endpoint, isConnectError } from './targets/endpoint';
import { Target } from './targets/target';
import { ApiError, CHAT_PATH, ChatRequest, EngineError } from './wire/openai';
import { passOn } from './wire/whole-answer';

/** The only headers of a caller that reach an engine: none can name an upstream or carry a credential. */
const FORWARDED = ['traceparent', 'tracestate'];
const RETRY_AFTER = { 'retry-after': '1' };

/**
 * Forwards chat completions to engines: at most one engine ever accepts a request to answer it. Where a prefill engine can read the prompt, it does so
 * first, and the engine that answers fetches the KV cache from it.
 */
export class Forwarder {
  private readonly config: RouterConfig;
  private readonly targets: Target[];
  private readonly handoff: Handoff;
  private readonly metrics: RouterMetrics;

  constructor(config: RouterConfig, targets: Target[], metrics: RouterMetrics) {
    this.config = config;
    this.targets = targets.filter((target) => target.config.role !== 'prefill');
    this.handoff = new Handoff(config.limits, targets, metrics);
    this.metrics = metrics;
  }

  /** Answers the exchange. Rejects with what went wrong; the exchange is then to be failed. */
  public async forward(exchange: Exchange, chat: ChatRequest): Promise<void> {
    const { requestTimeoutSeconds } = this.config.limits;
    const deadline = setTimeout(
      () => exchange.cancel(new EngineError(504, 'request_timeout', `the answer took longer than ${requestTimeoutSeconds} s`)),
      requestTimeoutSeconds * 1000,
    );
    const tried = new Set<Endpoint>();
    try {
      for (const target of this.targets) {
        let endpoint = target.take(tried);
        while (typeof endpoint !== 'string') {
          tried.add(endpoint);
          if (await this.attempt(exchange, chat, target, endpoint)) {
            return;
          }
          endpoint = target.take(tried);
        }
        if (endpoint === 'full') {
          // a full target does not spill over: the next one has its own callers to serve.
          throw new ApiError(429, 'rate_limit_error', 'engines_full', 'every engine has as many requests as it may have', RETRY_AFTER);
        }
      }
      throw new ApiError(503, 'server_error', 'no_engine', 'no engine can answer now', RETRY_AFTER);
    } finally {
      clearTimeout(deadline);
      if (exchange.handoff !== undefined) {
        this.metrics.handoffs.inc({ outcome: exchange.handoff });
      }
    }
  }

  /** Lets one endpoint answer, and gives its slot back. Resolves to false if no connection could be made. */
  private async attempt(exchange: Exchange, chat: ChatRequest, target: Target, endpoint: Endpoint): Promise<boolean> {
    const { name } = target.config;
    const headers = headersForEngines(exchange);
    const atWork: Endpoint[] = [];
    this.metrics.inFlight.inc({ target: name });
    try {
      // the slot is taken before the prompt is read: a KV cache that had to wait for one could outlive its lease.
      const prepared = await this.handoff.prepare(exchange, chat, target, headers);
      exchange.handoff = prepared.outcome;
      if (prepared.refusal !== undefined) {
        exchange.target = target.config.prefill;
        exchange.endpoint = prepared.prefill!.url;
        await passOn(exchange, prepared.refusal);
        return true;
      }
      // whichever of two engines fails a hand-off, neither is to be trusted with many more.
      atWork.push(endpoint, ...(prepared.prefill === undefined ? [] : [prepared.prefill]));
      const response = await this.post(exchange, chat.stream, endpoint, headers, prepared.body);
      if (response === undefined) {
        if (prepared.outcome === 'handed_off') {
          this.handoff.drop();
        }
        exchange.handoff = undefined;
        endpoint.unreachable();
        return false;
      }
      if (prepared.outcome === 'handed_off' && response.statusCode >= 400 && response.statusCode < 500) {
        // it refused the request without a look at the KV cache.
        this.handoff.drop();
      }
      exchange.tellRoute();
      exchange.target = name;
      exchange.endpoint = endpoint.url;
      if (chat.stream && response.statusCode === 200) {
        await relayStream(exchange, response, this.config.limits);
      } else {
        await relayWhole(exchange, response);
      }
      const failed = exchange.code === 'stream_error' || response.statusCode >= 500;
      atWork.forEach((engine) => (failed ? engine.failed(Date.now()) : engine.succeeded()));
      return true;
    } catch (e) {
      if (atWork.length > 0) {
        exchange.target = name;
        exchange.endpoint = endpoint.url;
      }
      if ((exchange.signal.aborted ? exchange.signal.reason : e) instanceof EngineError) {
        atWork.forEach((engine) => engine.failed(Date.now()));
      }
      throw e;
    } finally {
      endpoint.release();
      this.metrics.inFlight.dec({ target: name });
    }
  }

  /** The engine's answer, from its status on; undefined if no connection could be made. */
  private async post(
    exchange: Exchange, stream: boolean, endpoint: Endpoint, headers: { readonly [name: string]: string }, body: Buffer,
  ): Promise<Dispatcher.ResponseData | undefined> {
    const { firstByteTimeoutSeconds } = this.config.limits;
    const timer = stream
      ? setTimeout(
        () => exchange.cancel(new EngineError(504, 'first_byte_timeout', `no answer began within ${firstByteTimeoutSeconds} s`)),
        Math.max(0, firstByteTimeoutSeconds - exchange.elapsedSeconds()) * 1000,
      )
      : undefined;
    try {
      return await endpoint.post(CHAT_PATH, { ...headers, accept: stream ? 'text/event-stream' : 'application/json' }, body, exchange.signal);
    } catch (e) {
      if (!exchange.signal.aborted && isConnectError(e)) {
        return undefined;
      }
      throw new EngineError(502, 'engine_failed', 'the engine broke off before it answered');
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The headers of both legs of a request. */
function headersForEngines(exchange: Exchange): { [name: string]: string } {
  const headers: { [name: string]: string } = {
    'content-type': 'application/json',
    // engines key a request's state by this: two callers with one id must not meet there.
    'x-request-id': `${exchange.id}.${randomBytes(6).toString('hex')}`,
  };
  for (const name of FORWARDED) {
    const value = exchange.request.headers[name];
    if (typeof value === 'string') {
      headers[name] = value;
    }
  }
  return headers;
}
