import { seconds, Service } from '../service';
import { SimulatedVerdict, Simulator } from '../simulation';
import { Counts } from './counts';

/** What the simulation says of a fleet that the closed form found. */
export interface Confirmation {
  /** The worst of each promise over the fleets that are left when spare instances are gone, at the grown rate. */
  readonly verdicts: SimulatedVerdict[];
  /** Why the fleet does not hold the objective; undefined if it does. */
  readonly shortcoming?: string;
}

/**
 * Simulates a fleet with the headroom of its spec.
 */
export function confirm(service: Service, counts: Counts): Confirmation {
  const { headroom, ...spec } = service.spec;
  const requestsPerSecond = spec.workload.requestsPerSecond * (1 + (headroom?.growth ?? 0));
  let verdicts: SimulatedVerdict[] = [];
  for (const [prefill, decode] of service.reduced(counts.prefill, counts.decode)) {
    const { simulation, refusal } = Simulator.simulate({
      ...spec,
      workload: { ...spec.workload, requestsPerSecond },
      prefill: spec.prefill && { ...spec.prefill, instances: prefill },
      decode: { ...spec.decode, instances: decode },
    });
    if (simulation === undefined) {
      return { verdicts: [], shortcoming: `simulated: ${refusal!.reason}` };
    }
    if (simulation.backlogGrows) {
      return { verdicts: [], shortcoming: 'simulated: the backlog grows' };
    }
    verdicts = simulation.objectives.map((verdict, i) => (
      verdicts[i] === undefined || verdict.simulatedSeconds > verdicts[i].simulatedSeconds ? verdict : verdicts[i]));
  }
  const missed = verdicts.find((verdict) => !verdict.held);
  return {
    verdicts,
    ...(missed && {
      shortcoming: `simulated: ${missed.metric.slice(0, -'Seconds'.length)} p${missed.percentile} ${seconds(missed.simulatedSeconds)} exceeds ${seconds(missed.objectiveSeconds)}`,
    }),
  };
}
