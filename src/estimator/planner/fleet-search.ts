import { EstimateOutcome } from '../estimate';
import { SimulatedVerdict } from '../simulation';

/**
 * What a search for the cheapest fleet considers.
 */
export interface FleetSearchOptions {
  /**
   * Names of instance types, UltraServers or wafer systems that either pool may be of.
   *
   * @default - every instance type with measured coefficients and a price of `purchaseOptions` whose chips the default image serves, and the hardware of the spec
   */
  readonly hardware?: string[];

  /**
   * Ways to buy that are open: `on-demand`, `spot`, `capacity-block` or `reservation`. The cheapest of them counts for each instance type.
   *
   * @default - `on-demand` and `capacity-block`
   */
  readonly purchaseOptions?: string[];

  /**
   * Tensor parallel degrees that either pool may have.
   *
   * @default - every power of two that divides the attention heads and fits an instance
   */
  readonly tensorParallelDegrees?: number[];

  /**
   * Ways of serving that are considered: `disaggregated`, `aggregated`.
   *
   * @default - both
   */
  readonly servings?: string[];

  /**
   * Whether what the closed form finds is confirmed by simulation.
   *
   * @default true
   */
  readonly simulate?: boolean;
}

/**
 * One pool of a fleet that was considered.
 */
export interface FleetPool {
  /** Name of the hardware. */
  readonly hardware: string;
  /** Logical cores or chips that one copy of the model is split over; undefined for wafers. */
  readonly tensorParallelDegree?: number;
  /** How the instances are bought; undefined where the price is the spec's own. */
  readonly purchaseOption?: string;
  /**
   * Number of instances.
   *
   * @default - no number holds the objective, or none was looked for
   */
  readonly instances?: number;
}

/**
 * A fleet that holds the objective, and that no cheaper one beats.
 */
export interface FleetCandidate {
  /** `disaggregated` or `aggregated`. */
  readonly serving: string;
  /** Who reads the prompts; undefined where serving is aggregated. */
  readonly prefill?: FleetPool;
  /** Who writes the tokens. */
  readonly decode: FleetPool;
  /** Price, in USD per hour. */
  readonly usdPerHour: number;
  /** Time to first token at the objective's percentile, in seconds, by the closed form. */
  readonly ttftSeconds: number;
  /** Time per output token at the objective's percentile, in seconds, by the closed form. */
  readonly tpotSeconds: number;
  /** Time to the last token at the objective's percentile, in seconds, by the closed form. */
  readonly endToEndSeconds: number;
  /** Each promise as simulated, with the least of the headroom left; empty where nothing was simulated. */
  readonly simulated: SimulatedVerdict[];
}

/**
 * A combination that was considered and not chosen.
 */
export interface RejectedConfiguration {
  /** `disaggregated` or `aggregated`. */
  readonly serving: string;
  /** Who would read the prompts; undefined where serving is aggregated. */
  readonly prefill?: FleetPool;
  /** Who would write the tokens. */
  readonly decode: FleetPool;
  /** Price, in USD per hour, of the fleet that the reason is about, where there is one. */
  readonly usdPerHour?: number;
  /** Why it was not chosen, in one sentence. */
  readonly reason: string;
}

/**
 * The cheapest fleet of everything that was considered, and what more money buys.
 */
export interface FleetSearch {
  /** Version of this format: `cdk-disaggregated-inference/fleet-search/v1`. */
  readonly schema: string;
  /** The cheapest fleet's spec with its estimate, or why there is none. */
  readonly outcome: EstimateOutcome;
  /** `simulation` where it confirmed the fleets, else `closed-form`. */
  readonly solver: string;
  /** Combinations of serving, hardware and tensor parallel degree that were considered. */
  readonly considered: number;
  /** The cheapest fleet, and each dearer one, up to three times its price, that answers clearly sooner (end to end) than all that are cheaper. */
  readonly front: FleetCandidate[];
  /** Combinations that the front does not hold, the cheapest first, those without a fleet last. */
  readonly rejected: RejectedConfiguration[];
}
