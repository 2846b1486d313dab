import { Arrivals } from './arrivals';
import { Finished } from './event-engine';
import { FleetTables } from './fleet-tables';
import { MixedEngine, MixedRequest } from './mixed-engine';
import { Tournament } from './tournament';
import { Traffic } from './traffic';

interface FleetRequest extends MixedRequest {
  readonly number: number;
  readonly kind: number;
}

/**
 * The event simulation of a fleet whose engines read prompts and write tokens in the same steps. A request goes to the engine with the fewest; of equal
 * ones to the first. Gateway time delays each request alike and is added in the end.
 */
export class MixedFleet {
  public readonly prefillBusySeconds = 0;
  public readonly linkBusySeconds = 0;
  /** Requests on their way in. */
  public readonly traffic: Traffic;
  private readonly engines: MixedEngine[];
  private readonly events: Tournament;
  private readonly loads: Tournament;

  /**
   * @param fleet with `chunked`.
   */
  constructor(private readonly fleet: FleetTables, private readonly arrivals: Arrivals, private readonly sink: Finished) {
    const { model, engine, coefficients, limits } = fleet.chunked!;
    this.traffic = new Traffic(arrivals);
    this.engines = Array.from({ length: fleet.decodeEngines }, () => new MixedEngine(model, engine, coefficients, limits));
    this.events = new Tournament(fleet.decodeEngines, Infinity);
    this.loads = new Tournament(fleet.decodeEngines, 0);
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

  /** Runs until the last request is answered. */
  public run(): void {
    const { traffic, events, engines } = this;
    const { kinds, overheadSeconds } = this.fleet;
    for (;;) {
      const now = traffic.nextSeconds;
      if (now <= events.least) {
        if (now === Infinity) {
          return;
        }
        const kind = this.arrivals.kind();
        const engine = this.loads.winner;
        const request: FleetRequest = {
          number: traffic.arrive(),
          kind,
          arrivalSeconds: now,
          inputTokens: kinds.inputTokens[kind],
          cachedTokens: kinds.cachedTokens[kind],
          outputTokens: kinds.outputTokens[kind],
          firstTokenSeconds: NaN,
          lastTokenSeconds: NaN,
        };
        this.loads.set(engine, this.loads.valueOf(engine) + 1);
        engines[engine].join(request, now);
        events.set(engine, engines[engine].endsSeconds);
      } else {
        const engine = events.winner;
        engines[engine].end((ended) => {
          const { number, kind, arrivalSeconds, firstTokenSeconds, lastTokenSeconds } = ended as FleetRequest;
          this.loads.set(engine, this.loads.valueOf(engine) - 1);
          const finish = lastTokenSeconds + overheadSeconds;
          this.sink.finished(number, kind, arrivalSeconds, firstTokenSeconds + overheadSeconds, finish, engine, engine);
          traffic.answered(finish);
        });
        events.set(engine, engines[engine].endsSeconds);
      }
    }
  }
}
