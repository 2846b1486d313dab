import { Coefficients } from './phases/coefficients';
import { decodeStepSeconds } from './phases/decode';
import { kvTransferSeconds, linkRates, postingSeconds } from './phases/kv-transfer';
import { Step, kvSeconds, mixedStepSeconds } from './phases/mixed';
import { promptSteps } from './phases/prefill';
import { kvBytes, kvReadBytes } from './phases/shapes';
import { speculativeStepSeconds, tokensPerStep } from './phases/speculation';
import { waferTokenSeconds } from './phases/wafer-decode';
import { KvLink, Plant, promptPool } from './plant';
import { batchVariance, meanBatch } from './queueing/batch';
import { burstRate, conditionalWaitSeconds, peakedness, waitingProbability } from './queueing/bursty-queue';
import { WaitingMixture } from './queueing/waiting-mixture';

/** Shares of the requests that percentiles are given for, and the standard normal's quantiles of them. */
export const SHARES = [0.5, 0.9, 0.95, 0.99];
const NORMAL_QUANTILES = [0, 1.2815515655446004, 1.6448536269514722, 2.3263478740408408];

/** Where the mean and the percentiles of each latency lie in `ClosedForm.latencies`. */
export const TTFT = 0;
export const TPOT = 5;
export const END_TO_END = 10;

// a queue that is fuller than this has no steady state worth a figure: latencies stay finite, and the stage is reported as unstable
const FULLEST = 0.995;

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
  public decodeLoad = 0;
  /** Share of the requests that wait for a slot where `burstLoad` is above 1: 0 and 1 bound what the queue cannot tell; undefined asks the queue. */
  public waitingInBursts?: number;
  /** Mean sequences in the batch of one engine. */
  public batch = 0;
  /** KV bytes that a step reads of a sequence at the mean context, one copy. */
  public readonly meanKvBytes: number;
  /** The steps that read the prompts of each class. */
  public readonly promptSteps: readonly (readonly Step[])[];
  /** Tokens that a step writes of a sequence. */
  public readonly pace: number;
  /** Mean generated tokens. */
  public readonly meanOutputTokens: number;

  private readonly plant: Plant;
  private readonly firstToken: WaitingMixture;
  private readonly lastToken: WaitingMixture;
  private readonly laterTokens: number;
  private readonly prefillTimes: Float64Array;
  private readonly contextKvBytes: Float64Array;
  private readonly promptKvBytes: Float64Array;
  private readonly meanPromptKvBytes: number;
  private readonly kvSpreadBytes: number;
  private readonly step: (batch: number) => number;
  private prefillSet = new Coefficients();
  private decodeSet = new Coefficients();
  private serviceScv = 0;
  private inflation = 1;

  /**
   * @param plant what to compute on.
   */
  constructor(plant: Plant) {
    this.plant = plant;
    const { classes, model } = plant;
    this.pace = plant.decode.speculation === undefined ? 1 : tokensPerStep(plant.decode.speculation);
    const n = classes.weights.length;
    // one each, as every mixture keeps its classes in the order of the last solve
    this.firstToken = new WaitingMixture(classes.weights);
    this.lastToken = new WaitingMixture(classes.weights);
    this.prefillTimes = new Float64Array(n);
    this.contextKvBytes = classes.inputTokens.map((input, i) => kvReadBytes(model, input + classes.outputTokens[i] / 2));
    this.promptKvBytes = classes.inputTokens.map((input) => kvBytes(model, input) * plant.decode.kvCopies);
    this.promptSteps = Array.from(classes.paddedTokens, (tokens, i) => promptSteps(model, tokens, classes.cachedTokens[i], classes.segmentTokens));
    let output = 0;
    let context = 0;
    let prompt = 0;
    let later = 0;
    for (let i = 0; i < n; i++) {
      // steps are whole, so that the last one may write more than is left
      const written = this.pace === 1 ? classes.outputTokens[i] : Math.ceil(classes.outputTokens[i] / this.pace - 1e-9) * this.pace;
      output += classes.weights[i] * written;
      // a step meets a sequence in proportion to the tokens that it generates
      context += classes.weights[i] * written * this.contextKvBytes[i];
      later += classes.weights[i] * Math.max(0, written - this.pace);
      prompt += classes.weights[i] * this.promptKvBytes[i];
    }
    this.meanOutputTokens = output;
    this.laterTokens = later;
    this.meanKvBytes = context / output;
    this.meanPromptKvBytes = prompt;
    let spread = 0;
    for (let i = 0; i < n; i++) {
      spread += classes.weights[i] * (this.contextKvBytes[i] - this.meanKvBytes) ** 2;
    }
    this.kvSpreadBytes = Math.sqrt(spread);
    this.step = (batch) => this.stepSeconds(batch) * this.inflation;
  }

  /**
   * Takes coefficients, and works out what does not depend on load.
   */
  public use(prefillSet: Coefficients, decodeSet: Coefficients): void {
    const { classes, model } = this.plant;
    this.prefillSet = prefillSet;
    this.decodeSet = decodeSet;
    const { engine } = promptPool(this.plant);
    let mean = 0;
    let square = 0;
    for (let i = 0; i < this.prefillTimes.length; i++) {
      const seconds = this.promptSteps[i].reduce((sum, step) => sum + mixedStepSeconds(model, engine, prefillSet, step), 0);
      this.prefillTimes[i] = seconds;
      mean += classes.weights[i] * seconds;
      square += classes.weights[i] * seconds * seconds;
    }
    this.prefillMeanSeconds = mean;
    this.serviceScv = Math.max(0, square / (mean * mean) - 1);
  }

  /**
   * Seconds that each token takes in steps of `batch` sequences at the mean context: those of a step, unless steps write several.
   */
  public stepSeconds(batch: number): number {
    const { decode, model } = this.plant;
    const k = this.decodeSet;
    if (decode.wafers === undefined) {
      return decode.speculation === undefined
        ? decodeStepSeconds(model, decode.engine, k, batch, this.meanKvBytes)
        : speculativeStepSeconds(model, decode.engine, k, batch, this.meanKvBytes, decode.speculation) / this.pace;
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

  /** What the decode pool has to do in a burst over its capacity. Above 1 the queue sees too few requests wait for a slot. */
  public get burstLoad(): number {
    return this.decodeLoad * burstRate(this.plant.arrivalScv);
  }

  /**
   * Solves for a rate and counts; the answers are in the public fields.
   *
   * Where a stage is unstable its queue is taken at the fullest that still has a steady state.
   */
  public solve(requestsPerSecond: number, prefillInstances: number, decodeInstances: number): void {
    const { classes, prefill, decode, link, arrivalScv } = this.plant;
    const { latencies, firstToken, lastToken, prefillTimes } = this;
    const aggregated = prefill === undefined;
    const prefillEngines = aggregated ? decodeInstances * decode.enginesPerInstance : prefillInstances * prefill.enginesPerInstance;
    const decodeEngines = decodeInstances * decode.enginesPerInstance;

    // prefill pool: one prompt at a time in each engine
    const meanPrefill = this.prefillMeanSeconds;
    const offered = requestsPerSecond * meanPrefill;
    const promptLoad = offered / prefillEngines;
    const arrivals = promptLoad < FULLEST ? requestsPerSecond : FULLEST * prefillEngines / meanPrefill;
    // an engine that writes too is chosen for what it writes, so that each has a queue of prompts of its own
    const queues = aggregated ? prefillEngines : 1;
    const servers = prefillEngines / queues;
    const queueScv = 1 + (arrivalScv - 1) / queues;
    const waits = waitingProbability(servers, arrivals / queues, (busy) => busy / meanPrefill, queueScv);
    // and a prompt waits for the engine that it is given to, not for the first that is free, unless prompts come in turn
    const wait = conditionalWaitSeconds(servers, arrivals / queues, meanPrefill, queueScv, this.serviceScv)
      + (1 - 1 / servers) * Math.min(1, arrivalScv) * meanPrefill * (1 + this.serviceScv) / 2;
    this.prefillQueueSeconds = waits * wait;

    // decode pool: Little's fixed point; where the pool reads prompts too, they take their share of every engine's time
    this.inflation = aggregated ? 1 / (1 - Math.min(promptLoad, FULLEST)) : 1;
    const perEngine = requestsPerSecond / decodeEngines;
    const fullLoad = perEngine * this.meanOutputTokens * this.stepSeconds(decode.slots) / decode.slots;
    this.decodeLoad = aggregated ? promptLoad + fullLoad : fullLoad;
    this.prefillLoad = aggregated ? 0 : promptLoad;
    this.batch = meanBatch(perEngine, this.meanOutputTokens, decode.slots, this.step);
    const seen = Math.min(1 + this.batch, decode.slots);
    const plainStep = this.stepSeconds(seen);
    const step = plainStep * this.inflation;
    // the router finds a free slot wherever there is one, so that the slots of all engines are one queue's servers
    const slots = Math.round(decode.slots * decodeEngines);
    const first = this.stepSeconds(1);
    const growth = decode.slots > 1 ? (this.stepSeconds(decode.slots) - first) / (decode.slots - 1) : 0;
    // seconds that a request holds its slot beside so many others in all, whose prompts an aggregated engine reads too
    const heldSeconds = (busy: number) => {
      const batch = Math.max(1, busy / decodeEngines);
      return this.meanOutputTokens * (first + growth * (batch - 1)) + (aggregated ? batch * meanPrefill : 0);
    };
    const admitted = Math.min(requestsPerSecond, FULLEST * slots / heldSeconds(slots));
    const bound = this.burstLoad > 1 ? this.waitingInBursts : undefined;
    const admissionWaits = bound ?? waitingProbability(slots, admitted, (busy) => busy / heldSeconds(busy), arrivalScv);
    const admission = conditionalWaitSeconds(slots, admitted, heldSeconds(slots), arrivalScv, 1);

    // link: processor sharing
    let flow = Infinity;
    this.linkLoad = 0;
    if (link !== undefined) {
      const rates = linkRates(link, this.prefillSet, this.decodeSet, prefill!, decode);
      flow = rates.flow;
      this.linkLoad = requestsPerSecond * this.meanPromptKvBytes / Math.min(prefillInstances * rates.fromPrefill, decodeInstances * rates.intoDecode);
    }
    const linkLoad = Math.min(this.linkLoad, FULLEST);

    // the first token: in aggregated serving the prompt's own step emits it, after the running step
    this.gatewaySeconds = this.prefillSet.gatewaySeconds;
    const running = aggregated ? plainStep * this.pace * this.batch / (1 + this.batch) : 0;
    this.firstStepSeconds = aggregated ? 0 : step * this.pace;
    this.admissionSeconds = admissionWaits * admission + running;
    const fixed = this.gatewaySeconds + running + this.firstStepSeconds;
    let transfer = 0;
    for (let i = 0; i < prefillTimes.length; i++) {
      let seconds = fixed + prefillTimes[i];
      if (link !== undefined) {
        const exposed = kvTransferSeconds(
          this.promptKvBytes[i], flow, linkLoad, this.setUpSeconds(link, classes.inputTokens[i]), link.overlapLayers, prefillTimes[i],
        );
        transfer += classes.weights[i] * exposed;
        seconds += exposed;
      }
      firstToken.fixedSeconds[i] = seconds;
      lastToken.fixedSeconds[i] = seconds + Math.max(0, classes.outputTokens[i] - 1) * step;
    }
    this.transferMeanSeconds = transfer;
    firstToken.prepare(waits, wait, admissionWaits, admission);
    firstToken.quantiles(SHARES, latencies, TTFT + 1);
    latencies[TTFT] = fixed + meanPrefill + transfer + this.prefillQueueSeconds + admissionWaits * admission;

    // time per token: the batch fluctuates around its mean, and a request's own context is longer or shorter than the others'
    const next = this.stepSeconds(seen + 1) * this.inflation;
    const burstiness = (peakedness(this.batch * decodeEngines, arrivalScv) - 1) / decodeEngines;
    const deviation = Math.sqrt(batchVariance(this.batch, step, next) * (1 + burstiness));
    const own = decode.wafers === undefined ? kvSeconds(decode.engine, this.decodeSet, this.kvSpreadBytes) / this.pace * this.inflation : 0;
    latencies[TPOT] = step;
    for (let q = 0; q < SHARES.length; q++) {
      const z = NORMAL_QUANTILES[q];
      const fuller = this.step(bound === 1 ? decode.slots : Math.min(seen + z * deviation, decode.slots));
      latencies[TPOT + 1 + q] = step + Math.hypot(fuller - step, z * own);
    }

    lastToken.prepare(waits, wait, admissionWaits, admission);
    lastToken.quantiles(SHARES, latencies, END_TO_END + 1);
    latencies[END_TO_END] = latencies[TTFT] + this.laterTokens * step;
  }

  private setUpSeconds({ blockTokens }: KvLink, inputTokens: number): number {
    const { linkBaseSeconds, linkDescriptorSeconds } = this.prefillSet;
    return blockTokens === undefined ? linkBaseSeconds : postingSeconds(this.plant.model.kvTensors, inputTokens, blockTokens, linkDescriptorSeconds);
  }
}
