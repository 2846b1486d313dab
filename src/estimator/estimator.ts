import { DeploymentSpec } from './deployment-spec';
import { EstimateOutcome } from './estimate';
import { plannedCounts, plannedEstimate } from './planner/planned-counts';
import { refusalOf } from './refused';
import { Service } from './service';

/**
 * What to expect of a deployment: latencies, throughput, cost, and what bounds them.
 *
 * Phases are priced by closed formulas with coefficients fitted to published measurements, queues by Allen and Cunneen's approximation with the exact waits of
 * GI/M/c for bursts, prompts that are read in the steps that write tokens as gated vacations, the decode batch by Little's law. Percentiles come from the joint
 * distribution of lengths and waits. Intervals are the middle 80 % of 64 draws of the coefficients. The same spec gives the same figures on every platform.
 *
 * One engine reads one prompt at a time and holds one copy of the model; an instance runs `enginesPerInstance` engines, by default as
 * many as the tensor parallel degree fits into its logical cores or chips. Decode of static-shape engines is taken as compiled for the batches and contexts that occur.
 */
export class Estimator {
  /**
   * Estimates a deployment. Counts that the spec leaves out are planned: the cheapest fleet that holds the objective, which a simulation confirms.
   *
   * Throws a `ProblemsError` with every problem if the spec is wrong. There is a refusal instead of an estimate where the load exceeds the
   * capacity, the model does not fit, no count holds the objective, or no published figure supports an estimate.
   *
   * @param spec the deployment.
   */
  public static estimate(spec: DeploymentSpec): EstimateOutcome {
    try {
      const service = new Service(spec);
      return plannedEstimate(service, plannedCounts(service));
    } catch (error) {
      return refusalOf(error);
    }
  }

  private constructor() {}
}
