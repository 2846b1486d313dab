import { ApiError } from '../wire/api-error';

/** Who calls. */
export interface Caller {
  /** By what shares and limits tell it from others; no secret. */
  readonly id: string;
  /** As its key or token names it; undefined if it does not. */
  readonly name?: string;
}

/** Tells callers who may call from those who may not. */
export interface Authenticator {
  /** As the log names it. */
  readonly kind: 'none' | 'apiKeys' | 'jwt';

  /** Who calls. Throws ApiError, or rejects with it, unless the value of an Authorization header shows that its caller may call. */
  check(authorization: string | undefined): Caller | Promise<Caller>;

  /** Ends what it does by itself. */
  stop(): void;
}

/** All callers that are not told apart. */
export const ANONYMOUS: Caller = { id: 'anonymous' };

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
