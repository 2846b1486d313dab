/**
 * What predictions of measurements that were left out of a fit were off by.
 */
export interface HeldOutSpec {
  /** Measured times that were left out, in turn. */
  readonly times: number;

  /** Mean of the sizes of their relative errors, 0.05 for 5 %. */
  readonly meanError: number;
}

/**
 * Coefficients measured by the user.
 */
export interface CalibrationSpec {
  /**
   * Name of a shipped coefficient set that the pools with coefficients start from, such as `trainium2`: their accelerator's own, if it has one.
   *
   * @default - the set of the pool's accelerator
   */
  readonly coefficientSet?: string;

  /**
   * Accelerator that was measured, such as `trainium2`: pools of others that coefficients are given for are refused.
   *
   * @default - the coefficients are taken for what the pool is of
   */
  readonly accelerator?: string;

  /**
   * Number format of the weights that were measured, such as `bf16`: a spec of another one is refused.
   *
   * @default - the coefficients are taken for the format of the spec
   */
  readonly weights?: string;

  /**
   * Engine that was measured, such as `vllm`: a spec that names another one is refused.
   *
   * @default - the coefficients are taken for the engine of the spec
   */
  readonly engine?: string;

  /**
   * Coefficients by name, in the units of the shipped set, for the prefill pool (for the only pool if aggregated).
   *
   * @default - none
   */
  readonly prefill?: { [name: string]: number };

  /**
   * Coefficients by name, in the units of the shipped set, for the decode pool.
   *
   * @default - none
   */
  readonly decode?: { [name: string]: number };

  /**
   * How sure the coefficients of the prefill pool are: standard deviations of their logarithms by name, 0.1 for about 10 %.
   *
   * @default - 0: measured coefficients are exact
   */
  readonly prefillRelativeSigmas?: { [name: string]: number };

  /**
   * How sure the coefficients of the decode pool are: standard deviations of their logarithms by name, 0.1 for about 10 %.
   *
   * @default - 0: measured coefficients are exact
   */
  readonly decodeRelativeSigmas?: { [name: string]: number };

  /**
   * How the coefficients of the prefill pool go together where measurements tell their sum better than each: correlations of their logarithms from -1 to 1,
   * each pair once, by two names.
   *
   * @default - 0: each is as it is whatever the others are
   */
  readonly prefillCorrelations?: { [name: string]: { [name: string]: number } };

  /**
   * How the coefficients of the decode pool go together: correlations of their logarithms from -1 to 1, each pair once, by two names.
   *
   * @default - 0: each is as it is whatever the others are
   */
  readonly decodeCorrelations?: { [name: string]: { [name: string]: number } };

  /**
   * How far predicted times to the first token were off on measurements that were left out of the fit, as a standard deviation of the logarithm, beyond
   * what the spreads of the coefficients explain.
   *
   * @default - that of the coefficient set, or 0 where every coefficient that it rests on is given
   */
  readonly ttftRelativeSigma?: number;

  /**
   * How far predicted times per output token were off on measurements that were left out of the fit, as a standard deviation of the logarithm, beyond
   * what the spreads of the coefficients explain.
   *
   * @default - that of the coefficient set, or 0 where every coefficient that it rests on is given
   */
  readonly tpotRelativeSigma?: number;

  /**
   * Id of the model that was measured, such as `llama-3.1-8b`: estimates of others are less sure of what they rest on.
   *
   * @default - the model of the spec
   */
  readonly model?: string;

  /**
   * What predicted times to the first token were off by on measurements that were left out of the fit: estimates are so sure of what they rest on.
   *
   * @default - not known
   */
  readonly ttftHeldOut?: HeldOutSpec;

  /**
   * What predicted times per output token were off by on measurements that were left out of the fit.
   *
   * @default - not known
   */
  readonly tpotHeldOut?: HeldOutSpec;

  /**
   * Where these come from.
   *
   * @default - not stated
   */
  readonly source?: string;
}
