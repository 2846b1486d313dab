import { Problem } from '../problems';

/** Most tokens that a length may have: no model reads more, so a larger one is a unit or a column mixed up. */
export const MAX_TOKENS = 10_000_000;

/** Tokens that one id in `hash_ids` stands for (Mooncake FAST25 traces, README). */
export const PREFIX_BLOCK_TOKENS = 512;
/** Most seconds between the first arrival and the last: some thirty years, so a longer span is a unit mixed up. */
export const MAX_SPAN_SECONDS = 1_000_000_000;

/** What is wrong with a factor that a rate is to be multiplied by. */
export function factorProblems(factor: number): Problem[] {
  return Number.isFinite(factor) && factor > 0 ? [] : [{
    rule: 'WorkloadFactorNotPositive',
    path: 'factor',
    value: String(factor),
    message: 'the factor is not a finite number above 0',
    mend: 'give the new rate over the present one',
  }];
}
