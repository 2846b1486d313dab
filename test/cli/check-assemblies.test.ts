import { join } from 'node:path';
import { App, CfnParameter, CfnStack, NestedStack, Stack, Stage, Validations, aws_ec2 as ec2 } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { ONE_RULE, folder, launchTemplate, run, write } from './check-runs';

describe('cloud assemblies', () => {
  class Broken extends Construct {
    constructor(scope: Construct, id: string) {
      super(scope, id);
      new ec2.CfnLaunchTemplate(this, 'Nodes', { launchTemplateData: { networkInterfaces: [{ deviceIndex: 0, interfaceType: 'efa-only' }] } });
    }
  }

  function findings(stdout: string): [string, string][] {
    return JSON.parse(stdout).findings.map(({ file, constructPath }: { [key: string]: string }) => [file, constructPath]);
  }

  function defineApp(context: object = {}): App {
    // as the CDK's command line has it.
    return new App({
      outdir: join(folder, 'cdk.out'), context: { 'aws:cdk:enable-path-metadata': true, 'aws:cdk:enable-asset-metadata': true, ...context },
    });
  }

  test('stages and nested stacks are checked, empty stacks are not missed', () => {
    const app = defineApp();
    new Broken(new Stack(app, 'Top'), 'Fleet');
    new Stack(app, 'Empty');
    const stack = new Stack(new Stage(app, 'Prod'), 'Inner', { env: { region: 'us-east-2', account: '111111111111' } });
    new Broken(new NestedStack(stack, 'Child'), 'Fleet');
    app.synth();

    const { status, stdout, stderr } = run('cdk.out', '--format', 'json', ...ONE_RULE);
    expect(stderr).toBe('');
    expect(findings(stdout)).toEqual([
      [expect.stringMatching(/^cdk\.out\/assembly-Prod\/ProdInnerChild\w+\.nested\.template\.json$/), 'Prod/Inner/Child/Fleet/Nodes'],
      ['cdk.out/Top.template.json', 'Top/Fleet/Nodes'],
    ]);
    expect(status).toBe(1);
  });

  test('the region is that of the stack', () => {
    const app = defineApp();
    const stack = new Stack(app, 'West', { env: { region: 'us-west-2', account: '111111111111' } });
    new ec2.CfnSubnet(stack, 'Subnet', { vpcId: 'vpc-1', availabilityZone: 'us-east-2b', cidrBlock: '10.0.0.0/20' });
    app.synth();
    expect(findings(run('cdk.out', '--format', 'json', '--rule', 'ZoneOutsideRegion', '--region', 'us-east-2').stdout)).toEqual([
      ['cdk.out/West.template.json', 'West/Subnet'],
    ]);
  });

  test('what a stack or a construct acknowledges is counted and not reported', () => {
    const app = defineApp();
    const stack = new Stack(app, 'Stack');
    for (const id of ['Meant', 'MeantNot']) {
      new Broken(stack, id);
    }
    Validations.of(stack.node.findChild('Meant')).acknowledge({ id: 'InferenceRules::EfaOnlyPrimary', reason: 'a custom AMI configures card 0' });
    Validations.of(stack).acknowledge({ id: 'InferenceRules::EfaOnlyWithIpAddress', reason: 'another rule' });
    app.synth();
    expect(findings(run('cdk.out', '--format', 'json', ...ONE_RULE).stdout)).toEqual([['cdk.out/Stack.template.json', 'Stack/MeantNot/Nodes']]);
    expect(run('cdk.out', ...ONE_RULE)).toMatchObject({
      status: 1, stdout: expect.stringMatching(/\n1 error, 0 warnings in 1 template by 1 rule; 1 finding acknowledged\n$/),
    });
  });

  test.each([
    'InferenceRules::EfaOnlyPrimary', 'InferenceRules-EfaOnlyPrimary', 'InferenceRules::InferenceRules-EfaOnlyPrimary',
    'InferenceRules::EfaOnlyPrimary[Properties.LaunchTemplateData.NetworkInterfaces.0.InterfaceType]',
    'InferenceRules-EfaOnlyPrimary[Properties.LaunchTemplateData.NetworkInterfaces.0.InterfaceType]',
  ])('%s is acknowledged for a stack, where its template holds no paths of constructs too', (id) => {
    const app = defineApp({ 'aws:cdk:enable-path-metadata': false });
    const stack = new Stack(app, 'Stack');
    new Broken(stack, 'Meant');
    Validations.of(stack).acknowledge({ id, reason: 'a custom AMI configures card 0' });
    app.synth();
    expect(run('cdk.out', ...ONE_RULE)).toMatchObject({
      status: 0, stdout: expect.stringMatching(/nothing found in 1 template by 1 rule; 1 finding acknowledged\n$/),
    });
  });

  test('a rule that could not be checked, and a nested stack that is elsewhere, are acknowledged as a broken rule is', () => {
    const app = defineApp();
    const stack = new Stack(app, 'Stack');
    const type = new CfnParameter(stack, 'Type').valueAsString;
    new ec2.CfnLaunchTemplate(stack, 'Nodes', { launchTemplateData: { instanceType: type, networkInterfaces: [{ deviceIndex: 0, interfaceType: 'efa' }] } });
    new CfnStack(stack, 'Far', { templateUrl: 'https://amzn-s3-demo-bucket.s3.amazonaws.com/a.yaml' });
    const told = () => {
      app.synth({ force: true });
      const { unchecked, unseen } = JSON.parse(run('cdk.out', '--format', 'json', '--rule', 'EfaInstanceTypeUnsupported').stdout);
      return [unchecked.length, unseen.length];
    };
    expect(told()).toEqual([1, 1]);
    Validations.of(stack).acknowledge(...['EfaInstanceTypeUnsupported', 'NestedStackUnseen'].map((rule) => ({ id: `InferenceRules::${rule}`, reason: 'looked at by hand' })));
    expect(told()).toEqual([0, 0]);
  });

  test('what would steer a terminal is written out', () => {
    write('odd.json', { Resources: { 'A\u001b[31mRED\u0007': launchTemplate('efa-only') } });
    const { stdout } = run('odd.json', ...ONE_RULE);
    expect(stdout).toContain('A\\u001b[31mRED\\u0007 Properties');
    expect([...stdout].filter((character) => character < ' ' && character !== '\n')).toEqual([]);
  });

  test('a template that two nested stacks share is told once', () => {
    const nested = (type: string) => ({ Type: 'AWS::CloudFormation::Stack', Properties: { TemplateURL: './child.json', Parameters: { InterfaceType: type } } });
    write('parent.json', { Resources: { One: nested('efa-only'), Two: nested('efa-only') } });
    write('child.json', { Resources: { Nodes: launchTemplate('efa-only') } });
    expect(findings(run('parent.json', '--format', 'json', ...ONE_RULE).stdout)).toEqual([['child.json', undefined]]);
  });

  test('templates that nest each other end', () => {
    for (const [name, other] of [['a.json', 'b.json'], ['b.json', 'a.json']]) {
      write(name, { Resources: { Nodes: launchTemplate('efa-only'), Child: { Type: 'AWS::CloudFormation::Stack', Properties: { TemplateURL: other } } } });
    }
    expect(findings(run('a.json', '--format', 'json', ...ONE_RULE).stdout)).toEqual([['a.json', undefined], ['b.json', undefined]]);
  });
});
