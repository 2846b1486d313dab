import { App, Stack, aws_autoscaling as autoscaling, aws_ec2 as ec2, aws_ecs as ecs, aws_iam as iam } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { checkTemplates } from '../../src/validation/check-templates';

type Json = { [key: string]: any };

const REGION = 'us-east-2';

function findingsOf(...templates: unknown[]) {
  const { findings } = checkTemplates(templates.map((template, index) => ({ stack: `Stack${index}`, region: REGION, template })));
  return findings.filter(({ rule }) => rule.family === 'network-access');
}

function idsOf(...templates: unknown[]): string[] {
  return findingsOf(...templates).map(({ rule }) => rule.id);
}

/** A cluster of instances or a service on Fargate in a VPC of two zones, as the CDK defines it. */
function templateOf(options: {
  subnets: ec2.SubnetType; fargate?: boolean; endpoints?: ec2.InterfaceVpcEndpointAwsService[]; s3?: boolean; publicIp?: boolean;
}): Json {
  const stack = new Stack(new App(), 'Stack', { env: { region: REGION, account: '123456789012' } });
  const vpc = new ec2.Vpc(stack, 'Vpc', {
    availabilityZones: ['us-east-2a', 'us-east-2b'],
    natGateways: options.subnets === ec2.SubnetType.PRIVATE_WITH_EGRESS ? 1 : 0,
    subnetConfiguration: [
      { name: 'Public', subnetType: ec2.SubnetType.PUBLIC, mapPublicIpOnLaunch: false },
      ...options.subnets === ec2.SubnetType.PUBLIC ? [] : [{ name: 'Private', subnetType: options.subnets }],
    ],
    ...(options.s3 ? { gatewayEndpoints: { S3: { service: ec2.GatewayVpcEndpointAwsService.S3 } } } : {}),
  });
  const vpcSubnets = { subnetType: options.subnets };
  (options.endpoints ?? []).forEach((service) => vpc.addInterfaceEndpoint(service.shortName, { service, subnets: vpcSubnets }));
  const cluster = new ecs.Cluster(stack, 'Cluster', { vpc });
  if (options.fargate) {
    const taskDefinition = new ecs.FargateTaskDefinition(stack, 'Task');
    taskDefinition.addContainer('Router', {
      image: ecs.ContainerImage.fromRegistry('123456789012.dkr.ecr.us-east-2.amazonaws.com/router'), logging: ecs.LogDrivers.awsLogs({ streamPrefix: 'r' }),
    });
    new ecs.FargateService(stack, 'Service', { cluster, taskDefinition, vpcSubnets, assignPublicIp: options.publicIp });
  } else {
    const launchTemplate = new ec2.LaunchTemplate(stack, 'Launch', {
      instanceType: new ec2.InstanceType('c7i.large'),
      machineImage: ecs.EcsOptimizedImage.amazonLinux2023(),
      userData: ec2.UserData.forLinux(),
      securityGroup: new ec2.SecurityGroup(stack, 'Instances', { vpc }),
      role: new iam.Role(stack, 'Role', { assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com') }),
    });
    const autoScalingGroup = new autoscaling.AutoScalingGroup(stack, 'Group', { vpc, vpcSubnets, launchTemplate });
    cluster.addAsgCapacityProvider(new ecs.AsgCapacityProvider(stack, 'Provider', { autoScalingGroup, enableManagedTerminationProtection: false }));
  }
  return Template.fromStack(stack).toJSON();
}

const { ECS, ECS_AGENT, ECS_TELEMETRY, ECR, ECR_DOCKER, CLOUDWATCH_LOGS } = ec2.InterfaceVpcEndpointAwsService;
const { PRIVATE_ISOLATED, PRIVATE_WITH_EGRESS, PUBLIC } = ec2.SubnetType;

describe('what the CDK defines', () => {
  test.each([
    ['instances behind a NAT gateway', { subnets: PRIVATE_WITH_EGRESS }, []],
    ['instances without any way out', { subnets: PRIVATE_ISOLATED }, ['ServicesUnreachable']],
    ['instances with two of three endpoints', { subnets: PRIVATE_ISOLATED, endpoints: [ECS, ECS_AGENT] }, ['ServicesUnreachable']],
    ['instances with endpoints', { subnets: PRIVATE_ISOLATED, endpoints: [ECS, ECS_AGENT, ECS_TELEMETRY] }, []],
    ['instances without public addresses behind an internet gateway', { subnets: PUBLIC }, ['PublicSubnetWithoutPublicIp']],
    ['tasks without any way out', { subnets: PRIVATE_ISOLATED, fargate: true }, ['ServicesUnreachable']],
    ['tasks with endpoints, but not for S3', { subnets: PRIVATE_ISOLATED, fargate: true, endpoints: [ECR, ECR_DOCKER, CLOUDWATCH_LOGS] }, ['ServicesUnreachable']],
    ['tasks with endpoints', { subnets: PRIVATE_ISOLATED, fargate: true, endpoints: [ECR, ECR_DOCKER, CLOUDWATCH_LOGS], s3: true }, []],
    ['tasks in public subnets', { subnets: PUBLIC, fargate: true }, ['PublicSubnetWithoutPublicIp']],
    ['tasks with public addresses', { subnets: PUBLIC, fargate: true, publicIp: true }, []],
  ])('%s', (_, options, expected) => {
    expect(idsOf(templateOf(options))).toEqual(expected);
  });
});

describe('tasks on instances with endpoints for their agent', () => {
  const agent = [ECS, ECS_AGENT, ECS_TELEMETRY];
  /** Adds a service on the instances with one container. */
  const outcome = (Image: string, container: object = {}, endpoints = agent, change: (template: Json) => void = () => {}) => {
    const template = templateOf({ subnets: PRIVATE_ISOLATED, endpoints });
    const idOf = (type: string) => Object.entries<Json>(template.Resources).find(([, { Type }]) => Type === type)![0];
    Object.assign(template.Resources, {
      Engine: { Type: 'AWS::ECS::TaskDefinition', Properties: { ContainerDefinitions: [{ Name: 'engine', Memory: 64, Image, ...container }] } },
      Engines: {
        Type: 'AWS::ECS::Service',
        Properties: {
          Cluster: { Ref: idOf('AWS::ECS::Cluster') }, TaskDefinition: { Ref: 'Engine' }, CapacityProviderStrategy: [{ CapacityProvider: { Ref: idOf('AWS::ECS::CapacityProvider') } }],
        },
      },
    });
    change(template);
    return findingsOf(template).map(({ rule, message }) => `${rule.id} ${/for (.*)$/.exec(message)?.[1]}`);
  };
  const PRIVATE_IMAGE = '123456789012.dkr.ecr.us-east-2.amazonaws.com/engine';
  const launchOf = (template: Json) => Object.values<Json>(template.Resources).find(({ Type }) => Type === 'AWS::EC2::LaunchTemplate')!.Properties.LaunchTemplateData;

  test('their instances pull images, write logs and read secrets', () => {
    const container = {
      LogConfiguration: { LogDriver: 'awslogs' },
      Secrets: [{ Name: 'KEY', ValueFrom: 'arn:aws:secretsmanager:us-east-2:123456789012:secret:keys-AbCdEf' }],
    };
    expect(outcome(PRIVATE_IMAGE, container)).toEqual(['ServicesUnreachable "ecr.api", "ecr.dkr", "s3", "logs", "secretsmanager"']);
    expect(outcome(PRIVATE_IMAGE, {}, [ECS, ECS_AGENT, ECS_TELEMETRY, ECR, ECR_DOCKER])).toEqual(['ServicesUnreachable "s3"']);
  });

  test('no endpoint serves a public image', () => {
    expect(outcome('public.ecr.aws/neuron/engine:1')).toEqual(['ServicesUnreachable the public image "public.ecr.aws/neuron/engine:1"']);
    expect(outcome('engine')).toEqual([]);
  });

  test.each<[string, (template: Json) => void]>([
    ['an image of their own may hold the images of containers', (template) => { launchOf(template).ImageId = 'ami-0123456789abcdef0'; }],
    ['user data may name a mirror', (template) => { launchOf(template).UserData = { 'Fn::Base64': 'echo \'{"registry-mirrors": ["https://mirror.internal"]}\' > /etc/docker/daemon.json' }; }],
  ])('%s', (_, change) => {
    expect(outcome('public.ecr.aws/neuron/engine:1', {}, undefined, change)).toEqual([]);
  });
});

describe('tasks with endpoints for their image and their logs', () => {
  const template = () => templateOf({ subnets: PRIVATE_ISOLATED, fargate: true, endpoints: [ECR, ECR_DOCKER, CLOUDWATCH_LOGS], s3: true });
  const taskOf = ({ Resources }: Json) => Object.values<Json>(Resources).find(({ Type }) => Type === 'AWS::ECS::TaskDefinition')!.Properties;

  test.each([
    ['secretsmanager', 'arn:aws:secretsmanager:us-east-2:123456789012:secret:keys-AbCdEf'],
    ['ssm', { 'Fn::Sub': 'arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/config' }],
  ])('need one for %s', (service, ValueFrom) => {
    const changed = template();
    taskOf(changed).ContainerDefinitions[0].Secrets = [{ Name: 'VALUE', ValueFrom }];
    expect(findingsOf(changed).map(({ message }) => message.endsWith(`for "${service}"`))).toEqual([true]);
  });

  test('need one for Bedrock when their role is to call it, and no other task has that role', () => {
    const changed = template();
    const [[TaskRole, role]] = Object.entries<Json>(changed.Resources).filter(([id]) => /TaskTaskRole/.test(id));
    const Statement = [{ Effect: 'Allow', Action: 'bedrock:InvokeModel', Resource: 'arn:aws:bedrock:*::foundation-model/*' }];
    role.Properties.Policies = [{ PolicyName: 'invoke', PolicyDocument: { Version: '2012-10-17', Statement } }];
    expect(findingsOf(changed).map(({ message }) => message.endsWith('for "bedrock-runtime"'))).toEqual([true]);
    changed.Resources.Other = { Type: 'AWS::ECS::TaskDefinition', Properties: { ...taskOf(changed), TaskRoleArn: { 'Fn::GetAtt': [TaskRole, 'Arn'] } } };
    expect(idsOf(changed)).toEqual([]);
  });

  test('are in order where the region is known at deployment only', () => {
    const changed = JSON.parse(JSON.stringify(template()).replace(/"com\.amazonaws\.us-east-2\.([a-z0-9.]+)"/g, '{"Fn::Sub":"com.amazonaws.${AWS::Region}.$1"}'));
    expect(checkTemplates([{ stack: 'Stack', template: changed }]).findings.filter(({ rule }) => rule.family === 'network-access')).toEqual([]);
    const isEcr = ({ Type, Properties }: Json) => Type === 'AWS::EC2::VPCEndpoint' && JSON.stringify(Properties.ServiceName).includes('ecr.api');
    delete changed.Resources[Object.keys(changed.Resources).find((id) => isEcr(changed.Resources[id]))!];
    expect(checkTemplates([{ stack: 'Stack', template: changed }]).findings.map(({ rule }) => rule.id)).toEqual(['ServicesUnreachable']);
  });
});

describe('instances without a route', () => {
  const isolated = () => templateOf({ subnets: PRIVATE_ISOLATED });
  const tableOf = (template: Json) => ({ Ref: Object.keys(template.Resources).find((id) => id.startsWith('VpcPrivateSubnet1RouteTable'))! });
  const tablesOf = (template: Json) => Object.keys(template.Resources).filter((id) => template.Resources[id].Type === 'AWS::EC2::RouteTable').map((Ref) => ({ Ref }));

  test('are named with what is missing', () => {
    const [{ message, property }] = findingsOf(isolated());
    expect(property).toBe('Properties.VPCZoneIdentifier');
    expect(message).toContain('"ecs", "ecs-agent", "ecs-telemetry"');
  });

  test.each<[string, (template: Json) => Json]>([
    ['a transit gateway', (template) => ({
      Type: 'AWS::EC2::Route', Properties: { RouteTableId: tableOf(template), DestinationCidrBlock: '10.0.0.0/8', TransitGatewayId: 'tgw-1' },
    })],
    ['a route of a table that is not known', () => ({
      Type: 'AWS::EC2::Route', Properties: { RouteTableId: { Ref: 'Table' }, DestinationCidrBlock: '0.0.0.0/0', NatGatewayId: 'nat-1' },
    })],
    ['routes that a gateway propagates', (template) => ({
      Type: 'AWS::EC2::VPNGatewayRoutePropagation', Properties: { RouteTableIds: tablesOf(template), VpnGatewayId: 'vgw-1' },
    })],
    ['an endpoint of a VPC that is not known', () => ({
      Type: 'AWS::EC2::VPCEndpoint', Properties: { VpcEndpointType: 'Interface', VpcId: { Ref: 'VpcId' }, ServiceName: { Ref: 'Name' } },
    })],
    ['a custom resource that is given the tables', (template) => ({
      Type: 'Custom::Routes', Properties: { ServiceToken: 'arn:aws:lambda:us-east-2:123456789012:function:f', Tables: tablesOf(template) },
    })],
    ['a nested stack that is given the VPC', (template) => ({
      Type: 'AWS::CloudFormation::Stack',
      Properties: { TemplateURL: 'https://example.com/t.json', Parameters: { Vpc: { Ref: Object.keys(template.Resources).find((id) => template.Resources[id].Type === 'AWS::EC2::VPC') } } },
    })],
  ])('are not spoken of beside %s', (_, make) => {
    const template = isolated();
    const { Properties } = Object.values<Json>(template.Resources).find(({ Type }) => Type === 'AWS::AutoScaling::AutoScalingGroup')!;
    Properties.VPCZoneIdentifier = Properties.VPCZoneIdentifier.slice(0, 1);
    expect(idsOf(template)).toEqual(['ServicesUnreachable']);
    template.Resources.More = make(template);
    expect(idsOf(template).filter((id) => id === 'ServicesUnreachable')).toEqual([]);
  });

  test('are not spoken of where a proxy is set up, or the user data is not known', () => {
    const template = isolated();
    const launch = Object.values<Json>(template.Resources).find(({ Type }) => Type === 'AWS::EC2::LaunchTemplate')!.Properties.LaunchTemplateData;
    for (const UserData of [{ 'Fn::Base64': 'echo HTTP_PROXY=10.0.0.4:3128 >> /etc/ecs/ecs.config' }, { Ref: 'UserData' }]) {
      launch.UserData = UserData;
      expect(idsOf(template)).toEqual([]);
    }
  });

  test('are not spoken of in subnets that are not in the templates', () => {
    const template = isolated();
    Object.values<Json>(template.Resources).find(({ Type }) => Type === 'AWS::AutoScaling::AutoScalingGroup')!.Properties.VPCZoneIdentifier = { Ref: 'Subnets' };
    expect(idsOf(template)).toEqual([]);
  });

  test('of a managed node group need other services', () => {
    const { Resources } = isolated();
    const kept = Object.entries<Json>(Resources).filter(([, { Type }]) => /^AWS::EC2::(VPC|Subnet|RouteTable|SubnetRouteTableAssociation)$/.test(Type));
    const Subnets = kept.filter(([id, { Type }]) => Type === 'AWS::EC2::Subnet' && id.includes('Private')).map(([Ref]) => ({ Ref }));
    const nodes = { Type: 'AWS::EKS::Nodegroup', Properties: { ClusterName: 'c', NodeRole: 'arn:aws:iam::123456789012:role/r', Subnets } };
    expect(findingsOf({ Resources: { ...Object.fromEntries(kept), Nodes: nodes } })[0].message).toContain('"ec2", "ecr.api", "ecr.dkr", "s3"');
  });
});

describe('endpoints', () => {
  const base = (endpoint: Json, more: Json = {}): Json => ({
    Resources: {
      Vpc: { Type: 'AWS::EC2::VPC', Properties: { CidrBlock: '10.0.0.0/16', EnableDnsHostnames: true } },
      Group: { Type: 'AWS::EC2::SecurityGroup', Properties: { GroupDescription: 'g', VpcId: { Ref: 'Vpc' } } },
      Endpoint: {
        Type: 'AWS::EC2::VPCEndpoint',
        Properties: { VpcId: { Ref: 'Vpc' }, VpcEndpointType: 'Interface', ServiceName: 'com.amazonaws.us-east-2.bedrock-runtime', ...endpoint },
      },
      ...more,
    },
  });
  const vpc = (properties: Json) => ({ Vpc: { Type: 'AWS::EC2::VPC', Properties: { CidrBlock: '10.0.0.0/16', ...properties } } });
  const group = (...SecurityGroupIngress: Json[]) => ({ Group: { Type: 'AWS::EC2::SecurityGroup', Properties: { GroupDescription: 'g', SecurityGroupIngress } } });
  const tcp = (FromPort: unknown, ToPort: unknown) => ({ IpProtocol: 'tcp', FromPort, ToPort, CidrIp: '10.0.0.0/16' });
  const groups = { SecurityGroupIds: [{ Ref: 'Group' }] };

  test.each<[string, Json, string[]]>([
    ['private DNS with hostnames', base({ PrivateDnsEnabled: true }), []],
    ['private DNS without hostnames', base({ PrivateDnsEnabled: 'true' }, vpc({})), ['EndpointPrivateDnsUnsupported']],
    ['private DNS without support', base({ PrivateDnsEnabled: true }, vpc({ EnableDnsHostnames: true, EnableDnsSupport: false })), ['EndpointPrivateDnsUnsupported']],
    ['no private DNS', base({ PrivateDnsEnabled: false }, vpc({})), []],
    ['hostnames that are a parameter', base({ PrivateDnsEnabled: true }, vpc({ EnableDnsHostnames: { Ref: 'Hostnames' } })), []],
    ['a VPC that is a parameter', base({ PrivateDnsEnabled: true, VpcId: { Ref: 'VpcId' } }), []],
    ['another region', base({ ServiceName: 'com.amazonaws.eu-west-1.bedrock-runtime' }), ['EndpointServiceOutsideRegion']],
    ['another region that is named', base({ ServiceName: 'com.amazonaws.eu-west-1.s3', ServiceRegion: 'eu-west-1' }), []],
    ['a service of no region', base({ ServiceName: 'com.amazonaws.s3-global.accesspoint' }), []],
    ['a service of somebody else', base({ ServiceName: 'com.amazonaws.vpce.eu-west-1.vpce-svc-0123', ...groups }, group(tcp(80, 80))), []],
    ['a group that lets nothing in here', base(groups), []],
    ['a group that lets another port in', base(groups, group(tcp(80, 80))), ['EndpointSecurityGroupClosed']],
    ['a group with a range of ports', base(groups, group(tcp('0', '65535'))), []],
    ['a group with all traffic', base(groups, group({ IpProtocol: '-1', SourceSecurityGroupId: 'sg-1' })), []],
    ['a group with a rule that is not known', base(groups, group(tcp(80, 80), tcp({ Ref: 'Port' }, { Ref: 'Port' }))), []],
    ['two groups, one of them open', base({ SecurityGroupIds: [{ Ref: 'Group' }, 'sg-1'] }, group(tcp(80, 80))), []],
    ['a service on another port', base({ ServiceName: 'com.amazonaws.us-east-2.email-smtp', ...groups }, group(tcp(587, 587))), []],
    ['a gateway with tables', base({ VpcEndpointType: 'Gateway', ServiceName: 'com.amazonaws.us-east-2.s3', RouteTableIds: { Ref: 'Tables' } }), []],
    ['a gateway without', base({ VpcEndpointType: 'Gateway', ServiceName: 'com.amazonaws.us-east-2.s3' }), ['GatewayEndpointWithoutRoutes']],
    ['odd values', base({ PrivateDnsEnabled: {}, ServiceName: 7, SubnetIds: [null, 'subnet-1', {}], SecurityGroupIds: null }), []],
  ])('with %s', (_, template, expected) => {
    expect(idsOf(template)).toEqual(expected);
  });

  test('whose group is closed to clients of the templates', () => {
    const template = templateOf({ subnets: PRIVATE_ISOLATED, endpoints: [ECS, ECS_AGENT, ECS_TELEMETRY] });
    const closed = Object.values<Json>(template.Resources).find(({ Type, Properties }) => Type === 'AWS::EC2::SecurityGroup' && Properties.SecurityGroupIngress)!;
    delete closed.Properties.SecurityGroupIngress;
    expect(idsOf(template)).toEqual(['EndpointSecurityGroupClosed']);
  });
});
