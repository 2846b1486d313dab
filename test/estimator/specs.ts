import { DeploymentSpec, Estimate, Estimator, Range } from '../../src/estimator';

export const SCHEMA = 'cdk-disaggregated-inference/deployment-spec/v1';

/** Llama-3.3-70B on trn2.48xlarge, prefill and decode apart, equal requests. */
export function trn2(overrides: Partial<DeploymentSpec> = {}): DeploymentSpec {
  return {
    schema: SCHEMA,
    model: { id: 'llama-3.3-70b' },
    workload: steady(2, 1000, 200),
    prefill: { hardware: 'trn2.48xlarge', instances: 1 },
    decode: { hardware: 'trn2.48xlarge', instances: 1 },
    ...overrides,
  };
}

export function steady(requestsPerSecond: number, inputTokens: number, outputTokens: number): DeploymentSpec['workload'] {
  return { source: 'steady', requestsPerSecond, lengthClasses: [{ weight: 1, inputTokens, outputTokens }] };
}

/** The estimate of a spec that must have one. */
export function estimateOf(spec: DeploymentSpec): Estimate {
  const { estimate, refusal } = Estimator.estimate(spec);
  if (estimate === undefined) {
    throw new Error(`refused: ${JSON.stringify(refusal)}`);
  }
  return estimate;
}

/** Every range of an estimate. */
export function rangesOf(estimate: Estimate): Range[] {
  return [
    ...[estimate.ttftSeconds, estimate.tpotSeconds, estimate.endToEndSeconds].flatMap((latency) => Object.values(latency) as Range[]),
    estimate.outputTokensPerSecond,
    estimate.goodputRequestsPerSecond,
    ...estimate.stages.map((stage) => stage.utilisation),
    ...(estimate.costUsdPerMillionOutputTokens ? [estimate.costUsdPerMillionOutputTokens] : []),
  ];
}
