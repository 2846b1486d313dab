import { EstimateOutcome, Refusal } from '../estimate';
import { report } from '../report';
import { Counts, seconds, Service } from '../service';
import { SimulatedVerdict, Simulation, SimulationOutcome } from '../simulation';
import { simulateFleet } from '../simulation/fleet-run';
import { HELD, isHeld } from '../verdict';
import { Judge } from './counts';

/** What the simulation says of a fleet that the closed form found. */
export interface Confirmation {
  /** The worst of each promise over the fleets that are left when spare instances are gone, at the grown rate. */
  readonly verdicts: SimulatedVerdict[];
  /** Why the fleet does not hold the objective; undefined if it does. */
  readonly shortcoming?: string;
}

/** Most requests of a simulation: a search asks for some dozens of them, and takes a few seconds at most. */
const MOST_REQUESTS = 100_000;

/** By how many times the error of the mean time to first token the waits of a short run may be longer in a long one: percentiles err more than means do. */
const ERRORS = 2;

// runs of more requests for as long as their waits might not be settled at what is promised; one that misses it is believed, as short runs tell of short waits
function simulateSettled(service: Service, counts: Counts): SimulationOutcome {
  let outcome = simulateFleet(service, counts, {});
  while (outcome.simulation !== undefined && mayMiss(outcome.simulation) && outcome.simulation.requests < MOST_REQUESTS) {
    outcome = simulateFleet(service, counts, { requests: Math.min(MOST_REQUESTS, outcome.simulation.steadiness!.requestsNeeded!) });
  }
  return outcome;
}

/** Whether promises that a run keeps may be missed by a longer one. */
function mayMiss({ backlogGrows, steadiness, objectives }: Simulation): boolean {
  if (backlogGrows || steadiness === undefined || steadiness.isSteady || !objectives.every(isHeld)) {
    return false;
  }
  const most = 1 + ERRORS * steadiness.ttftErrorShare;
  return objectives.some(({ metric, simulatedSeconds, objectiveSeconds }) => metric !== 'tpotSeconds' && simulatedSeconds * most > objectiveSeconds);
}

// simulates a fleet with the headroom of its spec
function confirm(service: Service, counts: Counts): Confirmation {
  const { headroom, ...spec } = service.spec;
  const requestsPerSecond = spec.workload.requestsPerSecond * (1 + (headroom?.growth ?? 0));
  let verdicts: SimulatedVerdict[] = [];
  for (const [prefill, decode] of service.reduced(counts.prefill, counts.decode)) {
    const { simulation, refusal } = simulateSettled(new Service({
      ...spec,
      workload: { ...spec.workload, requestsPerSecond },
      prefill: spec.prefill && { ...spec.prefill, instances: prefill },
      decode: { ...spec.decode, instances: decode },
    }), { prefill, decode });
    if (simulation === undefined) {
      return { verdicts: [], shortcoming: `simulated: ${refusal!.reason}` };
    }
    if (simulation.backlogGrows) {
      return { verdicts: [], shortcoming: 'simulated: the backlog grows' };
    }
    if (mayMiss(simulation)) {
      return { verdicts: [], shortcoming: `simulated: waits are not settled after ${simulation.requests} requests, and may exceed what is promised` };
    }
    verdicts = simulation.objectives.map((verdict, i) => (
      verdicts[i] === undefined || verdict.simulatedSeconds > verdicts[i].simulatedSeconds ? verdict : verdicts[i]));
  }
  const missed = verdicts.find((verdict) => !isHeld(verdict));
  return {
    verdicts,
    ...(missed && {
      shortcoming: `simulated: ${missed.metric.slice(0, -'Seconds'.length)} p${missed.percentile} ${seconds(missed.simulatedSeconds)} exceeds ${seconds(missed.objectiveSeconds)}`,
    }),
  };
}

/** How far beyond the objective the closed form may see a fleet that the simulation is still asked about. */
const BRACKET = 1.5;

/**
 * The fleets of a service by simulation, save those that are far from its objective by the closed form; what was simulated is remembered.
 */
export class ConfirmedFleets implements Judge {
  private readonly held: Counts[] = [];
  private readonly missed: { readonly counts: Counts; readonly shortcoming: string }[] = [];

  constructor(private readonly service: Service) {}

  public suffices(counts: Counts): boolean {
    return this.isInReach(counts) && this.simulated(counts);
  }

  /** Whether the closed form sees a fleet near enough to the objective to ask the simulation about it. */
  public isInReach({ prefill, decode }: Counts): boolean {
    return this.service.strain(prefill, decode) <= BRACKET;
  }

  public insufficiency(counts: Counts): Refusal {
    const reason = this.shortcoming(counts);
    return reason === undefined ? this.service.insufficiency(counts.prefill, counts.decode)!
      : { kind: 'infeasible', reason, mend: 'add instances or relax the objective' };
  }

  /**
   * The estimate of a fleet that suffices, with what the simulation says of its promises.
   */
  public estimate(counts: Counts): EstimateOutcome {
    const estimate = report(this.service, counts.prefill, counts.decode);
    const { simulation, refusal } = simulateSettled(this.service, counts);
    return simulation === undefined ? { refusal } : {
      estimate: {
        ...estimate,
        objectives: estimate.objectives.map((objective, i) => {
          const { simulatedSeconds, verdict } = simulation.objectives[i];
          return { ...objective, simulatedSeconds, verdict: isHeld(objective) && verdict === HELD ? objective.verdict : verdict };
        }),
      },
    };
  }

  /** Simulates a fleet, and remembers whether it holds the objective. */
  public confirm(counts: Counts): Confirmation {
    const confirmation = confirm(this.service, counts);
    const { shortcoming } = confirmation;
    if (shortcoming === undefined) {
      this.held.push(counts);
    } else {
      this.missed.push({ counts, shortcoming });
    }
    return confirmation;
  }

  /** Why a fleet does not hold the objective that has no more instances than one that was simulated and did not; undefined of others. */
  public shortcoming(counts: Counts): string | undefined {
    return this.missed.find((missed) => within(counts, missed.counts))?.shortcoming;
  }

  /** Why the fleet that was simulated last of those that do not hold the objective does not; undefined if there is none. */
  public get lastShortcoming(): string | undefined {
    return this.missed[this.missed.length - 1]?.shortcoming;
  }

  /** More instances never hurt, so that a fleet need not be simulated that has no fewer than one that held, or no more than one that did not. */
  private simulated(counts: Counts): boolean {
    return this.held.some((fewer) => within(fewer, counts))
      || (this.shortcoming(counts) === undefined && this.confirm(counts).shortcoming === undefined);
  }
}

function within(fewer: Counts, more: Counts): boolean {
  return fewer.prefill <= more.prefill && fewer.decode <= more.decode;
}
