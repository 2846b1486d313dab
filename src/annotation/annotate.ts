import { Annotations, Stack } from 'aws-cdk-lib';
import { IConstruct } from 'constructs';
import { DeploymentSpec, Estimate, EstimateOutcome, Estimator, FleetPlan, FleetPlanner, Refusal } from '../estimator';
import { Estimates } from './estimates';
import { infoLine, milliseconds, templateSummary, toSignificant } from './summary';
import { isHeld, isKnown } from '../estimator/verdict';

/** How many times the given counts are tried before a promise counts as out of reach: queues are gone by then, and what is left is the hardware. */
const LARGEST_FACTOR = 16;
const METRIC_NAMES: { [metric: string]: string } = { ttftSeconds: 'TTFT', tpotSeconds: 'TPOT', endToEndSeconds: 'end-to-end latency' };
const METADATA_KEY = 'DisaggregatedInference';

/**
 * Tells what is expected of a service: an INFO line, the template's metadata, the estimate file, and what does not hold.
 */
export class EstimateAnnotation {
  /**
   * Annotates a service. A promise that the given counts miss is a warning, with the counts that would hold it, and so is one of which only a simulation can tell; a load that they cannot carry, and
   * a promise that no fleet holds, fail the synthesis.
   *
   * @param service the service's construct.
   * @param spec the service as it was asked for, planned counts left out.
   * @param plan what the planner answered to that spec.
   */
  public static apply(service: IConstruct, spec: DeploymentSpec, plan: FleetPlan): void {
    const { estimate, refusal } = plan.outcome;
    if (estimate) {
      Annotations.of(service).addInfoV2('cdk-disaggregated-inference:Estimate', infoLine(estimate));
      tellMissed(service, estimate, spec);
    } else if (refusal) {
      tellRefusal(service, refusal, spec);
    }
    register(service, plan.outcome);
  }

  /**
   * Says that a service is not estimated.
   *
   * @param service the service's construct.
   * @param reason why, as a sentence without a full stop.
   * @param mend what to do, as a sentence without a full stop.
   */
  public static notEstimated(service: IConstruct, reason: string, mend: string): void {
    Annotations.of(service).addInfoV2('cdk-disaggregated-inference:NotEstimated', `not estimated: ${reason} (${mend})`);
    register(service, { refusal: { kind: 'unknown', reason, mend } });
  }

  private constructor() {}
}

function tellMissed(service: IConstruct, estimate: Estimate, spec: DeploymentSpec): void {
  for (const { metric, percentile } of estimate.objectives.filter((objective) => !isKnown(objective))) {
    Annotations.of(service).addWarningV2(`cdk-disaggregated-inference:ObjectiveUnknown.${metric}`, `whether ${METRIC_NAMES[metric]} p${percentile} keeps the objective `
      + 'is not known, as bursts outrun the slots (simulate tells)');
  }
  const missed = estimate.objectives.filter((objective) => !isHeld(objective) && isKnown(objective));
  if (missed.length === 0) {
    return;
  }
  const texts = missed.map((objective) => `${METRIC_NAMES[objective.metric]} p${objective.percentile} of ${milliseconds(objective.estimateSeconds)} exceeds the `
    + `objective of ${toSignificant(objective.objectiveSeconds * 1000, 3)} ms`);
  const { estimate: holding, refusal } = replanned(spec);
  if (holding) {
    missed.forEach((objective, i) => Annotations.of(service).addWarningV2(
      `cdk-disaggregated-inference:ObjectiveMissed.${objective.metric}`, `${texts[i]} (${countsOf(holding)} would hold it)`));
  } else {
    fail(service, `${texts.join(', and ')}, and no fleet that was tried holds it: ${refusal?.reason}`, refusal?.mend, 'ObjectiveUnreachable');
  }
}

function tellRefusal(service: IConstruct, refusal: Refusal, spec: DeploymentSpec): void {
  switch (refusal.kind) {
    case 'unknown':
      Annotations.of(service).addInfoV2('cdk-disaggregated-inference:NotEstimated', `not estimated: ${refusal.reason} (${refusal.mend})`);
      if (!countsGiven(spec)) {
        fail(service, `no count can be planned: ${refusal.reason}`, 'give instanceCount to each phase', 'CountNotPlanned');
      }
      break;
    case 'unstable': {
      const { estimate } = spec.objective ? replanned(spec) : { estimate: undefined };
      fail(service, refusal.reason, estimate ? `${countsOf(estimate)} would carry it and hold the objective` : refusal.mend, 'FleetUnstable');
      break;
    }
    default:
      fail(service, refusal.reason, refusal.mend, 'FleetInfeasible');
  }
}

function fail(service: IConstruct, reason: string, mend: string | undefined, rule: string): void {
  service.node.addValidation({ validate: () => [`${reason} (${mend}) [${rule}]`] });
}

function register(service: IConstruct, answer: EstimateOutcome): void {
  const stack = Stack.of(service);
  const estimates = Estimates.fromStack(stack);
  estimates._register(service, answer);
  stack.addMetadata(METADATA_KEY, Object.fromEntries(estimates.paths.map((path) => {
    const { estimate, refusal } = estimates._outcomeAt(path);
    return [path, estimate ? templateSummary(estimate) : { notEstimated: refusal?.reason }];
  })));
}

/** A fleet that holds the objective: as the planner finds it if no count is given, else the given counts times the least power of two. */
function replanned(spec: DeploymentSpec): EstimateOutcome {
  const planned = FleetPlanner.plan(withCounts(spec, () => undefined)).outcome;
  if (planned.estimate) {
    return planned;
  }
  for (let factor = 2; factor <= LARGEST_FACTOR; factor *= 2) {
    const larger = Estimator.estimate(withCounts(spec, (count) => count && count * factor));
    if (larger.estimate?.objectives.every(isHeld)) {
      return larger;
    }
  }
  return planned;
}

function withCounts(spec: DeploymentSpec, change: (count?: number) => number | undefined): DeploymentSpec {
  return {
    ...spec,
    prefill: spec.prefill && { ...spec.prefill, instances: change(spec.prefill.instances) },
    decode: { ...spec.decode, instances: change(spec.decode.instances) },
  };
}

function countsGiven(spec: DeploymentSpec): boolean {
  return spec.decode.instances !== undefined && (spec.prefill === undefined || spec.prefill.instances !== undefined);
}

function countsOf(estimate: Estimate): string {
  const { prefill, decode } = estimate.spec;
  return prefill ? `${prefill.instances} prefill and ${decode.instances} decode instances` : `${decode.instances} instances`;
}
