import { Prompt, ReadPrompts } from './read-prompts';

/** An engine that requests can be given to, at this moment. */
export interface EngineState {
  /** Whether it says that it has hardly any room in its KV cache. */
  readonly isNearlyFull: boolean;
  /** Requests that it has to answer. */
  readonly sequences: number;
  /** Tokens of prompts that it has to read. */
  readonly everybodysPromptTokens: number;
  /** When it was last given a request, in a count that grows with each: equals take turns. */
  readonly turn: number;
  /** The prompts that it was given. */
  readonly prompts: ReadPrompts;
}

/** How one of equal engines is chosen. */
export interface EngineChoice {
  /** Whether engines do nothing but read prompts, and so have as much to do as these are long; else as many requests as they have. */
  readonly readsAlone: boolean;
  /** How much an engine may have to do, with a request, over what the engine with the least would have, to be chosen because it has read the prompt's beginning. */
  readonly loadFactor: number;
}

/** What `loadFactor` is unless told otherwise: the default of `prefixLoadFactor` of the router's targets. */
export const DEFAULT_PREFIX_LOAD_FACTOR = 1.25;

/**
 * The engine that is to have a prompt: the one with the least to do, or, of those that have hardly more to do, the one that has read most of its beginning. A pure
 * function: the router asks it for each request, and the simulator for each that it simulates. Undefined if there is none.
 *
 * @param engines that can take it.
 */
export function chooseEngine<E extends EngineState>(engines: readonly E[], prompt: Prompt, choice: EngineChoice): E | undefined {
  let best: E | undefined;
  for (const engine of engines) {
    best = best === undefined || isFreer(engine, best, choice) ? engine : best;
  }
  if (best === undefined || engines.length === 1 || prompt.blocks.length === 0) {
    return best;
  }
  const least = best;
  const most = choice.loadFactor * loadWith(least, prompt, choice);
  let blocks = least.prompts.blocksOf(prompt);
  for (const engine of engines) {
    // of an engine that has a single request, a factor says nothing.
    const isWithin = loadWith(engine, prompt, choice) <= (choice.readsAlone ? most : Math.ceil(most));
    if (engine !== least && engine.isNearlyFull === least.isNearlyFull && isWithin) {
      const known = engine.prompts.blocksOf(prompt);
      best = known > blocks ? engine : best;
      blocks = Math.max(blocks, known);
    }
  }
  return best;
}

/** Whether an engine is to have a request before another: it has less to do or, of equals, was given none for longer. */
export function isBefore(one: number, turn: number, other: number, otherTurn: number): boolean {
  return one < other || (one === other && turn < otherTurn);
}

function isFreer(one: EngineState, other: EngineState, choice: EngineChoice): boolean {
  return one.isNearlyFull === other.isNearlyFull ? isBefore(load(one, choice), one.turn, load(other, choice), other.turn) : other.isNearlyFull;
}

function load(engine: EngineState, { readsAlone }: EngineChoice): number {
  return readsAlone ? engine.everybodysPromptTokens : engine.sequences;
}

/** What an engine would have to do if it got a prompt. */
function loadWith(engine: EngineState, prompt: Prompt, choice: EngineChoice): number {
  return load(engine, choice) + (choice.readsAlone ? prompt.tokens - engine.prompts.cachedTokens(prompt) : 1);
}
