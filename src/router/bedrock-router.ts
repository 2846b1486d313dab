import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  Duration, Fn, Lazy, Names, RemovalPolicy, Size, Stack, Token, Validations, aws_cloudwatch as cloudwatch,
  aws_ec2 as ec2, aws_ecr_assets as ecrAssets, aws_ecs as ecs, aws_elasticloadbalancingv2 as elbv2,
  aws_iam as iam, aws_logs as logs, aws_secretsmanager as secretsmanager, aws_ssm as ssm,
} from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { encryptedLogs } from '../encrypted-logs';
import { ManagedRole } from '../managed-role';
import { nearestNames } from '../nearest';
import { missingProperties, Problems } from '../problems';
import { InferenceRules } from '../validation';
import { BedrockRouterBase } from './bedrock-router-base';
import { BedrockRouterAttributes, IBedrockRouter } from './bedrock-router-interface';
import { BedrockRouterProps } from './bedrock-router-props';
import { ROUTER_PORT } from './engine-checks';
import { buildRouterConfig, METRICS_NAMESPACE } from './router-config';
import { openEgress, portOfUrl } from './router-egress';
import { RouterListener } from './router-listener';
import { balancerSubnets, clusterIn, placeProblems, tasksOf } from './router-placement';
import { ContainerSecret, grantReadSecret } from './router-secrets';
import { DEFAULT_CPU, DEFAULT_MEMORY_MIB } from './router-task-size';

/**
 * Answers Bedrock's Converse, ConverseStream, InvokeModel, InvokeModelWithResponseStream and CountTokens, and OpenAI's responses, chat completions and
 * completions at `/v1` and `/openai/v1`: Fargate tasks behind an Application Load Balancer forward each request to an engine, pass its stream on, bound what
 * engines get, and drain before they stop.
 *
 * A decode engine is paired with the first prefill engine of the same `kvConnector`: the router lets the prefill engine read the prompt and hands
 * its KV cache on, as vLLM's NIXL connector does it. Where that cannot be (no pair, several answers asked for, no prefill engine that is free and
 * well), or is not worth it (a short prompt, a prefill engine that has too many to read), the engine that answers reads the prompt itself, which the header
 * `x-router-route` and the service's metric `router_decisions_total` tell. Engines of SGLang (`KvConnector.SGLANG`) and those with vLLM's `MooncakeConnector`
 * are given each request at once, and no decode engine of SGLang reads a prompt itself. The connector of a CS-3 is not known.
 *
 * Bedrock may be among the engines, in any place: it answers where no engine is up, and with `bedrockRates` also what the engines are too full for or would
 * answer too late. The tasks are granted the invocation of that model and of no other.
 *
 * Callers present an API key of the router as a bearer token, which AWS' SDKs take from `AWS_BEARER_TOKEN_BEDROCK`; signatures of AWS credentials are not
 * accepted; or, with a `tokenIssuer`, a JSON Web Token in its place. AWS' SDK for JavaScript speaks HTTP/2 to Bedrock: it needs a listener with TLS, or a
 * `NodeHttpHandler`.
 *
 * Throws a `ProblemsError` with every problem: a model that is not known (`RouterModelUnknown`), no engine that answers (`RouterNothingAnswers`), engines
 * (`RouterEngine…`), secrets (`RouterSecretArn`), times (`RouterTime`), limits (`RouterRateLimit`, `RouterValkey…`, `RouterQueue`, `RouterMaxRequests`,
 * `RouterMinPromptTokens`), callers (`RouterAuthTwice`, `RouterTokenIssuer`, `RouterPriorityCallers`), names of models (`RouterModelNames`) and of metrics
 * (`RouterMetricsNamespace`), rates (`RouterBedrockRates`) or a spec that cannot be configured, fewer than two zones (`RouterZones`), public subnets
 * (`RouterSubnetsPublic`), counts of tasks that are none (`RouterTasks`), sizes that Fargate does not have (`RouterTaskSize`), a certificate (`RouterCertificate`)
 * or name (`RouterDomainName`) that a listener cannot have, access logs of a region that is not known (`RouterAccessLogs`), or more than a parameter of Systems
 * Manager holds (`RouterConfigTooLong`).
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
      public readonly connections = new ec2.Connections({
        securityGroups: attrs.securityGroups, defaultPort: ec2.Port.tcp(attrs.port ?? portOfUrl(attrs.url) ?? 443),
      });
      protected readonly loadBalancerFullName = attrs.loadBalancerFullName;
      public readonly targetGroupFullName = attrs.targetGroupFullName;
      public readonly metricsName = attrs.metricsName;
      public readonly metricsNamespace = attrs.metricsNamespace ?? METRICS_NAMESPACE;
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
  /** How the count of tasks follows what is asked of them: schedules and other metrics can be added. */
  public readonly scaling: ecs.ScalableTaskCount;
  /** Logs of the tasks. */
  public readonly logGroup: logs.LogGroup;
  protected readonly loadBalancerFullName: string;
  /** The `TargetGroup` dimension of its metrics, such as `targetgroup/name/0123456789abcdef`. */
  public readonly targetGroupFullName: string;
  /** The `Router` dimension of what its tasks tell CloudWatch. */
  public readonly metricsName?: string;
  /** The namespace of what its tasks tell CloudWatch. */
  public readonly metricsNamespace: string;
  private readonly engineNames: string[];

  constructor(scope: Construct, id: string, props: BedrockRouterProps) {
    super(scope, id);
    Problems.throwIfAny(missingProperties(props, ['vpc', 'engines'], this.node.path));
    this.engineNames = props.engines.map(({ name }) => name);
    const drainTimeout = props.drainTimeout ?? Duration.seconds(100);
    this.metricsName = Names.uniqueResourceName(this, { maxLength: 255 });
    this.metricsNamespace = props.metricsNamespace ?? METRICS_NAMESPACE;
    this.apiKeysSecret = props.tokenIssuer === undefined ? props.apiKeysSecret ?? this.generateApiKeys(props) : undefined;
    const { config, secrets, unpairedEngines, idleSeconds } = buildRouterConfig({
      ...props,
      path: this.node.path,
      problems: placeProblems(props, this.node.path),
      region: Stack.of(this).region,
      requestTimeout: props.requestTimeout ?? Duration.minutes(15),
      firstTokenTimeout: props.firstTokenTimeout ?? Duration.minutes(2),
      drainTimeout,
      apiKeys: this.apiKeysSecret,
      metricsName: this.metricsName,
      metricsNamespace: this.metricsNamespace,
    });

    this.logGroup = encryptedLogs(this, 'Logs', props);
    this.service = this.defineService(props, config, secrets, drainTimeout);
    openEgress(this.service.connections, props);

    const listener = props.listener ?? RouterListener.plaintextInternal();
    if (props.listener === undefined) {
      Validations.of(this).addWarning('cdk-disaggregated-inference:RouterPlaintext',
        'prompts and API keys cross the VPC unencrypted (give listener: RouterListener.tls(certificate, domainName), '
        + 'or RouterListener.plaintextInternal() if that is meant)');
    }
    const partial = Object.values(secrets).filter(({ secretFullArn }) => secretFullArn === undefined);
    if (partial.length > 0) {
      Validations.of(this).addWarning('cdk-disaggregated-inference:RouterSecretPartial',
        `ECS promises to find secrets by their whole ARN alone, and of ${partial.map(({ node }) => JSON.stringify(node.path)).join(', ')} its last six characters `
        + 'are not known: if tasks do not start, that is why (import it with Secret.fromSecretCompleteArn)');
    }
    if (unpairedEngines.length > 0) {
      Validations.of(this).addWarning('cdk-disaggregated-inference:RouterEnginesUnpaired',
        `no prompt is handed from prefill to decode by the engines ${unpairedEngines.map((name) => JSON.stringify(name)).join(', ')}: decode engines `
        + 'read prompts themselves, prefill engines idle (give a PREFILL and a DECODE engine the same kvConnector, or leave the prefill engine out)');
    }
    this.loadBalancer = new elbv2.ApplicationLoadBalancer(this, 'LoadBalancer', {
      vpc: props.vpc,
      internetFacing: listener.internetFacing,
      vpcSubnets: balancerSubnets(props),
      idleTimeout: Duration.seconds(idleSeconds),
      dropInvalidHeaderFields: true,
      deletionProtection: props.deletionProtection ?? false,
    });
    if (props.accessLogsBucket !== undefined) {
      this.loadBalancer.logAccessLogs(props.accessLogsBucket);
    }
    const targetGroup = this.defineTargetGroup(props, drainTimeout);
    this.defineListener(listener, targetGroup);
    this.scaling = this.defineScaling(props, targetGroup);

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

  public grantReadApiKeys(grantee: iam.IGrantable): iam.Grant {
    if (this.apiKeysSecret === undefined) {
      Problems.throwIfAny([{
        rule: 'RouterApiKeysNone',
        path: this.node.path,
        message: 'callers of this router present tokens of an issuer, so it has no API keys',
        mend: 'let the caller have a token of the issuer, or leave tokenIssuer out',
      }]);
    }
    return super.grantReadApiKeys(grantee);
  }

  public metricHealthyEndpoints(engineName: string, props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    if (![engineName, ...this.engineNames].some((name) => Token.isUnresolved(name)) && !this.engineNames.includes(engineName)) {
      const near = nearestNames(engineName, this.engineNames);
      Problems.throwIfAny([{
        rule: 'RouterEngineUnknown',
        path: this.node.path,
        value: JSON.stringify(engineName),
        message: 'the router has no engine of this name',
        mend: `give ${(near.length > 0 ? near : this.engineNames).map((name) => JSON.stringify(name)).join(' or ')}`,
      }]);
    }
    return super.metricHealthyEndpoints(engineName, props);
  }

  private generateApiKeys({ encryptionKey, removalPolicy }: BedrockRouterProps): secretsmanager.ISecret {
    return new secretsmanager.Secret(this, 'ApiKeys', {
      description: 'API keys of the router: a JSON list, or one a line',
      encryptionKey,
      removalPolicy: removalPolicy ?? RemovalPolicy.RETAIN,
      generateSecretString: { passwordLength: 48, excludePunctuation: true },
    });
  }

  private defineService(
    props: BedrockRouterProps, config: object, secretOf: { [variable: string]: secretsmanager.ISecret }, drainTimeout: Duration,
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
    if (this.apiKeysSecret !== undefined) {
      grantReadSecret(this.apiKeysSecret, taskRole);
    }
    taskRole.completePolicy();
    const taskDefinition = new ecs.FargateTaskDefinition(this, 'Task', {
      executionRole,
      taskRole,
      cpu: props.cpu ?? DEFAULT_CPU,
      memoryLimitMiB: props.memoryLimitMiB ?? DEFAULT_MEMORY_MIB,
      runtimePlatform: { cpuArchitecture: ecs.CpuArchitecture.X86_64, operatingSystemFamily: ecs.OperatingSystemFamily.LINUX },
    });
    const secrets: { [variable: string]: ecs.Secret } = {
      ROUTER_CONFIG: ecs.Secret.fromSsmParameter(parameter),
    };
    for (const [variable, secret] of Object.entries(secretOf)) {
      secrets[variable] = new ContainerSecret(secret);
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
        // and what is lost is metrics, too: what waits may be several seconds of lines under load.
        maxBufferSize: Size.mebibytes(25),
      }),
      // tasks read the parameter when they start: a change of it must be a change of the task.
      dockerLabels: {
        'router-config-sha256': Lazy.string({ produce: () => createHash('sha256').update(JSON.stringify(stack.resolve(config))).digest('hex') }),
        // parameters and imports keep their names when their values change.
        'router-config-values': Fn.join(' ', ['deployed:', ...tokensIn(config)]),
      },
    });
    executionRole.completePolicy();
    const securityGroup = new ec2.SecurityGroup(this, 'TaskSecurityGroup', {
      vpc: props.vpc, description: 'Tasks of the router', allowAllOutbound: false,
    });
    securityGroup.addEgressRule(ec2.Peer.anyIpv4(), ec2.Port.tcp(443), 'image, secrets, logs and engines behind HTTPS');
    const service = new ecs.FargateService(this, 'Service', {
      cluster: clusterIn(this, props),
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
      deregistrationDelay: props.deregistrationDelay ?? drainTimeout,
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

  private defineScaling(props: BedrockRouterProps, targetGroup: elbv2.ApplicationTargetGroup): ecs.ScalableTaskCount {
    const { minTasks, maxTasks } = tasksOf(props);
    const scaling = this.service.autoScaleTaskCount({ minCapacity: minTasks, maxCapacity: maxTasks });
    scaling.scaleOnRequestCount('Requests', { targetGroup, requestsPerTarget: props.requestsPerTaskPerMinute ?? 6000 });
    // the service is one process, which has little use for more than one vCPU.
    const { cpu = DEFAULT_CPU } = props;
    scaling.scaleOnCpuUtilization('Cpu', { targetUtilizationPercent: Token.isUnresolved(cpu) ? 60 : 60 * Math.min(1, 1024 / cpu) });
    return scaling;
  }
}

/** What a value holds that is not known yet. */
function tokensIn(value: unknown): string[] {
  if (Token.isUnresolved(value)) {
    return [Token.asString(value)];
  }
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(tokensIn) : [];
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
