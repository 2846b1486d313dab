import { App, Fn, Lazy, Mixins, Stack, aws_ec2 as ec2 } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { NeuronInstanceType } from '../../src/hardware';
import { ClusterPlacement, EfaInterfaces, EfaPlacementGroup } from '../../src/network';

function setUp() {
  const stack = new Stack(new App(), 'Stack');
  const vpc = new ec2.Vpc(stack, 'Vpc', { maxAzs: 1 });
  return { stack, vpc, efa: new EfaPlacementGroup(stack, 'Efa', { vpc }) };
}

const dataOf = (stack: Stack) => Object.values(Template.fromStack(stack).findResources('AWS::EC2::LaunchTemplate'))[0].Properties.LaunchTemplateData;
const fabric = { 'Fn::GetAtt': [expect.stringMatching(/^EfaSecurityGroup/), 'GroupId'] };

test('the interfaces of a user\'s own LaunchTemplate: its security groups move into every one of them', () => {
  const { stack, vpc, efa } = setUp();
  const template = new ec2.LaunchTemplate(stack, 'Lt', {
    instanceType: new ec2.InstanceType('trn1.32xlarge'),
    securityGroup: new ec2.SecurityGroup(stack, 'Mine', { vpc }),
  });
  template.with(new EfaInterfaces({ efa, instanceType: NeuronInstanceType.TRN1_32XLARGE }));
  // what is added afterwards still arrives.
  template.addSecurityGroup(new ec2.SecurityGroup(stack, 'Later', { vpc }));

  const data = dataOf(stack);
  expect(data.SecurityGroupIds).toBeUndefined();
  expect(data.NetworkInterfaces).toHaveLength(9);
  for (const nic of data.NetworkInterfaces) {
    expect(nic.Groups).toEqual([
      { 'Fn::GetAtt': [expect.stringMatching(/^Mine/), 'GroupId'] }, { 'Fn::GetAtt': [expect.stringMatching(/^Later/), 'GroupId'] }, fabric,
    ]);
    expect(nic.DeleteOnTermination).toBe(true);
    expect(Object.keys(nic).filter((key) => /SubnetId|Ip/.test(key))).toEqual([]);
  }
});

test('a LaunchTemplate without security groups gets the EFA group alone', () => {
  const { stack, efa } = setUp();
  new ec2.LaunchTemplate(stack, 'Lt').with(new EfaInterfaces({ efa, instanceType: NeuronInstanceType.TRN2_48XLARGE }));
  const { NetworkInterfaces } = dataOf(stack);
  expect(NetworkInterfaces).toHaveLength(17);
  expect(NetworkInterfaces[0]).toEqual({ NetworkCardIndex: 0, DeviceIndex: 0, InterfaceType: 'interface', Groups: [fabric], DeleteOnTermination: true });
  expect(NetworkInterfaces[16]).toEqual({ NetworkCardIndex: 15, DeviceIndex: 0, InterfaceType: 'efa-only', Groups: [fabric], DeleteOnTermination: true });
});

test('an L1 template with groups as literals, applied twice', () => {
  const { stack, efa } = setUp();
  const template = new ec2.CfnLaunchTemplate(stack, 'Lt', {
    launchTemplateData: { securityGroupIds: ['sg-1'], networkInterfaces: [{ deviceIndex: 0, associatePublicIpAddress: false, groups: ['sg-2'] }] },
  });
  const mixin = new EfaInterfaces({ efa, instanceType: NeuronInstanceType.TRN2_3XLARGE });
  template.with(mixin).with(mixin);
  expect(dataOf(stack).NetworkInterfaces.map((nic: { Groups: unknown[] }) => nic.Groups))
    .toEqual(Array(2).fill(['sg-1', 'sg-2', fabric]));
});

test('applied to a scope, it reaches the launch templates below and nothing else', () => {
  const { stack, efa } = setUp();
  new ec2.LaunchTemplate(stack, 'Lt');
  Mixins.of(stack).apply(new ClusterPlacement(efa));
  expect(dataOf(stack).Placement).toEqual({ GroupName: { 'Fn::GetAtt': [expect.stringMatching(/^EfaPlacementGroup/), 'GroupName'] } });
});

test('placement keeps what the template says of it already', () => {
  const { stack, efa } = setUp();
  new ec2.CfnLaunchTemplate(stack, 'Lt', { launchTemplateData: { placement: { tenancy: 'dedicated' } } }).with(new ClusterPlacement(efa));
  Template.fromStack(stack).hasResourceProperties('AWS::EC2::LaunchTemplate', {
    LaunchTemplateData: { Placement: { Tenancy: 'dedicated', GroupName: Match.anyValue() } },
  });
});

test('fails with every problem at once', () => {
  const { stack, efa } = setUp();
  const template = new ec2.CfnLaunchTemplate(stack, 'Lt', {
    launchTemplateData: {
      instanceType: 'trn1.2xlarge',
      networkInterfaces: [{ deviceIndex: 0, associatePublicIpAddress: true, subnetId: 'subnet-1', networkInterfaceId: 'eni-1' }],
    },
  });
  expect(() => template.with(new EfaInterfaces({ efa, instanceType: NeuronInstanceType.TRN1_32XLARGE }))).toThrow([
    '[Stack/Lt.launchTemplateData.instanceType] the launch template launches another instance type than the interfaces are laid out for, which is '
      + 'trn1.32xlarge, got: "trn1.2xlarge" (use trn1.32xlarge in both, or lay the interfaces out for trn1.2xlarge) [InstanceTypeMismatch]',
    '[Stack/Lt.launchTemplateData.networkInterfaces] EC2 gives no public IP address to an instance with several network interfaces, got: true '
      + '(leave associatePublicIpAddress out, and reach the internet through a NAT gateway or VPC endpoints) [EfaPublicIpAddress]',
    '[Stack/Lt.launchTemplateData.networkInterfaces] the launch template has network interfaces of its own, and these properties of theirs would be '
      + 'lost, got: ["subnetId","networkInterfaceId"] (leave networkInterfaces out of the launch template) [NetworkInterfacesPresent]',
  ].join('\n'));
});

test('an instance type that is a token is taken as given', () => {
  const { stack, efa } = setUp();
  new ec2.CfnLaunchTemplate(stack, 'Lt', { launchTemplateData: { instanceType: Fn.importValue('type') } })
    .with(new EfaInterfaces({ efa, instanceType: NeuronInstanceType.TRN1_32XLARGE }));
  expect(dataOf(stack).NetworkInterfaces).toHaveLength(9);
});

test('fails where the data, or its interfaces, are tokens', () => {
  const { stack, efa } = setUp();
  const mixin = new EfaInterfaces({ efa, instanceType: NeuronInstanceType.TRN1_32XLARGE });
  const unknown = new ec2.CfnLaunchTemplate(stack, 'Lt1', { launchTemplateData: Lazy.any({ produce: () => ({}) }) });
  expect(() => unknown.with(mixin)).toThrow('[LaunchTemplateDataUnresolved]');
  const interfaces = new ec2.CfnLaunchTemplate(stack, 'Lt2', { launchTemplateData: { networkInterfaces: Lazy.any({ produce: () => [] }) } });
  expect(() => interfaces.with(mixin)).toThrow('[NetworkInterfacesPresent]');
});

test('fails to place a Capacity Block', () => {
  const { stack, efa } = setUp();
  const template = new ec2.CfnLaunchTemplate(stack, 'Lt', { launchTemplateData: { instanceMarketOptions: { marketType: 'capacity-block' } } });
  expect(() => template.with(new ClusterPlacement(efa))).toThrow('[CapacityBlockPlacementGroup]');
});
