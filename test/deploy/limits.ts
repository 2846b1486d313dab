import { EmulatorName } from './emulators';

export type MadeBy = 'CloudFormation' | 'API';

/**
 * What an emulator does not do with the templates of the examples.
 *
 * `removed` and `lost` are checked: what is not on them fails the test, and so does an entry that is not true (any more).
 * What no emulator does at all: check EFA. Both take any interface type, card and group on any instance type, and a security group that
 * does not let EFA through. The rules of this library do that, and nothing here stands in for them.
 */
export interface Limits {
  /** Types that CloudFormation does not make, so that they are left out of the template: each with the reason, and whether references to it get a name or an ARN. */
  readonly removed: Record<string, { readonly reason: string; readonly reference: 'name' | 'ARN' }>;
  /** Types that are made by the service's own API, because CloudFormation does not make them, or once more, because it forgets properties. */
  readonly madeByApi: string[];
  /** Properties that are added to a type, because the emulator does not make up what AWS does. */
  readonly added: Record<string, (logicalId: string) => Record<string, unknown>>;
  /** `Type.Attribute` that `Fn::GetAtt` does not know, and what it is of a physical id. */
  readonly attributes: Record<string, (ref: string) => string>;
  /** Properties that are not answered as they were given, by who made them and type. */
  readonly lost: Record<MadeBy, Record<string, string[]>>;
}

/** What is seen in no emulator, by type and path, with the reason. A type that none makes has the path `*`. */
export const SEEN_NOWHERE: Record<string, Record<string, string>> = {
  'AWS::AutoScaling::AutoScalingGroup': {
    MetricsCollection: 'neither CloudFormation reads it',
  },
  'AWS::EC2::EIP': {
    'Tags[*]': 'moto does not read it, and ministack makes none',
  },
  'AWS::EC2::NatGateway': {
    'Tags[*]': 'moto does not read it, and ministack makes none',
  },
  'AWS::EC2::SecurityGroupIngress': {
    Description: 'moto keeps it for address ranges only, and ministack makes none',
  },
  'AWS::ECS::Service': {
    AvailabilityZoneRebalancing: 'unknown to both, to the API as well',
    PlacementConstraints: 'unknown to both, to the API as well',
  },
  'AWS::EKS::Cluster': {
    'ComputeConfig': 'ministack does not know EKS Auto Mode, and moto makes no cluster',
    'KubernetesNetworkConfig.ElasticLoadBalancing': 'part of EKS Auto Mode',
    'StorageConfig': 'part of EKS Auto Mode',
  },
};

const SKIPPED = { reason: 'moto skips it and reports success', reference: 'ARN' } as const;
const REFUSED = { reason: 'ministack refuses a template with it: an unrecognized resource type', reference: 'ARN' } as const;

export const LIMITS: Record<EmulatorName, Limits> = {
  moto: {
    removed: {
      'AWS::ApplicationAutoScaling::ScalableTarget': SKIPPED,
      'AWS::ApplicationAutoScaling::ScalingPolicy': SKIPPED,
      'AWS::EC2::PlacementGroup': { ...SKIPPED, reference: 'name' },
      'AWS::EC2::SecurityGroupEgress': SKIPPED,
      'AWS::ECS::CapacityProvider': { ...SKIPPED, reference: 'name' },
      'AWS::ECS::ClusterCapacityProviderAssociations': SKIPPED,
      'AWS::EKS::Cluster': SKIPPED,
      'AWS::EKS::Nodegroup': SKIPPED,
      'AWS::SecretsManager::Secret': SKIPPED,
      'AWS::ServiceDiscovery::PrivateDnsNamespace': SKIPPED,
      'AWS::ServiceDiscovery::Service': SKIPPED,
    },
    madeByApi: [
      'AWS::ApplicationAutoScaling::ScalableTarget',
      'AWS::ApplicationAutoScaling::ScalingPolicy',
      'AWS::EC2::SecurityGroupEgress',
      'AWS::ECS::CapacityProvider',
      'AWS::ECS::ClusterCapacityProviderAssociations',
    ],
    added: {
      'AWS::SSM::Parameter': (logicalId) => ({ Name: logicalId }),
    },
    attributes: {
      'AWS::ElasticLoadBalancingV2::TargetGroup.TargetGroupFullName': (ref) => ref.split(':').pop()!,
    },
    lost: {
      API: {},
      // its CloudFormation reads a fixed list of properties of each type, and these are not on it, but for those with a reason of their own.
      CloudFormation: {
        'AWS::AutoScaling::AutoScalingGroup': ['MetricsCollection'],
        'AWS::EC2::EIP': ['Tags[*]'],
        'AWS::EC2::InternetGateway': ['Tags[*]'],
        'AWS::EC2::NatGateway': ['Tags[*]'],
        'AWS::EC2::RouteTable': ['Tags[*]'],
        // every group has the default rule, whatever the template says.
        'AWS::EC2::SecurityGroup': [
          'SecurityGroupEgress[*].Description',
          'SecurityGroupEgress[*].FromPort',
          'SecurityGroupEgress[*].IpProtocol',
          'SecurityGroupEgress[*].ToPort',
        ],
        // kept with address ranges, not with groups.
        'AWS::EC2::SecurityGroupIngress': ['Description'],
        'AWS::EC2::Subnet': ['MapPublicIpOnLaunch'],
        // made, and not among the associations of its route table.
        'AWS::EC2::SubnetRouteTableAssociation': ['RouteTableId', 'SubnetId'],
        'AWS::EC2::VPC': ['EnableDnsHostnames'],
        'AWS::EC2::VPCEndpoint': ['Tags[*]'],
        'AWS::ECS::Cluster': ['ClusterSettings[*].Value'],
        // of a service it reads the cluster, the task definition and the count.
        'AWS::ECS::Service': [
          'AvailabilityZoneRebalancing',
          'CapacityProviderStrategy',
          'DeploymentConfiguration',
          'EnableECSManagedTags',
          'HealthCheckGracePeriodSeconds',
          'LaunchType',
          'LoadBalancers',
          'NetworkConfiguration.AwsvpcConfiguration',
          'PlacementConstraints',
          'PropagateTags',
          'ServiceRegistries',
        ],
        // of a task definition it reads the containers and the volumes.
        'AWS::ECS::TaskDefinition': ['Cpu', 'ExecutionRoleArn', 'NetworkMode', 'RequiresCompatibilities', 'RuntimePlatform', 'TaskRoleArn'],
        'AWS::ElasticLoadBalancingV2::LoadBalancer': ['LoadBalancerAttributes[*]'],
        'AWS::ElasticLoadBalancingV2::TargetGroup': ['TargetGroupAttributes[*]'],
        'AWS::IAM::Role': ['ManagedPolicyArns'],
      },
    },
  },
  ministack: {
    removed: {
      'AWS::ApplicationAutoScaling::ScalableTarget': REFUSED,
      'AWS::ApplicationAutoScaling::ScalingPolicy': REFUSED,
      'AWS::EC2::EIP': REFUSED,
      'AWS::EC2::FlowLog': REFUSED,
      'AWS::EC2::NatGateway': REFUSED,
      'AWS::EC2::PlacementGroup': { ...REFUSED, reference: 'name' },
      'AWS::EC2::SecurityGroupEgress': REFUSED,
      'AWS::EC2::SecurityGroupIngress': REFUSED,
      'AWS::ECS::CapacityProvider': { ...REFUSED, reference: 'name' },
      'AWS::ECS::ClusterCapacityProviderAssociations': REFUSED,
    },
    madeByApi: [
      'AWS::EC2::PlacementGroup',
      'AWS::ECS::TaskDefinition',
      'AWS::ECS::Service',
      'AWS::EKS::Nodegroup',
    ],
    added: {},
    attributes: {},
    lost: {
      // unknown to its API.
      API: {
        'AWS::ECS::Service': ['AvailabilityZoneRebalancing', 'PlacementConstraints'],
        'AWS::EKS::Nodegroup': ['LaunchTemplate'],
      },
      // not read, but for those with a reason of their own.
      CloudFormation: {
        'AWS::AutoScaling::AutoScalingGroup': ['MetricsCollection'],
        'AWS::EC2::LaunchTemplate': [
          'LaunchTemplateData.CapacityReservationSpecification',
          'LaunchTemplateData.InstanceMarketOptions',
          'LaunchTemplateData.NetworkInterfaces[*].DeleteOnTermination',
          'LaunchTemplateData.NetworkInterfaces[*].Groups',
          'LaunchTemplateData.NetworkInterfaces[*].InterfaceType',
          'LaunchTemplateData.NetworkInterfaces[*].NetworkCardIndex',
          'LaunchTemplateData.Placement',
        ],
        'AWS::ECS::Service': [
          'AvailabilityZoneRebalancing',
          'EnableECSManagedTags',
          'HealthCheckGracePeriodSeconds',
          'PlacementConstraints',
          'PropagateTags',
          'ServiceRegistries',
        ],
        // below the first level of a container and in volumes it answers with CloudFormation's capitals, which no SDK reads.
        'AWS::ECS::TaskDefinition': [
          'ContainerDefinitions[*].DependsOn[*].Condition',
          'ContainerDefinitions[*].DependsOn[*].ContainerName',
          'ContainerDefinitions[*].HealthCheck.Command',
          'ContainerDefinitions[*].HealthCheck.Interval',
          'ContainerDefinitions[*].HealthCheck.Retries',
          'ContainerDefinitions[*].HealthCheck.StartPeriod',
          'ContainerDefinitions[*].HealthCheck.Timeout',
          'ContainerDefinitions[*].LinuxParameters.Capabilities',
          'ContainerDefinitions[*].LinuxParameters.Devices',
          'ContainerDefinitions[*].LinuxParameters.InitProcessEnabled',
          'ContainerDefinitions[*].LinuxParameters.SharedMemorySize',
          'ContainerDefinitions[*].Secrets[*].Name',
          'ContainerDefinitions[*].Secrets[*].ValueFrom',
          'ContainerDefinitions[*].Ulimits[*].HardLimit',
          'ContainerDefinitions[*].Ulimits[*].Name',
          'ContainerDefinitions[*].Ulimits[*].SoftLimit',
          'RuntimePlatform',
          'Volumes[*].Host',
          'Volumes[*].Name',
        ],
        // parts of EKS Auto Mode.
        'AWS::EKS::Cluster': ['ComputeConfig', 'KubernetesNetworkConfig.ElasticLoadBalancing', 'StorageConfig'],
        'AWS::EKS::Nodegroup': ['CapacityType'],
      },
    },
  },
};
