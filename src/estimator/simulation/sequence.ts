import { Holder } from './engine-memory';

/** A request and what became of it; times are seconds from the start, as the engine sees them. */
export interface MixedRequest {
  readonly arrivalSeconds: number;
  readonly inputTokens: number;
  /** Kind of the prompt, for engines that find prompts by their contents. */
  readonly kind?: number;
  /** Tokens of the prompt that the prefix cache holds; none unless given. Engines that find prompts by their contents write what they found. */
  cachedTokens?: number;
  readonly outputTokens: number;
  /** Of those who wait the lowest is first; 0 unless given. */
  readonly rank?: number;
  firstTokenSeconds: number;
  lastTokenSeconds: number;
}

/** A request in the engine. */
export class Sequence implements Holder {
  public request: MixedRequest = { arrivalSeconds: NaN, inputTokens: 0, outputTokens: 0, firstTokenSeconds: NaN, lastTokenSeconds: NaN };
  public kind = 0;
  public cachedTokens = 0;
  public held = 0;
  public heldTokens = 0;
  public readonly blocks: number[] = [];
  /** How many got a place in the engine before it did. */
  public order = 0;
  /** Tokens to have read: what was written before the sequence lost its place is read again. */
  public toRead = 0;
  public read = 0;
  /** Tokens that the step in hand reads. */
  public chunk = 0;
  /** Tokens that it has written, those left out that it wrote in a batch that it is still in. */
  public written = 0;
  /** Its place in a batch, and the step of the batch in which it would have begun to write; -1 for the place outside of one. */
  public place = -1;
  public since = 0;
  /** Whether it has lost its place in the engine before. */
  public isBack = false;
  /** While it waits, who is next of its rank. */
  public next: Sequence | undefined = undefined;

  /** Takes a request, once the one before has ended. */
  public take(request: MixedRequest): void {
    const { kind = 0, cachedTokens = 0, inputTokens } = request;
    this.request = request;
    this.kind = kind;
    // the last token of a prompt is read even if it is cached: the next one follows from it
    this.cachedTokens = Math.min(cachedTokens, inputTokens - 1);
    this.toRead = inputTokens;
    this.read = 0;
    this.written = 0;
    this.isBack = false;
  }
}

/** Rank of a request: the lowest is the most urgent. */
export function rankOf({ rank = 0 }: MixedRequest): number {
  return rank;
}
