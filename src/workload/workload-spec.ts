/**
 * What is asked of a service, as a plain value.
 */
export interface WorkloadSpec {
  /** Where it comes from, such as `trace azure-2023-conv.csv` or `steady`. */
  readonly source: string;

  /** Mean arrivals per second. */
  readonly requestsPerSecond: number;

  /**
   * Squared coefficient of variation of the gaps between arrivals: 0 evenly spaced, 1 Poisson, above 1 bursty.
   *
   * @default 1
   */
  readonly interarrivalScv?: number;

  /**
   * Rate of the busiest minute over the mean. Latencies are what is met in that minute, as a fleet that falls behind in it makes many wait; tokens and their price
   * are of the mean.
   *
   * @default 1
   */
  readonly peakToMeanRatio?: number;

  /** The joint distribution of lengths, as weighted classes. */
  readonly lengthClasses: LengthClass[];
}

/**
 * Requests of about the same lengths.
 */
export interface LengthClass {
  /** Share of the requests, above 0; the weights of a workload sum to 1. */
  readonly weight: number;

  /** Prompt length, in tokens. */
  readonly inputTokens: number;

  /**
   * Leading tokens of the prompt whose KV cache is already there.
   *
   * @default 0
   */
  readonly cachedInputTokens?: number;

  /** Generated tokens, the first one included. */
  readonly outputTokens: number;

  /**
   * How urgent they are, in Bedrock's terms: `priority`, `default` or `flex`. In a simulation who is more urgent is first wherever requests wait;
   * the closed form takes all alike.
   *
   * @default - `default`
   */
  readonly serviceTier?: string;
}

/**
 * What is promised, as a plain value: each given latency holds at the percentile.
 */
export interface ObjectiveSpec {
  /**
   * Time to first token, in seconds.
   *
   * @default - not promised
   */
  readonly ttftSeconds?: number;

  /**
   * Time per output token after the first, in seconds.
   *
   * @default - not promised
   */
  readonly tpotSeconds?: number;

  /**
   * Time to the last token, in seconds.
   *
   * @default - not promised
   */
  readonly endToEndSeconds?: number;

  /**
   * Percentile of requests that each promise speaks of: 50, 90, 95 or 99.
   *
   * @default 95
   */
  readonly percentile?: number;
}
