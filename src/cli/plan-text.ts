import { FleetPlan } from '../estimator';
import { estimateText, refusalText } from './estimate-text';
import { number, table } from './text-table';

/**
 * A plan as text for a terminal: the chosen fleet, or why there is none, and the candidates that were rejected.
 */
export function planText(plan: FleetPlan): string {
  const { estimate, refusal } = plan.outcome;
  const answer = estimate ? estimateText(estimate) : refusalText(refusal!);
  if (plan.rejected.length === 0) {
    return `${answer}\n\nno other candidate was considered`;
  }
  return `${answer}\n\n${table([
    ['rejected: prefill', 'decode', 'TP', 'USD/h', 'because'],
    ...plan.rejected.map((candidate) => [
      String(candidate.prefillInstances),
      String(candidate.decodeInstances),
      String(candidate.tensorParallelDegree),
      candidate.usdPerHour === undefined ? 'unknown' : number(candidate.usdPerHour),
      candidate.reason,
    ]),
  ], 0, 4)}`;
}
