import { Affinity } from './affinity';
import { FleetTables } from './fleet-tables';
import { PoolCaches } from './pool-caches';
import { RequestQueues } from './request-queues';
import { Requests } from './requests';
import { TaskHeap } from './task-heap';
import { Tournament } from './tournament';

/** What an engine does. */
enum Doing {
  NOTHING,
  DECODING,
  READING,
}

/** Who is told of a request that has its last token. */
export interface Answers {
  answered(place: number, now: number): void;
}

/**
 * The engines that write tokens, and read the prompts that no other engine has read, each before the next decode step.
 *
 * Between two changes of a batch the step time is linear in the number of the step, so the time of k steps is a closed sum, and the step that is running
 * at a given time is the root of a quadratic. Nothing advances token by token.
 */
export class DecodePool {
  /** Seconds that engines worked, summed over the pool. */
  public busySeconds = 0;
  /** Decode steps of all engines, and the tokens that they wrote. */
  public steps = 0;
  public tokens = 0;
  /** When what each engine does ends. */
  public readonly events: Tournament;
  /** Requests that each engine has, or that are on their way to it; Infinity while it is down. */
  public readonly loads: Tournament;
  /** Tokens of prompts that each engine has to read. */
  public readonly queuedTokens: Float64Array;
  /** How often each engine has failed. */
  public readonly epochs: Int32Array;

  /** The router's choice by what engines were given; undefined where the one with the fewest requests is chosen. */
  public readonly affinity?: Affinity;

  private readonly queues: RequestQueues;
  /** Where prompts find what others have left; undefined where what they find is given beforehand, and where prefill engines read. */
  private readonly caches?: PoolCaches;
  private readonly doing: Uint8Array;
  private readonly reading: Int32Array;
  // the first of those who joined since the engine has taken a step
  private readonly fresh: Int32Array;
  // when a step ends whose end was dealt with in advance
  private readonly ahead: Float64Array;
  private readonly clock: Float64Array;
  private readonly step: Float64Array;
  private readonly target: Float64Array;
  private readonly batch: Int32Array;
  private readonly readBytes: Float64Array;
  private readonly growthBytes: Float64Array;
  private readonly usedKvBytes: Float64Array;
  private readonly leaving: TaskHeap[];
  private readonly bending: TaskHeap[];

  /**
   * @param looksAhead whether a request may join the batch of the next step as soon as it comes: where no other can come first, and no engine goes down meanwhile.
   */
  constructor(
    private readonly fleet: FleetTables, private readonly requests: Requests, private readonly answers: Answers, private readonly looksAhead: boolean,
  ) {
    const { decodeEngines: engines } = fleet;
    this.events = new Tournament(engines, Infinity);
    this.loads = new Tournament(engines, 0);
    this.queuedTokens = new Float64Array(engines);
    this.epochs = new Int32Array(engines);
    this.queues = new RequestQueues(requests, engines, fleet.ranks);
    this.caches = fleet.aggregated && fleet.caching ? new PoolCaches(engines, fleet.caching.blocks, fleet.caching.prefixes) : undefined;
    const loadFactor = fleet.caching?.prefixLoadFactor;
    this.affinity = loadFactor === undefined ? undefined
      : new Affinity(engines, this.loads, fleet.caching!.prefixes, { readsAlone: false, loadFactor });
    this.doing = new Uint8Array(engines);
    this.reading = new Int32Array(engines).fill(-1);
    this.fresh = new Int32Array(engines).fill(-1);
    this.ahead = new Float64Array(engines).fill(-Infinity);
    this.clock = new Float64Array(engines);
    this.step = new Float64Array(engines);
    this.target = new Float64Array(engines);
    this.batch = new Int32Array(engines);
    this.readBytes = new Float64Array(engines);
    this.growthBytes = new Float64Array(engines);
    this.usedKvBytes = new Float64Array(engines);
    this.leaving = Array.from({ length: engines }, () => new TaskHeap());
    this.bending = Array.from({ length: engines }, () => new TaskHeap());
  }

  /** Blocks of prefixes that others have taken. */
  public get evictedBlocks(): number {
    return this.caches?.evicted ?? 0;
  }

  /** The engine that a request of a kind would be given to: the one with the fewest, or the router's choice; one must be up. */
  public next(kind: number): number {
    return this.affinity?.next(kind) ?? this.loads.winner;
  }

  /** An engine is to have one request more; one must be up. Returns it. */
  public choose(place: number): number {
    const { requests, loads } = this;
    const engine = this.next(requests.row[place]);
    this.affinity?.give(engine, place, requests.row[place]);
    loads.take(engine, loads.valueOf(engine) + 1);
    requests.writtenBy[place] = engine;
    requests.writeEpoch[place] = this.epochs[engine];
    return engine;
  }

  /** A request comes to the engine that was chosen for it. */
  public deliver(place: number, now: number): void {
    const { requests, fleet: { kinds } } = this;
    const engine = requests.writtenBy[place];
    const row = requests.row[place];
    if (kinds.readsHere[row] === 1) {
      this.queuedTokens[engine] += kinds.newTokens[row];
    }
    this.queues.push(engine, kinds.ranks[row], place);
    if (this.doing[engine] === Doing.NOTHING) {
      this.clock[engine] = now;
      this.boundary(engine);
    } else if (this.doing[engine] === Doing.DECODING && this.queues.first(engine) === place && this.admissible(engine, place)) {
      // it joins when the step that is running ends; who waits already joins then too, or is waiting for someone to leave
      if (now <= this.ahead[engine]) {
        // the one before it saw to that step
        this.boundary(engine);
        return;
      }
      const steps = this.stepsUntil(engine, now);
      if (this.step[engine] + steps < this.target[engine]) {
        const ends = this.clock[engine] + this.stepsSeconds(engine, steps);
        if (this.looksAhead) {
          this.advance(engine, steps, ends);
          this.ahead[engine] = ends;
          this.boundary(engine);
        } else {
          this.target[engine] = this.step[engine] + steps;
          this.events.set(engine, ends);
        }
      }
    }
  }

  /** The batch of the next engine changes, or it has read a prompt. */
  public end(): void {
    const { winner: engine, least: now } = this.events;
    const { fleet: { kinds }, requests } = this;
    if (this.doing[engine] === Doing.READING) {
      const place = this.reading[engine];
      const row = requests.row[place];
      this.reading[engine] = -1;
      this.busySeconds += now - this.clock[engine];
      this.clock[engine] = now;
      this.queuedTokens[engine] -= kinds.newTokens[row];
      this.affinity?.learn(engine, place, row % this.fleet.kindCount, requests.cached[place]);
      requests.firstToken[place] = now;
      if (kinds.steps[row] === 0) {
        this.usedKvBytes[engine] -= kinds.kvBytes[row];
        this.caches?.release(engine, place);
        this.leave(engine, place, now);
      } else {
        this.join(engine, place);
      }
    } else {
      this.advance(engine, this.target[engine] - this.step[engine], now);
      this.bendAndLeave(engine, now);
    }
    this.boundary(engine);
  }

  /** An engine goes down; returns the requests that it had, those on their way to it left out. */
  public fail(engine: number, now: number): number[] {
    const lost: number[] = [];
    if (this.doing[engine] !== Doing.NOTHING) {
      this.busySeconds += now - this.clock[engine];
    }
    if (this.reading[engine] >= 0) {
      lost.push(this.reading[engine]);
    }
    while (this.leaving[engine].size > 0) {
      lost.push(this.leaving[engine].pop());
    }
    while (this.bending[engine].size > 0) {
      this.bending[engine].pop();
    }
    for (let place = this.queues.first(engine); place >= 0; place = this.queues.first(engine)) {
      this.queues.pop(engine);
      lost.push(place);
    }
    this.reading[engine] = -1;
    this.fresh[engine] = -1;
    this.batch[engine] = 0;
    this.queuedTokens[engine] = 0;
    this.clear(engine);
    this.caches?.clear(engine);
    this.doing[engine] = Doing.NOTHING;
    this.epochs[engine]++;
    this.events.set(engine, Infinity);
    this.loads.set(engine, Infinity);
    return lost;
  }

  /** A request on its way to its engine will not come. */
  public forget(place: number): void {
    const engine = this.requests.writtenBy[place];
    this.loads.set(engine, this.loads.valueOf(engine) - 1);
  }

  /** An engine is up again. */
  public restore(engine: number): void {
    this.loads.set(engine, 0);
  }

  /** An engine takes so many steps, until a time. */
  private advance(engine: number, steps: number, until: number): void {
    this.busySeconds += until - this.clock[engine];
    this.steps += steps;
    this.tokens += steps * this.batch[engine];
    this.readBytes[engine] += this.growthBytes[engine] * steps;
    this.step[engine] += steps;
    this.clock[engine] = until;
    this.fresh[engine] = -1;
  }

  private admissible(engine: number, place: number): boolean {
    const { fleet: { slots, kinds, kvMemoryBytes }, caches } = this;
    const row = this.requests.row[place];
    return this.batch[engine] < slots && (caches === undefined ? this.usedKvBytes[engine] + kinds.kvBytes[row] <= kvMemoryBytes
      : caches.hasRoom(engine, row, kinds.inputTokens[row] + kinds.outputTokens[row]));
  }

  /** Seconds of the next `k` steps: each reads as many bytes more than the one before. */
  private stepsSeconds(engine: number, k: number): number {
    return k * (this.fleet.stepSeconds[this.batch[engine]]
      + this.fleet.secondsPerKvByte * (this.readBytes[engine] + this.growthBytes[engine] * (k - 1) / 2));
  }

  /** The least number of steps, 1 or more, that end at `now` or later. */
  private stepsUntil(engine: number, now: number): number {
    const { fleet } = this;
    const clock = this.clock[engine];
    const square = fleet.secondsPerKvByte * this.growthBytes[engine] / 2;
    const linear = fleet.stepSeconds[this.batch[engine]] + fleet.secondsPerKvByte * this.readBytes[engine] - square;
    const wanted = now - clock;
    let k = Math.max(1, Math.ceil(2 * wanted / (linear + Math.sqrt(linear * linear + 4 * square * wanted))));
    // the root may be off in the last digit
    while (clock + this.stepsSeconds(engine, k) < now) {
      k++;
    }
    while (k > 1 && clock + this.stepsSeconds(engine, k - 1) >= now) {
      k--;
    }
    return k;
  }

  private bendAndLeave(engine: number, now: number): void {
    const { kinds } = this.fleet;
    const bending = this.bending[engine];
    const leaving = this.leaving[engine];
    const step = this.step[engine];
    while (bending.key <= step) {
      const task = bending.pop();
      const bend = kinds.bends[task % 2];
      this.readBytes[engine] -= bend.excessBytes[this.requests.row[Math.floor(task / 2)]];
      this.growthBytes[engine] -= bend.growthBytes;
    }
    while (leaving.key <= step) {
      const place = leaving.pop();
      const row = this.requests.row[place];
      this.batch[engine]--;
      this.usedKvBytes[engine] -= kinds.kvBytes[row];
      this.caches?.release(engine, place);
      this.readBytes[engine] -= kinds.lastReadBytes[row];
      this.growthBytes[engine] -= kinds.lastGrowthBytes[row];
      this.leave(engine, place, now);
    }
    if (this.batch[engine] === 0) {
      // fractions of a byte that sums left over
      this.clear(engine);
    }
  }

  private clear(engine: number): void {
    this.readBytes[engine] = 0;
    this.growthBytes[engine] = 0;
    this.usedKvBytes[engine] = 0;
    this.step[engine] = 0;
  }

  private join(engine: number, place: number): void {
    const { fleet: { kinds }, requests } = this;
    const row = requests.row[place];
    const step = this.step[engine];
    this.batch[engine]++;
    this.readBytes[engine] += kinds.firstReadBytes[row];
    this.growthBytes[engine] += kinds.firstGrowthBytes[row];
    this.leaving[engine].push(step + kinds.steps[row], requests.number[place], place);
    for (let i = 0; i < kinds.bends.length; i++) {
      const steps = kinds.bends[i].steps[row];
      if (steps >= 0) {
        this.bending[engine].push(step + steps, requests.number[place], place * 2 + i);
      }
    }
  }

  /** Between two steps of an engine: who waits is admitted, and the next change is foreseen. */
  private boundary(engine: number): void {
    const { fleet: { kinds, caching }, requests, queues, caches } = this;
    for (let place = queues.first(engine); place >= 0 && this.admissible(engine, place); place = queues.first(engine)) {
      const row = requests.row[place];
      queues.pop(engine);
      this.usedKvBytes[engine] += kinds.kvBytes[row];
      if (kinds.readsHere[row] === 1) {
        this.reading[engine] = place;
        this.doing[engine] = Doing.READING;
        let seconds = kinds.promptSeconds[row];
        if (caches !== undefined) {
          requests.cached[place] = caches.admit(engine, place, row, kinds.inputTokens[row] + kinds.outputTokens[row]);
          seconds = caching!.promptSeconds(row, requests.cached[place]);
        }
        this.events.set(engine, this.clock[engine] + seconds);
        return;
      }
      this.join(engine, place);
      requests.next[place] = this.fresh[engine];
      this.fresh[engine] = place;
    }
    if (this.batch[engine] === 0) {
      this.doing[engine] = Doing.NOTHING;
      this.events.set(engine, Infinity);
      return;
    }
    if (this.fresh[engine] >= 0) {
      const firstToken = this.clock[engine] + this.stepsSeconds(engine, 1);
      for (let place = this.fresh[engine]; place >= 0; place = requests.next[place]) {
        requests.firstToken[place] = firstToken;
      }
    }
    this.doing[engine] = Doing.DECODING;
    const target = Math.min(this.leaving[engine].key, this.bending[engine].key);
    this.target[engine] = target;
    this.events.set(engine, this.clock[engine] + this.stepsSeconds(engine, target - this.step[engine]));
  }

  private leave(engine: number, place: number, now: number): void {
    this.loads.set(engine, this.loads.valueOf(engine) - 1);
    this.answers.answered(place, now);
  }
}
