import { execFileSync, spawnSync } from 'child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'fs';
import { tmpdir } from 'os';
import { join } from 'path';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { containersOf, fixture, launchDataOf } from './fleet-fixture';
import { KvConnector } from '../../src/decode';
import { Purchase, TrainiumPrefillFleet } from '../../src/fleet';

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
