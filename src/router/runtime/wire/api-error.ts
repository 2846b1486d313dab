/** Statuses of an engine that tell of the router's own configuration or account, not of the caller's request. */
export const ROUTERS_FAULT = new Set([401, 402, 403, 404, 405]);

/** Statuses by which an engine says that it has too much to do: it has not begun with the request, so that another may have it. */
export const TOO_BUSY = new Set([429, 503]);

/** Whether a status is that of a refusal that is the caller's to know. */
export function isTheCallers(status: number): boolean {
  return status >= 400 && status < 500 && !ROUTERS_FAULT.has(status);
}

/** Whether an engine's status is neither that of an answer, nor of a refusal or failure that is the caller's to know: what else is below 400 has no content. */
export function isRoutersTrouble(status: number): boolean {
  return (status < 400 && status !== 200) || ROUTERS_FAULT.has(status);
}

/** `error.code` of a request whose body does not come. */
export const BODY_TIMEOUT = 'body_timeout';

/** A refusal or failure, in the terms of the OpenAI API; each caller is told in its own. */
export class ApiError extends Error {
  /** HTTP status. */
  public readonly status: number;
  /** `error.type` of the OpenAI API, such as `invalid_request_error`. */
  public readonly type: string;
  /** `error.code`, such as `model_not_found`. */
  public readonly code: string;
  /** Headers that go with it. */
  public readonly headers: { readonly [name: string]: string };
  /** `error.param`: the field of the request that is at fault. */
  public readonly param?: string;

  constructor(
    status: number, type: string, code: string, message: string, headers: { readonly [name: string]: string } = {}, param?: string,
  ) {
    super(message);
    this.status = status;
    this.type = type;
    this.code = code;
    this.headers = headers;
    this.param = param;
  }
}

/** A failure that is the engine's, and counts against it. */
export class EngineError extends ApiError {
  constructor(status: 502 | 504, code: string, message: string) {
    super(status, 'server_error', code, message);
  }
}

/** An engine that does not answer as it should. */
export function engineFailed(message: string): EngineError {
  return new EngineError(502, 'engine_failed', message);
}

/** A request that is refused as it stands. */
export function invalid(code: string, message: string, param?: string): ApiError {
  return new ApiError(400, 'invalid_request_error', code, message, {}, param);
}

/** A request that no engine can answer now. */
export function noEngine(): ApiError {
  return new ApiError(503, 'server_error', 'no_engine', 'no engine can answer now', { 'retry-after': '1' });
}
