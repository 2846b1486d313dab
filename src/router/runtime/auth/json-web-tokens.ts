import { performance } from 'node:perf_hooks';
import { createRemoteJWKSet, errors, JWTPayload, jwtVerify } from 'jose';
import type { Logger } from 'pino';
import { ANONYMOUS, Authenticator, bearerOf, Caller, unauthenticated } from './authenticator';
import { TokenIssuer } from '../config';
import { ApiError } from '../wire/api-error';

/** Signatures that who can check them cannot make. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
const TIMEOUT_MILLIS = 5_000;
/** How old the issuer's keys are when it is asked for them again, and how often it is then, and for how long they count if it does not answer. */
const FRESH_MILLIS = 10 * 60_000;
const RETRY_MILLIS = 30_000;
const KEPT_MILLIS = 4 * 3_600_000;

/** Of jose's errors, those of an issuer that cannot be asked, or answers something else. */
const UNREACHABLE = new Set([errors.JWKSTimeout.code, errors.JWKSInvalid.code, errors.JOSEError.code]);

/** What fetching and jose fail with. */
type Failure = Error & { readonly cause?: { readonly code?: string }; readonly code?: string };

type Keys = ReturnType<typeof createRemoteJWKSet>;

/**
 * Callers present a JSON Web Token of one issuer as `Authorization: Bearer <token>`. The issuer's public keys are asked for now and then, and last for hours if
 * it does not answer; while none are known, callers are told that it is not their fault.
 */
export class JsonWebTokens implements Authenticator {
  public readonly kind = 'jwt';
  private readonly expected: TokenIssuer;
  private readonly log: Logger;
  private keys?: Promise<Keys>;
  /** What was asked last, which may be at a host and port that the issuer alone tells. */
  private askedUrl?: string;
  private isReached = true;
  /** When the issuer last told its keys, and when it was last asked for them beside. */
  private toldMillis = -Infinity;
  private askedMillis = -Infinity;

  /**
   * @param expected whose tokens let a caller in.
   * @param log is told where the issuer's keys cannot be had.
   */
  constructor(expected: TokenIssuer, log: Logger) {
    this.expected = expected;
    this.log = log;
  }

  public async check(authorization: string | undefined): Promise<Caller> {
    const token = bearerOf(authorization);
    if (token === undefined) {
      throw unauthenticated('missing_token', 'the token is missing');
    }
    const claims = await this.claims(token, await this.knownKeys());
    const { sub: subject = clientOf(claims) } = claims;
    if (subject === undefined) {
      return ANONYMOUS;
    }
    // jose does not look at it: a list of names would be nobody's share.
    if (typeof subject !== 'string') {
      throw invalidToken();
    }
    return { id: subject, name: subject };
  }

  public stop(): void {
    // it does nothing by itself.
  }

  /** The issuer's keys. Rejects with ApiError while they cannot be had and none are known. */
  private async knownKeys(): Promise<Keys> {
    try {
      this.keys ??= this.findKeys();
      const keys = await this.keys;
      const now = performance.now();
      if (now - this.toldMillis >= KEPT_MILLIS) {
        await this.reload(keys);
      } else if (now - this.toldMillis >= FRESH_MILLIS && now - this.askedMillis >= RETRY_MILLIS) {
        this.askedMillis = now;
        this.reload(keys).catch((error: Failure) => void this.unreachable(error));
      }
      return keys;
    } catch (e) {
      throw this.unreachable(e as Failure);
    }
  }

  private async reload(keys: Keys): Promise<void> {
    await keys.reload();
    this.toldMillis = performance.now();
    this.isReached = true;
  }

  private unreachable({ cause, code, message }: Failure): ApiError {
    if (this.isReached) {
      this.isReached = false;
      this.log.warn({ url: this.askedUrl, error: cause?.code ?? code ?? message }, 'the keys of the tokens\' issuer cannot be had');
    }
    return new ApiError(503, 'server_error', 'issuer_unreachable', 'the keys of the tokens\' issuer cannot be had', { 'retry-after': '1' });
  }

  /** What a token says. Rejects with ApiError, whatever is wrong: the key that it names may be none of the issuer's, or one that nobody should trust. */
  private async claims(token: string, keys: Keys): Promise<JWTPayload> {
    const { issuer, audience, clockSkewSeconds } = this.expected;
    try {
      const { payload } = await jwtVerify(token, keys, { issuer, algorithms: ALGORITHMS, clockTolerance: clockSkewSeconds, requiredClaims: ['exp'] });
      if (isFor(audience, payload)) {
        return payload;
      }
    } catch (e) {
      // a token may name a key that is not known yet, for which the issuer is asked anew; what cannot be fetched has a cause.
      const failure = e as Failure;
      if (e instanceof errors.JOSEError ? UNREACHABLE.has(e.code) : failure.cause !== undefined) {
        throw this.unreachable(failure);
      }
    }
    throw invalidToken();
  }

  /** Where the issuer's keys are: where OpenID Connect Discovery says it, unless it is known. */
  private async findKeys(): Promise<Keys> {
    try {
      const { issuer, jwksUrl } = this.expected;
      this.askedUrl = jwksUrl ?? `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
      this.askedUrl = jwksUrl ?? await discover(issuer, this.askedUrl);
      return createRemoteJWKSet(new URL(this.askedUrl), { timeoutDuration: TIMEOUT_MILLIS, cacheMaxAge: Infinity });
    } catch (e) {
      // the next caller asks again.
      this.keys = undefined;
      throw e;
    }
  }
}

/** Whether a token is for an audience: one that names none is for the client that it was issued to, which only an access token may leave at that. */
function isFor(audience: string, claims: JWTPayload): boolean {
  const { aud, token_use: use = 'access' } = claims;
  return aud === undefined ? use === 'access' && clientOf(claims) === audience : [aud].flat().includes(audience);
}

/** Who a token was issued to: `client_id` of access tokens by RFC 9068 and of Amazon Cognito's, `azp` of others. */
function clientOf({ client_id: client, azp }: JWTPayload): unknown {
  return client ?? azp;
}

function invalidToken(): ApiError {
  return unauthenticated('invalid_token', 'the token is not valid here');
}

async function discover(issuer: string, at: string): Promise<string> {
  const answer = await fetch(at, { signal: AbortSignal.timeout(TIMEOUT_MILLIS) });
  const { issuer: told, jwks_uri: url } = await answer.json() as { issuer?: unknown; jwks_uri?: unknown };
  if (told !== issuer || typeof url !== 'string') {
    throw new Error('the issuer tells of another');
  }
  return url;
}
