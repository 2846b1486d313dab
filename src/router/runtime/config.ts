import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import Ajv, { ErrorObject } from 'ajv';
import schema from './router-config.v1.schema.json';
import { isBaseUrl, isUrlOfPort } from '../../base-url';
import { JsonSyntaxError, parseJson } from '../../json-text';
import { connectorMend, kvHandoffOf } from '../../kv-connectors';
import { nearestNames } from '../../nearest';
import { Problem, Problems, ProblemsError } from '../../problems';
import { PathRates } from '../../routing';
import { isValkeyUrl } from '../../valkey-url';

/** Version of the configuration format. */
export const ROUTER_CONFIG_SCHEMA = 'cdk-disaggregated-inference/router-config/v1';

/** What the router serves, from where, within which limits. Every default is in `router-config.v1.schema.json`. */
export interface RouterConfig {
  readonly schema: string;
  readonly model: { readonly id: string; readonly servedNames: string[]; readonly images: boolean };
  readonly host?: string;
  readonly port: number;
  readonly targets: TargetConfig[];
  readonly routing: RoutingConfig;
  readonly limits: LimitsConfig;
  readonly queue: QueueConfig;
  readonly rateLimits: RateLimitsConfig;
  readonly priorityCallers: string[];
  readonly lameduckSeconds: number;
  readonly drainSeconds: number;
  readonly tls?: { readonly certificateFile: string; readonly keyFile: string };
  readonly auth: 'none' | { readonly apiKeysEnv: string; readonly apiKeysSecret?: KeysSecret } | { readonly jwt: TokenIssuer };
  readonly emf?: EmfConfig;
  readonly expected?: { readonly ttftSeconds?: number; readonly tpotSeconds?: number };
}

/** A set of equal engines, found at one URL or by one SRV name. */
export interface TargetConfig {
  readonly name: string;
  readonly role: 'prefill' | 'decode' | 'aggregated';
  readonly protocol: 'openai' | 'cerebras' | 'bedrock';
  readonly srv?: string;
  /** Undefined for engines that are found by `srv`. */
  readonly url?: string;
  /** Defined for Bedrock alone. */
  readonly region?: string;
  readonly maxInFlight: number;
  readonly prefixLoadFactor: number;
  readonly apiKeyEnv?: string;
  readonly modelName?: string;
  /** Defined for Cerebras alone. */
  readonly defaultMaxTokens?: number;
  readonly kvConnector?: string;
  readonly kvBlockTokens?: number;
  /** Defined for SGLang and Mooncake alone. */
  readonly bootstrapPort?: number;
  readonly prefill?: string;
  readonly metrics?: { readonly path: string; readonly intervalSeconds: number };
}

/** How the path of a request is chosen. */
export interface RoutingConfig {
  readonly minPromptTokens: number;
  readonly bytesPerToken: number;
  readonly disaggregated?: PathRates;
  readonly aggregated?: PathRates;
  readonly bedrock?: PathRates;
}

/** Bounds on requests. */
export interface LimitsConfig {
  readonly maxBodyBytes: number;
  readonly maxBodyValues: number;
  readonly maxHeldBytes: number;
  readonly maxHeaderBytes: number;
  readonly requestTimeoutSeconds: number;
  readonly firstByteTimeoutSeconds: number;
  readonly idleTimeoutSeconds: number;
  readonly prefillTimeoutSeconds: number;
  readonly kvLeaseSeconds: number;
  readonly bodyTimeoutSeconds: number;
  readonly writeStallSeconds: number;
  readonly keepAliveSeconds: number;
}

/** Bounds on what waits while every engine is full. */
export interface QueueConfig {
  readonly maxRequests: number;
  readonly maxPromptTokens: number;
  readonly maxBytes: number;
  readonly maxWaitSeconds: number;
}

/** Limits for each caller; what is left out is not limited. */
export interface RateLimitsConfig {
  readonly requestsPerMinute?: number;
  readonly tokensPerMinute?: number;
  readonly valkey?: ValkeyConfig;
}

/** A server of allowances that several routers share. */
export interface ValkeyConfig {
  readonly url: string;
  readonly username?: string;
  readonly passwordEnv?: string;
  readonly cluster: boolean;
  readonly keyPrefix: string;
  readonly timeoutSeconds: number;
}

/** Where keys are read anew while the router runs. */
export interface KeysSecret {
  /** ARN of the secret in Secrets Manager. */
  readonly arn: string;
  readonly refreshSeconds: number;
}

/** Who issues tokens, and for whom. */
export interface TokenIssuer {
  /** `iss` of the tokens. */
  readonly issuer: string;
  /** `aud` of the tokens; of those that have none, such as access tokens of Amazon Cognito, `client_id` or `azp`. */
  readonly audience: string;
  /** Where the issuer's public keys are. */
  readonly jwksUrl?: string;
  readonly clockSkewSeconds: number;
}

/** As what CloudWatch is told of requests, and how often. */
export interface EmfConfig {
  readonly namespace: string;
  readonly router: string;
  readonly intervalSeconds: number;
}

type Environment = { readonly [name: string]: string | undefined };

/**
 * Reads the configuration that `ROUTER_CONFIG` holds or that `ROUTER_CONFIG_FILE` names.
 *
 * Throws ProblemsError with every problem of the configuration.
 */
export function loadRouterConfig(env: Environment): RouterConfig {
  const { ROUTER_CONFIG: text, ROUTER_CONFIG_FILE: file } = env;
  if ((text === undefined) === (file === undefined)) {
    Problems.throwIfAny([{
      rule: 'RouterConfigMissing',
      path: 'environment',
      message: text === undefined ? 'the router has no configuration' : 'the router has two configurations',
      mend: 'set one of ROUTER_CONFIG, JSON text, and ROUTER_CONFIG_FILE, the path of a JSON file',
    }]);
  }
  return parseRouterConfig(text ?? read(file!), env);
}

/**
 * Parses a configuration, fills in defaults, and checks it against the variables that it names.
 *
 * Throws ProblemsError with every problem.
 */
export function parseRouterConfig(text: string, env: Environment): RouterConfig {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (e) {
    const { line, column, message } = e as JsonSyntaxError;
    Problems.throwIfAny([{
      rule: 'RouterConfigNotJson', path: `config:${line}:${column}`, message: `the configuration is not JSON: ${message}`, mend: 'give one JSON object',
    }]);
  }
  // strictRequired cannot follow `required` inside the `oneOf` of a target.
  const validate = new Ajv({ allErrors: true, useDefaults: true, strict: true, strictRequired: false, verbose: true }).compile(schema);
  if (!validate(value)) {
    Problems.throwIfAny(schemaProblems(validate.errors!, value));
  }
  const given = value as RouterConfig;
  const config = { ...given, targets: given.targets.map((target) => withBedrocksUrl(target, env)) };
  Problems.throwIfAny(crossProblems(config, env));
  return config;
}

/** Where Bedrock is, if the configuration does not say it. */
function withBedrocksUrl(target: TargetConfig, env: Environment): TargetConfig {
  const { protocol, region, url } = target;
  return protocol === 'bedrock' && url === undefined
    ? { ...target, url: env.AWS_ENDPOINT_URL_BEDROCK_RUNTIME ?? `https://bedrock-runtime.${region}.amazonaws.${region!.startsWith('eusc-') ? 'eu' : 'com'}` }
    : target;
}

/** What a server proves itself with, as PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** The certificate that a configuration names. */
export function readCertificate({ certificateFile, keyFile }: NonNullable<RouterConfig['tls']>): Certificate {
  return { cert: readFileSync(certificateFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (e) {
    throw new ProblemsError([{ ...Problems.unreadableFile('RouterConfigUnreadable', 'environment.ROUTER_CONFIG_FILE', e), value: JSON.stringify(file) }]);
  }
}

/** One problem for each thing that the schema refuses. */
function schemaProblems(errors: ErrorObject[], root: unknown): Problem[] {
  return errors
    // what failed inside an alternative is told by the alternative itself.
    .filter((error) => error.keyword !== 'if' && !/\/oneOf\/\d/.test(error.schemaPath))
    .map((error) => {
      const path = `config${error.instancePath.replace(/\/(\d+)(?=\/|$)/g, '[$1]').replace(/\//g, '.')}`;
      const given = error.instancePath.split('/').slice(1)
        .reduce<any>((at, key) => at?.[key.replace(/~1/g, '/').replace(/~0/g, '~')], root);
      const told = describe(error);
      return {
        rule: 'RouterConfigInvalid',
        path,
        ...(told.showValue ? { value: JSON.stringify(given) } : {}),
        message: told.message,
        mend: told.mend,
      };
    });
}

function describe(error: ErrorObject): { message: string; mend: string; showValue: boolean } {
  switch (error.keyword) {
    case 'required':
      return { message: `${JSON.stringify(error.params.missingProperty)} is missing`, mend: 'add it', showValue: false };
    case 'additionalProperties': {
      const name: string = error.params.additionalProperty;
      const near = nearestNames(name, Object.keys(error.parentSchema!.properties));
      return {
        message: `${JSON.stringify(name)} is not a setting`,
        mend: near.length === 0 ? 'remove it' : `remove it, or use ${near.map((one) => JSON.stringify(one)).join(' or ')}`,
        showValue: false,
      };
    }
    case 'enum':
      return error.instancePath === '/auth'
        ? { message: 'the authentication is not understood', mend: 'use "none", {"apiKeysEnv": "NAME"} or {"jwt": {"issuer": "https://...", "audience": "..."}}', showValue: true }
        : { message: 'the value is not one of those allowed', mend: `use one of ${JSON.stringify(error.params.allowedValues)}`, showValue: true };
    case 'false schema':
      return { message: 'such a target has no such setting', mend: 'remove it', showValue: true };
    case 'const':
      return { message: 'the value is not the one allowed', mend: `use ${JSON.stringify(error.params.allowedValue)}`, showValue: true };
    case 'oneOf':
      return error.instancePath === '/auth'
        ? { message: 'callers prove who they are in exactly one way', mend: 'give one of "apiKeysEnv" and "jwt"', showValue: false }
        : { message: 'a target is found in exactly one way', mend: 'give one of "srv" and "url"', showValue: false };
    default:
      return { message: `the value ${error.message}`, mend: 'change it', showValue: true };
  }
}

/** What a schema cannot say. */
function crossProblems(config: RouterConfig, env: Environment): Problem[] {
  const problems: Problem[] = [];
  const refuse = (rule: string, path: string, value: unknown, message: string, mend: string) =>
    problems.push({ rule, path: `config.${path}`, ...(value === undefined ? {} : { value: JSON.stringify(value) }), message, mend });

  const names = new Set<string>();
  config.targets.forEach((target, i) => {
    if (names.has(target.name)) {
      refuse('RouterTargetNameTaken', `targets[${i}].name`, target.name, 'two targets have the same name', 'give each target its own name');
    }
    names.add(target.name);
    if (target.url !== undefined && !isBaseUrl(target.url)) {
      refuse('RouterTargetUrl', `targets[${i}].url`, target.url.replace(/\/\/[^/]*@/, '//…@').replace(/[?#].*/, '…'), 'the URL is not a base URL',
        'give http:// or https://, a host, and no credentials, query or fragment');
    }
    if (target.url !== undefined && target.protocol !== 'bedrock' && /\/v1\/?$/.test(target.url)) {
      refuse('RouterTargetUrl', `targets[${i}].url`, target.url, 'the engine is asked at /v1 below its base URL', 'leave /v1 out');
    }
    if (target.url !== undefined && isUrlOfPort(target.url, config.port, config.tls !== undefined, config.host)) {
      refuse('RouterTargetItself', `targets[${i}].url`, target.url, 'the target is this router',
        'give the engine\'s URL; that of Bedrock is the variable AWS_ENDPOINT_URL_BEDROCK_RUNTIME unless the target has one');
    }
    if (target.apiKeyEnv !== undefined && !env[target.apiKeyEnv]) {
      refuse('RouterTargetKeyMissing', `targets[${i}].apiKeyEnv`, target.apiKeyEnv, 'the variable of the target\'s API key is not set', 'set it, or remove apiKeyEnv');
    }
  });
  config.targets.forEach((target, i) => {
    const at = `targets[${i}].prefill`;
    const handoff = kvHandoffOf(target.kvConnector);
    if (target.kvConnector !== undefined && handoff === undefined) {
      refuse('RouterTargetConnector', `targets[${i}].kvConnector`, target.kvConnector, 'the router knows no such hand-off', connectorMend(target.kvConnector));
    }
    if (target.prefill === undefined) {
      if (target.role === 'decode' && handoff?.decodeReadsPrompts === false) {
        refuse('RouterTargetPrefill', at, undefined, 'decode engines of SGLang read no prompts', 'name the target whose engines do');
      }
      return;
    }
    const prefill = config.targets.find(({ name }) => name === target.prefill);
    if (target.role !== 'decode') {
      refuse('RouterTargetPrefill', at, target.prefill, `a target with role ${JSON.stringify(target.role)} takes no KV cache`, 'remove prefill, or set role to "decode"');
    }
    if (prefill?.role !== 'prefill') {
      refuse('RouterTargetPrefill', at, target.prefill, 'there is no target of this name with role "prefill"', 'name one, or remove prefill');
    } else if (target.kvConnector === undefined || target.kvConnector !== prefill.kvConnector) {
      refuse('RouterTargetPrefill', at, target.prefill,
        `the targets' KV connectors differ: ${JSON.stringify(target.kvConnector ?? null)} and ${JSON.stringify(prefill.kvConnector ?? null)}`,
        'give both the kvConnector that their engines have, or remove prefill');
    }
  });
  if (config.targets.every((target) => target.role === 'prefill')) {
    refuse('RouterNothingAnswers', 'targets', undefined, 'no target answers requests', 'add a target with role "decode" or "aggregated"');
  }
  const { maxBodyBytes, maxHeldBytes, prefillTimeoutSeconds, firstByteTimeoutSeconds } = config.limits;
  if (maxBodyBytes > maxHeldBytes) {
    refuse('RouterBodyTooLong', 'limits.maxBodyBytes', maxBodyBytes, 'there is never room for the largest body', `give at most maxHeldBytes, ${maxHeldBytes}`);
  }
  if (config.targets.some((target) => target.prefill !== undefined) && prefillTimeoutSeconds >= firstByteTimeoutSeconds) {
    refuse('RouterPrefillTimeoutTooLong', 'limits.prefillTimeoutSeconds', prefillTimeoutSeconds,
      'the wait for a prefill engine leaves the decode engine no time to read the prompt itself', `give less than firstByteTimeoutSeconds, ${firstByteTimeoutSeconds}`);
  }
  if (config.auth !== 'none' && 'jwt' in config.auth) {
    const { issuer, jwksUrl } = config.auth.jwt;
    for (const [name, url] of Object.entries({ issuer, jwksUrl })) {
      if (url !== undefined && !/^https?:$/.test(URL.canParse(url) ? new URL(url).protocol : '')) {
        refuse('RouterTokenIssuerUrl', `auth.jwt.${name}`, url, 'this is no URL of HTTP', 'give a whole URL, with https://');
      }
    }
  } else if (config.auth !== 'none' && !env[config.auth.apiKeysEnv]) {
    refuse('RouterApiKeysMissing', 'auth.apiKeysEnv', config.auth.apiKeysEnv, 'the variable of the API keys is not set',
      'set it, or set auth to "none" where the network is the only guard');
  }
  const { requestsPerMinute, tokensPerMinute, valkey } = config.rateLimits;
  if (valkey !== undefined) {
    if (requestsPerMinute === undefined && tokensPerMinute === undefined) {
      refuse('RouterValkeyUnused', 'rateLimits.valkey', undefined, 'there is no limit to share', 'give requestsPerMinute or tokensPerMinute, or remove valkey');
    }
    if (!isValkeyUrl(valkey.url)) {
      refuse('RouterValkeyUrl', 'rateLimits.valkey.url', undefined, 'the URL is not the address of a Valkey server',
        'give valkey://host:port, or valkeys://host:port for TLS, and a password by passwordEnv alone');
    }
    if (valkey.passwordEnv !== undefined && !env[valkey.passwordEnv]) {
      refuse('RouterValkeyPasswordMissing', 'rateLimits.valkey.passwordEnv', valkey.passwordEnv, 'the variable of Valkey\'s password is not set', 'set it, or remove passwordEnv');
    }
  }
  if (config.auth === 'none' && config.priorityCallers.some((caller) => caller !== '*')) {
    refuse('RouterPriorityCallersUnknown', 'priorityCallers', config.priorityCallers, 'callers are not told apart', 'give ["*"] or [], or set auth');
  }
  if (config.tls !== undefined) {
    const { certificateFile, keyFile } = config.tls;
    try {
      createSecureContext(readCertificate(config.tls));
    } catch (e) {
      refuse('RouterCertificateUnusable', 'tls', { certificateFile, keyFile }, `the certificate cannot be used: ${(e as Error).message}`,
        'name a certificate with its chain and its private key, both as PEM');
    }
  }
  if (config.lameduckSeconds > config.drainSeconds) {
    refuse('RouterLameduckTooLong', 'lameduckSeconds', config.lameduckSeconds, 'the lameduck time is longer than the drain that it is a part of',
      `give at most drainSeconds, ${config.drainSeconds}`);
  }
  return problems;
}
