/** A metric that CloudWatch is told. */
export interface CloudWatchMetric {
  readonly name: string;
  readonly unit: 'Count' | 'Seconds';
}

/** The dimension of every metric: which router. */
export const ROUTER_DIMENSION = 'Router';
/** The dimension of what requests are told by: the path that was chosen for them. */
export const PATH_DIMENSION = 'Path';
/** The dimension of what targets are told by. */
export const TARGET_DIMENSION = 'Target';

const count = (name: string): CloudWatchMetric => ({ name, unit: 'Count' });
const seconds = (name: string): CloudWatchMetric => ({ name, unit: 'Seconds' });

/** What CloudWatch is told by requests. Names and units are part of the public contract. */
export const REQUEST_METRICS = {
  requests: count('Requests'),
  serverErrors: count('ServerErrors'),
  streamErrors: count('StreamErrors'),
  throttles: count('Throttles'),
  handoffFallbacks: count('HandoffFallbacks'),
  inputTokens: count('InputTokens'),
  outputTokens: count('OutputTokens'),
  timeToFirstToken: seconds('TimeToFirstToken'),
  timePerOutputToken: seconds('TimePerOutputToken'),
  queueTime: seconds('QueueTime'),
};

/** What CloudWatch is told of a router in each interval. */
export const ROUTER_METRICS = {
  queuedRequests: count('QueuedRequests'),
  limitedAlone: count('LimitedAlone'),
};

/** What CloudWatch is told of each target in each interval. */
export const TARGET_METRICS = { healthyEndpoints: count('HealthyEndpoints') };
