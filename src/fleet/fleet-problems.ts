import { SizeRoundingBehavior, Token } from 'aws-cdk-lib';
import { countProblems, engineProblems } from './engine/engine-problems';
import { TrainiumFleetProps, TrainiumPoolOptions } from './trainium-fleet';
import { EngineRole } from '../decode';
import { defaultTensorParallelDegree } from '../estimator/defaults';
import { NeuronInstanceType } from '../hardware';
import { ModelArchitecture } from '../model';
import { Problem } from '../problems';

/**
 * Everything that is wrong with a fleet's properties.
 */
export function fleetProblems(props: TrainiumFleetProps, role: EngineRole, path: string): Problem[] {
  const { purchase, efa } = props;
  const problems = [
    ...countProblems('instanceCount', props.instanceCount, path),
    ...poolProblems(props, props.model, role, path),
  ];
  const zone = purchase.availabilityZone;
  if (zone !== undefined && !Token.isUnresolved(zone) && !Token.isUnresolved(efa.availabilityZone) && zone !== efa.availabilityZone) {
    problems.push({
      rule: 'PurchaseAvailabilityZone',
      path: `${path}.purchase.availabilityZone`,
      value: JSON.stringify(zone),
      message: `the capacity is in another Availability Zone than the fleet, which is in ${efa.availabilityZone}`,
      mend: `give availabilityZone ${JSON.stringify(zone)} to the EfaPlacementGroup`,
    });
  }
  return problems;
}

/**
 * What is wrong with a pool, wherever it runs.
 */
export function poolProblems(pool: TrainiumPoolOptions, model: ModelArchitecture, role: EngineRole, path: string): Problem[] {
  const { instanceType, purchase } = pool;
  const problems: Problem[] = [
    ...purchase._problems(instanceType, `${path}.purchase`),
    ...engineProblems(pool.engine ?? {}, model, instanceType, `${path}.engine`),
  ];
  if (role !== EngineRole.AGGREGATED && instanceType.efa === undefined) {
    problems.push({
      rule: 'FleetWithoutEfa',
      path: `${path}.instanceType`,
      value: JSON.stringify(instanceType.name),
      message: `a ${role} fleet hands KV caches over EFA, and this instance type has none`,
      mend: 'use an instance type with EFA, such as trn2.48xlarge, or a TrainiumAggregatedFleet',
    });
  }
  const size = pool.rootVolumeSize;
  if (size !== undefined && size.toBytes() < model.weightBytes('int4')) {
    problems.push({
      rule: 'RootVolumeSize',
      path: `${path}.rootVolumeSize`,
      value: JSON.stringify(`${size.toGibibytes({ rounding: SizeRoundingBehavior.FLOOR })} GiB`),
      message: `the weights of ${model.id} take more than this, even with 4 bits each`,
      mend: 'leave rootVolumeSize out',
    });
  }
  if (pool.coldStartTimeout !== undefined && pool.coldStartTimeout.toSeconds({ integral: false }) < 60) {
    problems.push({
      rule: 'ColdStartTimeout',
      path: `${path}.coldStartTimeout`,
      value: JSON.stringify(pool.coldStartTimeout.toHumanString()),
      message: 'no engine starts in less than a minute',
      mend: 'use a time such as Duration.minutes(90)',
    });
  }
  return problems;
}

/**
 * What to say of an engine that leaves at least half of its instance idle, as there is one engine an instance; undefined if it does not.
 */
export function idleCoresWarning(model: ModelArchitecture, instanceType: NeuronInstanceType, tensorParallelDegree: number): string | undefined {
  const cores = instanceType.logicalNeuronCores;
  if (tensorParallelDegree > cores / 2) {
    return undefined;
  }
  const highest = defaultTensorParallelDegree(model.spec.attentionHeads, cores);
  const mend = highest > tensorParallelDegree ? `raise engine.tensorParallelDegree to ${highest} or take a smaller instance type` : 'take a smaller instance type';
  return `an engine on ${tensorParallelDegree} of the ${cores} logical NeuronCores of ${instanceType.name} leaves the others idle (${mend})`;
}
