import { Coefficients } from '../phases/coefficients';
import { Step, StepParts, kvSeconds, mixedStepSeconds, stepParts, writingStep } from '../phases/mixed';
import { EngineShape, ModelShape } from '../phases/shapes';

/** What the steps of an engine take that reads prompts and writes tokens in the same ones. */
export class StepTimes {
  /** By sequences, of a step that only writes and reads no cache. */
  private readonly writing: StepParts[] = [];

  constructor(private readonly model: ModelShape, private readonly engine: EngineShape, private readonly k: Coefficients) {}

  /** Seconds of a step that reads prompts. */
  public readingSeconds(step: Step): number {
    return mixedStepSeconds(this.model, this.engine, this.k, step);
  }

  /** Seconds of a step that only writes, as `mixedStepSeconds` adds them up. */
  public writingSeconds(sequences: number, kvBytesRead: number): number {
    const { model, engine, k, writing } = this;
    while (writing.length <= sequences) {
      writing.push(stepParts(model, engine, k, writingStep(writing.length, 0)));
    }
    const parts = writing[sequences];
    const memorySeconds = kvSeconds(engine, k, kvBytesRead) + parts.memorySeconds;
    return parts.computeSeconds + memorySeconds + parts.layerSeconds + parts.exchangeSeconds + parts.hostSeconds;
  }
}
