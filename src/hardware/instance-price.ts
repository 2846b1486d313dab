/**
 * A price of one instance that somebody published.
 */
export interface InstancePrice {
  /** Price, in USD per hour of one instance. */
  readonly usdPerHour: number;

  /** `on-demand`, `capacity-block` (list prices) or `spot` (seen at one time in one zone). */
  readonly purchase: string;

  /**
   * Availability Zone that the price was seen in.
   *
   * @default - the list price of the source's region
   */
  readonly zone?: string;

  /** Where the price comes from. */
  readonly source: string;

  /**
   * Date of the price, as `yyyy-mm-dd`.
   *
   * @default - unknown
   */
  readonly asOf?: string;
}

/**
 * Where an instance type was offered when somebody looked: dated, so never a reason to refuse a template.
 */
export interface InstanceAvailability {
  /** Region names, such as `us-east-2`. */
  readonly regions: string[];

  /**
   * Availability Zone ids, such as `use2-az1`.
   *
   * @default - unknown
   */
  readonly availabilityZoneIds?: string[];

  /** Where this comes from. */
  readonly source: string;

  /**
   * Date of the regions, as `yyyy-mm-dd`.
   *
   * @default - unknown
   */
  readonly asOf?: string;
}
