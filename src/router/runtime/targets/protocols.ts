import type { Probe } from './endpoint';
import type { TargetConfig } from '../config';

/** What a protocol that engines speak says of them. */
export interface Protocol {
  /** Whether they are somebody else's service: it reads prompts and answers by itself, and nothing says how much it takes at once. */
  readonly isHosted: boolean;
  /** Whether they are Bedrock's: requests are signed with the AWS credentials of the environment, and those of Bedrock's own API passed on as they came. */
  readonly isBedrock: boolean;
  /** How to learn whether one can answer. */
  readonly probe: Probe;
  /** Paths of requests that there is nothing at, those of Bedrock's own API aside. */
  readonly missing: readonly string[];
}

/** The protocols, by their names in a configuration. Its schema says which settings each has. */
export const PROTOCOLS: { readonly [protocol in TargetConfig['protocol']]: Protocol } = {
  openai: {
    isHosted: false,
    isBedrock: false,
    probe: { path: '/health', refusals: [] },
    missing: [],
  },
  cerebras: {
    isHosted: true,
    isBedrock: false,
    // it has no health to ask for, but tells whether the API key is good, and paid for.
    probe: { path: '/v1/models', refusals: [401, 402, 403] },
    missing: ['/tokenize'],
  },
  bedrock: {
    isHosted: true,
    isBedrock: true,
    // it has none either: any answer below 500 says that it is there.
    probe: { path: '/health', refusals: [] },
    missing: ['/v1/completions'],
  },
};
