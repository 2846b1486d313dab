import { CacheTransfers } from './cache-transfers';
import { LaterTokens } from './later-tokens';
import { Coefficients } from './phases/coefficients';
import { decodeStepSeconds } from './phases/decode';
import { speculativeStepSeconds } from './phases/speculation';
import { waferTokenSeconds } from './phases/wafer-decode';
import { Plant } from './plant';
import { PromptQueue } from './prompt-queue';
import { PromptReading } from './prompt-reading';
import { SHARES } from './queueing/spread-mixture';
import { WaitingMixture } from './queueing/waiting-mixture';
import { RequestMoments } from './request-moments';
import { SlotQueue } from './slot-queue';
import { WritingEngines } from './writing-engines';

/** Where the mean and the percentiles of each latency lie in `ClosedForm.latencies`. */
export const TTFT = 0;
export const TPOT = 5;
export const END_TO_END = 10;

/** From where on requests were seen to keep in step in simulations: lengths of answers, engines, and the share of the time that these read. */
const FEW_LENGTHS = 2;
const MANY_ENGINES = 3;
const MUCH_READING = 1 / 3;

/**
 * The closed-form solver: phases for service times, queueing for waits, at one rate and one pair of counts.
 *
 * An object is made once for a plant and solved many times; solving allocates nothing.
 */
export class ClosedForm {
  /** Mean, p50, p90, p95, p99 of TTFT, TPOT and end-to-end latency, in seconds. */
  public readonly latencies = new Float64Array(15);
  /** Mean parts of TTFT, in seconds. */
  public gatewaySeconds = 0;
  public prefillQueueSeconds = 0;
  public prefillMeanSeconds = 0;
  public transferMeanSeconds = 0;
  public admissionSeconds = 0;
  public firstStepSeconds = 0;
  /** Load over capacity of each stage; 1 or more is unstable. */
  public prefillLoad = 0;
  public linkLoad = 0;
  /** Share of the requests that wait for a slot where `burstLoad` is above 1: 0 and 1 bound what the queue cannot tell; undefined asks the queue. */
  public waitingInBursts?: number;
  /** What requests are. */
  public readonly requests: RequestMoments;
  /** What reading prompts takes. */
  public readonly reading: PromptReading;
  /** Sequences of an engine at most: those that it has slots for, or that leave room in its steps for the prompts that take their places. */
  public readonly fullBatch: number;

  private readonly plant: Plant;
  private readonly engines: WritingEngines;
  private readonly slots: SlotQueue;
  private readonly queue: PromptQueue;
  private readonly later: LaterTokens;
  private readonly transfers: CacheTransfers;
  private readonly firstToken: WaitingMixture;
  private readonly lastToken: WaitingMixture;
  private readonly aggregated: boolean;
  private readonly isChunked: boolean;
  private prefillSet = new Coefficients();
  private decodeSet = new Coefficients();
  /** Engines that read prompts, of what is being solved for. */
  private prefillEngines = 0;

  /**
   * @param plant what to compute on.
   */
  constructor(plant: Plant) {
    this.plant = plant;
    const { classes } = plant;
    this.requests = new RequestMoments(plant);
    // one each, as every mixture keeps its classes in the order of the last solve
    this.firstToken = new WaitingMixture(classes.weights);
    this.lastToken = new WaitingMixture(classes.weights);
    const { slots, stepTokens } = plant.decode;
    this.aggregated = plant.prefill === undefined;
    this.isChunked = stepTokens !== undefined;
    const { decodedTokens: decoded, paddedTokens: read, meanKvBytes } = this.requests;
    // a full step has written and read tokens as requests have
    this.fullBatch = stepTokens === undefined ? slots : Math.min(slots, 1 + stepTokens * decoded / (read + decoded));
    const writing = { tokens: decoded, kvBytes: meanKvBytes, fullBatch: this.fullBatch, stepSeconds: (batch: number) => this.stepSeconds(batch) };
    this.reading = new PromptReading(plant, writing);
    this.engines = new WritingEngines(plant, this.requests.decodedScv, this.reading, writing);
    this.slots = new SlotQueue(plant, this.requests, this.reading, writing);
    this.queue = new PromptQueue(this.reading, writing);
    this.transfers = new CacheTransfers(plant, this.requests, this.reading);
    this.later = new LaterTokens(plant, this.requests, this.reading, this.queue, this.slots, this.engines, writing);
  }

  /**
   * Takes coefficients, and works out what does not depend on load.
   */
  public use(prefillSet: Coefficients, decodeSet: Coefficients): void {
    this.prefillSet = prefillSet;
    this.decodeSet = decodeSet;
    this.reading.use(prefillSet, decodeSet);
    this.slots.weighWork();
    this.later.use(decodeSet);
  }

  /**
   * Seconds that each token takes in steps of `batch` sequences at the mean context: those of a step, unless steps write several.
   */
  public stepSeconds(batch: number): number {
    const { decode, model } = this.plant;
    const k = this.decodeSet;
    if (decode.wafers === undefined) {
      return decode.speculation === undefined
        ? decodeStepSeconds(model, decode.engine, k, batch, this.requests.meanKvBytes)
        : speculativeStepSeconds(model, decode.engine, k, batch, this.requests.meanKvBytes, decode.speculation) / this.requests.pace;
    }
    if (decode.tokenSeconds !== undefined) {
      return decode.tokenSeconds * Math.max(1, batch / model.layers);
    }
    return waferTokenSeconds(model.layers, decode.wafers, k.waferLayerSeconds, k.waferHopSeconds, batch);
  }

  /**
   * Whether the service has a steady state at the rate and counts that were solved for last.
   */
  public get stable(): boolean {
    return this.prefillLoad < 1 && this.linkLoad < 1 && this.decodeLoad < 1;
  }

  public get decodeLoad(): number {
    return this.slots.load;
  }

  /** What the decode pool has to do in a burst over its capacity. Above 1 the queue sees too few requests wait for a slot. */
  public get burstLoad(): number {
    return this.slots.burstLoad;
  }

  /**
   * Whether requests may keep in step: answers of one length or two end together, and as each engine is given prompts in the places of those that it has lost, these
   * come together too, more so the more of the time is theirs. The closed form is of lengths that differ, by a twentieth at least, as hardly any do not.
   */
  public get mayKeepInStep(): boolean {
    return this.aggregated && this.requests.answerLengths <= FEW_LENGTHS
      && this.engines.count >= MANY_ENGINES && this.engines.promptLoad > MUCH_READING;
  }

  /** Mean sequences in the batch of one engine. */
  public get batch(): number {
    return this.engines.batch;
  }

  /**
   * Solves for a rate and counts; the answers are in the public fields.
   *
   * Where a stage is unstable its queue is taken at the fullest that still has a steady state.
   */
  public solve(requestsPerSecond: number, prefillInstances: number, decodeInstances: number): void {
    const { engines, slots, later, plant: { prefill, decode } } = this;
    engines.count = decodeInstances * decode.enginesPerInstance;
    this.prefillEngines = prefill === undefined ? engines.count : prefillInstances * prefill.enginesPerInstance;
    slots.solve(requestsPerSecond, engines.count, this.waitingInBursts);
    engines.fill(requestsPerSecond / engines.count);
    this.queuePrompts(requestsPerSecond);
    this.moveCaches(requestsPerSecond, prefillInstances, decodeInstances);
    this.writeFirstTokens();
    later.solve(this.firstToken.fixedSeconds, this.lastToken.fixedSeconds);
    this.takeLatencies();
  }

  /** Waits to be read. An engine that writes too is chosen for what it writes, so that each has a queue of prompts of its own. */
  private queuePrompts(requestsPerSecond: number): void {
    const { engines, aggregated, prefillEngines, queue, reading, requests, plant: { arrivalScv } } = this;
    const { batch, seen, count } = engines;
    this.prefillLoad = aggregated ? 0 : requestsPerSecond * reading.meanAloneSeconds / prefillEngines;
    // of who comes, so many meet an engine that writes; they join it when its step ends
    engines.running = batch / (1 + batch) * (aggregated ? engines.plainStep : engines.tokenSeconds) * requests.pace;
    const perEngine = requestsPerSecond / count;
    if (this.isChunked) {
      queue.readInChunks(engines.whileReading * perEngine, seen, engines.running, perEngine * requests.decodedTokens);
    } else if (aggregated) {
      // turns keep those of each engine as even as all are, where these are more even than at random
      queue.readWhole(1, engines.whileReading * perEngine, Math.min(arrivalScv, 1 + (arrivalScv - 1) / count));
    } else {
      queue.readWhole(prefillEngines, requestsPerSecond, arrivalScv);
    }
    this.prefillQueueSeconds = queue.meanSeconds;
  }

  private moveCaches(requestsPerSecond: number, prefillInstances: number, decodeInstances: number): void {
    const { transfers } = this;
    transfers.solve(requestsPerSecond, prefillInstances, decodeInstances, this.prefillSet, this.decodeSet);
    this.linkLoad = transfers.load;
    this.transferMeanSeconds = transfers.meanSeconds;
  }

  /** What the first tokens take beside the waits: in aggregated serving the prompt's own step emits them, after the running step. */
  private writeFirstTokens(): void {
    const { aggregated, engines, firstToken, reading, requests, slots, transfers, plant: { classes: { weights } } } = this;
    const { running } = engines;
    this.gatewaySeconds = this.prefillSet.gatewaySeconds;
    this.firstStepSeconds = aggregated ? 0 : engines.tokenSeconds * requests.pace;
    this.admissionSeconds = slots.share * slots.seconds + running / 2;
    this.prefillMeanSeconds = 0;
    for (let i = 0; i < weights.length; i++) {
      const read = reading.readSeconds(i, engines.batch);
      this.prefillMeanSeconds += weights[i] * read;
      firstToken.fixedSeconds[i] = this.gatewaySeconds + running / 2 + this.firstStepSeconds + read + transfers.fixedSeconds[i];
    }
  }

  private takeLatencies(): void {
    const { latencies, firstToken, lastToken, engines: { running, tokenSeconds }, later, requests } = this;
    this.prepare(firstToken);
    firstToken.quantiles(SHARES, latencies, TTFT + 1);
    for (let q = 0; q < SHARES.length; q++) {
      latencies[TTFT + 1 + q] += (SHARES[q] - 0.5) * running;
    }
    latencies[TTFT] = this.gatewaySeconds + this.firstStepSeconds + this.admissionSeconds
      + this.prefillMeanSeconds + this.transferMeanSeconds + this.prefillQueueSeconds;
    this.prepare(lastToken);
    lastToken.quantiles(SHARES, latencies, END_TO_END + 1);
    latencies[TPOT] = later.perTokenSeconds;
    latencies[END_TO_END] = latencies[TTFT] + requests.laterTokens * tokenSeconds + later.besideSeconds;
    later.spread(latencies, TPOT + 1, END_TO_END + 1);
  }

  /** Whatever a request waits for before its first token. */
  private prepare(latency: WaitingMixture): void {
    const { queue, transfers, slots } = this;
    latency.prepare(queue.share, queue.seconds, queue.scv);
    latency.wait(transfers.share, transfers.seconds);
    latency.wait(slots.share, slots.seconds);
  }
}
