import { Refusal, RejectedCandidate } from './estimate';
import { fleetPrice } from './report';
import { Service } from './service';

/** Most instances of a pool that are considered. */
export const MOST_INSTANCES = 64;

/** Most rejected candidates that are told. */
const MOST_REJECTED = 20;

/** Counts of a fleet; prefill is 0 in aggregated serving. */
export interface Counts {
  readonly prefill: number;
  readonly decode: number;
}

/**
 * The cheapest counts that hold the objective at the centre of the coefficients; counts that the spec gives are kept.
 *
 * More instances never hurt, so for each decode count the fewest prefill instances are found by bisection. Where a price is missing, the
 * fewest instances in all are the cheapest.
 *
 * @returns undefined if no fleet up to 64 instances a pool holds it.
 */
export function cheapest(service: Service): Counts | undefined {
  const decodes = choices(service.spec.decode.instances);
  const prefills = service.aggregated ? [0] : choices(service.spec.prefill!.instances);
  let best: Counts | undefined;
  for (const decode of decodes) {
    if (best !== undefined && !cheaper(service, { prefill: prefills[0], decode }, best)) {
      break;
    }
    const prefill = fewest(service, prefills, decode);
    if (prefill !== undefined && (best === undefined || cheaper(service, { prefill, decode }, best))) {
      best = { prefill, decode };
    }
  }
  return best;
}

/**
 * Fleets beside the chosen one that were not chosen, the nearest first, and of those the cheapest.
 */
export function rejected(service: Service, chosen: Counts): RejectedCandidate[] {
  const around = (count: number, given: number | undefined) => (
    given !== undefined ? [count] : choices(undefined).filter((other) => Math.abs(other - count) <= 4)
  );
  const candidates: (Counts & { readonly distance: number; readonly cost: number })[] = [];
  for (const decode of around(chosen.decode, service.spec.decode.instances)) {
    for (const prefill of service.aggregated ? [0] : around(chosen.prefill, service.spec.prefill!.instances)) {
      const distance = Math.abs(decode - chosen.decode) + Math.abs(prefill - chosen.prefill);
      if (distance > 0) {
        candidates.push({ prefill, decode, distance, cost: weight(service, { prefill, decode }) });
      }
    }
  }
  return candidates
    .sort((a, b) => a.distance - b.distance || a.cost - b.cost || a.prefill - b.prefill)
    .slice(0, MOST_REJECTED)
    .map(({ prefill, decode }) => candidate(service, { prefill, decode }, chosen));
}

/**
 * Why even the largest fleet is not enough.
 */
export function hopeless(service: Service): { readonly refusal: Refusal; readonly rejected: RejectedCandidate[] } {
  const largest = {
    prefill: service.aggregated ? 0 : service.spec.prefill!.instances ?? MOST_INSTANCES,
    decode: service.spec.decode.instances ?? MOST_INSTANCES,
  };
  service.solve(largest.prefill, largest.decode);
  const { kind, reason, stage } = service.shortcoming()!;
  const fleet = service.aggregated ? `${largest.decode} instances` : `${largest.prefill} prefill and ${largest.decode} decode`;
  return {
    refusal: {
      kind,
      stage,
      reason: `even with ${fleet} ${reason}`,
      mend: kind === 'unstable' ? `lower the rate, use larger hardware, or give counts above ${MOST_INSTANCES}, the most that is planned` : 'relax the objective, shorten the requests or use faster hardware',
    },
    rejected: [candidate(service, largest, largest)],
  };
}

function candidate(service: Service, counts: Counts, chosen: Counts): RejectedCandidate {
  service.solve(counts.prefill, counts.decode);
  const usdPerHour = fleetPrice(service, counts.prefill, counts.decode);
  const fleet = service.aggregated ? `${counts.decode} instances` : `${counts.prefill} prefill, ${counts.decode} decode`;
  const more = weight(service, counts) > weight(service, chosen) ? 'costs more' : 'costs no less';
  return {
    prefillInstances: counts.prefill,
    decodeInstances: counts.decode,
    tensorParallelDegree: service.resolved.decode.tensorParallelDegree,
    ...(usdPerHour !== undefined && { usdPerHour }),
    reason: `${fleet}: ${service.shortcoming()?.reason ?? `holds the objective but ${more}`}`,
  };
}

function choices(given: number | undefined): number[] {
  return given === undefined ? Array.from({ length: MOST_INSTANCES }, (_, i) => i + 1) : [given];
}

function fewest(service: Service, prefills: number[], decode: number): number | undefined {
  const holds = (index: number) => {
    service.solve(prefills[index], decode);
    return service.holds;
  };
  let high = prefills.length - 1;
  if (!holds(high)) {
    return undefined;
  }
  let low = 0;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return prefills[low];
}

// price, or instances where a price is missing
function weight(service: Service, counts: Counts): number {
  return fleetPrice(service, counts.prefill, counts.decode) ?? counts.prefill + counts.decode;
}

// cheaper, or as cheap with fewer instances
function cheaper(service: Service, a: Counts, b: Counts): boolean {
  const difference = weight(service, a) - weight(service, b);
  return difference < 0 || (difference === 0 && a.prefill + a.decode < b.prefill + b.decode);
}
