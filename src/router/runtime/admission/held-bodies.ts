import { throttled } from './throttled';
import { LimitsConfig } from '../config';
import { Exchange } from '../exchange';
import { RouterMetrics } from '../telemetry/metrics';

/** Soon one of the requests that have the memory has ended. */
const RETRY_SECONDS = 1;
/** What one caller may have for each byte that is left to the others: three quarters of all while nobody else has any, less the more do. */
const SHARE = 3;

/**
 * The bodies that a router has in memory: those of all requests that have not ended.
 */
export class HeldBodies {
  private readonly metrics: RouterMetrics;
  private readonly ofCallers = new Map<string, number>();
  private bytes = 0;

  constructor(metrics: RouterMetrics) {
    this.metrics = metrics;
  }

  /** Throws ApiError if there is no room for a body of so many bytes, or it is more than its caller's share; none is too long that is the only one. */
  public check(exchange: Exchange, bytes: number, limits: LimitsConfig): void {
    if (!this.fits(exchange, bytes - exchange.heldBytes, limits)) {
      throw throttled(this.metrics, 'bodies_full', RETRY_SECONDS);
    }
  }

  /** Makes room for a body of so many bytes, if it is longer than what the request has room for already. Throws as `check` does. */
  public hold(exchange: Exchange, bytes: number, limits: LimitsConfig): void {
    this.check(exchange, bytes, limits);
    const more = bytes - exchange.heldBytes;
    if (more > 0) {
      this.add(exchange, more);
    }
  }

  /** Makes room for so many bytes more; returns false if there is none, in which case nothing is refused by it. */
  public holdMore(exchange: Exchange, more: number, limits: LimitsConfig): boolean {
    const fits = this.fits(exchange, more, limits);
    if (fits) {
      this.add(exchange, more);
    }
    return fits;
  }

  /** The request has ended. */
  public letGo(exchange: Exchange): void {
    if (exchange.heldBytes > 0) {
      this.add(exchange, -exchange.heldBytes);
    }
  }

  private fits(exchange: Exchange, more: number, { maxHeldBytes }: LimitsConfig): boolean {
    const left = maxHeldBytes - this.bytes - more;
    const isAlone = this.bytes === exchange.heldBytes;
    // of a body whose length is not told there is nothing to say yet.
    return !(more > 0) || (left >= 0 && (isAlone || this.of(exchange) + more <= SHARE * left));
  }

  private of({ caller }: Exchange): number {
    return this.ofCallers.get(caller.id) ?? 0;
  }

  private add(exchange: Exchange, bytes: number): void {
    this.bytes += bytes;
    exchange.heldBytes += bytes;
    const all = this.of(exchange) + bytes;
    if (all === 0) {
      this.ofCallers.delete(exchange.caller.id);
    } else {
      this.ofCallers.set(exchange.caller.id, all);
    }
  }
}
