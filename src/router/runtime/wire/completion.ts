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

/** A whole completion. Throws EngineError if it is none. */
export function completionOf({ body }: WholeAnswer): Fields & { readonly choices: Fields[] } {
  try {
    const completion = JSON.parse(body.toString('utf8')) as Fields;
    if (Array.isArray(completion.choices) && isObject(completion.choices[0])) {
      return completion as Fields & { choices: Fields[] };
    }
  } catch {
    // told below.
  }
  throw new EngineError(502, 'engine_failed', 'the engine answers with something that is no completion');
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
