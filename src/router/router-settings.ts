import { Duration, Token, aws_secretsmanager as secretsmanager } from 'aws-cdk-lib';
import { RouterBedrockRates, RouterQueue, RouterTokenIssuer } from './router-options';
import { RouterValkey } from './router-valkey';
import { Problem } from '../problems';

/** What is passed to the service as it is given to the construct. */
export interface RouterSettings {
  readonly servedModelNames?: string[];
  readonly images?: boolean;
  readonly maxRequestsPerEngine?: number;
  readonly minPromptTokens?: number;
  readonly requestsPerMinutePerKey?: number;
  readonly tokensPerMinutePerKey?: number;
  readonly priorityCallers?: string[];
  readonly valkey?: RouterValkey;
  readonly queue?: RouterQueue;
  readonly tokenIssuer?: RouterTokenIssuer;
  readonly apiKeysSecret?: secretsmanager.ISecret;
  readonly bedrockRates?: RouterBedrockRates;
}

/** The issuer as the service reads it. */
export function issuerOf({ issuerUrl, audience, jwksUrl, clockSkew }: RouterTokenIssuer): object {
  return { issuer: issuerUrl, audience, jwksUrl, clockSkewSeconds: clockSkew?.toSeconds() };
}

/** The queue as the service reads it. */
export function queueOf({ maxRequests, maxPromptTokens, maxBodies, maxWait }: RouterQueue): object {
  return { maxRequests, maxPromptTokens, maxBytes: maxBodies?.toBytes(), maxWaitSeconds: maxWait && fractional(maxWait) };
}

/** Bedrock's rates as the service reads them. */
export function bedrockRatesOf({ perRequest, perThousandPromptTokens, perThousandOutputTokens }: RouterBedrockRates): object {
  return {
    fixedSeconds: fractional(perRequest),
    secondsPerPromptToken: perThousandPromptTokens === undefined ? 0 : fractional(perThousandPromptTokens) / 1000,
    stepSeconds: fractional(perThousandOutputTokens) / 1000,
    // one caller's requests there do not slow another's.
    stepSecondsPerSequence: 0,
  };
}

/**
 * What is wrong with the settings.
 *
 * @param settings what was given.
 * @param path path of the construct.
 * @param weighsBedrock whether there is a Bedrock to choose, and an objective to choose by.
 */
export function settingsProblems(settings: RouterSettings, path: string, weighsBedrock: boolean): Problem[] {
  const { valkey, queue = {}, tokenIssuer, apiKeysSecret, bedrockRates, requestsPerMinutePerKey, tokensPerMinutePerKey } = settings;
  const problems: Problem[] = [];
  const refuse = (rule: string, where: string, value: unknown, message: string, mend: string) =>
    problems.push({ rule, path: `${path}.${where}`, ...(value === undefined ? {} : { value: JSON.stringify(value) }), message, mend });
  for (const [where, limit] of Object.entries({ requestsPerMinutePerKey, tokensPerMinutePerKey })) {
    if (limit !== undefined && !Token.isUnresolved(limit) && !(limit >= 1 && limit < Infinity)) {
      refuse('RouterRateLimit', where, limit, 'this is no limit', 'give a number from 1 on, or leave it out for no limit');
    }
  }
  if (valkey !== undefined && requestsPerMinutePerKey === undefined && tokensPerMinutePerKey === undefined) {
    refuse('RouterValkeyUnused', 'valkey', undefined, 'there is no limit to share', 'give requestsPerMinutePerKey or tokensPerMinutePerKey, or leave valkey out');
  }
  for (const [where, least] of [['maxRequests', 0], ['maxPromptTokens', 1]] as const) {
    const bound = queue[where];
    if (bound !== undefined && !Token.isUnresolved(bound) && !(Number.isInteger(bound) && bound >= least)) {
      refuse('RouterQueue', `queue.${where}`, bound, 'the bound is not a whole number', `give one from ${least} on`);
    }
  }
  if (queue.maxWait !== undefined && !queue.maxWait.isUnresolved() && !(fractional(queue.maxWait) > 0)) {
    refuse('RouterQueue', 'queue.maxWait', fractional(queue.maxWait), 'nothing could wait', 'give a time, or maxRequests 0');
  }
  if (tokenIssuer !== undefined && apiKeysSecret !== undefined) {
    refuse('RouterAuthTwice', 'tokenIssuer', undefined, 'callers prove who they are in exactly one way', 'give one of apiKeysSecret and tokenIssuer');
  }
  for (const name of ['issuerUrl', 'jwksUrl'] as const) {
    const url = tokenIssuer?.[name];
    if (url !== undefined && !Token.isUnresolved(url) && !(URL.canParse(url) && new URL(url).protocol === 'https:')) {
      refuse('RouterTokenIssuer', `tokenIssuer.${name}`, url, 'whoever is on the way could let anybody in', 'give a URL with https://');
    }
  }
  if (bedrockRates !== undefined && !weighsBedrock) {
    refuse('RouterBedrockRates', 'bedrockRates', undefined, 'there is nothing to weigh', 'give a spec with an objective and a BedrockTarget among engines, or leave it out');
  }
  return problems;
}

function fractional(duration: Duration): number {
  return duration.toSeconds({ integral: false });
}
