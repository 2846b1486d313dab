import { END_TO_END, TPOT, TTFT } from '../closed-form';
import { poolPrice } from '../cost';
import { DeploymentSpec, PoolSpec } from '../deployment-spec';
import { SHARES } from '../queueing/spread-mixture';
import { Refused } from '../refused';
import { fleetPrice } from '../report';
import { Counts, Service } from '../service';
import { ConfirmedFleets } from './confirmation';
import { cheapest, closedForm, hopeless } from './counts';
import { FleetCandidate, FleetPool, RejectedConfiguration } from './fleet-search';

/** How many instances more than the cheapest of a combination each pool may have. */
const NEIGHBOURS = [-2, -1, 0, 1, 2];

/** Fleets that cost more than this multiple of the cheapest are not looked at: who looks for fleets for little money has no use for them. */
const DEAREST = 3;

/** A dearer fleet is worth telling if it answers in this share of the time at most. */
const CLEARLY_SOONER = 0.95;

/** Most simulations of a search. */
const MAX_SIMULATIONS = 40;

/** A combination with the cheapest counts that the closed form finds. */
interface Found {
  readonly service: Service;
  /** Its fleets, with what the simulation said of those that it was asked about. */
  readonly fleets: ConfirmedFleets;
  readonly counts: Counts;
  readonly usdPerHour: number;
  /** What no fleet around these counts answers sooner than, in seconds end to end: the time of the largest. */
  readonly soonestSeconds: number;
}

/** Counts of a combination, and what they cost. */
interface PricedCounts {
  readonly found: Found;
  readonly counts: Counts;
  readonly usdPerHour: number;
}

/** A fleet of a combination. */
interface Fleet {
  readonly found: Found;
  readonly counts: Counts;
  readonly candidate: FleetCandidate;
}

/** The front with the services that it was found by, and what is not on it. */
export interface Searched {
  readonly front: Fleet[];
  readonly rejected: RejectedConfiguration[];
}

/**
 * Looks for the fleets that no cheaper one beats, among all combinations.
 *
 * The closed form finds the cheapest counts of each combination and the fleets around them. In the order of their prices, of equal ones the soonest first,
 * these are confirmed by simulation, if that is wanted, and each is kept that answers clearly sooner than all that were kept before it.
 */
export function search(specs: readonly DeploymentSpec[], simulate: boolean): Searched {
  const { found, rejected } = cheapestOfEach(specs, simulate);
  const front: Fleet[] = [];
  let simulations = 0;
  let soonest = Infinity;
  const isSooner = (seconds: number) => seconds <= CLEARLY_SOONER * soonest;
  const mayHold = ({ found: { service, fleets }, counts }: Fleet) => (
    simulate ? fleets.isInReach(counts) : service.suffices(counts.prefill, counts.decode) === true);
  for (const fleet of inOrderOfPrice(found, ({ soonestSeconds }) => isSooner(soonestSeconds))) {
    const { found: { fleets }, counts, candidate } = fleet;
    if (!isSooner(candidate.endToEndSeconds) || fleets.shortcoming(counts) !== undefined || !mayHold(fleet)) {
      continue;
    }
    if (simulate && simulations++ === MAX_SIMULATIONS) {
      break;
    }
    const { verdicts, shortcoming } = simulate ? fleets.confirm(counts) : { verdicts: [], shortcoming: undefined };
    if (shortcoming === undefined) {
      front.push({ ...fleet, candidate: { ...candidate, simulated: verdicts } });
      soonest = candidate.endToEndSeconds;
    }
  }
  const kept = new Set(front.map((fleet) => fleet.found));
  const beaten = found.filter((each) => !kept.has(each)).map(({ service, fleets, counts, usdPerHour }): RejectedConfiguration => ({
    ...poolsOf(service.spec, counts),
    usdPerHour,
    reason: fleets.lastShortcoming ?? 'holds the objective, but a cheaper fleet answers as soon',
  }));
  return { front, rejected: [...beaten.sort((a, b) => a.usdPerHour! - b.usdPerHour!), ...rejected] };
}

// the cheapest counts of every combination that is not far dearer than the cheapest of all
function cheapestOfEach(
  specs: readonly DeploymentSpec[], simulate: boolean,
): { readonly found: Found[]; readonly rejected: RejectedConfiguration[] } {
  const rejected: RejectedConfiguration[] = [];
  const found: Found[] = [];
  let cheapestUsd = Infinity;
  for (const { service, usdPerHour: atLeast } of priced(specs, rejected)) {
    if (atLeast > DEAREST * cheapestUsd) {
      rejected.push({ ...poolsOf(service.spec), usdPerHour: atLeast, reason: `costs at least this, more than ${DEAREST} times the cheapest` });
      continue;
    }
    // of what only a simulation tells the good is believed where one follows
    const judge = closedForm(service, simulate);
    const counts = cheapest(service, judge);
    if (counts === undefined) {
      rejected.push({ ...poolsOf(service.spec), reason: hopeless(service, judge).refusal.reason });
      continue;
    }
    const usdPerHour = fleetPrice(service, counts.prefill, counts.decode)!;
    found.push({ service, fleets: new ConfirmedFleets(service), counts, usdPerHour, soonestSeconds: soonestNear(service, counts) });
    cheapestUsd = Math.min(cheapestUsd, usdPerHour);
  }
  return { found, rejected };
}

// services with the least that they could cost, the cheapest first
function priced(specs: readonly DeploymentSpec[], rejected: RejectedConfiguration[]): { readonly service: Service; readonly usdPerHour: number }[] {
  const services: { service: Service; usdPerHour: number }[] = [];
  // a pool that is refused is so beside every other
  const refused = new Set<string>();
  for (const spec of specs) {
    if (!stagesOf(spec).some((stage) => refused.has(stage))) {
      try {
        const service = new Service(spec);
        const least = service.fewestStable();
        const usdPerHour = fleetPrice(service, least.prefill, least.decode);
        if (usdPerHour === undefined) {
          const unpriced = [spec.prefill, spec.decode].find((pool) => pool !== undefined && poolPrice(pool) === undefined)!;
          rejected.push({ ...poolsOf(spec), reason: `no ${unpriced.purchaseOption} price of ${unpriced.hardware} is published` });
        } else {
          services.push({ service, usdPerHour });
        }
      } catch (error) {
        if (!(error instanceof Refused)) {
          throw error;
        }
        const { stage, reason } = error.refusal;
        stagesOf(spec).filter((pool) => pool.startsWith(`${stage} `)).forEach((pool) => refused.add(pool));
        rejected.push({ ...poolsOf(spec), reason });
      }
    }
  }
  return services.sort((a, b) => a.usdPerHour - b.usdPerHour);
}

// the pools of a spec, named as refusals name the stage that they fail
function stagesOf({ prefill, decode }: DeploymentSpec): string[] {
  const named = (stage: string, { hardware, tensorParallelDegree }: PoolSpec) => `${stage} ${hardware} ${tensorParallelDegree}`;
  return prefill === undefined ? [named('aggregated', decode)] : [named('prefill', prefill), named('decode', decode)];
}

/** The fleets around the cheapest counts of each combination; those of a combination that is of no use any more are left out. */
function* inOrderOfPrice(combinations: readonly Found[], isOfUse: (found: Found) => boolean): Generator<Fleet> {
  const most = DEAREST * Math.min(...combinations.map(({ usdPerHour }) => usdPerHour));
  const all = combinations.flatMap(around).filter(({ usdPerHour }) => usdPerHour <= most).sort((a, b) => a.usdPerHour - b.usdPerHour);
  for (let from = 0, to = 0; from < all.length; from = to) {
    while (to < all.length && all[to].usdPerHour === all[from].usdPerHour) {
      to++;
    }
    yield* all.slice(from, to)
      .filter(({ found }) => isOfUse(found))
      .map(({ found, counts, usdPerHour }) => ({ found, counts, candidate: candidateOf(found.service, counts, usdPerHour) }))
      .sort(({ candidate: a }, { candidate: b }) => a.endToEndSeconds - b.endToEndSeconds);
  }
}

function around(found: Found): PricedCounts[] {
  const { service, counts } = found;
  const near = (count: number) => NEIGHBOURS.map((more) => count + more).filter((nearby) => nearby > 0);
  const prefills = service.aggregated ? [0] : near(counts.prefill);
  return near(counts.decode).flatMap((decode) => prefills.map((prefill) => (
    { found, counts: { prefill, decode }, usdPerHour: fleetPrice(service, prefill, decode)! })));
}

function soonestNear(service: Service, { prefill, decode }: Counts): number {
  const more = Math.max(...NEIGHBOURS);
  service.solve(prefill + more, decode + more);
  return service.form.latencies[END_TO_END + percentileOf(service)];
}

/** Where the objective's percentile lies in the latencies, from the mean on. */
function percentileOf({ spec: { objective } }: Service): number {
  return 1 + SHARES.indexOf((objective!.percentile ?? 95) / 100);
}

function candidateOf(service: Service, counts: Counts, usdPerHour: number): FleetCandidate {
  service.solve(counts.prefill, counts.decode);
  const { latencies } = service.form;
  const at = percentileOf(service);
  return {
    ...poolsOf(service.spec, counts),
    usdPerHour,
    ttftSeconds: latencies[TTFT + at],
    tpotSeconds: latencies[TPOT + at],
    endToEndSeconds: latencies[END_TO_END + at],
    simulated: [],
  };
}

function poolsOf(spec: DeploymentSpec, counts?: Counts): Pick<FleetCandidate, 'serving' | 'prefill' | 'decode'> {
  const pool = ({ hardware, tensorParallelDegree, purchaseOption }: PoolSpec, instances?: number): FleetPool => (
    { hardware, tensorParallelDegree, purchaseOption, instances });
  return {
    serving: spec.prefill === undefined ? 'aggregated' : 'disaggregated',
    ...(spec.prefill && { prefill: pool(spec.prefill, counts?.prefill) }),
    decode: pool(spec.decode, counts?.decode),
  };
}
