import { Duration, Lazy, Stack, aws_ec2 as ec2, aws_secretsmanager as secretsmanager } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { CLOUD, cloud, container, synth } from './router-stack';
import { configIn } from './template-config';
import { BedrockModel, BedrockTarget, CerebrasCloudTarget, EngineEndpoint, EngineRole, KvConnector } from '../../src/decode';
import { DeploymentSpec } from '../../src/estimator';
import { routingRates } from '../../src/estimator/routing-rates';
import { BedrockRouterProps } from '../../src/router';
import { parseRouterConfig } from '../../src/router/runtime';

describe('engines', () => {
  test('are opened to the tasks alone, on their port', () => {
    const { template } = synth((scope, vpc) => {
      const securityGroup = new ec2.SecurityGroup(scope, 'EngineGroup', { vpc, description: 'engines', allowAllOutbound: false });
      const connections = new ec2.Connections({ securityGroups: [securityGroup], defaultPort: ec2.Port.tcp(8200) });
      return {
        engines: [
          EngineEndpoint.openai({ name: 'decode', role: EngineRole.DECODE, discoverySrvName: '_decode._tcp.llm.local', port: 8200, connections }),
          EngineEndpoint.openai({ name: 'plain', url: 'http://10.1.2.3:9000' }),
          CLOUD,
        ],
      };
    });
    const between = { IpProtocol: 'tcp', FromPort: 8200, ToPort: 8200 };
    template.hasResourceProperties('AWS::EC2::SecurityGroupIngress', {
      ...between, GroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('EngineGroup'), 'GroupId'] }, SourceSecurityGroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('TaskSecurityGroup'), 'GroupId'] },
    });
    template.hasResourceProperties('AWS::EC2::SecurityGroupEgress', { ...between, GroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('TaskSecurityGroup'), 'GroupId'] } });
    template.hasResourceProperties('AWS::EC2::SecurityGroup', {
      GroupDescription: 'Tasks of the router',
      SecurityGroupEgress: [Match.objectLike({ CidrIp: '0.0.0.0/0', FromPort: 443 }), Match.objectLike({ CidrIp: '0.0.0.0/0', FromPort: 9000 })],
    });
    expect(configIn(template).targets.map((target: any) => target.srv ?? target.url)).toEqual(['_decode._tcp.llm.local', 'http://10.1.2.3:9000', 'https://api.example.com']);
  });

  test('with a key of their own: the task reads it, the configuration names the variable', () => {
    const { template } = synth((scope) => ({ engines: [cloud({ apiKeySecret: new secretsmanager.Secret(scope, 'EngineKey') })] }));
    expect(configIn(template).targets[0].apiKeyEnv).toBe('ENGINE_API_KEY_0');
    expect(container(template).Secrets.map((secret: any) => secret.Name)).toEqual(['ROUTER_CONFIG', 'ROUTER_API_KEYS', 'ENGINE_API_KEY_0']);
    template.hasResourceProperties('AWS::IAM::ManagedPolicy', {
      PolicyDocument: { Statement: Match.arrayWith([Match.objectLike({ Resource: { Ref: Match.stringLikeRegexp('EngineKey') } })]), Version: '2012-10-17' },
    });
  });

  const engine = (name: string, role: EngineRole, kvConnector?: KvConnector) => cloud({ name, role, kvConnector });
  const pairsOf = (engines: EngineEndpoint[]) => {
    const { stack, template } = synth(() => ({ engines }));
    const config = configIn(template);
    parseRouterConfig(JSON.stringify(config), { ROUTER_API_KEYS: 'k' });
    return { stack, config, pairs: config.targets.flatMap((target: any) => (target.prefill === undefined ? [] : [`${target.name} ${target.prefill}`])) };
  };

  test('that write tokens are paired with the first of those that read prompts and have the same connector', () => {
    const { stack, pairs, config } = pairsOf([
      engine('decode', EngineRole.DECODE, KvConnector.NIXL),
      engine('windowed', EngineRole.DECODE, KvConnector.NEURON_NIXL),
      engine('whole', EngineRole.AGGREGATED),
      engine('p1', EngineRole.PREFILL, KvConnector.NEURON_NIXL),
      engine('p2', EngineRole.PREFILL, KvConnector.of('NixlConnector')),
    ]);
    expect(pairs).toEqual(['decode p2', 'windowed p1']);
    expect(config.limits.prefillTimeoutSeconds).toBe(60);
    Annotations.fromStack(stack).hasNoWarning('/Stack/Router', Match.stringLikeRegexp('RouterEnginesUnpaired'));
  });

  test.each<[string, KvConnector | undefined, KvConnector | undefined]>([
    ['without connectors', undefined, undefined],
    ['of which one has a connector', undefined, KvConnector.NIXL],
    ['with different connectors', KvConnector.NEURON_NIXL, KvConnector.NIXL],
    ['with a connector that is not known yet', KvConnector.of(Lazy.string({ produce: () => 'NixlConnector' })), KvConnector.NIXL],
  ])('%s are not paired, with a warning', (_, decode, prefill) => {
    const { stack, pairs } = pairsOf([engine('decode', EngineRole.DECODE, decode), engine('prefill', EngineRole.PREFILL, prefill), CLOUD]);
    expect(pairs).toEqual([]);
    Annotations.fromStack(stack).hasWarning('/Stack/Router', Match.stringLikeRegexp('by the engines "decode", "prefill".*same kvConnector.*RouterEnginesUnpaired'));
  });

  test('that nobody could be paired with are no reason to warn', () => {
    Annotations.fromStack(pairsOf([engine('decode', EngineRole.DECODE, KvConnector.NIXL)]).stack)
      .hasNoWarning('/Stack/Router', Match.stringLikeRegexp('RouterEnginesUnpaired'));
  });

  test('of SGLang are paired likewise, and refused without one that reads prompts', () => {
    const { pairs, config } = pairsOf([engine('decode', EngineRole.DECODE, KvConnector.SGLANG), engine('prefill', EngineRole.PREFILL, KvConnector.SGLANG)]);
    expect([pairs, config.targets.map(({ kvConnector }: any) => kvConnector)]).toEqual([['decode prefill'], ['sglang', 'sglang']]);
    expect(() => pairsOf([engine('decode', EngineRole.DECODE, KvConnector.SGLANG), CLOUD])).toThrow('decode engines of SGLang read no prompts');
  });

  test('with Mooncake\'s connector are paired, and the router may ask prefill engines for what they are', () => {
    const { pairs, stack } = pairsOf([engine('decode', EngineRole.DECODE, KvConnector.MOONCAKE), engine('prefill', EngineRole.PREFILL, KvConnector.MOONCAKE)]);
    expect(pairs).toEqual(['decode prefill']);
    const egress = (port: number) => Template.fromStack(stack).findResources('AWS::EC2::SecurityGroup', {
      Properties: { SecurityGroupEgress: Match.arrayWith([Match.objectLike({ FromPort: port })]) },
    });
    expect(Object.keys(egress(8998))).toHaveLength(1);
  });

  test('that read prompts leave half of the wait for the first token to those that write', () => {
    const { template } = synth(() => ({ firstTokenTimeout: Duration.seconds(30) }));
    expect(configIn(template).limits).toMatchObject({ firstByteTimeoutSeconds: 30, prefillTimeoutSeconds: 15 });
  });
});

describe('a deployment spec', () => {
  const spec: DeploymentSpec = {
    schema: 'cdk-disaggregated-inference/deployment-spec/v1',
    model: { id: 'llama-3.3-70b' },
    workload: { source: 'steady', requestsPerSecond: 1, lengthClasses: [{ weight: 1, inputTokens: 100, outputTokens: 100 }] },
    objective: { ttftSeconds: 0.9, tpotSeconds: 0.03 },
    decode: { hardware: 'trn2.48xlarge', maxConcurrentSequences: 48 },
  };

  test('names the model, bounds the engines and is what latencies are measured around', () => {
    const { template } = synth(() => ({ servedModelNames: undefined, spec }));
    expect(parseRouterConfig(JSON.stringify(configIn(template)), { ROUTER_API_KEYS: 'k' })).toMatchObject({
      model: { id: 'llama-3.3-70b', servedNames: ['llama-3.3-70b'] }, targets: [{ maxInFlight: 48 }], expected: { ttftSeconds: 0.9, tpotSeconds: 0.03 },
    });
  });

  test('says what a hand-off takes and what reading without one, for engines that are its own', () => {
    const own = (role: EngineRole) => cloud({ name: role, role, kvConnector: KvConnector.NIXL });
    const apart = { ...spec, prefill: { hardware: 'trn2.48xlarge' } };
    const routing = (engines: EngineEndpoint[], more: Partial<BedrockRouterProps> = {}) => {
      const config = configIn(synth(() => ({ spec: apart, engines, ...more })).template);
      return parseRouterConfig(JSON.stringify(config), { ROUTER_API_KEYS: 'k' }).routing;
    };
    const pair = [own(EngineRole.PREFILL), own(EngineRole.DECODE)];
    expect(routing(pair)).toEqual({ bytesPerToken: 4, ...routingRates(apart) });
    expect(routing(pair, { minPromptTokens: 700 }).minPromptTokens).toBe(700);
    // which engine would read the prompt, and how fast, the spec does not say.
    expect(routing([CLOUD, ...pair])).toEqual({ bytesPerToken: 4, ...routingRates(apart), aggregated: undefined });
    expect(routing([CLOUD])).toEqual({ bytesPerToken: 4, minPromptTokens: 512 });
  });

  test('does not limit keys unless told to', () => {
    const limits = (more: Partial<BedrockRouterProps>) =>
      parseRouterConfig(JSON.stringify(configIn(synth(() => ({ spec, ...more })).template)), { ROUTER_API_KEYS: 'k' }).rateLimits;
    expect(limits({})).toEqual({});
    expect(limits({ requestsPerMinutePerCaller: 60 })).toEqual({ requestsPerMinute: 60 });
    expect(limits({ requestsPerMinutePerCaller: 60, tokensPerMinutePerCaller: 1e5 })).toEqual({ requestsPerMinute: 60, tokensPerMinute: 1e5 });
  });

  test('lets the keys ask for priority that it names', () => {
    const callers = (more: Partial<BedrockRouterProps>) =>
      parseRouterConfig(JSON.stringify(configIn(synth(() => ({ spec, ...more })).template)), { ROUTER_API_KEYS: 'k' }).priorityCallers;
    expect([callers({}), callers({ priorityCallers: ['chat'] })]).toEqual([[], ['chat']]);
  });

  test('yields to what is said of the router itself', () => {
    const { template } = synth(() => ({ spec, maxRequestsPerEngine: 7 }));
    expect(configIn(template)).toMatchObject({ model: { id: 'llama-3.3-70b', servedNames: ['llama'] }, targets: [{ maxInFlight: 7 }] });
  });
});

test('Cerebras\' cloud is given a limit for callers that set none, and its key', () => {
  const { template } = synth((stack) => ({
    engines: [new CerebrasCloudTarget(stack, 'Cloud', { apiKey: new secretsmanager.Secret(stack, 'Key'), modelId: 'gpt-oss-120b' }).endpoint],
  }));
  const { template: short } = synth((stack) => ({
    engines: [new CerebrasCloudTarget(stack, 'Cloud', { apiKey: new secretsmanager.Secret(stack, 'Key'), modelId: 'gpt-oss-120b', defaultMaxTokens: 500 }).endpoint],
  }));
  expect(configIn(short).targets[0].defaultMaxTokens).toBe(500);
  const [target] = parseRouterConfig(JSON.stringify(configIn(template)), { ROUTER_API_KEYS: 'k', ENGINE_API_KEY_0: 'k' }).targets;
  expect(target).toMatchObject({ protocol: 'cerebras', url: 'https://api.cerebras.ai', apiKeyEnv: 'ENGINE_API_KEY_0', modelName: 'gpt-oss-120b', defaultMaxTokens: 8192 });
});

describe('Bedrock among the engines', () => {
  const fallback = (stack: Stack) => new BedrockTarget(stack, 'Fallback', {
    model: BedrockModel.inferenceProfile({ profileId: 'eu.meta.llama3-3-70b-instruct-v1:0', destinationRegions: ['eu-west-3', 'eu-west-1'] }),
  }).endpoint;

  test('is called in the region of the stack, by tasks that may invoke that model alone', () => {
    const { template } = synth((stack) => ({ engines: [CLOUD, fallback(stack)], maxRequestsPerEngine: 4 }), { region: 'eu-west-1', account: '111122223333' });
    // what an engine of the fleet may have says nothing of Bedrock
    expect(parseRouterConfig(JSON.stringify(configIn(template)), { ROUTER_API_KEYS: 'k' }).targets[1]).toEqual({
      name: 'Fallback',
      role: 'aggregated',
      protocol: 'bedrock',
      region: 'eu-west-1',
      modelName: 'eu.meta.llama3-3-70b-instruct-v1:0',
      maxInFlight: 256,
      prefixLoadFactor: 1.25,
      url: 'https://bedrock-runtime.eu-west-1.amazonaws.com',
    });
    template.hasResourceProperties('AWS::IAM::ManagedPolicy', {
      Roles: [{ Ref: Match.stringLikeRegexp('^RouterTaskRole') }],
      PolicyDocument: {
        Statement: [
          Match.objectLike({ Action: Match.arrayWith(['bedrock:InvokeModel']), Resource: { 'Fn::Join': ['', Match.arrayWith([Match.stringLikeRegexp('inference-profile/eu.meta')])] } }),
          Match.objectLike({ Resource: Match.anyValue(), Condition: { StringEquals: { 'bedrock:InferenceProfileArn': Match.anyValue() } } }),
          Match.objectLike({ Action: Match.arrayWith(['secretsmanager:GetSecretValue']) }),
        ],
      },
    });
    template.hasResourceProperties('AWS::ECS::TaskDefinition', { TaskRoleArn: { 'Fn::GetAtt': [Match.stringLikeRegexp('^RouterTaskRole'), 'Arn'] } });
  });

  test('is called where a stack without a region is deployed', () => {
    const { template } = synth((stack) => ({ engines: [fallback(stack)] }));
    expect(JSON.stringify(template.findResources('AWS::SSM::Parameter'))).toContain('{"Ref":"AWS::Region"}');
  });

  test('without it, tasks may call nothing', () => {
    expect(JSON.stringify(synth().template.toJSON())).not.toMatch(/bedrock:InvokeModel/);
  });
});
