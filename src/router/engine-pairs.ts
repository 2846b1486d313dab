import { Token } from 'aws-cdk-lib';
import { EngineEndpoint, EngineRole } from '../decode';

/** The prefill engine of each decode engine that has one: the first with the same connector. A connector that is not known yet is nobody's. */
export function enginePairs(engines: EngineEndpoint[]): Map<EngineEndpoint, EngineEndpoint> {
  const transfers = engines.filter((engine) => engine.kvConnector !== undefined && !Token.isUnresolved(engine.kvConnector.name));
  const prefill = transfers.filter((engine) => engine.role === EngineRole.PREFILL);
  return new Map(transfers.filter((engine) => engine.role === EngineRole.DECODE).flatMap((engine) =>
    prefill.filter((one) => one.kvConnector!.name === engine.kvConnector!.name).slice(0, 1).map((one) => [engine, one])));
}
