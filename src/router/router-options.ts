import { Duration, Size } from 'aws-cdk-lib';

/**
 * Who issues the JSON Web Tokens that callers present.
 */
export interface RouterTokenIssuer {
  /** `iss` of the tokens, an `https://` URL. */
  readonly issuerUrl: string;

  /** `aud` of the tokens. */
  readonly audience: string;

  /**
   * Where the issuer's public keys are.
   *
   * @default - where OpenID Connect Discovery says
   */
  readonly jwksUrl?: string;

  /**
   * How far the issuer's clock may be from the tasks'.
   *
   * @default Duration.minutes(1)
   */
  readonly clockSkew?: Duration;
}

/**
 * What waits in a task while every engine is full. What is beyond is answered 429.
 */
export interface RouterQueue {
  /**
   * Requests that wait at once; 0 refuses at once.
   *
   * @default 1000
   */
  readonly maxRequests?: number;

  /**
   * Tokens of their prompts.
   *
   * @default 300000
   */
  readonly maxPromptTokens?: number;

  /**
   * Sum of their bodies. One is in memory about four times.
   *
   * @default Size.mebibytes(128)
   */
  readonly maxBodies?: Size;

  /**
   * Longest wait, which `firstTokenTimeout` bounds as well.
   *
   * @default Duration.seconds(30)
   */
  readonly maxWait?: Duration;
}

/**
 * What a request takes that Bedrock answers, as measured or contracted: no figure is published.
 */
export interface RouterBedrockRates {
  /** What every request takes, whatever its prompt. */
  readonly perRequest: Duration;

  /**
   * Time to read a thousand tokens of a prompt.
   *
   * @default Duration.millis(0)
   */
  readonly perThousandPromptTokens?: Duration;

  /** Time of a thousand tokens of an answer. */
  readonly perThousandOutputTokens: Duration;
}
