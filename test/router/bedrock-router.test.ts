import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  App, Duration, Lazy, RemovalPolicy, Size, Stack, aws_applicationautoscaling as appscaling,
  aws_certificatemanager as acm, aws_ec2 as ec2, aws_ecs as ecs, aws_iam as iam, aws_kms as kms, aws_s3 as s3,
  aws_secretsmanager as secretsmanager,
} from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { AssetManifestArtifact } from 'aws-cdk-lib/cx-api';
import { AwsSolutionsChecks } from 'cdk-nag';
import { CLOUD, cloud, container, inStack, synth } from './router-stack';
import { API_KEYS_ARN, configIn } from './template-config';
import { BedrockModel, BedrockTarget } from '../../src/decode';
import { DeploymentSpec } from '../../src/estimator';
import { BedrockRouter, RouterListener } from '../../src/router';
import { parseRouterConfig } from '../../src/router/runtime';

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
