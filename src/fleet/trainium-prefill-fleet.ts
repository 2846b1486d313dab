import { Construct } from 'constructs';
import { TrainiumFleetProps } from './trainium-fleet';
import { TrainiumFleetBase } from './trainium-fleet-base';
import { EngineRole } from '../decode';

/**
 * Instances that read prompts, and hand the KV cache to a decode fleet over EFA.
 *
 * Throws a `ProblemsError` with everything that is wrong with its properties: an instance type without EFA (`FleetWithoutEfa`), one that is not sold
 * this way (`PurchaseOptionUnavailable`), capacity in another Availability Zone (`PurchaseAvailabilityZone`), or an engine that cannot start.
 */
export class TrainiumPrefillFleet extends TrainiumFleetBase {
  constructor(scope: Construct, id: string, props: TrainiumFleetProps) {
    super(scope, id, EngineRole.PREFILL, props);
  }
}
