import { CacheTransfers } from './cache-transfers';
import { Coefficients } from './phases/coefficients';
import { decodeStepSeconds } from './phases/decode';
import { kvSeconds } from './phases/mixed';
import { speculativeStepSeconds } from './phases/speculation';
import { waferTokenSeconds } from './phases/wafer-decode';
import { Plant } from './plant';
import { FULLEST, PromptQueue } from './prompt-queue';
import { PromptReading } from './prompt-reading';
import { batchVariance, meanBatch } from './queueing/batch';
import { burstRate, conditionalWaitSeconds, peakedness, waitingProbability } from './queueing/bursty-queue';
import { arrivalDispersion, arrivalsWhileReading } from './queueing/fewest-requests';
import { WaitingMixture } from './queueing/waiting-mixture';
import { RequestMoments } from './request-moments';

/** Shares of the requests that percentiles are given for, and the standard normal's quantiles of them. */
export const SHARES = [0.5, 0.9, 0.95, 0.99];
const NORMAL_QUANTILES = [0, 1.2815515655446004, 1.6448536269514722, 2.3263478740408408];

/** Where the mean and the percentiles of each latency lie in `ClosedForm.latencies`. */
export const TTFT = 0;
export const TPOT = 5;
export const END_TO_END = 10;

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
  /** What requests are. */
  public readonly requests: RequestMoments;
  /** What reading prompts takes. */
  public readonly reading: PromptReading;
  /** Sequences of an engine at most: those that it has slots for, or that leave room in its steps for the prompts that take their places. */
  public readonly fullBatch: number;

  private readonly plant: Plant;
  private readonly queue: PromptQueue;
  private readonly transfers: CacheTransfers;
  private readonly firstToken: WaitingMixture;
  private readonly lastToken: WaitingMixture;
  private readonly step: (batch: number) => number;
  private readonly aggregated: boolean;
  private readonly isChunked: boolean;
  private workScv = 0;
  private heldScv = 0;
  private prefillSet = new Coefficients();
  private decodeSet = new Coefficients();
  /** Of what is being solved for, as are the fields below: engines of the pool. */
  private decodeEngines = 0;
  private prefillEngines = 0;
  /** Prompts that each engine reads besides writing. */
  private promptsPerSecond = 0;
  /** The batch that a token sees. */
  private seen = 0;
  /** A step of it that reads nothing, in seconds. */
  private plainStep = 0;
  /** How much longer tokens take as others read. */
  private inflationSeen = 1;
  /** What a token takes. */
  private tokenSeconds = 0;
  /** Share of the requests that wait for a slot, and their mean wait in seconds. */
  private admissionWaits = 0;
  private admission = 0;
  /** Whether bursts are taken to have everyone wait. */
  private everyoneWaits = false;
  /** Seconds that a prompt takes of an engine, on average. */
  private meanPrefill = 0;
  /** Load of the engines by prompts. */
  private promptLoad = 0;
  /** Mean seconds of the step that is met where none is read. */
  private running = 0;
  /** Share of the prompts that come while others are read. */
  private whileReading = 1;
  /** Seconds of what is read beside the tokens of a request after the first. */
  private laterSeconds = 0;
  /** The same beside one token: mean and variance. */
  private besideToken = 0;
  private besideVariance = 0;
  /** Variance of what is read beside all tokens of a request, of answers of one length. */
  private laterVariance = 0;

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
    const stepSeconds = (batch: number) => this.stepSeconds(batch);
    const writing = { tokens: decoded, kvBytes: meanKvBytes, fullBatch: this.fullBatch, stepSeconds };
    this.reading = new PromptReading(plant, writing);
    this.queue = new PromptQueue(this.reading, writing);
    this.transfers = new CacheTransfers(plant, this.requests, this.reading);
    this.step = (batch) => this.stepSeconds(batch) * this.inflation(batch);
  }

  /**
   * Takes coefficients, and works out what does not depend on load.
   */
  public use(prefillSet: Coefficients, decodeSet: Coefficients): void {
    this.prefillSet = prefillSet;
    this.decodeSet = decodeSet;
    this.reading.use(prefillSet, decodeSet);
    this.weighWork();
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
    const { prefill, decode } = this.plant;
    this.decodeEngines = decodeInstances * decode.enginesPerInstance;
    this.prefillEngines = prefill === undefined ? this.decodeEngines : prefillInstances * prefill.enginesPerInstance;
    this.fillBatches(requestsPerSecond);
    this.fillSlots(requestsPerSecond);
    this.queuePrompts(requestsPerSecond);
    this.moveCaches(requestsPerSecond, prefillInstances, decodeInstances);
    this.writeFirstTokens();
    this.writeLaterTokens();
    this.takePercentiles();
  }

  /** The decode pool's batch, by Little's fixed point; where the pool reads prompts too, they take their share of every engine's time. */
  private fillBatches(requestsPerSecond: number): void {
    const { fullBatch } = this;
    const perEngine = requestsPerSecond / this.decodeEngines;
    this.promptsPerSecond = this.aggregated ? perEngine : 0;
    this.batch = meanBatch(perEngine, this.requests.decodedTokens, fullBatch, this.step);
    this.seen = Math.min(1 + this.batch, fullBatch);
    this.plainStep = this.stepSeconds(this.seen);
    this.inflationSeen = this.inflation(this.seen);
    this.tokenSeconds = this.plainStep * this.inflationSeen;
  }

  /** Waits for a slot: the router finds a free one wherever there is one, so that those of all engines are one queue's servers. */
  private fillSlots(requestsPerSecond: number): void {
    const { fullBatch, decodeEngines, plant: { decode, arrivalScv } } = this;
    const slots = Math.round(fullBatch * decodeEngines);
    const heldSeconds = this.heldSeconds(decodeEngines);
    this.decodeLoad = requestsPerSecond / decodeEngines * heldSeconds(fullBatch * decodeEngines) / fullBatch;
    const admitted = Math.min(requestsPerSecond, FULLEST * slots / heldSeconds(slots));
    const bound = this.burstLoad > 1 ? this.waitingInBursts : undefined;
    this.everyoneWaits = bound === 1;
    // nobody does where prompts fill the steps before tokens fill the slots: it is the prompts that wait then
    this.admissionWaits = fullBatch < decode.slots ? 0
      : bound ?? waitingProbability(slots, admitted, (busy) => busy / heldSeconds(busy), arrivalScv + this.heldScv);
    this.admission = conditionalWaitSeconds(slots, admitted, heldSeconds(slots), arrivalScv, this.workScv);
  }

  /** Waits to be read. An engine that writes too is chosen for what it writes, so that each has a queue of prompts of its own. */
  private queuePrompts(requestsPerSecond: number): void {
    const { aggregated, decodeEngines, prefillEngines, queue, reading, plant: { arrivalScv } } = this;
    this.meanPrefill = aggregated ? reading.meanSeconds(this.seen) : reading.meanAloneSeconds;
    this.promptLoad = requestsPerSecond * this.meanPrefill / prefillEngines;
    this.prefillLoad = aggregated ? 0 : this.promptLoad;
    // of who comes, so many meet an engine that writes; they join it when its step ends
    this.running = this.batch / (1 + this.batch) * (aggregated ? this.plainStep : this.tokenSeconds) * this.requests.pace;
    this.whileReading = arrivalsWhileReading(decodeEngines, this.decodeLoad, this.isChunked, this.requests.decodedScv);
    const perEngine = requestsPerSecond / decodeEngines;
    if (this.isChunked) {
      queue.readInChunks(this.whileReading * perEngine, this.seen, this.running, perEngine * this.requests.decodedTokens);
    } else if (aggregated) {
      // turns keep those of each engine as even as all are, where these are more even than at random
      queue.readWhole(1, this.whileReading * perEngine, Math.min(arrivalScv, 1 + (arrivalScv - 1) / decodeEngines));
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
    const { aggregated, firstToken, reading, running, transfers, plant: { classes: { weights } } } = this;
    this.gatewaySeconds = this.prefillSet.gatewaySeconds;
    this.firstStepSeconds = aggregated ? 0 : this.tokenSeconds * this.requests.pace;
    this.admissionSeconds = this.admissionWaits * this.admission + running / 2;
    this.prefillMeanSeconds = 0;
    for (let i = 0; i < weights.length; i++) {
      const read = reading.readSeconds(i, this.batch);
      this.prefillMeanSeconds += weights[i] * read;
      firstToken.fixedSeconds[i] = this.gatewaySeconds + running / 2 + this.firstStepSeconds + read + transfers.fixedSeconds[i];
    }
  }

  /**
   * What the later tokens take, and what is read beside them: prompts that come behind a request's own are read while its tokens are written, and so are those
   * that come meanwhile (a busy period, whose mean and variance grow by these powers of what is left of the engine), unless there are other engines for them;
   * where all slots are taken they come one for one: on the way from one to the other half is taken, so that times per token never fall as load rises.
   */
  private writeLaterTokens(): void {
    const { firstToken, lastToken, reading, queue, tokenSeconds, whileReading, meanPrefill, plant: { classes: { weights, outputTokens } } } = this;
    const promptShare = this.aggregated ? Math.min(this.promptLoad, FULLEST) : 0;
    const free = 1 - this.admissionWaits / 2;
    const echo = 1 + promptShare / (1 - promptShare) / this.decodeEngines;
    const behind = free * whileReading * promptShare * echo;
    const most = this.mostBesideToken;
    const dispersion = arrivalDispersion(this.decodeEngines, this.requests.decodedScv);
    const square = reading.meanSquare(this.seen) - (1 - dispersion) * meanPrefill * meanPrefill;
    const scatteredSquare = this.promptsPerSecond * square * (1 + free * (echo * echo - 1));
    this.laterSeconds = 0;
    this.besideToken = 0;
    this.laterVariance = 0;
    let meanSquare = 0;
    for (let i = 0; i < weights.length; i++) {
      const tokens = outputTokens[i] - 1;
      lastToken.fixedSeconds[i] = firstToken.fixedSeconds[i] + Math.max(0, tokens) * tokenSeconds;
      if (this.aggregated && tokens > 0) {
        const behindIt = reading.readSeconds(i, this.batch) + this.prefillQueueSeconds;
        // steps have room for no more, and what is behind varies as an exponential does
        const expected = behind * behindIt / tokens;
        const perToken = most < Infinity ? most * (1 - Math.exp(-expected / most)) : expected;
        const share = weights[i] / this.requests.severalTokens;
        lastToken.fixedSeconds[i] += perToken * tokens;
        this.laterSeconds += weights[i] * perToken * tokens;
        this.besideToken += share * perToken;
        const variance = scatteredSquare * (tokenSeconds * tokens + free * whileReading * behindIt) + behind * behind * queue.variance;
        this.laterVariance += weights[i] * variance;
        meanSquare += share * (perToken * perToken + variance / (tokens * tokens));
      }
    }
    this.besideVariance = Math.max(0, meanSquare - this.besideToken * this.besideToken);
  }

  /** Seconds that prompts may add to a token at most. */
  private get mostBesideToken(): number {
    return Math.max(0, this.reading.fullestStepSeconds - this.tokenSeconds);
  }

  private takePercentiles(): void {
    const { latencies, firstToken, lastToken, admissionWaits, admission, running } = this;
    this.prepare(firstToken);
    firstToken.quantiles(SHARES, latencies, TTFT + 1);
    for (let q = 0; q < SHARES.length; q++) {
      latencies[TTFT + 1 + q] += (SHARES[q] - 0.5) * running;
    }
    latencies[TTFT] = this.gatewaySeconds + running / 2 + this.firstStepSeconds
      + this.prefillMeanSeconds + this.transferMeanSeconds + this.prefillQueueSeconds + admissionWaits * admission;
    this.prepare(lastToken);
    lastToken.quantiles(SHARES, latencies, END_TO_END + 1);
    latencies[END_TO_END] = latencies[TTFT] + this.requests.laterTokens * this.tokenSeconds + this.laterSeconds;
    this.takeSpread();
  }

  /** Whatever a request waits for before its first token. */
  private prepare(latency: WaitingMixture): void {
    const { queue, transfers } = this;
    latency.prepare(queue.share, queue.seconds, queue.scv);
    latency.wait(transfers.share, transfers.seconds);
    latency.wait(this.admissionWaits, this.admission);
  }

  /**
   * How times per token and whole answers are spread: the batch fluctuates around its mean, a request's own context is longer or shorter than the others', and so
   * is what is read beside it. Of answers this comes to how their lengths and waits are spread, independent of it.
   */
  private takeSpread(): void {
    const { latencies, aggregated, fullBatch, seen, tokenSeconds, besideToken, plant: { decode, arrivalScv } } = this;
    const next = this.stepSeconds(seen + 1) * this.inflationSeen;
    // held slots vary more than Poisson arrivals make them where these bring work of other kinds along, and by as much as a gap's variation beyond 1 does by half
    const scatter = peakedness(this.batch * this.decodeEngines, arrivalScv) - 1 + (aggregated ? this.heldScv / 2 : 0);
    const deviation = Math.sqrt(batchVariance(this.batch, tokenSeconds, next) * (1 + scatter / this.decodeEngines));
    const { kvSpreadBytes, pace } = this.requests;
    const own = decode.wafers === undefined ? kvSeconds(decode.engine, this.decodeSet, kvSpreadBytes) / pace * this.inflationSeen : 0;
    const added = tokenSeconds - this.plainStep;
    const room = this.mostBesideToken - besideToken;
    const skewOfToken = skewSeconds(added + besideToken, this.besideVariance, room);
    const { laterVariance, requests: { laterTokens, laterSpread } } = this;
    const skewOfAnswer = skewSeconds(added * laterTokens + this.laterSeconds, laterVariance, room * laterTokens);
    const median = latencies[END_TO_END + 1];
    latencies[TPOT] = tokenSeconds + besideToken;
    for (let q = 0; q < SHARES.length; q++) {
      const z = NORMAL_QUANTILES[q];
      const fuller = this.step(this.everyoneWaits ? fullBatch : Math.min(seen + z * deviation, fullBatch)) - tokenSeconds;
      const aroundToken = Math.hypot(fuller, z * own, z * Math.sqrt(this.besideVariance) + (z * z - 1) * skewOfToken);
      latencies[TPOT + 1 + q] = latencies[TPOT] + Math.min(q === 0 ? -skewOfToken : aroundToken, room);
      // answers of one token have nothing after the first
      if (q > 0 && laterSpread > 0) {
        const aroundAnswer = Math.hypot(fuller * laterSpread, z * Math.sqrt(laterVariance) + (z * z - 1) * skewOfAnswer);
        latencies[END_TO_END + 1 + q] = median + Math.hypot(latencies[END_TO_END + 1 + q] - median, Math.min(aroundAnswer, room * laterSpread));
      }
    }
  }

  /**
   * Takes how much the work of requests varies, at full engines. A prompt's comes all at once, that of its tokens over all the time that they hold a slot: so the
   * number of held slots, which is of tokens alone, varies more than the arrivals do.
   */
  private weighWork(): void {
    const { classes: { weights }, prefill } = this.plant;
    const share = this.stepSeconds(this.fullBatch) / this.fullBatch;
    const ofPrompts = this.reading.fullSeconds;
    let all = 0;
    let allSquares = 0;
    let writing = 0;
    let writingSquares = 0;
    for (let i = 0; i < weights.length; i++) {
      const own = this.requests.decoded[i] * share;
      const whole = own + (prefill === undefined ? ofPrompts[i] : 0);
      all += weights[i] * whole;
      allSquares += weights[i] * whole * whole;
      writing += weights[i] * own;
      writingSquares += weights[i] * own * own;
    }
    this.workScv = all > 0 ? Math.max(0, allSquares / (all * all) - 1) : 0;
    this.heldScv = writing > 0 ? 2 * Math.max(0, allSquares / all / (writingSquares / writing) - 1) : 0;
  }

  /** How much longer tokens take where the engine reads prompts too. */
  private inflation(batch: number): number {
    return this.promptsPerSecond === 0 ? 1 : 1 / (1 - Math.min(this.promptsPerSecond * this.reading.meanSeconds(batch), FULLEST));
  }

  /**
   * Seconds that a request holds its slot beside so many others of all engines, whose prompts an aggregated engine reads too: the parabola through those of one
   * request, half of a full batch and all of it.
   */
  private heldSeconds(engines: number): (busy: number) => number {
    const { fullBatch, reading, aggregated } = this;
    // steps of a request that write, or read in their place
    const held = (batch: number) => (this.requests.decodedTokens + (this.isChunked ? reading.meanSteps(batch) : 0)) * this.stepSeconds(batch)
      + (aggregated ? batch * reading.meanSeconds(batch) : 0);
    const half = (1 + fullBatch) / 2;
    const full = held(fullBatch);
    const one = fullBatch > 1 ? held(1) : full;
    const slope = fullBatch > 1 ? (full - one) / (fullBatch - 1) : 0;
    const bend = fullBatch > 1 ? (held(half) - (one + full) / 2) / (half - 1) ** 2 : 0;
    return (busy) => {
      const batch = Math.min(fullBatch, Math.max(1, busy / engines));
      return one + slope * (batch - 1) + bend * (batch - 1) * (fullBatch - batch);
    };
  }
}

/**
 * Of what is spread as a gamma distribution, as is what an engine reads while it writes a request's tokens: a third of its deviation times its coefficient of
 * variation, by which Cornish and Fisher (doi:10.2307/1400905) have its quantiles from the normal ones; no more than there is room for.
 */
function skewSeconds(mean: number, variance: number, room: number): number {
  return mean > 0 ? Math.min(mean, variance / mean, room) / 3 : 0;
}
