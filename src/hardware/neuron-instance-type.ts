import { nearestNames } from '../nearest';
import { ProblemsError } from '../problems';
import { AcceleratedInstanceType } from './accelerated-instance-type';
import * as data from './data/instance-types.json';
import { Figure, requiredFigure } from './figure';
import { UltraServer } from './ultra-server';

interface NeuronData {
  readonly logicalNeuronCores: Figure;
  readonly ultraServer?: { readonly value: string };
}

/**
 * An EC2 instance type with AWS Trainium or Inferentia chips.
 *
 * There is none with Trainium3: no public EC2 instance type exists for it, see `UltraServer`.
 */
export class NeuronInstanceType extends AcceleratedInstanceType {
  /** One Trainium chip, no EFA. */
  public static readonly TRN1_2XLARGE = new NeuronInstanceType('trn1.2xlarge');

  /** 16 Trainium chips, 800 Gb/s of EFA. */
  public static readonly TRN1_32XLARGE = new NeuronInstanceType('trn1.32xlarge');

  /** 16 Trainium chips, 1,600 Gb/s of EFA. */
  public static readonly TRN1N_32XLARGE = new NeuronInstanceType('trn1n.32xlarge');

  /** One Trainium2 chip, 200 Gb/s of EFA through host memory. */
  public static readonly TRN2_3XLARGE = new NeuronInstanceType('trn2.3xlarge');

  /** 16 Trainium2 chips, 3,200 Gb/s of EFA. */
  public static readonly TRN2_48XLARGE = new NeuronInstanceType('trn2.48xlarge');

  /** 16 Trainium2 chips, 3,200 Gb/s of EFA, member of an UltraServer: Capacity Blocks of whole UltraServers only. */
  public static readonly TRN2U_48XLARGE = new NeuronInstanceType('trn2u.48xlarge');

  /** One Inferentia2 chip, no EFA. */
  public static readonly INF2_XLARGE = new NeuronInstanceType('inf2.xlarge');

  /** One Inferentia2 chip, no EFA. */
  public static readonly INF2_8XLARGE = new NeuronInstanceType('inf2.8xlarge');

  /** 6 Inferentia2 chips, no EFA. */
  public static readonly INF2_24XLARGE = new NeuronInstanceType('inf2.24xlarge');

  /** 12 Inferentia2 chips, no EFA. */
  public static readonly INF2_48XLARGE = new NeuronInstanceType('inf2.48xlarge');

  /**
   * The Neuron instance type of that name.
   *
   * Throws a `ProblemsError` (`InstanceTypeUnknown`) with the nearest names if there is none.
   *
   * @param name a name such as `trn2.48xlarge`.
   */
  public static of(name: string): NeuronInstanceType {
    const found = BY_NAME.get(name);
    if (!found) {
      const given = String(name);
      const nearest = nearestNames(given, [...BY_NAME.keys()]);
      throw new ProblemsError([{
        rule: 'InstanceTypeUnknown',
        path: 'instanceType',
        value: JSON.stringify(name),
        ...(/^trn3/i.test(given)
          ? {
            message: 'no public EC2 instance type exists for Trainium3',
            mend: 'use trn2.48xlarge, or estimate a Trainium3 UltraServer with UltraServer.TRN3_GEN1 or UltraServer.TRN3_GEN2',
          }
          : {
            message: 'there is no Neuron instance type of this name',
            mend: `use one of ${(nearest.length > 0 ? nearest : [...BY_NAME.keys()]).join(', ')}`,
          }),
      }]);
    }
    return found;
  }

  /** Every Neuron instance type. */
  public static all(): NeuronInstanceType[] {
    return [...BY_NAME.values()];
  }

  /** NeuronCores that software sees at the default logical configuration, each a rank of tensor parallelism. */
  public readonly logicalNeuronCores: number;

  /**
   * The UltraServer that the instance is a member of.
   *
   * @default - a single instance
   */
  public readonly ultraServer?: UltraServer;

  private constructor(name: string) {
    super(name);
    const entry = (data as unknown as { readonly [name: string]: NeuronData })[name];
    this.logicalNeuronCores = requiredFigure(entry.logicalNeuronCores);
    this.ultraServer = UltraServer.all().find((server) => server.name === entry.ultraServer?.value);
  }
}

const BY_NAME = new Map(
  Object.values(NeuronInstanceType).filter((value) => value instanceof NeuronInstanceType).map((type) => [type.name, type]),
);
