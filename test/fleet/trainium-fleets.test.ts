import { execFileSync } from 'child_process';
import { aws_ec2 as ec2, aws_servicediscovery as servicediscovery } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { containersOf, fixture, image, launchDataOf, rulesOf } from './fleet-fixture';
import { KvConnector } from '../../src/decode';
import { Purchase, TrainiumAggregatedFleet, TrainiumDecodeFleet, TrainiumPrefillFleet } from '../../src/fleet';
import { NeuronInstanceType } from '../../src/hardware';
import { ModelArchitecture } from '../../src/model';
import { SCHEMA, estimateOf, steady } from '../estimator/specs';

describe('a decode fleet', () => {
  const { stack, props } = fixture();
  const prefill = new TrainiumPrefillFleet(stack, 'Prefill', { ...props, engine: { servedModelName: 'llama' } });
  const namespace = new servicediscovery.PrivateDnsNamespace(stack, 'Namespace', { name: 'llm.internal', vpc: props.efa.vpc });
  const decode = new TrainiumDecodeFleet(stack, 'Decode', {
    ...props,
    cluster: prefill.cluster,
    discoveryNamespace: namespace,
    engine: {
      tensorParallelDegree: 32,
      maxConcurrentSequences: 8,
      blockSizeTokens: 64,
      maxModelLengthTokens: 16_384,
      promptBuckets: [2048, 8192],
      servedModelName: 'llama',
      extraArguments: ['--max-logprobs', '0'],
      environment: { GREETING: 'it\'s' },
      user: '2000:3000',
    },
  });
  decode.connections.allowDefaultPortFrom(ec2.Peer.ipv4('10.0.0.0/16'));
  const template = Template.fromStack(stack);
  const definitions = Object.values(template.findResources('AWS::ECS::TaskDefinition')).map((resource) => resource.Properties.ContainerDefinitions[1]);
  const engine = definitions.find((container) => container.Command.includes('8200'));

  test('shares the cluster, which has both capacity providers', () => {
    template.resourceCountIs('AWS::ECS::Cluster', 1);
    template.hasResourceProperties('AWS::ECS::ClusterCapacityProviderAssociations', { CapacityProviders: [Match.anyValue(), Match.anyValue()] });
  });

  test('consumes KV caches, and says to the engine what it was told', () => {
    expect(engine.Command).toEqual([
      'vllm', 'serve', '/model', '--served-model-name', 'llama', '--host', '0.0.0.0', '--port', '8200', '--dtype', 'bfloat16',
      '--tensor-parallel-size', '32', '--max-num-seqs', '8', '--max-model-len', '16384', '--block-size', '64',
      '--max-num-batched-tokens', '8192', '--additional-config', '{"neuron_config":{"num_batched_tokens_buckets":[2048,8192]}}',
      '--kv-transfer-config', expect.stringContaining('"kv_role":"kv_consumer"'),
      '--enable-prompt-tokens-details', '--max-logprobs', '0',
    ]);
    expect(decode.endpoint.kvBlockTokens).toBe(64);
    const lines = engine.EntryPoint[2].split('\n');
    expect(lines).toContain('export VLLM_NIXL_SIDE_CHANNEL_PORT=\'5659\'');
    expect(lines).toContain('export GREETING=\'it\'\\\'\'s\'');
    expect(engine.EntryPoint[2]).not.toContain('SKIP');
    expect(engine.User).toBe('2000:3000');
  });

  test('is decode capacity', () => {
    expect(decode.decodeSpec).toEqual({
      hardware: 'trn2.48xlarge',
      instances: 2,
      tensorParallelDegree: 32,
      enginesPerInstance: 1,
      maxConcurrentSequences: 8,
      kvBlockTokens: 64,
      promptBuckets: [2048, 8192],
      maxSequenceTokens: 16_384,
      purchaseOption: 'capacity-block',
    });
    expect(decode.endpoint.modelName).toBe('llama');
    expect(stack.resolve(decode.endpoint.discoverySrvName)).toMatch(/^stack-decode-\w+\.llm\.internal$/);
    expect(decode.grantInvoke(decode.taskRole).success).toBe(false);
  });

  test('lets callers in on the port of its API', () => {
    template.hasResourceProperties('AWS::EC2::SecurityGroup', {
      SecurityGroupIngress: [Match.objectLike({ FromPort: 8200, ToPort: 8200, CidrIp: '10.0.0.0/16' })],
    });
  });
});

describe('purchase and placement', () => {
  test('On-Demand instances share a cluster placement group', () => {
    const { stack, props } = fixture();
    new TrainiumPrefillFleet(stack, 'Prefill', {
      ...props, instanceType: NeuronInstanceType.TRN1_32XLARGE, purchase: Purchase.onDemand(), engine: { image },
    });
    expect(launchDataOf(stack).Placement).toEqual({ GroupName: { 'Fn::GetAtt': [expect.stringMatching(/^EfaPlacementGroup/), 'GroupName'] } });
    expect(launchDataOf(stack).InstanceMarketOptions).toBeUndefined();
    expect(launchDataOf(stack).NetworkInterfaces).toHaveLength(9);
    expect(containersOf(stack).engine.Image).toBe('registry.example/engine:1');
  });

  test('Spot instances drain when EC2 takes them back', () => {
    const { stack, props } = fixture();
    new TrainiumPrefillFleet(stack, 'Prefill', { ...props, purchase: Purchase.spot() });
    expect(launchDataOf(stack).InstanceMarketOptions).toEqual({ MarketType: 'spot' });
    expect(JSON.stringify(launchDataOf(stack).UserData)).toContain('ECS_ENABLE_SPOT_INSTANCE_DRAINING=true');
  });

  test('the pool is priced as it is bought, a reservation as On-Demand, Spot without a sourced price not at all', () => {
    const type = NeuronInstanceType.TRN1_32XLARGE;
    const price = (option: string) => type.prices.find((candidate) => candidate.purchase === option)?.usdPerHour;
    const usdPerHour = (purchase: Purchase) => {
      const { stack, props } = fixture();
      const fleet = new TrainiumAggregatedFleet(stack, 'Fleet', {
        ...props, model: ModelArchitecture.LLAMA_3_1_8B, instanceType: type, instanceCount: 1, purchase, engine: { image },
      });
      return estimateOf({ schema: SCHEMA, model: { id: 'llama-3.1-8b' }, workload: steady(0.1, 500, 100), decode: fleet.decodeSpec }).usdPerHour;
    };
    expect(price('on-demand')).toBeGreaterThan(0);
    expect(usdPerHour(Purchase.onDemand())).toBe(price('on-demand'));
    expect(usdPerHour(Purchase.reservation({ reservationId: 'cr-00000000000000001' }))).toBe(price('on-demand'));
    expect(usdPerHour(Purchase.capacityBlock({ reservationId: 'cr-00000000000000001' }))).toBe(price('capacity-block'));
    expect(usdPerHour(Purchase.spot())).toBeUndefined();
    expect(usdPerHour(Purchase.spot({ usdPerHour: 3 }))).toBe(3);
  });

  test.each([
    ['On-Demand', NeuronInstanceType.TRN1_32XLARGE, Purchase.onDemand({ availabilityZone: 'us-east-2c' })],
    ['Spot', NeuronInstanceType.TRN2_48XLARGE, Purchase.spot({ availabilityZone: 'us-east-2c' })],
  ])('%s capacity in another zone is refused', (_, instanceType, purchase) => {
    const { stack, props } = fixture();
    expect(rulesOf(() => new TrainiumPrefillFleet(stack, 'Prefill', { ...props, instanceType, purchase, engine: { image } })))
      .toEqual(['PurchaseAvailabilityZone']);
  });

  test('an UltraServer\'s block ends half an hour earlier', () => {
    const { stack, props } = fixture();
    new TrainiumPrefillFleet(stack, 'Prefill', {
      ...props,
      instanceType: NeuronInstanceType.TRN2U_48XLARGE,
      purchase: Purchase.capacityBlock({ reservationId: 'cr-00000000000000001', endsAt: '2027-01-31T11:30:00Z' }),
    });
    Template.fromStack(stack).hasResourceProperties('AWS::AutoScaling::ScheduledAction', { StartTime: '2027-01-31T10:20:00Z' });
  });

  test('a single instance may be gone while it is replaced', () => {
    const { stack, props } = fixture();
    new TrainiumPrefillFleet(stack, 'Prefill', { ...props, instanceCount: 1 });
    Template.fromStack(stack).hasResource('AWS::AutoScaling::AutoScalingGroup', {
      UpdatePolicy: { AutoScalingRollingUpdate: { MinInstancesInService: 0 } },
    });
  });
});

describe('an aggregated fleet', () => {
  test('runs without EFA, and hands nothing on', () => {
    const { stack, props } = fixture();
    const fleet = new TrainiumAggregatedFleet(stack, 'Fleet', {
      ...props,
      model: ModelArchitecture.LLAMA_3_1_8B,
      instanceType: NeuronInstanceType.INF2_48XLARGE,
      purchase: Purchase.onDemand(),
      engine: { image },
    });
    const { engine } = containersOf(stack);
    expect(launchDataOf(stack).NetworkInterfaces).toEqual([expect.objectContaining({ InterfaceType: 'interface' })]);
    expect(launchDataOf(stack).Placement).toBeUndefined();
    expect(JSON.stringify(launchDataOf(stack).UserData)).not.toContain('hugepages');
    expect(engine.Command).not.toContain('--kv-transfer-config');
    expect(engine.EntryPoint[2]).not.toContain('NIXL');
    expect(engine.EntryPoint[2]).toContain('NEURON_SKIP_EFA_AFFINITY');
    expect(engine.LinuxParameters.Devices).toHaveLength(12);
    expect(fleet.endpoint).toMatchObject({ role: 'aggregated', port: 8000, kvConnector: undefined });
    expect(fleet.decodeSpec.tensorParallelDegree).toBe(16);
  });

  test('its entry script exports the environment, whatever is in it, and becomes the command', () => {
    const { stack, props } = fixture();
    const value = 'it\'s "$HOME" and `more`';
    new TrainiumAggregatedFleet(stack, 'Fleet', { ...props, engine: { environment: { GREETING: value } } });
    const [shell, ...args] = containersOf(stack).engine.EntryPoint;
    expect(execFileSync(shell, [...args, 'printenv', 'GREETING'], { encoding: 'utf8' })).toBe(`${value}\n`);
  });
});

describe('the connector', () => {
  test('is Neuron\'s own for models with windows', () => {
    const { stack, props } = fixture();
    expect(new TrainiumPrefillFleet(stack, 'Prefill', { ...props, model: ModelArchitecture.GPT_OSS_120B }).endpoint.kvConnector).toBe(KvConnector.NEURON_NIXL);
  });

  test('goes through host memory where EFA cannot read the device', () => {
    const { stack, props } = fixture();
    new TrainiumPrefillFleet(stack, 'Prefill', { ...props, model: ModelArchitecture.LLAMA_3_1_8B, instanceType: NeuronInstanceType.TRN2_3XLARGE });
    expect(containersOf(stack).engine.Command.join(' ')).toContain('"kv_buffer_device":"cpu"');
  });
});

describe('idle cores', () => {
  const warningsOf = (model: ModelArchitecture, tensorParallelDegree?: number) => {
    const { stack, props } = fixture();
    new TrainiumPrefillFleet(stack, 'Prefill', { ...props, model, engine: { tensorParallelDegree } });
    return Annotations.fromStack(stack).findWarning('/Stack/Prefill', Match.stringLikeRegexp('NeuronCoresIdle')).map((warning) => warning.entry.data);
  };

  test('an engine on half of them is told to take more, or a smaller instance', () => {
    expect(warningsOf(ModelArchitecture.LLAMA_3_3_70B, 32)).toEqual([
      expect.stringContaining('an engine on 32 of the 64 logical NeuronCores of trn2.48xlarge leaves the others idle '
        + '(raise engine.tensorParallelDegree to 64 or take a smaller instance type)'),
    ]);
  });

  test('where the heads allow no more, a smaller instance is what is left', () => {
    expect(warningsOf(ModelArchitecture.LLAMA_3_1_8B)).toEqual([expect.stringContaining('idle (take a smaller instance type)')]);
  });

  test('an engine on more than half of them is fine', () => {
    expect(warningsOf(ModelArchitecture.LLAMA_3_3_70B, 64)).toEqual([]);
  });
});

test('two syntheses give the same template', () => {
  const synthesize = () => {
    const { stack, props } = fixture();
    new TrainiumPrefillFleet(stack, 'Prefill', props);
    return Template.fromStack(stack).toJSON();
  };
  expect(synthesize()).toEqual(synthesize());
});
