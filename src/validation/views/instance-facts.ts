import { Hardware, NetworkCard, NeuronInstanceType } from '../../hardware';
import { Value } from '../graph/template-graph';

/** What the rules need to know of an instance type. */
export interface InstanceFacts {
  readonly networkCards: NetworkCard[];
  /** EFA interfaces at most; 0 where the type has no EFA. */
  readonly efaInterfaces: number;
  /** Whether EC2 lists an On-Demand price. */
  readonly hasOnDemand: boolean;
  /** Ways to buy it that are known: `on-demand`, `spot`, `capacity-block`. */
  readonly purchaseOptions: readonly string[];
  /** Undefined where it is not known. */
  readonly vcpus?: number;
  /** Neuron devices; 0 where the type has none. */
  readonly neuronDevices: number;
  /**
   * Logical NeuronCores at most, 0 where the type has none: a Trainium2 chip shows four, eight where LNC is 1.
   *
   * @see https://awsdocs-neuron.readthedocs-hosted.com/en/latest/about-neuron/arch/neuron-features/logical-neuroncore-config.html
   */
  readonly mostNeuronCores: number;
}

/** Inferentia1 serves no fleet of ours, but it is an instance type that EC2 has (npm:@aws-sdk/client-ec2@3.1169.0 _InstanceType). */
const INFERENTIA1 = ['inf1.xlarge', 'inf1.2xlarge', 'inf1.6xlarge', 'inf1.24xlarge'];

/** Every Trainium and Inferentia instance type of EC2. */
export const KNOWN_NEURON_INSTANCE_TYPES: readonly string[] = [...NeuronInstanceType.all().map((type) => type.name), ...INFERENTIA1];

/** Whether a value is the name of a Trainium or Inferentia instance type, whether EC2 has it or not. */
export function isNeuronType(type: Value | undefined): type is string {
  return typeof type === 'string' && /^(trn|inf)\d/.test(type);
}

/** Neuron devices of an instance type; undefined where that is not known. */
export function neuronDevicesOf(type: string): number | undefined {
  // they are in Inferentia and Trainium instances alone.
  return instanceFacts(type)?.neuronDevices ?? (isNeuronType(type) ? undefined : 0);
}

/** Logical NeuronCores of an instance type at most; undefined where that is not known. */
export function mostNeuronCoresOf(type: string): number | undefined {
  return instanceFacts(type)?.mostNeuronCores ?? (isNeuronType(type) ? undefined : 0);
}

/** Whether a value is the name of a Trainium instance type, whether EC2 has it or not. */
export function isTrainiumType(type: Value | undefined): type is string {
  return typeof type === 'string' && /^trn\d/.test(type);
}

/**
 * Facts of an instance type of the catalogue. Undefined for any other type, known to EC2 or not: of those nothing is said.
 *
 * @param type an instance type as a template gives it.
 */
export function instanceFacts(type: Value): InstanceFacts | undefined {
  const known = typeof type === 'string' ? Hardware.accelerated(type) : undefined;
  return known && {
    networkCards: known.networkCards,
    efaInterfaces: known.efa?.interfaces ?? 0,
    hasOnDemand: known.purchaseOptions.includes('on-demand'),
    purchaseOptions: known.purchaseOptions,
    vcpus: known.vcpus,
    ...known instanceof NeuronInstanceType
      ? { neuronDevices: known.acceleratorCount, mostNeuronCores: known.logicalNeuronCores * (known.name.startsWith('trn2') ? 2 : 1) }
      : { neuronDevices: 0, mostNeuronCores: 0 },
  };
}
