import { createRemoteJWKSet, errors, jwtVerify } from 'jose';
import { ANONYMOUS, Authenticator, bearerOf, unauthenticated } from './authenticator';
import { ApiError } from '../wire/api-error';

/** Signatures that who can check them cannot make. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
/** How far the issuer's clock may be from the router's. */
const CLOCK_SKEW_SECONDS = 60;
const TIMEOUT_MILLIS = 5_000;

/** What is wrong with a token, as opposed to with its issuer. */
const OF_TOKEN = [
  errors.JWTExpired, errors.JWTClaimValidationFailed, errors.JWTInvalid, errors.JWSInvalid, errors.JWSSignatureVerificationFailed,
  errors.JOSEAlgNotAllowed, errors.JOSENotSupported, errors.JWKSNoMatchingKey, errors.JWKSMultipleMatchingKeys,
];

/** Who issues tokens, and for whom. */
export interface TokenIssuer {
  /** `iss` of the tokens. */
  readonly issuer: string;
  /** `aud` of the tokens. */
  readonly audience: string;
  /** Where the issuer's public keys are. */
  readonly jwksUrl?: string;
}

/**
 * Callers present a JSON Web Token of one issuer as `Authorization: Bearer <token>`. The issuer's public keys are cached; while they cannot be had,
 * callers are told that it is not their fault.
 */
export class JsonWebTokens implements Authenticator {
  public readonly kind = 'jwt';
  private readonly expected: TokenIssuer;
  private keys?: Promise<ReturnType<typeof createRemoteJWKSet>>;

  /**
   * @param expected whose tokens let a caller in.
   */
  constructor(expected: TokenIssuer) {
    this.expected = expected;
  }

  public async check(authorization: string | undefined): Promise<string> {
    const token = bearerOf(authorization);
    if (token === undefined) {
      throw unauthenticated('missing_token', 'the token is missing');
    }
    try {
      const { issuer, audience } = this.expected;
      this.keys ??= this.findKeys();
      const { payload } = await jwtVerify(token, await this.keys, {
        issuer, audience, algorithms: ALGORITHMS, clockTolerance: CLOCK_SKEW_SECONDS, requiredClaims: ['exp'],
      });
      return payload.sub ?? ANONYMOUS;
    } catch (e) {
      if (OF_TOKEN.some((kind) => e instanceof kind)) {
        throw unauthenticated('invalid_token', 'the token is not valid here');
      }
      throw new ApiError(503, 'server_error', 'issuer_unreachable', 'the keys of the tokens\' issuer cannot be had', { 'retry-after': '1' });
    }
  }

  public stop(): void {
    // it does nothing by itself.
  }

  /** The issuer's keys, where OpenID Connect Discovery says that they are unless it is known. */
  private async findKeys(): Promise<ReturnType<typeof createRemoteJWKSet>> {
    try {
      const url = this.expected.jwksUrl ?? await discover(this.expected.issuer);
      return createRemoteJWKSet(new URL(url), { timeoutDuration: TIMEOUT_MILLIS });
    } catch (e) {
      // the next caller asks again.
      this.keys = undefined;
      throw e;
    }
  }
}

async function discover(issuer: string): Promise<string> {
  const answer = await fetch(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, { signal: AbortSignal.timeout(TIMEOUT_MILLIS) });
  const { issuer: told, jwks_uri: url } = await answer.json() as { issuer?: unknown; jwks_uri?: unknown };
  if (told !== issuer || typeof url !== 'string') {
    throw new Error('the issuer tells of another');
  }
  return url;
}
