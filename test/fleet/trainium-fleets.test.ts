import { execFileSync, spawnSync } from 'child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'fs';
import { tmpdir } from 'os';
import { join } from 'path';
import {
  CfnParameter, Duration, RemovalPolicy, Size, Stack, Tags, aws_cloudwatch as cloudwatch, aws_ec2 as ec2, aws_ecr as ecr, aws_ecs as ecs,
  aws_iam as iam, aws_kms as kms, aws_logs as logs, aws_servicediscovery as servicediscovery,
} from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { fixture } from './fleet-fixture';
import { KvConnector } from '../../src/decode';
import { Purchase, TrainiumAggregatedFleet, TrainiumDecodeFleet, TrainiumPrefillFleet } from '../../src/fleet';
import { NeuronInstanceType } from '../../src/hardware';
import { ModelArchitecture } from '../../src/model';
import { ProblemsError } from '../../src/problems';
import { SCHEMA, estimateOf, steady } from '../estimator/specs';

const image = ecs.ContainerImage.fromRegistry('registry.example/engine:1');
const only = (stack: Stack, type: string) => Object.values(Template.fromStack(stack).findResources(type))[0];
const containersOf = (stack: Stack) => {
  const [artifacts, engine] = only(stack, 'AWS::ECS::TaskDefinition').Properties.ContainerDefinitions;
  return { artifacts, engine };
};
const launchDataOf = (stack: Stack) => only(stack, 'AWS::EC2::LaunchTemplate').Properties.LaunchTemplateData;

function rulesOf(action: () => unknown): string[] {
  try {
    action();
  } catch (error) {
    return (error as ProblemsError).problems.map((problem) => problem.rule);
  }
  return [];
}

describe('a prefill fleet in a Capacity Block', () => {
  const { stack, efa, props } = fixture();
  const fleet = new TrainiumPrefillFleet(stack, 'Prefill', {
    ...props,
    purchase: Purchase.capacityBlock({
      reservationId: 'cr-0123456789abcdef0', availabilityZone: 'us-east-2b', endsAt: '2027-01-31T12:30:00+01:00', usdPerHour: 35.76,
    }),
  });
  const template = Template.fromStack(stack);
  const data = launchDataOf(stack);
  const { artifacts, engine } = containersOf(stack);

  test('launches into the block, without a placement group', () => {
    expect(data.InstanceMarketOptions).toEqual({ MarketType: 'capacity-block' });
    expect(data.CapacityReservationSpecification.CapacityReservationTarget.CapacityReservationId).toBe('cr-0123456789abcdef0');
    expect(data.Placement).toBeUndefined();
    template.resourceCountIs('AWS::EC2::PlacementGroup', 0);
    expect(data.InstanceType).toBe('trn2.48xlarge');
  });

  test('has every EFA interface, with the API\'s and the fabric\'s security group', () => {
    expect(data.SecurityGroupIds).toBeUndefined();
    expect(data.NetworkInterfaces).toHaveLength(17);
    for (const { Groups } of data.NetworkInterfaces) {
      expect(Groups).toEqual([
        { 'Fn::GetAtt': [expect.stringMatching(/^PrefillSecurityGroup/), 'GroupId'] },
        { 'Fn::GetAtt': [expect.stringMatching(/^EfaSecurityGroup/), 'GroupId'] },
      ]);
    }
  });

  test('requires IMDSv2 and encrypts a root volume that holds the weights', () => {
    expect(data.MetadataOptions).toEqual({ HttpTokens: 'required', HttpPutResponseHopLimit: 2 });
    expect(data.BlockDeviceMappings).toEqual([{
      DeviceName: '/dev/xvda', Ebs: expect.objectContaining({ Encrypted: true, VolumeType: 'gp3', VolumeSize: 512, DeleteOnTermination: true }),
    }]);
  });

  test('launches the ECS image for Neuron, joins the cluster and reserves huge pages', () => {
    template.hasParameter('*', { Default: '/aws/service/ecs/optimized-ami/amazon-linux-2023/neuron/recommended/image_id' });
    const userData = JSON.stringify(data.UserData);
    expect(userData).toContain('ECS_CLUSTER=');
    expect(userData).toContain('vm.nr_hugepages=5128');
    expect(userData).toContain('install -d -o 1000 -g 1000');
    expect(userData).not.toContain('SPOT');
  });

  test('its group stays in the zone, is of the given size, replaces one instance at a time', () => {
    template.hasResource('AWS::AutoScaling::AutoScalingGroup', {
      Properties: {
        MinSize: '2',
        MaxSize: '2',
        VPCZoneIdentifier: ['subnet-1'],
        NewInstancesProtectedFromScaleIn: Match.absent(),
        HealthCheckGracePeriod: 5400,
        LaunchTemplate: { Version: { 'Fn::GetAtt': [Match.anyValue(), 'LatestVersionNumber'] } },
        MixedInstancesPolicy: Match.absent(),
      },
      UpdatePolicy: { AutoScalingRollingUpdate: { MinInstancesInService: 1, MaxBatchSize: 1 } },
    });
  });

  test('its group goes to nothing ten minutes before EC2 starts to terminate, and the tasks with it', () => {
    template.hasResourceProperties('AWS::AutoScaling::ScheduledAction', { StartTime: '2027-01-31T10:50:00Z', MinSize: 0, MaxSize: 0, DesiredCapacity: 0 });
    template.resourceCountIs('AWS::ApplicationAutoScaling::ScalableTarget', 0);
  });

  test('its capacity provider drains instances and does not hold them, and the service waits for it', () => {
    template.hasResourceProperties('AWS::ECS::CapacityProvider', {
      AutoScalingGroupProvider: { ManagedTerminationProtection: 'DISABLED', ManagedDraining: 'ENABLED', ManagedScaling: { Status: 'ENABLED' } },
    });
    const [association] = Object.keys(template.findResources('AWS::ECS::ClusterCapacityProviderAssociations'));
    template.hasResource('AWS::ECS::Service', { DependsOn: Match.arrayWith([association]) });
  });

  test('runs one engine an instance, and replaces it in place', () => {
    template.hasResourceProperties('AWS::ECS::Service', {
      DesiredCount: 2,
      PlacementConstraints: [{ Type: 'distinctInstance' }],
      DeploymentConfiguration: { MinimumHealthyPercent: 0, MaximumPercent: 100, DeploymentCircuitBreaker: { Enable: true, Rollback: true } },
      AvailabilityZoneRebalancing: 'DISABLED',
    });
  });

  test('fetches the model before the engine starts', () => {
    expect(artifacts).toMatchObject({ Command: ['s3', 'sync', 's3://models/llama-3.3-70b/', '/model', '--no-progress'], Essential: false, StartTimeout: 5400 });
    expect(engine.DependsOn).toEqual([{ ContainerName: 'artifacts', Condition: 'SUCCESS' }]);
    expect(engine.MountPoints).toContainEqual({ ContainerPath: '/model', ReadOnly: true, SourceVolume: 'model' });
  });

  test('gives the engine every Neuron and EFA device, in the host\'s network', () => {
    template.hasResourceProperties('AWS::ECS::TaskDefinition', { NetworkMode: 'host', RequiresCompatibilities: ['EC2'] });
    const devices: string[] = engine.LinuxParameters.Devices.map((device: { HostPath: string }) => device.HostPath);
    expect(devices).toEqual([
      ...Array.from({ length: 16 }, (_, index) => `/dev/neuron${index}`), ...Array.from({ length: 16 }, (_, index) => `/dev/infiniband/uverbs${index}`),
    ]);
    expect(engine.Ulimits).toEqual([{ Name: 'memlock', SoftLimit: -1, HardLimit: -1 }]);
    expect(engine.LinuxParameters.SharedMemorySize).toBe(262_144);
    expect(engine.MemoryReservation).toBe(1_572_864);
  });

  test('runs as an ordinary user, without privileges and without variables in the task definition', () => {
    for (const container of [artifacts, engine]) {
      expect(container.User).toBe('1000:1000');
      expect(container.Privileged).toBeUndefined();
      expect(container.Environment).toBeUndefined();
    }
  });

  test('produces KV caches for NIXL over libfabric', () => {
    expect(engine.Command).toEqual([
      'vllm', 'serve', '/model', '--served-model-name', 'llama-3.3-70b', '--host', '0.0.0.0', '--port', '8100', '--dtype', 'bfloat16',
      '--tensor-parallel-size', '64', '--max-num-seqs', '1',
      '--kv-transfer-config', JSON.stringify({
        kv_connector: 'NixlConnector',
        kv_role: 'kv_producer',
        kv_buffer_device: 'cuda',
        kv_connector_extra_config: { backends: ['LIBFABRIC'] },
      }),
      '--enable-prompt-tokens-details',
    ]);
    const [shell, flag, script] = engine.EntryPoint;
    expect([shell, flag]).toEqual(['/bin/sh', '-c']);
    for (const line of [
      'export VLLM_NIXL_SIDE_CHANNEL_PORT=\'5559\'', 'export FI_EFA_ENABLE_SHM_TRANSFER=\'0\'', 'export VLLM_ENGINE_READY_TIMEOUT_S=\'5400\'',
      'export VLLM_NEURON_SKIP_DECODE_WARMUP=\'1\'', 'exec "$0" "$@"',
    ]) {
      expect(script.split('\n')).toContain(line);
    }
    expect(script).toMatch(/export VLLM_NIXL_SIDE_CHANNEL_HOST="\$\(python3 -c /);
  });

  test('asks /health, with the limits that ECS has', () => {
    expect(engine.HealthCheck).toMatchObject({ Interval: 30, Timeout: 5, StartPeriod: 300 });
    expect(engine.HealthCheck.Command[1]).toContain('http://127.0.0.1:8100/health');
    expect(engine.HealthCheck.Command[1]).toContain('-lt 5400');
  });

  test('an engine that does not answer is healthy for as long as a cold start takes, from when its script ran', () => {
    const directory = mkdtempSync(join(tmpdir(), 'engine-'));
    const here = (script: string) => script.replace(/\/tmp\//g, `${directory}/`);
    const healthy = () => spawnSync('/bin/sh', ['-c', here(engine.HealthCheck.Command[1])]).status === 0;
    const startedAgo = (seconds: number) => writeFileSync(join(directory, 'started'), `${Math.floor(Date.now() / 1000) - seconds}\n`);
    execFileSync('/bin/sh', ['-c', here(engine.EntryPoint[2].split('\n')[0])]);
    expect(healthy()).toBe(true);
    startedAgo(5300);
    expect(healthy()).toBe(true);
    startedAgo(5500);
    expect(healthy()).toBe(false);
    startedAgo(0);
    writeFileSync(join(directory, 'ready'), '');
    expect(healthy()).toBe(false);
    rmSync(directory, { recursive: true });
  });

  test('writes logs that are kept a month, and stay when the fleet goes', () => {
    template.hasResource('AWS::Logs::LogGroup', { Properties: { RetentionInDays: 30 }, DeletionPolicy: 'Retain' });
    expect(engine.LogConfiguration).toMatchObject({
      LogDriver: 'awslogs', Options: { 'awslogs-stream-prefix': 'engine', 'mode': 'non-blocking', 'max-buffer-size': '25m' },
    });
  });

  test('has no inline and no AWS managed policies', () => {
    template.resourceCountIs('AWS::IAM::Policy', 0);
    template.allResourcesProperties('AWS::IAM::Role', { ManagedPolicyArns: Match.absent(), Policies: Match.absent() });
  });

  test('is found by SRV records, and described for router and estimator', () => {
    template.hasResourceProperties('AWS::ServiceDiscovery::Service', { DnsConfig: { DnsRecords: [{ Type: 'SRV', TTL: 10 }] } });
    template.hasResourceProperties('AWS::ECS::Service', { ServiceRegistries: [Match.objectLike({ ContainerName: 'engine', ContainerPort: 8100 })] });
    expect(fleet.endpoint).toEqual({
      name: 'Prefill',
      role: 'prefill',
      protocol: 'openai',
      modelName: 'llama-3.3-70b',
      discoverySrvName: expect.stringMatching(/^stack-prefill-\w+\.stack-prefill-\w+\.internal$/),
      port: 8100,
      connections: fleet.connections,
      kvConnector: KvConnector.NIXL,
      metricsPath: '/metrics',
    });
    expect(fleet.poolSpec).toEqual({
      hardware: 'trn2.48xlarge',
      instances: 2,
      tensorParallelDegree: 64,
      enginesPerInstance: 1,
      maxConcurrentSequences: 1,
      purchaseOption: 'capacity-block',
      usdPerInstanceHour: 35.76,
      priceSource: 'given at Stack/Prefill',
    });
    expect(fleet.efa).toBe(efa);
  });

  test('warns of nothing', () => {
    Annotations.fromStack(stack).hasNoWarning('*', Match.anyValue());
    Annotations.fromStack(stack).hasNoError('*', Match.anyValue());
  });
});

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

describe('options', () => {
  test('a key encrypts volumes and logs, and lets their services use it', () => {
    const { stack, props } = fixture();
    new TrainiumPrefillFleet(stack, 'Prefill', { ...props, encryptionKey: new kms.Key(stack, 'Key') });
    const template = Template.fromStack(stack);
    const key = { 'Fn::GetAtt': [Match.stringLikeRegexp('^Key'), 'Arn'] };
    template.hasResourceProperties('AWS::Logs::LogGroup', { KmsKeyId: key });
    template.hasResourceProperties('AWS::EC2::LaunchTemplate', { LaunchTemplateData: { BlockDeviceMappings: [{ Ebs: { KmsKeyId: key } }] } });
    template.hasResourceProperties('AWS::KMS::Key', {
      KeyPolicy: {
        Statement: Match.arrayWith([
          Match.objectLike({ Action: 'kms:CreateGrant', Condition: Match.objectLike({ Bool: { 'kms:GrantIsForAWSResource': 'true' } }) }),
          Match.objectLike({ Principal: { Service: 'logs.us-east-2.amazonaws.com' } }),
        ]),
      },
    });
  });

  test('retention, removal, volume and cold start are as given', () => {
    const { stack, props } = fixture();
    new TrainiumPrefillFleet(stack, 'Prefill', {
      ...props,
      logRetention: logs.RetentionDays.ONE_YEAR,
      removalPolicy: RemovalPolicy.DESTROY,
      rootVolumeSize: Size.tebibytes(2),
      coldStartTimeout: Duration.minutes(30),
    });
    const template = Template.fromStack(stack);
    template.hasResource('AWS::Logs::LogGroup', { Properties: { RetentionInDays: 365 }, DeletionPolicy: 'Delete' });
    template.hasResourceProperties('AWS::AutoScaling::AutoScalingGroup', { HealthCheckGracePeriod: 1800 });
    expect(launchDataOf(stack).BlockDeviceMappings[0].Ebs.VolumeSize).toBe(2048);
    expect(containersOf(stack).engine.EntryPoint[2]).toContain('VLLM_ENGINE_READY_TIMEOUT_S=\'1800\'');
  });

  test('large weights get a larger volume', () => {
    const { stack, props } = fixture();
    new TrainiumPrefillFleet(stack, 'Prefill', { ...props, model: ModelArchitecture.LLAMA_3_1_405B });
    const gibibytes = launchDataOf(stack).BlockDeviceMappings[0].Ebs.VolumeSize;
    expect(gibibytes).toBe(256 + Math.ceil(ModelArchitecture.LLAMA_3_1_405B.weightBytes('bf16') / 2 ** 30));
  });

  test('an image in a private repository can be pulled', () => {
    const { stack, props } = fixture();
    const repository = ecr.Repository.fromRepositoryName(stack, 'Repository', 'engine');
    new TrainiumPrefillFleet(stack, 'Prefill', { ...props, engine: { image: ecs.ContainerImage.fromEcrRepository(repository) } });
    Template.fromStack(stack).hasResourceProperties('AWS::IAM::ManagedPolicy', {
      PolicyDocument: { Statement: Match.arrayWith([Match.objectLike({ Action: Match.arrayWith(['ecr:BatchGetImage']) })]) },
    });
  });

  test('a grant to the fleet reaches the engines\' role', () => {
    const { stack, props } = fixture();
    const fleet = new TrainiumPrefillFleet(stack, 'Prefill', props);
    iam.Grant.addToPrincipal({ grantee: fleet, actions: ['cloudwatch:PutMetricData'], resourceArns: ['*'] });
    Template.fromStack(stack).hasResourceProperties('AWS::IAM::Policy', { Roles: [{ Ref: Match.stringLikeRegexp('^PrefillTaskTaskRole') }] });
  });

  test('tags reach instances, service and logs', () => {
    const { stack, props } = fixture();
    Tags.of(new TrainiumPrefillFleet(stack, 'Prefill', props)).add('team', 'inference');
    const template = Template.fromStack(stack);
    const tag = Match.arrayWith([{ Key: 'team', Value: 'inference' }]);
    template.hasResourceProperties('AWS::ECS::Service', { Tags: tag });
    template.hasResourceProperties('AWS::Logs::LogGroup', { Tags: tag });
    expect(launchDataOf(stack).TagSpecifications[0].Tags).toContainEqual({ Key: 'team', Value: 'inference' });
  });

  test('metrics are those of ECS and of the group', () => {
    const { stack, props } = fixture();
    const fleet = new TrainiumPrefillFleet(stack, 'Prefill', props);
    const names = (metric: cloudwatch.Metric) => [metric.namespace, metric.metricName, metric.statistic, ...Object.keys(metric.dimensions!).sort()];
    expect(names(fleet.metricCpuUtilization())).toEqual(['AWS/ECS', 'CPUUtilization', 'Average', 'ClusterName', 'ServiceName']);
    expect(names(fleet.metricMemoryUtilization())).toEqual(['AWS/ECS', 'MemoryUtilization', 'Average', 'ClusterName', 'ServiceName']);
    expect(names(fleet.metric('CPUReservation'))).toEqual(['AWS/ECS', 'CPUReservation', 'Average', 'ClusterName', 'ServiceName']);
    expect(names(fleet.metricInstancesInService())).toEqual(['AWS/AutoScaling', 'GroupInServiceInstances', 'Minimum', 'AutoScalingGroupName']);
    expect(fleet.metricInstancesInService({ period: Duration.minutes(1) }).period.toSeconds()).toBe(60);
  });
});

describe('fails', () => {
  test('with every problem at once', () => {
    const { stack, props } = fixture();
    expect(rulesOf(() => new TrainiumPrefillFleet(stack, 'Prefill', {
      ...props,
      instanceType: NeuronInstanceType.TRN1_2XLARGE,
      instanceCount: 0,
      purchase: Purchase.capacityBlock({ reservationId: 'cr-00000000000000001', availabilityZone: 'us-east-2c' }),
      rootVolumeSize: Size.gibibytes(8),
      coldStartTimeout: Duration.seconds(1),
      engine: {
        tensorParallelDegree: 3,
        maxConcurrentSequences: -1,
        blockSizeTokens: 1.5,
        maxModelLengthTokens: 1_000_000,
        promptBuckets: [512, 512],
        user: 'vllm',
        environment: { '1A': '' },
      },
    }))).toEqual([
      'CountNotPositive', 'PurchaseOptionUnavailable', 'CountNotPositive', 'CountNotPositive', 'PromptBuckets', 'EngineImageMissing', 'TensorParallelDegree',
      'MaxModelLength', 'EngineUser', 'EngineEnvironment', 'FleetWithoutEfa', 'RootVolumeSize', 'ColdStartTimeout', 'PurchaseAvailabilityZone',
    ]);
  });

  test('for trn2 On-Demand, naming what exists', () => {
    const { stack, props } = fixture();
    expect(() => new TrainiumPrefillFleet(stack, 'Prefill', { ...props, purchase: Purchase.onDemand() })).toThrow(
      '[Stack/Prefill.purchase] EC2 does not sell trn2.48xlarge this way, got: "on-demand" '
      + '(use Purchase.spot() or Purchase.capacityBlock({ reservationId })) [PurchaseOptionUnavailable]');
  });

  test('for a disaggregated fleet without EFA, naming the aggregated one', () => {
    const { stack, props } = fixture();
    const withoutEfa = { ...props, instanceType: NeuronInstanceType.TRN1_2XLARGE, purchase: Purchase.spot(), engine: { image } };
    for (const Fleet of [TrainiumPrefillFleet, TrainiumDecodeFleet]) {
      expect(() => new Fleet(stack, Fleet.name, withoutEfa)).toThrow('or a TrainiumAggregatedFleet) [FleetWithoutEfa]');
    }
  });

  test('for a prompt bucket longer than the longest sequence', () => {
    const { stack, props } = fixture();
    expect(rulesOf(() => new TrainiumPrefillFleet(stack, 'Prefill', { ...props, engine: { maxModelLengthTokens: 4096, promptBuckets: [8192] } })))
      .toEqual(['PromptBuckets']);
  });

  test('for arguments that the fleet gives itself, in whatever form', () => {
    const { stack, props } = fixture();
    const options = { maxModelLengthTokens: 4096, blockSizeTokens: 32, promptBuckets: [2048] };
    const refused = (extraArguments: string[], engine = {}) => rulesOf(() => (
      new TrainiumPrefillFleet(stack, `Refused${stack.node.children.length}`, { ...props, engine: { ...engine, extraArguments } })
    ));
    new TrainiumPrefillFleet(stack, 'Prefill', { ...props, engine: options });
    const given: string[] = containersOf(stack).engine.Command.filter((argument: string) => argument.startsWith('--'));
    expect(given.length).toBeGreaterThan(9);
    expect(refused(given, options)).toEqual(given.map(() => 'EngineArgumentTaken'));
    expect(refused(['--max_model_len=4096', '-tp', '8', '--gpu-memory-utilization', '0.8', '--kv-transfer-config.kv_role', 'kv_both']))
      .toEqual(Array.from({ length: 4 }, () => 'EngineArgumentTaken'));
    expect(refused(['--additional-config', '{}', '--max-logprobs', '0'])).toEqual([]);
    expect(() => new TrainiumPrefillFleet(stack, 'Long', { ...props, engine: { extraArguments: ['--max-model-len', '4096'] } }))
      .toThrow('[Stack/Long.engine.extraArguments] the fleet decides on this argument, got: "--max-model-len" (use maxModelLengthTokens) [EngineArgumentTaken]');
  });

  test('for a count that is a token, which the layout depends on', () => {
    const { stack, props } = fixture();
    const count = new CfnParameter(stack, 'Count', { type: 'Number' }).valueAsNumber;
    expect(() => new TrainiumPrefillFleet(stack, 'Prefill', { ...props, instanceCount: count })).toThrow('instanceCount is a token');
  });
});

test('a zone that is a token is not compared', () => {
  const { stack, props } = fixture();
  const zone = new CfnParameter(stack, 'Zone').valueAsString;
  const fleet = new TrainiumPrefillFleet(stack, 'Prefill', {
    ...props, purchase: Purchase.capacityBlock({ reservationId: 'cr-00000000000000001', availabilityZone: zone }),
  });
  expect(fleet.poolSpec.instances).toBe(2);
});

test('two syntheses give the same template', () => {
  const synthesize = () => {
    const { stack, props } = fixture();
    new TrainiumPrefillFleet(stack, 'Prefill', props);
    return Template.fromStack(stack).toJSON();
  };
  expect(synthesize()).toEqual(synthesize());
});
