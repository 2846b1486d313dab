import { Affinity } from './affinity';
import { FleetTables } from './fleet-tables';
import { PoolCaches } from './pool-caches';
import { RequestQueues } from './request-queues';
import { Requests } from './requests';
import { Tournament } from './tournament';

/** Who is told of a prompt that an engine begins to read. */
export interface Readers {
  begun(place: number, now: number, seconds: number): void;
}

/**
 * The engines that read prompts, each one at a time.
 */
export class PrefillPool {
  /** Seconds that engines worked, summed over the pool. */
  public busySeconds = 0;
  /** When each engine has read its prompt. */
  public readonly events: Tournament;
  /** Tokens of prompts that each engine has to read; Infinity while it is down. */
  public readonly loads: Tournament;
  /** How often each engine has failed. */
  public readonly epochs: Int32Array;

  /** The router's choice by what engines have read; undefined where the one with the least to read is chosen. */
  public readonly affinity?: Affinity;

  private readonly reading: Int32Array;
  private readonly queues: RequestQueues;
  /** Where prompts find what others have left; undefined where what they find is given beforehand. */
  private readonly caches?: PoolCaches;

  constructor(private readonly fleet: FleetTables, private readonly requests: Requests, private readonly readers: Readers) {
    const { prefillEngines: engines } = fleet;
    this.events = new Tournament(Math.max(1, engines), Infinity);
    this.loads = new Tournament(Math.max(1, engines), engines === 0 ? Infinity : 0);
    this.epochs = new Int32Array(engines);
    this.reading = new Int32Array(engines).fill(-1);
    this.queues = new RequestQueues(requests, engines, fleet.ranks);
    this.caches = fleet.caching && new PoolCaches(engines, fleet.caching.blocks, fleet.caching.prefixes);
    const loadFactor = fleet.caching?.prefixLoadFactor;
    this.affinity = loadFactor === undefined ? undefined
      : new Affinity(engines, this.loads, fleet.caching!.prefixes, { readsAlone: true, loadFactor });
  }

  /** Blocks of prefixes that others have taken. */
  public get evictedBlocks(): number {
    return this.caches?.evicted ?? 0;
  }

  /** The engine that a request of a kind would come to: the one with the least to read, or the router's choice; one must be up. */
  public next(kind: number): number {
    return this.affinity?.next(kind) ?? this.loads.winner;
  }

  /** A request comes; an engine must be up. */
  public take(place: number, now: number): void {
    const { requests, loads } = this;
    const engine = this.next(requests.row[place]);
    this.affinity?.give(engine, place, requests.row[place]);
    loads.take(engine, loads.valueOf(engine) + this.tokensToRead(place));
    requests.readBy[place] = engine;
    requests.readEpoch[place] = this.epochs[engine];
    if (this.reading[engine] < 0 && this.caches === undefined) {
      this.start(engine, place, this.fleet.kinds.promptSeconds[requests.row[place]], now);
      return;
    }
    this.queues.push(engine, this.fleet.kinds.ranks[requests.row[place]], place);
    if (this.reading[engine] < 0) {
      this.startNext(engine, now);
    }
  }

  /** The next prompt is read; returns whose it is. */
  public end(): number {
    const { winner: engine, least: now } = this.events;
    const place = this.reading[engine];
    this.loads.set(engine, this.loads.valueOf(engine) - this.tokensToRead(place));
    this.affinity?.learn(engine, place, this.requests.row[place], this.requests.cached[place]);
    this.reading[engine] = -1;
    this.startNext(engine, now);
    return place;
  }

  /** A KV cache has left the engine that read it, which then has room for others. */
  public left(place: number, now: number): void {
    const { caches, requests } = this;
    const engine = requests.readBy[place];
    if (caches !== undefined && requests.readEpoch[place] === this.epochs[engine]) {
      caches.release(engine, place);
      if (this.reading[engine] < 0) {
        this.startNext(engine, now);
      }
    }
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
    this.caches?.clear(engine);
    this.epochs[engine]++;
    this.events.set(engine, Infinity);
    this.loads.set(engine, Infinity);
    return lost;
  }

  /** An engine is up again. */
  public restore(engine: number): void {
    this.loads.set(engine, 0);
  }

  private tokensToRead(place: number): number {
    return this.affinity?.unreadTokens(place) ?? this.fleet.kinds.newTokens[this.requests.row[place]];
  }

  /** The first in the queue is read, if there is one and the KV cache has room for it. */
  private startNext(engine: number, now: number): void {
    const { caches, requests, queues, fleet: { kinds, caching } } = this;
    const place = queues.first(engine);
    if (place < 0) {
      this.events.set(engine, Infinity);
      return;
    }
    const kind = requests.row[place];
    let seconds = kinds.promptSeconds[kind];
    if (caches !== undefined) {
      const tokens = kinds.inputTokens[kind];
      if (!caches.hasRoom(engine, kind, tokens)) {
        this.events.set(engine, Infinity);
        return;
      }
      requests.cached[place] = caches.admit(engine, place, kind, tokens);
      seconds = caching!.promptSeconds(kind, requests.cached[place]);
    }
    queues.pop(engine);
    this.start(engine, place, seconds, now);
  }

  private start(engine: number, place: number, seconds: number, now: number): void {
    this.reading[engine] = place;
    this.busySeconds += seconds;
    this.events.set(engine, now + seconds);
    this.readers.begun(place, now, seconds);
  }
}
