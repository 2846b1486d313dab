import { nearestNames } from '../nearest';
import { ProblemsError } from '../problems';
import * as data from './data/accelerators.json';
import { Figure, optionalFigure, requiredFigure, sourcesOf } from './figure';

interface AcceleratorData {
  readonly bf16: Figure;
  readonly fp8?: Figure;
  readonly fp4?: Figure;
  readonly hbm: Figure;
  readonly hbmBandwidth: Figure;
  readonly link?: Figure;
  readonly logicalNeuronCores?: Figure;
}

/**
 * One accelerator chip: its peaks, as its maker states them (dense, without sparsity), and its memory.
 */
export class Accelerator {
  /** AWS Trainium (trn1, trn1n). */
  public static readonly TRAINIUM1 = new Accelerator('trainium1');

  /** AWS Inferentia2 (inf2). */
  public static readonly INFERENTIA2 = new Accelerator('inferentia2');

  /** AWS Trainium2 (trn2, trn2u). */
  public static readonly TRAINIUM2 = new Accelerator('trainium2');

  /** AWS Trainium3: in UltraServers only, no public EC2 instance type exists. */
  public static readonly TRAINIUM3 = new Accelerator('trainium3');

  /** NVIDIA A100 with 40 GB (p4d). */
  public static readonly A100_40GB = new Accelerator('a100-40gb');

  /** NVIDIA A100 with 80 GB (p4de). */
  public static readonly A100_80GB = new Accelerator('a100-80gb');

  /** NVIDIA H100 SXM (p5). */
  public static readonly H100 = new Accelerator('h100');

  /** NVIDIA H200 SXM (p5e, p5en). */
  public static readonly H200 = new Accelerator('h200');

  /** NVIDIA B200 HGX (p6-b200). */
  public static readonly B200 = new Accelerator('b200');

  /** NVIDIA B300 (p6-b300); its FLOP rates are unknown, because the sources disagree. */
  public static readonly B300 = new Accelerator('b300');

  /** NVIDIA GB200 (p6e-gb200). */
  public static readonly GB200 = new Accelerator('gb200');

  /**
   * The accelerator of that name.
   *
   * Throws a `ProblemsError` (`AcceleratorUnknown`) if there is none.
   *
   * @param name a name such as `trainium2`.
   */
  public static of(name: string): Accelerator {
    const found = BY_NAME.get(name);
    if (!found) {
      const nearest = nearestNames(String(name), [...BY_NAME.keys()]);
      throw new ProblemsError([{
        rule: 'AcceleratorUnknown',
        path: 'accelerator',
        value: JSON.stringify(name),
        message: 'there is no accelerator of this name',
        mend: `use one of ${(nearest.length > 0 ? nearest : [...BY_NAME.keys()]).join(', ')}`,
      }]);
    }
    return found;
  }

  /** Every accelerator, oldest generation of a family first. */
  public static all(): Accelerator[] {
    return [...BY_NAME.values()];
  }

  /** Name, such as `trainium2`. */
  public readonly name: string;

  /**
   * Peak dense bf16 rate, in FLOP per second.
   *
   * @default - unknown
   */
  public readonly bf16FlopsPerSecond?: number;

  /**
   * Peak dense fp8 rate, in FLOP per second.
   *
   * @default - unknown, or the chip has no fp8 units
   */
  public readonly fp8FlopsPerSecond?: number;

  /**
   * Peak dense rate at 4 bit, in FLOP per second.
   *
   * @default - unknown, or the chip has no such units
   */
  public readonly fp4FlopsPerSecond?: number;

  /** Device memory, in bytes. */
  public readonly hbmBytes: number;

  /** Peak bandwidth of the device memory, in bytes per second. */
  public readonly hbmBytesPerSecond: number;

  /**
   * Bandwidth to the other chips of its instance over NVLink or NeuronLink, one way, in bytes per second.
   *
   * @default - unknown
   */
  public readonly linkBytesPerSecond?: number;

  /**
   * Logical NeuronCores of one chip at the default configuration, each a rank of tensor parallelism.
   *
   * @default - not a Neuron device: the chip is one rank
   */
  public readonly logicalNeuronCores?: number;

  /** Where the figures come from. */
  public readonly source: string;

  private constructor(name: string) {
    const entry = (data as unknown as { readonly [name: string]: AcceleratorData })[name];
    this.name = name;
    this.bf16FlopsPerSecond = optionalFigure(entry.bf16);
    this.fp8FlopsPerSecond = optionalFigure(entry.fp8);
    this.fp4FlopsPerSecond = optionalFigure(entry.fp4);
    this.hbmBytes = requiredFigure(entry.hbm);
    this.hbmBytesPerSecond = requiredFigure(entry.hbmBandwidth);
    const bothWays = optionalFigure(entry.link);
    this.linkBytesPerSecond = bothWays === undefined ? undefined : bothWays / 2;
    this.logicalNeuronCores = optionalFigure(entry.logicalNeuronCores);
    this.source = sourcesOf([entry.bf16, entry.fp8, entry.fp4, entry.hbm, entry.hbmBandwidth, entry.link, entry.logicalNeuronCores]);
  }
}

const BY_NAME = new Map(
  Object.values(Accelerator).filter((value) => value instanceof Accelerator).map((accelerator) => [accelerator.name, accelerator]),
);
