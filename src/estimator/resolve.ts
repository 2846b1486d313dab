import { Hardware, WaferScaleSystem } from '../hardware';
import { ModelArchitecture, Precision } from '../model';
import { isCalibrated } from './calibration/calibrated-pools';
import { CoefficientSet, MeasuredCoefficients, setNamed, setOf, withMeasured } from './calibration/calibration';
import { Price, poolPrice } from './cost';
import { defaultTensorParallelDegree } from './defaults';
import { DecodeSpec, DeploymentSpec, PoolSpec } from './deployment-spec';
import { checkFits, configuredSequences, freeKvBytes, gib, slotsOf } from './kv-capacity';
import { machineOf } from './machine';
import { engineShape } from './phases/engine-shape';
import { kvMemoryBytes, kvSlots, kvTokenBytes } from './phases/memory';
import { modelShape } from './phases/model-shape';
import { paddedTokens } from './phases/prefill';
import { EngineShape, ModelShape, compiledFor, kvBytes } from './phases/shapes';
import { wafersForWeights } from './phases/wafer-decode';
import { ClassTable, KvLink, Plant, TokenPool, WaferReplicas } from './plant';
import { Refused } from './refused';

/** vLLM's default block size, https://docs.vllm.ai/en/stable/api/vllm/config/cache/, and the Neuron plugin's. */
const VLLM_BLOCK_TOKENS = 16;
const NEURON_BLOCK_TOKENS = 32;
/** Share of a wafer's memory for weights: the 70.6e9 parameters of 2 bytes that Cerebras serves on four CS-3 are 35.3 of 44 GB each, rounded up. */
const WAFER_WEIGHT_SHARE = 0.82;
/** Share of a wafer's memory for weights and KV cache together: an assumption. */
const WAFER_USABLE_SHARE = 0.95;

/**
 * A pool with its names, price and coefficients.
 */
export interface ResolvedPool {
  readonly hardware: string;
  readonly tensorParallelDegree: number;
  readonly set: CoefficientSet;
  readonly price?: Price;
  /** Compiled prompt lengths; empty where prompts are not padded or not read. */
  readonly promptBuckets: readonly number[];
}

/**
 * A deployment spec with everything looked up.
 */
export interface Resolved {
  readonly spec: DeploymentSpec;
  readonly plant: Plant;
  readonly prefill?: ResolvedPool;
  readonly decode: ResolvedPool;
}

/**
 * Looks up hardware, model, coefficients and defaults of a spec that `checkSpec` has passed.
 *
 * One engine is one copy of the model over `tensorParallelDegree` ranks, by default the largest divisor of the attention heads that fits its share of
 * the instance; an instance runs `enginesPerInstance` of them, by default as many as that degree fits into its ranks.
 *
 * Throws `Refused` where memory, sequence lengths, network or published figures do not allow an estimate.
 */
export function resolve(spec: DeploymentSpec): Resolved {
  const architecture = ModelArchitecture.fromSpec(spec.model);
  const weights = spec.precision?.weights ?? Precision.BF16;
  const model = modelShape(
    architecture.spec,
    Precision.bytesPerElement(weights),
    Precision.bytesPerElement(spec.precision?.kvCache ?? Precision.BF16),
  );
  const heads = architecture.spec.attentionHeads;
  const aggregated = spec.prefill === undefined;
  const baseOf = (pool: 'prefill' | 'decode') => isCalibrated(spec, pool) ? spec.calibration?.coefficientSet : undefined;
  const measured = measuredCoefficients(spec);

  const wafer = Hardware.wafer(spec.decode.hardware);
  const promptSpec = spec.prefill ?? spec.decode;
  if (spec.prefill?.maxConcurrentSequences !== undefined && spec.prefill.maxConcurrentSequences > 1) {
    throw new Refused({
      kind: 'unknown',
      stage: 'prefill',
      reason: 'no published measurement supports engines that read several prompts at once before they hand them on',
      mend: 'let prefill.maxConcurrentSequences be 1',
    });
  }
  const promptMachine = hbmMachine(promptSpec, aggregated ? 'aggregated' : 'prefill', heads, model, weights, baseOf(aggregated ? 'decode' : 'prefill'));
  const promptSet = withMeasured(promptMachine.set, measured.prefill);
  const stepTokens = spec.decode.maxBatchedTokens;
  if (stepTokens !== undefined && promptMachine.staticShapes) {
    throw new Refused({
      kind: 'unknown',
      stage: promptMachine.stage,
      reason: `no published measurement tells of steps on ${spec.decode.hardware} that read a part of a prompt and write tokens`,
      mend: 'leave decode.maxBatchedTokens out',
    });
  }
  const speculation = spec.decode.speculation && { ...spec.decode.speculation, draftStepShare: spec.decode.speculation.draftStepShare ?? 0 };
  const promptBuckets = bucketsOf(promptSpec, promptMachine, model);
  const classes = classTable(spec, promptBuckets, model);

  let decode: ResolvedPool;
  let pool: TokenPool;
  let tokenEfa: number | undefined;
  if (wafer !== undefined) {
    ({ decode, pool } = waferPool(spec.decode, wafer, model, classes, spec));
    tokenEfa = wafer.ioBytesPerSecondPerWafer * pool.wafers!;
  } else {
    const machine = aggregated ? promptMachine : hbmMachine(spec.decode, 'decode', heads, model, weights, baseOf('decode'));
    // aggregated: one pool, so coefficients given for either phase are of its accelerator
    const set = withMeasured(aggregated ? promptSet : machine.set, measured.decode);
    decode = {
      hardware: spec.decode.hardware,
      tensorParallelDegree: machine.tensorParallelDegree,
      set,
      price: poolPrice(spec.decode),
      promptBuckets: bucketsOf(spec.decode, machine, model),
    };
    const kvBlockTokens = blockTokensOf(spec.decode, machine);
    const { kvCopies: copies, stages } = machine.engine;
    const freeBytes = freeKvBytes(spec.decode, machine, model);
    const memory = { stage: machine.stage, freeBytes, copies, blockTokens: kvBlockTokens, growsByStep: stepTokens !== undefined };
    const slots = slotsOf(memory, configuredSequences(spec.decode, stages), model, classes);
    const { enginesPerInstance } = machine;
    const engine = compiledFor(machine.engine, model, Math.max(...spec.workload.lengthClasses.map((c) => c.inputTokens + c.outputTokens)));
    pool = { engine, enginesPerInstance, kvCopies: engine.kvCopies, stepTokens, speculation, kvBlockTokens, ...slots };
    tokenEfa = machine.efaBytesPerSecond;
  }
  if (aggregated) {
    return { spec, plant: { model, classes, arrivalScv: spec.workload.interarrivalScv ?? 1, decode: pool }, decode };
  }
  const freePrefill = freeKvBytes(promptSpec, promptMachine, model);
  checkFits({ stage: 'prefill', freeBytes: freePrefill, copies: promptMachine.engine.kvCopies }, model, classes.inputTokens);
  return {
    spec,
    plant: {
      model,
      classes,
      arrivalScv: spec.workload.interarrivalScv ?? 1,
      prefill: {
        engine: promptMachine.engine,
        enginesPerInstance: promptMachine.enginesPerInstance,
        kvMemoryBytes: freePrefill,
        kvBlockTokens: blockTokensOf(promptSpec, promptMachine),
      },
      link: kvLink(spec, model, promptMachine, tokenEfa, wafer !== undefined),
      decode: pool,
    },
    prefill: {
      hardware: promptSpec.hardware,
      tensorParallelDegree: promptMachine.tensorParallelDegree,
      set: promptSet,
      price: poolPrice(promptSpec),
      promptBuckets,
    },
    decode,
  };
}

function measuredCoefficients({ calibration }: DeploymentSpec): { readonly [pool in 'prefill' | 'decode']: MeasuredCoefficients } {
  const { prefill, prefillRelativeSigmas, prefillCorrelations, decode, decodeRelativeSigmas, decodeCorrelations, ...shared } = calibration ?? {};
  return {
    prefill: { values: prefill, relativeSigmas: prefillRelativeSigmas, correlations: prefillCorrelations, ...shared },
    decode: { values: decode, relativeSigmas: decodeRelativeSigmas, correlations: decodeCorrelations, ...shared },
  };
}

interface PoolMachine {
  readonly stage: string;
  readonly engine: EngineShape;
  readonly enginesPerInstance: number;
  readonly tensorParallelDegree: number;
  readonly set: CoefficientSet;
  readonly efaBytesPerSecond?: number;
  /** Neuron: prompts are padded to compiled lengths. */
  readonly staticShapes: boolean;
}

function hbmMachine(
  pool: PoolSpec, stage: string, heads: number, model: ModelShape, weights: string, base: string | undefined,
): PoolMachine {
  const { hardware } = pool;
  const type = machineOf(pool);
  if (type === undefined) {
    throw new Refused({
      kind: 'unknown',
      stage,
      reason: `nothing is published about reading prompts on ${hardware} in this setting`,
      mend: 'give a prefill pool of Trainium or GPU instances',
    });
  }
  const chip = type.accelerator;
  const set = base === undefined ? setOf(chip.name) : setNamed(base);
  const { ranks } = type;
  const { pipelineParallelDegree: stages = 1, dataParallelDegree = 1 } = pool;
  const most = Math.max(1, Math.floor(ranks / (stages * (pool.enginesPerInstance ?? dataParallelDegree))));
  const tensorParallelDegree = pool.tensorParallelDegree ?? defaultTensorParallelDegree(heads, most);
  const engine = engineShape(chip, tensorParallelDegree, model, weights, stages, dataParallelDegree);
  if (engine === undefined) {
    const missing = chip.bf16FlopsPerSecond === undefined ? 'the peak FLOP/s' : 'the bandwidth of the links';
    throw new Refused({
      kind: 'unknown',
      stage,
      reason: `no figure is published for ${missing} of ${chip.name}, the accelerator of ${hardware}, that sources agree on`,
      mend: 'use trn1, trn2, p5, p5en or p6-b200, whose figures are published',
    });
  }
  if (set === undefined) {
    throw new Refused({
      kind: 'unknown',
      stage,
      reason: `no published measurement supports coefficients for ${chip.name}, the accelerator of ${hardware}`,
      mend: 'use trn1, trn2, p5, p5en or p6-b200, or name a coefficient set in calibration.coefficientSet, such as unmeasured, and give measured coefficients',
    });
  }
  return {
    stage,
    set,
    tensorParallelDegree,
    // a batch in each stage: batches that pass the same stages in turn are as engines of their own
    enginesPerInstance: stages * (pool.enginesPerInstance ?? dataParallelDegree * Math.floor(most / tensorParallelDegree)),
    engine,
    efaBytesPerSecond: type.efaBytesPerSecond,
    staticShapes: chip.logicalNeuronCores !== undefined,
  };
}

function classTable(spec: DeploymentSpec, buckets: readonly number[], model: ModelShape): ClassTable {
  const { lengthClasses } = spec.workload;
  const column = (value: (index: number) => number) => Float64Array.from(lengthClasses, (_, index) => value(index));
  if (spec.prefill !== undefined) {
    // its engines write the first token only
    checkLongest(lengthClasses.map((c) => c.inputTokens + 1), spec.prefill, 'prefill', model);
  }
  checkLongest(lengthClasses.map((c) => c.inputTokens + c.outputTokens), spec.decode, spec.prefill === undefined ? 'aggregated' : 'decode', model);
  const sum = lengthClasses.reduce((total, c) => total + c.weight, 0);
  return {
    weights: column((i) => lengthClasses[i].weight / sum),
    inputTokens: column((i) => lengthClasses[i].inputTokens),
    cachedTokens: column((i) => lengthClasses[i].cachedInputTokens ?? 0),
    paddedTokens: column((i) => paddedTokens(lengthClasses[i].inputTokens - (lengthClasses[i].cachedInputTokens ?? 0), buckets)),
    // read in chunks, or in compiled lengths
    segmentTokens: spec.decode.maxBatchedTokens ?? buckets[buckets.length - 1] ?? Infinity,
    outputTokens: column((i) => lengthClasses[i].outputTokens),
  };
}

function checkLongest(sequenceTokens: number[], pool: PoolSpec, stage: string, model: ModelShape): void {
  const longest = sequenceTokens.reduce((most, tokens) => Math.max(most, tokens), 0);
  const limit = pool.maxSequenceTokens ?? model.maxContextTokens;
  if (longest > limit) {
    const given = pool.maxSequenceTokens !== undefined;
    throw new Refused({
      kind: 'infeasible',
      stage,
      reason: `the longest requests have ${Math.round(longest)} tokens and ${given ? 'the engines take' : 'the context of the model ends at'} ${limit}`,
      mend: `leave out requests that cannot be served, or ${given ? 'let the engines take longer sequences' : 'use a model with a longer context'}`,
    });
  }
}

// vLLM Neuron's default: powers of two from 128, and the longest prompt
function bucketsOf(
  { promptBuckets, maxSequenceTokens }: PoolSpec, { staticShapes }: PoolMachine, { maxContextTokens }: ModelShape,
): readonly number[] {
  if (promptBuckets !== undefined || !staticShapes) {
    return promptBuckets ?? [];
  }
  const longest = maxSequenceTokens ?? maxContextTokens;
  const buckets: number[] = [];
  for (let tokens = 128; tokens < longest; tokens *= 2) {
    buckets.push(tokens);
  }
  return [...buckets, longest];
}

function blockTokensOf({ kvBlockTokens }: PoolSpec, { staticShapes }: PoolMachine): number {
  return kvBlockTokens ?? (staticShapes ? NEURON_BLOCK_TOKENS : VLLM_BLOCK_TOKENS);
}

function waferPool(
  pool: DecodeSpec, wafer: WaferScaleSystem, model: ModelShape, classes: ClassTable, spec: DeploymentSpec,
): { decode: ResolvedPool; pool: WaferReplicas } {
  const set = setOf(wafer.name);
  if (set === undefined) {
    throw new Refused({
      kind: 'unknown',
      stage: 'decode',
      reason: `no stream speed of ${wafer.name} is published`,
      mend: 'use cs-3',
    });
  }
  const needed = wafersForWeights(model.weightBytes, wafer.sramBytesPerWafer * WAFER_WEIGHT_SHARE);
  const wafers = pool.wafersPerReplica ?? needed;
  if (wafers < needed) {
    throw new Refused({
      kind: 'infeasible',
      stage: 'decode',
      reason: `the weights take ${gib(model.weightBytes)}, which needs ${needed} wafers, and a replica has ${wafers}`,
      mend: `give at least ${needed} in decode.wafersPerReplica, or leave it out`,
    });
  }
  const free = (count: number) => pool.kvCacheTokens !== undefined ? pool.kvCacheTokens * kvTokenBytes(model)
    : kvMemoryBytes(wafer.sramBytesPerWafer * count, WAFER_USABLE_SHARE, model.weightBytes, 0);
  let count = wafers;
  let longest = 0;
  for (let i = 0; i < classes.weights.length; i++) {
    longest = Math.max(longest, kvBytes(model, classes.inputTokens[i] + classes.outputTokens[i]));
  }
  if (pool.wafersPerReplica === undefined) {
    // what the longest request needs beside the weights, and one more where rounding fell short.
    count = Math.max(count, Math.ceil((longest + model.weightBytes) / (wafer.sramBytesPerWafer * WAFER_USABLE_SHARE)));
    count += kvSlots(free(count), longest) < 1 ? 1 : 0;
  }
  // pipelined wafers hold as many streams as their memory does, unless the spec says fewer
  const blockTokens = pool.kvBlockTokens ?? 1;
  const memory = { stage: 'decode', freeBytes: free(count), copies: 1, blockTokens, growsByStep: false };
  const slots = slotsOf(memory, pool.maxConcurrentSequences ?? Number.MAX_SAFE_INTEGER, model, classes);
  return {
    decode: {
      hardware: pool.hardware,
      tensorParallelDegree: count,
      set: withMeasured(set, measuredCoefficients(spec).decode),
      price: poolPrice(pool),
      promptBuckets: [],
    },
    pool: {
      enginesPerInstance: 1,
      kvCopies: 1,
      kvBlockTokens: blockTokens,
      ...slots,
      wafers: count,
      tokenSeconds: pool.outputTokensPerSecondPerUser === undefined ? undefined : 1 / pool.outputTokensPerSecondPerUser,
    },
  };
}

function kvLink(spec: DeploymentSpec, model: ModelShape, prompt: PoolMachine, tokenEfa: number | undefined, wafer: boolean): KvLink {
  const overlapLayers = spec.link?.overlap === 'layerwise' ? model.layers : 1;
  const { bytesPerSecond: given, blockTokens, path } = spec.link ?? {};
  if (given !== undefined) {
    return { prefillBytesPerSecond: given, decodeBytesPerSecond: wafer ? tokenEfa! : Infinity, measured: true, overlapLayers, blockTokens };
  }
  const without = [[prompt.efaBytesPerSecond, spec.prefill!.hardware], [tokenEfa, spec.decode.hardware]].find(([rate]) => rate === undefined);
  if (without !== undefined) {
    throw new Refused({
      kind: 'infeasible',
      stage: 'kv-transfer',
      reason: `${without[1]} has no EFA, so the KV cache has no fast path from prefill to decode`,
      mend: 'use an instance type with EFA, serve aggregated, or give link.bytesPerSecond as measured',
    });
  }
  const staged = [spec.prefill!.hardware, spec.decode.hardware].find((name) => Hardware.accelerated(name)?.efa?.deviceDirectRdma === false);
  if (staged !== undefined && path !== 'host-staged') {
    throw new Refused({
      kind: 'infeasible',
      stage: 'kv-transfer',
      reason: `${staged} cannot move device memory over EFA directly`,
      mend: 'let link.path be host-staged, use a type that can, such as trn2.48xlarge, serve aggregated, or give link.bytesPerSecond as measured',
    });
  }
  const share = path === 'host-staged' ? 0.5 : 1;
  return {
    prefillBytesPerSecond: share * prompt.efaBytesPerSecond!, decodeBytesPerSecond: share * tokenEfa!, measured: false, overlapLayers, blockTokens,
  };
}
