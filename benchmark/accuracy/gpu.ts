import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GPU_START } from './gpu-start';
import { Configuration, GroupScore, scoreGroup } from './held-out';
import { EngineMeasurements, calibrate } from '../../src/estimator/calibration/calibrate';
import { ClosedLoop, compare } from '../../src/estimator/calibration/measurements';
import { modelShape } from '../../src/estimator/phases/model-shape';
import { Hardware } from '../../src/hardware';
import { ModelArchitecture, Precision } from '../../src/model';

/** The default of vLLM and SGLang on these GPUs, and of TensorRT-LLM. */
const STEP_TOKENS = 8192;

interface GpuConfiguration extends Configuration, EngineMeasurements {
  readonly group: string;
}

/** Accuracy over closed loops of GPU servers, by device, engine and kind of model. */
export function gpuScores(): GroupScore[] {
  const groups = new Map<string, GpuConfiguration[]>();
  for (const configuration of configurations()) {
    groups.set(configuration.group, [...groups.get(configuration.group) ?? [], configuration]);
  }
  return [...groups].map(([group, of]) => scoreGroup(group, GPU_START, of, (measured) => calibrate(GPU_START, measured).coefficients));
}

function configurations(): GpuConfiguration[] {
  const [, ...lines] = readFileSync(join(__dirname, '../../test/estimator/data/gpu-serving.csv'), 'utf8').trim().split('\n');
  const loops = new Map<string, ClosedLoop[]>();
  for (const line of lines) {
    const cells = line.split(',');
    const [inputTokens, outputTokens, concurrency, ttftMs, tpotMs] = cells.slice(5).map(Number);
    const key = cells.slice(0, 5).join(',');
    loops.set(key, [...loops.get(key) ?? [], { concurrency, inputTokens, outputTokens, ttftSeconds: ttftMs / 1e3, tpotSeconds: tpotMs / 1e3 }]);
  }
  return [...loops].map(([key, rows]) => {
    const [hardware, name, modelId, weights, degree] = key.split(',');
    const chip = Hardware.accelerated(hardware)!.accelerator;
    const model = modelShape(ModelArchitecture.of(modelId).spec, Precision.bytesPerElement(weights), 2);
    const chips = Number(degree);
    const engine = {
      model,
      engine: {
        flopsPerSecond: chip.bf16FlopsPerSecond! * chips,
        memoryBytesPerSecond: chip.hbmBytesPerSecond * chips,
        memoryBytes: chip.hbmBytes * chips,
        kvCopies: Math.max(1, chips / model.kvShards),
        lowPrecision: weights !== 'bf16',
      },
      limits: { sequences: Infinity, stepTokens: STEP_TOKENS, kvTokens: Infinity },
    };
    const measurements = { prompts: [], steps: [], loops: rows, logs: [] };
    return {
      group: `${chip.name.toUpperCase()} ${name}, ${model.experts > 0 ? 'MoE' : 'dense'}`,
      engine,
      measurements,
      compare: (k) => compare(engine, measurements, k),
    };
  });
}
