import { Range } from './estimate';

/** The promise is kept. */
export const HELD = 'held';

/** The promise is not kept. */
export const MISSED = 'missed';

/** Only a simulation can tell. */
export const UNKNOWN = 'unknown';

/** Whether a verdict, of an estimate or a simulation, says that the promise is kept, be it likely. */
export function isHeld({ verdict }: { readonly verdict: string }): boolean {
  return verdict === HELD || verdict === likely(HELD);
}

/** Whether a verdict says anything of the promise. */
export function isKnown({ verdict }: { readonly verdict: string }): boolean {
  return verdict !== UNKNOWN;
}

/** What an estimate says of a promise: its interval may lie on both sides of it. */
export function verdictOf({ value, low, high }: Range, promisedSeconds: number): string {
  const ofCentre = value <= promisedSeconds ? HELD : MISSED;
  return low <= promisedSeconds && promisedSeconds < high ? likely(ofCentre) : ofCentre;
}

function likely(verdict: string): string {
  return `likely ${verdict}`;
}
