import { App, CfnParameter, Stack, Tags, aws_ec2 as ec2 } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { ClusterPlacement, EfaPlacementGroup, EfaPlacementStrategy } from '../../src/network';
import { ProblemsError } from '../../src/problems';

const inRegion = () => new Stack(new App(), 'Stack', { env: { region: 'us-east-2' } });
const twoZones = (stack: Stack) => new ec2.Vpc(stack, 'Vpc', { availabilityZones: ['us-east-2a', 'us-east-2b'] });

function problemsOf(action: () => unknown): string[] {
  try {
    action();
  } catch (error) {
    return (error as ProblemsError).problems.map((problem) => problem.rule);
  }
  return [];
}

describe('the security group', () => {
  const stack = inRegion();
  new EfaPlacementGroup(stack, 'Efa', { vpc: twoZones(stack) });
  const template = Template.fromStack(stack);
  const itself = { 'Fn::GetAtt': [Match.stringLikeRegexp('^EfaSecurityGroup'), 'GroupId'] };

  test('allows all traffic from itself and to itself, as resources of their own', () => {
    template.hasResourceProperties('AWS::EC2::SecurityGroupIngress', { IpProtocol: '-1', GroupId: itself, SourceSecurityGroupId: itself });
    template.hasResourceProperties('AWS::EC2::SecurityGroupEgress', { IpProtocol: '-1', GroupId: itself, DestinationSecurityGroupId: itself });
  });

  test('is open to nobody else', () => {
    template.resourceCountIs('AWS::EC2::SecurityGroupIngress', 1);
    template.resourceCountIs('AWS::EC2::SecurityGroupEgress', 1);
    template.hasResourceProperties('AWS::EC2::SecurityGroup', { SecurityGroupIngress: Match.absent() });
  });

  test('no placement group is defined until a launch template asks', () => {
    template.resourceCountIs('AWS::EC2::PlacementGroup', 0);
  });
});

test('asking twice for the placement group defines one', () => {
  const stack = inRegion();
  const efa = new EfaPlacementGroup(stack, 'Efa', { vpc: twoZones(stack) });
  expect(efa.requirePlacementGroup()).toBe(efa.requirePlacementGroup());
  Template.fromStack(stack).hasResourceProperties('AWS::EC2::PlacementGroup', { Strategy: 'cluster' });
});

test('strategy none never defines a placement group', () => {
  const stack = inRegion();
  const efa = new EfaPlacementGroup(stack, 'Efa', { vpc: twoZones(stack), strategy: EfaPlacementStrategy.none() });
  const template = new ec2.LaunchTemplate(stack, 'Lt').with(new ClusterPlacement(efa)) as ec2.LaunchTemplate;
  expect(efa.requirePlacementGroup()).toBeUndefined();
  expect(template.launchTemplateId).toBeDefined();
  Template.fromStack(stack).resourceCountIs('AWS::EC2::PlacementGroup', 0);
});

test('tags reach the security group and the placement group', () => {
  const stack = inRegion();
  const efa = new EfaPlacementGroup(stack, 'Efa', { vpc: twoZones(stack) });
  efa.requirePlacementGroup();
  Tags.of(efa).add('team', 'inference');
  const tag = { Tags: Match.arrayWith([{ Key: 'team', Value: 'inference' }]) };
  Template.fromStack(stack).hasResourceProperties('AWS::EC2::SecurityGroup', tag);
  Template.fromStack(stack).hasResourceProperties('AWS::EC2::PlacementGroup', tag);
});

describe('the Availability Zone', () => {
  test('is that of the first private subnet by default', () => {
    const stack = inRegion();
    const efa = new EfaPlacementGroup(stack, 'Efa', { vpc: twoZones(stack) });
    expect(efa.availabilityZone).toBe('us-east-2a');
    expect(efa.subnets.map((subnet) => subnet.availabilityZone)).toEqual(['us-east-2a']);
  });

  test('chooses among the private subnets', () => {
    const stack = inRegion();
    const vpc = twoZones(stack);
    const efa = new EfaPlacementGroup(stack, 'Efa', { vpc, availabilityZone: 'us-east-2b' });
    expect(efa.subnets).toEqual([vpc.privateSubnets[1]]);
  });

  test('works where the zones are tokens', () => {
    const stack = new Stack(new App(), 'Stack');
    const vpc = new ec2.Vpc(stack, 'Vpc', { maxAzs: 2 });
    expect(new EfaPlacementGroup(stack, 'First', { vpc }).subnets).toEqual([vpc.privateSubnets[0]]);
    expect(new EfaPlacementGroup(stack, 'Second', { vpc, availabilityZone: vpc.availabilityZones[1] }).subnets).toEqual([vpc.privateSubnets[1]]);
  });

  test('fails for subnets of two zones', () => {
    const stack = inRegion();
    const vpc = twoZones(stack);
    expect(problemsOf(() => new EfaPlacementGroup(stack, 'Efa', { vpc, subnets: { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS } })))
      .toEqual(['EfaAvailabilityZones']);
  });

  test('fails for subnets of two zones of one Vpc, even where they are tokens', () => {
    const stack = new Stack(new App(), 'Stack');
    const vpc = new ec2.Vpc(stack, 'Vpc', { maxAzs: 2 });
    expect(problemsOf(() => new EfaPlacementGroup(stack, 'Efa', { vpc, subnets: { subnets: vpc.privateSubnets } }))).toEqual(['EfaAvailabilityZones']);
  });

  test('fails where no private subnet is in it', () => {
    const stack = inRegion();
    expect(() => new EfaPlacementGroup(stack, 'Efa', { vpc: twoZones(stack), availabilityZone: 'us-east-2c' }))
      .toThrow('[Stack/Efa] the VPC has no private subnet that is known to be in this Availability Zone, got: "us-east-2c" '
        + '(use one of us-east-2a, us-east-2b, or pass the subnets to launch into) [EfaSubnetsMissing]');
  });

  test('a zone that cannot be compared is taken as given', () => {
    const stack = inRegion();
    const vpc = twoZones(stack);
    const zone = new CfnParameter(stack, 'Zone').valueAsString;
    const efa = new EfaPlacementGroup(stack, 'Efa', { vpc, availabilityZone: zone, subnets: { subnets: [vpc.privateSubnets[1]] } });
    expect(efa.availabilityZone).toBe(zone);
  });
});

describe('imported', () => {
  test('defines nothing, and has what it was given', () => {
    const stack = inRegion();
    const vpc = ec2.Vpc.fromVpcAttributes(stack, 'Vpc', {
      vpcId: 'vpc-1', availabilityZones: ['us-east-2a', 'us-east-2b'], privateSubnetIds: ['subnet-a', 'subnet-b'],
    });
    const efa = EfaPlacementGroup.fromEfaPlacementGroupAttributes(stack, 'Efa', {
      vpc,
      availabilityZone: 'us-east-2b',
      securityGroup: ec2.SecurityGroup.fromSecurityGroupId(stack, 'Fabric', 'sg-1'),
      placementGroupName: 'mine',
    });
    expect(efa.subnets.map((subnet) => subnet.subnetId)).toEqual(['subnet-b']);
    expect(efa.requirePlacementGroup()?.placementGroupName).toBe('mine');
    expect(efa.connections.securityGroups.map((group) => group.securityGroupId)).toEqual(['sg-1']);
    expect(Template.fromStack(stack).toJSON().Resources).toBeUndefined();
  });

  test('fails for subnets of another zone', () => {
    const stack = inRegion();
    const vpc = twoZones(stack);
    expect(problemsOf(() => EfaPlacementGroup.fromEfaPlacementGroupAttributes(stack, 'Efa', {
      vpc,
      availabilityZone: 'us-east-2a',
      securityGroup: ec2.SecurityGroup.fromSecurityGroupId(stack, 'Fabric', 'sg-1'),
      subnets: { subnets: vpc.privateSubnets },
    }))).toEqual(['EfaAvailabilityZones']);
  });
});
