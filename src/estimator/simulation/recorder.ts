import { BatchMeans } from './batch-means';
import { Finished } from './event-engine';
import { FleetTables } from './fleet-tables';
import { Histogram } from './histogram';
import { SimulatedRequest, SimulationObserver } from './simulation';
import { SERVICE_TIERS } from '../../routing';
import { ObjectiveSpec } from '../../workload';

/** Latencies of the requests of a service tier. */
export interface TierLatencies {
  readonly firstToken: Histogram;
  readonly perToken: Histogram;
  readonly endToEnd: Histogram;
}

/**
 * What is kept of finished requests: distributions and sums; and each request for who wants to see it.
 */
export class Recorder implements Finished {
  public readonly firstToken = new Histogram();
  public readonly perToken = new Histogram();
  public readonly endToEnd = new Histogram();
  /** The same of each service tier, by its place in `SERVICE_TIERS`; empty where all requests are of one. */
  public readonly tiers: readonly TierLatencies[];
  /** Means of the times to first token over parts of the run. */
  public readonly firstTokenMeans: BatchMeans;
  /** Requests that were answered with an error, and answered ones whose prompt a decode engine read in place of a prefill engine. */
  public failures = 0;
  public readByDecode = 0;
  public outputTokens = 0;
  /** Of answered requests, tokens of prompts, and those of them that were cached. */
  public inputTokens = 0;
  public cachedTokens = 0;
  public good = 0;
  public firstArrival = Infinity;
  public lastFinish = 0;

  private readonly ttftLimit: number;
  private readonly tpotLimit: number;
  private readonly endToEndLimit: number;

  /**
   * @param serviceTiers place in `SERVICE_TIERS` of each kind of request.
   * @param requests of the run.
   */
  constructor(
    private readonly fleet: FleetTables,
    private readonly serviceTiers: Uint8Array,
    requests: number,
    objective: ObjectiveSpec | undefined,
    private readonly observer: SimulationObserver | undefined,
  ) {
    this.firstTokenMeans = new BatchMeans(requests);
    this.tiers = serviceTiers.every((tier) => tier === serviceTiers[0]) ? []
      : SERVICE_TIERS.map(() => ({ firstToken: new Histogram(), perToken: new Histogram(), endToEnd: new Histogram() }));
    this.ttftLimit = objective?.ttftSeconds ?? Infinity;
    this.tpotLimit = objective?.tpotSeconds ?? Infinity;
    this.endToEndLimit = objective?.endToEndSeconds ?? Infinity;
  }

  public finished(
    request: number, kind: number, arrival: number, firstToken: number, finish: number, prefill: number, decode: number, cached: number,
  ): void {
    const outputTokens = this.fleet.kinds.outputTokens[kind];
    const ttft = firstToken - arrival;
    const endToEnd = finish - arrival;
    const tpot = outputTokens > 1 ? (finish - firstToken) / (outputTokens - 1) : 0;
    this.firstToken.add(ttft);
    this.firstTokenMeans.add(request, ttft);
    this.endToEnd.add(endToEnd);
    if (outputTokens > 1) {
      this.perToken.add(tpot);
    }
    if (this.tiers.length > 0) {
      const tier = this.tiers[this.tierOf(kind)];
      tier.firstToken.add(ttft);
      tier.endToEnd.add(endToEnd);
      if (outputTokens > 1) {
        tier.perToken.add(tpot);
      }
    }
    this.outputTokens += outputTokens;
    this.inputTokens += this.fleet.kinds.inputTokens[kind];
    this.cachedTokens += cached;
    if (prefill < 0) {
      this.readByDecode++;
    }
    if (ttft <= this.ttftLimit && tpot <= this.tpotLimit && endToEnd <= this.endToEndLimit) {
      this.good++;
    }
    this.span(arrival, finish);
    if (this.observer !== undefined) {
      const seen: SimulatedRequest = {
        request,
        arrivalSeconds: arrival,
        inputTokens: this.fleet.kinds.inputTokens[kind],
        cachedTokens: cached,
        outputTokens,
        serviceTier: SERVICE_TIERS[this.tierOf(kind)],
        ttftSeconds: ttft,
        tpotSeconds: outputTokens > 1 ? tpot : undefined,
        endToEndSeconds: endToEnd,
        prefillEngine: prefill < 0 ? undefined : prefill,
        decodeEngine: decode,
      };
      this.observer.onRequest(seen);
    }
  }

  public failed(request: number, kind: number, arrival: number, failure: number): void {
    this.failures++;
    this.span(arrival, failure);
    this.observer?.onFailure({
      request,
      arrivalSeconds: arrival,
      inputTokens: this.fleet.kinds.inputTokens[kind],
      outputTokens: this.fleet.kinds.outputTokens[kind],
      serviceTier: SERVICE_TIERS[this.tierOf(kind)],
      failedAfterSeconds: failure - arrival,
    });
  }

  // rows of prompts that decode engines read come after those of all kinds
  private tierOf(row: number): number {
    return this.serviceTiers[row % this.serviceTiers.length];
  }

  private span(arrival: number, end: number): void {
    if (arrival < this.firstArrival) {
      this.firstArrival = arrival;
    }
    if (end > this.lastFinish) {
      this.lastFinish = end;
    }
  }
}
