import { ApiError } from '../wire/api-error';

/** Tells callers who may call from those who may not. */
export interface Authenticator {
  /** As the log names it. */
  readonly kind: 'none' | 'apiKeys' | 'jwt';

  /**
   * Who calls, as far as shares and limits depend on it; no secret. Throws ApiError, or rejects with it, unless the value of an Authorization header shows that
   * its caller may call.
   */
  check(authorization: string | undefined): string | Promise<string>;

  /** Ends what it does by itself. */
  stop(): void;
}

/** All callers that are not told apart. */
export const ANONYMOUS = 'anonymous';

/** Everybody may call: the network is the only guard. */
export const EVERYBODY: Authenticator = { kind: 'none', check: () => ANONYMOUS, stop: () => undefined };

/** What a caller presents as `Authorization: Bearer <it>`. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
}

/** A refusal of what a caller presents, or does not. */
export function unauthenticated(code: string, message: string): ApiError {
  return new ApiError(401, 'authentication_error', code, message, { 'www-authenticate': 'Bearer' });
}
