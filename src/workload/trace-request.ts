/**
 * One request of a trace.
 */
export interface TraceRequest {
  /** Its line in the trace, from 1. */
  readonly line: number;

  /** Arrival, in seconds after the first request. */
  readonly arrivalSeconds: number;

  /** Prompt length, in tokens. */
  readonly inputTokens: number;

  /** Leading tokens of the prompt that an infinite prefix cache would hold; 0 where the trace does not tell. */
  readonly cachedInputTokens: number;

  /**
   * Numbers of the pieces of 512 tokens that the prompt begins with: equal ones of two requests stand for equal tokens after equal tokens.
   *
   * @default - the trace does not tell which prompts begin alike
   */
  readonly prefixIds?: number[];

  /** Generated tokens, the first one included. */
  readonly outputTokens: number;
}
