/**
 * One network card of an instance type.
 */
export interface NetworkCard {
  /** Index of the card, from 0. */
  readonly index: number;

  /**
   * Network interfaces that the card takes: device indexes run from 0 to one below it.
   *
   * @default - unknown
   */
  readonly maxInterfaces?: number;

  /** Whether the card takes an EFA interface; one EFA or EFA-only interface a card at most. */
  readonly efa: boolean;
}

/**
 * Elastic Fabric Adapter of an instance type, all of its EFA interfaces together.
 */
export interface EfaLink {
  /** EFA interfaces at most. */
  readonly interfaces: number;

  /** Line rate of all interfaces in one direction, in bytes per second. */
  readonly bytesPerSecond: number;

  /** Generation, such as `EFAv3`. */
  readonly generation: string;

  /**
   * Whether device memory of one instance can be read from another without a copy through the host.
   *
   * @default - unknown
   */
  readonly deviceDirectRdma?: boolean;
}
