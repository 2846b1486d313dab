import { DeploymentSpec } from './deployment-spec';
import { Problem, Problems } from '../problems';
import { RequestTrace } from '../workload';
import { plannedCounts } from './planner/planned-counts';
import { refusalOf } from './refused';
import { Service } from './service';
import { SimulationObserver, SimulationOptions, SimulationOutcome } from './simulation';
import { simulateFleet } from './simulation/fleet-run';

const MAX_REQUESTS = 2_000_000_000;
const MAX_CLIENTS = 10_000_000;
/** The router's own bound. */
const MAX_LOAD_FACTOR = 100;

/**
 * Simulates a deployment request by request.
 *
 * Every request passes the queue of a prefill engine, the link, the decode engine's wait for a slot and for KV memory, and its batch; step times are those
 * of the closed form. As the router does, it gives a prompt to the prefill engine with the fewest tokens to read and a request to the engine with the fewest
 * requests, equals in turn, and with the option `routing` decides who reads its prompt, and by what engines were given before to whom it goes. The simulation advances from event to event in closed sums, and gives each request the times that advancing
 * token by token would. The same spec, options and seed give the same figures on every machine, except that the last digit of step times of models with routed
 * experts is the platform's (`Math.pow`). Time grows with the requests, memory with those that are in the fleet at once.
 *
 * Where the spec gives `decode.maxBatchedTokens`, engines read prompts in chunks beside the tokens that they write, admit a sequence when its prompt has room
 * in the KV cache, and throw out the newest of the least urgent when it is full. Else an engine admits a sequence when its whole KV cache has room.
 *
 * Who is more urgent by the service tier of the workload is first wherever requests wait. Instances fail as the options say, see `InstanceFailure`.
 *
 * A sequence holds whole blocks of the KV cache. Where a trace tells which prompts begin alike (`hash_ids` of Mooncake's), engines that read prompts keep full
 * blocks of them until others need the room, as vLLM's automatic prefix caching does, and what is cached of a prompt comes out of the simulation; a prefill
 * engine holds blocks until they have left for a decode engine. A decode engine that reads a prompt in a prefill engine's place finds nothing, and nobody finds
 * what was generated, as the trace does not tell what it was. Everywhere else the workload says what is cached, and the KV cache that prefill engines hold is not bounded.
 */
export class Simulator {
  /**
   * Simulates a deployment. Counts that the spec leaves out are planned, as in an estimate.
   *
   * Throws a `ProblemsError` with every problem if the spec or the options are wrong. There is a refusal instead of a simulation where there is no estimate,
   * where a recorded request does not fit, and where requests drawn from the workload come faster than the fleet can answer.
   *
   * @param spec the deployment.
   * @param options what to simulate.
   */
  public static simulate(spec: DeploymentSpec, options: SimulationOptions = {}): SimulationOutcome {
    Problems.throwIfAny(shapeProblems(options));
    Problems.throwIfAny(optionProblems(options));
    try {
      const service = new Service(spec);
      const planned = plannedCounts(service);
      return planned.counts === undefined ? { refusal: planned.refusal } : simulateFleet(service, planned.counts, options);
    } catch (error) {
      return refusalOf(error);
    }
  }

  private constructor() {}
}

/** What is not of the type that it is declared as, as callers in JavaScript have it. */
function shapeProblems(options: unknown): Problem[] {
  const problems: Problem[] = [];
  const check = (ok: boolean, path: string, value: unknown, what: string, mend: string) => {
    if (!ok) {
      problems.push({ rule: 'SimulationOptionMistyped', path, value: JSON.stringify(value), message: `this is no ${what}`, mend });
    }
  };
  const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value);
  check(isObject(options), 'options', options, 'object', 'give the options of a simulation, or leave them out');
  if (problems.length === 0) {
    const { trace, routing, failures, observer } = options as { readonly [name in keyof SimulationOptions]: unknown };
    check(trace === undefined || trace instanceof RequestTrace, 'trace', trace, 'trace', 'give what RequestTrace.fromFile returns, or leave it out');
    check(routing === undefined || isObject(routing), 'routing', routing, 'object', 'give {} for the estimator\'s own threshold, or leave it out');
    check(failures === undefined || Array.isArray(failures), 'failures', failures, 'list', 'give a list of failures, or leave it out');
    (Array.isArray(failures) ? failures : []).forEach((failure, i) => check(isObject(failure), `failures[${i}]`, failure, 'object', 'give pool, instance and atSeconds'));
    check(observer === undefined || typeof (observer as SimulationObserver | null)?.onRequest === 'function', 'observer', observer, 'observer', 'extend SimulationObserver');
  }
  return problems;
}

function optionProblems({ seed, requests, concurrency, trace, routing }: SimulationOptions): Problem[] {
  const problems: Problem[] = [];
  const whole = (value: number | undefined, path: string, least: number, most: number) => {
    if (value !== undefined && !(Number.isInteger(value) && value >= least && value <= most)) {
      problems.push({
        rule: 'SimulationOptionOutOfRange',
        path,
        value: String(value),
        message: `this is not a whole number from ${least} to ${most}`,
        mend: 'give such a number, or leave it out',
      });
    }
  };
  const shortest = routing?.minPromptTokens;
  if (shortest !== undefined && !(shortest >= 0 && shortest < Infinity)) {
    problems.push({
      rule: 'SimulationOptionOutOfRange', path: 'routing.minPromptTokens', value: String(shortest), message: 'this is no number of tokens', mend: 'give a number from 0 on',
    });
  }
  const factor = routing?.prefixLoadFactor;
  if (factor !== undefined && !(factor >= 1 && factor <= MAX_LOAD_FACTOR)) {
    problems.push({
      rule: 'SimulationOptionOutOfRange', path: 'routing.prefixLoadFactor', value: String(factor), message: `this is no factor from 1 to ${MAX_LOAD_FACTOR}`, mend: 'give such a number, or leave it out',
    });
  }
  whole(seed, 'seed', 0, 2 ** 32 - 1);
  whole(requests, 'requests', 1, MAX_REQUESTS);
  whole(concurrency, 'concurrency', 1, MAX_CLIENTS);
  if (trace !== undefined && concurrency !== undefined) {
    problems.push({
      rule: 'SimulationLoadTwice',
      path: 'concurrency',
      message: 'a trace says when requests come, and so do clients',
      mend: 'give the trace or the concurrency',
    });
  }
  return problems;
}
