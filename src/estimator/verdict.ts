import { Range } from './estimate';

/** Whether a verdict, of an estimate or a simulation, says that the promise is kept, be it likely. */
export function isHeld({ verdict }: { readonly verdict: string }): boolean {
  return verdict === 'held' || verdict === 'likely held';
}

/** What an estimate says of a promise: its interval may lie on both sides of it. */
export function verdictOf({ value, low, high }: Range, promisedSeconds: number): string {
  const likely = value <= promisedSeconds ? 'held' : 'missed';
  return low <= promisedSeconds && promisedSeconds < high ? `likely ${likely}` : likely;
}
