import { BatchMeans } from './batch-means';
import { SimulatedSteadiness } from './simulation';

/** How far the mean time to first token of a run may be off that tells what to expect, as a share of it. */
export const STEADY_ERROR_SHARE = 0.1;

/** Whether a run was long enough, by the times to first token of its parts; undefined of one with fewer requests than parts. */
export function steadinessOf({ errorShare }: BatchMeans, requests: number): SimulatedSteadiness | undefined {
  if (errorShare === undefined) {
    return undefined;
  }
  if (errorShare <= STEADY_ERROR_SHARE) {
    return { ttftErrorShare: errorShare, isSteady: true };
  }
  // the error falls with the root of the requests; to one digit, as it is no better known
  const needed = requests * (errorShare / STEADY_ERROR_SHARE) ** 2;
  const unit = 10 ** (String(Math.ceil(needed)).length - 1);
  return { ttftErrorShare: errorShare, isSteady: false, requestsNeeded: Math.ceil(needed / unit) * unit };
}
