import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, CfnParameter, CfnResource, CfnStack, NestedStack, Stack, Validations } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import { Construct } from 'constructs';
import { Fleet, Fragment, acknowledgement } from './plain-fleet';
import { check } from '../../src/cli/check';
import { Problems } from '../../src/problems';
import { InferenceChecks, InferenceRules, InferenceRulesPlugin } from '../../src/validation';

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
