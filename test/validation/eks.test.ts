import { App, Stack, aws_ec2 as ec2, aws_eks_v2 as eks, aws_lambda as lambda, aws_s3 as s3 } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { checkTemplates } from '../../src/validation/check-templates';
import { EKS_RULES } from '../../src/validation/rules/eks';

type Properties = { [name: string]: unknown };

const OWN = new Set(EKS_RULES.map(({ id }) => id));
const IMAGE = { ImageId: 'ami-0123456789abcdef0' };

function findings(template: object): string[] {
  const { findings: found } = checkTemplates([{ stack: 'Cluster', region: 'us-east-2', template }]);
  return found.filter(({ rule }) => OWN.has(rule.id)).map(({ rule, property }) => `${rule.id} ${property.replace('Properties.', '')}`);
}

function nodegroup(group: Properties, data?: Properties, more: Properties = {}): object {
  return {
    Resources: {
      Nodegroup: {
        Type: 'AWS::EKS::Nodegroup',
        Properties: { ClusterName: 'serving', NodeRole: 'role', Subnets: ['subnet-0123456789abcdef0'], ...data && { LaunchTemplate: { Id: { Ref: 'Nodes' } } }, ...group },
      },
      ...data && { Nodes: { Type: 'AWS::EC2::LaunchTemplate', Properties: { LaunchTemplateData: data } } },
      ...more,
    },
  };
}

function userData(text: string): Properties {
  return { UserData: Buffer.from(text).toString('base64') };
}

describe('node group and launch template', () => {
  test.each<[string, Properties, Properties | undefined, string[]]>([
    ['a Capacity Block without a launch template', { CapacityType: 'CAPACITY_BLOCK' }, undefined, ['NodegroupCapacityType LaunchTemplate']],
    ['Spot in the launch template alone', {}, { InstanceMarketOptions: { MarketType: 'spot' } }, ['NodegroupCapacityType CapacityType']],
    ['Spot in both', { CapacityType: 'SPOT' }, { InstanceMarketOptions: { MarketType: 'spot' } }, []],
    ['a market type that a condition decides', { CapacityType: 'ON_DEMAND' }, { InstanceMarketOptions: { 'Fn::If': ['Block', { MarketType: 'capacity-block' }, { Ref: 'AWS::NoValue' }] } }, []],
    ['a hibernation that is on', {}, { HibernationOptions: { Configured: 'true' } }, ['NodegroupLaunchTemplateConflict LaunchTemplateData.HibernationOptions']],
    ['a subnet', {}, { NetworkInterfaces: [{ DeviceIndex: 0, SubnetId: { Ref: 'SubnetParameter' } }] },
      ['NodegroupLaunchTemplateConflict LaunchTemplateData.NetworkInterfaces.0.SubnetId']],
    ['a profile that a condition may leave out', {}, { IamInstanceProfile: { 'Fn::If': ['Profile', { Name: 'node' }, { Ref: 'AWS::NoValue' }] } }, []],
    ['an image of an SSM parameter and an AMI type', { AmiType: 'AL2023_x86_64_NEURON' }, { InstanceType: 'trn1.32xlarge', ImageId: { Ref: 'NodeImage' }, ...userData('bootstrap') },
      ['NodegroupCustomImageSettings AmiType']],
    ['an image by resolve:ssm', {}, { ImageId: 'resolve:ssm:/ami/node', ...userData('bootstrap') }, ['NodegroupImageFromParameter LaunchTemplateData.ImageId']],
    ['an image alone', {}, IMAGE, ['NodegroupCustomImageBootstrap LaunchTemplateData.UserData']],
    ['an image and a script', {}, { ...IMAGE, ...userData('#!/bin/bash\n/etc/eks/bootstrap.sh serving\n') }, []],
    ['an image and a script that joins nothing', {}, { ...IMAGE, ...userData('#!/bin/bash\necho ready\n') },
      ['NodegroupCustomImageBootstrap LaunchTemplateData.UserData']],
    ['an image and a script that comes from elsewhere', {}, { ...IMAGE, ...userData('#!/bin/bash\ncurl -fsS https://setup.internal/node | sh\n') }, []],
    ['an image and a NodeConfig as JSON', {}, { ...IMAGE, ...userData('{"kind": "NodeConfig", "spec": {"cluster": {"name": "serving"}}}') },
      ['NodegroupCustomImageBootstrap LaunchTemplateData.UserData']],
    ['an image and a NodeConfig with unknown parts', {}, {
      ...IMAGE,
      UserData: { 'Fn::Base64': { 'Fn::Sub': 'kind: NodeConfig\nspec:\n  cluster:\n${Details}' } },
    }, []],
    ['a script that EKS cannot merge', {}, { UserData: { 'Fn::Base64': { 'Fn::Join': ['', ['#!/bin/bash\necho ', { Ref: 'AWS::StackName' }]] } } },
      ['NodegroupUserDataFormat LaunchTemplateData.UserData']],
    ['an archive with unknown parts', {}, { UserData: { 'Fn::Base64': { 'Fn::Sub': 'MIME-Version: 1.0\n${Headers}' } } }, []],
    ['a script of known text', { AmiType: 'AL2023_x86_64_NEURON' }, { InstanceType: 'trn1.32xlarge', ...userData('#!/bin/bash\nyum install -y amazon-cloudwatch-agent\n') },
      ['NodegroupUserDataFormat LaunchTemplateData.UserData']],
    ['user data that a parameter gives', {}, { UserData: { Ref: 'UserData' } }, []],
    ['settings of Bottlerocket', { AmiType: 'BOTTLEROCKET_x86_64' }, userData('[settings.kubernetes]\nmax-pods = 110\n'), []],
    ['PowerShell of Windows', { AmiType: 'WINDOWS_FULL_2022_x86_64' }, userData('<powershell>\nWrite-Host "node"\n</powershell>'), []],
    ['odd values', { AmiType: null, InstanceTypes: 'trn1.32xlarge', DiskSize: { Ref: 'AWS::NoValue' }, CapacityType: 7 }, { ImageId: { Ref: 'AWS::NoValue' }, InstanceType: null }, []],
  ])('%s', (_, group, data, expected) => {
    expect(findings(nodegroup(group, data))).toEqual(expected);
  });
});

describe('images of Trainium nodes', () => {
  const trainium = { InstanceTypes: ['trn2.48xlarge'] };
  test.each<[string, Properties, Properties | undefined, boolean]>([
    ['AL2023 of no driver', { ...trainium, AmiType: 'AL2023_x86_64_STANDARD' }, undefined, true],
    ['AL2023 of no driver, with user data', { AmiType: 'AL2023_x86_64_STANDARD' }, { InstanceType: 'trn1.32xlarge', ...userData('MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="x"') }, false],
    ['NVIDIA, with user data', { AmiType: 'AL2023_x86_64_NVIDIA' }, { InstanceType: 'trn1.32xlarge', ...userData('Content-Type: multipart/mixed; boundary="x"') }, true],
    ['Arm', { ...trainium, AmiType: 'BOTTLEROCKET_ARM_64' }, undefined, true],
    ['Neuron', { ...trainium, AmiType: 'AL2023_x86_64_NEURON' }, undefined, false],
    ['Bottlerocket', { ...trainium, AmiType: 'BOTTLEROCKET_x86_64' }, undefined, false],
    ['accelerated AL2, which had the driver', { ...trainium, AmiType: 'AL2_x86_64_GPU' }, undefined, false],
    ['none', trainium, undefined, false],
    ['that a parameter names', { ...trainium, AmiType: { Ref: 'Image' } }, undefined, false],
    ['for a type that a parameter names', { InstanceTypes: [{ Ref: 'Type' }], AmiType: 'AL2023_x86_64_STANDARD' }, undefined, false],
    ['for another accelerator', { InstanceTypes: ['g6.xlarge'], AmiType: 'AL2023_x86_64_NVIDIA' }, undefined, false],
  ])('%s', (_, group, data, expected) => {
    expect(findings(nodegroup(group, data)).includes('NodegroupNeuronImage AmiType')).toBe(expected);
  });

  test('are wrong where the CDK chooses them', () => {
    const stack = new Stack(new App(), 'Cluster');
    const layer = new lambda.LayerVersion(stack, 'Kubectl', { code: lambda.Code.fromBucket(s3.Bucket.fromBucketName(stack, 'Layers', 'layers'), 'kubectl.zip') });
    const cluster = new eks.Cluster(stack, 'Cluster', {
      version: eks.KubernetesVersion.V1_33,
      defaultCapacityType: eks.DefaultCapacityType.NODEGROUP,
      defaultCapacity: 0,
      kubectlProviderOptions: { kubectlLayer: layer },
    });
    cluster.addNodegroupCapacity('Trainium', { instanceTypes: [new ec2.InstanceType('trn1.32xlarge')], minSize: 1, desiredSize: 1 });
    cluster.addNodegroupCapacity('Inferentia', { instanceTypes: [new ec2.InstanceType('inf2.xlarge')], minSize: 1, desiredSize: 1 });
    const template = Template.fromStack(stack).toJSON();
    const { findings: found } = checkTemplates([{ stack: 'Cluster', template }]);
    expect(found.map(({ rule, value }) => [rule.id, value]).filter(([id]) => /^Nodegroup|^Neuron/.test(String(id)))).toEqual([
      ['NodegroupNeuronImage', '"AL2_x86_64"'],
      ['NodegroupAmazonLinux2', '"AL2_x86_64_GPU"'],
      ['NeuronDevicePluginExcludesNodes', expect.stringContaining('inf2.xlarge')],
    ]);
  });
});

describe('role of the nodes', () => {
  const arn = (name: string) => ({ 'Fn::Sub': `arn:\${AWS::Partition}:iam::aws:policy/${name}` });
  const role = (properties: Properties, more: Properties = {}) => nodegroup({ NodeRole: { 'Fn::GetAtt': ['NodeRole', 'Arn'] } }, undefined,
    { NodeRole: { Type: 'AWS::IAM::Role', Properties: properties }, ...more });
  test.each<[string, object, number]>([
    ['has no policy at all', role({}), 2],
    ['lacks the registry', role({ ManagedPolicyArns: ['arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy', arn('AmazonEKS_CNI_Policy')] }), 1],
    ['has both', role({ ManagedPolicyArns: [arn('AmazonEKSWorkerNodePolicy'), arn('AmazonEC2ContainerRegistryReadOnly')] }), 0],
    ['has a policy that is not known here', role({ ManagedPolicyArns: [arn('AdministratorAccess')] }), 0],
    ['has a policy of a parameter', role({ ManagedPolicyArns: [{ Ref: 'Policy' }] }), 0],
    ['has a list of a parameter', role({ ManagedPolicyArns: { Ref: 'Policies' } }), 0],
    ['has an inline policy', role({ Policies: [{ PolicyName: 'all', PolicyDocument: {} }] }), 0],
    ['has a policy of the template', role({}, {
      Policy: { Type: 'AWS::IAM::ManagedPolicy', Properties: { Roles: [{ Ref: 'NodeRole' }], PolicyDocument: { Statement: { Effect: 'Allow', Action: '*', Resource: '*' } } } },
    }), 0],
    ['is of another template', nodegroup({ NodeRole: { 'Fn::ImportValue': 'node-role' } }), 0],
  ])('%s', (_, template, count) => {
    expect(findings(template).filter((finding) => finding.startsWith('NodeRolePolicyMissing'))).toHaveLength(count);
  });
});

describe('version of the VPC CNI add-on', () => {
  const efaOnly = { InstanceType: 'trn1.32xlarge', NetworkInterfaces: [{ DeviceIndex: 0 }, { DeviceIndex: 1, InterfaceType: 'efa-only' }] };
  test.each<[unknown, boolean]>([
    ['v1.18.4-eksbuild.1', true], ['1.7.10', true], ['v0.99.99', true], ['v1.18.5-eksbuild.1', false], ['v1.20.0-eksbuild.1', false], ['v2.0.0', false],
    ['latest', false], [undefined, false], [{ Ref: 'CniVersion' }, false],
  ])('%j', (version, expected) => {
    const addon = { Type: 'AWS::EKS::Addon', Properties: { ClusterName: 'serving', AddonName: 'vpc-cni', AddonVersion: version } };
    expect(findings(nodegroup({}, efaOnly, { Addon: addon })).includes('VpcCniTooOldForEfaOnly AddonVersion')).toBe(expected);
  });

  test('is of the same cluster', () => {
    const addon = (name: unknown) => ({ Addon: { Type: 'AWS::EKS::Addon', Properties: { ClusterName: name, AddonName: 'vpc-cni', AddonVersion: 'v1.18.4' } } });
    expect(findings(nodegroup({}, efaOnly, addon('other')))).toEqual([]);
    const { findings: found, unchecked } = checkTemplates([{ stack: 'Cluster', template: nodegroup({}, efaOnly, addon({ Ref: 'ClusterName' })) }]);
    expect(found.filter(({ rule }) => rule.id === 'VpcCniTooOldForEfaOnly')).toEqual([]);
    expect(unchecked.map(({ rule }) => rule.id)).toContain('VpcCniTooOldForEfaOnly');
  });
});
