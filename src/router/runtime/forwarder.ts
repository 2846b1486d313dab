import { randomBytes } from 'node:crypto';
import { Dispatcher } from 'undici';
import { RouterConfig } from './config';
import { Exchange } from './exchange';
import { RouterMetrics } from './metrics';
import { relayStream, relayWhole } from './relay';
import { Endpoint } from './targets/endpoint';
import { Target } from './targets/target';
import { ApiError, bodyForEngine, ChatRequest, EngineError } from './wire/openai';

/** What undici and Node call a connection that was never made, so that no byte of the request has left. */
const CONNECT_CODES = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT']);
/** The only headers of a caller that reach an engine: none can name an upstream or carry a credential. */
const FORWARDED = ['traceparent', 'tracestate'];
const RETRY_AFTER = { 'retry-after': '1' };

/**
 * Forwards chat completions to engines: at most one engine ever accepts a request.
 */
export class Forwarder {
  private readonly config: RouterConfig;
  private readonly targets: Target[];
  private readonly metrics: RouterMetrics;

  constructor(config: RouterConfig, targets: Target[], metrics: RouterMetrics) {
    this.config = config;
    this.targets = targets.filter((target) => target.config.role !== 'prefill');
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
    }
  }

  /** Lets one endpoint answer, and gives its slot back. Resolves to false if no connection could be made. */
  private async attempt(exchange: Exchange, chat: ChatRequest, target: Target, endpoint: Endpoint): Promise<boolean> {
    const { name } = target.config;
    this.metrics.inFlight.inc({ target: name });
    try {
      const response = await this.post(exchange, chat, target, endpoint);
      if (response === undefined) {
        endpoint.unreachable();
        return false;
      }
      exchange.target = name;
      exchange.endpoint = endpoint.url;
      if (chat.stream && response.statusCode === 200) {
        await relayStream(exchange, response, this.config.limits);
      } else {
        await relayWhole(exchange, response);
      }
      if (exchange.code === 'stream_error' || response.statusCode >= 500) {
        endpoint.failed(Date.now());
      } else {
        endpoint.succeeded();
      }
      return true;
    } catch (e) {
      if ((exchange.signal.aborted ? exchange.signal.reason : e) instanceof EngineError) {
        endpoint.failed(Date.now());
      }
      throw e;
    } finally {
      endpoint.release();
      this.metrics.inFlight.dec({ target: name });
    }
  }

  /** The engine's answer, from its status on; undefined if no connection could be made. */
  private async post(exchange: Exchange, chat: ChatRequest, target: Target, endpoint: Endpoint): Promise<Dispatcher.ResponseData | undefined> {
    const { firstByteTimeoutSeconds } = this.config.limits;
    const timer = chat.stream
      ? setTimeout(() => exchange.cancel(new EngineError(504, 'first_byte_timeout', `no answer began within ${firstByteTimeoutSeconds} s`)), firstByteTimeoutSeconds * 1000)
      : undefined;
    try {
      return await endpoint.post(
        '/v1/chat/completions', headersForEngine(exchange, chat), bodyForEngine(chat, target.config.modelName), exchange.signal);
    } catch (e) {
      if (!exchange.signal.aborted && isConnectError(e)) {
        return undefined;
      }
      exchange.target = target.config.name;
      exchange.endpoint = endpoint.url;
      throw new EngineError(502, 'engine_failed', 'the engine broke off before it answered');
    } finally {
      clearTimeout(timer);
    }
  }
}

function headersForEngine(exchange: Exchange, chat: ChatRequest): { [name: string]: string } {
  const headers: { [name: string]: string } = {
    'content-type': 'application/json',
    'accept': chat.stream ? 'text/event-stream' : 'application/json',
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

function isConnectError(error: unknown): boolean {
  const { code, syscall } = error as NodeJS.ErrnoException;
  return CONNECT_CODES.has(code ?? '') || syscall === 'connect' || syscall === 'getaddrinfo';
}
