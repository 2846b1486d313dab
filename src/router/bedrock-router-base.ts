import { Resource, aws_cloudwatch as cloudwatch, aws_ec2 as ec2, aws_iam as iam, aws_secretsmanager as secretsmanager } from 'aws-cdk-lib';
import { IBedrockRouter } from './bedrock-router-interface';
import { grantReadSecret } from './router-secrets';
import { Problems } from '../problems';
import { REQUEST_METRICS, ROUTER_DIMENSION, ROUTER_METRICS, TARGET_DIMENSION, TARGET_METRICS } from './runtime/telemetry/metric-names';

/**
 * What every router has in common, whoever defined it.
 *
 * @internal
 */
export abstract class BedrockRouterBase extends Resource implements IBedrockRouter {
  public abstract readonly url: string;
  public abstract readonly apiKeysSecret?: secretsmanager.ISecret;
  public abstract readonly connections: ec2.Connections;
  protected abstract readonly loadBalancerFullName: string;
  public abstract readonly targetGroupFullName: string;
  public abstract readonly metricsName?: string;
  public abstract readonly metricsNamespace: string;

  public grantReadApiKeys(grantee: iam.IGrantable): iam.Grant {
    if (this.apiKeysSecret === undefined) {
      Problems.throwIfAny([{
        rule: 'RouterApiKeysUnknown',
        path: this.node.path,
        message: 'the secret of this router is not known',
        mend: 'give apiKeysSecret when importing it',
      }]);
    }
    return grantReadSecret(this.apiKeysSecret!, grantee);
  }

  public metric(metricName: string, props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return new cloudwatch.Metric({
      namespace: 'AWS/ApplicationELB',
      metricName,
      dimensionsMap: { LoadBalancer: this.loadBalancerFullName, TargetGroup: this.targetGroupFullName },
      statistic: cloudwatch.Stats.SUM,
      ...props,
    }).attachTo(this);
  }

  public metricRequests(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric('RequestCount', props);
  }

  public metricResponseTime(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric('TargetResponseTime', { statistic: cloudwatch.Stats.percentile(95), ...props });
  }

  public metricServerErrors(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metricService(REQUEST_METRICS.serverErrors.name, props);
  }

  public metricService(metricName: string, props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    if (this.metricsName === undefined) {
      Problems.throwIfAny([{
        rule: 'RouterMetricsUnknown', path: this.node.path, message: 'what the tasks of this router tell is not known', mend: 'give metricsName when importing it',
      }]);
    }
    return new cloudwatch.Metric({
      namespace: this.metricsNamespace,
      metricName,
      statistic: cloudwatch.Stats.SUM,
      ...props,
      dimensionsMap: { [ROUTER_DIMENSION]: this.metricsName!, ...props?.dimensionsMap },
    }).attachTo(this);
  }

  public metricTimeToFirstToken(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metricService(REQUEST_METRICS.timeToFirstToken.name, { statistic: cloudwatch.Stats.percentile(95), ...props });
  }

  public metricTimePerOutputToken(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metricService(REQUEST_METRICS.timePerOutputToken.name, { statistic: cloudwatch.Stats.percentile(95), ...props });
  }

  public metricQueueTime(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metricService(REQUEST_METRICS.queueTime.name, { statistic: cloudwatch.Stats.percentile(95), ...props });
  }

  public metricQueuedRequests(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metricService(ROUTER_METRICS.queuedRequests.name, { statistic: cloudwatch.Stats.MAXIMUM, ...props });
  }

  public metricThrottles(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metricService(REQUEST_METRICS.throttles.name, props);
  }

  public metricStreamErrors(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metricService(REQUEST_METRICS.streamErrors.name, props);
  }

  public metricHandoffFallbacks(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metricService(REQUEST_METRICS.handoffFallbacks.name, props);
  }

  public metricInputTokens(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metricService(REQUEST_METRICS.inputTokens.name, props);
  }

  public metricOutputTokens(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metricService(REQUEST_METRICS.outputTokens.name, props);
  }

  public metricUnsharedLimits(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metricService(ROUTER_METRICS.limitedAlone.name, props);
  }

  public metricHealthyEndpoints(engineName: string, props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metricService(TARGET_METRICS.healthyEndpoints.name, {
      statistic: cloudwatch.Stats.MINIMUM, ...props, dimensionsMap: { [TARGET_DIMENSION]: engineName, ...props?.dimensionsMap },
    });
  }
}
