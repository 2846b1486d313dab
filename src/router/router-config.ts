import { Duration, StringConcat, Token, Tokenization, aws_secretsmanager as secretsmanager } from 'aws-cdk-lib';
import { BedrockRouterProps } from './bedrock-router-props';
import { checkEngines, ROUTER_PORT } from './engine-checks';
import { enginePairs } from './engine-pairs';
import { bedrockRatesOf, checkBedrockRates } from './router-bedrock-rates';
import { checkListener } from './router-listener';
import { checkQueue, queueOf } from './router-queue';
import { checkTaskSize } from './router-task-size';
import { checkIssuer, issuerOf } from './router-token-issuer';
import schema from './runtime/router-config.v1.schema.json';
import { PROTOCOLS } from './runtime/targets/protocols';
import { secondsOf, SettingChecks } from './setting-checks';
import { EngineEndpoint, EngineRole } from '../decode';
import { RoutingRates, routingRates } from '../estimator/routing-rates';
import { specProblems } from '../estimator/spec-check';
import { Problem, Problems } from '../problems';

/** Namespace of the metrics that tasks tell CloudWatch. */
export const METRICS_NAMESPACE = schema.properties.emf.properties.namespace.default;
/** Name of the variable with the callers' API keys. */
const API_KEYS_VARIABLE = 'ROUTER_API_KEYS';
/** Name of the variable with Valkey's password. */
const VALKEY_PASSWORD_VARIABLE = 'VALKEY_PASSWORD';

/** Longest idle timeout of an Application Load Balancer, in seconds. */
const MAX_IDLE_SECONDS = 4000;
/** Of a task's memory, the share that bodies may have, each of which is in memory up to five times. */
const HELD_SHARE = 1 / 8;
/** Most that a parameter of Systems Manager holds, of the advanced tier. */
const MAX_CONFIG_BYTES = 8192;
/** How much longer than a request it is. */
const IDLE_MARGIN_SECONDS = 60;

/** Props that the service is told of. */
type RouterSettings = Pick<BedrockRouterProps,
'engines' | 'spec' | 'servedModelNames' | 'images' | 'maxRequestsPerEngine' | 'minPromptTokens' | 'requestsPerMinutePerCaller' | 'tokensPerMinutePerCaller'
| 'priorityCallers' | 'valkey' | 'queue' | 'cpu' | 'memoryLimitMiB' | 'requestsPerTaskPerMinute' | 'tokenIssuer' | 'apiKeysSecret' | 'bedrockRates' | 'listener'
| 'accessLogsBucket' | 'deregistrationDelay'>;

/** What the construct knows when it configures the service. */
export interface RouterConfigInput extends RouterSettings {
  readonly path: string;
  /** What is wrong with what the service is not told of. */
  readonly problems: Problem[];
  /** AWS region of the router. */
  readonly region: string;
  readonly requestTimeout: Duration;
  readonly firstTokenTimeout: Duration;
  readonly drainTimeout: Duration;
  /** The secret of the callers' API keys; undefined if they present tokens. */
  readonly apiKeys?: secretsmanager.ISecret;
  readonly metricsName: string;
  readonly metricsNamespace: string;
}

/** The configuration of the service, and the secrets that its variables hold. */
export interface BuiltRouterConfig {
  readonly config: object;
  readonly secrets: { [variable: string]: secretsmanager.ISecret };
  /** Names of prefill engines that no decode engine takes KV caches of, and beside prefill engines of decode engines that take none. */
  readonly unpairedEngines: string[];
  /** Idle timeout of the load balancer. */
  readonly idleSeconds: number;
}

/**
 * Builds the configuration that `runtime/` reads. It speaks of the same schema, whose test reads what this writes.
 *
 * Throws ProblemsError with every problem.
 */
export function buildRouterConfig(input: RouterConfigInput): BuiltRouterConfig {
  Problems.throwIfAny(problemsOf(input));
  const { spec, memoryLimitMiB: memoryMib } = input;
  const objective = spec?.objective;
  const secrets: { [variable: string]: secretsmanager.ISecret } = {
    ...(input.apiKeys !== undefined && { [API_KEYS_VARIABLE]: input.apiKeys }),
    ...(input.valkey?._passwordSecret !== undefined && { [VALKEY_PASSWORD_VARIABLE]: input.valkey._passwordSecret }),
  };
  const prefillOf = enginePairs(input.engines);
  const servedNames = input.servedModelNames ?? [spec!.model.id];
  const targets = input.engines.map((engine, i) => {
    const variable = `ENGINE_API_KEY_${i}`;
    if (engine.apiKeySecret !== undefined) {
      secrets[variable] = engine.apiKeySecret;
    }
    return {
      name: engine.name,
      role: engine.role,
      protocol: engine.protocol,
      ...(engine.discoverySrvName === undefined ? { url: engine.url } : { srv: engine.discoverySrvName }),
      region: PROTOCOLS[engine.protocol].isBedrock ? input.region : undefined,
      // what one engine of the fleet can do says nothing of a hosted API.
      maxInFlight: PROTOCOLS[engine.protocol].isHosted ? undefined : input.maxRequestsPerEngine ?? spec?.decode.maxConcurrentSequences,
      apiKeyEnv: engine.apiKeySecret === undefined ? undefined : variable,
      modelName: engine.bedrockModel?.invocationId ?? engine.modelName,
      defaultMaxTokens: engine.defaultMaxTokens,
      kvConnector: engine.kvConnector?.name,
      kvBlockTokens: engine.kvBlockTokens,
      prefill: prefillOf.get(engine)?.name,
      metrics: engine.metricsPath === undefined ? undefined : { path: engine.metricsPath },
    };
  });
  const firstTokenSeconds = secondsOf(input.firstTokenTimeout);
  const drainSeconds = secondsOf(input.drainTimeout);
  const idleSeconds = Math.ceil(secondsOf(input.requestTimeout)) + IDLE_MARGIN_SECONDS;
  const paired = new Set<EngineEndpoint>([...prefillOf.keys(), ...prefillOf.values()]);
  const built = {
    secrets,
    idleSeconds,
    unpairedEngines: input.engines.some((engine) => engine.role === EngineRole.PREFILL)
      ? input.engines.filter((engine) => engine.role !== EngineRole.AGGREGATED && !paired.has(engine)).map((engine) => engine.name)
      : [],
    config: {
      schema: 'cdk-disaggregated-inference/router-config/v1',
      model: { id: spec?.model.id ?? servedNames[0], servedNames, images: input.images },
      port: ROUTER_PORT,
      targets,
      routing: {
        ...routingOf(input, prefillOf),
        bedrock: input.bedrockRates && bedrockRatesOf(input.bedrockRates),
        ...(input.minPromptTokens !== undefined && { minPromptTokens: input.minPromptTokens }),
      },
      limits: {
        requestTimeoutSeconds: secondsOf(input.requestTimeout),
        firstByteTimeoutSeconds: firstTokenSeconds,
        // the other half is for a decode engine that has to read the prompt after all.
        prefillTimeoutSeconds: Math.min(60, firstTokenSeconds / 2),
        // a load balancer must be the one that closes an idle connection, or it sends a request into a closing one.
        keepAliveSeconds: idleSeconds + 5,
        maxHeldBytes: memoryMib === undefined || Token.isUnresolved(memoryMib) ? undefined : Math.floor(memoryMib * HELD_SHARE * 2 ** 20),
      },
      queue: input.queue && queueOf(input.queue),
      rateLimits: input.requestsPerMinutePerCaller === undefined && input.tokensPerMinutePerCaller === undefined ? undefined : {
        requestsPerMinute: input.requestsPerMinutePerCaller,
        tokensPerMinute: input.tokensPerMinutePerCaller,
        valkey: input.valkey?._config(VALKEY_PASSWORD_VARIABLE),
      },
      priorityCallers: input.priorityCallers,
      lameduckSeconds: Math.min(10, drainSeconds / 2),
      drainSeconds,
      auth: input.tokenIssuer === undefined
        ? { apiKeysEnv: API_KEYS_VARIABLE, apiKeysSecret: { arn: input.apiKeys!.secretArn } }
        : { jwt: issuerOf(input.tokenIssuer) },
      emf: { namespace: input.metricsNamespace, router: input.metricsName },
      expected: objective === undefined ? undefined : { ttftSeconds: objective.ttftSeconds, tpotSeconds: objective.tpotSeconds },
    },
  };
  Problems.throwIfAny(lengthProblems(built.config, input.path));
  return built;
}

/** What is wrong with the length of a configuration. How long its tokens become, nobody knows. */
function lengthProblems(config: object, path: string): Problem[] {
  const known = JSON.stringify(config, (_, value: unknown) => (Token.isUnresolved(value) ? literalOf(value) : value));
  const bytes = Buffer.byteLength(known);
  return bytes <= MAX_CONFIG_BYTES ? [] : [{
    rule: 'RouterConfigTooLong',
    path,
    value: String(bytes),
    message: `the configuration is longer than the ${MAX_CONFIG_BYTES} bytes that a parameter of Systems Manager holds`,
    mend: 'give fewer engines or servedModelNames, or put some behind a router of their own',
  }];
}

/** What is known of a text with tokens; nothing of a number. */
function literalOf(token: unknown): string {
  return typeof token === 'string' ? Tokenization.reverseString(token).mapTokens({ mapToken: () => '' }).join(new StringConcat()) : '';
}

/** What paths are chosen by. Of engines that read prompts before those of the spec the estimator says nothing. */
function routingOf({ spec, engines }: RouterConfigInput, prefillOf: ReadonlyMap<EngineEndpoint, EngineEndpoint>): RoutingRates | undefined {
  const rates = spec === undefined || prefillOf.size === 0 ? undefined : routingRates(spec);
  if (rates === undefined) {
    return undefined;
  }
  const first = engines.find((engine) => engine.role !== EngineRole.PREFILL && !PROTOCOLS[engine.protocol].isBedrock);
  return { ...rates, aggregated: prefillOf.has(first!) ? rates.aggregated : undefined };
}

function problemsOf(input: RouterConfigInput): Problem[] {
  const { path, engines } = input;
  const checks = new SettingChecks(path);
  checks.problems.push(...input.problems);
  if (input.servedModelNames === undefined && input.spec === undefined) {
    checks.refuse('RouterModelUnknown', 'servedModelNames', undefined, 'the router does not know which model it serves', 'give servedModelNames or spec');
  }
  checks.problems.push(...(input.spec === undefined ? [] : specProblems(input.spec)).map((problem) => ({ ...problem, path: `${path}.spec.${problem.path}` })));
  if (input.servedModelNames?.length === 0) {
    checks.refuse('RouterModelUnknown', 'servedModelNames', [], 'no model is served', 'name at least one model');
  }
  checks.names('RouterModelNames', 'servedModelNames', input.servedModelNames);
  checkEngines(engines, checks);
  checkRegion(input, checks);
  // 4000 s is the longest idle timeout of an Application Load Balancer, and it must outlast a request that says nothing.
  checks.time('RouterTime', 'requestTimeout', input.requestTimeout, { type: 'number', minimum: 1, maximum: MAX_IDLE_SECONDS - IDLE_MARGIN_SECONDS });
  checks.time('RouterTime', 'firstTokenTimeout', input.firstTokenTimeout, { type: 'number', minimum: 1, maximum: MAX_IDLE_SECONDS - IDLE_MARGIN_SECONDS });
  // Fargate kills a container 120 s after it asked it to stop, and takes whole seconds.
  checks.time('RouterTime', 'drainTimeout', input.drainTimeout, { type: 'integer', minimum: 1, maximum: 115 });
  checks.time('RouterTime', 'deregistrationDelay', input.deregistrationDelay, { type: 'integer', minimum: 0, maximum: 3600 });
  checks.number('RouterMinPromptTokens', 'minPromptTokens', input.minPromptTokens, schema.properties.routing.properties.minPromptTokens, 'tokens');
  checkLimits(input, checks);
  if (input.tokenIssuer !== undefined) {
    if (input.apiKeysSecret !== undefined) {
      checks.refuse('RouterAuthTwice', 'tokenIssuer', undefined, 'callers prove who they are in exactly one way', 'give one of apiKeysSecret and tokenIssuer');
    }
    checkIssuer(input.tokenIssuer, checks);
  }
  checks.secret('apiKeysSecret', input.apiKeysSecret);
  if (input.listener !== undefined) {
    checkListener(input.listener, input.region, checks);
  }
  if (input.accessLogsBucket !== undefined && Token.isUnresolved(input.region)) {
    checks.refuse('RouterAccessLogs', 'accessLogsBucket', undefined, 'who writes access logs depends on the region, which is not known', 'give the stack an env with a region');
  }
  checkTaskSize(input, checks);
  // autoscaling takes no target of 0.
  checks.number('RouterTasks', 'requestsPerTaskPerMinute', input.requestsPerTaskPerMinute, { type: 'number', exclusiveMinimum: 0 }, 'requests');
  if (input.bedrockRates !== undefined) {
    const weighsBedrock = input.spec?.objective !== undefined && engines.some(({ protocol }) => PROTOCOLS[protocol].isBedrock);
    checkBedrockRates(input.bedrockRates, weighsBedrock, checks);
  }
  const { namespace } = schema.properties.emf.properties;
  if (!Token.isUnresolved(input.metricsNamespace) && !new RegExp(namespace.pattern).test(input.metricsNamespace)) {
    checks.refuse('RouterMetricsNamespace', 'metricsNamespace', input.metricsNamespace, 'CloudWatch takes no metrics in this namespace',
      'use up to 255 letters, digits and . - _ / # :, and do not begin with AWS/');
  }
  return checks.problems;
}

/** Refuses engines of AWS that are called in the stack's region, where that is none. */
function checkRegion({ engines, region }: RouterConfigInput, checks: SettingChecks): void {
  const { pattern } = schema.definitions.target.properties.region;
  const at = engines.findIndex(({ protocol }) => PROTOCOLS[protocol].isBedrock);
  if (at !== -1 && !Token.isUnresolved(region) && !new RegExp(pattern).test(region)) {
    checks.refuse('RouterEngineRegion', `engines[${at}]`, region, 'the region of the stack is none that Bedrock could be called in', 'give the stack a region such as us-east-2');
  }
}

/** How much is taken of a caller, of all, and of an engine at once. */
function checkLimits(input: RouterConfigInput, checks: SettingChecks): void {
  const { requestsPerMinutePerCaller, tokensPerMinutePerCaller, valkey } = input;
  const { requestsPerMinute, tokensPerMinute } = schema.properties.rateLimits.properties;
  checks.number('RouterRateLimit', 'requestsPerMinutePerCaller', requestsPerMinutePerCaller, requestsPerMinute, 'requests');
  checks.number('RouterRateLimit', 'tokensPerMinutePerCaller', tokensPerMinutePerCaller, tokensPerMinute, 'tokens');
  if (valkey !== undefined && requestsPerMinutePerCaller === undefined && tokensPerMinutePerCaller === undefined) {
    checks.refuse('RouterValkeyUnused', 'valkey', undefined, 'there is no limit to share', 'give requestsPerMinutePerCaller or tokensPerMinutePerCaller, or leave valkey out');
  }
  valkey?._check(checks);
  checkQueue(input.queue ?? {}, checks);
  checks.names('RouterPriorityCallers', 'priorityCallers', input.priorityCallers);
  checks.number('RouterMaxRequests', 'maxRequestsPerEngine', input.maxRequestsPerEngine, schema.definitions.target.properties.maxInFlight, 'requests');
}
