import {
  App, CfnParameter, Duration, Lazy, RemovalPolicy, Size, Stack,
  aws_ec2 as ec2, aws_ecs as ecs, aws_elasticache as elasticache, aws_logs as logs, aws_s3 as s3, aws_secretsmanager as secretsmanager,
} from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { configIn } from './template-config';
import { BedrockModel, BedrockTarget, CerebrasCloudTarget, EngineEndpoint, OpenAiEndpointOptions } from '../../src/decode';
import { DisaggregatedInference } from '../../src/disaggregated-inference';
import { DeploymentSpec } from '../../src/estimator';
import { ModelArchitecture } from '../../src/model';
import { ProblemsError } from '../../src/problems';
import { BedrockRouter, BedrockRouterProps, RouterValkey } from '../../src/router';
import { parseRouterConfig } from '../../src/router/runtime';
import schema from '../../src/router/runtime/router-config.v1.schema.json';
import { Decode } from '../../src/serving-phases';
import { Workload } from '../../src/workload';

const engine = (more: Partial<OpenAiEndpointOptions> = {}) => EngineEndpoint.openai({ name: 'engine', url: 'http://engine.example:8000', ...more });
const ENGINE = engine();
const SPEC: DeploymentSpec = {
  schema: 'cdk-disaggregated-inference/deployment-spec/v1',
  model: { id: 'llama-3.3-70b' },
  workload: { source: 'steady', requestsPerSecond: 1, lengthClasses: [{ inputTokens: 1000, outputTokens: 100, weight: 1 }] },
  objective: { percentile: 95, ttftSeconds: 1, tpotSeconds: 0.05 },
  decode: { hardware: 'trn2.48xlarge' },
};
const ISSUER = { issuerUrl: 'https://login.example.com', audience: 'llm' };
const { queue, rateLimits } = schema.properties;
const { clockSkewSeconds } = schema.definitions.auth.properties.jwt.properties;

type Props = Partial<BedrockRouterProps>;

/** A router, in a stack of its own. */
function inStack(props: (stack: Stack) => Props): Stack {
  const stack = new Stack(new App(), 'Stack', { env: { region: 'eu-west-1', account: '111122223333' } });
  const vpc = new ec2.Vpc(stack, 'Vpc', { availabilityZones: ['eu-west-1a', 'eu-west-1b'] });
  const image = ecs.ContainerImage.fromRegistry('router.example/router:1');
  new BedrockRouter(stack, 'Router', { vpc, image, engines: [ENGINE], servedModelNames: ['llama'], ...props(stack) });
  return stack;
}

/** What the service makes of the configuration in the template. */
function served(props: (stack: Stack) => Props, known = 'token') {
  const variables = { ROUTER_API_KEYS: 'k', VALKEY_PASSWORD: 'p', ENGINE_API_KEY_1: 'e' };
  return parseRouterConfig(JSON.stringify(configIn(Template.fromStack(inStack(props)), known)), variables);
}

function problemsOf(props: Props): string[] {
  try {
    inStack(() => props);
  } catch (e) {
    // an error of the CDK would say neither where nor all.
    expect(e).toBeInstanceOf(ProblemsError);
    return (e as ProblemsError).problems.map(({ path, rule }) => `${path.replace('Stack/Router.', '')} ${rule}`);
  }
  return [];
}

const hosted = (stack: Stack, defaultMaxTokens: number) => [
  ENGINE,
  new CerebrasCloudTarget(stack, 'Cerebras', { apiKey: secretsmanager.Secret.fromSecretNameV2(stack, 'Key', 'key'), modelId: 'm', defaultMaxTokens }).endpoint,
  new BedrockTarget(stack, 'Bedrock', { model: BedrockModel.foundationModel('meta.llama3-3-70b-instruct-v1:0') }).endpoint,
];

test('the least that the construct takes, the service takes', () => {
  expect(served((stack) => ({
    spec: SPEC,
    servedModelNames: ['a'],
    engines: hosted(stack, schema.definitions.target.properties.defaultMaxTokens.minimum),
    images: false,
    metricsNamespace: 'x',
    maxRequestsPerEngine: schema.definitions.target.properties.maxInFlight.minimum,
    minPromptTokens: schema.properties.routing.properties.minPromptTokens.minimum,
    requestsPerMinutePerCaller: rateLimits.properties.requestsPerMinute.minimum,
    tokensPerMinutePerCaller: rateLimits.properties.tokensPerMinute.minimum,
    priorityCallers: [],
    valkey: RouterValkey.server({ host: '[::1]', port: 1, username: 'u', passwordSecret: secretsmanager.Secret.fromSecretNameV2(stack, 'Password', 'p') }),
    queue: {
      maxRequests: queue.properties.maxRequests.minimum,
      maxPromptTokens: queue.properties.maxPromptTokens.minimum,
      maxBodies: Size.bytes(queue.properties.maxBytes.minimum),
      maxWait: Duration.millis(1),
    },
    tokenIssuer: { ...ISSUER, clockSkew: Duration.seconds(clockSkewSeconds.minimum) },
    bedrockRates: { perRequest: Duration.millis(0), perThousandPromptTokens: Duration.millis(0), perThousandOutputTokens: Duration.millis(0) },
    requestTimeout: Duration.seconds(1),
    firstTokenTimeout: Duration.seconds(1),
    drainTimeout: Duration.seconds(1),
  }))).toMatchObject({ queue: { maxRequests: 0, maxWaitSeconds: 0.001 }, auth: { jwt: { clockSkewSeconds: 0 } }, drainSeconds: 1 });
});

test('the most that the construct takes, and fractions of seconds, the service takes', () => {
  expect(served((stack) => ({
    spec: SPEC,
    servedModelNames: ['a', 'b'],
    engines: hosted(stack, Number.MAX_SAFE_INTEGER),
    images: true,
    metricsNamespace: 'x'.repeat(255),
    maxRequestsPerEngine: Number.MAX_SAFE_INTEGER,
    minPromptTokens: Number.MAX_VALUE,
    requestsPerMinutePerCaller: Number.MAX_VALUE,
    tokensPerMinutePerCaller: Number.MAX_VALUE,
    priorityCallers: ['*', 'a'],
    valkey: RouterValkey.server({ host: 'valkey.example', port: 65535, cluster: true }),
    queue: {
      maxRequests: Number.MAX_SAFE_INTEGER,
      maxPromptTokens: Number.MAX_SAFE_INTEGER,
      maxBodies: Size.pebibytes(1),
      maxWait: Duration.seconds(queue.properties.maxWaitSeconds.maximum),
    },
    bedrockRates: { perRequest: Duration.days(1), perThousandPromptTokens: Duration.days(1), perThousandOutputTokens: Duration.days(1) },
    requestTimeout: Duration.seconds(3940),
    firstTokenTimeout: Duration.seconds(3940),
    drainTimeout: Duration.seconds(115),
  }))).toMatchObject({ limits: { requestTimeoutSeconds: 3940, keepAliveSeconds: 4005 }, drainSeconds: 115 });
  expect(served(() => ({
    tokenIssuer: { ...ISSUER, clockSkew: Duration.seconds(clockSkewSeconds.maximum) },
  }))).toMatchObject({ auth: { jwt: { clockSkewSeconds: 600 } } });
  expect(served(() => ({
    tokenIssuer: { ...ISSUER, clockSkew: Duration.millis(500) },
    requestTimeout: Duration.millis(1500),
    firstTokenTimeout: Duration.millis(1500),
    drainTimeout: Duration.millis(2000),
  }))).toMatchObject({ auth: { jwt: { clockSkewSeconds: 0.5 } }, limits: { requestTimeoutSeconds: 1.5, keepAliveSeconds: 67 }, drainSeconds: 2 });
});

test.each<[string, Props]>([
  ['metricsNamespace RouterMetricsNamespace', { metricsNamespace: 'AWS/x' }],
  ['metricsNamespace RouterMetricsNamespace', { metricsNamespace: 'My Own' }],
  ['metricsNamespace RouterMetricsNamespace', { metricsNamespace: '' }],
  ['metricsNamespace RouterMetricsNamespace', { metricsNamespace: 'x'.repeat(256) }],
  ['servedModelNames RouterModelNames', { servedModelNames: [''] }],
  ['servedModelNames RouterModelNames', { servedModelNames: Lazy.list({ produce: () => ['a'] }) }],
  ['tokenIssuer.clockSkew RouterTokenIssuer', { tokenIssuer: { ...ISSUER, clockSkew: Duration.seconds(clockSkewSeconds.maximum + 1) } }],
  ['tokenIssuer.clockSkew RouterTokenIssuer', { tokenIssuer: { ...ISSUER, clockSkew: Duration.millis(Lazy.number({ produce: () => 1 })) } }],
  ['tokenIssuer.audience RouterTokenIssuer', { tokenIssuer: { ...ISSUER, audience: '' } }],
  ['priorityCallers RouterPriorityCallers', { priorityCallers: ['a', 'a'] }],
  ['priorityCallers RouterPriorityCallers', { priorityCallers: [''] }],
  ['queue.maxRequests RouterQueue', { queue: { maxRequests: -1 } }],
  ['queue.maxPromptTokens RouterQueue', { queue: { maxPromptTokens: 1.5 } }],
  ['queue.maxBodies RouterQueue', { queue: { maxBodies: Size.bytes(0) } }],
  ['queue.maxBodies RouterQueue', { queue: { maxBodies: Size.mebibytes(Lazy.number({ produce: () => 1 })) } }],
  ['queue.maxWait RouterQueue', { queue: { maxWait: Duration.seconds(queue.properties.maxWaitSeconds.maximum + 1) } }],
  ['valkey.host RouterValkeyAddress', { requestsPerMinutePerCaller: 1, valkey: RouterValkey.server({ host: '' }) }],
  ['valkey.host RouterValkeyAddress', { requestsPerMinutePerCaller: 1, valkey: RouterValkey.server({ host: 'me@valkey.example' }) }],
  ['valkey.port RouterValkeyAddress', { requestsPerMinutePerCaller: 1, valkey: RouterValkey.server({ host: 'valkey.example', port: 0 }) }],
  ['valkey.username RouterValkeyUser', { requestsPerMinutePerCaller: 1, valkey: RouterValkey.server({ host: 'valkey.example', username: '' }) }],
  ['valkey.keyPrefix RouterValkeyPrefix', { requestsPerMinutePerCaller: 1, valkey: RouterValkey.server({ host: 'valkey.example', keyPrefix: '' }) }],
  ['requestsPerMinutePerCaller RouterRateLimit', { requestsPerMinutePerCaller: Infinity }],
  ['tokensPerMinutePerCaller RouterRateLimit', { tokensPerMinutePerCaller: 0.5 }],
  ['minPromptTokens RouterMinPromptTokens', { minPromptTokens: Infinity }],
  ['maxRequestsPerEngine RouterMaxRequests', { maxRequestsPerEngine: 1.5 }],
  ['requestTimeout RouterTime', { requestTimeout: Duration.millis(500) }],
  ['firstTokenTimeout RouterTime', { firstTokenTimeout: Duration.seconds(3941) }],
  ['drainTimeout RouterTime', { drainTimeout: Duration.millis(1500) }],
  ['engines[0].modelName RouterEngineModel', { engines: [engine({ modelName: '' })] }],
  ['engines[0].url RouterEngineUrl', { engines: [engine({ url: 'http://localhost:8080' })] }],
  ['engines[0].url RouterEngineUrl', { engines: [engine({ url: 'http://engine.example/v1' })] }],
  ['engines[0].port RouterEnginePort', { engines: [engine({ port: 65536 })] }],
  ['engines[0].port RouterEnginePort', { engines: [engine({ port: 9000 })] }],
  ['engines[0].discoverySrvName RouterEngineAddress', { engines: [engine({ url: undefined, discoverySrvName: '', port: 1 })] }],
  ['engines[0].discoverySrvName RouterEngineAddress', { engines: [engine({ url: undefined, discoverySrvName: 'engines.internal:8000', port: 8000 })] }],
  ['engines[0].kvBlockTokens RouterEngineBlocks', { engines: [engine({ kvBlockTokens: 0 })] }],
])('what the service would refuse is refused at synthesis: %s', (problem, props) => {
  expect(problemsOf(props)).toEqual([problem]);
});

test('endpoints of hosted services are looked at like others', () => {
  const apiKeySecret = secretsmanager.Secret.fromSecretNameV2(new Stack(), 'Key', 'key');
  const engines = [
    EngineEndpoint.cerebras({ name: 'c', modelName: '', apiKeySecret, url: 'nowhere', defaultMaxTokens: 0 }),
    EngineEndpoint.bedrock({ name: 'c', model: BedrockModel.foundationModel('amazon.nova-pro-v1:0'), url: 'https://bedrock.example?x' }),
  ];
  expect(problemsOf({ engines })).toEqual([
    'engines[0].url RouterEngineUrl', 'engines[0].modelName RouterEngineModel', 'engines[0].defaultMaxTokens RouterEngineMaxTokens',
    'engines[1].name RouterEngineName', 'engines[1].url RouterEngineUrl',
  ]);
});

test.each<[string, Props]>([
  ['cpu RouterTaskSize', { cpu: 1000 }],
  ['memoryLimitMiB RouterTaskSize', { memoryLimitMiB: 512 }],
  ['memoryLimitMiB RouterTaskSize', { cpu: 256, memoryLimitMiB: 1536 }],
  ['memoryLimitMiB RouterTaskSize', { memoryLimitMiB: NaN }],
  ['deregistrationDelay RouterTime', { deregistrationDelay: Duration.seconds(3601) }],
  ['deregistrationDelay RouterTime', { deregistrationDelay: Duration.millis(1500) }],
  ['requestsPerTaskPerMinute RouterTasks', { requestsPerTaskPerMinute: 0 }],
  ['requestsPerTaskPerMinute RouterTasks', { requestsPerTaskPerMinute: NaN }],
  ['engines[0].apiKeySecret RouterEngineKey', { engines: [EngineEndpoint.cerebras(JSON.parse('{"name": "c", "modelName": "m"}'))] }],
])('what cannot be deployed is refused at synthesis: %s', (problem, props) => {
  expect(problemsOf(props)).toEqual([problem]);
});

test('bounds are told in words', () => {
  expect(() => inStack(() => ({ requestsPerTaskPerMinute: 0 }))).toThrow('(give a number of requests above 0) [RouterTasks]');
  expect(() => inStack(() => ({ queue: { maxRequests: -1 } }))).toThrow('(give a whole number of requests from 0 on) [RouterQueue]');
});

test('tasks of every size that Fargate has are taken, and those that are known at deployment', () => {
  const sizes = [[256, 512], [256, 2048], [512, 4096], [1024, 8192], [2048, 5120], [4096, 30720], [8192, 20480], [16384, 122880], [32768, 245760]];
  sizes.forEach(([cpu, memoryLimitMiB]) => expect([cpu, memoryLimitMiB, ...problemsOf({ cpu, memoryLimitMiB })]).toEqual([cpu, memoryLimitMiB]));
  const token = Lazy.number({ produce: () => 512 });
  expect([...problemsOf({ memoryLimitMiB: token }), ...problemsOf({ cpu: token })]).toEqual([]);
});

test('a size of bodies that is known at deployment is taken in bytes', () => {
  expect(served((stack) => ({ queue: { maxBodies: Size.bytes(new CfnParameter(stack, 'Bytes', { type: 'Number' }).valueAsNumber) } }), '1048576').queue.maxBytes).toBe(1048576);
});

test('a configuration is refused that no parameter has room for; how long a token becomes, nobody knows', () => {
  const engines = (count: number, url: (i: number) => string) => Array.from({ length: count }, (_, i) => EngineEndpoint.openai({ name: `engine-${i}`, url: url(i), port: 8000 }));
  const named = (i: number) => `http://engine-${i}.${'subdomain.'.repeat(5)}example:8000`;
  expect(problemsOf({ engines: engines(40, named) })).toEqual([]);
  expect(problemsOf({ engines: engines(80, named) })).toEqual(['Stack/Router RouterConfigTooLong']);
  expect(problemsOf({ engines: engines(80, (i) => Lazy.string({ produce: () => named(i) })) })).toEqual([]);
});

test('access logs are refused where the region is not known, by which is told who writes them', () => {
  const stack = new Stack(new App(), 'Stack');
  const router = () => new BedrockRouter(stack, 'Router', {
    vpc: new ec2.Vpc(stack, 'Vpc'),
    image: ecs.ContainerImage.fromRegistry('router.example/router:1'),
    engines: [ENGINE],
    servedModelNames: ['llama'],
    accessLogsBucket: new s3.Bucket(stack, 'Logs'),
  });
  expect(router).toThrow(/^\[Stack\/Router\.accessLogsBucket\] .*\(give the stack an env with a region\) \[RouterAccessLogs\]$/);
});

test('a cache of memcached is refused, and routers on one server may have limits of their own', () => {
  const cacheOf = (stack: Stack, of: string) => new elasticache.CfnServerlessCache(stack, 'Cache', { engine: of, serverlessCacheName: 'limits' });
  const limited = (of: string) => () => inStack((stack) => ({
    requestsPerMinutePerCaller: 1, valkey: RouterValkey.serverlessCache(cacheOf(stack, of)),
  }));
  expect(limited('memcached')).toThrow('this cache does not speak the protocol of Valkey, got: "memcached" (give one whose engine is valkey) [RouterValkeyAddress]');
  expect(limited('redis')).not.toThrow();
  const valkey = RouterValkey.server({ host: 'valkey.example', keyPrefix: 'chat:' });
  expect(served(() => ({ requestsPerMinutePerCaller: 1, valkey })).rateLimits.valkey).toMatchObject({ url: 'valkeys://valkey.example:6379', keyPrefix: 'chat:' });
});

test('what is given of the router of a service is its own, and what is left undefined the service\'s', () => {
  const stack = new Stack(new App(), 'Stack', { env: { region: 'eu-west-1', account: '111122223333' } });
  new DisaggregatedInference(stack, 'Chat', {
    model: ModelArchitecture.LLAMA_3_3_70B,
    workload: Workload.steady({ requestsPerSecond: 1, inputTokens: 100, outputTokens: 100 }),
    decode: Decode.cerebrasCloud({ apiKey: secretsmanager.Secret.fromSecretNameV2(stack, 'Key', 'key'), modelId: 'gpt-oss-120b' }),
    removalPolicy: RemovalPolicy.DESTROY,
    logRetention: logs.RetentionDays.ONE_DAY,
    router: { removalPolicy: undefined, logRetention: logs.RetentionDays.ONE_WEEK, deregistrationDelay: Duration.minutes(15) },
  });
  const template = Template.fromStack(stack);
  template.hasResource('AWS::SecretsManager::Secret', { DeletionPolicy: 'Delete' });
  template.hasResource('AWS::Logs::LogGroup', { DeletionPolicy: 'Delete', Properties: { RetentionInDays: 7 } });
  template.hasResourceProperties('AWS::ElasticLoadBalancingV2::TargetGroup', {
    TargetGroupAttributes: Match.arrayWith([{ Key: 'deregistration_delay.timeout_seconds', Value: '900' }]),
  });
});
