import { Token } from 'aws-cdk-lib';
import { NeuronVllmEngine } from './neuron-vllm-engine';
import { CHIPS_WITHOUT_IMAGE } from '../../engine-image';
import { NeuronInstanceType } from '../../hardware';
import { ModelArchitecture } from '../../model';
import { Problem } from '../../problems';

/** what to do instead of giving an argument that the fleet gives or the estimator assumes. */
const TAKEN_ARGUMENTS: { readonly [flag: string]: string } = {
  '--served-model-name': 'use servedModelName',
  '--host': 'leave it out: health check and router need it to be 0.0.0.0',
  '--port': 'leave it out: endpoint, health check and security group have the port of the fleet',
  '--dtype': 'leave it out: estimates and volumes are for bfloat16',
  '--tensor-parallel-size': 'use tensorParallelDegree',
  '-tp': 'use tensorParallelDegree',
  '--max-num-seqs': 'use maxConcurrentSequences',
  '--max-model-len': 'use maxModelLengthTokens',
  '--block-size': 'use blockSizeTokens',
  '--max-num-batched-tokens': 'use promptBuckets, the last of which it is',
  '--kv-transfer-config': 'leave it out: it follows from what the fleet is for',
  '--gpu-memory-utilization': 'leave it out: estimates take it as the default, 0.9',
  '--enable-prompt-tokens-details': 'leave it out: engines have it, for the router',
};

/**
 * Everything that is wrong with the engine's options.
 */
export function engineProblems(engine: NeuronVllmEngine, model: ModelArchitecture, instanceType: NeuronInstanceType, path: string): Problem[] {
  const problems: Problem[] = [
    ...countProblems('tensorParallelDegree', engine.tensorParallelDegree, path),
    ...countProblems('maxConcurrentSequences', engine.maxConcurrentSequences, path),
    ...countProblems('blockSizeTokens', engine.blockSizeTokens, path),
    ...countProblems('maxModelLengthTokens', engine.maxModelLengthTokens, path),
    ...bucketProblems(engine, path),
    ...argumentProblems(engine, path),
  ];
  if (engine.image === undefined && CHIPS_WITHOUT_IMAGE.includes(instanceType.accelerator.name)) {
    problems.push({
      rule: 'EngineImageMissing',
      path: `${path}.image`,
      message: `the default image runs on Trainium2 and later, and ${instanceType.name} has ${instanceType.accelerator.name}`,
      mend: 'give an image that serves this chip, or use trn2.48xlarge',
    });
  }
  const degree = engine.tensorParallelDegree;
  if (isCount(degree) && (degree > instanceType.logicalNeuronCores || model.spec.attentionHeads % degree !== 0)) {
    problems.push({
      rule: 'TensorParallelDegree',
      path: `${path}.tensorParallelDegree`,
      value: JSON.stringify(degree),
      message: `${instanceType.name} has ${instanceType.logicalNeuronCores} logical NeuronCores and ${model.id} ${model.spec.attentionHeads} attention heads, `
        + 'which the degree has to divide evenly',
      mend: `use one of ${divisors(model.spec.attentionHeads).filter((divisor) => divisor <= instanceType.logicalNeuronCores).join(', ')}`,
    });
  }
  if (isCount(engine.maxModelLengthTokens) && engine.maxModelLengthTokens > model.spec.maxContextTokens) {
    problems.push({
      rule: 'MaxModelLength',
      path: `${path}.maxModelLengthTokens`,
      value: JSON.stringify(engine.maxModelLengthTokens),
      message: `the context of ${model.id} is ${model.spec.maxContextTokens} tokens`,
      mend: `use at most ${model.spec.maxContextTokens}`,
    });
  }
  if (engine.user !== undefined && !/^\d+:\d+$/.test(engine.user)) {
    problems.push({
      rule: 'EngineUser',
      path: `${path}.user`,
      value: JSON.stringify(engine.user),
      message: 'the user has to own directories on the instance, where names of the image mean nothing',
      mend: 'use numbers, such as 1000:1000',
    });
  }
  for (const name of Object.keys(engine.environment ?? {}).filter((key) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(key))) {
    problems.push({
      rule: 'EngineEnvironment',
      path: `${path}.environment`,
      value: JSON.stringify(name),
      message: 'this is not the name of an environment variable',
      mend: 'use letters, digits and underscores, and no digit first',
    });
  }
  return problems;
}

/**
 * What is wrong with a count that may be missing.
 */
export function countProblems(name: string, value: number | undefined, path: string): Problem[] {
  if (value === undefined || isCount(value)) {
    return [];
  }
  const unresolved = Token.isUnresolved(value);
  return [{
    rule: 'CountNotPositive',
    path: `${path}.${name}`,
    value: unresolved ? undefined : String(value),
    message: unresolved ? `${name} is a token, and the fleet is laid out at synthesis` : `${name} has to be a whole number above 0`,
    mend: 'use a whole number above 0',
  }];
}

function bucketProblems(engine: NeuronVllmEngine, path: string): Problem[] {
  const buckets = engine.promptBuckets;
  if (buckets === undefined) {
    return [];
  }
  const ascending = buckets.every((bucket, index) => isCount(bucket) && (index === 0 || bucket > buckets[index - 1]));
  const longest = engine.maxModelLengthTokens;
  if (buckets.length > 0 && ascending && !(isCount(longest) && buckets[buckets.length - 1] > longest)) {
    return [];
  }
  return [{
    rule: 'PromptBuckets',
    path: `${path}.promptBuckets`,
    value: Token.isUnresolved(buckets) ? undefined : JSON.stringify(buckets),
    message: 'prompt buckets have to be whole numbers of tokens, ascending, and no longer than the longest sequence',
    mend: 'use lengths such as [512, 2048, 8192], or leave them out',
  }];
}

function argumentProblems(engine: NeuronVllmEngine, path: string): Problem[] {
  const taken = engine.promptBuckets === undefined
    ? TAKEN_ARGUMENTS
    : { ...TAKEN_ARGUMENTS, '--additional-config': 'leave promptBuckets out and give num_batched_tokens_buckets here, or leave this out' };
  return (engine.extraArguments ?? []).flatMap((argument) => {
    // vLLM takes `--flag=value`, `--flag.key value` and underscores too.
    const flag = argument.split(/[=.]/)[0].replace(/_/g, '-');
    return taken[flag] === undefined ? [] : [{
      rule: 'EngineArgumentTaken',
      path: `${path}.extraArguments`,
      value: JSON.stringify(argument),
      message: 'the fleet decides on this argument',
      mend: taken[flag],
    }];
  });
}

function isCount(value: number | undefined): value is number {
  return value !== undefined && !Token.isUnresolved(value) && Number.isInteger(value) && value > 0;
}

function divisors(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1).filter((divisor) => count % divisor === 0);
}
