import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  Duration, IResource, Lazy, RemovalPolicy, Resource, Stack, Token, Validations,
  aws_cloudwatch as cloudwatch, aws_ec2 as ec2, aws_ecr_assets as ecrAssets, aws_ecs as ecs, aws_elasticloadbalancingv2 as elbv2,
  aws_iam as iam, aws_kms as kms, aws_logs as logs, aws_secretsmanager as secretsmanager, aws_ssm as ssm,
} from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { EngineEndpoint } from '../decode';
import { encryptedLogs } from '../encrypted-logs';
import { ManagedRole } from '../managed-role';
import { Problem, Problems } from '../problems';
import { InferenceRules } from '../validation';
import { BedrockRouterProps } from './bedrock-router-props';
import { API_KEYS_VARIABLE, buildRouterConfig, portOf, ROUTER_PORT } from './router-config';
import { RouterListener } from './router-listener';

/** Longest idle timeout of an Application Load Balancer, in seconds. */
const MAX_IDLE_SECONDS = 4000;

/**
 * A service that answers inference requests of clients with the help of engines.
 */
export interface IBedrockRouter extends IResource, ec2.IConnectable {
  /** Base URL of the service, without a trailing slash: the endpoint of AWS' SDKs. OpenAI clients use `<url>/v1` or `<url>/openai/v1`. */
  readonly url: string;

  /**
   * The API keys that callers present.
   *
   * @default - not known for an imported router
   */
  readonly apiKeysSecret?: secretsmanager.ISecret;

  /**
   * Lets somebody read the API keys, and so call the router.
   *
   * Throws if an imported router was given no secret.
   *
   * @param grantee who may read.
   */
  grantReadApiKeys(grantee: iam.IGrantable): iam.Grant;

  /**
   * Any metric of the router's part of its load balancer, in the namespace `AWS/ApplicationELB`.
   *
   * @param metricName name of the metric, such as `RequestCount`.
   * @param props what differs from the sum over five minutes.
   */
  metric(metricName: string, props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Requests that reached a router task.
   *
   * @param props what differs from the sum over five minutes.
   */
  metricRequests(props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Time until a router task sends the status of its answer, in seconds: for a streamed answer the time to first token,
   * for any other the time to the whole answer.
   *
   * @param props what differs from the 95th percentile over five minutes.
   */
  metricResponseTime(props?: cloudwatch.MetricOptions): cloudwatch.Metric;

  /**
   * Answers with a status of 500 and above. Answers that broke off after their status was sent are not among them: the
   * service's own metric `router_requests_total{code="stream_error"}` counts those.
   *
   * @param props what differs from the sum over five minutes.
   */
  metricServerErrors(props?: cloudwatch.MetricOptions): cloudwatch.Metric;
}

/**
 * What tells of a router that exists.
 */
export interface BedrockRouterAttributes {
  /** Base URL of the service, without a trailing slash. */
  readonly url: string;

  /** Security groups of its load balancer. */
  readonly securityGroups: ec2.ISecurityGroup[];

  /**
   * TCP port of its listener.
   *
   * @default 443
   */
  readonly port?: number;

  /** The `LoadBalancer` dimension of its metrics, such as `app/name/0123456789abcdef`. */
  readonly loadBalancerFullName: string;

  /** The `TargetGroup` dimension of its metrics, such as `targetgroup/name/0123456789abcdef`. */
  readonly targetGroupFullName: string;

  /**
   * The API keys that callers present.
   *
   * @default - `grantReadApiKeys` throws
   */
  readonly apiKeysSecret?: secretsmanager.ISecret;
}

abstract class BedrockRouterBase extends Resource implements IBedrockRouter {
  public abstract readonly url: string;
  public abstract readonly apiKeysSecret?: secretsmanager.ISecret;
  public abstract readonly connections: ec2.Connections;
  protected abstract readonly loadBalancerFullName: string;
  protected abstract readonly targetGroupFullName: string;

  public grantReadApiKeys(grantee: iam.IGrantable): iam.Grant {
    if (this.apiKeysSecret === undefined) {
      Problems.throwIfAny([{
        rule: 'RouterApiKeysUnknown', path: this.node.path, message: 'the secret of this router is not known', mend: 'give apiKeysSecret when importing it',
      }]);
    }
    return this.apiKeysSecret!.grantRead(grantee);
  }

  public metric(metricName: string, props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return new cloudwatch.Metric({
      namespace: 'AWS/ApplicationELB',
      metricName,
      dimensionsMap: { LoadBalancer: this.loadBalancerFullName, TargetGroup: this.targetGroupFullName },
      statistic: cloudwatch.Stats.SUM,
      ...props,
    }).attachTo(this);
  }

  public metricRequests(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric('RequestCount', props);
  }

  public metricResponseTime(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric('TargetResponseTime', { statistic: cloudwatch.Stats.percentile(95), ...props });
  }

  public metricServerErrors(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric('HTTPCode_Target_5XX_Count', props);
  }
}

/**
 * Answers Bedrock's Converse, ConverseStream, InvokeModel, InvokeModelWithResponseStream and CountTokens, and OpenAI's responses, chat completions and
 * completions at `/v1` and `/openai/v1`: Fargate tasks behind an Application Load Balancer forward each request to an engine, pass its stream on, bound what engines get,
 * and drain before they stop.
 *
 * A decode engine is paired with the first prefill engine of the same `kvConnector`: the router lets the prefill engine read the prompt and hands
 * its KV cache on, as vLLM's NIXL connector does it. Where that cannot be (no pair, several answers asked for, no prefill engine that is free and
 * well), or is not worth it (a short prompt, a prefill engine that has too many to read), the engine that answers reads the prompt itself, which the header
 * `x-router-route` and the service's metric `router_decisions_total` tell. Engines of SGLang (`kvConnector: 'sglang'`) are given each request at once, and no
 * decode engine of theirs reads a prompt itself. No other way of handing on is known to the router, that of a CS-3 among them.
 *
 * Bedrock may be among the engines, in any place: it answers where no engine is up, not where they are full. The tasks are granted
 * the invocation of that model and of no other.
 *
 * Callers present an API key of the router as a bearer token, which AWS' SDKs take from `AWS_BEARER_TOKEN_BEDROCK`; signatures of AWS credentials are not
 * accepted. AWS' SDK for JavaScript speaks HTTP/2 to Bedrock: it needs a listener with TLS, or a `NodeHttpHandler`.
 *
 * Throws a `ProblemsError` with every problem: a model that is not known (`RouterModelUnknown`), no engine that answers
 * (`RouterNothingAnswers`), engines (`RouterEngine…`), times (`RouterTime`), limits (`RouterRateLimit`, `RouterMaxRequests`, `RouterMinPromptTokens`) or a spec that
 * cannot be configured, fewer than two zones (`RouterZones`),
 * public subnets (`RouterSubnetsPublic`), or counts of tasks that are none (`RouterTasks`).
 */
export class BedrockRouter extends BedrockRouterBase {
  /**
   * A router that exists.
   *
   * @param scope the scope.
   * @param id id of the construct.
   * @param attrs what tells of it.
   */
  public static fromBedrockRouterAttributes(scope: Construct, id: string, attrs: BedrockRouterAttributes): IBedrockRouter {
    class Import extends BedrockRouterBase {
      public readonly url = attrs.url;
      public readonly apiKeysSecret = attrs.apiKeysSecret;
      public readonly connections = new ec2.Connections({ securityGroups: attrs.securityGroups, defaultPort: ec2.Port.tcp(attrs.port ?? 443) });
      protected readonly loadBalancerFullName = attrs.loadBalancerFullName;
      protected readonly targetGroupFullName = attrs.targetGroupFullName;
    }
    return new Import(scope, id);
  }

  public readonly url: string;
  public readonly apiKeysSecret?: secretsmanager.ISecret;
  /** Connections of the load balancer: whoever may call needs `connections.allowDefaultPortFrom`, unless the router faces the internet. */
  public readonly connections: ec2.Connections;
  /** The load balancer. */
  public readonly loadBalancer: elbv2.ApplicationLoadBalancer;
  /** The service. */
  public readonly service: ecs.FargateService;
  /** Logs of the tasks. */
  public readonly logGroup: logs.LogGroup;
  protected readonly loadBalancerFullName: string;
  protected readonly targetGroupFullName: string;

  constructor(scope: Construct, id: string, props: BedrockRouterProps) {
    super(scope, id);
    Problems.throwIfAny(placeProblems(props, this.node.path));
    const requestTimeout = props.requestTimeout ?? Duration.minutes(15);
    const drainTimeout = props.drainTimeout ?? Duration.seconds(100);
    const idleSeconds = Math.min(MAX_IDLE_SECONDS, requestTimeout.toSeconds() + 60);
    this.apiKeysSecret = props.apiKeysSecret ?? new secretsmanager.Secret(this, 'ApiKeys', {
      description: 'API keys of the router: a JSON list, or one a line',
      // seen as imported, the key does not get the execution role's ARN into its policy: a key of another stack would then depend on this one.
      encryptionKey: props.encryptionKey && kms.Key.fromKeyArn(this, 'ApiKeysKey', props.encryptionKey.keyArn),
      removalPolicy: props.removalPolicy ?? RemovalPolicy.RETAIN,
      generateSecretString: { passwordLength: 48, excludePunctuation: true },
    });
    const { config, engineKeys, unpairedEngines } = buildRouterConfig({
      path: this.node.path,
      region: Stack.of(this).region,
      engines: props.engines,
      spec: props.spec,
      servedModelNames: props.servedModelNames,
      maxRequestsPerEngine: props.maxRequestsPerEngine,
      minPromptTokens: props.minPromptTokens,
      requestsPerMinutePerKey: props.requestsPerMinutePerKey,
      tokensPerMinutePerKey: props.tokensPerMinutePerKey,
      requestTimeoutSeconds: requestTimeout.toSeconds(),
      firstTokenTimeoutSeconds: (props.firstTokenTimeout ?? Duration.minutes(2)).toSeconds(),
      loadBalancerIdleSeconds: idleSeconds,
      drainSeconds: drainTimeout.toSeconds(),
      apiKeysSecretArn: this.apiKeysSecret.secretArn,
    });

    this.logGroup = encryptedLogs(this, 'Logs', props);
    this.service = this.defineService(props, config, engineKeys, drainTimeout);
    openEngines(this.service, props.engines);

    const listener = props.listener ?? RouterListener.plaintextInternal();
    if (props.listener === undefined) {
      Validations.of(this).addWarning('cdk-disaggregated-inference:RouterPlaintext',
        'prompts and API keys cross the VPC unencrypted (give listener: RouterListener.tls(certificate, domainName), '
        + 'or RouterListener.plaintextInternal() if that is meant)');
    }
    if (unpairedEngines.length > 0) {
      Validations.of(this).addWarning('cdk-disaggregated-inference:RouterEnginesUnpaired',
        `no prompt is handed from prefill to decode by the engines ${unpairedEngines.map((name) => JSON.stringify(name)).join(', ')}: decode engines `
        + 'read prompts themselves, prefill engines idle (give a PREFILL and a DECODE engine the same kvConnector, or leave the prefill engine out)');
    }
    this.loadBalancer = new elbv2.ApplicationLoadBalancer(this, 'LoadBalancer', {
      vpc: props.vpc,
      internetFacing: listener.internetFacing,
      vpcSubnets: listener.internetFacing ? undefined : props.vpcSubnets,
      idleTimeout: Duration.seconds(idleSeconds),
      dropInvalidHeaderFields: true,
      deletionProtection: props.deletionProtection ?? false,
    });
    if (props.accessLogsBucket !== undefined) {
      this.loadBalancer.logAccessLogs(props.accessLogsBucket);
    }
    const targetGroup = this.defineTargetGroup(props, drainTimeout);
    this.defineListener(listener, targetGroup);
    this.defineScaling(props, targetGroup);

    const scheme = listener.certificate === undefined ? 'http' : 'https';
    this.url = `${scheme}://${listener.domainName ?? this.loadBalancer.loadBalancerDnsName}`;
    this.connections = new ec2.Connections({
      securityGroups: this.loadBalancer.connections.securityGroups,
      defaultPort: ec2.Port.tcp(listener.certificate === undefined ? 80 : 443),
    });
    this.loadBalancerFullName = this.loadBalancer.loadBalancerFullName;
    this.targetGroupFullName = targetGroup.targetGroupFullName;
    InferenceRules.checkOnSynth(this);
  }

  private defineService(
    props: BedrockRouterProps, config: object, engineKeys: { [variable: string]: secretsmanager.ISecret }, drainTimeout: Duration,
  ): ecs.FargateService {
    const stack = Stack.of(this);
    const parameter = new ssm.StringParameter(this, 'Config', {
      description: 'Configuration of the router',
      stringValue: stack.toJsonString(config),
      // more than the 4 KB of a standard parameter if there are many engines.
      tier: ssm.ParameterTier.INTELLIGENT_TIERING,
    });
    const executionRole = new ManagedRole(this, 'ExecutionRole', {
      assumedBy: new iam.ServicePrincipal('ecs-tasks.amazonaws.com'),
      description: 'Starts the tasks of the router',
    });
    const taskRole = new ManagedRole(this, 'TaskRole', {
      assumedBy: new iam.ServicePrincipal('ecs-tasks.amazonaws.com'),
      description: 'What the tasks of the router may call',
    });
    props.engines.forEach(({ bedrockModel }) => bedrockModel?._grantInvoke(this, taskRole));
    // the tasks read it anew while they run: what a variable holds is what the secret was at their start.
    this.apiKeysSecret!.grantRead(taskRole);
    taskRole.completePolicy();
    const taskDefinition = new ecs.FargateTaskDefinition(this, 'Task', {
      executionRole,
      taskRole,
      cpu: props.cpu ?? 1024,
      memoryLimitMiB: props.memoryLimitMiB ?? 2048,
      runtimePlatform: { cpuArchitecture: ecs.CpuArchitecture.X86_64, operatingSystemFamily: ecs.OperatingSystemFamily.LINUX },
    });
    const secrets: { [variable: string]: ecs.Secret } = {
      ROUTER_CONFIG: ecs.Secret.fromSsmParameter(parameter),
      [API_KEYS_VARIABLE]: ecs.Secret.fromSecretsManager(this.apiKeysSecret!),
    };
    for (const [variable, secret] of Object.entries(engineKeys)) {
      secrets[variable] = ecs.Secret.fromSecretsManager(secret);
    }
    taskDefinition.addContainer('Router', {
      image: props.image ?? defaultImage(this.node.path),
      secrets,
      portMappings: [{ containerPort: ROUTER_PORT }],
      readonlyRootFilesystem: true,
      // five seconds more than the service takes at most to go down.
      stopTimeout: drainTimeout.plus(Duration.seconds(5)),
      logging: ecs.LogDrivers.awsLogs({
        logGroup: this.logGroup,
        streamPrefix: 'router',
        // a log that cannot be delivered must not hold requests up.
        mode: ecs.AwsLogDriverMode.NON_BLOCKING,
      }),
      // tasks read the parameter when they start: a change of it must be a change of the task.
      dockerLabels: {
        'router-config-sha256': Lazy.string({ produce: () => createHash('sha256').update(JSON.stringify(stack.resolve(config))).digest('hex') }),
      },
    });
    executionRole.completePolicy();
    const securityGroup = new ec2.SecurityGroup(this, 'TaskSecurityGroup', {
      vpc: props.vpc, description: 'Tasks of the router', allowAllOutbound: false,
    });
    securityGroup.addEgressRule(ec2.Peer.anyIpv4(), ec2.Port.tcp(443), 'image, secrets, logs and engines behind HTTPS');
    const service = new ecs.FargateService(this, 'Service', {
      cluster: props.cluster ?? new ecs.Cluster(this, 'Cluster', { vpc: props.vpc, containerInsightsV2: ecs.ContainerInsights.ENABLED }),
      taskDefinition,
      securityGroups: [securityGroup],
      vpcSubnets: props.vpcSubnets,
      assignPublicIp: false,
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      circuitBreaker: { rollback: true },
      healthCheckGracePeriod: Duration.seconds(60),
      enableECSManagedTags: true,
      propagateTags: ecs.PropagatedTagSource.SERVICE,
    });
    // autoscaling owns the count: one in the template would reset it at every deployment.
    (service.node.defaultChild as ecs.CfnService).desiredCount = undefined;
    return service;
  }

  private defineTargetGroup(props: BedrockRouterProps, drainTimeout: Duration): elbv2.ApplicationTargetGroup {
    return new elbv2.ApplicationTargetGroup(this, 'Targets', {
      vpc: props.vpc,
      port: ROUTER_PORT,
      protocol: elbv2.ApplicationProtocol.HTTP,
      targets: [this.service],
      deregistrationDelay: drainTimeout,
      // streams differ in length by orders of magnitude: turns would pile them up.
      loadBalancingAlgorithmType: elbv2.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS,
      healthCheck: {
        path: '/readyz', interval: Duration.seconds(10), timeout: Duration.seconds(5), healthyThresholdCount: 2, unhealthyThresholdCount: 3,
      },
    });
  }

  private defineListener(listener: RouterListener, targetGroup: elbv2.ApplicationTargetGroup): void {
    const secure = listener.certificate !== undefined;
    const http = this.loadBalancer.addListener(secure ? 'Https' : 'Http', {
      protocol: secure ? elbv2.ApplicationProtocol.HTTPS : elbv2.ApplicationProtocol.HTTP,
      open: listener.internetFacing,
      ...(secure ? { certificates: [listener.certificate!], sslPolicy: elbv2.SslPolicy.TLS13_RES } : {}),
      // metrics and health of the tasks are nobody's business out here.
      defaultAction: elbv2.ListenerAction.fixedResponse(404, {
        contentType: 'application/json',
        messageBody: JSON.stringify({ error: { message: 'there is nothing at this path', type: 'invalid_request_error', param: null, code: 'not_found' } }),
      }),
    });
    http.addAction('Api', {
      priority: 1,
      conditions: [elbv2.ListenerCondition.pathPatterns(['/model/*', '/v1/*', '/openai/v1/*'])],
      action: elbv2.ListenerAction.forward([targetGroup]),
    });
    if (secure) {
      this.loadBalancer.addListener('Redirect', {
        protocol: elbv2.ApplicationProtocol.HTTP,
        open: listener.internetFacing,
        defaultAction: elbv2.ListenerAction.redirect({ protocol: 'HTTPS', port: '443', permanent: true }),
      });
    }
  }

  private defineScaling(props: BedrockRouterProps, targetGroup: elbv2.ApplicationTargetGroup): void {
    const scaling = this.service.autoScaleTaskCount({ minCapacity: props.minTasks ?? 2, maxCapacity: props.maxTasks ?? 10 });
    scaling.scaleOnRequestCount('Requests', { targetGroup, requestsPerTarget: props.requestsPerTaskPerMinute ?? 6000 });
    scaling.scaleOnCpuUtilization('Cpu', { targetUtilizationPercent: 60 });
  }
}

/** What is wrong with where and how many tasks run. */
function placeProblems(props: BedrockRouterProps, path: string): Problem[] {
  const problems: Problem[] = [];
  const { subnets } = props.vpc.selectSubnets(props.vpcSubnets);
  const zones = new Set(subnets.map((subnet) => subnet.availabilityZone));
  if (zones.size < 2) {
    problems.push({
      rule: 'RouterZones',
      path: `${path}.vpcSubnets`,
      value: JSON.stringify(subnets.map((subnet) => subnet.node.path)),
      message: 'an Application Load Balancer needs subnets in two Availability Zones',
      mend: 'use a VPC with private subnets in two zones, or select such subnets',
    });
  }
  const open = subnets.filter((subnet) => props.vpc.publicSubnets.includes(subnet));
  if (open.length > 0) {
    problems.push({
      rule: 'RouterSubnetsPublic',
      path: `${path}.vpcSubnets`,
      value: JSON.stringify(open.map((subnet) => subnet.node.path)),
      message: 'tasks have no public IP address, so in a public subnet they cannot pull their image',
      mend: 'use private subnets with a NAT gateway or VPC endpoints',
    });
  }
  const { minTasks = 2, maxTasks = 10 } = props;
  for (const [name, count] of Object.entries({ minTasks, maxTasks })) {
    if (!Token.isUnresolved(count) && !(Number.isInteger(count) && count >= 1)) {
      problems.push({
        rule: 'RouterTasks', path: `${path}.${name}`, value: JSON.stringify(count), message: 'this is not a number of tasks', mend: 'give a whole number from 1',
      });
    }
  }
  if (![minTasks, maxTasks].some((count) => Token.isUnresolved(count)) && minTasks > maxTasks) {
    problems.push({
      rule: 'RouterTasks',
      path: `${path}.minTasks`,
      value: JSON.stringify(minTasks),
      message: `the fewest tasks are more than the most, ${maxTasks}`,
      mend: 'lower minTasks or raise maxTasks, which is 10 unless given',
    });
  }
  return problems;
}

/** Lets the tasks reach engines whose security groups are known, and whatever port the others have. */
function openEngines(service: ecs.FargateService, engines: EngineEndpoint[]): void {
  for (const engine of engines) {
    const port = portOf(engine);
    if (engine.connections !== undefined) {
      service.connections.allowTo(engine.connections, ec2.Port.tcp(port!), 'router to engine');
    } else if (port !== undefined && port !== 443) {
      service.connections.allowToAnyIpv4(ec2.Port.tcp(port), 'router to engine');
    }
  }
}

function defaultImage(path: string): ecs.ContainerImage {
  // src/router and lib/router are equally far from it.
  const directory = join(__dirname, '..', '..', 'assets', 'router');
  if (!existsSync(join(directory, 'index.js'))) {
    Problems.throwIfAny([{
      rule: 'RouterImageMissing',
      path: `${path}.image`,
      value: JSON.stringify(directory),
      message: 'the service has not been bundled',
      mend: 'run node projenrc/bundle.mjs in the checkout, or give image',
    }]);
  }
  return ecs.ContainerImage.fromAsset(directory, { platform: ecrAssets.Platform.LINUX_AMD64 });
}
