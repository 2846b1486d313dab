import { Construct } from 'constructs';
import { TrainiumFleetProps } from './trainium-fleet';
import { TrainiumFleetBase } from './trainium-fleet-base';
import { EngineRole, IDecodeCapacity } from '../decode';
import { DecodeSpec } from '../estimator';

/**
 * Instances that read the prompt and write the tokens. They hand no KV cache on, so instance types without EFA serve too.
 *
 * Throws a `ProblemsError` as `TrainiumPrefillFleet` does.
 */
export class TrainiumAggregatedFleet extends TrainiumFleetBase implements IDecodeCapacity {
  public readonly decodeSpec: DecodeSpec;

  constructor(scope: Construct, id: string, props: TrainiumFleetProps) {
    super(scope, id, EngineRole.AGGREGATED, props);
    this.decodeSpec = this.poolSpec;
  }
}
