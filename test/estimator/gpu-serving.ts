/**
 * Closed loops of GPU servers, as measured.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ClosedLoop, MeasuredConfiguration, MeasuredEngine } from '../../src/estimator/calibration/measurements';
import { DeploymentSpec } from '../../src/estimator/deployment-spec';
import { Coefficients } from '../../src/estimator/phases/coefficients';
import { engineShape } from '../../src/estimator/phases/engine-shape';
import { kvMemoryBytes, kvSlots } from '../../src/estimator/phases/memory';
import { kvSeconds } from '../../src/estimator/phases/mixed';
import { modelShape } from '../../src/estimator/phases/model-shape';
import { prefillAttentionFlops } from '../../src/estimator/phases/prefill';
import { multiplySeconds, weightReadSeconds } from '../../src/estimator/phases/roofline';
import { kvBytes, kvReadBytes } from '../../src/estimator/phases/shapes';
import { DEPLOYMENT_SCHEMA } from '../../src/estimator/spec-check';
import { Hardware } from '../../src/hardware';
import { ModelArchitecture, Precision } from '../../src/model';

/** The default of vLLM and SGLang on these GPUs, and of TensorRT-LLM. */
const STEP_TOKENS = 8192;

/** vLLM's default of `max_num_seqs` on these GPUs, more than any loop has clients. */
const MAX_SEQUENCES = 1024;

/** Shortest lengths of InferenceX's requests: `RANDOM_RANGE_RATIO` of its client. */
const SHORTEST_SHARE = 0.8;

/** `batch_wait_timeout_iters` of InferenceX's script for Llama on TensorRT-LLM, for prompts and answers of 1,024 on fewer than eight devices. */
const PROMPT_WAIT_STEPS = 20;

/** Requests that TensorRT-LLM 1.0 left waiting in runs of aiconfigurator, whatever their number: waits fall with concurrency as the time of an answer over it. */
const HELD_BACK = 1;

/** vLLM's default of `gpu_memory_utilization`. */
const USABLE_MEMORY = 0.9;

/** What was measured of one model at one precision and degree, on one device and engine. */
export interface GpuConfiguration {
  readonly hardware: string;
  readonly accelerator: string;
  readonly engine: string;
  /** The deployment that was measured, for estimates. */
  readonly deployment: Omit<DeploymentSpec, 'workload'>;
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
    const isQuantisedOnLoad = engine === 'sglang' && modelId === 'llama-3.1-8b';
    // no row says how wide its cache is: checkpoints of 8 bit and fewer come with scales for one of 8 bit.
    const kvCache = lowPrecision && !isQuantisedOnLoad ? Precision.FP8 : Precision.BF16;
    const model = modelShape(ModelArchitecture.of(modelId).spec, Precision.bytesPerElement(weights), Precision.bytesPerElement(kvCache));
    const shape = engineShape(chip, Number(degree), model, weights)!;
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
    // what answers faster than it could by the peaks of its device has not read its prompts but had them in a cache.
    if (rows.some((row) => secondsARequest(row) < leastSecondsARequest(row, measured))) {
      return [];
    }
    return [{
      hardware,
      accelerator: chip.name,
      engine,
      deployment: {
        schema: DEPLOYMENT_SCHEMA,
        model: { id: modelId },
        precision: { weights, kvCache },
        decode: {
          hardware,
          instances: 1,
          tensorParallelDegree: Number(degree),
          enginesPerInstance: 1,
          maxConcurrentSequences: MAX_SEQUENCES,
          maxBatchedTokens: STEP_TOKENS,
        },
      },
      configuration: new MeasuredConfiguration(measured, { prompts: [], steps: [], loops: rows, logs: [] }),
    }];
  });
}

/** Time of the engine for each request of a loop. */
function secondsARequest({ concurrency, outputTokens, ttftSeconds, tpotSeconds = 0, shortestShare = 1 }: ClosedLoop): number {
  return (ttftSeconds + (outputTokens * (1 + shortestShare) / 2 - 1) * tpotSeconds) / concurrency;
}

/** The same at the peaks of the device: to multiply every token, read what each attends to, and read the weights in steps that read no prompt. */
function leastSecondsARequest({ concurrency, shortestShare = 1, ...loop }: ClosedLoop, { model, engine }: MeasuredEngine): number {
  const [inputTokens, outputTokens] = [loop.inputTokens, loop.outputTokens].map((tokens) => tokens * (1 + shortestShare) / 2);
  const peak = new Coefficients();
  peak.lowPrecisionGain = 2;
  const multiply = multiplySeconds(model, engine, peak, inputTokens + outputTokens, outputTokens);
  const attention = prefillAttentionFlops(model, inputTokens, 0) / engine.flopsPerSecond / 2 ** engine.peakDoublings;
  const steps = Math.max(0, (outputTokens - 1) / concurrency - 1);
  return multiply + attention + outputTokens * kvSeconds(engine, peak, kvReadBytes(model, inputTokens + outputTokens / 2))
    + steps * weightReadSeconds(model, engine, peak, concurrency);
}

/** Runs of SGLang 0.5.1: waits grow with concurrency as where every request comes with all others. */
function staysInStep([hardware, engine]: readonly string[]): boolean {
  return hardware === 'p5.48xlarge' && engine === 'sglang';
}

function waitsForPrompts([, engine, model, , degree, benchmark, inputTokens, outputTokens]: readonly string[]): boolean {
  return benchmark === 'inferencex' && engine === 'trtllm' && model.startsWith('llama') && Number(degree) < 8 && inputTokens === '1024' && outputTokens === '1024';
}
