import { Duration, Token } from 'aws-cdk-lib';
import schema from './runtime/router-config.v1.schema.json';
import { secondsOf, SettingChecks } from './setting-checks';

/**
 * Who issues the JSON Web Tokens that callers present. The tasks may connect to the ports of its URLs, and to 443: give `jwksUrl` where Discovery tells of keys at
 * another port, which is not known before the tasks run. Their log names what they cannot reach.
 */
export interface RouterTokenIssuer {
  /** `iss` of the tokens, an `https://` URL. */
  readonly issuerUrl: string;

  /** `aud` of the tokens; of those that have none, such as access tokens of Amazon Cognito, `client_id` or `azp`. */
  readonly audience: string;

  /**
   * Where the issuer's public keys are, an `https://` URL.
   *
   * @default - where OpenID Connect Discovery says
   */
  readonly jwksUrl?: string;

  /**
   * How far the issuer's clock may be from the tasks', at most 10 minutes.
   *
   * @default Duration.minutes(1)
   */
  readonly clockSkew?: Duration;
}

/** The issuer as the service reads it. */
export function issuerOf({ issuerUrl, audience, jwksUrl, clockSkew }: RouterTokenIssuer): object {
  return { issuer: issuerUrl, audience, jwksUrl, clockSkewSeconds: clockSkew && secondsOf(clockSkew) };
}

/** Refuses an issuer that the service would refuse, or that cannot be trusted. */
export function checkIssuer(issuer: RouterTokenIssuer, checks: SettingChecks): void {
  const rule = 'RouterTokenIssuer';
  for (const name of ['issuerUrl', 'jwksUrl'] as const) {
    const url = issuer[name];
    if (url !== undefined && !Token.isUnresolved(url) && !(URL.canParse(url) && new URL(url).protocol === 'https:')) {
      checks.refuse(rule, `tokenIssuer.${name}`, url, 'whoever is on the way could let anybody in', 'give a URL with https://');
    }
  }
  checks.text(rule, 'tokenIssuer.audience', issuer.audience, 'give the aud of the tokens');
  checks.time(rule, 'tokenIssuer.clockSkew', issuer.clockSkew, schema.definitions.auth.properties.jwt.properties.clockSkewSeconds);
}
