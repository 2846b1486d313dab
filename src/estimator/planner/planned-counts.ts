import { EstimateOutcome, Refusal, RejectedCandidate } from '../estimate';
import { estimateAt } from '../report';
import { Counts, Service } from '../service';
import { ConfirmedFleets } from './confirmation';
import { cheapest, closedForm, hopeless, MAX_INSTANCES } from './counts';

/** The counts of a service, with the fleets that they were chosen from unless its spec gives them; or why none hold its objective. */
export type PlannedCounts = {
  readonly counts: Counts;
  readonly fleets?: ConfirmedFleets;
} | {
  readonly counts: undefined;
  readonly refusal: Refusal;
  readonly rejected: RejectedCandidate[];
};

/**
 * The counts of the spec if it gives all of them, else the cheapest that hold its objective: of the fleets up to those that the closed form finds, by simulation,
 * or of larger ones if none of these holds it.
 */
export function plannedCounts(service: Service): PlannedCounts {
  const given = service.givenCounts;
  if (given !== undefined) {
    return { counts: given };
  }
  const bracket = cheapest(service, closedForm(service, true));
  if (bracket === undefined) {
    return { counts: undefined, ...hopeless(service, closedForm(service, true)) };
  }
  const fleets = new ConfirmedFleets(service);
  let largest = bracket;
  for (let before = 0; size(largest) > before;) {
    const counts = cheapest(service, fleets, largest);
    if (counts !== undefined) {
      return { counts, fleets };
    }
    before = size(largest);
    largest = { prefill: larger(largest.prefill), decode: larger(largest.decode) };
  }
  return { counts: undefined, ...hopeless(service, fleets) };
}

function larger(count: number): number {
  return Math.min(MAX_INSTANCES, count + Math.ceil(count / 2));
}

function size({ prefill, decode }: Counts): number {
  return prefill + decode;
}

/** What to expect of a service at its counts. */
export function plannedEstimate(service: Service, planned: PlannedCounts): EstimateOutcome {
  if (planned.counts === undefined) {
    return { refusal: planned.refusal };
  }
  return planned.fleets === undefined ? estimateAt(service, planned.counts) : planned.fleets.estimate(planned.counts);
}
