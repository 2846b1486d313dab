import {
  Annotations, Duration, aws_autoscaling as autoscaling, aws_cloudwatch as cloudwatch, aws_ec2 as ec2, aws_ecs as ecs, aws_iam as iam,
  aws_logs as logs, aws_servicediscovery as servicediscovery,
} from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { apiPort, kvConnector } from './engine/vllm-command';
import { EngineTask } from './engine-task';
import { FleetInstances, defaultRootVolumeSize } from './fleet-instances';
import { grantKey } from './fleet-key';
import { fleetProblems, idleCoresWarning } from './fleet-problems';
import { trainiumPoolSpec } from './pool-spec';
import { ITrainiumFleet, TrainiumFleetProps } from './trainium-fleet';
import { EngineEndpoint, EngineRole } from '../decode';
import { dnsLabel } from '../dns-label';
import { encryptedLogs } from '../encrypted-logs';
import { PoolSpec } from '../estimator';
import { IEfaPlacementGroup } from '../network';
import { Problems } from '../problems';
import { InferenceRules } from '../validation';

/**
 * What the fleets have in common: EC2 instances in an Auto Scaling group, with all of their EFA bandwidth, each of which runs one engine as a task
 * of an ECS service; SRV records list the engines.
 *
 * @internal
 */
export abstract class TrainiumFleetBase extends Construct implements ITrainiumFleet {
  public readonly efa: IEfaPlacementGroup;
  public readonly poolSpec: PoolSpec;
  public readonly endpoint: EngineEndpoint;
  public readonly cluster: ecs.Cluster;
  public readonly service: ecs.Ec2Service;
  public readonly taskDefinition: ecs.Ec2TaskDefinition;
  public readonly autoScalingGroup: autoscaling.AutoScalingGroup;
  public readonly launchTemplate: ec2.LaunchTemplate;
  public readonly logGroup: logs.ILogGroup;

  public readonly taskRole: iam.IRole;

  /** Role of the instances. */
  public readonly instanceRole: iam.IRole;

  /** The instances' security group for the engines' API. Traffic between engines is in the group of `efa`. */
  public readonly connections: ec2.Connections;

  public readonly grantPrincipal: iam.IPrincipal;

  /**
   * @param role what the engines do.
   */
  protected constructor(scope: Construct, id: string, role: EngineRole, props: TrainiumFleetProps) {
    super(scope, id);
    Problems.throwIfAny(fleetProblems(props, role, this.node.path));
    const { efa, model, instanceType, instanceCount, purchase, encryptionKey } = props;
    const engine = props.engine ?? {};
    const user = engine.user ?? '1000:1000';
    const coldStartTimeout = props.coldStartTimeout ?? Duration.minutes(90);
    const pool = trainiumPoolSpec(role, model, props, instanceCount, this.node.path);
    this.poolSpec = pool;
    const idle = idleCoresWarning(model, instanceType, pool.tensorParallelDegree);
    if (idle !== undefined) {
      Annotations.of(this).addWarningV2('cdk-disaggregated-inference:NeuronCoresIdle', idle);
    }
    if (purchase._target !== undefined && purchase.availabilityZone === undefined) {
      Annotations.of(this).addWarningV2('cdk-disaggregated-inference:CapacityZoneUnknown',
        'the Availability Zone of the reserved capacity is not known, so it is not checked that the fleet runs in it (give availabilityZone to the Purchase)');
    }
    if (encryptionKey !== undefined) {
      grantKey(this, encryptionKey);
    }

    this.efa = efa;
    this.cluster = props.cluster ?? new ecs.Cluster(this, 'Cluster', { vpc: efa.vpc, containerInsightsV2: ecs.ContainerInsights.ENABLED });
    this.logGroup = encryptedLogs(this, 'LogGroup', props);
    const securityGroup = new ec2.SecurityGroup(this, 'SecurityGroup', { vpc: efa.vpc, description: `API of the ${role} engines` });
    this.connections = new ec2.Connections({ securityGroups: [securityGroup], defaultPort: ec2.Port.tcp(apiPort(role)) });

    const instances = new FleetInstances(this, 'Instances', {
      efa,
      instanceType,
      instanceCount,
      purchase,
      securityGroup,
      user,
      coldStartTimeout,
      encryptionKey,
      cluster: this.cluster,
      rootVolumeSize: props.rootVolumeSize ?? defaultRootVolumeSize(model),
      machineImage: props.machineImage,
      notificationTopic: props.notificationTopic,
    });
    this.instanceRole = instances.role;
    this.launchTemplate = instances.launchTemplate;
    this.autoScalingGroup = instances.autoScalingGroup;

    const task = new EngineTask(this, 'Task', {
      setup: {
        role,
        model,
        instanceType,
        options: engine,
        tensorParallelDegree: pool.tensorParallelDegree,
        maxConcurrentSequences: pool.maxConcurrentSequences,
        coldStartSeconds: coldStartTimeout.toSeconds(),
      },
      artifacts: props.artifacts,
      logGroup: this.logGroup,
      user,
    });
    this.taskDefinition = task.definition;
    this.taskRole = task.taskRole;
    this.grantPrincipal = task.taskRole.grantPrincipal;

    const discoveryName = dnsLabel(this);
    const namespace = props.discoveryNamespace ?? new servicediscovery.PrivateDnsNamespace(this, 'Namespace', {
      vpc: efa.vpc,
      name: `${discoveryName}.internal`,
    });
    this.service = new ecs.Ec2Service(this, 'Service', {
      cluster: this.cluster,
      taskDefinition: task.definition,
      desiredCount: instanceCount,
      capacityProviderStrategies: [{ capacityProvider: instances.capacityProvider.capacityProviderName, weight: 1 }],
      // devices and ports of an instance are one engine's: the old one goes before the new one comes.
      placementConstraints: [ecs.PlacementConstraint.distinctInstances()],
      minHealthyPercent: 0,
      maxHealthyPercent: 100,
      availabilityZoneRebalancing: ecs.AvailabilityZoneRebalancing.DISABLED,
      circuitBreaker: { enable: true, rollback: true },
      enableECSManagedTags: true,
      propagateTags: ecs.PropagatedTagSource.SERVICE,
      cloudMapOptions: {
        cloudMapNamespace: namespace,
        name: discoveryName,
        // ECS registers nothing else for tasks in the host's network.
        dnsRecordType: servicediscovery.DnsRecordType.SRV,
        dnsTtl: Duration.seconds(10),
        container: task.engine,
        containerPort: apiPort(role),
      },
    });
    // ECS refuses a service whose capacity provider is not yet associated with the cluster; the association is below the cluster.
    this.service.node.addDependency(instances, this.cluster);

    this.endpoint = EngineEndpoint.openai({
      name: this.node.id,
      role,
      modelName: engine.servedModelName ?? model.id,
      discoverySrvName: `${discoveryName}.${namespace.namespaceName}`,
      port: apiPort(role),
      connections: this.connections,
      kvConnector: kvConnector(role, model),
      kvBlockTokens: engine.blockSizeTokens,
      metricsPath: '/metrics',
    });
    InferenceRules.checkOnSynth(this);
  }

  /**
   * The network alone decides who calls an engine: nothing is granted. Let callers in with `connections`.
   */
  public grantInvoke(grantee: iam.IGrantable): iam.Grant {
    return iam.Grant.drop(grantee, 'the engines are reached over the network, without IAM');
  }

  public metric(metricName: string, props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.service.metric(metricName, props);
  }

  public metricCpuUtilization(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.service.metricCpuUtilization(props);
  }

  public metricMemoryUtilization(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.service.metricMemoryUtilization(props);
  }

  public metricInstancesInService(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return new cloudwatch.Metric({
      namespace: 'AWS/AutoScaling',
      metricName: 'GroupInServiceInstances',
      dimensionsMap: { AutoScalingGroupName: this.autoScalingGroup.autoScalingGroupName },
      statistic: cloudwatch.Stats.MINIMUM,
      ...props,
    }).attachTo(this);
  }
}
