import { App, CfnParameter, Duration, Stack, StackProps, aws_ec2 as ec2, aws_kms as kms, aws_s3 as s3, aws_secretsmanager as secretsmanager } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import {
  BedrockModel, Cs3Attachment, Decode, DisaggregatedInference, DisaggregatedInferenceProps, Estimates, HeadroomSpec, ModelArchitecture,
  ModelArtifacts, NeuronInstanceType, Prefill, Purchase, TrainiumPhaseOptions, Workload,
} from 'cdk-disaggregated-inference';

const BLOCK = Purchase.capacityBlock({ reservationId: 'cr-0123456789abcdef0', availabilityZone: 'us-east-2b' });
const TRAINIUM2 = { instanceType: NeuronInstanceType.TRN2_48XLARGE, purchase: BLOCK };

function fixture(stackProps: StackProps = {}) {
  const app = new App();
  const stack = new Stack(app, 'Stack', stackProps);
  const props: DisaggregatedInferenceProps = {
    model: ModelArchitecture.LLAMA_3_3_70B,
    workload: Workload.steady({ requestsPerSecond: 2, inputTokens: 1000, outputTokens: 200 }),
    objective: { timeToFirstToken: Duration.millis(900), timePerOutputToken: Duration.millis(30) },
    prefill: Prefill.trainium(TRAINIUM2),
    decode: Decode.trainium(TRAINIUM2),
    artifacts: ModelArtifacts.fromBucket(s3.Bucket.fromBucketName(stack, 'Models', 'amzn-s3-demo-bucket'), 'llama/'),
  };
  return { app, stack, props };
}

/** The message of what is thrown, a rule id a line. */
function rulesOf(act: () => unknown): string[] {
  try {
    act();
  } catch (error) {
    return [...(error as Error).message.matchAll(/\[(\w+)\]$/gm)].map((match) => match[1]);
  }
  return [];
}

describe('a planned service', () => {
  const { stack, props } = fixture();
  const service = new DisaggregatedInference(stack, 'Chat', props);
  const template = Template.fromStack(stack);

  test('has the instances that the plan says', () => {
    const { spec } = Estimates.fromStack(stack).of(service);
    template.hasResourceProperties('AWS::ECS::Service', { LaunchType: Match.absent(), DesiredCount: spec.prefill!.instances });
    const groups = Object.values(template.findResources('AWS::AutoScaling::AutoScalingGroup')).map((group) => Number(group.Properties.MaxSize));
    expect(groups).toEqual([spec.prefill!.instances, spec.decode.instances]);
  });

  test('shares one fabric security group and no placement group with its Capacity Block', () => {
    template.resourceCountIs('AWS::EC2::PlacementGroup', 0);
    const fabric = stack.resolve(service.efa!.securityGroup.securityGroupId);
    for (const launchTemplate of Object.values(template.findResources('AWS::EC2::LaunchTemplate'))) {
      const { NetworkInterfaces, InstanceMarketOptions } = launchTemplate.Properties.LaunchTemplateData;
      expect(NetworkInterfaces.filter((nic: any) => nic.InterfaceType === 'efa-only')).toHaveLength(16);
      expect(NetworkInterfaces.filter((nic: any) => nic.InterfaceType === 'efa-only').every((nic: any) => nic.Groups.some(
        (group: any) => JSON.stringify(group) === JSON.stringify(fabric)))).toBe(true);
      expect(InstanceMarketOptions).toEqual({ MarketType: 'capacity-block' });
    }
  });

  test('runs in the zone of the Capacity Block, and its router in a second one too', () => {
    const zones = Object.values(template.findResources('AWS::EC2::Subnet')).map((subnet) => subnet.Properties.AvailabilityZone);
    expect([...new Set(zones)]).toEqual(['us-east-2b', 'us-east-2a']);
    for (const group of Object.values(template.findResources('AWS::AutoScaling::AutoScalingGroup'))) {
      expect(group.Properties.VPCZoneIdentifier).toHaveLength(1);
    }
  });

  test('tells what to expect', () => {
    Annotations.fromStack(stack).hasInfo('/Stack/Chat', Match.stringLikeRegexp('output tokens/s\\), TTFT p95 .* ms \\(.* to .*\\), .* ms as simulated, of 900 ms promised, TPOT p95'));
    const metadata = template.toJSON().Metadata.DisaggregatedInference['Stack/Chat'];
    expect(metadata).toMatchObject({ serving: 'disaggregated', objectivesHeld: true, ttftP95Seconds: expect.stringMatching(/^0\.\d{1,2}$/) });
  });

  test('tells the router the model, the engines and the objective', () => {
    const parameter = Object.values(template.findResources('AWS::SSM::Parameter'))[0];
    const config = JSON.stringify(parameter.Properties.Value);
    for (const part of ['llama-3.3-70b', 'decode', 'prefill', 'expected']) {
      expect(config).toContain(part);
    }
  });
});

test('headroom buys the instances that a failure and growth would take', () => {
  const counts = (headroom?: HeadroomSpec) => {
    const { stack, props } = fixture();
    const { spec } = Estimates.fromStack(stack).of(new DisaggregatedInference(stack, 'Chat', { ...props, headroom }));
    return [spec.prefill!.instances!, spec.decode.instances!];
  };
  const [prefill, decode] = counts();
  expect(counts({ spareInstances: 1 })).toEqual([prefill + 1, decode + 1]);
  const grown = counts({ growth: 9 });
  expect(grown[0] + grown[1]).toBeGreaterThan(prefill + decode);
  expect(rulesOf(() => counts({ growth: -1, spareInstances: 0.5 }))).toEqual(['GrowthOutOfRange', 'CountNotPositive']);
});

test('an aggregated service has one fleet that hands no KV cache on', () => {
  const { stack, props } = fixture();
  const service = new DisaggregatedInference(stack, 'Chat', { ...props, prefill: undefined });
  expect(Estimates.fromStack(stack).of(service).serving).toBe('aggregated');
  const template = Template.fromStack(stack);
  template.resourceCountIs('AWS::AutoScaling::AutoScalingGroup', 1);
  expect(JSON.stringify(template.findResources('AWS::ECS::TaskDefinition'))).not.toContain('kv-transfer-config');
});

test('a fallback in Bedrock is the last that the router asks', () => {
  const { stack, props } = fixture();
  const service = new DisaggregatedInference(stack, 'Chat', { ...props, fallback: BedrockModel.foundationModel('meta.llama3-3-70b-instruct-v1:0') });
  const template = Template.fromStack(stack);
  const [parameter] = Object.values(template.findResources('AWS::SSM::Parameter')).filter(({ Properties }) => Properties.Description === 'Configuration of the router');
  const names = [...JSON.stringify(parameter.Properties.Value).matchAll(/\\"name\\":\\"(\w+)\\"/g)].map(([, name]) => name);
  expect(names).toEqual(['Decode', 'Prefill', 'Fallback']);
  expect(stack.resolve(service.router.service.taskDefinition.taskRole.roleName)).toEqual({ Ref: expect.stringMatching(/^ChatRouterTaskRole/) });
  template.hasResourceProperties('AWS::IAM::ManagedPolicy', {
    Roles: [{ Ref: Match.stringLikeRegexp('^ChatRouterTaskRole') }],
    PolicyDocument: { Statement: Match.arrayWith([Match.objectLike({ Action: Match.arrayWith(['bedrock:InvokeModel']) })]) },
  });
});

describe('CS-3 decode', () => {
  function attached() {
    const { stack, props } = fixture();
    const vpc = ec2.Vpc.fromVpcAttributes(stack, 'Vpc', {
      vpcId: 'vpc-0123456789abcdef0',
      availabilityZones: ['us-east-2a', 'us-east-2b'],
      privateSubnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
    });
    const attachment = Cs3Attachment.fromAttributes({
      endpointUrl: 'https://cs3.example.com', vpcId: 'vpc-0123456789abcdef0', availabilityZone: 'us-east-2b',
    });
    return { stack, vpc, props: { ...props, decode: Decode.cs3({ attachment }) } };
  }

  test('is estimated with low confidence, says that it is modelled, and deploys the prefill fleet only', () => {
    const { stack, vpc, props } = attached();
    const service = new DisaggregatedInference(stack, 'Chat', { ...props, vpc });
    expect(Estimates.fromStack(stack).of(service).confidence.level).toBe('low');
    Template.fromStack(stack).resourceCountIs('AWS::AutoScaling::AutoScalingGroup', 1);
    Annotations.fromStack(stack).hasInfo('/Stack/Chat/Decode', Match.stringLikeRegexp('CS-3 decode is modelled'));
  });

  test('fails without the VPC of the attachment, and without prefill', () => {
    const { stack, props } = attached();
    expect(rulesOf(() => new DisaggregatedInference(stack, 'Chat', { ...props, prefill: undefined }))).toEqual([
      'Cs3WithoutPrefill', 'AttachmentVpcMissing',
    ]);
  });
});

test('the Cerebras cloud needs neither fleet nor artifacts, and is not estimated', () => {
  const { stack, props } = fixture();
  const apiKey = secretsmanager.Secret.fromSecretNameV2(stack, 'Key', 'cerebras');
  new DisaggregatedInference(stack, 'Chat', {
    model: props.model, workload: props.workload, decode: Decode.cerebrasCloud({ apiKey, modelId: 'llama-3.3-70b' }),
  });
  Template.fromStack(stack).resourceCountIs('AWS::AutoScaling::AutoScalingGroup', 0);
  Annotations.fromStack(stack).hasInfo('/Stack/Chat', Match.stringLikeRegexp('not estimated: neither latency'));
});

describe('counts that are given', () => {
  function withCounts(prefillCount: number, decodeCount: number, over: Partial<DisaggregatedInferenceProps> = {}) {
    const { app, stack, props } = fixture();
    new DisaggregatedInference(stack, 'Chat', {
      ...props,
      prefill: Prefill.trainium({ ...TRAINIUM2, instanceCount: prefillCount }),
      decode: Decode.trainium({ ...TRAINIUM2, instanceCount: decodeCount }),
      ...over,
    });
    return { app, stack };
  }

  test('are judged: a missed objective is a warning that says what would hold it', () => {
    const { stack } = withCounts(1, 1, { workload: Workload.steady({ requestsPerSecond: 5.5, inputTokens: 1000, outputTokens: 250 }) });
    Annotations.fromStack(stack).hasWarning('/Stack/Chat', Match.stringLikeRegexp('TPOT p95 of .* exceeds the objective of 30 ms \\(.* prefill and .* decode instances would hold it\\)'));
  });

  test('fail if the load is beyond them', () => {
    const { app } = withCounts(1, 1, { workload: Workload.steady({ requestsPerSecond: 100, inputTokens: 1000, outputTokens: 200 }) });
    expect(rulesOf(() => app.synth())).toEqual(['FleetUnstable']);
  });

  test('fail if no fleet holds the objective', () => {
    const { app } = withCounts(2, 2, { objective: { timePerOutputToken: Duration.millis(1) } });
    expect(rulesOf(() => app.synth())).toEqual(['ObjectiveUnreachable']);
  });
});

describe('fails', () => {
  test('with every problem at once', () => {
    const { stack, props } = fixture();
    const elsewhere = Purchase.capacityBlock({ reservationId: 'cr-0123456789abcdef1', availabilityZone: 'us-east-2c' });
    expect(rulesOf(() => new DisaggregatedInference(stack, 'Chat', {
      ...props,
      artifacts: undefined,
      prefill: Prefill.trainium({ instanceType: NeuronInstanceType.TRN2_48XLARGE, purchase: Purchase.onDemand() }),
      decode: Decode.trainium({ instanceType: NeuronInstanceType.TRN1_2XLARGE, purchase: elsewhere }),
    }))).toEqual(['PurchaseOptionUnavailable', 'PurchaseOptionUnavailable', 'EngineImageMissing', 'FleetWithoutEfa', 'ArtifactsMissing']);
    expect(rulesOf(() => new DisaggregatedInference(stack, 'Chat2', {
      ...props, decode: Decode.trainium({ ...TRAINIUM2, purchase: elsewhere }),
    }))).toEqual(['CapacityZonesDiffer']);
  });

  test('with what is missing or of another kind, as it happens in JavaScript', () => {
    const { stack } = fixture();
    expect(rulesOf(() => new DisaggregatedInference(stack, 'Chat', {} as DisaggregatedInferenceProps))).toEqual(['PropertyMissing', 'PropertyMissing', 'PropertyMissing']);
    expect(rulesOf(() => Prefill.trainium({ instanceType: 'trn2.48xlarge' } as unknown as TrainiumPhaseOptions))).toEqual(['PropertyMissing', 'InstanceTypeText']);
  });

  test('with a calibration of an engine that fleets do not run', () => {
    const { stack, props } = fixture();
    expect(rulesOf(() => new DisaggregatedInference(stack, 'Chat', { ...props, calibration: { engine: 'sglang', decode: { decodeLayerSeconds: 1e-4 } } })))
      .toEqual(['CalibrationOfOtherEngine']);
  });

  test('with a count that is a token', () => {
    const { stack, props } = fixture();
    const instanceCount = new CfnParameter(stack, 'Count', { type: 'Number' }).valueAsNumber;
    expect(() => new DisaggregatedInference(stack, 'Chat', { ...props, decode: Decode.trainium({ ...TRAINIUM2, instanceCount }) }))
      .toThrow(/^\[Stack\/Chat\/Decode\.instanceCount\] .*token/);
  });

  test('where no fleet could hold the objective', () => {
    const { app, stack, props } = fixture();
    new DisaggregatedInference(stack, 'Chat', { ...props, objective: { timeToFirstToken: Duration.millis(1) } });
    expect(rulesOf(() => app.synth())).toEqual(['FleetInfeasible']);
  });

  test('with the purchase options that exist', () => {
    const { stack, props } = fixture();
    expect(() => new DisaggregatedInference(stack, 'Chat', {
      ...props, decode: Decode.trainium({ instanceType: NeuronInstanceType.TRN2_48XLARGE, purchase: Purchase.onDemand() }),
    })).toThrow('EC2 does not sell trn2.48xlarge this way, got: "on-demand" (use Purchase.spot() or Purchase.capacityBlock({ reservationId }))');
  });
});

describe('a VPC that is not known yet', () => {
  const env = { region: 'us-east-2', account: '111111111111' };

  test.each([
    ['is being looked up', (stack: Stack) => ec2.Vpc.fromLookup(stack, 'Vpc', { vpcId: 'vpc-0123456789abcdef0' })],
    ['has zones that are being looked up', (stack: Stack) => new ec2.Vpc(stack, 'Vpc')],
  ])('%s: synthesis gets far enough to say what is missing', (_name, vpcOf) => {
    const { app, stack, props } = fixture({ env });
    new DisaggregatedInference(stack, 'Chat', { ...props, vpc: vpcOf(stack) });
    expect(app.synth().manifest.missing?.length).toBeGreaterThan(0);
  });
});

test('one key of another stack encrypts everything, without a cycle', () => {
  const { app, stack, props } = fixture();
  const key = new kms.Key(new Stack(app, 'Keys'), 'Key');
  new DisaggregatedInference(stack, 'Chat', { ...props, encryptionKey: key });
  expect(() => app.synth()).not.toThrow();
});
