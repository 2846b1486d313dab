import { PromptReading, Writing } from './prompt-reading';
import { conditionalWaitScv, conditionalWaitSeconds, waitingProbability } from './queueing/bursty-queue';

// a queue that is fuller than this has no steady state worth a figure: latencies stay finite, and the stage is reported as unstable
export const FULLEST = 0.995;

/**
 * Share of the mean prompt, for each unit of their squared coefficient of variation, that is left to read where one goes to the engine with the fewest tokens: fitted
 * to simulations.
 */
const LEFT = 1 / 4;

// the load and the batch of a queue follow from each other, and settle within some rounds
const ROUNDS = 5;

/**
 * How long prompts wait to be read, beyond half of the step that an engine takes where none is read; solving allocates nothing.
 */
export class PromptQueue {
  /** Share of the prompts that wait. */
  public share = 0;
  /** Mean wait of these, in seconds, and its squared coefficient of variation. */
  public seconds = 0;
  public scv = 1;
  /** Mean seconds of it in which others come that are read later: who comes in a step that is running is read in the same one, as far as there is room. */
  public behindSeconds = 0;

  constructor(private readonly reading: PromptReading, private readonly writing: Writing) {}

  /** Mean wait of all, in seconds. */
  public get meanSeconds(): number {
    return this.share * this.seconds;
  }

  /** Variance of the wait of all. */
  public get variance(): number {
    return this.share * (1 + this.scv - this.share) * this.seconds * this.seconds;
  }

  /**
   * Solves for engines that read prompts whole, one at a time.
   *
   * @param servers engines that a prompt may be given to, as many as have a queue in common.
   * @param promptsPerSecond of these engines together.
   */
  public readWhole(servers: number, promptsPerSecond: number, arrivalScv: number): void {
    const { meanAloneSeconds: mean, aloneScv, aloneUnevenness } = this.reading;
    const load = Math.min(promptsPerSecond * mean / servers, FULLEST);
    const arrivals = load * servers / mean;
    this.share = waitingProbability(servers, arrivals, (busy) => busy / mean, arrivalScv);
    const behind = conditionalWaitSeconds(servers, arrivals, mean, arrivalScv, aloneScv);
    // the engine with the fewest tokens to read is not quite the first that is free where prompts differ
    const left = (1 - 1 / servers) * mean * aloneScv * LEFT;
    this.seconds = behind + left;
    // nobody waits where prompts that are alike come in turn
    const leftShare = this.seconds > 0 ? left / this.seconds : 0;
    this.scv = conditionalWaitScv(load, aloneUnevenness) * (1 - leftShare) ** 2 + conditionalWaitScv(0, aloneUnevenness) * leftShare * leftShare;
    this.behindSeconds = this.meanSeconds;
  }

  /**
   * Solves for an engine that reads prompts in chunks.
   *
   * A prompt waits for half of the step that it meets, for the parts of the next one that are of others who came in the same, before it or after it, and for what
   * these do not have room for.
   *
   * @param promptsPerSecond that come while it reads.
   * @param batch sequences that it writes, one or more.
   * @param writingSeconds mean seconds of the step that a prompt meets where none is read.
   * @param answersPerSecond tokens that it writes.
   */
  public readInChunks(promptsPerSecond: number, batch: number, writingSeconds: number, answersPerSecond: number): void {
    const { reading } = this;
    const added = reading.meanSeconds(batch);
    const load = Math.min(promptsPerSecond * added, FULLEST);
    const isReading = load + (1 - load) * reading.readingShare(batch);
    const fullStep = reading.fullStepSeconds(batch);
    // mean square over mean of the steps' seconds: where all that came in one is read in the next one, and no more than those of full steps
    const ofWriting = (1 - isReading) * writingSeconds;
    const gated = writingSeconds / (1 - load) + load * added * (1 + reading.aloneScv) / (1 - load * load);
    const met = ofWriting + Math.max(0, Math.min(isReading * fullStep, gated - ofWriting));
    const queueLoad = this.queueLoad(promptsPerSecond, batch, answersPerSecond);
    const queued = conditionalWaitSeconds(1, promptsPerSecond, queueLoad / promptsPerSecond, 1, reading.aloneScv);
    const left = queueLoad * queued * Math.exp(-fullStep / queued);
    const mean = met / 2 + load * met + left;
    this.share = isReading + (1 - isReading) * (1 - Math.exp(-promptsPerSecond * writingSeconds));
    this.seconds = Math.max(0, mean - writingSeconds / 2) / this.share;
    this.scv = conditionalWaitScv(queueLoad, reading.aloneUnevenness);
    this.behindSeconds = load * met + left;
  }

  /**
   * Load of an engine that takes full steps while prompts queue. These last longer than others, so that more sequences are written meanwhile, which makes them
   * last longer still: as far as the queue lasts (the relaxation time of M/G/1) as long as answers take.
   */
  private queueLoad(promptsPerSecond: number, batch: number, answersPerSecond: number): number {
    const { reading, writing } = this;
    const loadBeside = (sequences: number) => (
      Math.min(promptsPerSecond * reading.meanTokens / reading.tokensBeside(sequences) * reading.fullStepSeconds(sequences), FULLEST));
    const answering = writing.tokens * reading.fullStepSeconds(batch);
    const stretch = Math.max(0, this.queueingBatch(answersPerSecond) - batch);
    let load = loadBeside(batch);
    for (let i = 0; i < ROUNDS; i++) {
      const lasting = load * load * (1 + reading.aloneScv) / promptsPerSecond / (1 - load) ** 2;
      load = loadBeside(batch + stretch * lasting / (lasting + answering));
    }
    return load;
  }

  /** Sequences of an engine all of whose steps are full ones, by Little's law. */
  private queueingBatch(answersPerSecond: number): number {
    const { reading, writing: { fullBatch } } = this;
    const one = reading.fullStepSeconds(1);
    const growth = fullBatch > 1 ? (reading.fullestStepSeconds - one) / (fullBatch - 1) : 0;
    return answersPerSecond * growth < 1 ? Math.min(fullBatch, answersPerSecond * (one - growth) / (1 - answersPerSecond * growth)) : fullBatch;
  }
}
