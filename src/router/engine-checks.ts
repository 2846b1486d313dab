import { Token } from 'aws-cdk-lib';
import { enginePairs } from './engine-pairs';
import { portOf } from './router-egress';
import schema from './runtime/router-config.v1.schema.json';
import { PORT_BOUNDS, SettingChecks } from './setting-checks';
import { isBaseUrl, isUrlOfPort } from '../base-url';
import { EngineEndpoint, EngineProtocol, EngineRole } from '../decode';
import { connectorMend, KV_CONNECTORS, SGLANG } from '../kv-connectors';

/** Port of the router's container. */
export const ROUTER_PORT = 8080;

/** Settings of an endpoint that a hosted service needs, and those that it has not. */
interface HostedSettings {
  readonly needed: readonly (keyof EngineEndpoint)[];
  readonly unknown: readonly (keyof EngineEndpoint)[];
}

/** What one engine of a fleet can do says nothing of these. */
export const HOSTED: { readonly [protocol: string]: HostedSettings } = {
  [EngineProtocol.BEDROCK]: {
    needed: ['bedrockModel'],
    unknown: ['discoverySrvName', 'apiKeySecret', 'kvConnector', 'kvBlockTokens', 'metricsPath', 'defaultMaxTokens'],
  },
  [EngineProtocol.CEREBRAS]: { needed: ['url', 'apiKeySecret'], unknown: ['discoverySrvName', 'bedrockModel', 'kvConnector', 'kvBlockTokens', 'metricsPath'] },
};

/** Refuses engines that the service would refuse, or could not reach. */
export function checkEngines(engines: EngineEndpoint[], checks: SettingChecks): void {
  if (!engines.some((engine) => engine.role !== EngineRole.PREFILL)) {
    checks.refuse('RouterNothingAnswers', 'engines', undefined, 'no engine answers requests', 'add an engine whose role is DECODE or AGGREGATED');
  }
  const paired = enginePairs(engines);
  const names = new Set<string>();
  engines.forEach((engine, i) => {
    const at = `engines[${i}]`;
    if (names.has(engine.name)) {
      checks.refuse('RouterEngineName', `${at}.name`, engine.name, 'two engines have the same name', 'give each its own name');
    }
    names.add(engine.name);
    checkEndpoint(engine, at, checks);
    if (HOSTED[engine.protocol] === undefined) {
      checkOwn(engine, paired.has(engine), at, checks);
    } else {
      checkHosted(engine, HOSTED[engine.protocol], at, checks);
    }
  });
}

/** What every endpoint has. */
function checkEndpoint({ name, url, port, modelName }: EngineEndpoint, at: string, checks: SettingChecks): void {
  if (!Token.isUnresolved(name) && !new RegExp(schema.definitions.target.properties.name.pattern).test(name)) {
    checks.refuse('RouterEngineName', `${at}.name`, name, 'the name does not fit into a metric', 'use up to 63 letters, digits, - and _');
  }
  if (url !== undefined && !Token.isUnresolved(url) && !isBaseUrl(url)) {
    checks.refuse('RouterEngineUrl', `${at}.url`, url, 'the URL is not a base URL', 'give http:// or https://, a host, and no credentials, query or fragment');
  }
  if (url !== undefined && !Token.isUnresolved(url) && isUrlOfPort(url, ROUTER_PORT, false)) {
    checks.refuse('RouterEngineUrl', `${at}.url`, url, 'the engine is the router itself', 'give the URL of the engine');
  }
  checks.number('RouterEnginePort', `${at}.port`, port, PORT_BOUNDS);
  checks.text('RouterEngineModel', `${at}.modelName`, modelName, 'leave it out for the name that the caller used');
}

/** Engines of a fleet. */
function checkOwn(engine: EngineEndpoint, isPaired: boolean, at: string, checks: SettingChecks): void {
  const { role, discoverySrvName, url, bedrockModel, kvConnector, kvBlockTokens, metricsPath, defaultMaxTokens } = engine;
  if ((discoverySrvName === undefined) === (url === undefined)) {
    checks.refuse('RouterEngineAddress', at, engine.name, 'an engine is reached in exactly one way', 'give one of discoverySrvName and url');
  }
  if (bedrockModel !== undefined) {
    checks.refuse('RouterEngineModel', `${at}.bedrockModel`, undefined, 'the engine does not speak the protocol of Bedrock', 'give modelName, or the endpoint of a BedrockTarget');
  }
  checks.text('RouterEngineAddress', `${at}.discoverySrvName`, discoverySrvName, 'give a DNS name with SRV records');
  if (role === EngineRole.DECODE && kvConnector === SGLANG && !isPaired) {
    checks.refuse('RouterEngineUnpaired', `${at}.kvConnector`, kvConnector, 'decode engines of SGLang read no prompts', 'add a PREFILL engine with the same kvConnector');
  }
  if (metricsPath !== undefined && !Token.isUnresolved(metricsPath) && !metricsPath.startsWith('/')) {
    checks.refuse('RouterEngineMetrics', `${at}.metricsPath`, metricsPath, 'this is no path', 'begin it with /');
  }
  if (defaultMaxTokens !== undefined) {
    checks.refuse('RouterEngineMaxTokens', `${at}.defaultMaxTokens`, defaultMaxTokens, 'engines like these set a limit themselves', 'remove it');
  }
  checks.number('RouterEngineBlocks', `${at}.kvBlockTokens`, kvBlockTokens, schema.definitions.target.properties.kvBlockTokens, 'tokens');
  if (kvConnector !== undefined && !Token.isUnresolved(kvConnector) && !KV_CONNECTORS.includes(kvConnector)) {
    checks.refuse('RouterEngineConnector', `${at}.kvConnector`, kvConnector, 'the router knows no such hand-off', connectorMend(kvConnector));
  }
  if (portOf(engine) === undefined) {
    checks.refuse('RouterEnginePort', `${at}.port`, engine.name, 'the port to open towards the engine is not known', 'give port');
  }
}

/** A service that is hosted elsewhere. */
function checkHosted(engine: EngineEndpoint, { needed, unknown }: HostedSettings, at: string, checks: SettingChecks): void {
  const rule = 'RouterEngineHosted';
  if (engine.role !== EngineRole.AGGREGATED) {
    checks.refuse(rule, `${at}.role`, engine.role, 'it neither gives nor takes a KV cache', 'give role AGGREGATED');
  }
  for (const name of needed.filter((one) => engine[one] === undefined)) {
    checks.refuse(rule, `${at}.${name}`, undefined, 'it cannot be called without', 'give the endpoint of a BedrockTarget or CerebrasCloudTarget');
  }
  for (const name of unknown.filter((one) => engine[one] !== undefined)) {
    checks.refuse(rule, `${at}.${name}`, undefined, 'it has no such setting', 'remove it');
  }
  if (engine.protocol === EngineProtocol.CEREBRAS) {
    checks.number('RouterEngineMaxTokens', `${at}.defaultMaxTokens`, engine.defaultMaxTokens, schema.definitions.target.properties.defaultMaxTokens, 'tokens');
  }
}
