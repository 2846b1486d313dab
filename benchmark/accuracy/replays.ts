import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GPU_START } from './gpu-start';
import { calibrate } from '../../src/estimator/calibration/calibrate';
import { halves } from '../../src/estimator/calibration/held-out';
import { engineOfSpec } from '../../src/estimator/calibration/measured-engine';
import { Compared, LoggedRequest, MeasuredConfiguration, MeasuredEngine, Measurements } from '../../src/estimator/calibration/measurements';
import { Score, mean, score } from '../../src/estimator/calibration/score';
import { DeploymentSpec } from '../../src/estimator/deployment-spec';
import { Coefficients } from '../../src/estimator/phases/coefficients';
import { kvTokens } from '../../src/estimator/phases/memory';
import { modelShape } from '../../src/estimator/phases/model-shape';
import { ModelArchitecture } from '../../src/model';

/** Measured times beside what is predicted of them. */
export interface Scored {
  readonly meanSeconds: { readonly [metric in Compared['metric']]: { readonly measured: number; readonly predicted: number } };
  readonly scores: { readonly [metric in Compared['metric']]: Score };
}

/** A run of a real engine, request by request, beside its replay. */
export interface ReplayScore extends Scored {
  readonly name: string;
  /** What the coefficients were fitted to. */
  readonly fittedTo: string;
  readonly requests: number;
  /** What the same engine says of the run otherwise, where it was measured unloaded. */
  readonly bounds?: ReplayBounds;
}

/** What of a replay's errors is not of how the model takes requests together. */
export interface ReplayBounds {
  /** With coefficients that are fitted to the run itself. */
  readonly own: Scored;
  /** Of requests that met no other in the engine, by coefficients of the engine unloaded. */
  readonly alone: Scored;
}

/** Measurements that users try `calibrate` with, from those of the tests. */
const EXAMPLES = '../../../examples/measurements';

const NOTHING: Measurements = { prompts: [], steps: [], loops: [], logs: [] };

/** Times of the logs begin in the engine, so nothing passes before it. */
const LOG_START = Object.assign(new Coefficients(), GPU_START, { gatewaySeconds: 0 });

const QWEN3_32B = modelShape(ModelArchitecture.of('qwen3-32b').spec, 2, 2);

const RTX_PRO_6000_PAIR_BYTES = 2 * 96e9;

/** An engine that serves a Llama of 185 million random weights on one core of a CPU, as users describe theirs: the core's peaks are round, and shares of them fitted. */
const { $schema, ...spec } = JSON.parse(readFileSync(join(__dirname, '../../examples/specs/llama-185m-cpu.json'), 'utf8'));
export const SMALL_LLAMA_SPEC: DeploymentSpec = spec;
export const SMALL_LLAMA_ON_A_CORE = engineOfSpec(SMALL_LLAMA_SPEC, 'decode', 2048);

/** Requests a second of the runs on the slower CPU, the last of which are nearly all that this engine can serve, or more. */
const RATES = ['0.5', '1.25', '2'];

/** Runs of that engine by `benchmark/cpu-engine.ts`: where, the file of the same engine unloaded, and the file of each run by its rate. */
export const CPU_RUNS: readonly (readonly [string, string, readonly (readonly [string, string])[]])[] = [
  ['one CPU core', `${EXAMPLES}/llama-185m-cpu-unloaded.jsonl`, [['1', `${EXAMPLES}/llama-185m-cpu-1-per-second.jsonl`]]],
  ['one core of a slower CPU', 'vllm-cpu-2-unloaded.jsonl', RATES.map((rate) => [rate, `vllm-cpu-2-poisson-${rate}.jsonl`])],
  ['the same, measured between runs', 'vllm-cpu-3-unloaded.jsonl', RATES.map((rate) => [rate, `vllm-cpu-3-poisson-${rate}.jsonl`])],
];

/** Accuracy of replays. */
export function replayScores(): ReplayScore[] {
  return [
    firstToSecond('Llama-3.1-8B, vLLM 0.19, RTX 4090', 'vllm-rtx-4090.jsonl', {
      model: modelShape(ModelArchitecture.of('llama-3.1-8b').spec, 2, 2),
      engine: {
        flopsPerSecond: 165e12,
        memoryBytesPerSecond: 1.008e12,
        memoryBytes: 24e9,
        ranks: 1,
        chips: 1,
        stages: 1,
        expertSharers: 1,
        linkBytesPerSecond: 0,
        kvCopies: 1,
        serialKvHeads: 1,
        contextLayerTokens: 0,
        expertPasses: 0,
        peakDoublings: 0,
      },
      // its log: 2,588 blocks of 16 tokens.
      limits: { sequences: 256, stepTokens: 2048, blockTokens: 16, kvTokens: 41_408 },
    }),
    firstToSecond('Qwen3-32B, vLLM 0.19, 2 x RTX PRO 6000', 'vllm-rtx-pro-6000.jsonl', {
      model: QWEN3_32B,
      engine: {
        flopsPerSecond: 2 * 252e12,
        memoryBytesPerSecond: 2 * 1.792e12,
        memoryBytes: RTX_PRO_6000_PAIR_BYTES,
        ranks: 2,
        chips: 2,
        // PCI Express 5.0, 16 lanes: these cards have no NVLink.
        linkBytesPerSecond: 64e9,
        stages: 1,
        expertSharers: 1,
        kvCopies: 1,
        serialKvHeads: 1,
        contextLayerTokens: 0,
        expertPasses: 0,
        peakDoublings: 0,
      },
      // vLLM's default: nine tenths of the memory, less the weights.
      limits: {
        sequences: 128,
        stepTokens: 2048,
        blockTokens: 16,
        kvTokens: kvTokens(QWEN3_32B, 0.9 * RTX_PRO_6000_PAIR_BYTES - QWEN3_32B.weightBytes),
      },
    }),
    ...CPU_RUNS.flatMap(([processor, unloaded, runs]) => unloadedToLoaded(processor, unloaded, runs)),
  ];
}

// of the second half, only when requests came and how long they are is used to fit: the first half shares the engine with it.
function firstToSecond(name: string, file: string, engine: MeasuredEngine): ReplayScore {
  const log = lines<LoggedRequest>(file);
  const [first, second] = halves(log).map((half) => new MeasuredConfiguration(engine, { ...NOTHING, logs: [half] }));
  const { coefficients } = calibrate(LOG_START, [first]);
  const compared = scored(second.compare(coefficients));
  return { name, fittedTo: `the first ${log.length / 2} of its ${log.length} requests`, requests: compared.scores.ttft.count, ...compared };
}

/** Replays of runs at some rates of arrival, by coefficients that are fitted to the same engine unloaded. */
function unloadedToLoaded(processor: string, unloaded: string, runs: readonly (readonly [string, string])[]): ReplayScore[] {
  const measurements = unloadedMeasurements(unloaded);
  const k = calibrate(SMALL_LLAMA_ON_A_CORE.start, [new MeasuredConfiguration(SMALL_LLAMA_ON_A_CORE, measurements)]).coefficients;
  return runs.map(([requestsPerSecond, file]) => {
    const log = lines<LoggedRequest>(file);
    const name = runName(processor, requestsPerSecond);
    const run = new MeasuredConfiguration(SMALL_LLAMA_ON_A_CORE, { ...NOTHING, logs: [log] });
    const own = scored(run.compare(calibrate(k, [run]).coefficients));
    const alone = scored(new MeasuredConfiguration(SMALL_LLAMA_ON_A_CORE, ofThoseAlone(log)).compare(k));
    return { name, fittedTo: `${measurements.prompts.length + measurements.steps.length} unloaded prompts and decode steps`, requests: log.length, ...scored(run.compare(k)), bounds: { own, alone } };
  });
}

export function runName(processor: string, requestsPerSecond: string): string {
  return `Llama of 185 M, vLLM 0.32, ${processor}, ${requestsPerSecond} request${requestsPerSecond === '1' ? '' : 's'}/s`;
}

/** What was measured of an unloaded engine. */
export function unloadedMeasurements(file: string): Measurements {
  const rows = lines<any>(file);
  return { ...NOTHING, prompts: rows.filter((row) => row.ttftSeconds), steps: rows.filter((row) => row.stepSeconds) };
}

/** The requests of a run that met no other, as prompts and steps of an unloaded engine. */
function ofThoseAlone(log: readonly LoggedRequest[]): Measurements {
  const end = ({ arrivalSeconds, endToEndSeconds = 0 }: LoggedRequest) => arrivalSeconds + endToEndSeconds;
  const alone = log.filter((one) => log.every((other) => other === one || end(other) < one.arrivalSeconds || other.arrivalSeconds > end(one)));
  return {
    ...NOTHING,
    prompts: alone.map(({ inputTokens, ttftSeconds }) => ({ inputTokens, ttftSeconds: ttftSeconds! })),
    steps: alone.map(({ inputTokens, outputTokens, ttftSeconds, endToEndSeconds }) => (
      { sequences: 1, contextTokens: inputTokens + outputTokens / 2, stepSeconds: (endToEndSeconds! - ttftSeconds!) / (outputTokens - 1) })),
  };
}

/** Scores of each metric. */
export function scored(compared: readonly Compared[]): Scored {
  const [ttft, tpot] = (['ttft', 'tpot'] as const).map((metric) => compared.filter((one) => one.metric === metric));
  const means = (of: readonly Compared[]) => (
    { measured: mean(of.map(({ measured }) => measured)), predicted: mean(of.map(({ predicted }) => predicted)) });
  return {
    meanSeconds: { ttft: means(ttft), tpot: means(tpot) },
    scores: { ttft: score(ttft), tpot: score(tpot) },
  };
}

/** The records of a file of measurements. */
export function lines<T>(file: string): T[] {
  return readFileSync(join(__dirname, '../../test/estimator/data', file), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as T);
}
