import { Coefficients } from './coefficients';
import { communicationSeconds } from './communication';
import { decodeStepSeconds } from './decode';
import { kvSeconds, layerSeconds } from './mixed';
import { weightSeconds } from './roofline';
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

/**
 * Seconds of one step that drafts and verifies: weights and caches are read once, and computed with for every token of the drafts, so that the gain
 * ends where a step is no longer bound by memory.
 */
export function speculativeStepSeconds(
  model: ModelShape, engine: EngineShape, k: Coefficients, batch: number, kvBytesPerSequence: number, speculation: Speculation,
): number {
  const { draftTokens, draftStepShare } = speculation;
  const tokens = batch * (draftTokens + 1);
  return weightSeconds(model, engine, k, tokens, tokens) + kvSeconds(engine, k, batch * kvBytesPerSequence)
    + layerSeconds(model, k, tokens, 0) + communicationSeconds(model, engine, k, tokens) + k.engineStepSeconds
    + draftTokens * draftStepShare * decodeStepSeconds(model, engine, k, batch, kvBytesPerSequence);
}
