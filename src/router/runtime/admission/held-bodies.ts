import { throttled } from './throttled';
import { LimitsConfig } from '../config';
import { Exchange } from '../exchange';
import { RouterMetrics } from '../telemetry/metrics';

/** Soon one of the requests that have the memory has ended. */
const RETRY_SECONDS = 1;

/**
 * The bodies that a router has in memory: those of all requests that have not ended.
 */
export class HeldBodies {
  private readonly metrics: RouterMetrics;
  private bytes = 0;

  constructor(metrics: RouterMetrics) {
    this.metrics = metrics;
  }

  /** Makes room for a body of so many bytes, if it is longer than what the request has room for already. Throws ApiError if there is not so much. */
  public hold(exchange: Exchange, bytes: number, { maxHeldBytes }: LimitsConfig): void {
    const more = bytes - exchange.heldBytes;
    if (more > 0) {
      if (this.bytes + more > maxHeldBytes) {
        throw throttled(this.metrics, 'bodies_full', RETRY_SECONDS);
      }
      this.bytes += more;
      exchange.heldBytes = bytes;
    }
  }

  /** The request has ended. */
  public letGo(exchange: Exchange): void {
    this.bytes -= exchange.heldBytes;
    exchange.heldBytes = 0;
  }
}
