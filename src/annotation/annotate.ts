import { Annotations, Stack } from 'aws-cdk-lib';
import { IConstruct } from 'constructs';
import { EstimateOutcome, FleetPlan } from '../estimator';
import { Estimates } from './estimates';
import { infoLine, milliseconds, templateSummary, toSignificant } from './summary';

const METADATA_KEY = 'DisaggregatedInference';

/**
 * Tells what is expected of a service: an INFO line, the template's metadata, the estimate file, and what does not hold.
 */
export class EstimateAnnotation {
  /**
   * Annotates a service with its estimate.
   *
   * @param service the service's construct.
   * @param outcome what the estimator answered.
   * @param remedy what would hold a missed objective, as the planner found it.
   */
  public static apply(service: IConstruct, outcome: EstimateOutcome, remedy?: FleetPlan): void {
    const stack = Stack.of(service);
    const estimates = Estimates.fromStack(stack);
    estimates._register(service, outcome);

    const { estimate, refusal } = outcome;
    if (estimate) {
      Annotations.of(service).addInfoV2('cdk-disaggregated-inference:Estimate', infoLine(estimate));
      for (const missed of estimate.objectives.filter((objective) => !objective.held)) {
        Annotations.of(service).addWarningV2(
          `cdk-disaggregated-inference:ObjectiveMissed.${missed.metric}`,
          `${missed.metric} p${missed.percentile} of ${milliseconds(missed.estimateSeconds)} exceeds the objective of `
          + `${toSignificant(missed.objectiveSeconds * 1000, 3)} ms (${remedyText(remedy)})`,
        );
      }
    } else if (refusal) {
      const text = `${refusal.reason} (${refusal.mend}; ${remedyText(remedy)})`;
      if (refusal.kind === 'unknown') {
        Annotations.of(service).addInfoV2('cdk-disaggregated-inference:NotEstimated', `not estimated: ${refusal.reason} (${refusal.mend})`);
      } else {
        service.node.addValidation({ validate: () => [`${text} [Estimate.${refusal.kind}]`] });
      }
    }

    stack.addMetadata(METADATA_KEY, Object.fromEntries(estimates.paths.map((path) => {
      const registered = estimates._outcomeAt(path);
      return [path, registered.estimate ? templateSummary(registered.estimate) : { notEstimated: registered.refusal?.reason }];
    })));
  }

  private constructor() {}
}

function remedyText(remedy?: FleetPlan): string {
  const spec = remedy?.outcome.estimate?.spec;
  if (!spec) {
    return remedy?.outcome.refusal?.mend ?? 'raise the counts, lower the load or relax the objective';
  }
  const prefill = spec.prefill ? `${spec.prefill.instances} prefill and ` : '';
  return `${prefill}${spec.decode.instances} decode instances would hold it`;
}
