import { nearestNames } from '../nearest';
import { ProblemsError } from '../problems';
import { AcceleratedInstanceType } from './accelerated-instance-type';

/**
 * An EC2 instance type with NVIDIA GPUs, for comparison and for rules about any template.
 */
export class GpuInstanceType extends AcceleratedInstanceType {
  /** 8 A100 of 40 GB. */
  public static readonly P4D_24XLARGE = new GpuInstanceType('p4d.24xlarge');

  /** 8 A100 of 80 GB. */
  public static readonly P4DE_24XLARGE = new GpuInstanceType('p4de.24xlarge');

  /** 8 H100. */
  public static readonly P5_48XLARGE = new GpuInstanceType('p5.48xlarge');

  /** 8 H200, 32 EFA interfaces of 100 Gb/s. */
  public static readonly P5E_48XLARGE = new GpuInstanceType('p5e.48xlarge');

  /** 8 H200, 16 EFA interfaces of 200 Gb/s. */
  public static readonly P5EN_48XLARGE = new GpuInstanceType('p5en.48xlarge');

  /** 8 B200. */
  public static readonly P6_B200_48XLARGE = new GpuInstanceType('p6-b200.48xlarge');

  /** 8 B300; network card 0 takes no EFA. */
  public static readonly P6_B300_48XLARGE = new GpuInstanceType('p6-b300.48xlarge');

  /** 4 GB200; only network cards of odd index take EFA. */
  public static readonly P6E_GB200_36XLARGE = new GpuInstanceType('p6e-gb200.36xlarge');

  /**
   * The GPU instance type of that name.
   *
   * Throws a `ProblemsError` (`InstanceTypeUnknown`) with the nearest names if there is none.
   *
   * @param name a name such as `p5.48xlarge`.
   */
  public static of(name: string): GpuInstanceType {
    const found = BY_NAME.get(name);
    if (!found) {
      const nearest = nearestNames(String(name), [...BY_NAME.keys()]);
      throw new ProblemsError([{
        rule: 'InstanceTypeUnknown',
        path: 'instanceType',
        value: JSON.stringify(name),
        message: 'there is no GPU instance type of this name here',
        mend: `use one of ${(nearest.length > 0 ? nearest : [...BY_NAME.keys()]).join(', ')}`,
      }]);
    }
    return found;
  }

  /** Every GPU instance type. */
  public static all(): GpuInstanceType[] {
    return [...BY_NAME.values()];
  }

  private constructor(name: string) {
    super(name);
  }
}

const BY_NAME = new Map(
  Object.values(GpuInstanceType).filter((value) => value instanceof GpuInstanceType).map((type) => [type.name, type]),
);
