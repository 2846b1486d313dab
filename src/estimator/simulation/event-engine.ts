import { Arrivals } from './arrivals';
import { DecodePool } from './decode-pool';
import { FleetTables } from './fleet-tables';
import { Outages } from './outages';
import { PrefillPool } from './prefill-pool';
import { Requests } from './requests';
import { FleetRouting, Routing } from './routing';
import { SharedLinks } from './shared-links';
import { TaskHeap } from './task-heap';
import { Traffic } from './traffic';

/** Who is told of each request that has ended, in the order of ending. */
export interface Finished {
  /**
   * A request is answered.
   *
   * @param request number of the request in order of arrival, from 0.
   * @param kind its kind.
   * @param arrival when it came, in seconds.
   * @param firstToken when its first token left, in seconds.
   * @param finish when its last token left, in seconds.
   * @param prefill number of the engine that read the prompt; -1 if the one that wrote the tokens did, in place of a prefill engine.
   * @param decode number of the engine that wrote the tokens.
   * @param cached tokens of the prompt that were not read, as the engine had them in its cache.
   */
  finished(request: number, kind: number, arrival: number, firstToken: number, finish: number, prefill: number, decode: number, cached: number): void;

  /**
   * A request is not answered, or not to its end, because an engine failed.
   *
   * @param failure when its client is told, in seconds.
   */
  failed(request: number, kind: number, arrival: number, failure: number): void;
}

/**
 * The event simulation of a fleet.
 *
 * A request is given to the prefill engine with the least to read and to the decode engine with the fewest requests, equals in turn. Prompts are read one at a
 * time in order of arrival; the KV cache moves over a link that transfers share evenly; then the request waits in order for a slot and for memory for its whole
 * KV cache, joins the batch when the running step ends, and leaves after its last token. In aggregated serving, and where the router or a failure has it so,
 * the decode engine reads prompts itself, each before the next decode step. Where the decode engine fails while a prefill engine reads, all begins anew.
 *
 * The clock is the one of the prefill queue: the gateway delays each request alike and is added in the end.
 */
export class EventEngine {
  /** None: a sequence is admitted when its whole KV cache has room. */
  public readonly preemptions = 0;
  /** Requests on their way in. */
  public readonly traffic: Traffic;

  private readonly requests = new Requests();
  private readonly prefill: PrefillPool;
  // transfers by when they begin: of a place p, 2 p of the layers that move while the prompt is read, and 2 p + 1 of the rest or the whole, once it is set up
  private readonly settingUp = new TaskHeap();
  private readonly links: SharedLinks;
  private readonly decode: DecodePool;
  private readonly routing?: Routing;

  constructor(
    private readonly fleet: FleetTables,
    private readonly arrivals: Arrivals,
    private readonly sink: Finished,
    private readonly outages: Outages,
    routing?: FleetRouting,
  ) {
    this.traffic = new Traffic(arrivals);
    this.prefill = new PrefillPool(fleet, this.requests, this);
    this.links = new SharedLinks(fleet.links, fleet.flowsAtFullSpeed);
    this.decode = new DecodePool(fleet, this.requests, this, fleet.ranks === 1 && outages.nextSeconds === Infinity);
    this.routing = routing && new Routing(routing, this.prefill, this.decode);
  }

  /** Seconds that engines worked, summed over each pool. */
  public get prefillBusySeconds(): number {
    return this.prefill.busySeconds;
  }

  public get decodeBusySeconds(): number {
    return this.decode.busySeconds;
  }

  /** Decode steps of all engines, and the tokens that they wrote. */
  public get decodeSteps(): number {
    return this.decode.steps;
  }

  public get decodedTokens(): number {
    return this.decode.tokens;
  }

  /** Blocks of prefixes that others have taken. */
  public get evictedBlocks(): number {
    return this.prefill.evictedBlocks + this.decode.evictedBlocks;
  }

  /** Seconds of transfer that all requests got. */
  public get linkBusySeconds(): number {
    return this.links.busySeconds;
  }

  /** Runs until the last request is answered. */
  public run(): void {
    const { prefill, settingUp, links, decode, traffic, outages } = this;
    const { events: prefillEvents } = prefill;
    const { events: linkEvents } = links;
    const { events: decodeEvents } = decode;
    for (;;) {
      const read = prefillEvents.least;
      const moved = linkEvents.least;
      const changed = decodeEvents.least;
      const begun = settingUp.key;
      const later = begun <= moved && begun <= changed ? begun : moved < changed ? moved : changed;
      // of equal times the earlier stage's is first
      const arrival = traffic.nextSeconds;
      const soonest = arrival < read ? (arrival < later ? arrival : later) : (read < later ? read : later);
      if (outages.nextSeconds <= soonest) {
        if (soonest === Infinity) {
          return;
        }
        this.turn();
      } else if (arrival === soonest) {
        this.arrive();
      } else if (read === soonest) {
        this.promptRead();
      } else if (begun === soonest) {
        this.send(settingUp.pop(), begun);
      } else if (moved <= changed) {
        this.moved(links.end(linkEvents.winner, moved), moved);
      } else {
        decode.end();
      }
    }
  }

  /** A request has its last token. */
  public answered(place: number, now: number): void {
    const { requests, fleet, sink } = this;
    const finish = now + fleet.overheadSeconds;
    const row = requests.row[place];
    const kind = row < fleet.kindCount ? row : row - fleet.kindCount;
    sink.finished(
      requests.number[place],
      kind,
      requests.arrival[place],
      requests.firstToken[place] + fleet.overheadSeconds,
      finish,
      requests.readBy[place],
      requests.writtenBy[place],
      fleet.caching === undefined ? fleet.kinds.cachedTokens[kind] : requests.cached[place],
    );
    requests.give(place);
    this.traffic.answered(finish);
  }

  private arrive(): void {
    const { arrivals, fleet, requests } = this;
    const now = this.traffic.nextSeconds;
    const place = requests.take();
    const kind = arrivals.kind();
    if (fleet.caching !== undefined) {
      requests.cached[place] = 0;
    }
    requests.arrival[place] = now;
    requests.row[place] = kind;
    requests.number[place] = this.traffic.arrive();
    this.give(place, kind, now);
  }

  /** A request is given to its engines. */
  private give(place: number, kind: number, now: number): void {
    const { fleet, requests, prefill, decode, routing } = this;
    requests.parts[place] = 0;
    if (decode.loads.least === Infinity) {
      this.fail(place, now);
    } else if (!fleet.aggregated && prefill.loads.least < Infinity && (routing === undefined || routing.handsOff(kind))) {
      decode.choose(place);
      prefill.take(place, now);
    } else if (fleet.aggregated) {
      requests.readBy[place] = decode.choose(place);
      decode.deliver(place, now);
    } else if (fleet.readsHere) {
      decode.choose(place);
      this.readHere(place, now);
    } else {
      this.fail(place, now);
    }
  }

  /** A prefill engine begins to read a prompt: layers move once the first is read. */
  public begun(place: number, now: number, seconds: number): void {
    const { fleet: { movesWhileReading }, requests } = this;
    requests.parts[place] = movesWhileReading > 0 ? 2 : 1;
    if (movesWhileReading > 0) {
      this.settingUp.push(now + seconds * (1 - movesWhileReading), requests.number[place], 2 * place);
    }
  }

  private promptRead(): void {
    const now = this.prefill.events.least;
    this.partDone(this.prefill.end(), now);
  }

  /** A prompt is read, or the layers have moved that could meanwhile: after both the last layer follows, or the whole KV cache. */
  private partDone(place: number, now: number): void {
    const { fleet: { kinds }, requests } = this;
    if (--requests.parts[place] > 0) {
      return;
    }
    if (!this.hasWriter(place)) {
      this.prefill.left(place, now);
      this.give(place, requests.row[place], now);
    } else {
      this.settingUp.push(now + kinds.setUpSeconds[requests.row[place]], requests.number[place], 2 * place + 1);
    }
  }

  /** Whether the decode engine of a request has not failed since it was chosen. */
  private hasWriter(place: number): boolean {
    const { requests, decode } = this;
    return requests.writeEpoch[place] === decode.epochs[requests.writtenBy[place]];
  }

  /** A KV cache, or its part, starts to move to its decode engine. */
  private send(transfer: number, now: number): void {
    const { fleet: { kinds, movesWhileReading }, requests, links } = this;
    const place = Math.floor(transfer / 2);
    const share = transfer % 2 === 0 ? movesWhileReading : 1 - movesWhileReading;
    links.begin(this.linkOf(place), now, share * kinds.transferSeconds[requests.row[place]], requests.number[place], transfer);
  }

  private linkOf(place: number): number {
    const { fleet, requests } = this;
    return Math.floor((fleet.linksAtPrefill ? requests.readBy : requests.writtenBy)[place] / fleet.enginesPerLink);
  }

  private moved(transfer: number, now: number): void {
    const place = Math.floor(transfer / 2);
    if (transfer % 2 === 0) {
      this.partDone(place, now);
    } else {
      this.arrived(place, now);
    }
  }

  /** A KV cache is where it is needed, unless one of its engines has failed meanwhile. */
  private arrived(place: number, now: number): void {
    const { requests, prefill, decode } = this;
    prefill.left(place, now);
    if (!this.hasWriter(place)) {
      this.fail(place, now);
    } else if (requests.readEpoch[place] === prefill.epochs[requests.readBy[place]]) {
      decode.deliver(place, now);
    } else {
      this.unread(place, now);
    }
  }

  /** The prefill engine of a request has failed: its decode engine, which has not, reads the prompt if it can. */
  private unread(place: number, now: number): void {
    if (this.fleet.readsHere) {
      this.readHere(place, now);
    } else {
      this.decode.forget(place);
      this.fail(place, now);
    }
  }

  /** The decode engine of a request is to read its prompt in place of a prefill engine. */
  private readHere(place: number, now: number): void {
    this.requests.row[place] += this.fleet.kindCount;
    this.requests.readBy[place] = -1;
    this.requests.cached[place] = 0;
    this.decode.deliver(place, now);
  }

  private fail(place: number, now: number): void {
    const { requests, fleet, sink } = this;
    const row = requests.row[place];
    const failure = now + fleet.overheadSeconds;
    sink.failed(requests.number[place], row < fleet.kindCount ? row : row - fleet.kindCount, requests.arrival[place], failure);
    requests.give(place);
    this.traffic.answered(failure);
  }

  /** An engine goes down or comes up. */
  private turn(): void {
    const { seconds, pool, engine, isUp } = this.outages.take();
    if (pool === 'prefill') {
      if (isUp) {
        this.prefill.restore(engine);
      } else {
        this.prefill.fail(engine, seconds).forEach((place) => {
          // of the one that was being read
          if (this.requests.parts[place] === 2 && !this.settingUp.remove(2 * place)) {
            this.links.cancel(this.linkOf(place), seconds, 2 * place);
          }
          if (this.hasWriter(place)) {
            this.unread(place, seconds);
          } else {
            this.give(place, this.requests.row[place], seconds);
          }
        });
      }
    } else if (isUp) {
      this.decode.restore(engine);
    } else {
      this.decode.fail(engine, seconds).forEach((place) => this.fail(place, seconds));
    }
  }
}
