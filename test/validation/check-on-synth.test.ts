import { App, Aspects, CfnParameter, NestedStack, Stack, Stage, Validations } from 'aws-cdk-lib';
import { Annotations, Match } from 'aws-cdk-lib/assertions';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import { Fleet, acknowledgement, ordinaryApplications } from './plain-fleet';
import { InferenceRules } from '../../src/validation';

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
