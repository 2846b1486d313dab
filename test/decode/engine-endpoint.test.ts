import { App, Lazy, Stack, Token, aws_secretsmanager as secretsmanager } from 'aws-cdk-lib';
import { BedrockModel, EngineEndpoint, EngineProtocol, EngineRole, KvConnector } from '../../src/decode';
import { KV_CONNECTORS } from '../../src/kv-connectors';

test('an endpoint says what was given, and what follows from its protocol', () => {
  const model = BedrockModel.foundationModel('amazon.nova-pro-v1:0');
  const apiKeySecret = secretsmanager.Secret.fromSecretNameV2(new Stack(new App(), 'Stack'), 'Key', 'key');
  const engine = { name: 'decode', role: EngineRole.DECODE, discoverySrvName: 'decode.internal', port: 8200, kvConnector: KvConnector.NIXL, metricsPath: '/metrics' };
  expect({ ...EngineEndpoint.openai(engine) }).toEqual({ ...engine, protocol: EngineProtocol.OPENAI });
  expect({ ...EngineEndpoint.openai({ name: 'gpu', url: 'http://gpu.example:8000' }) }).toEqual({
    name: 'gpu', role: EngineRole.AGGREGATED, protocol: EngineProtocol.OPENAI, url: 'http://gpu.example:8000',
  });
  const cerebras = { name: 'cloud', modelName: 'llama-3.3-70b', apiKeySecret };
  expect({ ...EngineEndpoint.cerebras(cerebras) }).toEqual({
    ...cerebras, role: EngineRole.AGGREGATED, protocol: EngineProtocol.CEREBRAS, url: 'https://api.cerebras.ai',
  });
  expect({ ...EngineEndpoint.bedrock({ name: 'fallback', model }) }).toEqual({
    name: 'fallback', role: EngineRole.AGGREGATED, protocol: EngineProtocol.BEDROCK, modelName: 'amazon.nova-pro-v1:0', bedrockModel: model,
  });
});

describe('a connector', () => {
  test('goes by the name that engines have for it', () => {
    const named = [KvConnector.NIXL, KvConnector.NIXL_PULL, KvConnector.NIXL_PUSH, KvConnector.NEURON_NIXL, KvConnector.MOONCAKE, KvConnector.SGLANG];
    expect(named.map(({ name }) => name)).toEqual(KV_CONNECTORS);
    expect(KV_CONNECTORS.map((name) => KvConnector.of(name))).toEqual(named);
  });

  test('that no router knows is refused, with what was meant', () => {
    expect(() => KvConnector.of('NixlConector')).toThrow(/\[name\] no router knows such a hand-off, got: "NixlConector" \(use "NixlConnector".*KvConnectorUnknown/);
  });

  test('whose name is not known yet is not guessed at', () => {
    expect(Token.isUnresolved(KvConnector.of(Lazy.string({ produce: () => 'x' })).name)).toBe(true);
  });
});
