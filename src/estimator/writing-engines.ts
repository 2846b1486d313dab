import { Plant } from './plant';
import { FULLEST } from './prompt-queue';
import { PromptReading, Writing } from './prompt-reading';
import { meanBatch } from './queueing/batch';
import { peakedness } from './queueing/bursty-queue';
import { arrivalsWhileReading } from './queueing/fewest-requests';

/**
 * By how many sequences fewer than on average the engine writes that is chosen, of many that read little: half of one if they differed by one at most. Fitted to
 * simulations of 2 to 8 engines.
 */
const FEWER = 2 / 3;

/** What the engines that write do, at what is being solved for. */
export class WritingEngines {
  /** Engines of the pool. */
  public count = 0;
  /** Prompts that each engine reads besides writing. */
  public promptsPerSecond = 0;
  /** Seconds that a prompt takes of an engine, on average, and the load of the engines by prompts. */
  public meanPrefill = 0;
  public promptLoad = 0;
  /** How often prompts come to an engine that reads, and to one that writes, over how often they come to it on average. */
  public whileReading = 1;
  public whileWriting = 1;
  /** Mean sequences in the batch of one engine, and the batch that a token sees. */
  public batch = 0;
  public seen = 0;
  /** A step of it that reads nothing, in seconds. */
  public plainStep = 0;
  /** How much longer tokens take as others read, and what a token takes with that. */
  public inflation = 1;
  public tokenSeconds = 0;
  /** Mean seconds of the step that is met where none is read. */
  public running = 0;

  constructor(
    private readonly plant: Plant, private readonly decodedScv: number, private readonly reading: PromptReading, private readonly writing: Writing,
  ) {}

  /** Takes the batches that answer so many requests a second of each engine. */
  public fill(requestsPerSecond: number): void {
    const { reading, writing, plant: { prefill } } = this;
    this.promptsPerSecond = prefill === undefined ? requestsPerSecond : 0;
    this.batch = meanBatch(requestsPerSecond, writing.tokens, writing.fullBatch, this.tokenSecondsBeside);
    this.seen = this.seenOf(this.batch);
    this.plainStep = writing.stepSeconds(this.seen);
    this.inflation = this.inflationIn(this.seen);
    this.tokenSeconds = this.plainStep * this.inflation;
    this.meanPrefill = prefill === undefined ? reading.meanSeconds(this.seen) : reading.meanAloneSeconds;
    this.promptLoad = this.loadBeside(this.seen);
    this.whileReading = this.arrivalsWhileReading(this.seen, this.promptLoad);
    this.whileWriting = this.arrivalsWhileWriting(this.seen, this.promptLoad);
  }

  /** What a token takes in a batch, with what is read beside it, in seconds. */
  public tokenSecondsIn(batch: number): number {
    return this.writing.stepSeconds(batch) * this.inflationIn(batch);
  }

  /**
   * Variance over mean of the number of sequences in a batch: by so many more than on average are those that a token sees.
   *
   * Of one engine it is that of all who are there at a time, 1 for Poisson arrivals. Where it reads prompts too, as many answers begin together as came in a time
   * that varies as what is read in it does: renewals, as far as there are slots for so many. Engines that are chosen by how few they have share what all vary by,
   * and differ by one at most.
   */
  public dispersion(batch: number): number {
    const { count, promptsPerSecond, writing: { fullBatch }, plant: { arrivalScv } } = this;
    const together = promptsPerSecond === 0 ? 0 : this.togetherness(Math.min(1 + batch, fullBatch)) / count;
    const room = Math.max(0, fullBatch - batch);
    const apart = Math.cbrt(1 + batch ** 3) - batch;
    return peakedness(batch * count, arrivalScv) / count + (1 - 1 / count) * apart + (together > 0 ? together * room / (together + room) : 0);
  }

  private readonly tokenSecondsBeside = (onePlusBatch: number): number => this.tokenSecondsIn(this.seenOf(onePlusBatch - 1));

  private seenOf(batch: number): number {
    return Math.min(batch + this.dispersion(batch), this.writing.fullBatch);
  }

  /** By how much the number of answers that begin in the time of one varies more than by chance, over its mean. */
  private togetherness(batch: number): number {
    const { reading, writing } = this;
    const load = this.loadBeside(batch);
    const renewed = (this.arrivalsWhileReading(batch, load) * load / (1 - load)) ** 2 * (1 + reading.aloneScv);
    // those of a shorter time have not been renewed as often
    const times = Math.max(1, writing.tokens) / reading.stepsOfQueue(batch, load);
    return times < Infinity ? renewed * (1 - (1 - Math.exp(-times)) / times) : renewed;
  }

  /** How much longer tokens take in a batch where the engine reads prompts too. */
  private inflationIn(batch: number): number {
    const load = this.loadBeside(batch);
    return load === 0 ? 1 : 1 / (1 - load * this.arrivalsWhileWriting(batch, load));
  }

  /** Load of an engine by prompts beside a batch. */
  private loadBeside(batch: number): number {
    return this.promptsPerSecond === 0 ? 0 : Math.min(this.promptsPerSecond * this.reading.meanSeconds(batch), FULLEST);
  }

  /** Where answers are as long as each other one ends for each request that comes, so that turns are kept: how much so is a fit to simulations of 2 to 16 engines. */
  private arrivalsWhileReading(batch: number, load: number): number {
    const { count, reading, writing, plant: { decode } } = this;
    const averageStep = writing.stepSeconds(batch) / (1 - load);
    if (decode.stepTokens === undefined) {
      return arrivalsWhileReading(count, load, 0);
    }
    const turns = 1 + 2 * Math.max(0, 1 - 3 * this.decodedScv);
    return arrivalsWhileReading(count, load, Math.min(1, averageStep / reading.fullStepSeconds(batch))) ** turns;
  }

  /** They come to those that write the fewest, which are not those that a token sees. */
  private arrivalsWhileWriting(batch: number, load: number): number {
    return batch / (batch + FEWER * (1 - 1 / this.count) * (1 - load));
  }
}
