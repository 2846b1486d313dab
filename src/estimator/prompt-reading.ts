import { Coefficients } from './phases/coefficients';
import { Step, mixedStepSeconds } from './phases/mixed';
import { promptSteps } from './phases/prefill';
import { Plant, promptPool } from './plant';

// steps and what they take settle within some rounds
const ROUNDS = 4;

/** A share of the steps below which none is. */
const NEVER = 1e-12;

/** Of the steps, the share of full ones that a queue of prompts is taken for at most. */
const FULL_STEPS = 0.995;

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
 * Steps that read are worked out beside one sequence and beside a full batch, and taken to grow evenly from one to the other.
 */
export class PromptReading {
  /** The steps that read the prompts of each class. */
  public readonly steps: readonly (readonly Step[])[];
  /** Mean tokens that are read of a prompt. */
  public readonly meanTokens: number;
  /** Seconds of an engine that reads a prompt of each class and does nothing else, their mean and squared coefficient of variation. */
  public readonly aloneSeconds: Float64Array;
  public meanAloneSeconds = 0;
  public aloneScv = 0;
  /** Of these seconds the mean times the mean cube, over the square of the mean square: 1 where they are alike, 1.5 of an exponential. */
  public aloneUnevenness = 1;
  /** Seconds that prompts of each class take of an engine that writes a full batch. */
  public readonly fullSeconds: Float64Array;
  /** Seconds of a step that reads and writes as much as it can; Infinity where prompts are read between steps. */
  public fullestStepSeconds = Infinity;

  private readonly one?: ReadingBeside;
  private readonly full?: ReadingBeside;
  private readonly stepTokens: number;
  /** What was worked out last, and for which batch. */
  private readonly settled = { batch: NaN, addedSeconds: 0, readingShare: 0 };

  /** @param writing what the engine writes besides, where it reads in chunks. */
  constructor(private readonly plant: Plant, private readonly writing: Writing) {
    const { classes: { weights, paddedTokens, cachedTokens, segmentTokens }, model, decode: { stepTokens } } = plant;
    this.stepTokens = stepTokens ?? 0;
    this.steps = Array.from(paddedTokens, (tokens, i) => promptSteps(model, tokens, cachedTokens[i], segmentTokens));
    this.meanTokens = weights.reduce((sum, weight, i) => sum + weight * paddedTokens[i], 0);
    this.aloneSeconds = new Float64Array(weights.length);
    this.fullSeconds = this.aloneSeconds;
    if (stepTokens !== undefined) {
      this.one = new ReadingBeside(plant, 1, writing.kvBytes);
      this.full = new ReadingBeside(plant, writing.fullBatch, writing.kvBytes);
      this.fullSeconds = new Float64Array(weights.length);
    }
  }

  /** Takes coefficients. */
  public use(prefillSet: Coefficients, decodeSet: Coefficients): void {
    const { plant: { classes: { weights }, model }, writing, steps, aloneSeconds, one, full } = this;
    const { engine } = promptPool(this.plant);
    let mean = 0;
    let square = 0;
    let cube = 0;
    for (let i = 0; i < steps.length; i++) {
      const seconds = steps[i].reduce((sum, step) => sum + mixedStepSeconds(model, engine, prefillSet, step), 0);
      aloneSeconds[i] = seconds;
      mean += weights[i] * seconds;
      square += weights[i] * seconds * seconds;
      cube += weights[i] * seconds * seconds * seconds;
    }
    this.settled.batch = NaN;
    this.meanAloneSeconds = mean;
    this.aloneScv = Math.max(0, square / (mean * mean) - 1);
    this.aloneUnevenness = mean * cube / (square * square);
    if (one !== undefined && full !== undefined) {
      one.use(decodeSet);
      full.use(decodeSet);
      const plain = writing.stepSeconds(writing.fullBatch);
      for (let i = 0; i < weights.length; i++) {
        this.fullSeconds[i] = full.seconds[i] - full.steps[i] * plain;
      }
      this.fullestStepSeconds = full.fullStepSeconds;
    }
  }

  /** Mean number of steps that read a prompt beside so many sequences. */
  public meanSteps(batch: number): number {
    return this.between(batch, 'meanSteps');
  }

  /** Seconds of a step that reads as much as it can beside so many sequences. */
  public fullStepSeconds(batch: number): number {
    return this.between(batch, 'fullStepSeconds');
  }

  /** Mean seconds that a prompt takes of an engine which writes so many sequences, one or more. */
  public meanSeconds(batch: number): number {
    return this.one === undefined ? this.meanAloneSeconds : this.settle(batch).addedSeconds;
  }

  /** Share of the steps of an engine that read, beside so many sequences. */
  public readingShare(batch: number): number {
    return this.settle(batch).readingShare;
  }

  /**
   * Works out how many steps of an engine read, and what that takes, which follow from each other.
   *
   * Steps that do not read follow one in which nobody came, as is likelier in a short one, and that left nothing unread. Where all tokens fit, the last step of
   * a queue of prompts takes less than it could, and so steps are as many as those that full ones would be and what is not used of them. A prompt that shares no
   * step with others takes what its own steps take, and where all steps are full each takes its part of them: what lies between is as near to the one as to the
   * other as the number of steps is.
   */
  private settle(batch: number): { readonly addedSeconds: number; readonly readingShare: number } {
    const { settled } = this;
    if (settled.batch === batch) {
      return settled;
    }
    const plain = this.writing.stepSeconds(batch);
    const prompts = this.promptsPerStep(batch);
    const steps = this.meanSteps(batch);
    const fewest = this.meanTokens / this.tokensBeside(batch);
    const full = Math.min(1, prompts * fewest);
    const own = this.between(batch, 'meanSeconds') - steps * plain;
    const shared = fewest * (this.fullStepSeconds(batch) - plain);
    const isFull = batch >= this.writing.fullBatch;
    settled.batch = batch;
    settled.addedSeconds = own;
    settled.readingShare = Math.min(1, prompts * steps);
    for (let i = 0; i < ROUNDS; i++) {
      const step = plain + prompts * settled.addedSeconds;
      // where all slots are taken, who comes takes the place of who has left, and those are as many in each step
      const nobodyInPlain = Math.exp(-prompts * (isFull ? 1 : plain / step));
      const come = prompts * (isFull ? 1 : (plain + prompts * settled.addedSeconds / settled.readingShare) / step);
      const nobody = Math.exp(-come);
      // of two or more that come in the same step, the last one is taken to share its last step with another
      const unused = between(this.between(batch, 'unusedShare'), this.between(batch, 'unusedByTwoShare'), Math.min(1, come / (1 - nobody) - 1));
      settled.readingShare = nobody < NEVER ? 1 : 1 - (1 - full) * nobody / (nobody + (1 - nobodyInPlain) * unused);
      const saved = steps - settled.readingShare / prompts;
      settled.addedSeconds = steps - fewest > 1e-9 ? between(own, shared, Math.min(1, Math.max(0, saved / (steps - fewest)))) : own;
    }
    return settled;
  }

  /**
   * Steps that it takes until it does not matter any more how many prompts were there: those that are read between steps are gone before the next one, others in as
   * many steps as what they bring along lasts, or as a queue of them does (the relaxation time of M/G/1).
   *
   * @param load of the engine by prompts.
   */
  public stepsOfQueue(batch: number, load: number): number {
    if (this.one === undefined) {
      return 0;
    }
    const steps = this.meanTokens / this.tokensBeside(batch);
    const full = Math.min(FULL_STEPS, this.promptsPerStep(batch) * steps);
    return Math.max(1 / (1 - load), steps * full * (1 + this.aloneScv) / (1 - full) ** 2);
  }

  /** Tokens that a step reads at most beside so many sequences. */
  public tokensBeside(batch: number): number {
    return Math.max(1, this.stepTokens - batch);
  }

  /** Mean square of what prompts take of an engine that writes so many sequences. */
  public meanSquare(batch: number): number {
    const { weights } = this.plant.classes;
    const plain = this.one === undefined ? 0 : this.writing.stepSeconds(batch);
    let square = 0;
    for (let i = 0; i < weights.length; i++) {
      const seconds = this.one === undefined ? this.aloneSeconds[i]
        : this.readBeside(i, batch) - plain * between(this.one.steps[i], this.full!.steps[i], this.fullness(batch));
      square += weights[i] * seconds * seconds;
    }
    return square;
  }

  /** Seconds of the steps that read a prompt of a class beside so many sequences, which write what the engine has to write too. */
  public readSeconds(i: number, batch: number): number {
    if (this.one === undefined) {
      return this.aloneSeconds[i];
    }
    return batch < 1 ? between(this.aloneSeconds[i], this.one.seconds[i], batch) : this.readBeside(i, batch);
  }

  private readBeside(i: number, batch: number): number {
    return between(this.one!.seconds[i], this.full!.seconds[i], this.fullness(batch));
  }

  /** By Little's law as many prompts come in a step as last tokens are written. */
  private promptsPerStep(batch: number): number {
    return batch / Math.max(1, this.writing.tokens);
  }

  private between(batch: number, what: 'meanSteps' | 'meanSeconds' | 'fullStepSeconds' | 'unusedShare' | 'unusedByTwoShare'): number {
    return between(this.one![what], this.full![what], this.fullness(batch));
  }

  /** How far a batch is from one sequence to a full one. */
  private fullness(batch: number): number {
    const { fullBatch } = this.writing;
    return fullBatch > 1 ? (batch - 1) / (fullBatch - 1) : 0;
  }
}

/** Steps that read prompts in chunks and write a token of each of so many sequences. */
class ReadingBeside {
  /** Of the steps that read a prompt of each class, if no other is read in them: their number, and their seconds. */
  public readonly steps: Float64Array;
  public readonly seconds: Float64Array;
  /** Their means over all classes. */
  public readonly meanSteps: number;
  public meanSeconds = 0;
  /** What the last of them does not use of the tokens that it could read, as a share. */
  public readonly unusedShare: number;
  /** And that of two prompts, one after the other. */
  public readonly unusedByTwoShare: number;
  /** Seconds of a step that reads as many tokens as it can. */
  public fullStepSeconds = 0;

  private readonly reading: readonly (readonly Step[])[];
  private readonly fullStep: Step;

  constructor(private readonly plant: Plant, sequences: number, kvBytes: number) {
    const { classes: { weights, paddedTokens, cachedTokens }, model, decode: { stepTokens } } = plant;
    const most = Math.max(1, stepTokens! - sequences);
    const writing = { sequences, kvBytesRead: sequences * kvBytes };
    const beside = (steps: readonly Step[]) => steps.map((step) => ({ ...step, ...writing }));
    this.reading = Array.from(paddedTokens, (tokens, i) => beside(promptSteps(model, tokens, cachedTokens[i], most)));
    this.steps = Float64Array.from(this.reading, ({ length }) => length);
    this.seconds = new Float64Array(weights.length);
    const mean = (of: (i: number) => number) => weights.reduce((sum, weight, i) => sum + weight * of(i), 0);
    this.meanSteps = mean((i) => this.steps[i]);
    const tokens = mean((i) => paddedTokens[i]);
    const attentionFlops = mean((i) => this.reading[i].reduce((sum, step) => sum + step.attentionFlops, 0));
    this.unusedShare = this.meanSteps - tokens / most;
    this.unusedByTwoShare = mean((i) => mean((j) => Math.ceil((paddedTokens[i] + paddedTokens[j]) / most - 1e-9))) - 2 * tokens / most;
    this.fullStep = { ...writing, newTokens: most, attentionFlops: attentionFlops * most / tokens, prompts: most / tokens };
  }

  /** Takes coefficients. */
  public use(k: Coefficients): void {
    const { plant: { classes: { weights }, model }, reading, seconds } = this;
    const { engine } = promptPool(this.plant);
    this.meanSeconds = 0;
    for (let i = 0; i < weights.length; i++) {
      seconds[i] = reading[i].reduce((sum, step) => sum + mixedStepSeconds(model, engine, k, step), 0);
      this.meanSeconds += weights[i] * seconds[i];
    }
    this.fullStepSeconds = mixedStepSeconds(model, engine, k, this.fullStep);
  }
}

function between(from: number, to: number, share: number): number {
  return from + (to - from) * share;
}
