/** How long what was measured counts, in seconds. */
const MEMORY_SECONDS = 60;

/**
 * How fast a queue gets shorter: tokens of prompts that left it for an engine, over the time in which some waited.
 */
export class DrainRate {
  private tokens = 0;
  private seconds = 0;
  private sinceMillis = 0;

  /** The first begins to wait. */
  public began(nowMillis: number): void {
    this.sinceMillis = nowMillis;
  }

  /** A prompt of so many tokens went to an engine. */
  public drained(promptTokens: number, nowMillis: number): void {
    const passed = (nowMillis - this.sinceMillis) / 1000;
    const kept = Math.exp(-passed / MEMORY_SECONDS);
    this.tokens = this.tokens * kept + Math.max(1, promptTokens);
    this.seconds = this.seconds * kept + passed;
    this.sinceMillis = nowMillis;
  }

  /** How long so many tokens take to drain, in seconds. If none have drained yet, as long again as has been waited for the first. */
  public secondsFor(promptTokens: number, nowMillis: number): number {
    const waited = (nowMillis - this.sinceMillis) / 1000;
    return this.tokens === 0 ? waited : promptTokens * (this.seconds + waited) / this.tokens;
  }
}
