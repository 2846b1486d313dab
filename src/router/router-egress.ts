import { Token, aws_ec2 as ec2 } from 'aws-cdk-lib';
import { BedrockRouterProps } from './bedrock-router-props';
import { EngineEndpoint, EngineRole } from '../decode';
import { kvHandoffOf } from '../kv-connectors';
import schema from './runtime/router-config.v1.schema.json';

/** Port of the bootstrap server of vLLM's prefill engines, unless they are told another. */
const BOOTSTRAP_PORT = schema.definitions.target.allOf[0].then.properties!.bootstrapPort!.default;

/**
 * Lets the tasks reach engines, Valkey and the issuer of tokens: those whose security groups are known alone, and whatever port the others have.
 * 443 is open to them anyway.
 */
export function openEgress(tasks: ec2.Connections, { engines, valkey, tokenIssuer }: BedrockRouterProps): void {
  for (const engine of engines) {
    const { connections } = engine;
    for (const port of portsOf(engine)) {
      if (connections !== undefined) {
        tasks.allowTo(connections, ec2.Port.tcp(port), 'router to engine');
      } else if (port !== 443) {
        tasks.allowToAnyIpv4(ec2.Port.tcp(port), 'router to engine');
      }
    }
  }
  valkey?._open(tasks);
  for (const port of new Set([tokenIssuer?.issuerUrl, tokenIssuer?.jwksUrl].map(portOfUrl))) {
    if (port !== undefined && port !== 443) {
      tasks.allowToAnyIpv4(ec2.Port.tcp(port), 'router to issuer of tokens');
    }
  }
}

/** TCP port of an engine; undefined where nothing tells it. */
export function portOf(engine: EngineEndpoint): number | undefined {
  return engine.port ?? portOfUrl(engine.url);
}

/** The ports that a router reaches an engine at: some prefill engines are asked for what they are at their bootstrap server. */
function portsOf(engine: EngineEndpoint): number[] {
  const port = portOf(engine);
  const isAsked = engine.role === EngineRole.PREFILL && kvHandoffOf(engine.kvConnector?.name)?.asksBootstrapServer === true;
  return [
    ...(port === undefined ? [] : [port]),
    ...(isAsked ? [BOOTSTRAP_PORT] : []),
  ];
}

/** TCP port of a URL; undefined where it is not known, or none. */
export function portOfUrl(url: string | undefined): number | undefined {
  if (url === undefined || Token.isUnresolved(url) || !URL.canParse(url)) {
    return undefined;
  }
  const { port, protocol } = new URL(url);
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
}
