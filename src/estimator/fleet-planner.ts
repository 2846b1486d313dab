import { DeploymentSpec } from './deployment-spec';
import { FleetPlan } from './estimate';
import { givenCounts, judge, refusalOf } from './estimator';
import { cheapest, hopeless, rejected } from './fleet-search';
import { Service } from './service';

/** The version of the plan that is written. */
const FLEET_PLAN_SCHEMA = 'cdk-disaggregated-inference/fleet-plan/v1';

/**
 * Plans fleets: the cheapest counts that hold an objective, and why others do not.
 */
export class FleetPlanner {
  /**
   * Plans the counts that the spec leaves out, up to 1,000 instances a pool, with the headroom that it asks for; counts that it gives are kept and judged.
   *
   * The cheapest fleet that holds the objective at the centre of the coefficients, by list price; where a price is not known, the fewest
   * instances. At most 20 fleets beside it are told with the reason why they were not chosen, the nearest first.
   *
   * Throws a `ProblemsError` with every problem if the spec is wrong, also if a count and the objective are both left out.
   *
   * @param spec the deployment.
   */
  public static plan(spec: DeploymentSpec): FleetPlan {
    try {
      const service = new Service(spec);
      const given = givenCounts(service);
      if (given !== undefined) {
        return { schema: FLEET_PLAN_SCHEMA, outcome: judge(service, given), rejected: [] };
      }
      const counts = cheapest(service);
      if (counts === undefined) {
        const { refusal, rejected: largest } = hopeless(service);
        return { schema: FLEET_PLAN_SCHEMA, outcome: { refusal }, rejected: largest };
      }
      const others = rejected(service, counts);
      return { schema: FLEET_PLAN_SCHEMA, outcome: judge(service, counts), rejected: others };
    } catch (error) {
      return { schema: FLEET_PLAN_SCHEMA, outcome: refusalOf(error), rejected: [] };
    }
  }

  private constructor() {}
}
