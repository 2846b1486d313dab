/**
 * Closed loops of GPU servers, as measured.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ClosedLoop, MeasuredConfiguration } from '../../src/estimator/calibration/measurements';
import { kvMemoryBytes, kvSlots } from '../../src/estimator/phases/memory';
import { modelShape } from '../../src/estimator/phases/model-shape';
import { kvBytes } from '../../src/estimator/phases/shapes';
import { Hardware } from '../../src/hardware';
import { ModelArchitecture, Precision } from '../../src/model';

/** The default of vLLM and SGLang on these GPUs, and of TensorRT-LLM. */
const STEP_TOKENS = 8192;

/** Shortest lengths of InferenceX's requests: `RANDOM_RANGE_RATIO` of its client. The others are all of one length. */
const SHORTEST_SHARE = 0.8;

/** `batch_wait_timeout_iters` of InferenceX's script for Llama on TensorRT-LLM, for prompts and answers of 1,024 on fewer than eight devices. */
const PROMPT_WAIT_STEPS = 20;

/** vLLM's default of `gpu_memory_utilization`. */
const USABLE_MEMORY = 0.9;

/** What was measured of one model at one precision and degree, on one device and engine. */
export interface GpuConfiguration {
  readonly hardware: string;
  readonly accelerator: string;
  readonly engine: string;
  readonly configuration: MeasuredConfiguration;
}

/** Every configuration of gpu-serving.csv. */
export function gpuServing(): GpuConfiguration[] {
  const [, ...lines] = readFileSync(join(__dirname, 'data/gpu-serving.csv'), 'utf8').trim().split('\n');
  const loops = new Map<string, ClosedLoop[]>();
  for (const line of lines) {
    const cells = line.split(',');
    const [inputTokens, outputTokens, concurrency, ttftMs, tpotMs] = cells.slice(6).map(Number);
    const key = cells.slice(0, 5).join(',');
    loops.set(key, [...loops.get(key) ?? [], {
      concurrency,
      inputTokens,
      outputTokens,
      ttftSeconds: ttftMs / 1e3,
      tpotSeconds: tpotMs / 1e3,
      shortestShare: cells[5] === 'inferencex' ? SHORTEST_SHARE : 1,
      promptWaitSteps: waitsForPrompts(cells) ? PROMPT_WAIT_STEPS : 0,
    }]);
  }
  return [...loops].map(([key, rows]) => {
    const [hardware, engine, modelId, weights, degree] = key.split(',');
    const chip = Hardware.accelerated(hardware)!.accelerator;
    const lowPrecision = weights !== 'bf16';
    // no row says how wide its cache is: checkpoints of 8 bit and fewer come with scales for one of 8 bit.
    const model = modelShape(ModelArchitecture.of(modelId).spec, Precision.bytesPerElement(weights), lowPrecision ? 1 : 2);
    const chips = Number(degree);
    const memoryBytes = chip.hbmBytes * chips;
    const kvCopies = Math.max(1, chips / model.kvShards);
    const longest = Math.max(...rows.map(({ inputTokens, outputTokens }) => inputTokens + outputTokens));
    const measured = {
      model,
      engine: {
        flopsPerSecond: chip.bf16FlopsPerSecond! * chips,
        memoryBytesPerSecond: chip.hbmBytesPerSecond * chips,
        memoryBytes,
        kvCopies,
        lowPrecision,
      },
      limits: {
        sequences: Infinity,
        stepTokens: STEP_TOKENS,
        kvTokens: longest * kvSlots(kvMemoryBytes(memoryBytes, USABLE_MEMORY, model.weightBytes, 0), kvCopies * kvBytes(model, longest)),
      },
      promptsAlone: engine === 'sglang',
      reservesOutput: engine === 'trtllm',
    };
    return {
      hardware,
      accelerator: chip.name,
      engine,
      configuration: new MeasuredConfiguration(measured, { prompts: [], steps: [], loops: rows, logs: [] }),
    };
  });
}

function waitsForPrompts([, engine, model, , degree, benchmark, inputTokens, outputTokens]: readonly string[]): boolean {
  return benchmark === 'inferencex' && engine === 'trtllm' && model.startsWith('llama') && Number(degree) < 8 && inputTokens === '1024' && outputTokens === '1024';
}
