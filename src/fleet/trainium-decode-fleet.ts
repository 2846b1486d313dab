import { Construct } from 'constructs';
import { TrainiumFleetProps } from './trainium-fleet';
import { TrainiumFleetBase } from './trainium-fleet-base';
import { EngineRole, IDecodeCapacity } from '../decode';
import { DecodeSpec } from '../estimator';

/**
 * Instances that write tokens from the KV caches that a prefill fleet hands them over EFA. A prompt whose KV cache does not arrive they read themselves.
 *
 * Throws a `ProblemsError` as `TrainiumPrefillFleet` does.
 */
export class TrainiumDecodeFleet extends TrainiumFleetBase implements IDecodeCapacity {
  public readonly decodeSpec: DecodeSpec;

  constructor(scope: Construct, id: string, props: TrainiumFleetProps) {
    super(scope, id, EngineRole.DECODE, props);
    this.decodeSpec = this.poolSpec;
  }
}
