import { Arrivals } from './arrivals';
import { FleetTables } from './fleet-tables';
import { SharedLinks } from './shared-links';
import { TaskHeap, grown } from './task-heap';
import { Tournament } from './tournament';
import { Traffic } from './traffic';

/** Who is told of each finished request, in the order of finishing. */
export interface Finished {
  /**
   * @param request number of the request in order of arrival, from 0.
   * @param kind its kind.
   * @param arrival when it came, in seconds.
   * @param firstToken when its first token left, in seconds.
   * @param finish when its last token left, in seconds.
   * @param prefill number of the engine that read the prompt.
   * @param decode number of the engine that wrote the tokens.
   */
  finished(request: number, kind: number, arrival: number, firstToken: number, finish: number, prefill: number, decode: number): void;
}

/** What an engine of the decode pool does. */
enum Doing {
  NOTHING,
  DECODING,
  READING,
}

/**
 * The event simulation of a fleet.
 *
 * A request joins the prefill engine with the fewest requests, where prompts are read one at a time in order of arrival; then the decode engine
 * with the fewest when its KV cache starts to move there, over a link that transfers share evenly; there it waits in order for a slot and for memory for its
 * whole KV cache, joins the batch when the running step ends, and leaves after its last token. In aggregated serving the decode engine reads
 * prompts itself, each before the next decode step. Of equal engines the first one is taken.
 *
 * Between two changes of a batch the step time is linear in the number of the step, so the time of k steps is a closed sum, and the step that is running
 * at a given time is the root of a quadratic. Nothing advances token by token.
 *
 * The clock is the one of the prefill queue: gateway and set-up of the transfer delay each request alike and are added in the end.
 */
export class EventEngine {
  /** Seconds that engines worked, summed over the pool. */
  public prefillBusySeconds = 0;
  public decodeBusySeconds = 0;
  /** Decode steps of all engines, and the tokens that they wrote. */
  public decodeSteps = 0;
  public decodedTokens = 0;
  /** None: a sequence is admitted when its whole KV cache has room. */
  public readonly preemptions = 0;
  /** Requests on their way in. */
  public readonly traffic: Traffic;

  // requests that are there, by place; a place is used again
  private places = 256;
  private arrival = new Float64Array(this.places);
  private firstToken = new Float64Array(this.places);
  private number = new Int32Array(this.places);
  private kindOf = new Int32Array(this.places);
  private readBy = new Int32Array(this.places);
  private writtenBy = new Int32Array(this.places);
  // the next request of the same queue; of the free places for free ones
  private next = Int32Array.from({ length: this.places }, (_, i) => i + 1);
  private free = 0;

  // the time of the next event of each prefill and decode engine
  private readonly prefillEvents: Tournament;
  private readonly decodeEvents: Tournament;

  private readonly prefillLoads: Tournament;
  private readonly prefillHead: Int32Array;
  private readonly prefillTail: Int32Array;

  private readonly links: SharedLinks;

  private readonly decodeLoads: Tournament;
  private readonly decodeHead: Int32Array;
  private readonly decodeTail: Int32Array;
  private readonly doing: Uint8Array;
  private readonly reading: Int32Array;
  private readonly clock: Float64Array;
  private readonly step: Float64Array;
  private readonly target: Float64Array;
  private readonly batch: Int32Array;
  private readonly readBytes: Float64Array;
  private readonly growthBytes: Float64Array;
  private readonly usedKvBytes: Float64Array;
  private readonly leaving: TaskHeap[];
  private readonly bending: TaskHeap[];

  constructor(private readonly fleet: FleetTables, private readonly arrivals: Arrivals, private readonly sink: Finished) {
    const { prefillEngines, links, decodeEngines } = fleet;
    this.traffic = new Traffic(arrivals);
    this.prefillEvents = new Tournament(Math.max(1, prefillEngines), Infinity);
    this.decodeEvents = new Tournament(decodeEngines, Infinity);
    this.prefillLoads = new Tournament(Math.max(1, prefillEngines), 0);
    this.prefillHead = new Int32Array(prefillEngines).fill(-1);
    this.prefillTail = new Int32Array(prefillEngines).fill(-1);
    this.links = new SharedLinks(links, fleet.flowsAtFullSpeed);
    this.decodeLoads = new Tournament(decodeEngines, 0);
    this.decodeHead = new Int32Array(decodeEngines).fill(-1);
    this.decodeTail = new Int32Array(decodeEngines).fill(-1);
    this.doing = new Uint8Array(decodeEngines);
    this.reading = new Int32Array(decodeEngines);
    this.clock = new Float64Array(decodeEngines);
    this.step = new Float64Array(decodeEngines);
    this.target = new Float64Array(decodeEngines);
    this.batch = new Int32Array(decodeEngines);
    this.readBytes = new Float64Array(decodeEngines);
    this.growthBytes = new Float64Array(decodeEngines);
    this.usedKvBytes = new Float64Array(decodeEngines);
    this.leaving = Array.from({ length: decodeEngines }, () => new TaskHeap());
    this.bending = Array.from({ length: decodeEngines }, () => new TaskHeap());
  }

  /** Seconds of transfer that all requests got. */
  public get linkBusySeconds(): number {
    return this.links.busySeconds;
  }

  /** Runs until the last request is answered. */
  public run(): void {
    const { prefillEvents, links: { events: linkEvents }, decodeEvents, traffic } = this;
    for (;;) {
      const prefill = prefillEvents.least;
      const link = linkEvents.least;
      const decode = decodeEvents.least;
      const later = link < decode ? link : decode;
      // of equal times the earlier stage's is first
      const arrival = traffic.nextSeconds;
      if (arrival <= prefill && arrival <= later) {
        if (arrival === Infinity) {
          return;
        }
        this.arrive(arrival);
      } else if (prefill <= later) {
        this.promptRead(prefillEvents.winner, prefill);
      } else if (link <= decode) {
        const place = this.links.end(linkEvents.winner, link);
        this.deliver(this.writtenBy[place], place, link);
      } else {
        this.decodeChanges(decodeEvents.winner, decode);
      }
    }
  }

  private arrive(now: number): void {
    const { arrivals, fleet } = this;
    if (this.free === this.places) {
      this.morePlaces();
    }
    const place = this.free;
    this.free = this.next[place];
    this.arrival[place] = now;
    this.kindOf[place] = arrivals.kind();
    this.number[place] = this.traffic.arrive();
    if (fleet.aggregated) {
      const decode = this.decodeLoads.winner;
      this.decodeLoads.set(decode, this.decodeLoads.valueOf(decode) + 1);
      this.readBy[place] = decode;
      this.deliver(decode, place, now);
      return;
    }
    const prefill = this.prefillLoads.winner;
    this.prefillLoads.set(prefill, this.prefillLoads.valueOf(prefill) + 1);
    this.readBy[place] = prefill;
    this.next[place] = -1;
    if (this.prefillHead[prefill] < 0) {
      this.prefillHead[prefill] = place;
      this.startPrompt(prefill, place, now);
    } else {
      this.next[this.prefillTail[prefill]] = place;
    }
    this.prefillTail[prefill] = place;
  }

  private startPrompt(prefill: number, place: number, now: number): void {
    const seconds = this.fleet.kinds.promptSeconds[this.kindOf[place]];
    this.prefillBusySeconds += seconds;
    this.prefillEvents.set(prefill, now + seconds);
  }

  private promptRead(prefill: number, now: number): void {
    const { fleet } = this;
    const place = this.prefillHead[prefill];
    this.prefillLoads.set(prefill, this.prefillLoads.valueOf(prefill) - 1);
    const head = this.next[place];
    this.prefillHead[prefill] = head;
    if (head < 0) {
      this.prefillEvents.set(prefill, Infinity);
    } else {
      this.startPrompt(prefill, head, now);
    }
    const decode = this.decodeLoads.winner;
    this.decodeLoads.set(decode, this.decodeLoads.valueOf(decode) + 1);
    this.writtenBy[place] = decode;
    const link = Math.floor((fleet.linksAtPrefill ? prefill : decode) / fleet.enginesPerLink);
    this.links.begin(link, now, fleet.kinds.transferSeconds[this.kindOf[place]], this.number[place], place);
  }

  /** A request comes to a decode engine. */
  private deliver(decode: number, place: number, now: number): void {
    this.writtenBy[place] = decode;
    this.next[place] = -1;
    const waiting = this.decodeHead[decode] >= 0;
    if (waiting) {
      this.next[this.decodeTail[decode]] = place;
    } else {
      this.decodeHead[decode] = place;
    }
    this.decodeTail[decode] = place;
    if (this.doing[decode] === Doing.NOTHING) {
      this.clock[decode] = now;
      this.boundary(decode);
    } else if (!waiting && this.doing[decode] === Doing.DECODING && this.admissible(decode, place)) {
      // it joins when the step that is running ends; who waits already joins then too, or is waiting for someone to leave
      const target = this.step[decode] + this.stepsUntil(decode, now);
      if (target < this.target[decode]) {
        this.target[decode] = target;
        this.decodeEvents.set(decode, this.clock[decode] + this.stepsSeconds(decode, target - this.step[decode]));
      }
    }
  }

  private admissible(decode: number, place: number): boolean {
    return this.batch[decode] < this.fleet.slots
      && this.usedKvBytes[decode] + this.fleet.kinds.kvBytes[this.kindOf[place]] <= this.fleet.kvMemoryBytes;
  }

  /** Seconds of the next `k` steps: each reads as many bytes more than the one before. */
  private stepsSeconds(decode: number, k: number): number {
    return k * (this.fleet.stepSeconds[this.batch[decode]]
      + this.fleet.secondsPerKvByte * (this.readBytes[decode] + this.growthBytes[decode] * (k - 1) / 2));
  }

  /** The least number of steps, 1 or more, that end at `now` or later. */
  private stepsUntil(decode: number, now: number): number {
    const { fleet } = this;
    const clock = this.clock[decode];
    const square = fleet.secondsPerKvByte * this.growthBytes[decode] / 2;
    const linear = fleet.stepSeconds[this.batch[decode]] + fleet.secondsPerKvByte * this.readBytes[decode] - square;
    const wanted = now - clock;
    let k = Math.max(1, Math.ceil(2 * wanted / (linear + Math.sqrt(linear * linear + 4 * square * wanted))));
    // the root may be off in the last digit
    while (clock + this.stepsSeconds(decode, k) < now) {
      k++;
    }
    while (k > 1 && clock + this.stepsSeconds(decode, k - 1) >= now) {
      k--;
    }
    return k;
  }

  /** A decode engine's batch changes, or a prompt is read. */
  private decodeChanges(decode: number, now: number): void {
    if (this.doing[decode] === Doing.READING) {
      const place = this.reading[decode];
      this.firstToken[place] = now;
      if (this.fleet.kinds.steps[this.kindOf[place]] === 0) {
        this.usedKvBytes[decode] -= this.fleet.kinds.kvBytes[this.kindOf[place]];
        this.answered(decode, place, now);
      } else {
        this.join(decode, place);
      }
    } else {
      const k = this.target[decode] - this.step[decode];
      this.decodeBusySeconds += now - this.clock[decode];
      this.decodeSteps += k;
      this.decodedTokens += k * this.batch[decode];
      this.readBytes[decode] += this.growthBytes[decode] * k;
      this.step[decode] += k;
      this.bendAndLeave(decode, now);
    }
    this.clock[decode] = now;
    this.boundary(decode);
  }

  private bendAndLeave(decode: number, now: number): void {
    const { kinds } = this.fleet;
    const bending = this.bending[decode];
    const leaving = this.leaving[decode];
    const step = this.step[decode];
    while (bending.key <= step) {
      const task = bending.pop();
      const bend = kinds.bends[task % 2];
      this.readBytes[decode] -= bend.excessBytes[this.kindOf[Math.floor(task / 2)]];
      this.growthBytes[decode] -= bend.growthBytes;
    }
    while (leaving.key <= step) {
      const place = leaving.pop();
      const kind = this.kindOf[place];
      this.batch[decode]--;
      this.usedKvBytes[decode] -= kinds.kvBytes[kind];
      this.readBytes[decode] -= kinds.lastReadBytes[kind];
      this.growthBytes[decode] -= kinds.lastGrowthBytes[kind];
      this.answered(decode, place, now);
    }
    if (this.batch[decode] === 0) {
      // fractions of a byte that sums left over
      this.readBytes[decode] = 0;
      this.growthBytes[decode] = 0;
      this.usedKvBytes[decode] = 0;
      this.step[decode] = 0;
    }
  }

  private join(decode: number, place: number): void {
    const { kinds } = this.fleet;
    const kind = this.kindOf[place];
    const step = this.step[decode];
    this.batch[decode]++;
    this.readBytes[decode] += kinds.firstReadBytes[kind];
    this.growthBytes[decode] += kinds.firstGrowthBytes[kind];
    this.leaving[decode].push(step + kinds.steps[kind], this.number[place], place);
    for (let i = 0; i < kinds.bends.length; i++) {
      const steps = kinds.bends[i].steps[kind];
      if (steps >= 0) {
        this.bending[decode].push(step + steps, this.number[place], place * 2 + i);
      }
    }
  }

  /** Between two steps of a decode engine: who waits is admitted, and the next change is foreseen. */
  private boundary(decode: number): void {
    const { kinds } = this.fleet;
    let head = this.decodeHead[decode];
    if (this.fleet.aggregated) {
      if (head >= 0 && this.admissible(decode, head)) {
        const kind = this.kindOf[head];
        this.decodeHead[decode] = this.next[head];
        this.usedKvBytes[decode] += kinds.kvBytes[kind];
        this.reading[decode] = head;
        this.doing[decode] = Doing.READING;
        this.decodeBusySeconds += kinds.promptSeconds[kind];
        this.decodeEvents.set(decode, this.clock[decode] + kinds.promptSeconds[kind]);
        return;
      }
    } else {
      const first = head;
      while (head >= 0 && this.admissible(decode, head)) {
        this.usedKvBytes[decode] += kinds.kvBytes[this.kindOf[head]];
        this.join(decode, head);
        head = this.next[head];
      }
      this.decodeHead[decode] = head;
      if (first !== head) {
        const firstToken = this.clock[decode] + this.stepsSeconds(decode, 1);
        for (let place = first; place !== head; place = this.next[place]) {
          this.firstToken[place] = firstToken;
        }
      }
    }
    if (this.batch[decode] === 0) {
      this.doing[decode] = Doing.NOTHING;
      this.decodeEvents.set(decode, Infinity);
      return;
    }
    this.doing[decode] = Doing.DECODING;
    const target = Math.min(this.leaving[decode].key, this.bending[decode].key);
    this.target[decode] = target;
    this.decodeEvents.set(decode, this.clock[decode] + this.stepsSeconds(decode, target - this.step[decode]));
  }

  private answered(decode: number, place: number, now: number): void {
    const overhead = this.fleet.overheadSeconds;
    this.decodeLoads.set(decode, this.decodeLoads.valueOf(decode) - 1);
    this.sink.finished(
      this.number[place], this.kindOf[place], this.arrival[place], this.firstToken[place] + overhead, now + overhead, this.readBy[place], decode,
    );
    this.next[place] = this.free;
    this.free = place;
    this.traffic.answered(now + overhead);
  }

  private morePlaces(): void {
    const { places } = this;
    this.arrival = grown(this.arrival, new Float64Array(2 * places));
    this.firstToken = grown(this.firstToken, new Float64Array(2 * places));
    this.number = grown(this.number, new Int32Array(2 * places));
    this.kindOf = grown(this.kindOf, new Int32Array(2 * places));
    this.readBy = grown(this.readBy, new Int32Array(2 * places));
    this.writtenBy = grown(this.writtenBy, new Int32Array(2 * places));
    this.next = grown(this.next, Int32Array.from({ length: 2 * places }, (_, i) => i + 1));
    this.places *= 2;
  }
}
