import { Coefficients } from './coefficients';
import { Step, mixedStepSeconds, writingStep } from './mixed';
import { EngineShape, ModelShape } from './shapes';

/** Drafts of the next tokens that a step verifies. */
export interface Speculation {
  /** Tokens of a draft. */
  readonly draftTokens: number;
  /** Chance that a token of it is accepted if those before it are. */
  readonly acceptanceRate: number;
  /** Time to draft one token over that of a step without drafts. */
  readonly draftStepShare: number;
}

/** Tokens that a step writes of a sequence on average: the accepted part of the draft, and one more. */
export function tokensPerStep({ draftTokens, acceptanceRate }: Speculation): number {
  return acceptanceRate === 1 ? draftTokens + 1 : (1 - acceptanceRate ** (draftTokens + 1)) / (1 - acceptanceRate);
}

/** A step, and how often it is taken. */
export interface TakenStep {
  readonly step: Step;
  readonly times: number;
}

/**
 * What one step that drafts and verifies is made of: weights and caches are read once, and computed with for every token of the drafts, so that the gain
 * ends where a step is no longer bound by memory; each token is drafted in a share of a step without.
 */
export function speculativeSteps(batch: number, kvBytesPerSequence: number, { draftTokens, draftStepShare }: Speculation): TakenStep[] {
  return [
    { step: writingStep(batch * (draftTokens + 1), batch * kvBytesPerSequence), times: 1 },
    { step: writingStep(batch, batch * kvBytesPerSequence), times: draftTokens * draftStepShare },
  ];
}

/**
 * Seconds of one step that drafts and verifies.
 */
export function speculativeStepSeconds(
  model: ModelShape, engine: EngineShape, k: Coefficients, batch: number, kvBytesPerSequence: number, speculation: Speculation,
): number {
  return speculativeSteps(batch, kvBytesPerSequence, speculation)
    .reduce((sum, { step, times }) => sum + times * mixedStepSeconds(model, engine, k, step), 0);
}
