import { MixedEngine } from './mixed-engine';
import { Sequence } from './sequence';

/** A request that comes on its own, and what became of it; times are seconds from the start, as the engine sees them. */
export interface MixedRequest {
  readonly arrivalSeconds: number;
  readonly inputTokens: number;
  /** Kind of the prompt, for engines that find prompts by their contents. */
  readonly kind?: number;
  /** Tokens of the prompt that the prefix cache holds; none unless given. */
  cachedTokens?: number;
  readonly outputTokens: number;
  /** Of those who wait the lowest is first; 0 unless given. */
  readonly rank?: number;
  firstTokenSeconds: number;
  lastTokenSeconds: number;
}

/**
 * Lets an engine answer requests that come on their own.
 *
 * @param engine with no request.
 * @param requests in order of arrival; when they have their tokens is written into them.
 */
export function replay(engine: MixedEngine, requests: readonly MixedRequest[]): void {
  const asked = new Map<Sequence, MixedRequest>();
  const finished = (sequence: Sequence, now: number) => {
    const request = asked.get(sequence)!;
    request.firstTokenSeconds = sequence.firstTokenSeconds;
    request.lastTokenSeconds = now;
    asked.delete(sequence);
  };
  for (const request of requests) {
    while (engine.endsSeconds < request.arrivalSeconds) {
      engine.end(finished);
    }
    const { kind = 0, rank = 0, inputTokens, cachedTokens = 0, outputTokens } = request;
    const sequence = Object.assign(new Sequence(), { kind, rank, inputTokens, cachedTokens, outputTokens });
    asked.set(sequence, request);
    engine.join(sequence, request.arrivalSeconds);
  }
  while (engine.endsSeconds < Infinity) {
    engine.end(finished);
  }
}
