import { TrainiumPoolOptions } from './trainium-fleet';
import { EngineRole } from '../decode';
import { PoolSpec } from '../estimator';
import { DEFAULT_DECODE_SEQUENCES, DEFAULT_PREFILL_SEQUENCES, defaultTensorParallelDegree } from '../estimator/defaults';
import { ModelArchitecture } from '../model';

/**
 * A pool of Trainium instances, as the estimator reads it.
 *
 * @param instanceCount number of instances; undefined where it is to be planned.
 */
export function trainiumPoolSpec(
  role: EngineRole, model: ModelArchitecture, options: TrainiumPoolOptions, instanceCount: number | undefined, path: string,
): PoolSpec & { readonly tensorParallelDegree: number; readonly maxConcurrentSequences: number } {
  const { instanceType, purchase, engine = {} } = options;
  return {
    hardware: instanceType.name,
    ...(instanceCount === undefined ? {} : { instances: instanceCount }),
    tensorParallelDegree: engine.tensorParallelDegree ?? defaultTensorParallelDegree(model.spec.attentionHeads, instanceType.logicalNeuronCores),
    enginesPerInstance: 1,
    maxConcurrentSequences: engine.maxConcurrentSequences ?? (role === EngineRole.PREFILL ? DEFAULT_PREFILL_SEQUENCES : DEFAULT_DECODE_SEQUENCES),
    ...(engine.promptBuckets === undefined ? {} : { promptBuckets: engine.promptBuckets }),
    ...(engine.blockSizeTokens === undefined ? {} : { kvBlockTokens: engine.blockSizeTokens }),
    ...(engine.maxModelLengthTokens === undefined ? {} : { maxSequenceTokens: engine.maxModelLengthTokens }),
    purchaseOption: purchase.option,
    ...(purchase.usdPerHour === undefined ? {} : { usdPerInstanceHour: purchase.usdPerHour, priceSource: `given at ${path}` }),
  };
}
