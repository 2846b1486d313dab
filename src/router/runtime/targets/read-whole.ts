import { EngineResponse } from './engine-response';
import { ResponseHeaders } from '../upstream/response-parser';
import { engineFailed } from '../wire/api-error';
import { WholeAnswer } from '../wire/whole-answer';

/** Seconds, or a date as HTTP has it now. */
const RETRY_AFTER = /^(?:\d{1,9}|[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT)$/;
const RESET = 'x-ratelimit-reset-';

/**
 * Reads an answer to its end.
 *
 * Throws EngineError if it breaks off or is longer than allowed.
 */
export async function readWhole(response: EngineResponse, maxBytes: number): Promise<WholeAnswer> {
  const headers: { [name: string]: string } = {};
  const { 'content-type': type, 'retry-after': retryAfter } = response.headers;
  if (type !== undefined) {
    headers['content-type'] = type;
  }
  if (retryAfter !== undefined && RETRY_AFTER.test(retryAfter)) {
    headers['retry-after'] = retryAfter;
  }
  if (response.status === 429) {
    headers['retry-after'] ??= String(secondsToWait(response.headers));
  }
  const parts: Buffer[] = [];
  let length = 0;
  for (let chunk = await response.next(); chunk !== undefined; chunk = await response.next()) {
    length += chunk.length;
    if (length > maxBytes) {
      response.breakOff();
      throw engineFailed(`the answer is longer than ${maxBytes} bytes`);
    }
    parts.push(chunk);
  }
  return { status: response.status, headers, body: parts.length === 1 ? parts[0] : Buffer.concat(parts) };
}

/** How long an engine that is too busy asks to be left to others, in seconds, of which at most a minute is heeded; a second if it does not say. */
export function busySeconds({ headers }: Pick<EngineResponse, 'headers'>): number {
  return Math.min(60, Number(headers['retry-after']) || secondsToWait(headers));
}

/**
 * How long to wait before an engine is asked again that has had too much, in whole seconds: until the last of its used-up quotas is there again, as hosted
 * engines tell in headers such as `x-ratelimit-remaining-tokens-minute` and `x-ratelimit-reset-tokens-minute`, and at most a minute, as SDKs really wait.
 */
function secondsToWait(headers: ResponseHeaders): number {
  const number = (name: string) => parseFloat(String(headers[name]));
  const resets = Object.keys(headers).filter((name) => name.startsWith(RESET))
    // a request may have been too large for what remains.
    .filter((name) => name === `${RESET}tokens-minute` || number(name.replace('reset', 'remaining')) <= 0)
    .map(number).filter((seconds) => seconds > 0);
  return Math.min(60, Math.ceil(Math.max(...resets, 1)));
}
