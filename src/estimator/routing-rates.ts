import { DeploymentSpec } from './deployment-spec';
import { Refused } from './refused';
import { Service } from './service';
import { PathRates } from '../routing';
import { fleetTables } from './simulation/fleet-tables';
import { requestLengths } from './simulation/request-lengths';

/** What a router in front of a deployment chooses paths by. */
export interface RoutingRates {
  /** Of a request that is handed from a prefill to a decode engine. */
  readonly disaggregated: PathRates;
  /** Of a request whose prompt the decode engine reads itself; undefined where there is no basis for an estimate of that. */
  readonly aggregated?: PathRates;
  /**
   * The shortest prompt that is worth a hand-off, in tokens: it costs its caller no more time than it spares the decode engine. One more than the model's context
   * where none is; undefined where there is no basis for it.
   */
  readonly minPromptTokens?: number;
}

/** Prompts of a workload of short ones say nothing of longer ones: engines that pad take the same time for all of them. */
const LONG_TOKENS = 2048;

/**
 * The estimator's figures as a router needs them, the simulation's own: straight lines through a prompt of one token and the workload's longest, and through a step
 * of one sequence and of as many as an engine holds. Reading takes more than in proportion, so prompts between the two take a little less.
 *
 * Undefined for a deployment without a prefill pool, or without a basis for an estimate. Throws a `ProblemsError` if the spec is wrong.
 */
export function routingRates(spec: DeploymentSpec): RoutingRates | undefined {
  const service = spec.prefill === undefined ? undefined : serviceOf(spec);
  return service && ratesOf(service);
}

/** The same of a service that has a prefill pool. */
export function ratesOf(service: Service): RoutingRates {
  const { form, resolved: { plant: { decode, model } } } = service;
  const longest = Math.max(LONG_TOKENS, ...service.spec.workload.lengthClasses.map(({ inputTokens }) => Math.round(inputTokens)));
  const lengths = requestLengths([1, longest].map((inputTokens) => ({ inputTokens, outputTokens: 1 })));
  // what one request takes does not depend on how many instances there are.
  const { kinds: { promptSeconds, setUpSeconds, transferSeconds }, readsHere, overheadSeconds } = fleetTables(service, 1, 1, lengths, 1, true);
  const stepSeconds = form.stepSeconds(1);
  const stepSecondsPerSequence = decode.slots > 1 ? (form.stepSeconds(decode.slots) - stepSeconds) / (decode.slots - 1) : 0;
  const [read, setUp, sent] = [promptSeconds, setUpSeconds, transferSeconds].map((seconds) => line(seconds, 0, longest));
  const disaggregated = rounded({
    fixedSeconds: overheadSeconds + read.fixedSeconds + setUp.fixedSeconds + sent.fixedSeconds,
    secondsPerPromptToken: read.secondsPerToken,
    transferSecondsPerToken: setUp.secondsPerToken + sent.secondsPerToken,
    stepSeconds,
    stepSecondsPerSequence,
    stallSecondsPerPromptToken: 0,
  });
  if (!readsHere) {
    return { disaggregated };
  }
  // the rows of prompts that decode engines read follow.
  const alone = line(promptSeconds, 2, longest);
  const aggregated = rounded({
    fixedSeconds: overheadSeconds + alone.fixedSeconds,
    secondsPerPromptToken: alone.secondsPerToken,
    transferSecondsPerToken: 0,
    stepSeconds,
    stepSecondsPerSequence,
    stallSecondsPerPromptToken: alone.secondsPerToken / form.requests.meanOutputTokens,
  });
  // what the caller of a prompt of no length waits longer for, less what the decode engine is spared; and how that changes with each token.
  const costSeconds = disaggregated.fixedSeconds - aggregated.fixedSeconds - alone.fixedSeconds;
  const gainSecondsPerToken = 2 * alone.secondsPerToken - read.secondsPerToken - disaggregated.transferSecondsPerToken;
  // no prompt is as long as the last one
  const minPromptTokens = gainSecondsPerToken > 0 ? Math.max(0, Math.ceil(costSeconds / gainSecondsPerToken)) : model.maxContextTokens + 1;
  return { disaggregated, aggregated, minPromptTokens };
}

/** The line through what a prompt of one token and one of `longest` tokens take, in two rows. */
function line(seconds: Float64Array, row: number, longest: number): { readonly fixedSeconds: number; readonly secondsPerToken: number } {
  const secondsPerToken = (seconds[row + 1] - seconds[row]) / (longest - 1);
  return { fixedSeconds: seconds[row] - secondsPerToken, secondsPerToken };
}

/** More digits mean nothing. */
function rounded(rates: PathRates): PathRates {
  return Object.fromEntries(Object.entries(rates).map(([name, seconds]) => [name, Number(seconds.toPrecision(6))])) as unknown as PathRates;
}

function serviceOf(spec: DeploymentSpec): Service | undefined {
  try {
    return new Service(spec);
  } catch (e) {
    if (e instanceof Refused) {
      return undefined;
    }
    throw e;
  }
}
