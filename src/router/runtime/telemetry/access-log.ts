import type { Logger } from 'pino';
import { Exchange } from '../exchange';

/**
 * Writes the line of a request that has ended: neither what was asked nor what was answered is in it.
 *
 * @param log where to.
 * @param exchange the request.
 * @param isOperation whether it was for engines.
 * @param durationSeconds how long it took.
 */
export function logRequest(log: Logger, exchange: Exchange, isOperation: boolean, durationSeconds: number): void {
  log.info({
    requestId: exchange.id,
    method: exchange.request.method,
    route: exchange.route,
    target: exchange.target ?? 'none',
    endpoint: exchange.endpoint,
    caller: exchange.caller.name,
    stream: isOperation ? exchange.streamed : undefined,
    tier: isOperation ? exchange.serviceTier : undefined,
    path: exchange.decision?.path,
    reason: exchange.decision?.reason,
    queuedSeconds: exchange.queuedSeconds,
    handoff: exchange.handoff,
    code: exchange.code,
    ttftSeconds: exchange.ttftSeconds,
    tpotSeconds: exchange.tpotSeconds,
    durationSeconds,
    promptTokens: exchange.promptTokens,
    cachedTokens: exchange.cachedTokens,
    completionTokens: exchange.completionTokens,
    failure: exchange.failure,
  }, 'request');
  if (exchange.handoffLate) {
    log.warn({ requestId: exchange.id, endpoint: exchange.endpoint }, 'the answer began after the lease of its KV cache and may be wrong');
  }
}
