import {
  CfnParameter, Duration, RemovalPolicy, Size, Tags, aws_cloudwatch as cloudwatch, aws_ecr as ecr,
  aws_ecs as ecs, aws_iam as iam, aws_kms as kms, aws_logs as logs,
} from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { containersOf, fixture, image, launchDataOf, rulesOf } from './fleet-fixture';
import { Purchase, TrainiumDecodeFleet, TrainiumPrefillFleet } from '../../src/fleet';
import { NeuronInstanceType } from '../../src/hardware';
import { ModelArchitecture } from '../../src/model';

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
