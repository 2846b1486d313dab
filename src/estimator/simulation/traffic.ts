import { Arrivals } from './arrivals';

/**
 * Requests on their way into a fleet, and how many are there: in a closed loop a client's next one comes when its last one is answered.
 */
export class Traffic {
  /** When the next request comes; Infinity if none does, or none is known to. */
  public nextSeconds = Infinity;
  /** Requests that have come, and those of them that are not answered. */
  public issued = 0;
  public inFlight = 0;
  /** Most requests that were there at once. */
  public mostInFlight = 0;
  /** Requests that arrivals met, summed over each quarter of the arrivals. */
  public readonly inFlightByQuarter = new Float64Array(4);

  private readonly quarters: number;
  private readonly clients: number;
  private readonly requests: number;
  // clients' coming requests, a ring
  private readonly coming: Float64Array;
  private head = 0;
  private count = 0;

  constructor(private readonly arrivals: Arrivals) {
    this.clients = arrivals.clients;
    this.requests = arrivals.requests;
    this.quarters = 4 / arrivals.requests;
    this.coming = new Float64Array(Math.max(1, arrivals.clients));
    if (this.clients > 0) {
      // they fit the ring, which never holds more than a request of each client
      this.count = Math.min(this.clients, this.requests);
      for (let i = 0; i < this.count; i++) {
        this.coming[i] = arrivals.seconds();
      }
    }
    if (this.requests > 0) {
      this.nextSeconds = this.clients > 0 ? this.coming[0] : arrivals.seconds();
    }
  }

  /** Lets the next request come; returns its number. */
  public arrive(): number {
    this.inFlightByQuarter[Math.floor(this.issued * this.quarters)] += this.inFlight;
    const number = this.issued++;
    if (++this.inFlight > this.mostInFlight) {
      this.mostInFlight = this.inFlight;
    }
    if (this.clients === 0) {
      this.nextSeconds = this.issued < this.requests ? this.arrivals.seconds() : Infinity;
    } else {
      this.head = this.head + 1 === this.coming.length ? 0 : this.head + 1;
      this.count--;
      this.nextSeconds = this.count > 0 ? this.coming[this.head] : Infinity;
    }
    return number;
  }

  /** A request is answered: its client, if it has one, sends the next. */
  public answered(now: number): void {
    this.inFlight--;
    if (this.clients > 0 && this.issued + this.count < this.requests) {
      const tail = this.head + this.count;
      this.coming[tail < this.coming.length ? tail : tail - this.coming.length] = now;
      if (this.count++ === 0) {
        this.nextSeconds = now;
      }
    }
  }
}
