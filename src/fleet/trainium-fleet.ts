import {
  Duration, RemovalPolicy, Size, aws_autoscaling as autoscaling, aws_cloudwatch as cloudwatch, aws_ec2 as ec2, aws_ecs as ecs, aws_iam as iam,
  aws_kms as kms, aws_logs as logs, aws_servicediscovery as servicediscovery, aws_sns as sns,
} from 'aws-cdk-lib';
import { NeuronVllmEngine } from './engine/neuron-vllm-engine';
import { ModelArtifacts } from './model-artifacts';
import { Purchase } from './purchase';
import { IInferenceTarget } from '../decode';
import { PoolSpec } from '../estimator';
import { NeuronInstanceType } from '../hardware';
import { ModelArchitecture } from '../model';
import { IEfaPlacementGroup } from '../network';

/**
 * Instances with AWS Neuron chips that run one engine each.
 */
export interface ITrainiumFleet extends IInferenceTarget, ec2.IConnectable, iam.IGrantable {
  /** Where the instances run. */
  readonly efa: IEfaPlacementGroup;

  /** The pool, as the estimator reads it. */
  readonly poolSpec: PoolSpec;

  /** The ECS service that runs the engines. */
  readonly service: ecs.Ec2Service;

  /** The instances. */
  readonly autoScalingGroup: autoscaling.AutoScalingGroup;

  /** How the instances are launched. */
  readonly launchTemplate: ec2.LaunchTemplate;

  /** Role of the engines. */
  readonly taskRole: iam.IRole;

  /** The engines' logs. */
  readonly logGroup: logs.ILogGroup;

  /** A metric of the ECS service, in namespace `AWS/ECS`. */
  metric(metricName: string, props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * CPU utilisation of the engines, in percent of their reservation.
   *
   * @default average over 5 minutes
   */
  metricCpuUtilization(props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Memory utilisation of the engines, in percent of their reservation.
   *
   * @default average over 5 minutes
   */
  metricMemoryUtilization(props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Instances in service, a count.
   *
   * @default minimum over 5 minutes
   */
  metricInstancesInService(props?: cloudwatch.MetricOptions): cloudwatch.Metric;
}

/**
 * What a pool of instances is, whatever service it works for.
 */
export interface TrainiumPoolOptions {
  /** The instance type. */
  readonly instanceType: NeuronInstanceType;

  /** How the instances are bought. */
  readonly purchase: Purchase;

  /**
   * The engine.
   *
   * @default - vLLM of the AWS Neuron Deep Learning Container with the defaults of `NeuronVllmEngine`
   */
  readonly engine?: NeuronVllmEngine;

  /**
   * The machine image. It has to run the ECS agent, the Neuron driver and, for EFA, the EFA driver, with `/dev/xvda` as root device.
   *
   * @default - the newest ECS-optimized Amazon Linux 2023 (Neuron) image, by its SSM parameter
   */
  readonly machineImage?: ec2.IMachineImage;

  /**
   * Size of the root volume, which holds the weights, the engine's image and what it compiles.
   *
   * @default - the weights in bf16 and 256 GiB, 512 GiB at least
   */
  readonly rootVolumeSize?: Size;

  /**
   * The longest that an engine may take from its start until it is ready: download, compilation and warm-up.
   *
   * @default Duration.minutes(90)
   */
  readonly coldStartTimeout?: Duration;

  /**
   * Topic for the launches and terminations of instances, failed ones included.
   *
   * @default - nobody is told
   */
  readonly notificationTopic?: sns.ITopic;
}

/**
 * What the pools of one service have in common.
 */
export interface TrainiumServingProps {
  /** Where the instances run. Fleets that hand KV caches to each other share it. */
  readonly efa: IEfaPlacementGroup;

  /** The model. */
  readonly model: ModelArchitecture;

  /** The model's files. */
  readonly artifacts: ModelArtifacts;

  /**
   * The cluster. It has to be defined in the app, because a capacity provider is added to it.
   *
   * @default - a cluster of its own, with Container Insights
   */
  readonly cluster?: ecs.Cluster;

  /**
   * A DNS namespace that the VPC resolves, in which the engines are listed.
   *
   * @default - a private DNS namespace of its own
   */
  readonly discoveryNamespace?: servicediscovery.INamespace;

  /**
   * Key of the root volumes and the logs. Its policy is extended for Amazon EC2 Auto Scaling and CloudWatch Logs if it is defined in the app.
   *
   * @default - keys of AWS
   */
  readonly encryptionKey?: kms.IKey;

  /**
   * How long logs are kept.
   *
   * @default logs.RetentionDays.ONE_MONTH
   */
  readonly logRetention?: logs.RetentionDays;

  /**
   * What happens to the logs when the fleet is removed.
   *
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy;
}

/**
 * Properties of a fleet.
 */
export interface TrainiumFleetProps extends TrainiumPoolOptions, TrainiumServingProps {
  /** Number of instances, 1 or more. */
  readonly instanceCount: number;
}
