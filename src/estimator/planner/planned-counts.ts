import { EstimateOutcome, Refusal, RejectedCandidate } from '../estimate';
import { estimateAt } from '../report';
import { Counts, Service } from '../service';
import { ConfirmedFleets } from './confirmation';
import { cheapest, hopeless } from './counts';

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
 * The counts of the spec if it gives all of them, else the cheapest that hold its objective.
 */
export function plannedCounts(service: Service): PlannedCounts {
  const given = service.givenCounts;
  if (given !== undefined) {
    return { counts: given };
  }
  const fleets = new ConfirmedFleets(service);
  const counts = cheapest(service, fleets);
  return counts === undefined ? { counts, ...hopeless(service, fleets) } : { counts, fleets };
}

/** What to expect of a service at its counts. */
export function plannedEstimate(service: Service, planned: PlannedCounts): EstimateOutcome {
  if (planned.counts === undefined) {
    return { refusal: planned.refusal };
  }
  return planned.fleets === undefined ? estimateAt(service, planned.counts) : planned.fleets.estimate(planned.counts);
}
