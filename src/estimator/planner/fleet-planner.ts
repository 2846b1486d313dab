import { Problems } from '../../problems';
import { DeploymentSpec } from '../deployment-spec';
import { FleetPlan, Refusal, RejectedCandidate } from '../estimate';
import { refusalOf } from '../refused';
import { estimateAt } from '../report';
import { Service } from '../service';
import { configurations } from './configurations';
import { rejectedNear } from './counts';
import { FleetSearch, FleetSearchOptions, RejectedConfiguration } from './fleet-search';
import { PlannedCounts, plannedCounts, plannedEstimate } from './planned-counts';
import { search } from './search';
import { searchProblems } from './search-problems';

/** The version of the search that is written. */
const FLEET_SEARCH_SCHEMA = 'cdk-disaggregated-inference/fleet-search/v1';

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
   * instances. The closed form brackets it, and simulation confirms it. At most 20 fleets beside it are told with the
   * reason why they were not chosen, the nearest first.
   *
   * Throws a `ProblemsError` with every problem if the spec is wrong, also if a count and the objective are both left out.
   *
   * @param spec the deployment.
   */
  public static plan(spec: DeploymentSpec): FleetPlan {
    try {
      const service = new Service(spec);
      const planned = plannedCounts(service);
      return { schema: FLEET_PLAN_SCHEMA, outcome: plannedEstimate(service, planned), rejected: rejectedBeside(service, planned) };
    } catch (error) {
      return { schema: FLEET_PLAN_SCHEMA, outcome: refusalOf(error), rejected: [] };
    }
  }

  /**
   * Searches everything that could serve the workload: instance types, tensor parallel degrees, ways to buy, counts, prefill and decode apart or together.
   *
   * Of the spec's pools only hardware, price and limits of sequences are taken; counts and degrees are what is searched for. The closed form brackets
   * the fleets that hold the objective with the headroom of the spec, and simulation confirms them, from the cheapest on: of 10,000 requests, or up to 100,000
   * where waits are not settled by then and may exceed what is promised. A fleet whose waits may do so even then is not chosen.
   *
   * Throws a `ProblemsError` with every problem if the spec or the options are wrong, also if there is no objective.
   *
   * @param spec the deployment.
   * @param options what to consider.
   */
  public static search(spec: DeploymentSpec, options: FleetSearchOptions = {}): FleetSearch {
    Problems.throwIfAny(searchProblems(spec, options));
    const { simulate = true } = options;
    const specs = configurations(spec, options);
    const { front, rejected } = search(specs, simulate);
    const best = front[0];
    return {
      schema: FLEET_SEARCH_SCHEMA,
      outcome: best === undefined ? { refusal: nothingHolds(specs.length, rejected) }
        : simulate ? best.found.fleets.estimate(best.counts) : estimateAt(best.found.service, best.counts),
      solver: simulate ? 'simulation' : 'closed-form',
      considered: specs.length,
      front: front.map(({ candidate }) => candidate),
      rejected,
    };
  }

  private constructor() {}
}

function rejectedBeside(service: Service, planned: PlannedCounts): RejectedCandidate[] {
  if (planned.counts === undefined) {
    return planned.rejected;
  }
  return planned.fleets === undefined ? [] : rejectedNear(service, planned.fleets, planned.counts);
}

function nothingHolds(considered: number, rejected: RejectedConfiguration[]): Refusal {
  return {
    kind: 'infeasible',
    reason: `none of ${considered} combinations holds the objective${rejected.length === 0 ? '' : `, the first because ${rejected[0].reason}`}`,
    mend: 'relax the objective, shorten the requests, or consider more hardware',
  };
}
