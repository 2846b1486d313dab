import { App, CfnParameter, Stack, aws_ec2 as ec2, aws_iam as iam, aws_secretsmanager as secretsmanager } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { Cs3Attachment, Cs3AttachmentAttributes, Cs3DecodeCapacity } from '../../src/decode';
import { WaferScaleSystem } from '../../src/hardware';
import { EfaPlacementGroup } from '../../src/network';

function setUp(imported = true) {
  const stack = new Stack(new App(), 'Stack', { env: { region: 'us-east-2' } });
  const vpc = imported
    ? ec2.Vpc.fromVpcAttributes(stack, 'Vpc', { vpcId: 'vpc-1', availabilityZones: ['us-east-2b'], privateSubnetIds: ['subnet-b'] })
    : new ec2.Vpc(stack, 'Vpc', { availabilityZones: ['us-east-2b'] });
  return { stack, vpc, efa: new EfaPlacementGroup(stack, 'Efa', { vpc }) };
}

const attachment = (attrs: Partial<Cs3AttachmentAttributes> = {}) => Cs3Attachment.fromAttributes({
  endpointUrl: 'https://cs3.example:8443', vpcId: 'vpc-1', availabilityZone: 'us-east-2b', ...attrs,
});

test('is what the estimator and the router read, and nothing in the template', () => {
  const { stack } = setUp();
  const before = Template.fromStack(stack).toJSON();
  const { efa, stack: withCapacity } = setUp();
  const capacity = new Cs3DecodeCapacity(withCapacity, 'Decode', {
    attachment: attachment(), efa, system: WaferScaleSystem.CS3, replicas: 2, wafersPerReplica: 4, usdPerReplicaHour: 100,
  });
  expect(capacity.decodeSpec).toEqual({
    hardware: 'cs-3', instances: 2, wafersPerReplica: 4, usdPerInstanceHour: 100, priceSource: 'given at Stack/Decode',
  });
  expect(capacity.endpoint).toEqual({ name: 'Decode', role: 'decode', protocol: 'openai', url: 'https://cs3.example:8443' });
  expect(Template.fromStack(withCapacity).toJSON()).toEqual(before);
});

test('says that it is modelled, as an info and never as a warning', () => {
  const { stack, efa } = setUp();
  new Cs3DecodeCapacity(stack, 'Decode', { attachment: attachment(), efa });
  Annotations.fromStack(stack).hasInfo('/Stack/Decode', Match.stringLikeRegexp('modelled: it is estimated, nothing is deployed'));
  Annotations.fromStack(stack).hasNoWarning('/Stack/Decode', Match.anyValue());
});

test('claims no KV cache connector', () => {
  const { stack, efa } = setUp();
  expect(new Cs3DecodeCapacity(stack, 'Decode', { attachment: attachment(), efa }).endpoint.kvConnector).toBeUndefined();
});

test('fails outside the VPC and the Availability Zone of the fleet, with every problem at once', () => {
  const { stack, efa } = setUp();
  expect(() => new Cs3DecodeCapacity(stack, 'Decode', {
    attachment: attachment({ vpcId: 'vpc-2', availabilityZone: 'us-east-2c' }), efa, replicas: 0, wafersPerReplica: 1.5,
  })).toThrow([
    '[Stack/Decode.attachment.vpcId] EFA traffic cannot leave its VPC, and the fleet is in vpc-1, got: "vpc-2" '
      + '(use the VPC of the attachment for the fleet) [Cs3AttachmentVpc]',
    '[Stack/Decode.attachment.availabilityZone] EFA traffic cannot leave its Availability Zone, and the fleet is in us-east-2b, got: "us-east-2c" '
      + '(launch the fleet in the Availability Zone of the attachment) [Cs3AttachmentAvailabilityZone]',
    '[Stack/Decode.replicas] replicas has to be above 0, got: 0 (use a whole number above 0, or leave it out) [Cs3Count]',
    '[Stack/Decode.wafersPerReplica] wafersPerReplica has to be above 0, got: 1.5 (use a whole number above 0, or leave it out) [Cs3Count]',
  ].join('\n'));
});

test('a VPC that is known at deployment only is not checked, and the info says so', () => {
  const { stack, efa } = setUp(false);
  new Cs3DecodeCapacity(stack, 'Decode', { attachment: attachment(), efa });
  Annotations.fromStack(stack).hasInfo('/Stack/Decode', Match.stringLikeRegexp('its VPC could not be compared'));
});

test('the same Vpc construct on both sides is the same VPC', () => {
  const { stack, vpc, efa } = setUp(false);
  new Cs3DecodeCapacity(stack, 'Decode', { attachment: attachment({ vpcId: vpc.vpcId }), efa });
  Annotations.fromStack(stack).hasNoInfo('/Stack/Decode', Match.stringLikeRegexp('could not be compared'));
});

test('an Availability Zone that is a token is not checked', () => {
  const { stack, efa } = setUp();
  const zone = new CfnParameter(stack, 'Zone').valueAsString;
  new Cs3DecodeCapacity(stack, 'Decode', { attachment: attachment({ availabilityZone: zone }), efa });
  Annotations.fromStack(stack).hasInfo('/Stack/Decode', Match.stringLikeRegexp('its Availability Zone could not be compared'));
});

test('a count that is a token is refused', () => {
  const { stack, efa } = setUp();
  const replicas = new CfnParameter(stack, 'Replicas', { type: 'Number' }).valueAsNumber;
  expect(() => new Cs3DecodeCapacity(stack, 'Decode', { attachment: attachment(), efa, replicas })).toThrow('replicas is a token');
});

test.each(['cs3.example', 'ftp://cs3.example', 'https://cs3.example/', 'https://cs3.example?a=b'])('fails for the URL %s', (endpointUrl) => {
  expect(() => attachment({ endpointUrl })).toThrow('[EndpointUrl]');
});

test('the security group is opened on the port of the URL', () => {
  const { stack, vpc, efa } = setUp();
  const group = new ec2.SecurityGroup(stack, 'Group', { vpc });
  const capacity = new Cs3DecodeCapacity(stack, 'Decode', { attachment: attachment({ securityGroup: group }), efa });
  capacity.endpoint.connections!.allowDefaultPortFrom(ec2.Peer.ipv4('10.0.0.0/16'));
  Template.fromStack(stack).hasResourceProperties('AWS::EC2::SecurityGroup', { SecurityGroupIngress: [Match.objectLike({ FromPort: 8443 })] });
});

test('a caller may read the key, where there is one', () => {
  const { stack, efa } = setUp();
  const role = new iam.Role(stack, 'Role', { assumedBy: new iam.ServicePrincipal('ecs-tasks.amazonaws.com') });
  const none = new Cs3DecodeCapacity(stack, 'NoKey', { attachment: attachment(), efa });
  expect(none.grantInvoke(role).success).toBe(false);
  new Cs3DecodeCapacity(stack, 'Key', { attachment: attachment(), efa, apiKey: new secretsmanager.Secret(stack, 'Secret') }).grantInvoke(role);
  Template.fromStack(stack).hasResourceProperties('AWS::IAM::Policy', {
    PolicyDocument: { Statement: [Match.objectLike({ Action: ['secretsmanager:GetSecretValue', 'secretsmanager:DescribeSecret'] })] },
  });
});
