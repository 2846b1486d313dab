import { Affinity } from './affinity';
import { Arrivals } from './arrivals';
import { BlockMemory } from './engine-memory';
import { Finished } from './event-engine';
import { FleetTables } from './fleet-tables';
import { KvBlocks } from './kv-blocks';
import { MixedEngine } from './mixed-engine';
import { Outages } from './outages';
import { Sequence } from './sequence';
import { StepTimes } from './step-times';
import { Tournament } from './tournament';
import { Traffic } from './traffic';

/** A request of the fleet, which is used again for another once it is answered. */
class FleetRequest extends Sequence {
  public number = 0;
  /** Number of the engine that it was given to. */
  public engine = 0;
  public arrivalSeconds = NaN;
}

/**
 * The event simulation of a fleet whose engines read prompts and write tokens in the same steps. A request goes to the engine with the fewest, of equal
 * ones in turn, or to the one that the router chooses by what engines have read. Gateway time delays each request alike and is added in the end.
 */
export class MixedFleet {
  public readonly prefillBusySeconds = 0;
  public readonly linkBusySeconds = 0;
  /** Requests on their way in. */
  public readonly traffic: Traffic;
  private readonly engines: MixedEngine[];
  /** Of the engines, where prompts find what others have left. */
  private readonly blocks: KvBlocks[];
  private readonly events: Tournament;
  private readonly loads: Tournament;
  /** The router's choice by what engines have read; undefined where the one with the fewest requests is chosen. */
  private readonly affinity?: Affinity;
  /** Requests that are answered. */
  private readonly spare: FleetRequest[] = [];
  private readonly onAnswer: (sequence: Sequence, now: number) => void;
  // tokens by kind, as whole numbers: sequences have them, and the engines all that follows from them, in place of boxed fractions
  private readonly inputTokens: Int32Array;
  private readonly cachedTokens: Int32Array;
  private readonly outputTokens: Int32Array;

  /**
   * @param fleet with `chunked`.
   */
  constructor(
    private readonly fleet: FleetTables, private readonly arrivals: Arrivals, private readonly sink: Finished, private readonly outages: Outages,
  ) {
    const { chunked, caching, kinds } = fleet;
    this.inputTokens = Int32Array.from(kinds.inputTokens);
    this.cachedTokens = Int32Array.from(kinds.cachedTokens);
    this.outputTokens = Int32Array.from(kinds.outputTokens);
    const { model, engine, coefficients, limits } = chunked!;
    this.traffic = new Traffic(arrivals);
    this.onAnswer = (sequence, now) => this.answered(sequence as FleetRequest, now);
    const times = new StepTimes(model, engine, coefficients);
    this.blocks = caching === undefined ? [] : Array.from({ length: fleet.decodeEngines }, () => new KvBlocks(caching.blocks, caching.prefixes));
    this.engines = Array.from({ length: fleet.decodeEngines }, (_, i) => (
      new MixedEngine(model, engine, coefficients, limits, caching && new BlockMemory(this.blocks[i]), times)));
    this.events = new Tournament(fleet.decodeEngines, Infinity);
    this.loads = new Tournament(fleet.decodeEngines, 0);
    const loadFactor = caching?.prefixLoadFactor;
    this.affinity = loadFactor === undefined ? undefined
      : new Affinity(fleet.decodeEngines, this.loads, caching!.prefixes, { readsAlone: false, loadFactor });
  }

  /** Seconds that engines worked, summed. */
  public get decodeBusySeconds(): number {
    return this.engines.reduce((sum, { busySeconds }) => sum + busySeconds, 0);
  }

  /** Steps in which tokens were written after the first of a request, of all engines. */
  public get decodeSteps(): number {
    return this.engines.reduce((sum, { writingSteps }) => sum + writingSteps, 0);
  }

  /** Tokens that they wrote. */
  public get decodedTokens(): number {
    return this.engines.reduce((sum, { writtenTokens }) => sum + writtenTokens, 0);
  }

  /** Times that a request lost its place because the KV cache was full. */
  public get preemptions(): number {
    return this.engines.reduce((sum, { preemptions }) => sum + preemptions, 0);
  }

  /** Blocks of prefixes that others have taken. */
  public get evictedBlocks(): number {
    return this.blocks.reduce((sum, { evicted }) => sum + evicted, 0);
  }

  /** Runs until the last request is answered. */
  public run(): void {
    const { traffic, events, engines, loads, outages } = this;
    for (;;) {
      const arrival = traffic.nextSeconds;
      const soonest = Math.min(arrival, events.least);
      if (soonest === Infinity) {
        return;
      }
      if (outages.nextSeconds <= soonest) {
        const { engine, isUp, seconds } = outages.take();
        loads.set(engine, isUp ? 0 : Infinity);
        if (!isUp) {
          engines[engine].fail(seconds).forEach((request) => this.fail(request as FleetRequest, seconds));
          events.set(engine, Infinity);
        }
      } else if (arrival === soonest) {
        this.arrive(arrival);
      } else {
        const engine = events.winner;
        engines[engine].end(this.onAnswer);
        events.set(engine, engines[engine].endsSeconds);
      }
    }
  }

  private arrive(now: number): void {
    const kind = this.arrivals.kind();
    const request = this.spare.pop() ?? new FleetRequest();
    request.number = this.traffic.arrive();
    request.kind = kind;
    request.rank = this.fleet.kinds.ranks[kind];
    request.arrivalSeconds = now;
    request.inputTokens = this.inputTokens[kind];
    request.cachedTokens = this.cachedTokens[kind];
    request.outputTokens = this.outputTokens[kind];
    if (this.loads.least === Infinity) {
      this.fail(request, now);
      return;
    }
    const engine = this.affinity?.next(kind) ?? this.loads.winner;
    request.engine = engine;
    this.affinity?.give(engine, request.number, kind);
    this.loads.take(engine, this.loads.valueOf(engine) + 1);
    this.engines[engine].join(request, now);
    this.events.set(engine, this.engines[engine].endsSeconds);
  }

  private answered(request: FleetRequest, now: number): void {
    const { number, kind, engine, arrivalSeconds, firstTokenSeconds, cachedTokens } = request;
    const { overheadSeconds } = this.fleet;
    const finish = now + overheadSeconds;
    this.loads.set(engine, this.loads.valueOf(engine) - 1);
    this.affinity?.learn(engine, number, kind, cachedTokens);
    this.spare.push(request);
    this.sink.finished(number, kind, arrivalSeconds, firstTokenSeconds + overheadSeconds, finish, engine, engine, cachedTokens);
    this.traffic.answered(finish);
  }

  private fail(request: FleetRequest, now: number): void {
    const failure = now + this.fleet.overheadSeconds;
    this.sink.failed(request.number, request.kind, request.arrivalSeconds, failure);
    this.traffic.answered(failure);
  }
}
