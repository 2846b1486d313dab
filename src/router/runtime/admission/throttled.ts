import { RouterMetrics } from '../telemetry/metrics';
import { ApiError } from '../wire/api-error';

/** Why a request was refused that might have been answered at another time, as metrics name it. */
export type ThrottleReason = 'bodies_full' | 'queue_full' | 'queue_displaced' | 'queue_wait' | 'requests_per_minute' | 'tokens_per_minute';

/** The code and the message of each. */
const REFUSALS: { readonly [reason in ThrottleReason]: readonly [code: string, message: string] } = {
  bodies_full: ['router_full', 'the router has as many bytes of requests in memory as it may have'],
  queue_full: ['engines_full', 'every engine has as many requests as it may have, and as many wait as may wait'],
  queue_displaced: ['engines_full', 'every engine has as many requests as it may have, and the place of this one was given to another caller'],
  queue_wait: ['engines_full', 'every engine has as many requests as it may have, and had so for as long as a request may wait'],
  requests_per_minute: ['rate_limit_exceeded', 'this API key has as many requests per minute as it may have'],
  tokens_per_minute: ['rate_limit_exceeded', 'this API key has as many tokens per minute as it may have'],
};
/** The longest that callers are told to stay away, which is as long as SDKs really wait. */
const MOST_SECONDS = 60;

/** What a caller is told whose engine the router cannot connect to, as it has too many files open itself. It is counted. */
export function tooManyOpenFiles(metrics: RouterMetrics): ApiError {
  metrics.throttled.inc({ reason: 'open_files' });
  return new ApiError(503, 'server_error', 'too_many_open_files', 'the router has as many files open as it may have', { 'retry-after': '1' });
}

/** What a caller is told that is to come back later. It is counted. */
export function throttled(metrics: RouterMetrics, reason: ThrottleReason, afterSeconds: number): ApiError {
  metrics.throttled.inc({ reason });
  const [code, message] = REFUSALS[reason];
  const seconds = Math.min(MOST_SECONDS, Math.max(1, Math.ceil(afterSeconds)));
  return new ApiError(429, 'rate_limit_error', code, message, { 'retry-after': String(seconds) });
}
