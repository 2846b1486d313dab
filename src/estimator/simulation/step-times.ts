import { Coefficients } from '../phases/coefficients';
import { Step, kvSeconds, mixedStepSeconds, writingStep } from '../phases/mixed';
import { EngineShape, ModelShape } from '../phases/shapes';

/** What the steps of an engine take that reads prompts and writes tokens in the same ones. */
export class StepTimes {
  /** Seconds to read a byte of KV cache, counted in one copy. */
  public readonly secondsPerKvByte: number;
  /** By sequences, seconds of a step that only writes and reads no cache. */
  private readonly writing: number[] = [];

  constructor(private readonly model: ModelShape, private readonly engine: EngineShape, private readonly k: Coefficients) {
    this.secondsPerKvByte = kvSeconds(engine, k, 1);
  }

  /** Seconds of a step that reads prompts. */
  public readingSeconds(step: Step): number {
    return mixedStepSeconds(this.model, this.engine, this.k, step);
  }

  /** Seconds of a step that only writes: reading the cache is by itself. */
  public writingSeconds(sequences: number, kvBytesRead: number): number {
    const { model, engine, k, writing } = this;
    while (writing.length <= sequences) {
      writing.push(mixedStepSeconds(model, engine, k, writingStep(writing.length, 0)));
    }
    return writing[sequences] + this.secondsPerKvByte * kvBytesRead;
  }
}
