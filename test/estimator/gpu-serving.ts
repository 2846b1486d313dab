/**
 * Closed loops of GPU servers, as measured.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ClosedLoop, MeasuredConfiguration } from '../../src/estimator/calibration/measurements';
import { engineShape } from '../../src/estimator/phases/engine-shape';
import { kvMemoryBytes, kvSlots } from '../../src/estimator/phases/memory';
import { modelShape } from '../../src/estimator/phases/model-shape';
import { prefillAttentionFlops } from '../../src/estimator/phases/prefill';
import { ModelShape, kvBytes } from '../../src/estimator/phases/shapes';
import { Hardware } from '../../src/hardware';
import { ModelArchitecture, Precision } from '../../src/model';

/** The default of vLLM and SGLang on these GPUs, and of TensorRT-LLM. */
const STEP_TOKENS = 8192;

/** Shortest lengths of InferenceX's requests: `RANDOM_RANGE_RATIO` of its client. */
const SHORTEST_SHARE = 0.8;

/** `batch_wait_timeout_iters` of InferenceX's script for Llama on TensorRT-LLM, for prompts and answers of 1,024 on fewer than eight devices. */
const PROMPT_WAIT_STEPS = 20;

/** Requests that TensorRT-LLM 1.0 left waiting in runs of aiconfigurator, whatever their number: waits fall with concurrency as the time of an answer over it. */
const HELD_BACK = 1;

/** vLLM's default of `gpu_memory_utilization`. */
const USABLE_MEMORY = 0.9;

/**
 * What answers faster than at this share of the peak has not read its prompts but had them in a cache: projections of 8 bit reach 0.59 in kernel tables, the
 * fastest loop but those of one configuration needs 0.48, and that one 0.9.
 */
const HIGHEST_SHARE_OF_PEAK = 0.6;

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
      shortestShare: cells[5] === 'inferencex' ? SHORTEST_SHARE : staysInStep(cells) ? 1 : undefined,
      promptWaitSteps: waitsForPrompts(cells) ? PROMPT_WAIT_STEPS : 0,
      heldBack: cells[1] === 'trtllm' && cells[5] === 'aiconfigurator' ? HELD_BACK : 0,
    }]);
  }
  return [...loops].flatMap(([key, rows]): GpuConfiguration[] => {
    const [hardware, engine, modelId, weights, degree] = key.split(',');
    const chip = Hardware.accelerated(hardware)!.accelerator;
    const lowPrecision = weights !== 'bf16';
    // no row says how wide its cache is: checkpoints of 8 bit and fewer come with scales for one of 8 bit.
    const model = modelShape(ModelArchitecture.of(modelId).spec, Precision.bytesPerElement(weights), lowPrecision ? 1 : 2);
    const shape = engineShape(chip, Number(degree), model, lowPrecision)!;
    const longest = Math.max(...rows.map(({ inputTokens, outputTokens }) => inputTokens + outputTokens));
    const measured = {
      model,
      engine: shape,
      limits: {
        sequences: Infinity,
        stepTokens: STEP_TOKENS,
        blockTokens: 16,
        kvTokens: longest * kvSlots(kvMemoryBytes(shape.memoryBytes, USABLE_MEMORY, model.weightBytes, 0), shape.kvCopies * kvBytes(model, longest)),
      },
      promptsAlone: engine === 'sglang',
      reservesOutput: engine === 'trtllm',
    };
    const peakFlops = shape.flopsPerSecond * (lowPrecision ? chip.fp8FlopsPerSecond! / chip.bf16FlopsPerSecond! : 1);
    if (rows.some((row) => flopsPerSecond(row, model) > HIGHEST_SHARE_OF_PEAK * peakFlops)) {
      return [];
    }
    return [{
      hardware,
      accelerator: chip.name,
      engine,
      configuration: new MeasuredConfiguration(measured, { prompts: [], steps: [], loops: rows, logs: [] }),
    }];
  });
}

/** What a loop multiplies if every prompt is read. */
function flopsPerSecond(loop: ClosedLoop, model: ModelShape): number {
  const { concurrency, inputTokens, outputTokens, ttftSeconds, tpotSeconds = 0, shortestShare = 1 } = loop;
  const share = (1 + shortestShare) / 2;
  const flops = (inputTokens + outputTokens) * share * model.denseFlopsPerToken + prefillAttentionFlops(model, inputTokens * share, 0);
  return flops * concurrency / (ttftSeconds + (outputTokens - 1) * share * tpotSeconds);
}

/** Runs of SGLang 0.5.1: waits grow with concurrency as where every request comes with all others. */
function staysInStep([hardware, engine]: readonly string[]): boolean {
  return hardware === 'p5.48xlarge' && engine === 'sglang';
}

function waitsForPrompts([, engine, model, , degree, benchmark, inputTokens, outputTokens]: readonly string[]): boolean {
  return benchmark === 'inferencex' && engine === 'trtllm' && model.startsWith('llama') && Number(degree) < 8 && inputTokens === '1024' && outputTokens === '1024';
}
