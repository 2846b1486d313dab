import { Refusal, RejectedCandidate } from '../estimate';
import { fleetPrice } from '../report';
import { Counts, Service } from '../service';

/** Most instances of a pool that are considered. */
export const MAX_INSTANCES = 1000;
const LARGEST: Counts = { prefill: MAX_INSTANCES, decode: MAX_INSTANCES };

/** Most rejected candidates that are told. */
const MAX_REJECTED = 20;

/** How far from the chosen counts rejected ones are looked for. */
const NEIGHBOURS = 4;

/** Who says which fleets of a service hold the objective with the headroom of its spec. */
export interface Judge {
  /** Whether one does. */
  suffices(counts: Counts): boolean;
  /** Why one does not that does not suffice. */
  insufficiency(counts: Counts): Refusal;
}

/** The fleets of a service by the closed form; where bursts outrun the slots, so that only a simulation tells, what seems good is believed or not. */
export function closedForm(service: Service, isBelieved: boolean): Judge {
  return {
    suffices: ({ prefill, decode }) => service.suffices(prefill, decode) ?? isBelieved,
    insufficiency: ({ prefill, decode }) => service.insufficiency(prefill, decode)!,
  };
}

/**
 * The cheapest counts that hold the objective with the headroom of the spec, at the centre of the coefficients; counts that the spec gives are kept.
 *
 * More instances never hurt: the fewest decode instances that do beside all prefill instances are found by bisection from the fewest that are stable, and each
 * further one lowers the fewest prefill instances beside them, until these fall no more. Where a price is missing, the fewest instances in all are the cheapest.
 *
 * @param largest how many instances of each pool there may be.
 * @returns undefined if no fleet of so many instances holds it.
 */
export function cheapest(service: Service, judge: Judge, largest = LARGEST): Counts | undefined {
  const { prefill: prefills, decode: decodes } = rangesOf(service, largest);
  if (!judge.suffices({ prefill: prefills.most, decode: decodes.most })) {
    return undefined;
  }
  const stable = service.fewestStable();
  const stableOf = (count: number, { least, most }: CountRange) => ({ least: Math.min(most, Math.max(least, count)), most });
  const first = fewest(stableOf(stable.decode, decodes), (decode) => judge.suffices({ prefill: prefills.most, decode }));
  const least = fewest(stableOf(stable.prefill, prefills), (prefill) => judge.suffices({ prefill, decode: decodes.most }));
  let best: Counts | undefined;
  let prefill = prefills.most;
  for (let decode = first; decode <= decodes.most; decode++) {
    if (best !== undefined && !cheaper(service, { prefill: least, decode }, best)) {
      break;
    }
    prefill = fewest({ least, most: prefill }, (count) => judge.suffices({ prefill: count, decode }));
    if (best === undefined || cheaper(service, { prefill, decode }, best)) {
      best = { prefill, decode };
    }
    if (prefill === least) {
      break;
    }
  }
  return best;
}

/**
 * Fleets beside the chosen one that were not chosen, the nearest first, and of those the cheapest.
 */
export function rejectedNear(service: Service, judge: Judge, chosen: Counts): RejectedCandidate[] {
  const { prefill: prefills, decode: decodes } = rangesOf(service, LARGEST);
  const candidates: (Counts & { readonly distance: number; readonly cost: number })[] = [];
  for (const decode of around(chosen.decode, decodes, NEIGHBOURS)) {
    for (const prefill of around(chosen.prefill, prefills, NEIGHBOURS)) {
      const distance = Math.abs(decode - chosen.decode) + Math.abs(prefill - chosen.prefill);
      if (distance > 0) {
        candidates.push({ prefill, decode, distance, cost: weight(service, { prefill, decode }) });
      }
    }
  }
  return candidates
    .sort((a, b) => a.distance - b.distance || a.cost - b.cost || a.prefill - b.prefill)
    .slice(0, MAX_REJECTED)
    .map(({ prefill, decode }) => candidate(service, judge, { prefill, decode }, chosen));
}

/**
 * Why even the largest fleet is not enough.
 */
export function hopeless(service: Service, judge: Judge): { readonly refusal: Refusal; readonly rejected: RejectedCandidate[] } {
  const { prefill: { most: prefill }, decode: { most: decode } } = rangesOf(service, LARGEST);
  const largest = { prefill, decode };
  const { kind, reason, stage, shortfalls } = judge.insufficiency(largest);
  const fleet = service.aggregated ? `${largest.decode} instances` : `${largest.prefill} prefill and ${largest.decode} decode`;
  return {
    refusal: {
      kind,
      stage,
      ...shortfalls && { shortfalls },
      reason: `even with ${fleet} ${reason}`,
      mend: kind === 'unstable' ? `lower the rate, use larger hardware, or give counts above ${MAX_INSTANCES}, the most that is planned` : 'relax the objective, shorten the requests or use faster hardware',
    },
    rejected: [candidate(service, judge, largest, largest)],
  };
}

function candidate(service: Service, judge: Judge, counts: Counts, chosen: Counts): RejectedCandidate {
  const usdPerHour = fleetPrice(service, counts.prefill, counts.decode);
  const fleet = service.aggregated ? `${counts.decode} instances` : `${counts.prefill} prefill, ${counts.decode} decode`;
  const more = weight(service, counts) > weight(service, chosen) ? 'costs more' : 'costs no less';
  return {
    prefillInstances: counts.prefill,
    decodeInstances: counts.decode,
    tensorParallelDegree: service.resolved.decode.tensorParallelDegree,
    ...(usdPerHour !== undefined && { usdPerHour }),
    reason: `${fleet}: ${judge.suffices(counts) ? `holds the objective but ${more}` : judge.insufficiency(counts).reason}`,
  };
}

/** Counts from which to which a pool may have. */
interface CountRange {
  readonly least: number;
  readonly most: number;
}

/** What the spec leaves open of the counts of both pools. */
function rangesOf(service: Service, largest: Counts): { readonly prefill: CountRange; readonly decode: CountRange } {
  const range = (given: number | undefined, most: number) => ({ least: given ?? 1, most: given ?? most });
  const { prefill, decode } = service.spec;
  return {
    prefill: prefill === undefined ? { least: 0, most: 0 } : range(prefill.instances, largest.prefill),
    decode: range(decode.instances, largest.decode),
  };
}

/** Counts of a range that are at most `distance` from one of them. */
function around(count: number, { least, most }: CountRange, distance: number): number[] {
  const from = Math.max(least, count - distance);
  return Array.from({ length: Math.min(most, count + distance) - from + 1 }, (_, i) => from + i);
}

// the first count that holds, where the last does and every count above one that holds does too: it is looked for in growing steps, as it is seldom far
function fewest({ least, most }: CountRange, holds: (count: number) => boolean): number {
  let low = least;
  let high = least;
  for (let step = 1; high < most && !holds(high); step *= 2) {
    low = high + 1;
    high = Math.min(most, high + step);
  }
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
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
