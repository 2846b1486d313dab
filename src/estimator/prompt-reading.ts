import { Coefficients } from './phases/coefficients';
import { Step, mixedStepSeconds } from './phases/mixed';
import { promptSteps } from './phases/prefill';
import { Plant, promptPool } from './plant';

/** What an engine writes that reads prompts in the same steps. */
export interface Writing {
  /** Mean tokens of a request that it writes. */
  readonly tokens: number;
  /** KV bytes that a step reads of a sequence at the mean context, one copy. */
  readonly kvBytes: number;
  /** Sequences of a full batch. */
  readonly fullBatch: number;
  /** Seconds of a step that only writes, with the coefficients that were taken last. */
  stepSeconds(batch: number): number;
}

/**
 * What reading prompts takes of an engine: of one that does nothing else meanwhile, or, where prompts are read in chunks, of the steps of one that writes tokens too.
 *
 * What is added to steps is worked out for one sequence and for a full batch, and taken to grow evenly from one to the other.
 */
export class PromptReading {
  /** The steps that read the prompts of each class. */
  public readonly steps: readonly (readonly Step[])[];
  /** Mean number of them. */
  public readonly meanSteps: number;
  /** Mean tokens that are read of a prompt. */
  public readonly meanTokens: number;
  /** Seconds of an engine that reads a prompt of each class and does nothing else, their mean and squared coefficient of variation. */
  public readonly aloneSeconds: Float64Array;
  public meanAloneSeconds = 0;
  public aloneScv = 0;
  /** Seconds that prompts of each class take of an engine that writes a full batch. */
  public readonly fullSeconds: Float64Array;
  /** Seconds of a step that reads and writes as much as it can; Infinity where prompts are read between steps. */
  public fullestStepSeconds = Infinity;

  private readonly isChunked: boolean;
  private readonly stepTokens: number;
  private readonly meanAttentionFlops: number;
  private readonly besideOne: readonly (readonly Step[])[];
  private readonly besideFull: readonly (readonly Step[])[];
  /** Seconds by which prompts of each class make steps of one sequence longer. */
  private readonly addedToOne: Float64Array;
  private meanAddedToOne = 0;
  private meanAddedToFull = 0;
  /** Seconds by which a step that reads parts of two prompts is longer than two that read one each, in steps of one sequence and of a full batch. */
  private addedByTwoToOne = 0;
  private addedByTwoToFull = 0;
  private decodeSet = new Coefficients();

  /** @param writing what the engine writes besides, where it reads in chunks. */
  constructor(private readonly plant: Plant, private readonly writing: Writing) {
    const { classes: { weights, paddedTokens, cachedTokens, segmentTokens }, model, decode: { stepTokens } } = plant;
    this.isChunked = stepTokens !== undefined;
    this.stepTokens = stepTokens ?? 0;
    this.steps = Array.from(paddedTokens, (tokens, i) => promptSteps(model, tokens, cachedTokens[i], segmentTokens));
    const mean = (of: (i: number) => number) => weights.reduce((sum, weight, i) => sum + weight * of(i), 0);
    this.meanSteps = mean((i) => this.steps[i].length);
    this.meanTokens = mean((i) => paddedTokens[i]);
    this.meanAttentionFlops = mean((i) => this.steps[i].reduce((sum, { attentionFlops }) => sum + attentionFlops, 0));
    const beside = (sequences: number) => this.isChunked
      ? this.steps.map((steps) => steps.map((step): Step => ({ ...step, sequences, kvBytesRead: sequences * writing.kvBytes }))) : [];
    this.besideOne = beside(1);
    this.besideFull = beside(writing.fullBatch);
    this.aloneSeconds = new Float64Array(weights.length);
    this.addedToOne = new Float64Array(weights.length);
    this.fullSeconds = this.isChunked ? new Float64Array(weights.length) : this.aloneSeconds;
  }

  /** Takes coefficients. */
  public use(prefillSet: Coefficients, decodeSet: Coefficients): void {
    const { plant: { classes: { weights }, model }, writing, steps, aloneSeconds } = this;
    const { engine } = promptPool(this.plant);
    this.decodeSet = decodeSet;
    let mean = 0;
    let square = 0;
    for (let i = 0; i < steps.length; i++) {
      const seconds = steps[i].reduce((sum, step) => sum + mixedStepSeconds(model, engine, prefillSet, step), 0);
      aloneSeconds[i] = seconds;
      mean += weights[i] * seconds;
      square += weights[i] * seconds * seconds;
    }
    this.meanAloneSeconds = mean;
    this.aloneScv = Math.max(0, square / (mean * mean) - 1);
    if (this.isChunked) {
      const full = writing.fullBatch;
      this.meanAddedToOne = this.addTo(this.addedToOne, this.besideOne, writing.stepSeconds(1));
      this.meanAddedToFull = this.addTo(this.fullSeconds, this.besideFull, writing.stepSeconds(full));
      this.addedByTwoToOne = this.addedByTwo(1);
      this.addedByTwoToFull = this.addedByTwo(full);
      this.fullestStepSeconds = writing.stepSeconds(full) + this.meanSeconds(full) * Math.max(0, this.stepTokens - full) / this.meanTokens;
    }
  }

  /** Mean seconds that a prompt takes of an engine which writes so many sequences, one or more. */
  public meanSeconds(batch: number): number {
    if (!this.isChunked) {
      return this.meanAloneSeconds;
    }
    const fullness = this.fullness(batch);
    // by Little's law as many prompts come in a step as last tokens are written; their parts meet in one by chance, and always where they fill all steps
    const prompts = batch / Math.max(1, this.writing.tokens);
    const parts = prompts * this.meanSteps;
    const full = prompts * this.meanTokens / Math.max(1, this.stepTokens - batch);
    const reading = Math.max(1 - Math.exp(-parts), Math.min(1, parts, full));
    return between(this.meanAddedToOne, this.meanAddedToFull, fullness)
      + this.meanSteps * (1 - reading / parts) * between(this.addedByTwoToOne, this.addedByTwoToFull, fullness);
  }

  /** Mean square of what prompts take of an engine that writes so many sequences. */
  public meanSquare(batch: number): number {
    const { weights } = this.plant.classes;
    let square = 0;
    for (let i = 0; i < weights.length; i++) {
      const seconds = this.isChunked ? between(this.addedToOne[i], this.fullSeconds[i], this.fullness(batch)) : this.aloneSeconds[i];
      square += weights[i] * seconds * seconds;
    }
    return square;
  }

  /** Seconds of the steps that read a prompt of a class beside so many sequences, which write what the engine has to write too. */
  public readSeconds(i: number, batch: number): number {
    if (!this.isChunked) {
      return this.aloneSeconds[i];
    }
    return batch < 1 ? between(this.aloneSeconds[i], this.readBeside(i, 1), batch) : this.readBeside(i, batch);
  }

  private readBeside(i: number, batch: number): number {
    return between(this.addedToOne[i], this.fullSeconds[i], this.fullness(batch)) + this.steps[i].length * this.writing.stepSeconds(batch);
  }

  /** Seconds by which reading prompts makes steps longer than they are without; returns their mean. */
  private addTo(added: Float64Array, beside: readonly (readonly Step[])[], stepSeconds: number): number {
    const { classes: { weights }, model } = this.plant;
    const { engine } = promptPool(this.plant);
    let mean = 0;
    for (let i = 0; i < added.length; i++) {
      added[i] = beside[i].reduce((sum, step) => sum + mixedStepSeconds(model, engine, this.decodeSet, step) - stepSeconds, 0);
      mean += weights[i] * added[i];
    }
    return mean;
  }

  /** At the mean of the parts. */
  private addedByTwo(batch: number): number {
    const { plant: { model }, meanSteps } = this;
    const { engine } = promptPool(this.plant);
    const seconds = (parts: number) => mixedStepSeconds(model, engine, this.decodeSet, {
      sequences: batch,
      kvBytesRead: batch * this.writing.kvBytes,
      newTokens: parts * this.meanTokens / meanSteps,
      attentionFlops: parts * this.meanAttentionFlops / meanSteps,
      prompts: parts / meanSteps,
    });
    return seconds(2) - 2 * seconds(1) + seconds(0);
  }

  /** How far a batch is from one sequence to a full one. */
  private fullness(batch: number): number {
    const { fullBatch } = this.writing;
    return fullBatch > 1 ? (batch - 1) / (fullBatch - 1) : 0;
  }
}

function between(from: number, to: number, share: number): number {
  return from + (to - from) * share;
}
