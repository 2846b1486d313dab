import { App, CfnParameter, Fn, Stack, aws_certificatemanager as acm, aws_ec2 as ec2, aws_ecs as ecs, aws_servicediscovery as servicediscovery } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { EngineEndpoint } from '../../src/decode';
import { ProblemsError } from '../../src/problems';
import { BedrockRouter, BedrockRouterProps, RouterListener } from '../../src/router';

const env = { region: 'eu-west-1', account: '111122223333' };
const ZONES = ['eu-west-1a', 'eu-west-1b'];
const newStack = () => new Stack(new App(), 'Stack', { env });
const vpcIn = (stack: Stack, id = 'Vpc', more: Partial<ec2.VpcProps> = {}) => new ec2.Vpc(stack, id, { availabilityZones: ZONES, ...more });
const importedIn = (stack: Stack, more: Partial<ec2.VpcAttributes> = {}) => ec2.Vpc.fromVpcAttributes(stack, 'Vpc', {
  vpcId: 'vpc-1', availabilityZones: ZONES, privateSubnetIds: ['subnet-1', 'subnet-2'], ...more,
});
const routerIn = (stack: Stack, props: Pick<BedrockRouterProps, 'vpc'> & Partial<BedrockRouterProps>) => new BedrockRouter(stack, 'Router', {
  image: ecs.ContainerImage.fromRegistry('router.example/router:1'),
  engines: [EngineEndpoint.openai({ name: 'engine', url: 'http://engine.example:8000' })],
  servedModelNames: ['llama'],
  ...props,
});
const certificateOf = (stack: Stack, arn = 'arn:aws:acm:eu-west-1:111122223333:certificate/c') => acm.Certificate.fromCertificateArn(stack, 'Certificate', arn);

function problemsOf(build: () => unknown): string[] {
  try {
    build();
  } catch (e) {
    expect(e).toBeInstanceOf(ProblemsError);
    return (e as ProblemsError).problems.map(({ path, rule }) => `${path.replace('Stack/Router.', '')} ${rule}`);
  }
  return [];
}

/** Subnets of the load balancer, and of the tasks. */
function subnetsIn(stack: Stack): { balancer: unknown; tasks: unknown } {
  const template = Template.fromStack(stack);
  const [balancer] = Object.values(template.findResources('AWS::ElasticLoadBalancingV2::LoadBalancer'));
  const [service] = Object.values(template.findResources('AWS::ECS::Service'));
  return { balancer: balancer.Properties.Subnets, tasks: service.Properties.NetworkConfiguration.AwsvpcConfiguration.Subnets };
}
const ref = (name: string) => ({ Ref: expect.stringMatching(`^${name}Subnet`) });

describe('subnets', () => {
  test('of which a VPC has several in a zone: the load balancer takes one of each zone, tasks all', () => {
    const stack = newStack();
    const { PUBLIC, PRIVATE_WITH_EGRESS } = ec2.SubnetType;
    const vpc = vpcIn(stack, 'Vpc', {
      subnetConfiguration: [
        { name: 'Public', subnetType: PUBLIC }, { name: 'Edge', subnetType: PUBLIC }, { name: 'App', subnetType: PRIVATE_WITH_EGRESS }, { name: 'Data', subnetType: PRIVATE_WITH_EGRESS },
      ],
    });
    routerIn(stack, { vpc });
    expect(subnetsIn(stack)).toEqual({ balancer: [ref('VpcApp'), ref('VpcApp')], tasks: [ref('VpcApp'), ref('VpcApp'), ref('VpcData'), ref('VpcData')] });
    const facing = newStack();
    const { balancer } = (routerIn(facing, {
      vpc: vpcIn(facing, 'Vpc', { subnetConfiguration: [{ name: 'Public', subnetType: PUBLIC }, { name: 'Edge', subnetType: PUBLIC }, { name: 'App', subnetType: PRIVATE_WITH_EGRESS }] }),
      listener: RouterListener.internetFacingTls(certificateOf(facing), 'llm.example.com'),
    }), subnetsIn(facing));
    expect(balancer).toEqual([ref('VpcPublic'), ref('VpcPublic')]);
  });

  test('may be imported without their zones, and one is in one zone all the same', () => {
    const stack = newStack();
    const subnets = ['subnet-1', 'subnet-2'].map((id) => ec2.Subnet.fromSubnetId(stack, id, id));
    routerIn(stack, { vpc: importedIn(stack), vpcSubnets: { subnets } });
    expect(subnetsIn(stack)).toEqual({ balancer: ['subnet-1', 'subnet-2'], tasks: ['subnet-1', 'subnet-2'] });
    const alone = newStack();
    expect(problemsOf(() => routerIn(alone, { vpc: importedIn(alone), vpcSubnets: { subnets: [ec2.Subnet.fromSubnetId(alone, 'One', 'subnet-1')] } })))
      .toEqual(['vpcSubnets RouterZones']);
  });

  test('may be a list that is known at deployment', () => {
    const stack = newStack();
    const ids = Fn.split(',', Fn.importValue('subnets'), 2);
    const list = new CfnParameter(stack, 'Subnets', { type: 'List<AWS::EC2::Subnet::Id>' }).valueAsList;
    routerIn(stack, { vpc: importedIn(stack, { availabilityZones: Fn.getAzs(), privateSubnetIds: list }) });
    expect(subnetsIn(stack)).toEqual({ balancer: { Ref: 'Subnets' }, tasks: { Ref: 'Subnets' } });
    const split = newStack();
    routerIn(split, { vpc: importedIn(split, { privateSubnetIds: ids }) });
    expect(problemsOf(() => subnetsIn(split))).toEqual([]);
  });

  test('of a VPC that is still looked up are not judged', () => {
    const stack = newStack();
    const vpc = ec2.Vpc.fromLookup(stack, 'Vpc', { vpcId: 'vpc-1' });
    expect(problemsOf(() => routerIn(stack, { vpc, vpcSubnets: { subnetGroupName: 'App' } }))).toEqual([]);
  });

  test('that there are none of are told with everything else that is wrong', () => {
    const stack = newStack();
    expect(problemsOf(() => routerIn(stack, { vpc: vpcIn(stack), vpcSubnets: { subnetGroupName: 'App' }, minTasks: 0, cpu: 1000, servedModelNames: [] }))).toEqual([
      'vpcSubnets RouterZones', 'minTasks RouterTasks', 'servedModelNames RouterModelUnknown', 'cpu RouterTaskSize',
    ]);
    const inside = newStack();
    const listener = RouterListener.internetFacingTls(certificateOf(inside), 'llm.example.com');
    expect(problemsOf(() => routerIn(inside, { vpc: importedIn(inside), listener }))).toEqual(['vpc RouterZones']);
  });
});

describe('a cluster', () => {
  test('that was defined with another VPC, or imported without one, has the tasks in the VPC of the router', () => {
    const other = newStack();
    routerIn(other, { vpc: vpcIn(other), cluster: new ecs.Cluster(other, 'Cluster', { vpc: vpcIn(other, 'Other') }) });
    expect(subnetsIn(other).tasks).toEqual([ref('VpcPrivate'), ref('VpcPrivate')]);
    Template.fromStack(other).hasResourceProperties('AWS::ECS::Service', { Cluster: { Ref: Match.stringLikeRegexp('^Cluster') } });
    const imported = newStack();
    routerIn(imported, { vpc: vpcIn(imported), cluster: ecs.Cluster.fromClusterArn(imported, 'Cluster', 'arn:aws:ecs:eu-west-1:111122223333:cluster/shared') });
    expect(subnetsIn(imported).tasks).toEqual([ref('VpcPrivate'), ref('VpcPrivate')]);
    const template = Template.fromStack(imported);
    template.hasResourceProperties('AWS::ECS::Service', { Cluster: 'shared' });
    template.hasResourceProperties('AWS::ApplicationAutoScaling::ScalableTarget', { ResourceId: { 'Fn::Join': ['', ['service/shared/', Match.anyValue()]] } });
  });
});

describe('a listener', () => {
  const problemsWith = (listener: (stack: Stack) => RouterListener) => {
    const stack = newStack();
    return problemsOf(() => routerIn(stack, { vpc: vpcIn(stack), listener: listener(stack) }));
  };

  test.each(['https://llm.example.com', '*.example.com', 'llm.example.com/', 'llm', ''])('with the domain name %j, which callers could not use, is refused', (name) => {
    expect(problemsWith((stack) => RouterListener.tls(certificateOf(stack), name))).toEqual(['listener RouterDomainName']);
  });

  test('with a certificate that is named by no ARN is refused', () => {
    expect(problemsWith((stack) => RouterListener.tls(certificateOf(stack, 'my-certificate'), 'llm.example.com'))).toEqual(['listener RouterCertificate']);
  });

  test('with a certificate of another region is refused, and one that is known at deployment, or of IAM, is not', () => {
    expect(problemsWith((stack) => RouterListener.tls(certificateOf(stack, 'arn:aws:acm:us-east-1:111122223333:certificate/c'), 'llm.example.com')))
      .toEqual(['listener RouterCertificate']);
    expect(problemsWith((stack) => RouterListener.tls(certificateOf(stack, new CfnParameter(stack, 'Arn').valueAsString), new CfnParameter(stack, 'Name').valueAsString))).toEqual([]);
    expect(problemsWith((stack) => RouterListener.tls(certificateOf(stack, 'arn:aws:iam::111122223333:server-certificate/c'), 'llm.example.com'))).toEqual([]);
  });

  test('without the certificate that it is to have is refused, and never plain HTTP', () => {
    const { certificate } = JSON.parse('{}');
    expect(problemsWith(() => RouterListener.internetFacingTls(certificate, 'llm.example.com'))).toEqual(['listener RouterCertificate']);
  });
});

test('what has to be given and is not, as it happens in JavaScript, is told by its name', () => {
  expect(problemsOf(() => routerIn(newStack(), JSON.parse('{}')))).toEqual(['vpc PropertyMissing']);
});

test('a router that exists is reached at the port of its URL', () => {
  const portOf = (url: string, port?: number) => BedrockRouter.fromBedrockRouterAttributes(newStack(), 'Router', {
    url, port, securityGroups: [], loadBalancerFullName: 'app/a/1', targetGroupFullName: 'targetgroup/t/2',
  }).connections.defaultPort!.toString();
  expect([portOf('http://llm.internal'), portOf('https://llm.example.com'), portOf('https://llm.example.com:8443'), portOf('http://llm.internal', 8080), portOf(Fn.importValue('url'))])
    .toEqual(['80', '443', '8443', '8080', '443']);
});

describe('tasks', () => {
  test('are replaced when a value changes that is known at deployment', () => {
    const stack = newStack();
    const address = new CfnParameter(stack, 'Address').valueAsString;
    const requests = new CfnParameter(stack, 'Requests', { type: 'Number' }).valueAsNumber;
    routerIn(stack, {
      vpc: vpcIn(stack),
      engines: [EngineEndpoint.openai({ name: 'engine', url: `http://${address}:8000`, port: 8000 })],
      maxRequestsPerEngine: requests,
      tokenIssuer: { issuerUrl: 'https://login.example.com', audience: 'llm' },
    });
    Template.fromStack(stack).hasResourceProperties('AWS::ECS::TaskDefinition', {
      ContainerDefinitions: [Match.objectLike({
        DockerLabels: Match.objectLike({ 'router-config-values': { 'Fn::Join': [' ', ['deployed:', { 'Fn::Join': ['', ['http://', { Ref: 'Address' }, ':8000']] }, { Ref: 'Requests' }]] } }),
      })],
    });
  });

  test('are told of what another stack has by its name there', () => {
    const app = new App();
    const engines = new Stack(app, 'Engines', { env });
    const vpc = vpcIn(engines);
    const service = new servicediscovery.PrivateDnsNamespace(engines, 'Names', { vpc, name: 'llm.internal' })
      .createService('Decode', { dnsRecordType: servicediscovery.DnsRecordType.SRV, name: 'decode' });
    const stack = new Stack(app, 'Stack', { env });
    routerIn(stack, {
      vpc,
      engines: [EngineEndpoint.openai({ name: 'engine', discoverySrvName: `${service.serviceName}.${service.namespace.namespaceName}`, port: 8000 })],
      tokenIssuer: { issuerUrl: 'https://login.example.com', audience: 'llm' },
    });
    Template.fromStack(stack).hasResourceProperties('AWS::ECS::TaskDefinition', {
      ContainerDefinitions: [Match.objectLike({
        DockerLabels: Match.objectLike({
          'router-config-values': { 'Fn::Join': [' ', ['deployed:', { 'Fn::Join': ['', [{ 'Fn::ImportValue': Match.stringLikeRegexp('Decode') }, '.llm.internal']] }]] },
        }),
      })],
    });
  });

  test('of several vCPU are as busy as they can be at a part of them', () => {
    const targetOf = (props: Partial<BedrockRouterProps>) => {
      const stack = newStack();
      routerIn(stack, { vpc: vpcIn(stack), ...props });
      const policies = Object.values(Template.fromStack(stack).findResources('AWS::ApplicationAutoScaling::ScalingPolicy'));
      return policies.map(({ Properties }) => Properties.TargetTrackingScalingPolicyConfiguration)
        .find(({ PredefinedMetricSpecification: { PredefinedMetricType } }) => PredefinedMetricType === 'ECSServiceAverageCPUUtilization').TargetValue;
    };
    expect([targetOf({}), targetOf({ cpu: 256, memoryLimitMiB: 512 }), targetOf({ cpu: 4096, memoryLimitMiB: 8192 })]).toEqual([60, 60, 15]);
  });
});

test('endpoints can be watched of engines that there are', () => {
  const stack = newStack();
  const router = routerIn(stack, { vpc: vpcIn(stack) });
  expect(router.metricHealthyEndpoints('engine').dimensions).toMatchObject({ Target: 'engine' });
  expect(() => router.metricHealthyEndpoints('engin')).toThrow('[Stack/Router] the router has no engine of this name, got: "engin" (give "engine") [RouterEngineUnknown]');
});
