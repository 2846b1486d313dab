import { performance } from 'node:perf_hooks';
import { isDeepStrictEqual } from 'node:util';
import { RouterConfig } from '../config';
import { Exchange } from '../exchange';
import { readPrompt } from './prompt';
import { serviceTierOf } from './service-tier';
import {
  decide, Decision, PathState, predictedTpotSeconds, predictedTtftSeconds, Prompt, PromptTokens, Recalibration, RoutedRequest, RoutingPolicy,
  RoutingState,
} from '../../../routing';
import { fieldNotHandedOn, isEligible } from '../targets/eligibility';
import { Endpoint } from '../targets/endpoint';
import { FailedRequests } from '../targets/failed-requests';
import { PrefillSlot } from '../targets/prefill-slot';
import { Target } from '../targets/target';
import { ApiError, invalid } from '../wire/api-error';
import { countsNoTokens, TOKENIZE } from '../wire/bedrock/count-tokens';
import { EngineRequest } from '../wire/engine-request';
import { promptTextOf, PromptText } from '../wire/prompt-text';

/** A request whose path is to be chosen. */
export interface Routed extends RoutedRequest {
  readonly asked: EngineRequest;
  readonly caller: string;
  readonly text: PromptText;
  readonly prompt: Prompt;
}

/** Which engines a request may have. */
interface Wanted {
  /** Engines that are not to answer, or to read the prompt. */
  readonly notToAnswer: ReadonlySet<Endpoint>;
  readonly notToRead: ReadonlySet<Endpoint>;
  /** Whether none is to answer whose last requests failed. */
  readonly isReliable: boolean;
  /** Whether those that have said that they have too much to do count as full. */
  readonly sparesBusy: boolean;
}

/** The engines of each path, and which path it is. */
interface Decided {
  readonly decision: Decision;
  readonly candidates: { readonly [path in keyof RoutingState]?: Candidate };
}

/** The path of a request. */
export interface Choice {
  readonly decision: Decision;
  readonly prompt: Prompt;
  /** Who answers, a slot of whom is taken; undefined for a refusal. */
  readonly by?: { readonly target: Target; readonly endpoint: Endpoint; readonly taken: number };
  /** Of the engine that is to read the prompt for it; undefined if that is the one that answers. */
  readonly prefill?: PrefillSlot;
  /** Blocks of the prompt that it was given before, and tokens that it would have to read, about; undefined for a refusal. */
  readonly knownBlocks?: number;
  readonly unreadTokens?: number;
  /** What is expected; undefined for a path without rates. */
  readonly expected?: { readonly of: Recalibration; readonly ttftSeconds: number; readonly tpotSeconds: number };
}

/** An engine that could answer, and how busy it is. */
interface Candidate {
  readonly target: Target;
  readonly endpoint: Endpoint;
  /** What reads the prompt for it. */
  readonly prefill?: Endpoint;
  readonly state: PathState;
}

const NONE: ReadonlySet<Endpoint> = new Set();
/** A pair that is there, but not up. */
const PAIR_DOWN: PathState = { isUp: false, freeSlots: 0, queuedPromptTokens: 0, sequences: 0 };

/**
 * Chooses the path of each request: what it is and how busy the engines are, put before `decide`; and learns of how that went.
 */
export class PathChooser {
  private readonly failures: FailedRequests;
  private readonly answering: Target[];
  private readonly fleet: Target[];
  /** Those of the fleet whose engines can do without a prefill engine. */
  private readonly alone: Target[];
  private readonly bedrock: Target[];
  private readonly named: ReadonlyMap<string, Target>;
  private readonly hasPairs: boolean;
  private readonly prompts: PromptTokens;
  private readonly policy: RoutingPolicy & { readonly [path in keyof RoutingState]?: Recalibration };
  private readonly given: unknown;
  private readonly priorityCallers: ReadonlySet<string>;

  /**
   * @param config how to choose.
   * @param targets all of them, the preferred ones first.
   * @param failures the requests that engines failed.
   * @param before who chose before: what it has learnt is kept if the configuration says the same of it.
   */
  constructor({ routing, expected, priorityCallers }: RouterConfig, targets: Target[], failures: FailedRequests, before?: PathChooser) {
    this.failures = failures;
    this.given = { routing, expected };
    this.priorityCallers = new Set(priorityCallers);
    this.answering = targets.filter(({ config }) => config.role !== 'prefill');
    this.fleet = this.answering.filter(({ protocol }) => !protocol.isBedrock);
    this.alone = this.fleet.filter(({ readsPrompts }) => readsPrompts);
    this.bedrock = this.answering.filter(({ protocol }) => protocol.isBedrock);
    this.hasPairs = this.fleet.some(({ config }) => config.prefill !== undefined);
    this.named = new Map(targets.map((target) => [target.config.name, target]));
    if (before !== undefined && isDeepStrictEqual(this.given, before.given)) {
      this.prompts = before.prompts;
      this.policy = before.policy;
      return;
    }
    this.prompts = new PromptTokens(routing.bytesPerToken);
    const { minPromptTokens, disaggregated, aggregated, bedrock } = routing;
    const now = performance.now() / 1000;
    this.policy = {
      ...expected,
      minPromptTokens,
      disaggregated: disaggregated && new Recalibration(disaggregated, now),
      aggregated: aggregated && new Recalibration(aggregated, now),
      bedrock: bedrock && new Recalibration(bedrock, now),
    };
  }

  /**
   * What of a request its path depends on. Throws ApiError if it is for an operation that no target has, up or not, or can do as it is asked, or for a tier
   * that is not its caller's.
   */
  public read(exchange: Exchange, asked: EngineRequest): Routed {
    if (!this.answering.some((target) => target.canAnswer(asked))) {
      if (asked.path === TOKENIZE) {
        throw countsNoTokens();
      }
      const target = this.answering.find((one) => one.hasApiFor(asked));
      const field = target && fieldNotHandedOn(asked, target.config.kvConnector);
      throw field === undefined
        ? new ApiError(404, 'invalid_request_error', 'not_found', 'no engine here has this operation')
        : invalid('invalid_request', `${field}: what is asked with it needs an engine that reads the prompt itself, and there is none here`, field);
    }
    const text = promptTextOf(asked.body, asked.longTexts);
    const promptTokens = Math.ceil(this.prompts.estimate(text.bytes) + text.tokens);
    exchange.serviceTier = serviceTierOf(exchange, asked, this.priorityCallers);
    return {
      asked,
      caller: exchange.caller.id,
      text,
      prompt: readPrompt(asked, promptTokens, exchange.caller.id),
      promptTokens,
      isEligible: this.fleet.some(({ config }) => isEligible(asked, config.kvConnector)),
      tier: exchange.serviceTier,
    };
  }

  /**
   * Chooses a path, and takes a slot of the engine that answers, and of the one that is to read the prompt for it. Engines whose last requests failed are left
   * to themselves while there are others, of whichever target, and so are those that failed this very request.
   *
   * @param routed the request.
   * @param tried engines that it could not reach: they are to answer only if no other can.
   */
  public choose(routed: Routed, tried: ReadonlySet<Endpoint>): Choice {
    const { prompt, promptTokens } = routed;
    let decided = this.look(routed, tried, true);
    if (decided.decision.reason === 'no_slot' && this.isAnyBusy()) {
      // they may take this one, or tell its caller more of why they do not.
      decided = this.look(routed, tried, false);
    }
    const { decision, candidates } = decided;
    if (decision.path === 'refuse') {
      return { decision, prompt };
    }
    const { target, endpoint, prefill, state: { queuedPromptTokens, sequences, cachedPromptTokens } } = candidates[decision.path]!;
    const of = this.policy[decision.path];
    of?.chosen(performance.now() / 1000);
    const knownBlocks = endpoint.prompts.blocksOf(prompt);
    const unreadTokens = promptTokens - endpoint.prompts.cachedTokens(prompt);
    const taken = target.take(endpoint, prompt);
    return {
      decision,
      prompt,
      by: { target, endpoint, taken },
      prefill: prefill && new PrefillSlot(this.named.get(target.config.prefill!)!, prefill, prompt),
      knownBlocks,
      unreadTokens,
      expected: of && {
        of,
        ttftSeconds: predictedTtftSeconds(of.rates, promptTokens, queuedPromptTokens, sequences, cachedPromptTokens),
        tpotSeconds: predictedTpotSeconds(of.rates, promptTokens, queuedPromptTokens, sequences, cachedPromptTokens),
      },
    };
  }

  /** Whether there is a slot for a request of an engine that has not said that it has too much to do. */
  public hasRoom(routed: Routed, tried: ReadonlySet<Endpoint>): boolean {
    return this.look(routed, tried, true).decision.path !== 'refuse';
  }

  /** Whether an engine that could answer a request is known to be there, be it full. */
  public canBeReached({ asked }: Routed): boolean {
    return this.answering.some((target) => target.canAnswer(asked) && target.engines.endpoints.some(({ canBeReached }) => canBeReached));
  }

  /** What a request needs of engines: while there is no slot for one, there is none for any other that needs the same. */
  public needsOf({ asked, caller }: Routed, tried: ReadonlySet<Endpoint>): unknown {
    const failed = this.failures.enginesOf(caller, asked, 'answer');
    const special = [tried, failed].find(({ size }) => size > 0);
    return special ?? this.answering.flatMap((target) => [target.canAnswer(asked), target.takesKvCacheOf(asked)]).join();
  }

  /** Learns from an exchange that was answered as it was chosen. */
  public learn(exchange: Exchange, { text }: Routed, { decision, prompt, by, knownBlocks, expected }: Choice): void {
    const { promptTokens, cachedTokens, ttftSeconds, tpotSeconds, handoff, chosenSeconds } = exchange;
    if (promptTokens !== undefined && text.tokens === 0) {
      this.prompts.learn(text.bytes, promptTokens);
    }
    // what was handed to it is not what it had.
    if (cachedTokens !== undefined && !exchange.isReadElsewhere) {
      by!.endpoint.prompts.learn(prompt, knownBlocks!, cachedTokens);
    }
    if (expected === undefined || (decision.path === 'disaggregated' && handoff !== 'handed_off')) {
      return;
    }
    const now = performance.now() / 1000;
    if (ttftSeconds !== undefined) {
      expected.of.learnTtft(ttftSeconds - chosenSeconds!, expected.ttftSeconds, now);
    }
    if (tpotSeconds !== undefined) {
      expected.of.learnTpot(tpotSeconds, expected.tpotSeconds, now);
    }
    const { disaggregated, aggregated, bedrock } = this.policy;
    [disaggregated, aggregated, bedrock].filter((path) => path !== expected.of).forEach((path) => path?.doubt());
  }

  private look(routed: Routed, tried: ReadonlySet<Endpoint>, sparesBusy: boolean): Decided {
    const { caller, asked } = routed;
    const [failed, unread] = [this.failures.enginesOf(caller, asked, 'answer'), this.failures.enginesOf(caller, asked, 'prefill')];
    const notToAnswer = failed.size === 0 ? tried : new Set([...tried, ...failed]);
    let decided = this.decide(routed, { notToAnswer, notToRead: unread, isReliable: true, sparesBusy });
    for (const isReliable of failed.size + unread.size === 0 ? [false] : [true, false]) {
      if (decided.decision.reason === 'nothing_available') {
        decided = this.decide(routed, { notToAnswer: isReliable ? tried : NONE, notToRead: NONE, isReliable, sparesBusy });
      }
    }
    return decided;
  }

  private isAnyBusy(): boolean {
    const now = performance.now();
    return [...this.named.values()].some(({ engines }) => engines.endpoints.some((endpoint) => endpoint.isBusy(now)));
  }

  private decide(routed: Routed, wanted: Wanted): Decided {
    const disaggregated = this.pair(routed, wanted);
    const aggregated = this.first(this.alone, routed, wanted);
    const bedrock = this.first(this.bedrock, routed, wanted);
    const now = performance.now() / 1000;
    this.policy.disaggregated?.asOf(now);
    this.policy.aggregated?.asOf(now);
    this.policy.bedrock?.asOf(now);
    const decision = decide(routed, {
      disaggregated: disaggregated?.state ?? (this.hasPairs ? PAIR_DOWN : undefined),
      aggregated: aggregated?.state,
      bedrock: bedrock?.state,
    }, this.policy);
    return { decision, candidates: { disaggregated, aggregated, bedrock } };
  }

  /** The decode engine of the first pair that is complete and has a free slot, or of the first that is complete. */
  private pair({ asked, prompt }: Routed, { notToAnswer, notToRead, isReliable, sparesBusy }: Wanted): Candidate | undefined {
    let full: Candidate | undefined;
    for (const target of this.fleet) {
      const decode = target.takesKvCacheOf(asked) ? target.next(notToAnswer, prompt, isReliable) : undefined;
      // a prompt need not go to a prefill engine that fails where decode engines can read it.
      const prefill = decode && this.named.get(target.config.prefill!)!.next(notToRead, prompt, isReliable || target.readsPrompts);
      if (decode !== undefined && prefill !== undefined) {
        const state = {
          isUp: true,
          freeSlots: Math.min(slotsOf(decode, sparesBusy), slotsOf(prefill, sparesBusy)),
          cachedPromptTokens: prefill.prompts.cachedTokens(prompt),
          queuedPromptTokens: prefill.everybodysPromptTokens,
          sequences: decode.sequences,
        };
        if (state.freeSlots > 0) {
          return { target, endpoint: decode, prefill, state };
        }
        full ??= { target, endpoint: decode, prefill, state };
      }
    }
    return full;
  }

  /** The engine of the first target that can have it and has a free slot, or of the first that can have it. */
  private first(targets: Target[], { asked, prompt }: Routed, { notToAnswer, isReliable, sparesBusy }: Wanted): Candidate | undefined {
    let full: Candidate | undefined;
    for (const target of targets) {
      const endpoint = target.canAnswer(asked) ? target.next(notToAnswer, prompt, isReliable) : undefined;
      if (endpoint !== undefined) {
        const { queuedPromptTokens, sequences } = endpoint;
        const freeSlots = slotsOf(endpoint, sparesBusy);
        const cachedPromptTokens = endpoint.prompts.cachedTokens(prompt);
        const candidate = { target, endpoint, state: { isUp: true, freeSlots, cachedPromptTokens, queuedPromptTokens, sequences } };
        if (freeSlots > 0) {
          return candidate;
        }
        full ??= candidate;
      }
    }
    return full;
  }
}

function slotsOf(endpoint: Endpoint, sparesBusy: boolean): number {
  return sparesBusy && endpoint.isBusy(performance.now()) ? 0 : endpoint.freeSlots;
}
