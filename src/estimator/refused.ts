import { EstimateOutcome, Refusal } from './estimate';

/** Thrown inside this room where there is no basis for an estimate; becomes the outcome's refusal. */
export class Refused extends Error {
  constructor(public readonly refusal: Refusal) {
    super(refusal.reason);
  }
}

/** The outcome of a refusal that was thrown; other errors pass. */
export function refusalOf(error: unknown): EstimateOutcome {
  if (error instanceof Refused) {
    return { refusal: error.refusal };
  }
  throw error;
}
