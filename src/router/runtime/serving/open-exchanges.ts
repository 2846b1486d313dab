import { Exchange } from '../exchange';

/**
 * The exchanges that have not ended. In a Set, each would live until the next full collection: V8 keeps what an earlier state of a Set held as long as that
 * state.
 */
export class OpenExchanges {
  private readonly exchanges: Exchange[] = [];

  /** How many there are. */
  public get size(): number {
    return this.exchanges.length;
  }

  /** One has begun. */
  public add(exchange: Exchange): void {
    exchange.place = this.exchanges.push(exchange) - 1;
  }

  /** One of them has ended. */
  public delete(exchange: Exchange): void {
    const last = this.exchanges.pop()!;
    if (last !== exchange) {
      last.place = exchange.place;
      this.exchanges[last.place] = last;
    }
  }

  /** Cancels all of them. */
  public cancel(reason: Error): void {
    [...this.exchanges].forEach((exchange) => exchange.cancel(reason));
  }
}
