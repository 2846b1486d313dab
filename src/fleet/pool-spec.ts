import { defaultTensorParallelDegree } from './engine/vllm-command';
import { TrainiumPoolOptions } from './trainium-fleet';
import { EngineRole } from '../decode';
import { PoolSpec } from '../estimator';
import { ModelArchitecture } from '../model';

/**
 * A pool of Trainium instances, as the estimator reads it.
 *
 * @param instanceCount number of instances; undefined where it is to be planned.
 */
export function trainiumPoolSpec(
  role: EngineRole, model: ModelArchitecture, options: TrainiumPoolOptions, instanceCount: number | undefined, path: string,
): PoolSpec & { readonly tensorParallelDegree: number; readonly maxConcurrentSequences: number } {
  const engine = options.engine ?? {};
  const price = options.purchase._price(options.instanceType, path);
  return {
    hardware: options.instanceType.name,
    ...(instanceCount === undefined ? {} : { instances: instanceCount }),
    tensorParallelDegree: engine.tensorParallelDegree ?? defaultTensorParallelDegree(model, options.instanceType),
    enginesPerInstance: 1,
    maxConcurrentSequences: engine.maxConcurrentSequences ?? (role === EngineRole.PREFILL ? 1 : 64),
    ...(engine.promptBuckets === undefined ? {} : { promptBuckets: engine.promptBuckets }),
    ...(price === undefined ? {} : { usdPerInstanceHour: price.usdPerHour, priceSource: price.source }),
  };
}
