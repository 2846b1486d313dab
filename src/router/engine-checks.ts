import { Token } from 'aws-cdk-lib';
import { enginePairs } from './engine-pairs';
import { portOf, portOfUrl } from './router-egress';
import schema from './runtime/router-config.v1.schema.json';
import { PROTOCOLS } from './runtime/targets/protocols';
import { isWithin, PORT_BOUNDS, SettingChecks } from './setting-checks';
import { isBaseUrl, isUrlOfPort } from '../base-url';
import { EngineEndpoint, EngineProtocol, EngineRole } from '../decode';
import { kvHandoffOf } from '../kv-connectors';

/** Port of the router's container. */
export const ROUTER_PORT = 8080;

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
    if (!PROTOCOLS[engine.protocol].isHosted) {
      checkOwn(engine, paired.has(engine), at, checks);
    }
  });
}

/** What every endpoint has. */
function checkEndpoint(engine: EngineEndpoint, at: string, checks: SettingChecks): void {
  const { name, protocol, url, port, modelName, apiKeySecret, defaultMaxTokens } = engine;
  const bounds = schema.definitions.target.properties;
  if (!Token.isUnresolved(name) && !new RegExp(bounds.name.pattern).test(name)) {
    checks.refuse('RouterEngineName', `${at}.name`, name, 'the name does not fit into a metric', 'use up to 63 letters, digits, - and _');
  }
  if (url !== undefined && !Token.isUnresolved(url) && !isBaseUrl(url)) {
    checks.refuse('RouterEngineUrl', `${at}.url`, url, 'the URL is not a base URL', 'give http:// or https://, a host, and no credentials, query or fragment');
  }
  if (url !== undefined && !Token.isUnresolved(url) && /\/v1\/?$/.test(url)) {
    checks.refuse('RouterEngineUrl', `${at}.url`, url, 'the engine is asked at /v1 below its base URL', 'leave /v1 out');
  }
  if (url !== undefined && !Token.isUnresolved(url) && isUrlOfPort(url, ROUTER_PORT, false)) {
    checks.refuse('RouterEngineUrl', `${at}.url`, url, 'the engine is the router itself', 'give the URL of the engine');
  }
  checks.number('RouterEnginePort', `${at}.port`, port, PORT_BOUNDS);
  checks.text('RouterEngineModel', `${at}.modelName`, modelName, 'leave it out for the name that the caller used');
  if (protocol === EngineProtocol.CEREBRAS && apiKeySecret === undefined) {
    checks.refuse('RouterEngineKey', `${at}.apiKeySecret`, undefined, 'there is no API key', 'give the secret with the key of Cerebras');
  }
  checks.secret(`${at}.apiKeySecret`, apiKeySecret);
  checks.number('RouterEngineMaxTokens', `${at}.defaultMaxTokens`, defaultMaxTokens, bounds.defaultMaxTokens, 'tokens');
}

/** Engines of a fleet. */
function checkOwn(engine: EngineEndpoint, isPaired: boolean, at: string, checks: SettingChecks): void {
  const { role, discoverySrvName, url, kvConnector, kvBlockTokens, metricsPath } = engine;
  if ((discoverySrvName === undefined) === (url === undefined)) {
    checks.refuse('RouterEngineAddress', at, engine.name, 'an engine is reached in exactly one way', 'give one of discoverySrvName and url');
  }
  const { pattern } = schema.definitions.target.properties.srv;
  if (discoverySrvName !== undefined && !Token.isUnresolved(discoverySrvName) && !new RegExp(pattern).test(discoverySrvName)) {
    checks.refuse('RouterEngineAddress', `${at}.discoverySrvName`, discoverySrvName, 'this is no name of DNS', 'give a DNS name with SRV records, which tell the ports');
  }
  if (role === EngineRole.DECODE && !isPaired && kvHandoffOf(kvConnector?.name)?.decodeReadsPrompts === false) {
    checks.refuse('RouterEngineUnpaired', `${at}.kvConnector`, kvConnector!.name, 'decode engines of SGLang read no prompts', 'add a PREFILL engine with the same kvConnector');
  }
  if (metricsPath !== undefined && !Token.isUnresolved(metricsPath) && !metricsPath.startsWith('/')) {
    checks.refuse('RouterEngineMetrics', `${at}.metricsPath`, metricsPath, 'this is no path', 'begin it with /');
  }
  checks.number('RouterEngineBlocks', `${at}.kvBlockTokens`, kvBlockTokens, schema.definitions.target.properties.kvBlockTokens, 'tokens');
  const portAsked = portOfUrl(url);
  if (portAsked !== undefined && engine.port !== undefined && isWithin(engine.port, PORT_BOUNDS) && engine.port !== portAsked) {
    checks.refuse('RouterEnginePort', `${at}.port`, engine.port, `the engine is asked at the port of its URL, ${portAsked}`, 'put the port into url, or leave it out here');
  }
  if (portOf(engine) === undefined) {
    checks.refuse('RouterEnginePort', `${at}.port`, engine.name, 'the port to open towards the engine is not known', 'give port');
  }
}
