import { FleetTables } from './fleet-tables';
import { RequestQueues } from './request-queues';
import { Requests } from './requests';
import { Tournament } from './tournament';

/**
 * The engines that read prompts, each one at a time.
 */
export class PrefillPool {
  /** Seconds that engines worked, summed over the pool. */
  public busySeconds = 0;
  /** When each engine has read its prompt. */
  public readonly events: Tournament;
  /** Requests of each engine; Infinity while it is down. */
  public readonly loads: Tournament;
  /** Tokens of prompts that each engine has to read. */
  public readonly queuedTokens: Float64Array;
  /** How often each engine has failed. */
  public readonly epochs: Int32Array;

  private readonly reading: Int32Array;
  private readonly queues: RequestQueues;

  constructor(private readonly fleet: FleetTables, private readonly requests: Requests) {
    const { prefillEngines: engines } = fleet;
    this.events = new Tournament(Math.max(1, engines), Infinity);
    this.loads = new Tournament(Math.max(1, engines), engines === 0 ? Infinity : 0);
    this.queuedTokens = new Float64Array(engines);
    this.epochs = new Int32Array(engines);
    this.reading = new Int32Array(engines).fill(-1);
    this.queues = new RequestQueues(requests, engines, fleet.ranks);
  }

  /** A request comes to the engine with the fewest; one must be up. */
  public take(place: number, now: number): void {
    const { requests, loads } = this;
    const engine = loads.winner;
    loads.set(engine, loads.valueOf(engine) + 1);
    this.queuedTokens[engine] += this.fleet.kinds.newTokens[requests.row[place]];
    requests.readBy[place] = engine;
    requests.readEpoch[place] = this.epochs[engine];
    if (this.reading[engine] < 0) {
      this.start(engine, place, now);
    } else {
      this.queues.push(engine, this.fleet.kinds.ranks[requests.row[place]], place);
    }
  }

  /** The next prompt is read; returns whose it is. */
  public end(now: number): number {
    const engine = this.events.winner;
    const place = this.reading[engine];
    this.loads.set(engine, this.loads.valueOf(engine) - 1);
    this.queuedTokens[engine] -= this.fleet.kinds.newTokens[this.requests.row[place]];
    const next = this.queues.first(engine);
    if (next < 0) {
      this.reading[engine] = -1;
      this.events.set(engine, Infinity);
    } else {
      this.queues.pop(engine);
      this.start(engine, next, now);
    }
    return place;
  }

  /** An engine goes down; returns the requests that it had. */
  public fail(engine: number, now: number): number[] {
    const lost: number[] = [];
    if (this.reading[engine] >= 0) {
      lost.push(this.reading[engine]);
      this.busySeconds -= this.events.valueOf(engine) - now;
    }
    for (let place = this.queues.first(engine); place >= 0; place = this.queues.first(engine)) {
      this.queues.pop(engine);
      lost.push(place);
    }
    this.reading[engine] = -1;
    this.queuedTokens[engine] = 0;
    this.epochs[engine]++;
    this.events.set(engine, Infinity);
    this.loads.set(engine, Infinity);
    return lost;
  }

  /** An engine is up again. */
  public restore(engine: number): void {
    this.loads.set(engine, 0);
  }

  private start(engine: number, place: number, now: number): void {
    const seconds = this.fleet.kinds.promptSeconds[this.requests.row[place]];
    this.reading[engine] = place;
    this.busySeconds += seconds;
    this.events.set(engine, now + seconds);
  }
}
