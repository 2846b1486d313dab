import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  App, CfnParameter, Duration, Lazy, RemovalPolicy, Size, Stack,
  aws_applicationautoscaling as appscaling, aws_certificatemanager as acm, aws_ec2 as ec2, aws_ecs as ecs, aws_elasticache as elasticache,
  aws_iam as iam, aws_kms as kms, aws_s3 as s3, aws_secretsmanager as secretsmanager,
} from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { AssetManifestArtifact } from 'aws-cdk-lib/cx-api';
import { AwsSolutionsChecks } from 'cdk-nag';
import { API_KEYS_ARN, configIn } from './template-config';
import { BedrockModel, BedrockTarget, CerebrasCloudTarget, EngineEndpoint, EngineRole, KvConnector, OpenAiEndpointOptions } from '../../src/decode';
import { DeploymentSpec } from '../../src/estimator';
import { routingRates } from '../../src/estimator/routing-rates';
import { Problem, ProblemsError } from '../../src/problems';
import { BedrockRouter, BedrockRouterProps, RouterListener, RouterValkey } from '../../src/router';
import { parseRouterConfig } from '../../src/router/runtime';

const image = ecs.ContainerImage.fromRegistry('router.example/router:1');
const cloud = (more: Partial<OpenAiEndpointOptions> = {}) => EngineEndpoint.openai({ name: 'cloud', url: 'https://api.example.com', modelName: 'llama-3.3-70b', ...more });
const CLOUD = cloud();

const inStack = (props: (stack: Stack, vpc: ec2.Vpc) => Partial<BedrockRouterProps> = () => ({}), env?: { region: string; account: string }) => {
  const stack = new Stack(new App(), 'Stack', { env });
  const vpc = new ec2.Vpc(stack, 'Vpc', env === undefined ? {} : { availabilityZones: ['eu-west-1a', 'eu-west-1b'] });
  const router = new BedrockRouter(stack, 'Router', { vpc, image, engines: [CLOUD], servedModelNames: ['llama'], ...props(stack, vpc) });
  return { stack, vpc, router };
};
const synth = (...args: Parameters<typeof inStack>) => {
  const built = inStack(...args);
  return { ...built, template: Template.fromStack(built.stack) };
};

const container = (template: Template) => Object.values(template.findResources('AWS::ECS::TaskDefinition'))[0].Properties.ContainerDefinitions[0];

describe('by default', () => {
  const { template, stack, router } = synth();

  test('it is an internal load balancer that admits nobody and drops headers that are not valid', () => {
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::LoadBalancer', {
      Scheme: 'internal',
      LoadBalancerAttributes: Match.arrayWith([
        { Key: 'deletion_protection.enabled', Value: 'false' },
        { Key: 'idle_timeout.timeout_seconds', Value: '960' },
        { Key: 'routing.http.drop_invalid_header_fields.enabled', Value: 'true' },
      ]),
    });
    expect(JSON.stringify(template.findResources('AWS::EC2::SecurityGroup', { Properties: { GroupDescription: Match.stringLikeRegexp('ELB') } })))
      .not.toContain('SecurityGroupIngress');
    expect(stack.resolve(router.url)).toEqual({ 'Fn::Join': ['', ['http://', { 'Fn::GetAtt': [expect.any(String), 'DNSName'] }]] });
  });

  test('it warns of plain HTTP and says how to mend it', () => {
    Annotations.fromStack(stack).hasWarning('/Stack/Router', Match.stringLikeRegexp('RouterListener.tls.*RouterPlaintext'));
  });

  test('only the API is reached from outside', () => {
    template.resourceCountIs('AWS::ElasticLoadBalancingV2::Listener', 1);
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::Listener', {
      Port: 80, DefaultActions: [Match.objectLike({ Type: 'fixed-response', FixedResponseConfig: Match.objectLike({ StatusCode: '404' }) })],
    });
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::ListenerRule', {
      Conditions: [{ Field: 'path-pattern', PathPatternConfig: { Values: ['/model/*', '/v1/*', '/openai/v1/*'] } }],
      Actions: [Match.objectLike({ Type: 'forward' })],
    });
  });

  test('tasks are watched, drained, rolled back and scaled', () => {
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::TargetGroup', {
      HealthCheckPath: '/readyz',
      TargetType: 'ip',
      TargetGroupAttributes: Match.arrayWith([
        { Key: 'deregistration_delay.timeout_seconds', Value: '100' },
        { Key: 'load_balancing.algorithm.type', Value: 'least_outstanding_requests' },
      ]),
    });
    template.hasResourceProperties('AWS::ECS::Service', {
      DesiredCount: Match.absent(),
      DeploymentConfiguration: Match.objectLike({
        DeploymentCircuitBreaker: { Enable: true, Rollback: true }, MinimumHealthyPercent: 100, MaximumPercent: 200,
      }),
      NetworkConfiguration: { AwsvpcConfiguration: Match.objectLike({ AssignPublicIp: 'DISABLED' }) },
    });
    template.hasResourceProperties('AWS::ApplicationAutoScaling::ScalableTarget', { MinCapacity: 2, MaxCapacity: 10 });
    for (const [metric, value] of [['ALBRequestCountPerTarget', 6000], ['ECSServiceAverageCPUUtilization', 60]]) {
      template.hasResourceProperties('AWS::ApplicationAutoScaling::ScalingPolicy', {
        TargetTrackingScalingPolicyConfiguration: Match.objectLike({
          PredefinedMetricSpecification: Match.objectLike({ PredefinedMetricType: metric }), TargetValue: value,
        }),
      });
    }
    template.hasResourceProperties('AWS::ECS::Cluster', { ClusterSettings: [{ Name: 'containerInsights', Value: 'enabled' }] });
  });

  test('the container cannot write, has time to stop, and gets everything as a secret', () => {
    const definition = container(template);
    expect(definition).toMatchObject({
      ReadonlyRootFilesystem: true,
      StopTimeout: 105,
      PortMappings: [{ ContainerPort: 8080, Protocol: 'tcp' }],
      LogConfiguration: { LogDriver: 'awslogs', Options: { mode: 'non-blocking' } },
    });
    expect(definition.Environment).toBeUndefined();
    expect(definition.Secrets.map((secret: any) => secret.Name)).toEqual(['ROUTER_CONFIG', 'ROUTER_API_KEYS']);
    template.hasResourceProperties('AWS::ECS::TaskDefinition', { RuntimePlatform: { CpuArchitecture: 'X86_64', OperatingSystemFamily: 'LINUX' } });
    template.hasResourceProperties('AWS::Logs::LogGroup', { RetentionInDays: 30 });
    template.hasResource('AWS::SecretsManager::Secret', { DeletionPolicy: 'Retain', Properties: { GenerateSecretString: Match.objectLike({ PasswordLength: 48 }) } });
  });

  test('the service understands its configuration', () => {
    const config = configIn(template);
    const parsed = parseRouterConfig(JSON.stringify(config), { ROUTER_API_KEYS: 'k' });
    expect(parsed).toMatchObject({
      model: { id: 'llama', servedNames: ['llama'] },
      port: 8080,
      targets: [{ name: 'cloud', role: 'aggregated', protocol: 'openai', url: 'https://api.example.com', modelName: 'llama-3.3-70b', maxInFlight: 256 }],
      limits: { requestTimeoutSeconds: 900, firstByteTimeoutSeconds: 120, keepAliveSeconds: 965 },
      lameduckSeconds: 10,
      drainSeconds: 100,
      auth: { apiKeysEnv: 'ROUTER_API_KEYS', apiKeysSecret: { arn: API_KEYS_ARN, refreshSeconds: 300 } },
    });
    expect(parsed.expected).toBeUndefined();
    // read at the start by whoever starts a task, and anew by the task itself.
    for (const role of ['ExecutionRole', 'TaskRole']) {
      template.hasResourceProperties('AWS::IAM::ManagedPolicy', {
        Roles: [{ Ref: Match.stringLikeRegexp(`^Router${role}`) }],
        PolicyDocument: {
          Statement: Match.arrayWith([Match.objectLike({
            Action: ['secretsmanager:GetSecretValue', 'secretsmanager:DescribeSecret'], Resource: { Ref: Match.stringLikeRegexp('ApiKeys') },
          })]),
        },
      });
    }
  });

  test('two syntheses are the same', () => {
    expect(synth().template.toJSON()).toEqual(template.toJSON());
  });
});

describe('a listener', () => {
  const certificate = (stack: Stack) => acm.Certificate.fromCertificateArn(stack, 'Certificate', 'arn:aws:acm:eu-west-1:111122223333:certificate/c');

  test('with TLS redirects plain HTTP and uses the name of its certificate', () => {
    const { template, stack, router } = synth((scope) => ({ listener: RouterListener.tls(certificate(scope), 'llm.example.com') }));
    expect(router.url).toBe('https://llm.example.com');
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::LoadBalancer', { Scheme: 'internal' });
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::Listener', {
      Port: 443, Protocol: 'HTTPS', SslPolicy: 'ELBSecurityPolicy-TLS13-1-2-Res-2021-06', Certificates: [{ CertificateArn: 'arn:aws:acm:eu-west-1:111122223333:certificate/c' }],
    });
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::Listener', {
      Port: 80, DefaultActions: [Match.objectLike({ Type: 'redirect', RedirectConfig: Match.objectLike({ Protocol: 'HTTPS', Port: '443', StatusCode: 'HTTP_301' }) })],
    });
    expect(JSON.stringify(template.toJSON())).not.toContain('from 0.0.0.0/0');
    Annotations.fromStack(stack).hasNoWarning('/Stack/Router', Match.anyValue());
  });

  test('that faces the internet admits everybody, over TLS', () => {
    const { template } = synth((scope) => ({ listener: RouterListener.internetFacingTls(certificate(scope), 'llm.example.com') }));
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::LoadBalancer', { Scheme: 'internet-facing' });
    template.hasResourceProperties('AWS::EC2::SecurityGroup', {
      SecurityGroupIngress: Match.arrayWith([Match.objectLike({ CidrIp: '0.0.0.0/0', FromPort: 443 })]),
    });
  });

  test('of plain HTTP that is asked for is no reason to warn', () => {
    Annotations.fromStack(synth(() => ({ listener: RouterListener.plaintextInternal() })).stack).hasNoWarning('/Stack/Router', Match.anyValue());
  });
});

describe('engines', () => {
  test('are opened to the tasks alone, on their port', () => {
    const { template } = synth((scope, vpc) => {
      const securityGroup = new ec2.SecurityGroup(scope, 'EngineGroup', { vpc, description: 'engines', allowAllOutbound: false });
      const connections = new ec2.Connections({ securityGroups: [securityGroup], defaultPort: ec2.Port.tcp(8200) });
      return {
        engines: [
          EngineEndpoint.openai({ name: 'decode', role: EngineRole.DECODE, discoverySrvName: '_decode._tcp.llm.local', port: 8200, connections }),
          EngineEndpoint.openai({ name: 'plain', url: 'http://10.1.2.3:9000' }),
          CLOUD,
        ],
      };
    });
    const between = { IpProtocol: 'tcp', FromPort: 8200, ToPort: 8200 };
    template.hasResourceProperties('AWS::EC2::SecurityGroupIngress', {
      ...between, GroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('EngineGroup'), 'GroupId'] }, SourceSecurityGroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('TaskSecurityGroup'), 'GroupId'] },
    });
    template.hasResourceProperties('AWS::EC2::SecurityGroupEgress', { ...between, GroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('TaskSecurityGroup'), 'GroupId'] } });
    template.hasResourceProperties('AWS::EC2::SecurityGroup', {
      GroupDescription: 'Tasks of the router',
      SecurityGroupEgress: [Match.objectLike({ CidrIp: '0.0.0.0/0', FromPort: 443 }), Match.objectLike({ CidrIp: '0.0.0.0/0', FromPort: 9000 })],
    });
    expect(configIn(template).targets.map((target: any) => target.srv ?? target.url)).toEqual(['_decode._tcp.llm.local', 'http://10.1.2.3:9000', 'https://api.example.com']);
  });

  test('with a key of their own: the task reads it, the configuration names the variable', () => {
    const { template } = synth((scope) => ({ engines: [cloud({ apiKeySecret: new secretsmanager.Secret(scope, 'EngineKey') })] }));
    expect(configIn(template).targets[0].apiKeyEnv).toBe('ENGINE_API_KEY_0');
    expect(container(template).Secrets.map((secret: any) => secret.Name)).toEqual(['ROUTER_CONFIG', 'ROUTER_API_KEYS', 'ENGINE_API_KEY_0']);
    template.hasResourceProperties('AWS::IAM::ManagedPolicy', {
      PolicyDocument: { Statement: Match.arrayWith([Match.objectLike({ Resource: { Ref: Match.stringLikeRegexp('EngineKey') } })]), Version: '2012-10-17' },
    });
  });

  const engine = (name: string, role: EngineRole, kvConnector?: KvConnector) => cloud({ name, role, kvConnector });
  const pairsOf = (engines: EngineEndpoint[]) => {
    const { stack, template } = synth(() => ({ engines }));
    const config = configIn(template);
    parseRouterConfig(JSON.stringify(config), { ROUTER_API_KEYS: 'k' });
    return { stack, config, pairs: config.targets.flatMap((target: any) => (target.prefill === undefined ? [] : [`${target.name} ${target.prefill}`])) };
  };

  test('that write tokens are paired with the first of those that read prompts and have the same connector', () => {
    const { stack, pairs, config } = pairsOf([
      engine('decode', EngineRole.DECODE, KvConnector.NIXL),
      engine('windowed', EngineRole.DECODE, KvConnector.NEURON_NIXL),
      engine('whole', EngineRole.AGGREGATED),
      engine('p1', EngineRole.PREFILL, KvConnector.NEURON_NIXL),
      engine('p2', EngineRole.PREFILL, KvConnector.of('NixlConnector')),
    ]);
    expect(pairs).toEqual(['decode p2', 'windowed p1']);
    expect(config.limits.prefillTimeoutSeconds).toBe(60);
    Annotations.fromStack(stack).hasNoWarning('/Stack/Router', Match.stringLikeRegexp('RouterEnginesUnpaired'));
  });

  test.each<[string, KvConnector | undefined, KvConnector | undefined]>([
    ['without connectors', undefined, undefined],
    ['of which one has a connector', undefined, KvConnector.NIXL],
    ['with different connectors', KvConnector.NEURON_NIXL, KvConnector.NIXL],
    ['with a connector that is not known yet', KvConnector.of(Lazy.string({ produce: () => 'NixlConnector' })), KvConnector.NIXL],
  ])('%s are not paired, with a warning', (_, decode, prefill) => {
    const { stack, pairs } = pairsOf([engine('decode', EngineRole.DECODE, decode), engine('prefill', EngineRole.PREFILL, prefill), CLOUD]);
    expect(pairs).toEqual([]);
    Annotations.fromStack(stack).hasWarning('/Stack/Router', Match.stringLikeRegexp('by the engines "decode", "prefill".*same kvConnector.*RouterEnginesUnpaired'));
  });

  test('that nobody could be paired with are no reason to warn', () => {
    Annotations.fromStack(pairsOf([engine('decode', EngineRole.DECODE, KvConnector.NIXL)]).stack)
      .hasNoWarning('/Stack/Router', Match.stringLikeRegexp('RouterEnginesUnpaired'));
  });

  test('of SGLang are paired likewise, and refused without one that reads prompts', () => {
    const { pairs, config } = pairsOf([engine('decode', EngineRole.DECODE, KvConnector.SGLANG), engine('prefill', EngineRole.PREFILL, KvConnector.SGLANG)]);
    expect([pairs, config.targets.map(({ kvConnector }: any) => kvConnector)]).toEqual([['decode prefill'], ['sglang', 'sglang']]);
    expect(() => pairsOf([engine('decode', EngineRole.DECODE, KvConnector.SGLANG), CLOUD])).toThrow('decode engines of SGLang read no prompts');
  });

  test('with Mooncake\'s connector are paired, and the router may ask prefill engines for what they are', () => {
    const { pairs, stack } = pairsOf([engine('decode', EngineRole.DECODE, KvConnector.MOONCAKE), engine('prefill', EngineRole.PREFILL, KvConnector.MOONCAKE)]);
    expect(pairs).toEqual(['decode prefill']);
    const egress = (port: number) => Template.fromStack(stack).findResources('AWS::EC2::SecurityGroup', {
      Properties: { SecurityGroupEgress: Match.arrayWith([Match.objectLike({ FromPort: port })]) },
    });
    expect(Object.keys(egress(8998))).toHaveLength(1);
  });

  test('that read prompts leave half of the wait for the first token to those that write', () => {
    const { template } = synth(() => ({ firstTokenTimeout: Duration.seconds(30) }));
    expect(configIn(template).limits).toMatchObject({ firstByteTimeoutSeconds: 30, prefillTimeoutSeconds: 15 });
  });
});

describe('a deployment spec', () => {
  const spec: DeploymentSpec = {
    schema: 'cdk-disaggregated-inference/deployment-spec/v1',
    model: { id: 'llama-3.3-70b' },
    workload: { source: 'steady', requestsPerSecond: 1, lengthClasses: [{ weight: 1, inputTokens: 100, outputTokens: 100 }] },
    objective: { ttftSeconds: 0.9, tpotSeconds: 0.03 },
    decode: { hardware: 'trn2.48xlarge', maxConcurrentSequences: 48 },
  };

  test('names the model, bounds the engines and is what latencies are measured around', () => {
    const { template } = synth(() => ({ servedModelNames: undefined, spec }));
    expect(parseRouterConfig(JSON.stringify(configIn(template)), { ROUTER_API_KEYS: 'k' })).toMatchObject({
      model: { id: 'llama-3.3-70b', servedNames: ['llama-3.3-70b'] }, targets: [{ maxInFlight: 48 }], expected: { ttftSeconds: 0.9, tpotSeconds: 0.03 },
    });
  });

  test('says what a hand-off takes and what reading without one, for engines that are its own', () => {
    const own = (role: EngineRole) => cloud({ name: role, role, kvConnector: KvConnector.NIXL });
    const apart = { ...spec, prefill: { hardware: 'trn2.48xlarge' } };
    const routing = (engines: EngineEndpoint[], more: Partial<BedrockRouterProps> = {}) => {
      const config = configIn(synth(() => ({ spec: apart, engines, ...more })).template);
      return parseRouterConfig(JSON.stringify(config), { ROUTER_API_KEYS: 'k' }).routing;
    };
    const pair = [own(EngineRole.PREFILL), own(EngineRole.DECODE)];
    expect(routing(pair)).toEqual({ bytesPerToken: 4, ...routingRates(apart) });
    expect(routing(pair, { minPromptTokens: 700 }).minPromptTokens).toBe(700);
    // which engine would read the prompt, and how fast, the spec does not say.
    expect(routing([CLOUD, ...pair])).toEqual({ bytesPerToken: 4, ...routingRates(apart), aggregated: undefined });
    expect(routing([CLOUD])).toEqual({ bytesPerToken: 4, minPromptTokens: 512 });
  });

  test('does not limit keys unless told to', () => {
    const limits = (more: Partial<BedrockRouterProps>) =>
      parseRouterConfig(JSON.stringify(configIn(synth(() => ({ spec, ...more })).template)), { ROUTER_API_KEYS: 'k' }).rateLimits;
    expect(limits({})).toEqual({});
    expect(limits({ requestsPerMinutePerCaller: 60 })).toEqual({ requestsPerMinute: 60 });
    expect(limits({ requestsPerMinutePerCaller: 60, tokensPerMinutePerCaller: 1e5 })).toEqual({ requestsPerMinute: 60, tokensPerMinute: 1e5 });
  });

  test('lets the keys ask for priority that it names', () => {
    const callers = (more: Partial<BedrockRouterProps>) =>
      parseRouterConfig(JSON.stringify(configIn(synth(() => ({ spec, ...more })).template)), { ROUTER_API_KEYS: 'k' }).priorityCallers;
    expect([callers({}), callers({ priorityCallers: ['chat'] })]).toEqual([[], ['chat']]);
  });

  test('yields to what is said of the router itself', () => {
    const { template } = synth(() => ({ spec, maxRequestsPerEngine: 7 }));
    expect(configIn(template)).toMatchObject({ model: { id: 'llama-3.3-70b', servedNames: ['llama'] }, targets: [{ maxInFlight: 7 }] });
  });
});

describe('what can be given', () => {
  test('is used', () => {
    const { template } = synth((scope, vpc) => ({
      cluster: new ecs.Cluster(scope, 'Own', { vpc }),
      apiKeysSecret: secretsmanager.Secret.fromSecretNameV2(scope, 'Keys', 'keys'),
      accessLogsBucket: new s3.Bucket(scope, 'AccessLogs'),
      encryptionKey: new kms.Key(scope, 'Key'),
      deletionProtection: true,
      removalPolicy: RemovalPolicy.DESTROY,
      minTasks: 3,
      maxTasks: 5,
      requestTimeout: Duration.seconds(3940),
      drainTimeout: Duration.seconds(10),
    }), { region: 'eu-west-1', account: '111122223333' });
    template.resourceCountIs('AWS::ECS::Cluster', 1);
    template.resourceCountIs('AWS::SecretsManager::Secret', 0);
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::LoadBalancer', {
      LoadBalancerAttributes: Match.arrayWith([
        { Key: 'deletion_protection.enabled', Value: 'true' },
        { Key: 'idle_timeout.timeout_seconds', Value: '4000' },
        { Key: 'access_logs.s3.enabled', Value: 'true' },
      ]),
    });
    template.hasResource('AWS::Logs::LogGroup', { DeletionPolicy: 'Delete', Properties: { KmsKeyId: Match.anyValue() } });
    template.hasResourceProperties('AWS::KMS::Key', {
      KeyPolicy: { Statement: Match.arrayWith([Match.objectLike({ Principal: { Service: 'logs.eu-west-1.amazonaws.com' } })]), Version: '2012-10-17' },
    });
    expect(configIn(template)).toMatchObject({ lameduckSeconds: 5, drainSeconds: 10, limits: { keepAliveSeconds: 4005 } });
    expect(container(template).StopTimeout).toBe(15);
  });

  test('a changed configuration is a changed task, even if it is settled late', () => {
    const label = (url: string) => {
      const { template } = synth(() => ({ engines: [cloud({ url: Lazy.string({ produce: () => url }), port: 443 })] }));
      return container(template).DockerLabels['router-config-sha256'];
    };
    expect(label('https://a.example')).toMatch(/^[0-9a-f]{64}$/);
    expect(label('https://a.example')).toBe(label('https://a.example'));
    expect(label('https://a.example')).not.toBe(label('https://b.example'));
  });
});

test('its tasks can be scaled by more than what the library chooses', () => {
  const { stack, router } = inStack();
  router.scaling.scaleOnSchedule('Morning', { schedule: appscaling.Schedule.cron({ hour: '7', minute: '0' }), minCapacity: 6 });
  router.scaling.scaleToTrackCustomMetric('Queue', { metric: router.metricQueuedRequests(), targetValue: 1 });
  const template = Template.fromStack(stack);
  template.hasResourceProperties('AWS::ApplicationAutoScaling::ScalableTarget', {
    ScheduledActions: [Match.objectLike({ Schedule: 'cron(0 7 * * ? *)', ScalableTargetAction: { MinCapacity: 6 } })],
  });
  template.hasResourceProperties('AWS::ApplicationAutoScaling::ScalingPolicy', {
    TargetTrackingScalingPolicyConfiguration: Match.objectLike({ CustomizedMetricSpecification: Match.objectLike({ MetricName: 'QueuedRequests' }) }),
  });
});

test('a collector can stand beside the router in its tasks', () => {
  const { stack, router } = inStack();
  const { taskDefinition } = router.service;
  const main = taskDefinition.defaultContainer!;
  const collector = taskDefinition.addContainer('Collector', { image: ecs.ContainerImage.fromRegistry('collector.example/collector:1'), memoryReservationMiB: 128 });
  main.addEnvironment('OTEL_EXPORTER_OTLP_ENDPOINT', 'http://localhost:4318');
  main.addContainerDependencies({ container: collector, condition: ecs.ContainerDependencyCondition.START });
  taskDefinition.addToTaskRolePolicy(new iam.PolicyStatement({ actions: ['xray:PutTraceSegments'], resources: ['*'] }));
  const template = Template.fromStack(stack);
  template.hasResourceProperties('AWS::ECS::TaskDefinition', {
    ContainerDefinitions: [
      Match.objectLike({
        Name: 'Router',
        Environment: [{ Name: 'OTEL_EXPORTER_OTLP_ENDPOINT', Value: 'http://localhost:4318' }],
        DependsOn: [{ ContainerName: 'Collector', Condition: 'START' }],
      }),
      Match.objectLike({ Name: 'Collector' }),
    ],
  });
  template.hasResourceProperties('AWS::IAM::Policy', { PolicyDocument: Match.objectLike({ Statement: [Match.objectLike({ Action: 'xray:PutTraceSegments' })] }) });
});

describe('the image that comes with the library', () => {
  test('is built for the architecture of the tasks, from the bundle and its Dockerfile', () => {
    const stack = new Stack(new App(), 'Stack');
    new BedrockRouter(stack, 'Router', { vpc: new ec2.Vpc(stack, 'Vpc'), engines: [CLOUD], servedModelNames: ['llama'] });
    const assembly = (stack.node.root as App).synth();
    const manifest = assembly.artifacts.find((artifact) => artifact instanceof AssetManifestArtifact) as AssetManifestArtifact;
    const [asset] = Object.values(manifest.contents.dockerImages!);
    expect(asset.source).toMatchObject({ platform: 'linux/amd64' });
    const directory = join(assembly.directory, asset.source.directory!);
    expect(readdirSync(directory).sort()).toEqual(['Dockerfile', 'index.js']);
    const dockerfile = readFileSync(join(directory, 'Dockerfile'), 'utf8');
    expect(dockerfile).toContain('USER node');
    expect(dockerfile).not.toContain('npm');
  });
});

test('Cerebras\' cloud is given a limit for callers that set none, and its key', () => {
  const { template } = synth((stack) => ({
    engines: [new CerebrasCloudTarget(stack, 'Cloud', { apiKey: new secretsmanager.Secret(stack, 'Key'), modelId: 'gpt-oss-120b' }).endpoint],
  }));
  const { template: short } = synth((stack) => ({
    engines: [new CerebrasCloudTarget(stack, 'Cloud', { apiKey: new secretsmanager.Secret(stack, 'Key'), modelId: 'gpt-oss-120b', defaultMaxTokens: 500 }).endpoint],
  }));
  expect(configIn(short).targets[0].defaultMaxTokens).toBe(500);
  const [target] = parseRouterConfig(JSON.stringify(configIn(template)), { ROUTER_API_KEYS: 'k', ENGINE_API_KEY_0: 'k' }).targets;
  expect(target).toMatchObject({ protocol: 'cerebras', url: 'https://api.cerebras.ai', apiKeyEnv: 'ENGINE_API_KEY_0', modelName: 'gpt-oss-120b', defaultMaxTokens: 8192 });
});

describe('Bedrock among the engines', () => {
  const fallback = (stack: Stack) => new BedrockTarget(stack, 'Fallback', {
    model: BedrockModel.inferenceProfile({ profileId: 'eu.meta.llama3-3-70b-instruct-v1:0', destinationRegions: ['eu-west-3', 'eu-west-1'] }),
  }).endpoint;

  test('is called in the region of the stack, by tasks that may invoke that model alone', () => {
    const { template } = synth((stack) => ({ engines: [CLOUD, fallback(stack)], maxRequestsPerEngine: 4 }), { region: 'eu-west-1', account: '111122223333' });
    // what an engine of the fleet may have says nothing of Bedrock
    expect(parseRouterConfig(JSON.stringify(configIn(template)), { ROUTER_API_KEYS: 'k' }).targets[1]).toEqual({
      name: 'Fallback',
      role: 'aggregated',
      protocol: 'bedrock',
      region: 'eu-west-1',
      modelName: 'eu.meta.llama3-3-70b-instruct-v1:0',
      maxInFlight: 256,
      prefixLoadFactor: 1.25,
      url: 'https://bedrock-runtime.eu-west-1.amazonaws.com',
    });
    template.hasResourceProperties('AWS::IAM::ManagedPolicy', {
      Roles: [{ Ref: Match.stringLikeRegexp('^RouterTaskRole') }],
      PolicyDocument: {
        Statement: [
          Match.objectLike({ Action: Match.arrayWith(['bedrock:InvokeModel']), Resource: { 'Fn::Join': ['', Match.arrayWith([Match.stringLikeRegexp('inference-profile/eu.meta')])] } }),
          Match.objectLike({ Resource: Match.anyValue(), Condition: { StringEquals: { 'bedrock:InferenceProfileArn': Match.anyValue() } } }),
          Match.objectLike({ Action: Match.arrayWith(['secretsmanager:GetSecretValue']) }),
        ],
      },
    });
    template.hasResourceProperties('AWS::ECS::TaskDefinition', { TaskRoleArn: { 'Fn::GetAtt': [Match.stringLikeRegexp('^RouterTaskRole'), 'Arn'] } });
  });

  test('is called where a stack without a region is deployed', () => {
    const { template } = synth((stack) => ({ engines: [fallback(stack)] }));
    expect(JSON.stringify(template.findResources('AWS::SSM::Parameter'))).toContain('{"Ref":"AWS::Region"}');
  });

  test('without it, tasks may call nothing', () => {
    expect(JSON.stringify(synth().template.toJSON())).not.toMatch(/bedrock:InvokeModel/);
  });
});

describe('AwsSolutions', () => {
  const findings = (props: Parameters<typeof inStack>[0]) => {
    const { stack } = inStack((scope, vpc) => ({ image: undefined, ...props!(scope, vpc) }), { region: 'eu-west-1', account: '111122223333' });
    return new AwsSolutionsChecks().validateScope(stack.node.root).violations
      .flatMap(({ ruleName, violatingResources }) => violatingResources.map(({ constructPath }) => `${ruleName} ${constructPath}`))
      .filter((finding) => finding.includes('Stack/Router')).sort();
  };

  test('finds only what cannot be met: the token of the registry has no resource, and keys of callers are rotated by callers', () => {
    expect(findings((scope) => ({ accessLogsBucket: new s3.Bucket(scope, 'AccessLogs') }))).toEqual([
      'AwsSolutions-IAM5[Resource::*] Stack/Router/ExecutionRole/Policy/Resource',
      'AwsSolutions-SMG4 Stack/Router/ApiKeys/Resource',
    ]);
  });

  test('asks for access logs where there are none', () => {
    expect(findings(() => ({}))).toContain('AwsSolutions-ELB2 Stack/Router/LoadBalancer/Resource');
  });
});

describe('callers with tokens of an issuer', () => {
  const tokenIssuer = { issuerUrl: 'https://login.example.com', audience: 'llm', clockSkew: Duration.seconds(5) };

  test('need no API keys, and there are none', () => {
    const { template, stack, router } = synth(() => ({ tokenIssuer }));
    const { auth } = parseRouterConfig(JSON.stringify(configIn(template)), {});
    expect(auth).toEqual({ jwt: { issuer: 'https://login.example.com', audience: 'llm', clockSkewSeconds: 5 } });
    template.resourceCountIs('AWS::SecretsManager::Secret', 0);
    expect(container(template).Secrets.map(({ Name }: any) => Name)).toEqual(['ROUTER_CONFIG']);
    expect(JSON.stringify(template.findResources('AWS::IAM::ManagedPolicy'))).not.toContain('secretsmanager');
    expect(router.apiKeysSecret).toBeUndefined();
    expect(() => router.grantReadApiKeys(new iam.Role(stack, 'Reader', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') }))).toThrow(
      '[Stack/Router] callers of this router present tokens of an issuer, so it has no API keys (let the caller have a token of the issuer, or leave tokenIssuer out) [RouterApiKeysNone]');
  });

  test('may have the issuer and its keys at ports of their own, which the tasks may reach', () => {
    const { template } = synth(() => ({ tokenIssuer: { ...tokenIssuer, issuerUrl: 'https://login.example.com:8443/realm', jwksUrl: 'https://keys.example.com:9443/' } }));
    const [group] = Object.values(template.findResources('AWS::EC2::SecurityGroup', { Properties: { GroupDescription: 'Tasks of the router' } }));
    expect(group.Properties.SecurityGroupEgress.map(({ FromPort }: any) => FromPort)).toEqual([443, 8443, 9443]);
  });
});

describe('limits that tasks share', () => {
  test('are in a serverless cache, which is opened to the tasks alone', () => {
    const { template } = synth((stack, vpc) => {
      const group = new ec2.SecurityGroup(stack, 'CacheGroup', { vpc });
      const cache = new elasticache.CfnServerlessCache(stack, 'Cache', { engine: 'valkey', serverlessCacheName: 'limits', securityGroupIds: [group.securityGroupId] });
      return {
        requestsPerMinutePerCaller: 60,
        valkey: RouterValkey.serverlessCache(cache, {
          connections: group, username: 'router', passwordSecret: secretsmanager.Secret.fromSecretNameV2(stack, 'Password', 'valkey'),
        }),
      };
    });
    template.hasResourceProperties('AWS::EC2::SecurityGroupIngress', {
      GroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('CacheGroup'), 'GroupId'] },
      SourceSecurityGroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('RouterTaskSecurityGroup'), 'GroupId'] },
      FromPort: 6379,
      ToPort: 6380,
    });
    const { rateLimits } = configIn(template);
    expect(rateLimits).toEqual({
      requestsPerMinute: 60, valkey: { url: 'valkeys://token:token', username: 'router', passwordEnv: 'VALKEY_PASSWORD', cluster: true },
    });
    expect(container(template).Secrets.map(({ Name }: any) => Name)).toContain('VALKEY_PASSWORD');
  });

  test('are at any other server, whose port the tasks may reach', () => {
    const { template } = synth(() => ({ tokensPerMinutePerCaller: 1000, valkey: RouterValkey.server({ host: 'valkey.example', port: 7000 }) }));
    const { rateLimits } = parseRouterConfig(JSON.stringify(configIn(template)), { ROUTER_API_KEYS: 'k' });
    expect(rateLimits.valkey).toEqual({ url: 'valkeys://valkey.example:7000', cluster: false, keyPrefix: 'router:limits:', timeoutSeconds: 0.1 });
    template.hasResourceProperties('AWS::EC2::SecurityGroup', {
      GroupDescription: 'Tasks of the router', SecurityGroupEgress: Match.arrayWith([Match.objectLike({ FromPort: 7000, ToPort: 7000 })]),
    });
  });
});

test('what else the service can do is said in the template', () => {
  const spec: DeploymentSpec = {
    schema: 'cdk-disaggregated-inference/deployment-spec/v1',
    model: { id: 'llama-3.3-70b' },
    workload: { source: 'steady', requestsPerSecond: 1, lengthClasses: [{ inputTokens: 1000, outputTokens: 100, weight: 1 }] },
    objective: { percentile: 95, ttftSeconds: 1, tpotSeconds: 0.05 },
    decode: { hardware: 'trn2.48xlarge' },
  };
  const { template } = synth((stack) => ({
    spec,
    engines: [CLOUD, new BedrockTarget(stack, 'Bedrock', { model: BedrockModel.foundationModel('meta.llama3-3-70b-instruct-v1:0') }).endpoint],
    images: true,
    memoryLimitMiB: 4096,
    queue: { maxRequests: 10, maxPromptTokens: 1000, maxBodies: Size.mebibytes(1), maxWait: Duration.millis(1500) },
    bedrockRates: { perRequest: Duration.millis(400), perThousandPromptTokens: Duration.millis(50), perThousandOutputTokens: Duration.seconds(12) },
    metricsNamespace: 'My/Own',
  }), { region: 'eu-west-1', account: '111122223333' });
  expect(parseRouterConfig(JSON.stringify(configIn(template)), { ROUTER_API_KEYS: 'k' })).toMatchObject({
    model: { images: true },
    limits: { maxHeldBytes: 536870912 },
    queue: { maxRequests: 10, maxPromptTokens: 1000, maxBytes: 1048576, maxWaitSeconds: 1.5 },
    routing: { bedrock: { fixedSeconds: 0.4, secondsPerPromptToken: 0.00005, stepSeconds: 0.012, stepSecondsPerSequence: 0 } },
    emf: { namespace: 'My/Own', router: expect.stringMatching(/^StackRouter/), intervalSeconds: 60 },
  });
});

describe('wrong input', () => {
  test('of settings is refused with every problem at once', () => {
    let problems: Problem[] = [];
    try {
      inStack((stack) => ({
        apiKeysSecret: secretsmanager.Secret.fromSecretNameV2(stack, 'Keys', 'keys'),
        tokenIssuer: { issuerUrl: 'http://login.example.com', audience: 'llm', jwksUrl: 'keys' },
        valkey: RouterValkey.server({ host: 'valkey.example' }),
        queue: { maxRequests: 0.5, maxPromptTokens: 0, maxWait: Duration.seconds(0) },
        bedrockRates: { perRequest: Duration.millis(1), perThousandOutputTokens: Duration.millis(1) },
        engines: [EngineEndpoint.cerebras({ name: 'x', modelName: 'm', apiKeySecret: secretsmanager.Secret.fromSecretNameV2(stack, 'Key', 'key'), defaultMaxTokens: 0 })],
      }));
    } catch (e) {
      ({ problems } = e as ProblemsError);
    }
    expect(problems.map(({ rule, path }) => `${rule} ${path}`)).toEqual([
      'RouterEngineMaxTokens Stack/Router.engines[0].defaultMaxTokens',
      'RouterValkeyUnused Stack/Router.valkey',
      'RouterQueue Stack/Router.queue.maxRequests',
      'RouterQueue Stack/Router.queue.maxPromptTokens',
      'RouterQueue Stack/Router.queue.maxWait',
      'RouterAuthTwice Stack/Router.tokenIssuer',
      'RouterTokenIssuer Stack/Router.tokenIssuer.issuerUrl',
      'RouterTokenIssuer Stack/Router.tokenIssuer.jwksUrl',
      'RouterBedrockRates Stack/Router.bedrockRates',
    ]);
  });

  test('a secret that is none, wherever it is; what is only known at deployment is not guessed at', () => {
    const none = (stack: Stack, id: string) => secretsmanager.Secret.fromSecretPartialArn(stack, id, 'arn:aws:ssm:us-east-2:111122223333:parameter/keys');
    let problems: Problem[] = [];
    try {
      inStack((stack) => ({
        apiKeysSecret: none(stack, 'Keys'),
        engines: [cloud({ apiKeySecret: none(stack, 'EngineKey') })],
        requestsPerMinutePerCaller: 1,
        valkey: RouterValkey.server({ host: 'valkey.example', passwordSecret: none(stack, 'Password') }),
      }));
    } catch (e) {
      ({ problems } = e as ProblemsError);
    }
    expect(problems.map(({ rule, path }) => `${rule} ${path}`)).toEqual(
      ['engines[0].apiKeySecret', 'valkey.passwordSecret', 'apiKeysSecret'].map((where) => `RouterSecretArn Stack/Router.${where}`));
    const { stack } = inStack((scope) => ({
      apiKeysSecret: secretsmanager.Secret.fromSecretCompleteArn(scope, 'Keys', new CfnParameter(scope, 'Arn').valueAsString),
    }));
    Annotations.fromStack(stack).hasNoWarning('/Stack/Router', Match.stringLikeRegexp('RouterSecretPartial'));
  });

  test('a secret that is known by its name alone may be one that ECS does not find: a warning says so', () => {
    const { stack } = inStack((scope) => ({ apiKeysSecret: secretsmanager.Secret.fromSecretNameV2(scope, 'Keys', 'keys') }));
    Annotations.fromStack(stack).hasWarning('/Stack/Router', Match.stringLikeRegexp('of "Stack/Keys" its last six characters.*RouterSecretPartial'));
  });

  test('Bedrock in a region that is none', () => {
    const engines = [CLOUD, EngineEndpoint.bedrock({ name: 'fallback', model: BedrockModel.foundationModel('amazon.nova-pro-v1:0') })];
    const routed = (region: string) => () => inStack(() => ({ engines }), { region, account: '111122223333' });
    expect(routed('eusc-de-east-1')).not.toThrow();
    expect(routed('europe')).toThrow('[Stack/Router.engines[1]] the region of the stack is none that Bedrock could be called in, got: "europe"');
  });

  test('a URL that the service would refuse at its start, and names that are there twice or empty', () => {
    const named = (url: string) => () => inStack(() => ({ engines: [cloud({ url })], servedModelNames: ['a', '', 'a'] }));
    for (const url of ['https://engine.example?key=1', 'https://me:secret@engine.example', 'ftp://engine.example', 'engine']) {
      expect(named(url)).toThrow(/RouterEngineUrl/);
      expect(named(url)).toThrow(/RouterModelNames/);
    }
  });

  test('is refused with every problem at once', () => {
    const refused = () => inStack(() => ({
      servedModelNames: undefined,
      engines: [
        EngineEndpoint.openai({ name: 'a b', role: EngineRole.PREFILL }),
        EngineEndpoint.openai({ name: 'x', role: EngineRole.PREFILL, url: 'http://x.example', discoverySrvName: 'x' }),
        EngineEndpoint.openai({ name: 'x', role: EngineRole.PREFILL, discoverySrvName: 's', metricsPath: 'metrics', kvBlockTokens: 0 }),
      ],
      requestTimeout: Duration.hours(2),
      drainTimeout: Duration.minutes(3),
      maxRequestsPerEngine: 0,
      minPromptTokens: -1,
      requestsPerMinutePerCaller: 0,
      tokensPerMinutePerCaller: NaN,
      spec: {
        schema: 'cdk-disaggregated-inference/deployment-spec/v1',
        model: { id: 'llama-3.3-70b' },
        workload: { source: 'steady', requestsPerSecond: 1, lengthClasses: [] },
        decode: { hardware: 'trn2.48xlarge', instances: 1 },
      },
    }));
    let problems: Problem[] = [];
    try {
      refused();
    } catch (e) {
      ({ problems } = e as ProblemsError);
    }
    expect(problems.map(({ rule, path }) => `${rule} ${path}`)).toEqual([
      'WorkloadWithoutClasses Stack/Router.spec.workload.lengthClasses',
      'RouterNothingAnswers Stack/Router.engines',
      'RouterEngineName Stack/Router.engines[0].name',
      'RouterEngineAddress Stack/Router.engines[0]',
      'RouterEnginePort Stack/Router.engines[0].port',
      'RouterEngineAddress Stack/Router.engines[1]',
      'RouterEngineName Stack/Router.engines[2].name',
      'RouterEngineMetrics Stack/Router.engines[2].metricsPath',
      'RouterEngineBlocks Stack/Router.engines[2].kvBlockTokens',
      'RouterEnginePort Stack/Router.engines[2].port',
      'RouterTime Stack/Router.requestTimeout',
      'RouterTime Stack/Router.drainTimeout',
      'RouterMinPromptTokens Stack/Router.minPromptTokens',
      'RouterRateLimit Stack/Router.requestsPerMinutePerCaller',
      'RouterRateLimit Stack/Router.tokensPerMinutePerCaller',
      'RouterMaxRequests Stack/Router.maxRequestsPerEngine',
    ]);
    expect(() => inStack(() => ({ servedModelNames: undefined }))).toThrow('the router does not know which model it serves');
    expect(() => inStack(() => ({ drainTimeout: Duration.seconds(Lazy.number({ produce: () => 10 })) }))).toThrow(
      '[Stack/Router.drainTimeout] the time is not known at synthesis (give a number, not a token) [RouterTime]');
    expect(refused).toThrow('the time is out of bounds, got: 180 (give a whole number of seconds from 1 to 115)');
  });
});

describe('a user of the router', () => {
  test('is let in, may read the keys, and sees its metrics', () => {
    const { stack, vpc, router } = inStack();
    const client = new ec2.SecurityGroup(stack, 'Client', { vpc, allowAllOutbound: false });
    router.connections.allowDefaultPortFrom(client);
    router.grantReadApiKeys(new iam.Role(stack, 'Reader', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') }));
    const template = Template.fromStack(stack);
    template.hasResourceProperties('AWS::EC2::SecurityGroupIngress', { FromPort: 80, SourceSecurityGroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('Client'), 'GroupId'] } });
    template.hasResourceProperties('AWS::IAM::Policy', {
      PolicyName: Match.stringLikeRegexp('Reader'),
      PolicyDocument: Match.objectLike({ Statement: [Match.objectLike({ Action: ['secretsmanager:GetSecretValue', 'secretsmanager:DescribeSecret'] })] }),
    });
    const metrics = [router.metricRequests(), router.metricResponseTime({ period: Duration.minutes(1) }), router.metricServerErrors()];
    expect(metrics.map((metric) => [metric.namespace, metric.metricName, metric.statistic, metric.period.toSeconds()])).toEqual([
      ['AWS/ApplicationELB', 'RequestCount', 'Sum', 300],
      ['AWS/ApplicationELB', 'TargetResponseTime', 'p95', 60],
      ['DisaggregatedInference', 'ServerErrors', 'Sum', 300],
    ]);
    expect(Object.keys(metrics[0].dimensions!).sort()).toEqual(['LoadBalancer', 'TargetGroup']);
  });

  test('can tell of it what whoever uses it elsewhere has to know', () => {
    const { stack, router } = inStack();
    const { url, loadBalancer: { loadBalancerFullName }, targetGroupFullName, metricsName, metricsNamespace } = router;
    const known = BedrockRouter.fromBedrockRouterAttributes(stack, 'Known', {
      url, securityGroups: router.connections.securityGroups, loadBalancerFullName, targetGroupFullName, metricsName, metricsNamespace,
    });
    expect(stack.resolve(known.metricRequests().dimensions)).toEqual(stack.resolve(router.metricRequests().dimensions));
    expect(known.metricOutputTokens().dimensions).toEqual(router.metricOutputTokens().dimensions);
  });

  test('can use one that exists', () => {
    const stack = new Stack(new App(), 'Stack');
    const attributes = {
      url: 'https://llm.example.com',
      securityGroups: [ec2.SecurityGroup.fromSecurityGroupId(stack, 'Group', 'sg-1')],
      loadBalancerFullName: 'app/a/1',
      targetGroupFullName: 'targetgroup/t/2',
    };
    const router = BedrockRouter.fromBedrockRouterAttributes(stack, 'Router', attributes);
    expect(router.url).toBe('https://llm.example.com');
    expect(router.metricRequests().dimensions).toEqual({ LoadBalancer: 'app/a/1', TargetGroup: 'targetgroup/t/2' });
    router.connections.allowDefaultPortFrom(ec2.Peer.ipv4('10.0.0.0/8'));
    Template.fromStack(stack).hasResourceProperties('AWS::EC2::SecurityGroupIngress', { GroupId: 'sg-1', FromPort: 443, CidrIp: '10.0.0.0/8' });
    expect(() => router.metricThrottles()).toThrow('[Stack/Router] what the tasks of this router tell is not known (give metricsName when importing it) [RouterMetricsUnknown]');
    const told = BedrockRouter.fromBedrockRouterAttributes(stack, 'Told', { ...attributes, metricsName: 'r' }).metricTimeToFirstToken();
    expect([told.namespace, told.statistic, told.dimensions]).toEqual(['DisaggregatedInference', 'p95', { Router: 'r' }]);
    const role = new iam.Role(stack, 'Reader', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') });
    expect(() => router.grantReadApiKeys(role)).toThrow('[Stack/Router] the secret of this router is not known (give apiKeysSecret when importing it) [RouterApiKeysUnknown]');
  });
});
