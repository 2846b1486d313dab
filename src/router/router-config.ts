import { aws_secretsmanager as secretsmanager, Token } from 'aws-cdk-lib';
import { bedrockRatesOf, issuerOf, queueOf, RouterSettings, settingsProblems } from './router-settings';
import { isBaseUrl } from '../base-url';
import { EngineEndpoint, EngineProtocol, EngineRole } from '../decode';
import { DeploymentSpec } from '../estimator';
import schema from './runtime/router-config.v1.schema.json';
import { RoutingRates, routingRates } from '../estimator/routing-rates';
import { specProblems } from '../estimator/spec-check';
import { connectorMend, KV_CONNECTORS, MOONCAKE, SGLANG } from '../kv-connectors';
import { Problem, Problems } from '../problems';

/** Port of the router's container. */
export const ROUTER_PORT = 8080;
/** Namespace of the metrics that tasks tell CloudWatch. */
export const METRICS_NAMESPACE = schema.properties.emf.properties.namespace.default;
/** Name of the variable with the callers' API keys. */
const API_KEYS_VARIABLE = 'ROUTER_API_KEYS';
/** Name of the variable with Valkey's password. */
const VALKEY_PASSWORD_VARIABLE = 'VALKEY_PASSWORD';

/** Port of the bootstrap server of vLLM's prefill engines, unless they are told another. */
const BOOTSTRAP_PORT = 8998;

/** Settings of an endpoint that a hosted service needs, and those that it has not. */
interface HostedSettings {
  readonly needed: readonly (keyof EngineEndpoint)[];
  readonly unknown: readonly (keyof EngineEndpoint)[];
}

const HOSTED: { readonly [protocol: string]: HostedSettings } = {
  [EngineProtocol.BEDROCK]: {
    needed: ['bedrockModel'],
    unknown: ['discoverySrvName', 'apiKeySecret', 'kvConnector', 'kvBlockTokens', 'metricsPath', 'defaultMaxTokens'],
  },
  [EngineProtocol.CEREBRAS]: { needed: ['url', 'apiKeySecret'], unknown: ['discoverySrvName', 'bedrockModel', 'kvConnector', 'kvBlockTokens', 'metricsPath'] },
};

/** What the construct knows when it configures the service. Times are in seconds. */
export interface RouterConfigInput extends RouterSettings {
  readonly path: string;
  /** AWS region of the router. */
  readonly region: string;
  readonly engines: EngineEndpoint[];
  readonly spec?: DeploymentSpec;
  readonly requestTimeoutSeconds: number;
  readonly firstTokenTimeoutSeconds: number;
  readonly loadBalancerIdleSeconds: number;
  readonly drainSeconds: number;
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
}

/**
 * Builds the configuration that `runtime/` reads. It speaks of the same schema, whose test reads what this writes.
 *
 * Throws ProblemsError with every problem.
 */
export function buildRouterConfig(input: RouterConfigInput): BuiltRouterConfig {
  Problems.throwIfAny(problemsOf(input));
  const { spec } = input;
  const objective = spec?.objective;
  const secrets: { [variable: string]: secretsmanager.ISecret } = {
    ...(input.apiKeys !== undefined && { [API_KEYS_VARIABLE]: input.apiKeys }),
    ...(input.valkey?._passwordSecret !== undefined && { [VALKEY_PASSWORD_VARIABLE]: input.valkey._passwordSecret }),
  };
  const prefillOf = pairs(input.engines);
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
      region: engine.protocol === EngineProtocol.BEDROCK ? input.region : undefined,
      // what one engine of the fleet can do says nothing of a hosted API.
      maxInFlight: HOSTED[engine.protocol] === undefined ? input.maxRequestsPerEngine ?? spec?.decode.maxConcurrentSequences : undefined,
      apiKeyEnv: engine.apiKeySecret === undefined ? undefined : variable,
      modelName: engine.bedrockModel?.invocationId ?? engine.modelName,
      defaultMaxTokens: engine.defaultMaxTokens,
      kvConnector: engine.kvConnector,
      kvBlockTokens: engine.kvBlockTokens,
      prefill: prefillOf.get(engine)?.name,
      metrics: engine.metricsPath === undefined ? undefined : { path: engine.metricsPath },
    };
  });
  const paired = new Set<EngineEndpoint>([...prefillOf.keys(), ...prefillOf.values()]);
  return {
    secrets,
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
        requestTimeoutSeconds: input.requestTimeoutSeconds,
        firstByteTimeoutSeconds: input.firstTokenTimeoutSeconds,
        // the other half is for a decode engine that has to read the prompt after all.
        prefillTimeoutSeconds: Math.min(60, input.firstTokenTimeoutSeconds / 2),
        // a load balancer must be the one that closes an idle connection, or it sends a request into a closing one.
        keepAliveSeconds: input.loadBalancerIdleSeconds + 5,
      },
      queue: input.queue && queueOf(input.queue),
      rateLimits: input.requestsPerMinutePerKey === undefined && input.tokensPerMinutePerKey === undefined ? undefined : {
        requestsPerMinute: input.requestsPerMinutePerKey,
        tokensPerMinute: input.tokensPerMinutePerKey,
        valkey: input.valkey?._config(VALKEY_PASSWORD_VARIABLE),
      },
      priorityCallers: input.priorityCallers,
      lameduckSeconds: Math.min(10, input.drainSeconds / 2),
      drainSeconds: input.drainSeconds,
      auth: input.tokenIssuer === undefined
        ? { apiKeysEnv: API_KEYS_VARIABLE, apiKeysSecret: { arn: input.apiKeys!.secretArn } }
        : { jwt: issuerOf(input.tokenIssuer) },
      emf: { namespace: input.metricsNamespace, router: input.metricsName },
      expected: objective === undefined ? undefined : { ttftSeconds: objective.ttftSeconds, tpotSeconds: objective.tpotSeconds },
    },
  };
}

/** The prefill engine of each decode engine that has one: the first with the same connector. A connector that is not known yet is nobody's. */
function pairs(engines: EngineEndpoint[]): Map<EngineEndpoint, EngineEndpoint> {
  const transfers = engines.filter((engine) => engine.kvConnector !== undefined && !Token.isUnresolved(engine.kvConnector));
  const prefill = transfers.filter((engine) => engine.role === EngineRole.PREFILL);
  return new Map(transfers.filter((engine) => engine.role === EngineRole.DECODE).flatMap((engine) =>
    prefill.filter((one) => one.kvConnector === engine.kvConnector).slice(0, 1).map((one) => [engine, one])));
}

/** What paths are chosen by. Of engines that read prompts before those of the spec the estimator says nothing. */
function routingOf({ spec, engines }: RouterConfigInput, prefillOf: ReadonlyMap<EngineEndpoint, EngineEndpoint>): RoutingRates | undefined {
  const rates = spec === undefined || prefillOf.size === 0 ? undefined : routingRates(spec);
  if (rates === undefined) {
    return undefined;
  }
  const first = engines.find((engine) => engine.role !== EngineRole.PREFILL && engine.protocol !== EngineProtocol.BEDROCK);
  return { ...rates, aggregated: prefillOf.has(first!) ? rates.aggregated : undefined };
}

function problemsOf(input: RouterConfigInput): Problem[] {
  const { path, engines } = input;
  const prefillOf = pairs(engines);
  const problems: Problem[] = [];
  const refuse = (rule: string, where: string, value: unknown, message: string, mend: string) =>
    problems.push({ rule, path: `${path}.${where}`, ...(value === undefined ? {} : { value: JSON.stringify(value) }), message, mend });

  if (input.servedModelNames === undefined && input.spec === undefined) {
    refuse('RouterModelUnknown', 'servedModelNames', undefined, 'the router does not know which model it serves', 'give servedModelNames or spec');
  }
  problems.push(...(input.spec === undefined ? [] : specProblems(input.spec)).map((problem) => ({ ...problem, path: `${path}.spec.${problem.path}` })));
  if (input.servedModelNames?.length === 0) {
    refuse('RouterModelUnknown', 'servedModelNames', [], 'no model is served', 'name at least one model');
  }
  const served = (input.servedModelNames ?? []).filter((name) => !Token.isUnresolved(name));
  if (served.some((name, i) => name === '' || served.indexOf(name) < i)) {
    refuse('RouterModelNames', 'servedModelNames', served, 'a name is empty, or there twice', 'give each name once');
  }
  if (!engines.some((engine) => engine.role !== EngineRole.PREFILL)) {
    refuse('RouterNothingAnswers', 'engines', undefined, 'no engine answers requests', 'add an engine whose role is DECODE or AGGREGATED');
  }
  const names = new Set<string>();
  engines.forEach((engine, i) => {
    const at = `engines[${i}]`;
    if (!Token.isUnresolved(engine.name)) {
      if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/.test(engine.name)) {
        refuse('RouterEngineName', `${at}.name`, engine.name, 'the name does not fit into a metric', 'use up to 63 letters, digits, - and _');
      }
      if (names.has(engine.name)) {
        refuse('RouterEngineName', `${at}.name`, engine.name, 'two engines have the same name', 'give each its own name');
      }
      names.add(engine.name);
    }
    const hosted = HOSTED[engine.protocol];
    if (hosted !== undefined) {
      problems.push(...hostedProblems(engine, hosted, `${path}.${at}`));
      return;
    }
    if ((engine.discoverySrvName === undefined) === (engine.url === undefined)) {
      refuse('RouterEngineAddress', at, engine.name, 'an engine is reached in exactly one way', 'give one of discoverySrvName and url');
    }
    if (engine.url !== undefined && !Token.isUnresolved(engine.url) && !isBaseUrl(engine.url)) {
      refuse('RouterEngineUrl', `${at}.url`, engine.url, 'the URL is not a base URL', 'give http:// or https://, a host, and no credentials, query or fragment');
    }
    if (engine.role === EngineRole.DECODE && engine.kvConnector === SGLANG && !prefillOf.has(engine)) {
      refuse('RouterEngineUnpaired', `${at}.kvConnector`, engine.kvConnector, 'decode engines of SGLang read no prompts', 'add a PREFILL engine with the same kvConnector');
    }
    if (engine.metricsPath !== undefined && !Token.isUnresolved(engine.metricsPath) && !engine.metricsPath.startsWith('/')) {
      refuse('RouterEngineMetrics', `${at}.metricsPath`, engine.metricsPath, 'this is no path', 'begin it with /');
    }
    if (engine.defaultMaxTokens !== undefined) {
      refuse('RouterEngineMaxTokens', `${at}.defaultMaxTokens`, engine.defaultMaxTokens, 'engines like these set a limit themselves', 'remove it');
    }
    if (engine.kvBlockTokens !== undefined && !Token.isUnresolved(engine.kvBlockTokens)
      && !(Number.isInteger(engine.kvBlockTokens) && engine.kvBlockTokens >= 1)) {
      refuse('RouterEngineBlocks', `${at}.kvBlockTokens`, engine.kvBlockTokens, 'the number of tokens is not a whole number above 0', 'give what --block-size of the engines is');
    }
    const { kvConnector } = engine;
    if (kvConnector !== undefined && !Token.isUnresolved(kvConnector) && !KV_CONNECTORS.includes(kvConnector)) {
      refuse('RouterEngineConnector', `${at}.kvConnector`, kvConnector, 'the router knows no such hand-off', connectorMend(kvConnector));
    }
    if (portOf(engine) === undefined) {
      refuse('RouterEnginePort', `${at}.port`, engine.name, 'the port to open towards the engine is not known', 'give port');
    }
  });
  const bound = (where: string, seconds: number, least: number, most: number) => {
    if (Token.isUnresolved(seconds)) {
      refuse('RouterTime', where, undefined, 'the time is not known at synthesis', 'give a number, not a token');
    } else if (!(seconds >= least && seconds <= most)) {
      refuse('RouterTime', where, seconds, `the time is not within ${least} and ${most} seconds`, 'change it');
    }
  };
  // 4000 s is the longest idle timeout of an Application Load Balancer, and it must outlast a request that says nothing.
  bound('requestTimeout', input.requestTimeoutSeconds, 1, 3940);
  bound('firstTokenTimeout', input.firstTokenTimeoutSeconds, 1, 3940);
  // Fargate kills a container 120 s after it asked it to stop.
  bound('drainTimeout', input.drainSeconds, 1, 115);
  const { minPromptTokens } = input;
  if (minPromptTokens !== undefined && !Token.isUnresolved(minPromptTokens) && !(minPromptTokens >= 0 && minPromptTokens < Infinity)) {
    refuse('RouterMinPromptTokens', 'minPromptTokens', minPromptTokens, 'this is no number of tokens', 'give a number from 0 on');
  }
  const weighsBedrock = input.spec?.objective !== undefined && engines.some(({ protocol }) => protocol === EngineProtocol.BEDROCK);
  problems.push(...settingsProblems(input, path, weighsBedrock));
  if (input.maxRequestsPerEngine !== undefined && !Token.isUnresolved(input.maxRequestsPerEngine)
    && !(Number.isInteger(input.maxRequestsPerEngine) && input.maxRequestsPerEngine >= 1)) {
    refuse('RouterMaxRequests', 'maxRequestsPerEngine', input.maxRequestsPerEngine, 'the number of requests is not a whole number above 0', 'change it');
  }
  return problems;
}

/** What is wrong with how a service that is hosted elsewhere is described. */
function hostedProblems(engine: EngineEndpoint, { needed, unknown }: HostedSettings, path: string): Problem[] {
  const rule = 'RouterEngineHosted';
  const problems: Problem[] = [];
  if (engine.role !== EngineRole.AGGREGATED) {
    problems.push({
      rule, path: `${path}.role`, value: JSON.stringify(engine.role), message: 'it neither gives nor takes a KV cache', mend: 'give role AGGREGATED',
    });
  }
  for (const name of needed.filter((one) => engine[one] === undefined)) {
    problems.push({ rule, path: `${path}.${name}`, message: 'it cannot be called without', mend: 'give the endpoint of a BedrockTarget or CerebrasCloudTarget' });
  }
  for (const name of unknown.filter((one) => engine[one] !== undefined)) {
    problems.push({ rule, path: `${path}.${name}`, message: 'it has no such setting', mend: 'remove it' });
  }
  return problems;
}

/** The ports that a router reaches an engine at: a prefill engine with Mooncake's connector is asked for what it is at its bootstrap server. */
export function portsOf(engine: EngineEndpoint): number[] {
  const port = portOf(engine);
  return [
    ...(port === undefined ? [] : [port]),
    ...(engine.role === EngineRole.PREFILL && engine.kvConnector === MOONCAKE ? [BOOTSTRAP_PORT] : []),
  ];
}

/** TCP port of an engine; undefined where nothing tells it. */
function portOf(engine: EngineEndpoint): number | undefined {
  if (engine.port !== undefined) {
    return engine.port;
  }
  if (engine.url === undefined || Token.isUnresolved(engine.url) || !URL.canParse(engine.url)) {
    return undefined;
  }
  const { port, protocol } = new URL(engine.url);
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
}
