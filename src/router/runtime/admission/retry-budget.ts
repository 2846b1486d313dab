/** Retries for each recent request. */
const SHARE = 0.2;
/** Retries that are allowed besides, so that few requests can be retried as well. */
const FLOOR = 20;
/** Recent is what came in this time and up to as much before. */
const WINDOW_MILLIS = 30_000;

/**
 * How often requests may be sent to another engine after one could not be reached or had too much to do: a share of the recent requests, so that engines that
 * are left are not asked many times for each of them.
 */
export class RetryBudget {
  private now = { requests: 0, retries: 0 };
  private before = { requests: 0, retries: 0 };
  private endMillis = 0;

  /** A request came. */
  public deposit(nowMillis: number): void {
    this.forget(nowMillis);
    this.now.requests++;
  }

  /** Takes a retry. Returns whether there was one. */
  public withdraw(nowMillis: number): boolean {
    this.forget(nowMillis);
    const { now, before } = this;
    if (before.retries + now.retries + 1 > FLOOR + SHARE * (before.requests + now.requests)) {
      return false;
    }
    now.retries++;
    return true;
  }

  private forget(nowMillis: number): void {
    if (nowMillis >= this.endMillis) {
      this.before = nowMillis < this.endMillis + WINDOW_MILLIS ? this.now : { requests: 0, retries: 0 };
      this.now = { requests: 0, retries: 0 };
      this.endMillis = nowMillis + WINDOW_MILLIS;
    }
  }
}
