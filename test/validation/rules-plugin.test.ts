import { App, CfnParameter, CfnResource, CfnStack, NestedStack, Stack, Stage, Validations } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import { Fleet, acknowledgement, ordinaryApplications } from './plain-fleet';
import { InferenceRulesPlugin } from '../../src/validation';

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
