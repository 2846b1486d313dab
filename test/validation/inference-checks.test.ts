import { App, CfnParameter, Stack, Validations } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import { Fleet, ordinaryApplications } from './plain-fleet';
import { InferenceChecks } from '../../src/validation';

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
