import { Accelerator } from './accelerator';
import * as data from './data/instance-types.json';
import { Figure, optionalFigure, requiredFigure, sourcesOf } from './figure';
import { InstanceAvailability, InstancePrice } from './instance-price';
import { EfaLink, NetworkCard } from './network';

interface ListFigure {
  readonly value: string[];
  readonly source: string;
  readonly asOf?: string;
}

interface InstanceData {
  readonly accelerator: string;
  readonly acceleratorCount: Figure;
  readonly vcpus?: Figure;
  readonly memory?: Figure;
  readonly cards: {
    readonly count: Figure;
    readonly maxInterfaces: Figure;
    /** indexes of the cards that take EFA; without it, the first `efa.interfaces` cards do */
    readonly efaIndexes?: { readonly value: number[] };
  };
  readonly efa?: {
    readonly interfaces: Figure;
    readonly bandwidth: Figure;
    readonly generation: { readonly value: string; readonly source: string };
    readonly deviceDirectRdma?: { readonly value: boolean };
  };
  readonly purchase: ListFigure;
  readonly prices: InstancePrice[];
  readonly availability?: { readonly regions: ListFigure; readonly availabilityZoneIds?: ListFigure };
}

/**
 * An EC2 instance type with accelerators.
 */
export abstract class AcceleratedInstanceType {
  /** Name, such as `trn2.48xlarge`. */
  public readonly name: string;

  /** The accelerator chip. */
  public readonly accelerator: Accelerator;

  /** Accelerator chips in one instance. */
  public readonly acceleratorCount: number;

  /**
   * Virtual CPUs.
   *
   * @default - unknown
   */
  public readonly vcpus?: number;

  /**
   * Host memory, in GiB.
   *
   * @default - unknown
   */
  public readonly memoryGib?: number;

  /** Network cards, by index. */
  public readonly networkCards: NetworkCard[];

  /**
   * Elastic Fabric Adapter.
   *
   * @default - the type has none
   */
  public readonly efa?: EfaLink;

  /** Published prices; empty where there is none. */
  public readonly prices: InstancePrice[];

  /** Ways to buy it: `on-demand`, `spot`, `capacity-block`. A type without an On-Demand price has no `on-demand`. */
  public readonly purchaseOptions: string[];

  /**
   * Where it was offered when somebody looked.
   *
   * @default - unknown
   */
  public readonly availability?: InstanceAvailability;

  /** Where the figures other than prices and availability come from. */
  public readonly source: string;

  /**
   * @param name name of an instance type in the data file.
   */
  protected constructor(name: string) {
    const entry = (data as unknown as { readonly [name: string]: InstanceData })[name];
    this.name = name;
    this.accelerator = Accelerator.of(entry.accelerator);
    this.acceleratorCount = requiredFigure(entry.acceleratorCount);
    this.vcpus = optionalFigure(entry.vcpus);
    this.memoryGib = entry.memory?.value ?? undefined;
    this.networkCards = networkCards(entry);
    this.efa = entry.efa && {
      interfaces: requiredFigure(entry.efa.interfaces),
      bytesPerSecond: requiredFigure(entry.efa.bandwidth),
      generation: entry.efa.generation.value,
      deviceDirectRdma: entry.efa.deviceDirectRdma?.value,
    };
    this.prices = entry.prices;
    this.purchaseOptions = entry.purchase.value;
    this.availability = entry.availability && {
      regions: entry.availability.regions.value,
      availabilityZoneIds: entry.availability.availabilityZoneIds?.value,
      source: [...new Set([entry.availability.regions.source, entry.availability.availabilityZoneIds?.source])].filter(Boolean).join('; '),
      asOf: entry.availability.regions.asOf,
    };
    this.source = sourcesOf([
      entry.acceleratorCount, entry.vcpus, entry.memory, entry.cards.count, entry.cards.maxInterfaces, entry.efa?.interfaces, entry.efa?.bandwidth,
    ]);
  }
}

function networkCards(entry: InstanceData): NetworkCard[] {
  const count = requiredFigure(entry.cards.count);
  const maxInterfaces = optionalFigure(entry.cards.maxInterfaces);
  const efa = new Set(entry.cards.efaIndexes?.value ?? Array.from({ length: entry.efa?.interfaces.value ?? 0 }, (_, index) => index));
  return Array.from({ length: count }, (_, index) => ({ index, maxInterfaces, efa: efa.has(index) }));
}
