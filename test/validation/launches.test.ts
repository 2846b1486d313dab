import { efaFleet, Template } from './efa-fleet';
import { checkTemplates, Finding } from '../../src/validation/check-templates';

type Properties = { [name: string]: any };

interface Case {
  readonly name: string;
  /** Rules of the families below that are broken. */
  readonly rules: string[];
  readonly make: (parts: { template: Template; data: Properties; group: Properties }) => void;
}

const FAMILIES = ['instance-type', 'network-interfaces', 'addresses', 'security-group', 'launch-template', 'machine-image'];
const GROUP_ID = { 'Fn::GetAtt': ['FabricSecurityGroup', 'GroupId'] };
const ECS_IMAGES = '/aws/service/ecs/optimized-ami/amazon-linux-2023';

function findingsOf({ make }: Case): Finding[] {
  const template = efaFleet();
  make({ template, data: template.Resources.LaunchTemplate.Properties.LaunchTemplateData, group: template.Resources.Group.Properties });
  return checkTemplates([{ stack: 'Fleet', region: 'us-east-2', template }]).findings.filter(({ rule }) => FAMILIES.includes(rule.family));
}

function breaks(cases: Case[]): void {
  test.each(cases)('$name breaks $rules', (broken) => {
    expect([...new Set(findingsOf(broken).map(({ rule }) => rule.id))].sort()).toEqual([...broken.rules].sort());
  });
}

/** An instance of its own, with interfaces that are made beside it. */
function instance(template: Template, properties: Properties, ...interfaces: Properties[]): void {
  interfaces.forEach((nic, index) => {
    template.Resources[`Interface${index}`] = {
      Type: 'AWS::EC2::NetworkInterface',
      Properties: { SubnetId: { Ref: 'Subnet' }, GroupSet: [GROUP_ID], ...nic },
    };
  });
  template.Resources.Instance = {
    Type: 'AWS::EC2::Instance',
    Properties: {
      InstanceType: 'trn1.32xlarge',
      NetworkInterfaces: interfaces.map((_, index) => ({ DeviceIndex: `${index}`, NetworkInterfaceId: { Ref: `Interface${index}` } })),
      ...properties,
    },
  };
}

describe('an instance that is launched without a template', () => {
  breaks([
    { name: 'one EFA interface', rules: [], make: ({ template }) => instance(template, {}, { InterfaceType: 'efa' }) },
    {
      name: 'an instance type without EFA',
      rules: ['EfaInstanceTypeUnsupported'],
      make: ({ template }) => instance(template, { InstanceType: 'inf2.xlarge' }, { InterfaceType: 'efa' }),
    },
    {
      name: 'an instance type that does not exist',
      rules: ['NeuronInstanceTypeUnknown'],
      make: ({ template }) => instance(template, { InstanceType: 'trn2.96xlarge' }, {}),
    },
    {
      name: 'two EFA interfaces, which are both on the first network card,',
      rules: ['EfaSeveralOnOneCard'],
      make: ({ template }) => instance(template, {}, { InterfaceType: 'efa' }, { InterfaceType: 'efa-only' }),
    },
    {
      name: 'an EFA-only interface as the primary one',
      rules: ['EfaOnlyPrimary'],
      make: ({ template }) => instance(template, {}, { InterfaceType: 'efa-only' }),
    },
    {
      name: 'an EFA-only interface with an address',
      rules: ['EfaOnlyWithIpAddress'],
      make: ({ template }) => instance(template, {}, {}, { InterfaceType: 'efa-only', PrivateIpAddresses: [{ Primary: true, PrivateIpAddress: '10.0.0.9' }] }),
    },
    {
      name: 'a public address beside a second interface',
      rules: ['PublicIpWithSeveralInterfaces'],
      make: ({ template }) => instance(template, {
        NetworkInterfaces: [{ DeviceIndex: '0', SubnetId: { Ref: 'Subnet' }, AssociatePublicIpAddress: true }, { DeviceIndex: '1', SubnetId: { Ref: 'Subnet' } }],
      }),
    },
    {
      name: 'security groups of the instance beside interfaces',
      rules: ['SecurityGroupsBesideInterfaces'],
      make: ({ template }) => instance(template, { SecurityGroupIds: [GROUP_ID] }, {}),
    },
    {
      name: 'two interfaces in a public subnet',
      rules: ['SeveralInterfacesInPublicSubnet'],
      make: ({ template }) => {
        template.Resources.OtherZoneSubnet.Properties.MapPublicIpOnLaunch = true;
        instance(template, {}, { SubnetId: { Ref: 'OtherZoneSubnet' } }, {});
      },
    },
    { name: 'user data in plain text', rules: ['UserDataNotBase64'], make: ({ template }) => instance(template, { UserData: '#!/bin/sh\nexit' }) },
    {
      name: 'a launch template, whose interfaces it takes,',
      rules: ['EfaInstanceTypeUnsupported'],
      make: ({ template }) => {
        template.Resources.Instance = {
          Type: 'AWS::EC2::Instance',
          Properties: { InstanceType: 'trn1.2xlarge', LaunchTemplate: { LaunchTemplateId: { Ref: 'LaunchTemplate' }, Version: '1' } },
        };
      },
    },
  ]);

  test('is named with paths of its own', () => {
    const make = ({ template }: { template: Template }) => instance(template, { InstanceType: 'trn2.96xlarge', SecurityGroupIds: [GROUP_ID] }, {});
    expect(findingsOf({ name: '', rules: [], make }).map(({ property }) => property)).toEqual(['Properties.InstanceType', 'Properties.SecurityGroupIds']);
  });

  test('has an unknown interface type where the interface is not in the templates', () => {
    const template = efaFleet();
    instance(template, { InstanceType: 'inf2.xlarge', NetworkInterfaces: [{ DeviceIndex: '0', NetworkInterfaceId: 'eni-0123456789abcdef0' }] });
    expect(checkTemplates([{ stack: 'Fleet', template }]).findings).toEqual([]);
  });
});

describe('network interfaces of a launch template', () => {
  breaks([
    { name: 'device index 2 on a card of two', rules: ['NetworkCardInterfaceLimit'], make: ({ data }) => { data.NetworkInterfaces[4].DeviceIndex = 2; } },
    { name: 'a device index as text', rules: [], make: ({ data }) => { data.NetworkInterfaces[4].DeviceIndex = '0'; } },
    { name: 'no device index at all', rules: ['NetworkInterfaceDeviceIndexMissing'], make: ({ data }) => { delete data.NetworkInterfaces[4].DeviceIndex; } },
    {
      name: 'a device index that is not known',
      rules: [],
      make: ({ template, data }) => {
        template.Parameters = { Device: { Type: 'Number' } };
        data.NetworkInterfaces[4].DeviceIndex = { Ref: 'Device' };
      },
    },
    { name: 'interfaces that are no objects', rules: [], make: ({ data }) => { data.NetworkInterfaces = [null, 'eth0', 7, ['eth1']]; } },
    { name: '"false" for DeleteOnTermination', rules: ['NetworkInterfaceKeptAfterTermination'], make: ({ data }) => { data.NetworkInterfaces[9].DeleteOnTermination = 'false'; } },
    {
      name: 'IP properties that say no',
      rules: [],
      make: ({ data }) => {
        Object.assign(data.NetworkInterfaces[9], { AssociatePublicIpAddress: false, PrimaryIpv6: false, Ipv6AddressCount: 0 });
      },
    },
    {
      name: 'a Spot Fleet of a type without EFA',
      rules: ['EfaInstanceTypeUnsupported'],
      make: ({ template }) => {
        template.Resources.SpotFleet = {
          Type: 'AWS::EC2::SpotFleet',
          Properties: {
            SpotFleetRequestConfigData: {
              IamFleetRole: 'arn:aws:iam::123456789012:role/fleet',
              TargetCapacity: 1,
              LaunchTemplateConfigs: [{
                LaunchTemplateSpecification: { LaunchTemplateId: { Ref: 'LaunchTemplate' }, Version: '1' },
                Overrides: [{ InstanceType: 'inf2.xlarge' }],
              }],
            },
          },
        };
      },
    },
  ]);
});

describe('addresses of subnets', () => {
  const resize = (template: Template, range: string) => { template.Resources.Subnet.Properties.CidrBlock = range; };
  breaks([
    // 4 instances of one address and 2 of one address.
    { name: 'a /28 with 11 addresses', rules: [], make: ({ template }) => resize(template, '10.0.0.0/28') },
    {
      name: 'an address too few for two groups of one subnet',
      rules: ['SubnetTooSmall'],
      make: ({ template, group }) => {
        resize(template, '10.0.0.0/28');
        group.MaxSize = '10';
      },
    },
    {
      name: 'a second subnet',
      rules: [],
      make: ({ template, group }) => {
        resize(template, '10.0.0.0/28');
        group.MaxSize = '10';
        group.VPCZoneIdentifier.push({ Ref: 'OtherZoneSubnet' });
      },
    },
    {
      name: 'secondary addresses',
      rules: ['SubnetTooSmall'],
      make: ({ template, data }) => {
        resize(template, '10.0.0.0/28');
        data.NetworkInterfaces[0].SecondaryPrivateIpAddressCount = 2;
      },
    },
    {
      name: 'a range that is not known',
      rules: [],
      make: ({ template, group }) => {
        template.Resources.Subnet.Properties.CidrBlock = { 'Fn::Select': [0, { 'Fn::Cidr': [{ Ref: 'Range' }, 4, 4] }] };
        group.MaxSize = '1000';
      },
    },
  ]);

  test('are said with the groups that share them', () => {
    const [{ message }] = findingsOf({
      name: '',
      rules: [],
      make: ({ template, group }) => {
        resize(template, '10.0.0.0/28');
        group.MaxSize = '10';
      },
    });
    expect(message).toBe('the subnets have 11 addresses, and Group and ReservedGroup may need 12');
  });
});

describe('security groups of EFA interfaces', () => {
  const cluster = (version: unknown) => ({ Type: 'AWS::EKS::Cluster', Properties: { Version: version } });
  const clusterGroup = { 'Fn::GetAtt': ['Cluster', 'ClusterSecurityGroupId'] };

  breaks([
    { name: 'an interface of its own without a group', rules: ['EfaSecurityGroupMissing'], make: ({ template }) => instance(template, {}, { InterfaceType: 'efa', GroupSet: undefined }) },
    {
      name: 'an interface of its own with a group that lets nothing in',
      rules: ['EfaSelfEgressMissing', 'EfaSelfIngressMissing'],
      make: ({ template }) => {
        template.Resources.Closed = { Type: 'AWS::EC2::SecurityGroup', Properties: { GroupDescription: 'closed', VpcId: { Ref: 'Vpc' } } };
        instance(template, {}, { InterfaceType: 'efa', GroupSet: [{ 'Fn::GetAtt': ['Closed', 'GroupId'] }] });
      },
    },
    {
      name: 'a self rule that names its group by name',
      rules: [],
      make: ({ template }) => {
        delete template.Resources.FabricIngress.Properties.GroupId;
        template.Resources.FabricIngress.Properties.GroupName = 'fabric';
      },
    },
  ]);

  test.each([['1.33', true], ['1.40', true], ['1.32', false], [{ Ref: 'Version' }, false]])('Kubernetes %j makes the rules itself: %s', (version, known) => {
    const template = efaFleet();
    template.Parameters = { Version: { Type: 'String' } };
    template.Resources.Cluster = cluster(version);
    for (const nic of template.Resources.LaunchTemplate.Properties.LaunchTemplateData.NetworkInterfaces) {
      nic.Groups = [clusterGroup];
    }
    const { findings, unchecked } = checkTemplates([{ stack: 'Fleet', region: 'us-east-2', template }]);
    expect(findings.filter(({ rule }) => rule.family === 'security-group')).toEqual([]);
    expect(unchecked.some(({ rule }) => rule.id === 'EfaSelfEgressMissing')).toBe(!known);
  });
});

describe('interfaces under a condition that is not known', () => {
  test.each([[0, false], [1, true]])('may hide the primary one, unless it is listed: from card %i', (first, unchecked) => {
    const template = efaFleet();
    const data = template.Resources.LaunchTemplate.Properties.LaunchTemplateData;
    template.Parameters = { Type: { Type: 'String' } };
    template.Mappings = { Cards: { 'trn2.48xlarge': { Several: 'true' } } };
    template.Conditions = { Several: { 'Fn::Equals': [{ 'Fn::FindInMap': ['Cards', { Ref: 'Type' }, 'Several'] }, 'true'] } };
    data.NetworkInterfaces = data.NetworkInterfaces.slice(first)
      .map((nic: Properties) => nic.NetworkCardIndex === first ? nic : { 'Fn::If': ['Several', nic, { Ref: 'AWS::NoValue' }] });
    const result = checkTemplates([{ stack: 'Fleet', region: 'us-east-2', template }]);
    expect(result.findings).toEqual([]);
    expect(result.unchecked.some(({ rule }) => rule.id === 'NetworkInterfacePrimaryMissing')).toBe(unchecked);
  });
});

describe('user data', () => {
  const lines = (count: number) => Array.from({ length: count }, (_, index) => `echo ${index}\n`);
  breaks([
    { name: 'a script in Fn::Base64', rules: [], make: ({ data }) => { data.UserData = { 'Fn::Base64': '#!/bin/sh\nexit' }; } },
    { name: 'a text without Fn::Base64', rules: ['UserDataNotBase64'], make: ({ data }) => { data.UserData = { 'Fn::Join': ['', ['#!/bin/sh\n', 'exit']] }; } },
    { name: 'a secret that is read at deployment', rules: [], make: ({ data }) => { data.UserData = '{{resolve:secretsmanager:boot:SecretString:script}}'; } },
    { name: 'exactly 16 KB', rules: [], make: ({ data }) => { data.UserData = Buffer.alloc(16_384, 'x').toString('base64'); } },
    { name: 'a byte more', rules: ['UserDataTooLarge'], make: ({ data }) => { data.UserData = Buffer.alloc(16_385, 'x').toString('base64'); } },
    { name: 'no text', rules: [], make: ({ data }) => { data.UserData = [7]; } },
    {
      name: 'many lines with a parameter in Fn::Base64',
      rules: ['UserDataTooLarge'],
      make: ({ template, data }) => {
        template.Parameters = { Cluster: { Type: 'String' } };
        data.UserData = { 'Fn::Base64': { 'Fn::Join': ['', [...lines(2_000), { Ref: 'Cluster' }]] } };
      },
    },
    {
      name: 'short lines with a parameter',
      rules: [],
      make: ({ template, data }) => {
        template.Parameters = { Cluster: { Type: 'String' } };
        data.UserData = { 'Fn::Base64': { 'Fn::Join': ['', [...lines(100), { Ref: 'Cluster' }]] } };
      },
    },
  ]);
});

describe('keys of volumes', () => {
  const account = { Effect: 'Allow', Principal: { AWS: '123456789012' }, Action: 'kms:*', Resource: '*' };
  const withKey = (statements: unknown, through = 'Key') => ({ template, data }: { template: Template; data: Properties }) => {
    template.Parameters = { User: { Type: 'String' } };
    template.Resources.Key = { Type: 'AWS::KMS::Key', Properties: { KeyPolicy: { Statement: statements } } };
    template.Resources.Alias = { Type: 'AWS::KMS::Alias', Properties: { AliasName: 'alias/volumes', TargetKeyId: { Ref: 'Key' } } };
    data.BlockDeviceMappings = [{ DeviceName: '/dev/xvda', Ebs: { Encrypted: true, KmsKeyId: { Ref: through } } }];
  };
  const allow = (Principal: unknown) => [account, { Effect: 'Allow', Principal, Action: 'kms:*', Resource: '*' }];

  breaks([
    { name: 'a key for the account', rules: ['VolumeKeyWithoutAutoScaling'], make: withKey([account]) },
    { name: 'an alias of that key', rules: ['VolumeKeyWithoutAutoScaling'], make: withKey([account], 'Alias') },
    {
      name: 'a key for another role and a service',
      rules: ['VolumeKeyWithoutAutoScaling'],
      make: withKey([
        ...allow({ AWS: ['arn:aws:iam::123456789012:role/admin'] }), ...allow({ Service: 'logs.us-east-2.amazonaws.com' }),
      ]),
    },
    {
      name: 'a key that Auto Scaling may use, but make no grants of',
      rules: ['VolumeKeyWithoutAutoScaling'],
      make: withKey([account, { Effect: 'Allow', Principal: { AWS: 'arn:aws:iam::123456789012:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling' }, Action: ['kms:Decrypt', 'kms:DescribeKey'], Resource: '*' }]),
    },
    {
      name: 'a key that something makes a grant of',
      rules: [],
      make: (parts) => {
        withKey([account])(parts);
        parts.template.Resources.Grant = { Type: 'Custom::KmsGrant', Properties: { ServiceToken: 'arn:aws:lambda:us-east-2:123456789012:function:g', KeyId: { Ref: 'Key' } } };
      },
    },
    { name: 'a key that Auto Scaling is denied', rules: ['VolumeKeyWithoutAutoScaling'], make: withKey([account, { Effect: 'Deny', Principal: '*', Action: 'kms:*', Resource: '*' }]) },
    { name: 'a key for anyone', rules: [], make: withKey(allow('*')) },
    { name: 'a key for a user that is not known', rules: [], make: withKey(allow({ AWS: { Ref: 'User' } })) },
    { name: 'a policy that is not known', rules: [], make: withKey({ Ref: 'User' }) },
    { name: 'a key of AWS', rules: [], make: ({ data }) => { data.BlockDeviceMappings = [{ DeviceName: '/dev/xvda', Ebs: { Encrypted: true, KmsKeyId: 'alias/aws/ebs' } }]; } },
  ]);
});

describe('machine images', () => {
  const image = (name: string, device?: string) => ({ data }: { data: Properties }) => {
    data.ImageId = name;
    data.BlockDeviceMappings = device && [{ DeviceName: device, Ebs: { Encrypted: true } }];
  };

  breaks([
    { name: 'an arm64 image by a dynamic reference', rules: ['MachineImageArchitecture'], make: image('{{resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64}}') },
    { name: 'an arm64 image of Kubernetes nodes', rules: ['MachineImageArchitecture'], make: image('resolve:ssm:/aws/service/eks/optimized-ami/1.33/amazon-linux-2023/arm64/standard/recommended/image_id') },
    { name: 'a parameter of the user', rules: [], make: image('resolve:ssm:/golden/arm64/image') },
    { name: 'a GPU image of Kubernetes nodes', rules: ['MachineImageForGpu'], make: image('resolve:ssm:/aws/service/eks/optimized-ami/1.33/amazon-linux-2023/x86_64/nvidia/recommended/image_id') },
    { name: 'a GPU image for deep learning', rules: ['MachineImageForGpu'], make: image('resolve:ssm:/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id') },
    { name: 'a Neuron image of a release to come', rules: [], make: image('resolve:ssm:/aws/service/neuron/dlami/pytorch-3.0/ubuntu-26.04/2.40/image_id') },
    { name: 'a Neuron image without its system', rules: ['NeuronImageParameterUnknown'], make: image('resolve:ssm:/aws/service/neuron/dlami/base/latest/image_id') },
    { name: 'the root volume of Ubuntu in Amazon Linux', rules: ['RootDeviceName'], make: image(`resolve:ssm:${ECS_IMAGES}/neuron/recommended/image_id`, '/dev/sda1') },
    { name: 'a second volume', rules: [], make: image(`resolve:ssm:${ECS_IMAGES}/neuron/recommended/image_id`, '/dev/sdf') },
    { name: 'an image by its id', rules: [], make: image('ami-0123456789abcdef0', '/dev/sda1') },
  ]);

  test('are not judged for instance types that are not known', () => {
    const make: Case['make'] = ({ template, data }) => {
      template.Parameters = { Type: { Type: 'String' } };
      data.InstanceType = { Ref: 'Type' };
      image(`resolve:ssm:${ECS_IMAGES}/arm64/recommended/image_id`)({ data });
    };
    expect(findingsOf({ name: '', rules: [], make })).toEqual([]);
  });
});

describe('instance types that are given without a launch template', () => {
  const typesOf = (resource: object) => checkTemplates([{ stack: 'Fleet', region: 'us-east-2', template: { Resources: { Nodes: resource } } }]).findings
    .filter(({ rule }) => rule.id === 'NeuronInstanceTypeUnknown').map(({ property, value }) => [property, value]);

  test('of a node group are ones that EC2 has, in its spelling', () => {
    expect(typesOf({
      Type: 'AWS::EKS::Nodegroup',
      Properties: { ClusterName: 'c', NodeRole: 'r', Subnets: ['s'], InstanceTypes: ['trn2.48xlarge', 'trn2.24xlarge', 'TRN2.48XLARGE', { Ref: 'Type' }, 'm5.large'] },
    })).toEqual([['Properties.InstanceTypes.1', '"trn2.24xlarge"'], ['Properties.InstanceTypes.2', '"TRN2.48XLARGE"']]);
  });

  test('of a node group with a launch template are told once', () => {
    const template = efaFleet();
    delete template.Resources.LaunchTemplate.Properties.LaunchTemplateData.InstanceType;
    delete template.Resources.Group;
    template.Resources.Nodes = {
      Type: 'AWS::EKS::Nodegroup',
      Properties: { ClusterName: 'c', NodeRole: 'r', Subnets: ['s'], InstanceTypes: ['trn2.24xlarge'], LaunchTemplate: { Id: { Ref: 'LaunchTemplate' }, Version: '1' } },
    };
    expect(checkTemplates([{ stack: 'Fleet', region: 'us-east-2', template }]).findings.filter(({ rule }) => rule.id === 'NeuronInstanceTypeUnknown')).toHaveLength(1);
  });

  test('of AWS Batch are types or families', () => {
    expect(typesOf({
      Type: 'AWS::Batch::ComputeEnvironment',
      Properties: { Type: 'MANAGED', ComputeResources: { Type: 'EC2', MaxvCpus: 1, Subnets: ['s'], InstanceTypes: ['trn1', 'trn1.16xlarge', 'optimal'] } },
    })).toEqual([['Properties.ComputeResources.InstanceTypes.1', '"trn1.16xlarge"']]);
  });
});
