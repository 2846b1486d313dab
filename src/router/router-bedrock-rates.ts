import { Duration } from 'aws-cdk-lib';
import schema from './runtime/router-config.v1.schema.json';
import { secondsOf, SettingChecks } from './setting-checks';

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

/** Bedrock's rates as the service reads them. */
export function bedrockRatesOf({ perRequest, perThousandPromptTokens, perThousandOutputTokens }: RouterBedrockRates): object {
  return {
    fixedSeconds: secondsOf(perRequest),
    secondsPerPromptToken: perThousandPromptTokens === undefined ? 0 : secondsOf(perThousandPromptTokens) / 1000,
    stepSeconds: secondsOf(perThousandOutputTokens) / 1000,
    // one caller's requests there do not slow another's.
    stepSecondsPerSequence: 0,
  };
}

/** Refuses rates that the service would refuse, or that nothing is weighed by. */
export function checkBedrockRates(rates: RouterBedrockRates, weighsBedrock: boolean, checks: SettingChecks): void {
  const rule = 'RouterBedrockRates';
  if (!weighsBedrock) {
    checks.refuse(rule, 'bedrockRates', undefined, 'there is nothing to weigh', 'give a spec with an objective and a BedrockTarget among engines, or leave it out');
  }
  for (const name of ['perRequest', 'perThousandPromptTokens', 'perThousandOutputTokens'] as const) {
    checks.time(rule, `bedrockRates.${name}`, rates[name], schema.definitions.rates.properties.fixedSeconds);
  }
}
