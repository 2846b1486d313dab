import { Hardware } from '../hardware';
import { ArchitectureSpec, ModelArchitecture, Precision } from '../model';
import { Problem, Problems, ProblemsError, shown } from '../problems';
import { ServiceLevelObjective, Workload } from '../workload';
import { foreignCalibrationProblems } from './calibration/calibrated-pools';
import { COEFFICIENT_SETS, correlationProblems, heldOutProblems, measuredProblems, predictionSigmaProblems, sigmaProblems } from './calibration/calibration';
import { PURCHASE_OPTIONS } from './cost';
import { DecodeSpec, DeploymentSpec, SpeculationSpec, PoolSpec } from './deployment-spec';
import { machineOf } from './machine';

/** The version of the deployment spec that is read. */
export const DEPLOYMENT_SCHEMA = 'cdk-disaggregated-inference/deployment-spec/v1';

const OVERLAPS = ['layerwise', 'after-prefill'];
const PATHS = ['device-direct', 'host-staged'];

/** Beyond any draft in use. */
const MAX_DRAFT_TOKENS = 128;

/** Growth beyond this is another workload. */
const MAX_GROWTH = 100;

/**
 * Throws a `ProblemsError` with everything that is wrong with a deployment spec.
 */
export function checkSpec(spec: DeploymentSpec): void {
  Problems.throwIfAny(specProblems(spec));
}

/**
 * Everything that is wrong with a deployment spec, with JSON paths.
 */
export function specProblems(spec: DeploymentSpec): Problem[] {
  const problems: Problem[] = [];
  if (spec === null || typeof spec !== 'object') {
    return [{ rule: 'SpecNotAnObject', path: 'spec', value: shown(spec), message: 'the spec is not an object', mend: 'give a deployment spec' }];
  }
  if (spec.schema !== DEPLOYMENT_SCHEMA) {
    problems.push({
      rule: 'SpecSchemaUnknown',
      path: 'schema',
      value: shown(spec.schema),
      message: 'the version of the spec is not one that can be read',
      mend: `give ${JSON.stringify(DEPLOYMENT_SCHEMA)}`,
    });
  }
  let model: ArchitectureSpec | undefined;
  part(problems, spec.model, 'model', true, (value) => {
    model = ModelArchitecture.fromSpec(value).spec;
  });
  part(problems, spec.precision, 'precision', false, (precision) => {
    precisionProblems(problems, precision.weights, 'precision.weights');
    precisionProblems(problems, precision.kvCache, 'precision.kvCache');
  });
  part(problems, spec.workload, 'workload', true, (value) => Workload.fromSpec(value, 'workload'));
  part(problems, spec.objective, 'objective', false, (value) => ServiceLevelObjective.fromSpec(value, 'objective'));
  part(problems, spec.headroom, 'headroom', false, ({ growth, spareInstances }) => {
    if (growth !== undefined && !(typeof growth === 'number' && growth >= 0 && growth <= MAX_GROWTH)) {
      problems.push({
        rule: 'GrowthOutOfRange',
        path: 'headroom.growth',
        value: shown(growth),
        message: `this is not a share from 0 to ${MAX_GROWTH}`,
        mend: 'give 0.2 for a rate that is a fifth higher',
      });
    }
    if (spareInstances !== undefined && spareInstances !== 0) {
      numberProblem(problems, spareInstances, 'headroom.spareInstances', true, 'give a whole number, such as 1 for N+1, or leave it out');
    }
  });
  part(problems, spec.prefill, 'prefill', false, (pool) => {
    poolProblems(problems, pool, 'prefill', model);
    plannedProblems(problems, pool, 'prefill', spec);
  });
  part(problems, spec.link, 'link', false, (link) => {
    numberProblem(problems, link.bytesPerSecond, 'link.bytesPerSecond', false, 'give bytes per second');
    numberProblem(problems, link.blockTokens, 'link.blockTokens', true, 'give tokens, such as 128, or leave it out');
    if (link.path !== undefined && !PATHS.includes(link.path)) {
      problems.push({
        rule: 'LinkPathUnknown',
        path: 'link.path',
        value: shown(link.path),
        message: 'the path is not known',
        mend: `use one of ${PATHS.join(', ')}`,
      });
    }
    if (link.overlap !== undefined && !OVERLAPS.includes(link.overlap)) {
      problems.push({
        rule: 'LinkOverlapUnknown',
        path: 'link.overlap',
        value: shown(link.overlap),
        message: 'the overlap is not known',
        mend: `use one of ${OVERLAPS.join(', ')}`,
      });
    }
  });
  if (spec.link !== undefined && spec.prefill === undefined) {
    problems.push({
      rule: 'LinkWithoutPrefill',
      path: 'link',
      value: shown(spec.link),
      message: 'nothing is sent over it, as there is no prefill pool',
      mend: 'leave it out, or give a prefill pool',
    });
  }
  part(problems, spec.decode, 'decode', true, (pool) => {
    poolProblems(problems, pool, 'decode', model);
    plannedProblems(problems, pool, 'decode', spec);
    chunkProblems(problems, spec);
    part(problems, pool.speculation, 'decode.speculation', false, (speculation) => speculationProblems(problems, speculation, pool));
    waferProblems(problems, pool);
  });
  part(problems, spec.calibration, 'calibration', false, (calibration) => {
    if (calibration.coefficientSet !== undefined && !COEFFICIENT_SETS.includes(calibration.coefficientSet)) {
      problems.push({
        rule: 'CoefficientSetUnknown',
        path: 'calibration.coefficientSet',
        value: shown(calibration.coefficientSet),
        message: 'there is no coefficient set of this name',
        mend: `use one of ${COEFFICIENT_SETS.join(', ')}`,
      });
    }
    problems.push(...foreignCalibrationProblems(spec));
    for (const pool of ['prefill', 'decode'] as const) {
      const [sigmas, correlations] = [`${pool}RelativeSigmas`, `${pool}Correlations`] as const;
      problems.push(
        ...measuredProblems(calibration[pool], `calibration.${pool}`),
        ...sigmaProblems(calibration[sigmas], calibration[pool], `calibration.${sigmas}`),
        ...correlationProblems(calibration[correlations], calibration[pool], `calibration.${correlations}`),
      );
    }
    for (const spread of ['ttftRelativeSigma', 'tpotRelativeSigma'] as const) {
      problems.push(...predictionSigmaProblems(calibration[spread], `calibration.${spread}`));
    }
    for (const heldOut of ['ttftHeldOut', 'tpotHeldOut'] as const) {
      problems.push(...heldOutProblems(calibration[heldOut], `calibration.${heldOut}`));
    }
  });
  return problems;
}

// a part of the spec: missing, not an object, or checked by the room that owns it
function part<T>(problems: Problem[], value: T | undefined, path: string, required: boolean, check: (value: T) => void): void {
  if (value === undefined && !required) {
    return;
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    problems.push({
      rule: value === undefined ? 'SpecPartMissing' : 'SpecPartNotAnObject',
      path,
      value: value === undefined ? undefined : shown(value),
      message: value === undefined ? 'this part of the spec is missing' : 'this part of the spec is not an object',
      mend: 'give it as an object',
    });
    return;
  }
  try {
    check(value);
  } catch (error) {
    if (!(error instanceof ProblemsError)) {
      throw error;
    }
    problems.push(...error.problems);
  }
}

function precisionProblems(problems: Problem[], value: string | undefined, path: string): void {
  if (value !== undefined && !Precision.all().includes(value)) {
    problems.push({
      rule: 'PrecisionUnknown', path, value: shown(value), message: 'there is no number format of this name', mend: `use one of ${Precision.all().join(', ')}`,
    });
  }
}

function poolProblems(problems: Problem[], pool: PoolSpec, path: string, model: ArchitectureSpec | undefined): void {
  const contextTokens = model?.maxContextTokens ?? Infinity;
  if (pool.accelerator !== undefined) {
    acceleratorProblems(problems, pool, path);
  } else if (typeof pool.hardware !== 'string' || !Hardware.names().includes(pool.hardware)) {
    const nearest = Hardware.nearest(String(pool.hardware));
    problems.push({
      rule: 'HardwareUnknown',
      path: `${path}.hardware`,
      value: shown(pool.hardware),
      message: 'there is no hardware of this name',
      mend: `use ${(nearest.length > 0 ? nearest : Hardware.names()).join(', ')}`,
    });
  }
  numberProblem(problems, pool.instances, `${path}.instances`, true, 'give a whole number from 1, or leave it out to have it planned');
  const wholes = ['tensorParallelDegree', 'pipelineParallelDegree', 'dataParallelDegree', 'enginesPerInstance', 'maxConcurrentSequences', 'maxSequenceTokens'] as const;
  wholes.forEach((name) => numberProblem(problems, pool[name], `${path}.${name}`, true, 'give a whole number from 1, or leave it out'));
  if (isCount(pool.maxSequenceTokens) && pool.maxSequenceTokens > contextTokens) {
    problems.push({
      rule: 'MaxSequenceBeyondContext',
      path: `${path}.maxSequenceTokens`,
      value: shown(pool.maxSequenceTokens),
      message: `the context of the model ends at ${contextTokens} tokens`,
      mend: `give at most ${contextTokens}`,
    });
  }
  if (pool.purchaseOption !== undefined && !PURCHASE_OPTIONS.includes(pool.purchaseOption)) {
    problems.push({
      rule: 'PurchaseOptionUnknown',
      path: `${path}.purchaseOption`,
      value: shown(pool.purchaseOption),
      message: 'there is no purchase option of this name',
      mend: `use one of ${PURCHASE_OPTIONS.join(', ')}, or leave it out`,
    });
  }
  numberProblem(problems, pool.kvBlockTokens, `${path}.kvBlockTokens`, true, 'give tokens, such as 16, or leave it out');
  numberProblem(problems, pool.kvCacheTokens, `${path}.kvCacheTokens`, false, 'give tokens, such as 1000000, or leave it out');
  numberProblem(problems, pool.usdPerInstanceHour, `${path}.usdPerInstanceHour`, false, 'give USD per hour, or leave it out');
  const known = machineOf(pool)?.ranks;
  const ranks = isCount(known) ? known : undefined;
  if (ranks !== undefined && isCount(pool.tensorParallelDegree) && pool.tensorParallelDegree > ranks) {
    problems.push({
      rule: 'TensorParallelDegreeTooHigh',
      path: `${path}.tensorParallelDegree`,
      value: shown(pool.tensorParallelDegree),
      message: `one ${pool.hardware} has ${ranks} logical cores or chips`,
      mend: `give at most ${ranks}`,
    });
  }
  const { pipelineParallelDegree: stages = 1, dataParallelDegree: sharers = 1 } = pool;
  const engines = pool.enginesPerInstance ?? sharers;
  const engineRanks = engines * stages * (pool.tensorParallelDegree ?? 1);
  if (ranks !== undefined && [engines, stages, sharers].every(isCount) && engineRanks > ranks && !(pool.tensorParallelDegree! > ranks)) {
    const name = (['enginesPerInstance', 'dataParallelDegree', 'pipelineParallelDegree'] as const).find((given) => pool[given] !== undefined)!;
    problems.push({
      rule: 'EnginesPerInstanceTooMany',
      path: `${path}.${name}`,
      value: shown(pool[name]),
      message: `the engines need ${engineRanks} logical cores or chips, and one ${pool.hardware} has ${ranks}`,
      mend: 'give fewer engines or lower degrees',
    });
  }
  if (isCount(sharers) && sharers > 1 && model !== undefined && model.moe === undefined) {
    problems.push({
      rule: 'DataParallelWithoutExperts',
      path: `${path}.dataParallelDegree`,
      value: shown(sharers),
      message: 'the model has no routed experts that engines could share',
      mend: 'leave it out: engines of an instance are given by enginesPerInstance',
    });
  } else if (isCount(sharers) && isCount(engines) && engines % sharers !== 0) {
    problems.push({
      rule: 'EnginesShareUnevenly',
      path: `${path}.enginesPerInstance`,
      value: shown(engines),
      message: `${sharers} engines share experts, and ${engines} are no whole number of such groups`,
      mend: `give a multiple of ${sharers}`,
    });
  }
  const buckets: unknown = pool.promptBuckets;
  if (buckets !== undefined) {
    const ok = Array.isArray(buckets) && buckets.length > 0 && buckets.every((bucket, i) => isCount(bucket) && (i === 0 || bucket > buckets[i - 1]));
    if (!ok) {
      problems.push({
        rule: 'PromptBucketsNotAscending',
        path: `${path}.promptBuckets`,
        value: shown(buckets),
        message: 'the buckets are not ascending whole numbers of tokens',
        mend: 'give compiled prompt lengths such as [512, 2048, 8192]',
      });
    }
  }
}

/** What is wrong with hardware that the spec gives the figures of. */
function acceleratorProblems(problems: Problem[], { hardware, accelerator }: PoolSpec, path: string): void {
  if (typeof hardware !== 'string' || hardware === '' || Hardware.names().includes(hardware)) {
    problems.push({
      rule: 'HardwareNameTaken',
      path: `${path}.hardware`,
      value: shown(hardware),
      message: 'hardware whose figures the spec gives needs a name that no other has',
      mend: `give a name of your own, or leave ${path}.accelerator out`,
    });
  }
  part(problems, accelerator, `${path}.accelerator`, true, ({ count, bf16FlopsPerSecond, hbmBytes, hbmBytesPerSecond, linkBytesPerSecond }) => {
    numberProblem(problems, count, `${path}.accelerator.count`, true, 'give a whole number from 1, or leave it out');
    for (const [name, value] of Object.entries({ bf16FlopsPerSecond, hbmBytes, hbmBytesPerSecond })) {
      numberProblem(problems, value ?? NaN, `${path}.accelerator.${name}`, false, 'give what its maker states, or what was measured at best');
    }
    numberProblem(problems, linkBytesPerSecond, `${path}.accelerator.linkBytesPerSecond`, false, 'give bytes per second, or leave it out');
  });
}

function plannedProblems(problems: Problem[], pool: PoolSpec, path: string, { objective }: DeploymentSpec): void {
  if (pool.instances === undefined && objective === undefined) {
    problems.push({
      rule: 'CountWithoutObjective',
      path: `${path}.instances`,
      message: 'the count is to be planned, but nothing is promised that it could be planned for',
      mend: 'give the count, or an objective',
    });
  }
}

function chunkProblems(problems: Problem[], { decode, prefill }: DeploymentSpec): void {
  numberProblem(problems, decode.maxBatchedTokens, 'decode.maxBatchedTokens', true, 'give a whole number from 1, or leave it out');
  const instead = prefill !== undefined ? 'a prefill pool reads the prompts' : decode.promptBuckets !== undefined ? 'prompts are padded to compiled lengths' : undefined;
  if (decode.maxBatchedTokens !== undefined && instead !== undefined) {
    problems.push({
      rule: 'ChunkedPrefillElsewhere',
      path: 'decode.maxBatchedTokens',
      value: shown(decode.maxBatchedTokens),
      message: `no step reads a part of a prompt and writes tokens: ${instead}`,
      mend: 'leave it out',
    });
  }
}

function speculationProblems(problems: Problem[], { draftTokens, acceptanceRate, draftStepShare = 0 }: SpeculationSpec, pool: DecodeSpec): void {
  if (!(Number.isInteger(draftTokens) && draftTokens >= 1 && draftTokens <= MAX_DRAFT_TOKENS)) {
    problems.push({
      rule: 'SpeculationDraftOutOfRange',
      path: 'decode.speculation.draftTokens',
      value: shown(draftTokens),
      message: `this is not a whole number from 1 to ${MAX_DRAFT_TOKENS}`,
      mend: 'give such a number, such as 3',
    });
  }
  for (const [name, value, most] of [['acceptanceRate', acceptanceRate, 1], ['draftStepShare', draftStepShare, 10]] as const) {
    if (!(typeof value === 'number' && value >= 0 && value <= most)) {
      problems.push({
        rule: 'SpeculationShareOutOfRange',
        path: `decode.speculation.${name}`,
        value: shown(value),
        message: `this is not a number from 0 to ${most}`,
        mend: 'give such a number',
      });
    }
  }
  const instead = pool.maxBatchedTokens !== undefined ? 'steps that read prompts in chunks are not simulated with drafts'
    : typeof pool.hardware === 'string' && Hardware.wafer(pool.hardware) !== undefined ? 'published speeds of wafers have it in them' : undefined;
  if (instead !== undefined) {
    problems.push({ rule: 'SpeculationElsewhere', path: 'decode.speculation', value: shown(pool.speculation), message: instead, mend: 'leave it out' });
  }
}

function waferProblems(problems: Problem[], pool: DecodeSpec): void {
  numberProblem(problems, pool.wafersPerReplica, 'decode.wafersPerReplica', true, 'give a whole number from 1, or leave it out');
  numberProblem(problems, pool.outputTokensPerSecondPerUser, 'decode.outputTokensPerSecondPerUser', false, 'give tokens per second, or leave it out');
  if (typeof pool.hardware !== 'string' || Hardware.wafer(pool.hardware) !== undefined) {
    return;
  }
  for (const name of ['wafersPerReplica', 'outputTokensPerSecondPerUser'] as const) {
    if (pool[name] !== undefined) {
      problems.push({
        rule: 'WaferOptionWithoutWafer',
        path: `decode.${name}`,
        value: shown(pool[name]),
        message: `this is for wafer-scale systems, and ${JSON.stringify(pool.hardware)} is none`,
        mend: 'leave it out, or use cs-3',
      });
    }
  }
}

function numberProblem(problems: Problem[], value: number | undefined, path: string, whole: boolean, mend: string): void {
  if (value === undefined || (whole ? isCount(value) : isAmount(value))) {
    return;
  }
  problems.push({
    rule: whole ? 'CountNotPositive' : 'NumberNotPositive',
    path,
    value: shown(value),
    message: whole ? 'this is not a whole number from 1 to 1,000,000' : 'this is not a number above 0 of a size that can be',
    mend,
  });
}

/** Prices, rates and speeds: sizes beyond these overflow what is computed of them. */
function isAmount(value: unknown): value is number {
  return typeof value === 'number' && value >= 1e-9 && value <= 1e18;
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0 && (value as number) <= 1_000_000;
}
