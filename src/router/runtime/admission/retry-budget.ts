/** Requests that earn a retry: a fifth of them may be retried. */
const REQUESTS_PER_RETRY = 5;
/** Retries in a second that are allowed however few requests there are. */
const FLOOR_PER_SECOND = 1;
/** Retries that can be saved up. */
const MOST = 20;

/**
 * How often requests may be sent to another engine after one could not be reached: a share of the requests, so that engines that are left are not asked many
 * times for each of them.
 */
export class RetryBudget {
  /** In requests, so that it stays a whole number. */
  private saved = MOST * REQUESTS_PER_RETRY;
  private sinceMillis?: number;

  /** A request came. */
  public deposit(): void {
    this.saved = Math.min(MOST * REQUESTS_PER_RETRY, this.saved + 1);
  }

  /** Takes a retry. Returns whether there was one. */
  public withdraw(nowMillis: number): boolean {
    const earned = FLOOR_PER_SECOND * REQUESTS_PER_RETRY * (nowMillis - (this.sinceMillis ?? nowMillis)) / 1000;
    this.saved = Math.min(MOST * REQUESTS_PER_RETRY, this.saved + earned);
    this.sinceMillis = nowMillis;
    if (this.saved < REQUESTS_PER_RETRY) {
      return false;
    }
    this.saved -= REQUESTS_PER_RETRY;
    return true;
  }
}
