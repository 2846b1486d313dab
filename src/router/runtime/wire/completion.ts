import { EngineError } from './api-error';
import { Fields, isObject } from './fields';
import { WholeAnswer } from './whole-answer';

/** Text that a model thought, which engines call by two names. */
export function reasoningOf(message: Fields): string | undefined {
  const told = message.reasoning ?? message.reasoning_content;
  return typeof told === 'string' && told !== '' ? told : undefined;
}

/** Whether an engine says with the reason for its end that it gave up: vLLM's `abort` and `error`. */
export function isGivenUp(finishReason: unknown): boolean {
  return finishReason === 'abort' || finishReason === 'error';
}

/** A completion that the engine ended. */
export interface Completion extends Fields {
  readonly choices: (Fields & { readonly finish_reason: string })[];
}

/** A whole completion. Throws EngineError if it is none, or was given up. */
export function completionOf({ body }: WholeAnswer): Completion {
  let completion: unknown;
  try {
    completion = JSON.parse(body.toString('utf8'));
  } catch {
    // told below.
  }
  if (!isObject(completion) || !Array.isArray(completion.choices) || completion.choices.length === 0 || !completion.choices.every(isObject)) {
    throw new EngineError(502, 'engine_failed', 'the engine answers with something that is no completion');
  }
  if (completion.choices.some(({ finish_reason: reason }) => typeof reason !== 'string' || isGivenUp(reason))) {
    throw new EngineError(502, 'engine_failed', 'the engine ended its answer before it was whole');
  }
  return completion as unknown as Completion;
}

/** Far above the tokens of any request. */
const MAX_TOKENS = 1e9;

/** Tokens as an engine counts them; undefined if that is no number of tokens. */
export function tokenCountOf(value: unknown): number | undefined {
  return Number.isInteger(value) && value as number >= 0 && value as number < MAX_TOKENS ? value as number : undefined;
}

/** Throws EngineError if an event is no chunk of a completion. */
export function chunkOf(data: string): Fields {
  try {
    const chunk: unknown = JSON.parse(data);
    if (isObject(chunk)) {
      return chunk;
    }
  } catch {
    // told below.
  }
  throw new EngineError(502, 'engine_failed', 'the engine streams something that is no completion');
}
