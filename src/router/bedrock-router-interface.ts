import { IResource, aws_cloudwatch as cloudwatch, aws_ec2 as ec2, aws_iam as iam, aws_secretsmanager as secretsmanager } from 'aws-cdk-lib';

/**
 * A service that answers inference requests of clients with the help of engines.
 */
export interface IBedrockRouter extends IResource, ec2.IConnectable {
  /** Base URL of the service, without a trailing slash: the endpoint of AWS' SDKs. OpenAI clients use `<url>/v1` or `<url>/openai/v1`. */
  readonly url: string;

  /**
   * The API keys that callers present.
   *
   * @default - not known of an imported router, or callers present tokens of an issuer
   */
  readonly apiKeysSecret?: secretsmanager.ISecret;

  /**
   * Lets somebody read the API keys, and so call the router.
   *
   * Throws if an imported router was given no secret (`RouterApiKeysUnknown`), or if callers present tokens of a `tokenIssuer` (`RouterApiKeysNone`).
   *
   * @param grantee who may read.
   */
  grantReadApiKeys(grantee: iam.IGrantable): iam.Grant;

  /**
   * Any metric of the router's part of its load balancer, in the namespace `AWS/ApplicationELB`.
   *
   * @param metricName name of the metric, such as `RequestCount`.
   * @param props what differs from the sum over five minutes.
   */
  metric(metricName: string, props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Requests that reached a router task.
   *
   * @param props what differs from the sum over five minutes.
   */
  metricRequests(props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Time until a router task sends the status of its answer, in seconds: for a streamed answer the time to first token,
   * for any other the time to the whole answer.
   *
   * @param props what differs from the 95th percentile over five minutes.
   */
  metricResponseTime(props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Answers that fail for no fault of their caller's: a status of 500 and above and, in Bedrock's API, 424 and 408, which it has for models. Answers that broke
   * off after their status was sent are not among them: see `metricStreamErrors`.
   *
   * @param props what differs from the sum over five minutes.
   */
  metricServerErrors(props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Any metric that the tasks tell CloudWatch themselves, in the router's own namespace.
   *
   * Throws if an imported router was given no `metricsName`.
   *
   * @param metricName name of the metric, such as `OutputTokens`.
   * @param props what differs from the sum over five minutes; `dimensionsMap` may have a `Path`, one of `disaggregated`, `aggregated`, `bedrock` and `refuse`.
   */
  metricService(metricName: string, props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Time from the arrival of a request to the first token of its streamed answer, in seconds.
   *
   * @param props what differs from the 95th percentile over five minutes.
   */
  metricTimeToFirstToken(props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Mean time between tokens after the first, of streamed answers, in seconds.
   *
   * @param props what differs from the 95th percentile over five minutes.
   */
  metricTimePerOutputToken(props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Time that requests waited for a slot of an engine, those that need not wait left out, in seconds.
   *
   * @param props what differs from the 95th percentile over five minutes.
   */
  metricQueueTime(props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Requests that wait in a task.
   *
   * @param props what differs from the maximum over five minutes.
   */
  metricQueuedRequests(props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Requests that were answered 429, as engines were full or their caller had reached a limit.
   *
   * @param props what differs from the sum over five minutes.
   */
  metricThrottles(props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Answers that broke off, or told of an error, after their status was sent.
   *
   * @param props what differs from the sum over five minutes.
   */
  metricStreamErrors(props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Hand-offs from a prefill to a decode engine that were given up, after which the decode engine read the prompt.
   *
   * @param props what differs from the sum over five minutes.
   */
  metricHandoffFallbacks(props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Tokens of prompts, as engines counted them.
   *
   * @param props what differs from the sum over five minutes.
   */
  metricInputTokens(props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Tokens of answers.
   *
   * @param props what differs from the sum over five minutes.
   */
  metricOutputTokens(props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Requests whose limits a task judged by itself, as Valkey could not be asked.
   *
   * @param props what differs from the sum over five minutes.
   */
  metricUnsharedLimits(props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Endpoints of an engine that answered their last probes and requests, as a task sees them.
   *
   * Throws if the router is known to have no such engine (`RouterEngineUnknown`).
   *
   * @param engineName name of the engine among those of the router.
   * @param props what differs from the minimum over five minutes.
   */
  metricHealthyEndpoints(engineName: string, props?: cloudwatch.MetricOptions): cloudwatch.Metric;
}

/**
 * What tells of a router that exists.
 */
export interface BedrockRouterAttributes {
  /** Base URL of the service, without a trailing slash. */
  readonly url: string;

  /** Security groups of its load balancer. */
  readonly securityGroups: ec2.ISecurityGroup[];

  /**
   * TCP port of its listener.
   *
   * @default - that of the URL; 443 where that is a token
   */
  readonly port?: number;

  /** The `LoadBalancer` dimension of its metrics, such as `app/name/0123456789abcdef`: `loadBalancer.loadBalancerFullName` of the router. */
  readonly loadBalancerFullName: string;

  /** The `TargetGroup` dimension of its metrics, such as `targetgroup/name/0123456789abcdef`. */
  readonly targetGroupFullName: string;

  /**
   * The `Router` dimension of what its tasks tell CloudWatch.
   *
   * @default - the metrics of its tasks throw
   */
  readonly metricsName?: string;

  /**
   * The namespace of what its tasks tell CloudWatch.
   *
   * @default 'DisaggregatedInference'
   */
  readonly metricsNamespace?: string;

  /**
   * The API keys that callers present.
   *
   * @default - `grantReadApiKeys` throws
   */
  readonly apiKeysSecret?: secretsmanager.ISecret;
}
