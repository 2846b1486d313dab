import {
  Duration, Size, Stack, aws_autoscaling as autoscaling, aws_ec2 as ec2, aws_ecs as ecs, aws_iam as iam, aws_kms as kms, aws_sns as sns,
} from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { NeuronInstanceType } from '../hardware';
import { ModelArchitecture } from '../model';
import { ClusterPlacement, EfaInterfaces, IEfaPlacementGroup } from '../network';
import { Purchase } from './purchase';
import { PurchasedCapacity } from './purchased-capacity';

/** where model files and compiled artifacts live on an instance. */
export const HOST_DIRECTORY = '/var/lib/disaggregated-inference';

/** the least root volume that Neuron's setup guides ask for on Trainium, in GiB. */
const LEAST_ROOT_VOLUME_GIB = 512;

/** room on the root volume beside the weights: operating system, engine image and compiled artifacts, in GiB. */
const ROOT_VOLUME_HEADROOM_GIB = 256;

const GIB = 2 ** 30;

/** what `FleetInstances` needs. */
export interface FleetInstancesProps {
  readonly efa: IEfaPlacementGroup;
  readonly instanceType: NeuronInstanceType;
  readonly instanceCount: number;
  readonly purchase: Purchase;
  readonly cluster: ecs.Cluster;
  readonly securityGroup: ec2.ISecurityGroup;
  readonly rootVolumeSize: Size;
  readonly coldStartTimeout: Duration;
  /** owner of the host's directories, as `uid:gid`. */
  readonly user: string;
  readonly machineImage?: ec2.IMachineImage;
  readonly encryptionKey?: kms.IKey;
  readonly notificationTopic?: sns.ITopic;
}

/** The default root volume: weights in bf16 beside everything else. */
export function defaultRootVolumeSize(model: ModelArchitecture): Size {
  return Size.gibibytes(Math.max(LEAST_ROOT_VOLUME_GIB, ROOT_VOLUME_HEADROOM_GIB + Math.ceil(model.weightBytes('bf16') / GIB)));
}

/**
 * The instances of a fleet: role, launch template, Auto Scaling group and capacity provider.
 */
export class FleetInstances extends Construct {
  public readonly role: iam.Role;
  public readonly launchTemplate: ec2.LaunchTemplate;
  public readonly autoScalingGroup: autoscaling.AutoScalingGroup;
  public readonly capacityProvider: ecs.AsgCapacityProvider;

  constructor(scope: Construct, id: string, props: FleetInstancesProps) {
    super(scope, id);
    this.role = instanceRole(this, props.cluster);
    this.launchTemplate = this.defineLaunchTemplate(props);
    this.autoScalingGroup = this.defineAutoScalingGroup(props);
    this.capacityProvider = new ecs.AsgCapacityProvider(this, 'CapacityProvider', {
      autoScalingGroup: this.autoScalingGroup,
      // protected instances with tasks would hang rolling updates and the removal of the stack; draining lets their streams end.
      enableManagedTerminationProtection: false,
      enableManagedDraining: true,
    });
    props.cluster.addAsgCapacityProvider(this.capacityProvider);

    // the engines go with their instances, which ECS drains.
    const scaleInAt = props.purchase._scaleInAt(props.instanceType);
    if (scaleInAt !== undefined) {
      new autoscaling.CfnScheduledAction(this, 'BeforeEnd', {
        autoScalingGroupName: this.autoScalingGroup.autoScalingGroupName,
        startTime: scaleInAt,
        minSize: 0,
        maxSize: 0,
        desiredCapacity: 0,
      });
    }
  }

  private defineLaunchTemplate(props: FleetInstancesProps): ec2.LaunchTemplate {
    const { efa, instanceType, purchase } = props;
    const launchTemplate = new ec2.LaunchTemplate(this, 'LaunchTemplate', {
      instanceType: new ec2.InstanceType(instanceType.name),
      machineImage: props.machineImage ?? ecs.EcsOptimizedImage.amazonLinux2023(ecs.AmiHardwareType.NEURON),
      // the cluster would add an inline policy with wildcards; `instanceRole` says what the agent needs.
      role: this.role.withoutPolicyUpdates(),
      userData: userData(props),
      securityGroup: props.securityGroup,
      requireImdsv2: true,
      // containers are one hop further away.
      httpPutResponseHopLimit: 2,
      ebsOptimized: true,
      detailedMonitoring: true,
      blockDevices: [{
        deviceName: '/dev/xvda',
        volume: ec2.BlockDeviceVolume.ebs(props.rootVolumeSize.toGibibytes(), {
          encrypted: true,
          kmsKey: props.encryptionKey,
          volumeType: ec2.EbsDeviceVolumeType.GP3,
          // the most that gp3 gives: weights are read once at every start.
          iops: 16_000,
          throughput: 1_000,
          deleteOnTermination: true,
        }),
      }],
    });
    launchTemplate.with(new EfaInterfaces({ efa, instanceType }));
    if (purchase.allowsPlacementGroup && instanceType.efa !== undefined) {
      launchTemplate.with(new ClusterPlacement(efa));
    }
    launchTemplate.with(new PurchasedCapacity(purchase));
    return launchTemplate;
  }

  private defineAutoScalingGroup(props: FleetInstancesProps): autoscaling.AutoScalingGroup {
    const { instanceCount, notificationTopic } = props;
    return new autoscaling.AutoScalingGroup(this, 'AutoScalingGroup', {
      vpc: props.efa.vpc,
      vpcSubnets: { subnets: props.efa.subnets },
      launchTemplate: this.launchTemplate,
      minCapacity: instanceCount,
      maxCapacity: instanceCount,
      healthChecks: autoscaling.HealthChecks.ec2({ gracePeriod: props.coldStartTimeout }),
      groupMetrics: [autoscaling.GroupMetrics.all()],
      // bought capacity has no room for a new instance beside the old ones: one leaves before one comes.
      updatePolicy: autoscaling.UpdatePolicy.rollingUpdate({ maxBatchSize: 1, minInstancesInService: instanceCount - 1 }),
      notifications: notificationTopic && [{ topic: notificationTopic, scalingEvents: autoscaling.ScalingEvents.ALL }],
    });
  }
}

function instanceRole(scope: Construct, cluster: ecs.Cluster): iam.Role {
  const role = new iam.Role(scope, 'Role', {
    assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com'),
    description: 'Instances of an inference fleet',
  });
  new iam.ManagedPolicy(scope, 'Policy', {
    description: 'What the ECS agent of an inference fleet needs',
    roles: [role],
    statements: [
      new iam.PolicyStatement({
        actions: [
          'ecs:RegisterContainerInstance', 'ecs:DeregisterContainerInstance',
          'ecs:SubmitAttachmentStateChanges', 'ecs:SubmitContainerStateChange', 'ecs:SubmitTaskStateChange',
        ],
        resources: [cluster.clusterArn],
      }),
      new iam.PolicyStatement({
        actions: ['ecs:Poll', 'ecs:StartTelemetrySession', 'ecs:UpdateContainerInstancesState'],
        resources: [Stack.of(scope).formatArn({ service: 'ecs', resource: 'container-instance', resourceName: `${cluster.clusterName}/*` })],
      }),
      // has no resource to name.
      new iam.PolicyStatement({ actions: ['ecs:DiscoverPollEndpoint'], resources: ['*'] }),
    ],
  });
  return role;
}

function userData(props: FleetInstancesProps): ec2.UserData {
  const [uid, gid] = props.user.split(':');
  const commands = [
    `install -d -o ${uid} -g ${gid} ${HOST_DIRECTORY}/model ${HOST_DIRECTORY}/cache`,
    'echo ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST=true >> /etc/ecs/ecs.config',
    ...(props.purchase.option === 'spot' ? ['echo ECS_ENABLE_SPOT_INSTANCE_DRAINING=true >> /etc/ecs/ecs.config'] : []),
    ...(props.instanceType.efa === undefined ? [] : [
      'modprobe efa',
      // as many pages of 2 MiB as the EFA installer reserves: https://docs.aws.amazon.com/eks/latest/userguide/device-management-efa.html
      'echo vm.nr_hugepages=5128 > /etc/sysctl.d/90-efa-hugepages.conf',
      'sysctl -p /etc/sysctl.d/90-efa-hugepages.conf',
    ]),
  ];
  const data = ec2.UserData.forLinux();
  data.addCommands(...commands);
  return data;
}
