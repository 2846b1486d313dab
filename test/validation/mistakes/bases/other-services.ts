import { assumedBy, att, efaOnlyInterfaces, fabric, latest, ref } from './network';
import { Template } from '../../efa-fleet';

/** Trainium in AWS Batch and on Managed Instances of Amazon ECS, and a Capacity Block of P5 in AWS PCS. */
export function otherServices(): Template {
  const metadataOptions = { HttpTokens: 'required', HttpPutResponseHopLimit: 2 };
  const volumes = [{ DeviceName: '/dev/xvda', Ebs: { VolumeSize: 200, VolumeType: 'gp3', Encrypted: true } }];
  const environment = (resources: object) => ({
    Type: 'AWS::Batch::ComputeEnvironment',
    Properties: {
      Type: 'MANAGED',
      State: 'ENABLED',
      ComputeResources: {
        Type: 'EC2',
        MaxvCpus: 128,
        Subnets: [ref('Subnet')],
        InstanceRole: 'arn:aws:iam::123456789012:instance-profile/ecsInstanceRole',
        Ec2Configuration: [{ ImageType: 'ECS_AL2023', ImageIdOverride: 'ami-0123456789abcdef0' }],
        ...resources,
      },
    },
  });
  const policy = (name: string) => [`arn:aws:iam::aws:policy/${name}`];
  const network = { Subnets: [ref('Subnet')], SecurityGroups: [att('ServiceSecurityGroup', 'GroupId')] };
  return {
    Resources: {
      Vpc: { Type: 'AWS::EC2::VPC', Properties: { CidrBlock: '10.0.0.0/16' } },
      Subnet: { Type: 'AWS::EC2::Subnet', Properties: { VpcId: ref('Vpc'), CidrBlock: '10.0.0.0/20', AvailabilityZone: 'us-east-2b' } },
      ...fabric(),
      Placement: { Type: 'AWS::EC2::PlacementGroup', Properties: { Strategy: 'cluster' } },
      BatchTemplate: {
        Type: 'AWS::EC2::LaunchTemplate',
        Properties: { LaunchTemplateData: { MetadataOptions: metadataOptions, BlockDeviceMappings: volumes, NetworkInterfaces: efaOnlyInterfaces(2) } },
      },
      TrainingEnvironment: environment({
        InstanceTypes: ['trn1.32xlarge'],
        PlacementGroup: ref('Placement'),
        LaunchTemplate: { LaunchTemplateId: ref('BatchTemplate'), Version: latest('BatchTemplate') },
      }),
      CompilingEnvironment: environment({ InstanceTypes: ['trn1.2xlarge'], SecurityGroupIds: [att('ServiceSecurityGroup', 'GroupId')] }),
      Job: {
        Type: 'AWS::Batch::JobDefinition',
        Properties: {
          Type: 'multinode',
          NodeProperties: {
            MainNode: 0,
            NumNodes: 2,
            NodeRangeProperties: [{
              TargetNodes: '0:',
              Container: {
                Image: '123456789012.dkr.ecr.us-east-2.amazonaws.com/training:1',
                ResourceRequirements: [{ Type: 'VCPU', Value: '96' }, { Type: 'MEMORY', Value: '400000' }],
                LinuxParameters: {
                  Devices: [{ HostPath: '/dev/infiniband/uverbs0', ContainerPath: '/dev/infiniband/uverbs0', Permissions: ['READ', 'WRITE', 'MKNOD'] }],
                },
              },
            }],
          },
        },
      },
      BlockTemplate: {
        Type: 'AWS::EC2::LaunchTemplate',
        Properties: {
          LaunchTemplateData: {
            InstanceType: 'p5.48xlarge',
            MetadataOptions: metadataOptions,
            BlockDeviceMappings: volumes,
            InstanceMarketOptions: { MarketType: 'capacity-block' },
            CapacityReservationSpecification: { CapacityReservationTarget: { CapacityReservationId: 'cr-0123456789abcdef0' } },
          },
        },
      },
      ComputeNodes: {
        Type: 'AWS::PCS::ComputeNodeGroup',
        Properties: {
          ClusterId: 'pcs_0123456789',
          SubnetIds: [ref('Subnet')],
          AmiId: 'ami-0123456789abcdef0',
          IamInstanceProfileArn: 'arn:aws:iam::123456789012:instance-profile/AWSPCS-nodes',
          ScalingConfiguration: { MinInstanceCount: 0, MaxInstanceCount: 1 },
          InstanceConfigs: [{ InstanceType: 'p5.48xlarge' }],
          PurchaseOption: 'CAPACITY_BLOCK',
          CustomLaunchTemplate: { TemplateId: ref('BlockTemplate'), Version: latest('BlockTemplate') },
        },
      },
      ServiceSecurityGroup: { Type: 'AWS::EC2::SecurityGroup', Properties: { GroupDescription: 'API', VpcId: ref('Vpc') } },
      InstanceRole: {
        Type: 'AWS::IAM::Role',
        Properties: {
          AssumeRolePolicyDocument: assumedBy('ec2.amazonaws.com'), ManagedPolicyArns: policy('AmazonECSInstanceRolePolicyForManagedInstances'),
        },
      },
      InstanceProfile: { Type: 'AWS::IAM::InstanceProfile', Properties: { Roles: [ref('InstanceRole')] } },
      InfrastructureRole: {
        Type: 'AWS::IAM::Role',
        Properties: {
          AssumeRolePolicyDocument: assumedBy('ecs.amazonaws.com'), ManagedPolicyArns: policy('AmazonECSInfrastructureRolePolicyForManagedInstances'),
        },
      },
      Cluster: { Type: 'AWS::ECS::Cluster', Properties: {} },
      ManagedInstances: {
        Type: 'AWS::ECS::CapacityProvider',
        Properties: {
          ClusterName: ref('Cluster'),
          ManagedInstancesProvider: {
            InfrastructureRoleArn: att('InfrastructureRole', 'Arn'),
            InstanceLaunchTemplate: {
              Ec2InstanceProfileArn: att('InstanceProfile', 'Arn'),
              NetworkConfiguration: network,
              InstanceRequirements: { VCpuCount: { Min: 8 }, MemoryMiB: { Min: 32768 }, AllowedInstanceTypes: ['trn1.32xlarge'] },
            },
          },
        },
      },
      ManagedTask: {
        Type: 'AWS::ECS::TaskDefinition',
        Properties: {
          NetworkMode: 'awsvpc',
          RequiresCompatibilities: ['MANAGED_INSTANCES'],
          Cpu: '8192',
          Memory: '16384',
          ContainerDefinitions: [{
            Name: 'engine',
            Image: 'public.ecr.aws/neuron/pytorch-inference-vllm-neuronx:0.16.0-neuronx-py312-sdk2.29.0-ubuntu24.04',
            Essential: true,
            Command: ['vllm', 'serve', '/model', '--tensor-parallel-size', '32', '--port', '8000'],
            PortMappings: [{ ContainerPort: 8000, HostPort: 8000 }],
            ResourceRequirements: [{ Type: 'NeuronDevice', Value: 'ALL' }],
          }],
        },
      },
      ManagedService: {
        Type: 'AWS::ECS::Service',
        Properties: {
          Cluster: ref('Cluster'),
          TaskDefinition: ref('ManagedTask'),
          DesiredCount: 2,
          CapacityProviderStrategy: [{ CapacityProvider: ref('ManagedInstances'), Weight: 1 }],
          DeploymentConfiguration: { MinimumHealthyPercent: 0, MaximumPercent: 100 },
          AvailabilityZoneRebalancing: 'DISABLED',
          NetworkConfiguration: { AwsvpcConfiguration: network },
        },
      },
    },
  };
}
