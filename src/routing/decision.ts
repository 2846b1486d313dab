import { ServiceTier } from './service-tier';

/** Who serves a request: a prefill and a decode engine, one engine alone, Amazon Bedrock's own models, or nobody. */
export type Path = 'disaggregated' | 'aggregated' | 'bedrock' | 'refuse';

/**
 * Why a path was chosen. Part of the public contract: it is in a header, the log and a metric.
 *
 * Why the preferred path is preferred: `long_prompt`, `short_prompt`, `not_eligible` (no hand-off of such a request), `no_pair` (no prefill and decode engine
 * that belong together are up), `pair_full`, `only_path` (there is, or is left, no other). Why another is taken: `prefill_queue` (the hand-off would hold the
 * objective but for the prompts that wait for it), `meets_objective` (the first that holds it), `least_late` (none holds it), `faster` (asked for with
 * priority). Why there is none: `no_slot`, `nothing_available`.
 */
export type Reason =
  'long_prompt' | 'short_prompt' | 'not_eligible' | 'no_pair' | 'pair_full' | 'only_path'
  | 'prefill_queue' | 'meets_objective' | 'least_late' | 'faster'
  | 'no_slot' | 'nothing_available';


/** What is decided for a request. */
export interface Decision {
  readonly path: Path;
  readonly reason: Reason;
}

/** What a request is, as far as its path depends on it. */
export interface RoutedRequest {
  /** Tokens of its prompt. */
  readonly promptTokens: number;
  /** Whether one KV cache is all that a decode engine needs to answer it. */
  readonly isEligible: boolean;
  readonly tier: ServiceTier;
}

/** A path at this moment: its engine with the least to do. Of a pair, what it reads is the prefill engine's and what it writes the decode engine's. */
export interface PathState {
  /** Whether all engines that it takes are up. */
  readonly isUp: boolean;
  /** Requests that it could take besides. */
  readonly freeSlots: number;
  /** Tokens of the prompt that the engine which reads it need not read, as it has them in its cache; 0 if it is left out. */
  readonly cachedPromptTokens?: number;
  /** Tokens of other prompts that its engine has yet to read. */
  readonly queuedPromptTokens: number;
  /** Other requests that its engine has to answer. */
  readonly sequences: number;
}

/** All paths at this moment; undefined is one that no engines are there for, up or not. */
export interface RoutingState {
  readonly disaggregated?: PathState;
  readonly aggregated?: PathState;
  readonly bedrock?: PathState;
}

/** What a request takes on a path. */
export interface PathRates {
  /** Seconds that every request takes besides: gateway, and set-up of a transfer. */
  readonly fixedSeconds: number;
  /** Seconds to read a token of a prompt. */
  readonly secondsPerPromptToken: number;
  /** Seconds that a token's KV cache is on its way; 0 where it stays. */
  readonly transferSecondsPerToken: number;
  /** Seconds of a decode step of one sequence, and what each further one adds. */
  readonly stepSeconds: number;
  readonly stepSecondsPerSequence: number;
  /** Seconds that a token of a prompt adds to the time per output token of an answer beside it; 0 where an engine does not do both. */
  readonly stallSecondsPerPromptToken: number;
}

/** What is expected of a path: its rates, and what was measured over what they predict. */
export interface PathExpectation {
  readonly rates: PathRates;
  readonly ttftFactor: number;
  readonly tpotFactor: number;
}

/** How to choose. */
export interface RoutingPolicy {
  /** Tokens of a prompt, those left out that the engine which answers has in its cache, from which on a hand-off is preferred. */
  readonly minPromptTokens: number;
  /** What is promised, in seconds; undefined for no promise. */
  readonly ttftSeconds?: number;
  readonly tpotSeconds?: number;
  /** What is expected of each path; undefined if nothing is known. */
  readonly disaggregated?: PathExpectation;
  readonly aggregated?: PathExpectation;
  readonly bedrock?: PathExpectation;
}

// made once: a decision allocates nothing.
const decision = (path: Path, reason: Reason): Decision => Object.freeze({ path, reason });
const LONG_PROMPT = decision('disaggregated', 'long_prompt');
const PAIR_ALONE = decision('disaggregated', 'only_path');
const SHORT_PROMPT = decision('aggregated', 'short_prompt');
const NOT_ELIGIBLE = decision('aggregated', 'not_eligible');
const ONE_ALONE = decision('aggregated', 'only_path');
const NO_PAIR = decision('aggregated', 'no_pair');
const PAIR_FULL = decision('aggregated', 'pair_full');
const PREFILL_QUEUE = decision('aggregated', 'prefill_queue');
const BEDROCK_ALONE = decision('bedrock', 'only_path');
const NO_SLOT = decision('refuse', 'no_slot');
const NOTHING_AVAILABLE = decision('refuse', 'nothing_available');
const forAnyPath = (reason: Reason) => ({
  disaggregated: decision('disaggregated', reason), aggregated: decision('aggregated', reason), bedrock: decision('bedrock', reason),
});
const MEETS_OBJECTIVE = forAnyPath('meets_objective');
const LEAST_LATE = forAnyPath('least_late');
const FASTER = forAnyPath('faster');
/** How much less late than a hand-off, which spares the answers beside it, an engine alone must be, and than both Bedrock; predictions are not better than that. */
const MARGIN = 1.25;

/**
 * Decides how a request is served. A pure function of plain numbers: the router asks it for each request, and the simulator for each that it simulates.
 *
 * A hand-off is preferred for a prompt of at least `minPromptTokens`, one engine alone below that, Bedrock last. Where there is an objective and every path of
 * the fleet has rates, the first in this order that is predicted to hold it is taken, or else the one that misses it clearly least. `flex` has no objective, so it
 * takes what is preferred; `priority` takes what is predicted to be the fastest. Refused is only what nothing can take: Bedrock stands in for engines that are
 * down, but costs money that nobody may have meant to spend, so that it stands in for slow or full ones only where it has rates.
 */
export function decide(request: RoutedRequest, state: RoutingState, policy: RoutingPolicy): Decision {
  const { disaggregated, aggregated, bedrock } = state;
  const { promptTokens, isEligible, tier } = request;
  const toPair = isEligible && takes(disaggregated);
  const toOne = takes(aggregated);
  const toBedrock = takes(bedrock);
  const spare = toBedrock ? policy.bedrock : undefined;
  if (!toPair && !toOne) {
    const isFull = (isEligible && isUp(disaggregated)) || isUp(aggregated);
    return toBedrock && (!isFull || spare !== undefined) ? BEDROCK_ALONE : isFull || isUp(bedrock) ? NO_SLOT : NOTHING_AVAILABLE;
  }
  const isLong = promptTokens - (toOne ? aggregated.cachedPromptTokens ?? 0 : 0) >= policy.minPromptTokens;
  const handOff = toPair && (isLong || !toOne);
  const preferred = handOff ? (isLong ? LONG_PROMPT : PAIR_ALONE)
    : toPair ? SHORT_PROMPT : disaggregated === undefined ? ONE_ALONE : !isEligible ? NOT_ELIGIBLE : disaggregated.isUp ? PAIR_FULL : NO_PAIR;

  const isKnown = (!toPair || policy.disaggregated !== undefined) && (!toOne || policy.aggregated !== undefined);
  const hasObjective = policy.ttftSeconds !== undefined || policy.tpotSeconds !== undefined;
  if (tier === 'flex' || !hasObjective || !isKnown || (!(toPair && toOne) && spare === undefined)) {
    return preferred;
  }

  const pair = toPair ? strain(policy.disaggregated!, policy, promptTokens, disaggregated) : Infinity;
  const one = toOne ? strain(policy.aggregated!, policy, promptTokens, aggregated) : Infinity;
  const other = spare === undefined ? Infinity : strain(spare, policy, promptTokens, bedrock!);
  if (tier !== 'priority') {
    if ((handOff ? pair : one) <= 1) {
      return preferred;
    }
    if (toOne && one <= 1) {
      return strain(policy.disaggregated!, policy, promptTokens, disaggregated!, 0) <= 1 ? PREFILL_QUEUE : MEETS_OBJECTIVE.aggregated;
    }
    if (toPair && pair <= 1) {
      return MEETS_OBJECTIVE.disaggregated;
    }
    if (other <= 1) {
      return MEETS_OBJECTIVE.bedrock;
    }
  }
  const best = tier === 'priority' ? FASTER : LEAST_LATE;
  const margin = tier === 'priority' ? 1 : MARGIN;
  const byPair = toPair && !(toOne && one * margin < pair);
  return other * margin < (byPair ? pair : one) ? best.bedrock : byPair ? best.disaggregated : best.aggregated;
}

/**
 * Time to first token that a path's rates predict for a prompt, in seconds.
 *
 * @param rates of the path.
 * @param promptTokens its tokens.
 * @param queuedPromptTokens tokens of the prompts before it.
 * @param sequences answers that its engine writes besides.
 * @param cachedPromptTokens tokens of the prompt that are not to be read.
 */
export function predictedTtftSeconds(
  rates: PathRates, promptTokens: number, queuedPromptTokens: number, sequences: number, cachedPromptTokens = 0,
): number {
  return rates.fixedSeconds + rates.secondsPerPromptToken * (queuedPromptTokens + promptTokens - cachedPromptTokens)
    + rates.transferSecondsPerToken * promptTokens
    + rates.stepSeconds + rates.stepSecondsPerSequence * sequences;
}

/** Time per output token that a path's rates predict for the answer and those beside it, in seconds; parameters as above. */
export function predictedTpotSeconds(
  rates: PathRates, promptTokens: number, queuedPromptTokens: number, sequences: number, cachedPromptTokens = 0,
): number {
  return rates.stepSeconds + rates.stepSecondsPerSequence * sequences
    + rates.stallSecondsPerPromptToken * (queuedPromptTokens + promptTokens - cachedPromptTokens);
}

function isUp(state: PathState | undefined): boolean {
  return state !== undefined && state.isUp;
}

function takes(state: PathState | undefined): state is PathState {
  return state !== undefined && state.isUp && state.freeSlots > 0;
}

/** The latency that is worst off, over what is promised of it: at most 1 if the promise holds, Infinity if it cannot be told. */
function strain(
  { rates, ttftFactor, tpotFactor }: PathExpectation, { ttftSeconds, tpotSeconds }: RoutingPolicy,
  promptTokens: number, state: PathState, queuedPromptTokens = state.queuedPromptTokens,
): number {
  const { sequences, cachedPromptTokens } = state;
  const ttft = ttftSeconds === undefined ? 0
    : ttftFactor * predictedTtftSeconds(rates, promptTokens, queuedPromptTokens, sequences, cachedPromptTokens) / ttftSeconds;
  const tpot = tpotSeconds === undefined ? 0
    : tpotFactor * predictedTpotSeconds(rates, promptTokens, queuedPromptTokens, sequences, cachedPromptTokens) / tpotSeconds;
  const worst = Math.max(ttft, tpot);
  return Number.isNaN(worst) ? Infinity : worst;
}
