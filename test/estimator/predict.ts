/**
 * What the phases give for a row of published measurements.
 */
import { Compared, MeasuredConfiguration } from '../../src/estimator/calibration/measurements';
import { Coefficients } from '../../src/estimator/phases/coefficients';
import { engineShape } from '../../src/estimator/phases/engine-shape';
import { modelShape } from '../../src/estimator/phases/model-shape';
import { EngineShape, ModelShape, compiledFor } from '../../src/estimator/phases/shapes';
import { Hardware } from '../../src/hardware';
import { ArchitectureSpec, ModelArchitecture, Precision } from '../../src/model';

/** A published measurement of one configuration. */
export interface Row {
  readonly id: string;
  readonly model: string;
  readonly hardware: string;
  readonly tensorParallelDegree: number;
  readonly weights: string;
  /** Where not all of them have that format. */
  readonly bytesPerWeight?: number;
  readonly batch: number;
  readonly inputTokens: number;
  readonly outputTokens?: number | null;
  readonly bucketTokens?: number;
  /** Tokens of a prompt that the engine reads at once. */
  readonly segmentTokens?: number;
  /** A release of the model that attends to everything where the one that the library knows has a window. */
  readonly withoutWindow?: boolean;
  /** Context that a step reads where the engine was compiled for one length. */
  readonly contextTokens?: number;
  readonly ttftSeconds?: number;
  readonly tpotSeconds?: number;
}

function architectureOf({ model, withoutWindow = false }: Row): ArchitectureSpec {
  const { spec } = ModelArchitecture.of(model);
  return !withoutWindow ? spec : {
    ...spec,
    fullAttentionLayers: spec.fullAttentionLayers + spec.windowAttentionLayers,
    windowAttentionLayers: 0,
    kvElementsPerTokenFull: spec.kvElementsPerTokenFull + spec.kvElementsPerTokenWindowed,
    kvElementsPerTokenWindowed: 0,
  };
}

function shapes(row: Row): { model: ModelShape; engine: EngineShape } {
  const type = Hardware.accelerated(row.hardware)!;
  const model = modelShape(architectureOf(row), row.bytesPerWeight ?? Precision.bytesPerElement(row.weights), 2);
  const engine = engineShape(type.accelerator, row.tensorParallelDegree, model, row.weights)!;
  return { model, engine: compiledFor(engine, model, contextOf(row)) };
}

/** What the coefficients say of each row that has a time of this metric, beside that time. */
export function compared(rows: readonly Row[], k: Coefficients, metric: Compared['metric'], isBatchReadAtOnce: boolean): Compared[] {
  return rows.flatMap((row) => configurationsOfRows([row], isBatchReadAtOnce)[0].compare(k)).filter((one) => one.metric === metric);
}

/**
 * The rows of each model, precision and degree.
 *
 * @param isBatchReadAtOnce whether the whole batch is read before the first token, as in the Trainium 1 tables; one prompt if not.
 */
export function configurationsOfRows(rows: readonly Row[], isBatchReadAtOnce: boolean): MeasuredConfiguration[] {
  const nameOf = ({ model, weights, tensorParallelDegree }: Row) => `${model} ${weights} ${tensorParallelDegree}`;
  return [...new Set(rows.map(nameOf))].map((name) => {
    const own = rows.filter((row) => nameOf(row) === name);
    const limits = { sequences: Infinity, stepTokens: Infinity, blockTokens: 16, kvTokens: Infinity };
    return new MeasuredConfiguration({ ...shapes(own[0]), limits }, {
      prompts: own.filter((row) => row.ttftSeconds !== undefined).map(({ bucketTokens, inputTokens, segmentTokens, batch, ttftSeconds }) => (
        { inputTokens: bucketTokens ?? inputTokens, segmentTokens, prompts: isBatchReadAtOnce ? batch : 1, ttftSeconds: ttftSeconds! })),
      steps: own.filter((row) => row.tpotSeconds !== undefined).map((row) => (
        { sequences: row.batch, contextTokens: contextOf(row), stepSeconds: row.tpotSeconds! })),
      loops: [],
      logs: [],
    });
  });
}

function contextOf(row: Row): number {
  return row.contextTokens ?? row.inputTokens + (row.outputTokens ?? 0) / 2;
}
