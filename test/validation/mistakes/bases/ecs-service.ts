import { assumedBy, att, efaOnlyInterfaces, fabric, latest, privateNetwork, ref } from './network';
import { Template } from '../../efa-fleet';

const device = (path: string) => ({ HostPath: path, ContainerPath: path, Permissions: ['read', 'write'] });

const autoScalingRole = {
  AWS: { 'Fn::Sub': 'arn:${AWS::Partition}:iam::${AWS::AccountId}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling' },
};

/**
 * Two engines on trn1.32xlarge behind an Application Load Balancer, in private subnets with VPC endpoints: a Capacity Reservation in a
 * cluster placement group, volumes with a key of their own, an Auto Scaling group with a schedule, and its capacity provider.
 */
export function ecsService(): Template {
  return {
    Resources: {
      ...privateNetwork(['ecs', 'ecs-agent', 'ecs-telemetry', 'ecr.api', 'ecr.dkr', 'logs']),
      ...fabric(),
      Key: {
        Type: 'AWS::KMS::Key',
        Properties: {
          EnableKeyRotation: true,
          KeyPolicy: {
            Version: '2012-10-17',
            Statement: [
              { Effect: 'Allow', Principal: { AWS: { 'Fn::Sub': 'arn:${AWS::Partition}:iam::${AWS::AccountId}:root' } }, Action: 'kms:*', Resource: '*' },
              {
                Effect: 'Allow',
                Principal: autoScalingRole,
                Action: ['kms:Encrypt', 'kms:Decrypt', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:DescribeKey', 'kms:CreateGrant'],
                Resource: '*',
              },
            ],
          },
        },
      },
      Placement: { Type: 'AWS::EC2::PlacementGroup', Properties: { Strategy: 'cluster' } },
      Reservation: {
        Type: 'AWS::EC2::CapacityReservation',
        Properties: {
          InstanceType: 'trn1.32xlarge',
          InstancePlatform: 'Linux/UNIX',
          AvailabilityZone: 'us-east-2b',
          InstanceCount: 2,
          InstanceMatchCriteria: 'targeted',
          PlacementGroupArn: { 'Fn::Sub': 'arn:${AWS::Partition}:ec2:${AWS::Region}:${AWS::AccountId}:placement-group/${Placement}' },
        },
      },
      InstanceRole: {
        Type: 'AWS::IAM::Role',
        Properties: {
          AssumeRolePolicyDocument: assumedBy('ec2.amazonaws.com'),
          ManagedPolicyArns: ['arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role'],
        },
      },
      InstanceProfile: { Type: 'AWS::IAM::InstanceProfile', Properties: { Roles: [ref('InstanceRole')] } },
      LaunchTemplate: {
        Type: 'AWS::EC2::LaunchTemplate',
        Properties: {
          LaunchTemplateData: {
            InstanceType: 'trn1.32xlarge',
            ImageId: 'resolve:ssm:/aws/service/ecs/optimized-ami/amazon-linux-2023/neuron/recommended/image_id',
            IamInstanceProfile: { Arn: att('InstanceProfile', 'Arn') },
            MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 2 },
            BlockDeviceMappings: [{
              DeviceName: '/dev/xvda',
              Ebs: { VolumeSize: 512, VolumeType: 'gp3', Encrypted: true, KmsKeyId: att('Key', 'Arn'), DeleteOnTermination: true },
            }],
            UserData: { 'Fn::Base64': { 'Fn::Sub': '#!/bin/bash\necho ECS_CLUSTER=${Cluster} >> /etc/ecs/ecs.config\n' } },
            Placement: { GroupName: ref('Placement') },
            CapacityReservationSpecification: { CapacityReservationTarget: { CapacityReservationId: ref('Reservation') } },
            NetworkInterfaces: efaOnlyInterfaces(8),
          },
        },
      },
      Group: {
        Type: 'AWS::AutoScaling::AutoScalingGroup',
        Properties: {
          MinSize: '0',
          DesiredCapacity: '2',
          MaxSize: '2',
          VPCZoneIdentifier: [ref('Subnet')],
          NewInstancesProtectedFromScaleIn: true,
          InstanceMaintenancePolicy: { MinHealthyPercentage: 50, MaxHealthyPercentage: 100 },
          LaunchTemplate: { LaunchTemplateId: ref('LaunchTemplate'), Version: latest('LaunchTemplate') },
        },
      },
      Working: {
        Type: 'AWS::AutoScaling::ScheduledAction',
        Properties: {
          AutoScalingGroupName: ref('Group'),
          MinSize: 1,
          DesiredCapacity: 2,
          MaxSize: 2,
          Recurrence: '0 8 * * 1-5',
          StartTime: '2030-01-07T08:00:00Z',
          EndTime: '2030-06-28T18:00:00Z',
        },
      },
      Cluster: { Type: 'AWS::ECS::Cluster', Properties: {} },
      CapacityProvider: {
        Type: 'AWS::ECS::CapacityProvider',
        Properties: {
          AutoScalingGroupProvider: {
            AutoScalingGroupArn: ref('Group'),
            ManagedScaling: { Status: 'ENABLED', TargetCapacity: 100 },
            ManagedTerminationProtection: 'ENABLED',
          },
        },
      },
      Association: {
        Type: 'AWS::ECS::ClusterCapacityProviderAssociations',
        Properties: { Cluster: ref('Cluster'), CapacityProviders: [ref('CapacityProvider')], DefaultCapacityProviderStrategy: [] },
      },
      Task: {
        Type: 'AWS::ECS::TaskDefinition',
        Properties: {
          NetworkMode: 'host',
          RequiresCompatibilities: ['EC2'],
          RuntimePlatform: { CpuArchitecture: 'X86_64', OperatingSystemFamily: 'LINUX' },
          ContainerDefinitions: [{
            Name: 'engine',
            Image: 'public.ecr.aws/neuron/pytorch-inference-vllm-neuronx:0.16.0-neuronx-py312-sdk2.29.0-ubuntu24.04',
            Essential: true,
            Command: ['vllm', 'serve', 'meta-llama/Llama-3.3-70B-Instruct', '--tensor-parallel-size', '32', '--max-model-len', '16384', '--port', '8000'],
            MemoryReservation: 262144,
            PortMappings: [{ ContainerPort: 8000, HostPort: 8000 }],
            LinuxParameters: {
              Devices: [
                ...Array.from({ length: 16 }, (_, index) => device(`/dev/neuron${index}`)),
                ...Array.from({ length: 8 }, (_, index) => device(`/dev/infiniband/uverbs${index}`)),
              ],
            },
            Ulimits: [{ Name: 'memlock', SoftLimit: -1, HardLimit: -1 }],
          }],
        },
      },
      Service: {
        Type: 'AWS::ECS::Service',
        DependsOn: ['Association', 'Listener'],
        Properties: {
          Cluster: ref('Cluster'),
          TaskDefinition: ref('Task'),
          DesiredCount: 2,
          CapacityProviderStrategy: [{ CapacityProvider: ref('CapacityProvider'), Weight: 1 }],
          PlacementConstraints: [{ Type: 'distinctInstance' }],
          DeploymentConfiguration: { MinimumHealthyPercent: 50, MaximumPercent: 100 },
          AvailabilityZoneRebalancing: 'DISABLED',
          LoadBalancers: [{ ContainerName: 'engine', ContainerPort: 8000, TargetGroupArn: ref('Targets') }],
          HealthCheckGracePeriodSeconds: 5400,
        },
      },
      BalancerSecurityGroup: { Type: 'AWS::EC2::SecurityGroup', Properties: { GroupDescription: 'Callers', VpcId: ref('Vpc') } },
      Balancer: {
        Type: 'AWS::ElasticLoadBalancingV2::LoadBalancer',
        Properties: {
          Type: 'application',
          Scheme: 'internal',
          Subnets: [ref('Subnet'), ref('OtherZoneSubnet')],
          SecurityGroups: [att('BalancerSecurityGroup', 'GroupId')],
          LoadBalancerAttributes: [
            { Key: 'idle_timeout.timeout_seconds', Value: '600' },
            { Key: 'routing.http.drop_invalid_header_fields.enabled', Value: 'true' },
          ],
        },
      },
      Targets: {
        Type: 'AWS::ElasticLoadBalancingV2::TargetGroup',
        Properties: { VpcId: ref('Vpc'), Port: 8000, Protocol: 'HTTP', TargetType: 'instance', HealthCheckPath: '/health' },
      },
      Listener: {
        Type: 'AWS::ElasticLoadBalancingV2::Listener',
        Properties: { LoadBalancerArn: ref('Balancer'), Port: 80, Protocol: 'HTTP', DefaultActions: [{ Type: 'forward', TargetGroupArn: ref('Targets') }] },
      },
    },
  } as Template;
}
