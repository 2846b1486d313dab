import { performance } from 'node:perf_hooks';
import { LimitsConfig, TargetConfig } from '../config';
import { Exchange } from '../exchange';
import { RouterMetrics } from '../metrics';
import { ASK_FOR_KV_CACHE, KvParams } from './kv-params';
import { Endpoint, isConnectError } from '../targets/endpoint';
import { Target } from '../targets/target';
import { bodyForEngine, EngineRequest } from '../wire/engine-request';
import { withMembers } from '../wire/json-object';
import { promptTokensIn, readWhole, WholeAnswer } from '../wire/whole-answer';

/** Statuses below 500 that tell of the router's configuration or of the engine's state, not of the caller's request. */
const NOT_THE_CALLERS = new Set([401, 403, 404, 405, 408, 429]);
/** Above the one token of an answer with all that can be asked for about it. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/** How a prompt was read on a prefill engine, or why it was not. */
export type PrefillResult =
  | { readonly kind: 'read'; readonly params: KvParams; readonly endpoint: Endpoint }
  | { readonly kind: 'refused'; readonly answer: WholeAnswer; readonly endpoint: Endpoint }
  | { readonly kind: 'failed'; readonly outcome: 'fallback_prefill_failed' | 'fallback_params_invalid' };

/**
 * The first leg of a hand-off: a prefill engine reads the prompt, and keeps its KV cache.
 */
export class PrefillLeg {
  private readonly limits: LimitsConfig;
  private readonly metrics: RouterMetrics;

  constructor(limits: LimitsConfig, metrics: RouterMetrics) {
    this.limits = limits;
    this.metrics = metrics;
  }

  /**
   * Lets one engine of the target read the prompt. Rejects only if the exchange is over.
   *
   * @param exchange for whom.
   * @param asked what was asked.
   * @param promptTokens tokens of the prompt, about.
   * @param target the prefill engines.
   * @param headers the headers of both legs.
   */
  public async run(
    exchange: Exchange, asked: EngineRequest, promptTokens: number, target: Target, headers: { readonly [name: string]: string },
  ): Promise<PrefillResult> {
    const body = bodyOf(asked, target.config);
    const tried = new Set<Endpoint>();
    for (let endpoint = target.nextReliable(tried); endpoint !== undefined && endpoint.freeSlots > 0; endpoint = target.nextReliable(tried)) {
      tried.add(endpoint);
      target.take(endpoint);
      const wasRead = endpoint.reads(promptTokens);
      const result = await this.attempt(exchange, target, endpoint, headers, asked.path, body).finally(wasRead);
      if (result !== undefined) {
        return result;
      }
    }
    return { kind: 'failed', outcome: 'fallback_prefill_failed' };
  }

  /** Lets one endpoint read the prompt, and gives its slot back. Resolves to undefined if no connection could be made. */
  private async attempt(
    exchange: Exchange, target: Target, endpoint: Endpoint, headers: { readonly [name: string]: string }, path: string, body: Buffer,
  ): Promise<PrefillResult | undefined> {
    const labels = { target: target.config.name };
    this.metrics.inFlight.inc(labels);
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), this.limits.prefillTimeoutSeconds * 1000);
    const askedAt = performance.now();
    try {
      const response = await endpoint.post(path, { ...headers, accept: 'application/json' }, body, AbortSignal.any([exchange.signal, timeout.signal]));
      // the lease began when the engine was done, just before its status.
      const answeredAt = performance.now();
      const answer = await readWhole(response, MAX_ANSWER_BYTES);
      if (answer.status >= 400 && answer.status < 500 && !NOT_THE_CALLERS.has(answer.status)) {
        endpoint.succeeded();
        return { kind: 'refused', answer, endpoint };
      }
      if (answer.status !== 200) {
        endpoint.failed(Date.now());
        return { kind: 'failed', outcome: 'fallback_prefill_failed' };
      }
      const params = KvParams.read(answer.body, answeredAt);
      if (params === undefined) {
        return { kind: 'failed', outcome: 'fallback_params_invalid' };
      }
      exchange.promptTokens = promptTokensIn(answer.body);
      this.metrics.prefillSeconds.observe(labels, (answeredAt - askedAt) / 1000);
      return { kind: 'read', params, endpoint };
    } catch (e) {
      if (exchange.signal.aborted) {
        throw e;
      }
      if (!timeout.signal.aborted && isConnectError(e)) {
        endpoint.unreachable();
        return undefined;
      }
      endpoint.failed(Date.now());
      return { kind: 'failed', outcome: 'fallback_prefill_failed' };
    } finally {
      clearTimeout(timer);
      endpoint.release();
      this.metrics.inFlight.dec(labels);
    }
  }
}

/** The caller's body for one token of it: of the limits on length, vLLM heeds others before `max_tokens`, or refuses them beside it. */
function bodyOf(asked: EngineRequest, config: TargetConfig): Buffer {
  return withMembers(bodyForEngine(asked, config), {
    stream: 'false',
    stream_options: undefined,
    max_tokens: '1',
    max_completion_tokens: undefined,
    min_tokens: undefined,
    kv_transfer_params: ASK_FOR_KV_CACHE,
  });
}
