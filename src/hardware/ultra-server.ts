import { Accelerator } from './accelerator';
import * as data from './data/ultra-servers.json';
import { Figure, requiredFigure, sourcesOf } from './figure';

interface UltraServerData {
  readonly accelerator: string;
  readonly acceleratorCount: Figure;
  readonly efaBandwidth: Figure;
}

/**
 * Several servers in one NeuronLink domain. It can be estimated, never put in a launch template; no price of one is public.
 */
export class UltraServer {
  /** 64 Trainium2 chips in four trn2u.48xlarge. */
  public static readonly TRN2_ULTRASERVER = new UltraServer('u-trn2x64');

  /** 64 Trainium3 chips in four servers of 16. */
  public static readonly TRN3_GEN1 = new UltraServer('Trn3 Gen1 UltraServer');

  /** 144 Trainium3 chips in 36 servers of 4. */
  public static readonly TRN3_GEN2 = new UltraServer('Trn3 Gen2 UltraServer');

  /** Every UltraServer. */
  public static all(): UltraServer[] {
    return Object.values(UltraServer).filter((value) => value instanceof UltraServer);
  }

  /** Name, such as `u-trn2x64`. */
  public readonly name: string;

  /** The accelerator chip. */
  public readonly accelerator: Accelerator;

  /** Accelerator chips in one UltraServer. */
  public readonly acceleratorCount: number;

  /** NeuronCores that software sees at the default logical configuration, each a rank of tensor parallelism. */
  public readonly logicalCores: number;

  /** Line rate of all EFA interfaces in one direction, in bytes per second. */
  public readonly efaBytesPerSecond: number;

  /** Where the figures come from. */
  public readonly source: string;

  private constructor(name: string) {
    const entry = (data as unknown as { readonly [name: string]: UltraServerData })[name];
    this.name = name;
    this.accelerator = Accelerator.of(entry.accelerator);
    this.acceleratorCount = requiredFigure(entry.acceleratorCount);
    this.logicalCores = this.acceleratorCount * (this.accelerator.logicalNeuronCores ?? 1);
    this.efaBytesPerSecond = requiredFigure(entry.efaBandwidth);
    this.source = sourcesOf([entry.acceleratorCount, entry.efaBandwidth]);
  }
}
