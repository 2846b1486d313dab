import { gzipSync } from 'node:zlib';
import { checkTemplates } from '../../src/validation/check-templates';

type Resources = { [logicalId: string]: object };

const launchTemplate = (LaunchTemplateData: object) => ({ Type: 'AWS::EC2::LaunchTemplate', Properties: { LaunchTemplateData } });
const resource = (Type: string, Properties: object = {}) => ({ Type, Properties });
const EFA = { NetworkInterfaces: [{ DeviceIndex: 0, InterfaceType: 'efa', Groups: ['sg-1'] }] };
const of = (template: string) => ({ LaunchTemplateId: { Ref: template }, Version: { 'Fn::GetAtt': [template, 'LatestVersionNumber'] } });
// bytes that no compression makes shorter.
const noise = (length: number) => Buffer.from(Array.from({ length }, (_, i) => (i * i * 7919 + Math.floor(i / 8) * 104729) % 251));

function outcomes(Resources: Resources, more: object = {}): { found: string[]; unchecked: string[] } {
  const { findings, unchecked } = checkTemplates([{ stack: 'Stack', region: 'us-east-1', template: { Resources, ...more } }]);
  const ids = (list: readonly { rule: { id: string } }[]) => [...new Set(list.map(({ rule }) => rule.id))];
  return { found: ids(findings), unchecked: ids(unchecked) };
}

const subnet = (zone: string, vpc: unknown) => resource('AWS::EC2::Subnet', { VpcId: vpc, AvailabilityZone: zone, CidrBlock: '10.0.0.0/24' });
const fleet = (LaunchTemplateConfigs: object[], more: object = {}) => resource('AWS::EC2::EC2Fleet', {
  LaunchTemplateConfigs, TargetCapacitySpecification: { TotalTargetCapacity: 1 }, ...more,
});
const group = (more: object) => resource('AWS::AutoScaling::AutoScalingGroup', { MinSize: '0', MaxSize: '1', ...more });

describe('what launches', () => {
  test.each<[string, Resources, string[]]>([
    ['overrides of another launch template of a fleet', {
      Efa: launchTemplate(EFA),
      Plain: launchTemplate({}),
      Fleet: fleet([
        { LaunchTemplateSpecification: of('Efa'), Overrides: [{ InstanceType: 'trn1.32xlarge', AvailabilityZone: 'us-east-1a' }] },
        { LaunchTemplateSpecification: of('Plain'), Overrides: [{ InstanceType: 'trn1.2xlarge', AvailabilityZone: 'us-east-1b' }] },
      ]),
    }, []],
    ['overrides of its own', {
      Efa: launchTemplate(EFA),
      Fleet: fleet([{ LaunchTemplateSpecification: of('Efa'), Overrides: [{ InstanceType: 'trn1.2xlarge' }] }]),
    }, ['EfaInstanceTypeUnsupported']],
    ['several zones of a fleet', {
      Efa: launchTemplate({ ...EFA, InstanceType: 'trn1.32xlarge' }),
      Fleet: fleet([{ LaunchTemplateSpecification: of('Efa'), Overrides: [{ AvailabilityZone: 'us-east-1a' }, { AvailabilityZone: 'us-east-1b' }] }]),
    }, ['EfaGroupSpansZones']],
    ['several zones of a fleet, in a config each', {
      Efa: launchTemplate({ ...EFA, InstanceType: 'trn1.32xlarge' }),
      Fleet: fleet(['us-east-1a', 'us-east-1b'].map((AvailabilityZone) => ({ LaunchTemplateSpecification: of('Efa'), Overrides: [{ AvailabilityZone }] }))),
    }, ['EfaGroupSpansZones']],
    ['one zone of several, which the fleet chooses', {
      Efa: launchTemplate({ ...EFA, InstanceType: 'trn1.32xlarge' }),
      Fleet: fleet([{ LaunchTemplateSpecification: of('Efa'), Overrides: [{ AvailabilityZone: 'us-east-1a' }, { AvailabilityZone: 'us-east-1b' }] }],
        { Type: 'instant', OnDemandOptions: { SingleAvailabilityZone: true } }),
    }, []],
    ['a launch template by a name that is known in part', {
      Efa: { ...launchTemplate({ ...EFA, InstanceType: 'trn1.32xlarge' }), Properties: { LaunchTemplateName: { 'Fn::Sub': '${AWS::StackName}-efa' }, LaunchTemplateData: { ...EFA, InstanceType: 'trn1.32xlarge' } } },
      Group: group({ LaunchTemplate: { LaunchTemplateName: { 'Fn::Join': ['-', [{ Ref: 'AWS::StackName' }, 'efa']] }, Version: '1' }, AvailabilityZones: ['us-east-1a', 'us-east-1b'] }),
    }, ['EfaGroupSpansZones']],
    ['another launch template by a name that is known in part', {
      Efa: { ...launchTemplate({}), Properties: { LaunchTemplateName: { 'Fn::Sub': '${AWS::StackName}-efa' }, LaunchTemplateData: { ...EFA, InstanceType: 'trn1.32xlarge' } } },
      Group: group({ LaunchTemplate: { LaunchTemplateName: { 'Fn::Sub': '${AWS::StackName}-plain' }, Version: '1' }, AvailabilityZones: ['us-east-1a', 'us-east-1b'] }),
    }, []],
    ['the default version of a launch template', {
      Plain: launchTemplate({}),
      Group: group({ LaunchTemplate: { LaunchTemplateId: { Ref: 'Plain' }, Version: { 'Fn::GetAtt': ['Plain', 'DefaultVersionNumber'] } } }),
    }, ['LaunchTemplateVersionFloating']],
    ['zones of a group by their ids', {
      Efa: launchTemplate({ ...EFA, InstanceType: 'trn1.32xlarge' }),
      Group: group({ LaunchTemplate: of('Efa'), AvailabilityZoneIds: ['use1-az1', 'use1-az2'] }),
    }, ['EfaGroupSpansZones']],
    ['an instance with interfaces of its own', {
      Efa: launchTemplate({ ...EFA, InstanceType: 'trn1.32xlarge' }),
      Instance: resource('AWS::EC2::Instance', { LaunchTemplate: of('Efa'), InstanceType: 'trn1.2xlarge', NetworkInterfaces: [{ DeviceIndex: '0', GroupSet: ['sg-1'] }] }),
    }, []],
    ['an instance with the interfaces of its template', {
      Efa: launchTemplate({ ...EFA, InstanceType: 'trn1.32xlarge' }),
      Instance: resource('AWS::EC2::Instance', { LaunchTemplate: of('Efa'), InstanceType: 'trn1.2xlarge' }),
    }, ['EfaInstanceTypeUnsupported']],
    ['a version that is none in an override', {
      Plain: launchTemplate({ InstanceType: 'm7i.large' }),
      Group: group({
        AvailabilityZones: ['us-east-1a'],
        MixedInstancesPolicy: { LaunchTemplate: { LaunchTemplateSpecification: of('Plain'), Overrides: [{ LaunchTemplateSpecification: { ...of('Plain'), Version: 'latest' } }] } },
      }),
    }, ['LaunchTemplateVersionInvalid']],
  ])('%s', (_, resources, expected) => {
    expect(outcomes(resources).found).toEqual(expected);
  });

  test.each<[string, object]>([
    ['requirements', { Overrides: [{ InstanceRequirements: { VCpuCount: { Min: 128 }, MemoryMiB: { Min: 500000 }, AllowedInstanceTypes: ['trn1.32xlarge'] } }] }],
    ['a list that is not known', { Overrides: { 'Fn::If': ['Either', [{ InstanceType: 'trn1.32xlarge' }], [{ InstanceType: 'trn1n.32xlarge' }]] } }],
  ])('types of overrides that are not known replace the type of the template: %s', (_, overrides) => {
    const { found, unchecked } = outcomes({
      Efa: launchTemplate({ ...EFA, InstanceType: 'trn1.2xlarge' }),
      Group: group({ AvailabilityZones: ['us-east-1a'], MixedInstancesPolicy: { LaunchTemplate: { LaunchTemplateSpecification: of('Efa'), ...overrides } } }),
    }, { Parameters: { P: { Type: 'String' }, Q: { Type: 'String' } }, Conditions: { Either: { 'Fn::Equals': [{ Ref: 'P' }, { Ref: 'Q' }] } } });
    expect(found).toEqual([]);
    expect(unchecked).toContain('EfaInstanceTypeUnsupported');
  });

  test.each<[string, Resources]>([
    ['all zones of the region', { Group: group({ LaunchTemplate: of('Efa'), AvailabilityZones: { 'Fn::GetAZs': '' } }) }],
    ['instance types of a parameter', {
      Nodes: resource('AWS::EKS::Nodegroup', { ClusterName: 'c', NodeRole: 'arn:aws:iam::1:role/r', Subnets: ['subnet-1'], InstanceTypes: { Ref: 'Types' }, LaunchTemplate: { Id: { Ref: 'Efa' } } }),
    }],
  ])('%s are told as not checked', (_, resources) => {
    const { found, unchecked } = outcomes({ Efa: launchTemplate(EFA), ...resources }, { Parameters: { Types: { Type: 'CommaDelimitedList' } } });
    expect(found).toEqual([]);
    expect(unchecked).toEqual(expect.arrayContaining([JSON.stringify(resources).includes('Nodes') ? 'EfaInstanceTypeUnsupported' : 'EfaGroupSpansZones']));
  });
});

describe('user data', () => {
  test.each<[string, unknown, string[]]>([
    ['an archive below the limit', gzipSync(noise(9_000)).toString('base64'), []],
    ['bytes above it', noise(16_385).toString('base64'), ['UserDataTooLarge']],
    ['bytes at it', noise(16_384).toString('base64'), []],
    ['plain text that is known in part', { 'Fn::Sub': '#!/bin/bash\necho ${AWS::StackName}' }, ['UserDataNotBase64']],
    ['the same in Base64', { 'Fn::Base64': { 'Fn::Sub': '#!/bin/bash\necho ${AWS::StackName}' } }, []],
    ['a parameter', { 'Fn::Sub': '${Data}' }, []],
    ['a secret', { 'Fn::Sub': '{{resolve:ssm:/data/${AWS::StackName}}}' }, []],
  ])('%s', (_, UserData, expected) => {
    expect(outcomes({ Nodes: launchTemplate({ UserData }) }, { Parameters: { Data: { Type: 'String' } } }).found).toEqual(expected);
  });
});

describe('what two resources have may be one thing', () => {
  const launch = (groupId: unknown, subnets: unknown[]): Resources => ({
    Nodes: launchTemplate({ InstanceType: 'trn1.32xlarge', NetworkInterfaces: [{ DeviceIndex: 0, InterfaceType: 'efa', Groups: [groupId] }] }),
    Group: group({ LaunchTemplate: of('Nodes'), VPCZoneIdentifier: subnets }),
  });
  const self = (Type: string, name: string) => resource(Type, { GroupId: { Ref: 'Sg' }, IpProtocol: '-1', [name]: { Ref: 'Sg' } });
  const fabric = { In: self('AWS::EC2::SecurityGroupIngress', 'SourceSecurityGroupId'), Out: self('AWS::EC2::SecurityGroupEgress', 'DestinationSecurityGroupId') };

  test('what two custom resources look up', () => {
    expect(outcomes({
      A: resource('Custom::SubnetInfo'),
      B: resource('Custom::SubnetInfo'),
      Subnet: subnet('us-east-1a', { 'Fn::GetAtt': ['A', 'VpcId'] }),
      Sg: resource('AWS::EC2::SecurityGroup', { GroupDescription: 'g', VpcId: { 'Fn::GetAtt': ['B', 'VpcId'] } }),
      ...fabric,
      ...launch({ 'Fn::GetAtt': ['Sg', 'GroupId'] }, [{ Ref: 'Subnet' }]),
    }).found).toEqual([]);
  });

  test('the VPC of two security groups', () => {
    expect(outcomes({
      Vpc: resource('AWS::EC2::VPC', { CidrBlock: '10.0.0.0/16' }),
      Sg: resource('AWS::EC2::SecurityGroup', { GroupDescription: 'g', VpcId: { Ref: 'Vpc' } }),
      Other: resource('AWS::EC2::SecurityGroup', { GroupDescription: 'g', VpcId: { Ref: 'Vpc' } }),
      SubnetA: subnet('us-east-1a', { 'Fn::GetAtt': ['Sg', 'VpcId'] }),
      SubnetB: subnet('us-east-1a', { 'Fn::GetAtt': ['Other', 'VpcId'] }),
      ...fabric,
      ...launch({ 'Fn::GetAtt': ['Sg', 'GroupId'] }, [{ Ref: 'SubnetA' }, { Ref: 'SubnetB' }]),
    }).found).toEqual([]);
  });
});

test('members of a list that is given as one text are trimmed', () => {
  const child = {
    Parameters: { Kinds: { Type: 'CommaDelimitedList' } },
    Resources: {
      Nodes: launchTemplate({
        InstanceType: 'trn1.32xlarge',
        NetworkInterfaces: [{ DeviceIndex: 0 }, { DeviceIndex: 1, NetworkCardIndex: 1, InterfaceType: { 'Fn::Select': [1, { Ref: 'Kinds' }] }, Groups: ['sg-1'] }],
      }),
    },
  };
  const check = (Kinds: string) => checkTemplates([
    { stack: 'Parent', template: { Resources: { Child: resource('AWS::CloudFormation::Stack', { TemplateURL: 'child.json', Parameters: { Kinds } }) } } },
    { stack: 'Child', template: child, parent: { stack: 'Parent', logicalId: 'Child' } },
  ]).findings.map(({ rule, value }) => `${rule.id} ${value}`);
  expect(check('efa, efa-only')).toEqual([]);
  expect(check('efa, efa only')).toEqual(['NetworkInterfaceTypeUnknown "efa only"']);
});

test('zero addresses are none, whether a number or a text', () => {
  const nics = (count: unknown) => [{ DeviceIndex: 0, Groups: ['sg-1'] }, { DeviceIndex: 1, NetworkCardIndex: 1, InterfaceType: 'efa-only', Groups: ['sg-1'], Ipv6AddressCount: count }];
  for (const [count, expected] of [['0', []], [0, []], ['1', ['EfaOnlyWithIpAddress']]] as const) {
    expect(outcomes({ Nodes: launchTemplate({ InstanceType: 'trn1.32xlarge', NetworkInterfaces: nics(count) }) }).found).toEqual(expected);
  }
});

test('a value that is known in part is shown with what is known', () => {
  const Resource = { 'Fn::Sub': 'arn:${AWS::Partition}:bedrock:us-east-1:123456789012:foundation-model/${Model}' };
  const template = {
    Parameters: { Model: { Type: 'String' } },
    Resources: { Policy: resource('AWS::IAM::ManagedPolicy', { PolicyDocument: { Statement: { Effect: 'Allow', Action: 'bedrock:InvokeModel', Resource } } }) },
  };
  const [{ value }] = checkTemplates([{ stack: 'Stack', template }]).findings;
  expect(value).toMatch(/^"arn:.*:bedrock:us-east-1:123456789012:foundation-model\/<parameter \\"Model\\">"$/);
});

test('a piece of a manifest that is not known is shown by that name', () => {
  const containers = [{ resources: { requests: { 'aws.amazon.com/neuron': 'COUNT' } } }];
  const [before, after] = JSON.stringify([{ kind: 'Deployment', spec: { template: { spec: { containers } } } }]).split('COUNT');
  const Manifest = { 'Fn::Join': ['', [before, { Ref: 'Count' }, after]] };
  const template = {
    Parameters: { Count: { Type: 'String' } },
    Resources: { Applied: resource('Custom::AWSCDK-EKS-KubernetesResource', { ClusterName: 'serving', Manifest }) },
  };
  const { findings } = checkTemplates([{ stack: 'Stack', template }]);
  expect(findings.map(({ rule, value }) => `${rule.id} ${value}`)).toEqual(['ExtendedResourceRequest "<unknown>"']);
});

test.each<[unknown, boolean]>([[1.3, true], [1.32, true], ['1.32', true], [1.33, false], [1.34, false]])('a cluster of version %s', (Version, isFound) => {
  const Cluster = resource('AWS::EKS::Cluster', { Name: 'serving', Version, RoleArn: 'arn:aws:iam::123456789012:role/eks', ResourcesVpcConfig: { SubnetIds: ['subnet-1'] } });
  const Nodes = launchTemplate({
    InstanceType: 'trn1.32xlarge', NetworkInterfaces: [{ DeviceIndex: 0, InterfaceType: 'efa', Groups: [{ 'Fn::GetAtt': ['Cluster', 'ClusterSecurityGroupId'] }] }],
  });
  const { findings, unchecked } = checkTemplates([{ stack: 'Stack', template: { Resources: { Cluster, Nodes } } }]);
  const told = [...findings, ...unchecked].map(({ rule }) => rule.id).filter((id) => id.startsWith('EfaSelf'));
  expect(told.length > 0).toBe(isFound);
});

test.each([
  ['spaces of what is no Base64', `a${' '.repeat(900_000)}#`],
  ['spaces of a script', { 'Fn::Base64': { 'Fn::Sub': `echo${'\n'.repeat(400_000)}${' '.repeat(400_000)}\${AWS::StackName}` } }],
])('user data of many %s takes no longer than its length', (_, UserData) => {
  const image = 'resolve:ssm:/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id';
  const Group = group({ LaunchTemplate: of('Nodes'), AvailabilityZones: ['us-east-1a'] });
  expect(() => outcomes({ Nodes: launchTemplate({ InstanceType: 'trn1.2xlarge', ImageId: image, UserData }), Group })).not.toThrow();
});
