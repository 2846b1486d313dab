import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Aspects, CfnElement, CfnParameter, CfnResource, CfnStack, Lazy, NestedStack, Stack, Stage, Validations } from 'aws-cdk-lib';
import { Annotations, Match } from 'aws-cdk-lib/assertions';
import * as autoscaling from 'aws-cdk-lib/aws-autoscaling';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as ecsPatterns from 'aws-cdk-lib/aws-ecs-patterns';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { check } from '../../src/cli/check';
import { Problems } from '../../src/problems';
import { InferenceChecks, InferenceRules, InferenceRulesPlugin } from '../../src/validation';

/** A piece of a template, whose resources have no constructs. */
class Fragment extends CfnElement {
  constructor(scope: Construct, id: string, private readonly template: object) {
    super(scope, id);
  }

  public _toCloudFormation(): object {
    return this.template;
  }
}

interface FleetProps {
  readonly instanceType?: string;
  readonly placement?: ec2.PlacementGroupStrategy;
}

/** A fleet of plain L1 and L2 constructs, as one writes it without this library. */
class Fleet extends Construct {
  public readonly template: ec2.CfnLaunchTemplate;

  constructor(scope: Construct, id: string, props: FleetProps = {}) {
    super(scope, id);
    const vpc = new ec2.Vpc(this, 'Vpc', { maxAzs: 1, restrictDefaultSecurityGroup: false });
    const fabric = new ec2.SecurityGroup(this, 'Fabric', { vpc, allowAllOutbound: false });
    fabric.addIngressRule(fabric, ec2.Port.allTraffic());
    fabric.addEgressRule(fabric, ec2.Port.allTraffic());
    const placement = props.placement && new ec2.PlacementGroup(this, 'Placement', { strategy: props.placement });
    this.template = new ec2.CfnLaunchTemplate(this, 'Template', {
      launchTemplateData: {
        instanceType: props.instanceType ?? 'trn1.32xlarge',
        placement: placement && { groupName: placement.placementGroupName },
        networkInterfaces: Lazy.any({
          produce: () => [0, 1].map((card) => ({
            networkCardIndex: card,
            deviceIndex: card === 0 ? 0 : 1,
            interfaceType: card === 0 ? 'efa' : 'efa-only',
            groups: [fabric.securityGroupId],
          })),
        }),
      },
    });
    new autoscaling.CfnAutoScalingGroup(this, 'Group', {
      minSize: '0',
      maxSize: '2',
      vpcZoneIdentifier: vpc.privateSubnets.map(({ subnetId }) => subnetId),
      launchTemplate: { launchTemplateId: this.template.ref, version: this.template.attrLatestVersionNumber },
    });
  }
}

/** Ordinary applications, which the rules have nothing to say about. */
function ordinaryApplications(stack: Stack): void {
  const vpc = new ec2.Vpc(stack, 'Vpc');
  const cluster = new ecs.Cluster(stack, 'Cluster', { vpc });
  new ecsPatterns.ApplicationLoadBalancedFargateService(stack, 'Web', {
    cluster,
    taskImageOptions: { image: ecs.ContainerImage.fromRegistry('nginx') },
  });
  new autoscaling.AutoScalingGroup(stack, 'Workers', {
    vpc,
    launchTemplate: new ec2.LaunchTemplate(stack, 'WorkerTemplate', {
      instanceType: new ec2.InstanceType(new CfnParameter(stack, 'WorkerType', { default: 'm7i.large' }).valueAsString),
      machineImage: ec2.MachineImage.latestAmazonLinux2023(),
      securityGroup: new ec2.SecurityGroup(stack, 'WorkerSecurityGroup', { vpc }),
    }),
  });
  new autoscaling.AutoScalingGroup(stack, 'Spot', {
    vpc,
    mixedInstancesPolicy: {
      launchTemplate: new ec2.LaunchTemplate(stack, 'SpotTemplate', { machineImage: ec2.MachineImage.latestAmazonLinux2023() }),
      launchTemplateOverrides: [{ instanceType: new ec2.InstanceType('c7g.large') }, { instanceType: new ec2.InstanceType('c7gn.large') }],
    },
  });
  new ec2.Instance(stack, 'Bastion', { vpc, instanceType: new ec2.InstanceType('t3.micro'), machineImage: ec2.MachineImage.latestAmazonLinux2023() });
  new lambda.Function(stack, 'Function', { runtime: lambda.Runtime.NODEJS_22_X, handler: 'index.handler', code: lambda.Code.fromInline('exports.handler = 1') });
}

const acknowledgement = (rule: string) => ({ id: `InferenceRules::${rule}`, reason: 'tried on a card of our own' });

describe('checkOnSynth', () => {
  let app: App;
  let stack: Stack;

  beforeEach(() => {
    app = new App();
    stack = new Stack(app, 'Chat');
  });

  test('passes a fleet that is in order', () => {
    InferenceRules.checkOnSynth(new Fleet(stack, 'Fleet'));
    expect(() => app.synth()).not.toThrow();
    Annotations.fromStack(stack).hasNoWarning('*', Match.stringLikeRegexp('InferenceRules'));
  });

  test('fails the synthesis with construct path, value, mend and rule, all problems at once', () => {
    InferenceRules.checkOnSynth(new Fleet(stack, 'Prefill', { instanceType: 'trn1.2xlarge' }));
    InferenceRules.checkOnSynth(new Fleet(stack, 'Decode', { instanceType: 'trn3.48xlarge' }));
    let message = '';
    try {
      app.synth();
    } catch (error) {
      ({ message } = error as Error);
    }
    expect(message).toContain('[Chat/Prefill/Template] Properties.LaunchTemplateData.InstanceType: the instance type has no EFA');
    expect(message).toContain('got: "trn1.2xlarge"');
    expect(message).toContain('(use an instance type with EFA');
    expect(message).toContain('[InferenceRules::EfaInstanceTypeUnsupported]');
    expect(message).toContain('[Chat/Decode/Template]');
    expect(message).toContain('[InferenceRules::NeuronInstanceTypeUnknown]');
    expect(message.match(/EfaInstanceTypeUnsupported/g)).toHaveLength(1);
  });

  test('sees what an aspect changes at the end', () => {
    const fleet = new Fleet(stack, 'Fleet');
    InferenceRules.checkOnSynth(fleet);
    Aspects.of(stack).add({
      visit: (node) => {
        if (node === fleet.template) {
          fleet.template.addPropertyOverride('LaunchTemplateData.InstanceType', 'inf2.48xlarge');
        }
      },
    });
    expect(() => app.synth()).toThrow(/EfaInstanceTypeUnsupported/);
  });

  test('shows a broken rule of severity warning as a warning of the construct', () => {
    InferenceRules.checkOnSynth(new Fleet(stack, 'Fleet', { placement: ec2.PlacementGroupStrategy.SPREAD }));
    app.synth();
    const warnings = app.synth({ force: true }).getStackByName('Chat').messages.filter(({ level }) => level === 'warning');
    expect(warnings).toHaveLength(1);
    expect(warnings[0].id).toBe('/Chat/Fleet/Placement/Resource');
    expect(warnings[0].entry.data).toContain('InferenceRules::EfaPlacementStrategy');
  });

  test.each([['the construct', 'Fleet'], ['the stack', '']])('an acknowledgement on %s silences an error', (_, path) => {
    const fleet = new Fleet(stack, 'Fleet', { instanceType: 'trn3.48xlarge' });
    InferenceRules.checkOnSynth(fleet);
    Validations.of(path ? fleet : stack).acknowledge(acknowledgement('NeuronInstanceTypeUnknown'));
    expect(() => app.synth()).not.toThrow();
  });

  test('an acknowledgement silences a warning', () => {
    const fleet = new Fleet(stack, 'Fleet', { placement: ec2.PlacementGroupStrategy.PARTITION });
    InferenceRules.checkOnSynth(fleet);
    Validations.of(fleet).acknowledge(acknowledgement('EfaPlacementStrategy'));
    expect(app.synth().getStackByName('Chat').messages.filter(({ level }) => level === 'warning')).toEqual([]);
  });

  test.each([false, true])('tells once what could not be checked, unless it is acknowledged: %s', (acknowledged) => {
    if (acknowledged) {
      Validations.of(stack).acknowledge(acknowledgement('EfaInstanceTypeUnsupported'));
    }
    for (const id of ['Prefill', 'Decode']) {
      InferenceRules.checkOnSynth(new Fleet(stack, id, { instanceType: new CfnParameter(stack, `${id}Type`).valueAsString }));
    }
    const told = app.synth().getStackByName('Chat').messages
      .filter(({ level, entry }) => level === 'info' && String(entry.data).includes('EfaInstanceTypeUnsupported'));
    expect(told.map(({ id }) => id)).toEqual(acknowledged ? [] : ['/Chat/Prefill/Template']);
  });

  test('an acknowledgement of another construct silences nothing', () => {
    const other = new Fleet(stack, 'Other');
    InferenceRules.checkOnSynth(new Fleet(stack, 'Fleet', { instanceType: 'trn3.48xlarge' }));
    Validations.of(other).acknowledge(acknowledgement('NeuronInstanceTypeUnknown'));
    expect(() => app.synth()).toThrow(/NeuronInstanceTypeUnknown/);
  });

  test('leaves alone the stacks that are not handed in', () => {
    new Fleet(new Stack(app, 'Other'), 'Fleet', { instanceType: 'trn1.2xlarge' });
    InferenceRules.checkOnSynth(new Fleet(stack, 'Fleet'));
    expect(() => app.synth()).not.toThrow();
  });

  test.each([false, true])('follows references between stacks of a stage that are handed in: %s', (bothHandedIn) => {
    const stage = new Stage(app, 'Prod');
    const network = new Stack(stage, 'Network');
    const fabric = new ec2.SecurityGroup(network, 'Fabric', { vpc: new ec2.Vpc(network, 'Vpc', { restrictDefaultSecurityGroup: false }) });
    const fleet = new Stack(stage, 'Fleet');
    new ec2.CfnLaunchTemplate(fleet, 'Template', {
      launchTemplateData: {
        instanceType: 'trn2.48xlarge',
        networkInterfaces: [{ deviceIndex: 0, interfaceType: 'efa', groups: [fabric.securityGroupId] }],
      },
    });
    InferenceRules.checkOnSynth(fleet);
    if (bothHandedIn) {
      InferenceRules.checkOnSynth(network);
      expect(() => app.synth()).toThrow(/\[Prod\/Network\/Fabric\/Resource\].*EfaSelfEgressMissing/);
    } else {
      expect(() => app.synth()).not.toThrow();
    }
  });

  test('checks the nested stacks of a stack that is handed in, and follows what they are given', () => {
    const vpc = new ec2.Vpc(stack, 'Vpc', { restrictDefaultSecurityGroup: false });
    const fabric = new ec2.SecurityGroup(stack, 'Fabric', { vpc, allowAllOutbound: false });
    const nested = new NestedStack(stack, 'Nested');
    new ec2.CfnLaunchTemplate(nested, 'Template', {
      launchTemplateData: { instanceType: 'trn1.2xlarge', networkInterfaces: [{ deviceIndex: 0, interfaceType: 'efa', groups: [fabric.securityGroupId] }] },
    });
    InferenceRules.checkOnSynth(stack);
    let message = '';
    try {
      app.synth();
    } catch (error) {
      ({ message } = error as Error);
    }
    expect(message).toMatch(/\[Chat\/Nested\/Template\].*EfaInstanceTypeUnsupported/);
    expect(message).toMatch(/\[Chat\/Fabric\/Resource\].*EfaSelf(In|E)gressMissing/);
  });

  test('renews its findings at every synthesis', () => {
    const fleet = new Fleet(stack, 'Fleet', { instanceType: 'trn1.2xlarge' });
    InferenceRules.checkOnSynth(fleet);
    expect(() => app.synth()).toThrow(/EfaInstanceTypeUnsupported/);
    fleet.template.addPropertyOverride('LaunchTemplateData.InstanceType', 'trn2.48xlarge');
    expect(() => app.synth()).not.toThrow();
  });

  test('changes no template', () => {
    const render = (checked: boolean) => {
      const other = new App();
      const fleet = new Fleet(new Stack(other, 'Chat'), 'Fleet');
      if (checked) {
        InferenceRules.checkOnSynth(fleet);
      }
      return other.synth().getStackByName('Chat').template;
    };
    expect(render(true)).toEqual(render(false));
  });

  test('has nothing to say about ordinary applications', () => {
    ordinaryApplications(stack);
    InferenceRules.checkOnSynth(stack);
    const warnings = app.synth().getStackByName('Chat').messages.filter(({ entry }) => String(entry.data).includes('InferenceRules'));
    expect(warnings).toEqual([]);
  });
});

describe('InferenceRulesPlugin', () => {
  let app: App;

  beforeEach(() => {
    app = new App();
    Validations.of(app).addPlugins(new InferenceRulesPlugin());
  });

  test('passes a fleet that is in order, and ordinary applications', () => {
    new Fleet(new Stack(app, 'Chat'), 'Fleet');
    ordinaryApplications(new Stack(app, 'Web'));
    const log = jest.spyOn(console, 'error').mockReturnValue();
    expect(() => app.synth()).not.toThrow();
    expect(log).not.toHaveBeenCalled();
  });

  test('fails the synthesis of a hand-written stack with construct path and mend', () => {
    new Fleet(new Stack(app, 'Chat'), 'Fleet', { instanceType: 'trn1.2xlarge' });
    expect(() => app.synth()).toThrow(/Chat\/Fleet\/Template[\s\S]*use an instance type with EFA[\s\S]*InferenceRules::EfaInstanceTypeUnsupported/);
  });

  test('sees a template of properties that no construct knows', () => {
    new CfnResource(new Stack(app, 'Chat'), 'Reservation', {
      type: 'AWS::EC2::CapacityReservation',
      properties: { InstanceType: 'trn1.32xlarge', EndDateType: 'limited' },
    });
    expect(() => app.synth()).toThrow(/ReservationEndDate/);
  });

  test('sees nested stacks', () => {
    new Fleet(new NestedStack(new Stack(app, 'Chat'), 'Nested'), 'Fleet', { instanceType: 'trn1.2xlarge' });
    expect(() => app.synth()).toThrow(/Chat\/Nested\/Fleet\/Template[\s\S]*InferenceRules::EfaInstanceTypeUnsupported/);
  });

  test('follows what nested stacks are given and give', () => {
    const stack = new Stack(app, 'Chat');
    const network = new NestedStack(stack, 'Network');
    const fabric = new ec2.SecurityGroup(network, 'Fabric', { vpc: new ec2.Vpc(network, 'Vpc', { restrictDefaultSecurityGroup: false }) });
    new ec2.CfnLaunchTemplate(new NestedStack(stack, 'Fleet'), 'Template', {
      launchTemplateData: { instanceType: 'trn1.32xlarge', networkInterfaces: [{ deviceIndex: 0, interfaceType: 'efa', groups: [fabric.securityGroupId] }] },
    });
    expect(() => app.synth()).toThrow(/Chat\/Network\/Fabric\/Resource[\s\S]*InferenceRules::EfaSelfEgressMissing/);
  });

  test('sees the stacks of a stage', () => {
    new Fleet(new Stack(new Stage(app, 'Prod'), 'Chat'), 'Fleet', { instanceType: 'trn1.2xlarge' });
    expect(() => app.synth()).toThrow(/Prod\/Chat\/Fleet\/Template[\s\S]*InferenceRules::EfaInstanceTypeUnsupported/);
  });

  test('a warning does not fail the synthesis', () => {
    const stack = new Stack(app, 'Chat');
    new Fleet(stack, 'Fleet', { placement: ec2.PlacementGroupStrategy.SPREAD });
    const log = jest.spyOn(console, 'error').mockReturnValue();
    expect(() => app.synth()).not.toThrow();
    expect(log.mock.calls.flat().join('\n')).toContain('EfaPlacementStrategy');
  });

  test('says once what could not be checked, and does not fail', () => {
    const stack = new Stack(app, 'Chat');
    for (const id of ['Prefill', 'Decode']) {
      new Fleet(stack, id, { instanceType: new CfnParameter(stack, `${id}Type`).valueAsString });
    }
    const log = jest.spyOn(console, 'error').mockReturnValue();
    expect(() => app.synth()).not.toThrow();
    const text = log.mock.calls.flat().join('\n');
    expect(text).toContain('could not be checked at 2 places (parameter "PrefillType"; parameter "DecodeType"): An EFA interface');
    expect(text.match(/could not be checked/g)).toHaveLength(1);
  });

  test('says of a nested stack whose template is elsewhere that it is not looked into', () => {
    for (const name of ['network', 'storage']) {
      new CfnStack(new Stack(app, name), 'Nested', { templateUrl: `https://amzn-s3-demo-bucket.s3.amazonaws.com/${name}.yaml` });
    }
    const log = jest.spyOn(console, 'error').mockReturnValue();
    expect(() => app.synth()).not.toThrow();
    expect(log.mock.calls.flat().join('\n')).toContain('no rule looks into 2 nested stacks whose templates are not given');
  });

  test('an acknowledgement silences a violation', () => {
    const fleet = new Fleet(new Stack(app, 'Chat'), 'Fleet', { instanceType: 'trn3.48xlarge' });
    Validations.of(fleet).acknowledge(acknowledgement('NeuronInstanceTypeUnknown'));
    expect(() => app.synth()).not.toThrow();
  });
});

describe('InferenceChecks', () => {
  let app: App;
  let stack: Stack;

  beforeEach(() => {
    app = new App();
    stack = new Stack(app, 'Chat');
  });

  test('reports nothing of a fleet that is in order, and of ordinary applications', () => {
    new Fleet(stack, 'Fleet');
    ordinaryApplications(new Stack(app, 'Web'));
    expect(new InferenceChecks().validateScope(app)).toEqual({ success: true, violations: [] });
  });

  test('reports each place with its value and mend', () => {
    new Fleet(stack, 'Prefill', { instanceType: 'trn3.48xlarge' });
    new Fleet(stack, 'Decode', { instanceType: 'trn4.48xlarge' });
    const { success, violations } = new InferenceChecks().validateScope(app);
    const property = 'Properties.LaunchTemplateData.InstanceType';
    expect(success).toBe(false);
    expect(violations.filter(({ severity }) => severity === 'error')).toEqual([['Prefill', 'trn3.48xlarge'], ['Decode', 'trn4.48xlarge']].map(([id, type]) => ({
      ruleName: 'InferenceRules-NeuronInstanceTypeUnknown',
      severity: 'error',
      description: expect.stringMatching(new RegExp(`^${property}: .*, got: "${type}"$`)),
      fix: expect.stringContaining('use one of trn1.2xlarge'),
      ruleMetadata: expect.objectContaining({ why: expect.any(String) }),
      violatingResources: [{ constructPath: `Chat/${id}/Template`, locations: [property] }],
    })));
  });

  test('explains itself when it is asked to', () => {
    new Fleet(stack, 'Fleet', { instanceType: 'trn3.48xlarge' });
    const [{ description, ruleMetadata }] = new InferenceChecks(app, { verbose: true }).validateScope(app).violations;
    expect(description).toContain(`got: "trn3.48xlarge". ${ruleMetadata?.why}.`);
  });

  test('says once what could not be checked, does not fail, and heeds an acknowledgement of it', () => {
    const fleets = ['Prefill', 'Decode'].map((id) => new Fleet(stack, id, { instanceType: new CfnParameter(stack, `${id}Type`).valueAsString }));
    const told = () => {
      const { success, violations } = new InferenceChecks().validateScope(app);
      expect(success).toBe(true);
      expect(violations.every(({ severity }) => severity === 'info')).toBe(true);
      return violations.filter(({ ruleName }) => ruleName === 'InferenceRules-EfaInstanceTypeUnsupported').map(({ description }) => description);
    };
    const title = 'An EFA interface is on an instance type that has EFA';
    expect(told()).toEqual([`could not be checked at 2 places (parameter "PrefillType"; parameter "DecodeType"): ${title}`]);
    Validations.of(fleets[0]).acknowledge({ id: 'InferenceRules-EfaInstanceTypeUnsupported', reason: 'chosen at deployment' });
    expect(told()).toEqual([`could not be checked at 1 place (parameter "DecodeType"): ${title}`]);
    Validations.of(stack).acknowledge({ id: 'InferenceRules-EfaInstanceTypeUnsupported', reason: 'chosen at deployment' });
    expect(told()).toEqual([]);
  });

  test('fails the synthesis as a plugin of the app, unless it is acknowledged', () => {
    Validations.of(app).addPlugins(new InferenceChecks(app));
    const fleet = new Fleet(stack, 'Fleet', { instanceType: 'trn3.48xlarge' });
    expect(() => app.synth()).toThrow(/InferenceRules-NeuronInstanceTypeUnknown/);
    Validations.of(fleet).acknowledge({ id: 'InferenceRules-NeuronInstanceTypeUnknown', reason: 'tried on a card of our own' });
    expect(() => app.synth({ force: true })).not.toThrow();
  });

  test('tells apart several places of a rule on one resource, each with an id of its own', () => {
    const nics = (count: number) => Array.from({ length: count }, (_, device) => ({ deviceIndex: device, interfaceType: 'efa_only', groups: ['sg-1'] }));
    const template = (id: string, count: number) => new ec2.CfnLaunchTemplate(stack, id, { launchTemplateData: { networkInterfaces: nics(count) } });
    template('One', 1);
    const two = template('Two', 2);
    const rule = 'InferenceRules-NetworkInterfaceTypeUnknown';
    const place = (index: number) => `[Properties.LaunchTemplateData.NetworkInterfaces.${index}.InterfaceType]`;
    const names = () => new InferenceChecks().validateScope(app).violations.map(({ ruleName }) => ruleName).filter((name) => name.startsWith(rule));
    expect(names()).toEqual([rule, `${rule}${place(0)}`, `${rule}${place(1)}`]);
    Validations.of(two).acknowledge({ id: `${rule}${place(0)}`, reason: 'tried' });
    expect(names()).toEqual([rule, `${rule}${place(1)}`]);
    Validations.of(stack).acknowledge({ id: rule, reason: 'tried' });
    expect(names()).toEqual([]);
  });
});

describe('constructs, plugin, pack and check', () => {
  let outdir: string;

  beforeEach(() => {
    outdir = mkdtempSync(join(tmpdir(), 'places-'));
  });

  afterEach(() => {
    rmSync(outdir, { recursive: true });
  });

  /** What each says of a stack. */
  const synths = (build: (stack: Stack) => void, context: object = {}): string[] => (['constructs', 'plugin', 'pack', 'check'] as const).map((place) => {
    const app = new App({ outdir: join(outdir, place), context: { ...context } });
    const stack = new Stack(app, 'Chat');
    build(stack);
    if (place === 'check') {
      const { output, failed, problems } = check([app.synth().directory], { format: 'text', rule: [], failOn: 'error' }, false);
      return [failed || problems.length > 0 ? 'failed' : 'passed', output, Problems.format(problems)].join('\n');
    }
    if (place === 'constructs') {
      InferenceRules.checkOnSynth(stack);
    } else {
      Validations.of(app).addPlugins(place === 'plugin' ? new InferenceRulesPlugin() : new InferenceChecks(app));
    }
    const log = jest.spyOn(console, 'error').mockReset().mockReturnValue();
    try {
      const messages = app.synth().getStackByName('Chat').messages.map(({ entry }) => String(entry.data));
      return ['passed', ...messages, ...log.mock.calls.flat()].join('\n');
    } catch (error) {
      return ['failed', (error as Error).message, ...log.mock.calls.flat()].join('\n');
    }
  });
  const all = (text: RegExp) => Array.from({ length: 4 }, () => expect.stringMatching(text));

  const property = 'Properties.LaunchTemplateData.InstanceType';
  test.each([
    'InferenceRules::NeuronInstanceTypeUnknown', 'InferenceRules-NeuronInstanceTypeUnknown', 'InferenceRules::InferenceRules-NeuronInstanceTypeUnknown',
    `InferenceRules::NeuronInstanceTypeUnknown[${property}]`, `InferenceRules-NeuronInstanceTypeUnknown[${property}]`,
  ])('take the acknowledgement of %s, and no other', (id) => {
    const fleet = (given: string) => (stack: Stack) => Validations.of(new Fleet(stack, 'Fleet', { instanceType: 'trn3.48xlarge' })).acknowledge({ id: given, reason: 'tried' });
    expect(synths(fleet(id))).toEqual(all(/^passed/));
    expect(synths(fleet(id.replace(/Unknown|InstanceType$/, 'Other')))).toEqual(all(/^failed[^]*NeuronInstanceTypeUnknown/));
  });

  test('refuse resources that wait for each other, unless it is acknowledged', () => {
    const cycle = (...acknowledged: string[]) => (stack: Stack) => {
      const [one, other] = ['One', 'Other'].map((id) => new CfnResource(stack, id, { type: 'AWS::SNS::Topic' }));
      one.addPropertyOverride('DisplayName', other.ref);
      other.addPropertyOverride('DisplayName', one.ref);
      acknowledged.forEach((name) => Validations.of(stack).acknowledge({ id: `InferenceRules::${name}`, reason: 'a macro takes it apart' }));
    };
    expect(synths(cycle())).toEqual(all(/^failed[^]*waits for itself, by way of[^]*TemplateMalformed/));
    expect(synths(cycle('TemplateMalformed'))).toEqual(all(/^passed(?![^]*waits for itself)/));
  });

  test('tell that they do not look into a nested stack that is elsewhere, unless it is acknowledged', () => {
    const nested = (...acknowledged: string[]) => (stack: Stack) => {
      new CfnStack(stack, 'Far', { templateUrl: 'https://amzn-s3-demo-bucket.s3.amazonaws.com/far.yaml' });
      acknowledged.forEach((name) => Validations.of(stack).acknowledge({ id: `InferenceRules::${name}`, reason: 'checked by its owner' }));
    };
    expect(synths(nested())).toEqual(all(/^passed[^]*no rule looks into a nested stack/));
    expect(synths(nested('NestedStackUnseen'))).toEqual(all(/^passed(?![^]*no rule looks)/));
  });

  test.each([['MyMacro', /no rule looks at what "MyMacro" makes of the template/], ['AWS::Serverless-2016-10-31', /what "AWS::Serverless-2016-10-31" makes/]])(
    'tell that they do not see what %s makes, unless it is acknowledged', (transform, expected) => {
      const template = (...acknowledged: string[]) => (stack: Stack) => {
        new CfnResource(stack, 'Topic', { type: 'AWS::SNS::Topic' });
        stack.addTransform(transform);
        acknowledged.forEach((name) => Validations.of(stack).acknowledge({ id: `InferenceRules::${name}`, reason: 'checked when it is processed' }));
      };
      expect(synths(template())).toEqual(all(new RegExp(`^passed[^]*${expected.source}`)));
      expect(synths(template('TemplateUnexpanded'))).toEqual(all(/^passed(?![^]*no rule looks)/));
    });

  test('tell what could not be checked where it is not acknowledged', () => {
    const fleets = (...acknowledged: string[]) => (stack: Stack) => ['Prefill', 'Decode'].forEach((id) => {
      const fleet = new Fleet(stack, id, { instanceType: new CfnParameter(stack, `${id}Type`).valueAsString });
      if (acknowledged.includes(id)) {
        Validations.of(fleet).acknowledge(acknowledgement('EfaInstanceTypeUnsupported'));
      }
    });
    expect(synths(fleets())).toEqual(all(/An EFA interface is on/));
    expect(synths(fleets()).slice(0, 3)).toEqual(all(/2 places \(parameter "PrefillType"; parameter "DecodeType"\): An EFA interface/).slice(1));
    expect(synths(fleets('Prefill')).slice(0, 3)).toEqual(all(/1 place \(parameter "DecodeType"\): An EFA interface/).slice(1));
    expect(synths(fleets('Prefill', 'Decode'))).toEqual(all(/^(?![^]*An EFA interface is on)/));
  });

  describe.each([[{}], [{ 'aws:cdk:enable-path-metadata': false }]])('with %j', (context) => {
    const broken = (scope: Construct) => new ec2.CfnLaunchTemplate(scope, 'Nodes', { launchTemplateData: { instanceType: 'trn3.48xlarge' } });

    test.each<[string, string, RegExp]>([
      ['on the parent', 'parent', /^passed/],
      ['on the nested stack', 'nested', /^failed[^]*Chat\/Nodes/],
      ["on the parent's own", 'own', /^failed[^]*Chat\/Nested\/Nodes/],
    ])('heed an acknowledgement %s', (_, where, expected) => {
      expect(synths((stack) => {
        const scopes: { [where: string]: Construct } = { parent: stack, own: broken(stack), nested: new NestedStack(stack, 'Nested') };
        broken(scopes.nested).overrideLogicalId('Nodes');
        Validations.of(scopes[where]).acknowledge(acknowledgement('NeuronInstanceTypeUnknown'));
      }, context)).toEqual(all(expected));
    });

    test('heed an acknowledgement on the stack of a resource that has no construct', () => {
      const template = { Resources: { Nodes: { Type: 'AWS::EC2::LaunchTemplate', Properties: { LaunchTemplateData: { InstanceType: 'trn3.48xlarge' } } } } };
      const included = (...acknowledged: string[]) => (stack: Stack) => {
        new Fragment(stack, 'Fragment', template);
        acknowledged.forEach((rule) => Validations.of(stack).acknowledge(acknowledgement(rule)));
      };
      expect(synths(included(), context)).toEqual(all(/^failed/));
      expect(synths(included('NeuronInstanceTypeUnknown'), context)).toEqual(all(/^passed/));
    });
  });
});
