import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Ajv from 'ajv';
import { App, CfnParameter, CfnStack, NestedStack, Stack, Stage, Validations, aws_ec2 as ec2 } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { CliProcess, ROOT, Run } from './cli-process';
import { check } from '../../src/cli/check';

const FIXTURES = join(ROOT, 'test/validation/fixtures');
const EXAMPLE = readFileSync(join(ROOT, 'examples/templates/efa-group.yaml'), 'utf8');
const BROKEN = EXAMPLE.replace('InterfaceType: efa', 'InterfaceType: efa-only');
const ONE_RULE = ['--rule', 'EfaOnlyPrimary'];

let cli: CliProcess;
let folder: string;

beforeAll(() => {
  cli = new CliProcess();
});

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'check-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

function run(...args: string[]): Run {
  return cli.run(['check', ...args], undefined, folder);
}

function write(name: string, content: string | Buffer | object): string {
  writeFileSync(join(folder, name), typeof content === 'string' || Buffer.isBuffer(content) ? content : JSON.stringify(content, undefined, 1));
  return name;
}

function launchTemplate(interfaceType: unknown) {
  return { Type: 'AWS::EC2::LaunchTemplate', Properties: { LaunchTemplateData: { NetworkInterfaces: [{ DeviceIndex: 0, InterfaceType: interfaceType }] } } };
}

const MEND = 'make the primary interface "interface" or "efa"';

test('the example has nothing to find', () => {
  expect(cli.run(['check', 'examples/templates/efa-group.yaml'])).toEqual({
    status: 0, stdout: expect.stringMatching(/^nothing found in 1 template by \d+ rules\n$/), stderr: '',
  });
});

test('a finding is one line with file, line, column, severity and rule, and its mend below it', () => {
  write('fleet.yaml', BROKEN);
  const finding = [
    'fleet.yaml:50:13  error  EfaOnlyPrimary  the primary interface cannot be EFA-only, got: "efa-only"',
    `  Nodes Properties.LaunchTemplateData.NetworkInterfaces.0.InterfaceType: ${MEND}`,
  ];
  // the README shows it.
  expect(readFileSync(join(ROOT, 'README.md'), 'utf8')).toContain(`\`\`\`text\n${finding.join('\n')}\n\`\`\``);
  expect(run('fleet.yaml', ...ONE_RULE)).toEqual({
    status: 1,
    stderr: '',
    stdout: [
      ...finding,
      '',
      '1 error, 0 warnings in 1 template by 1 rule',
      '',
    ].join('\n'),
  });
});

test('a template from standard input', () => {
  const { status, stdout } = cli.run(['check', '-', ...ONE_RULE], BROKEN);
  expect(stdout).toMatch(/^standard input:50:13 {2}error {2}EfaOnlyPrimary/);
  expect(status).toBe(1);
});

test('warnings fail only where they are asked to', () => {
  const warned = [join(FIXTURES, 'ReservationTooSmall.fail.json'), '--rule', 'ReservationTooSmall'];
  const { status, stdout } = run(...warned);
  expect(stdout).toMatch(/^\S+:\d+:\d+ {2}warning {2}ReservationTooSmall {2}.*\n {2}\w+ Properties\.MaxSize: .*\n\n0 errors, 1 warning in 1 template by 1 rule\n$/);
  expect(status).toBe(0);
  expect(run(...warned, '--fail-on', 'warning').status).toBe(1);
  expect(run(...warned, '--fail-on', 'error').status).toBe(0);
});

test('templates given together are one set, sorted by file and place', () => {
  write('exports.yaml', 'Resources:\n  Topic:\n    Type: AWS::SNS::Topic\nOutputs:\n  Type:\n    Value: efa-only\n    Export: { Name: interface-type }\n');
  write('fleet.json', { Resources: { B: launchTemplate({ 'Fn::ImportValue': 'interface-type' }), A: launchTemplate('efa-only') } });
  write('other.json', { Resources: { C: launchTemplate('efa-only') } });
  const ids = (output: string) => [...output.matchAll(/^(\w+\.json):(\d+).* EfaOnlyPrimary/gm)].map(([, file, line]) => `${file} ${line}`);
  expect(ids(run('other.json', 'fleet.json', 'exports.yaml', ...ONE_RULE).stdout)).toEqual(['other.json 10', 'fleet.json 10', 'fleet.json 25']);
  expect(ids(run('fleet.json', ...ONE_RULE).stdout)).toEqual(['fleet.json 25']);
  // the same file by two names is one template.
  expect(ids(run('other.json', './other.json', ...ONE_RULE).stdout)).toEqual(['other.json 10']);
});

test('a rule that could not be checked is told once, with the reason; a region answers it', () => {
  const args = [join(FIXTURES, 'BedrockProfileSourceRegion.fail.json'), '--rule', 'BedrockProfileSourceRegion'];
  const { status, stdout } = run(...args);
  expect(stdout).toMatch(new RegExp('^not checked everywhere, since a value is known only when deployed\\n {2}BedrockProfileSourceRegion: .*\\n'
    + ' {4}\\S+:\\d+:\\d+ {2}\\w+ Properties\\..*: the region of the stack is not known\\n\\n'
    + 'nothing found in 1 template by 1 rule, 1 of them not checked everywhere\\n$'));
  expect(status).toBe(0);
  expect(run(...args, '--region', 'us-east-2')).toMatchObject({ status: 1, stdout: expect.stringContaining('1 error') });
});

test('colours are for terminals', () => {
  const path = join(folder, write('fleet.yaml', BROKEN));
  const options = { format: 'text', rule: ['EfaOnlyPrimary'], failOn: 'error' } as const;
  const coloured = check([path], { ...options, rule: [...options.rule] }, true).output;
  const plain = check([path], { ...options, rule: [...options.rule] }, false).output;
  // eslint-disable-next-line no-control-regex
  const colours = /\u001b\[\d+m/g;
  expect(coloured.match(colours)!.length).toBeGreaterThan(5);
  expect(coloured.replace(colours, '')).toBe(plain);
  expect(run('fleet.yaml').stdout).not.toMatch(colours);
});

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

test('templates are one set, in whatever order they are given', () => {
  const selfRule = (Type: string, name: string) => ({ Type, Properties: { GroupId: { 'Fn::GetAtt': ['Child', 'Outputs.Sg'] }, IpProtocol: '-1', [name]: { 'Fn::GetAtt': ['Child', 'Outputs.Sg'] } } });
  write('child.json', {
    Resources: {
      Sg: { Type: 'AWS::EC2::SecurityGroup', Properties: { GroupDescription: 'fabric' } },
      Nodes: { Type: 'AWS::EC2::LaunchTemplate', Properties: { LaunchTemplateData: { InstanceType: 'trn1.32xlarge', NetworkInterfaces: [{ DeviceIndex: 0, InterfaceType: 'efa', Groups: [{ Ref: 'Sg' }] }] } } },
    },
    Outputs: { Sg: { Value: { Ref: 'Sg' } } },
  });
  write('parent.json', {
    Resources: {
      Child: { Type: 'AWS::CloudFormation::Stack', Properties: { TemplateURL: 'child.json' } },
      In: selfRule('AWS::EC2::SecurityGroupIngress', 'SourceSecurityGroupId'),
      Out: selfRule('AWS::EC2::SecurityGroupEgress', 'DestinationSecurityGroupId'),
    },
  });
  const answers = [['parent.json', 'child.json'], ['child.json', 'parent.json'], ['parent.json']].map((files) => run(...files));
  answers.forEach((answer) => expect(answer).toMatchObject({ status: 0, stdout: expect.stringContaining('nothing found in 2 templates') }));
});

test('what a macro or a loop makes is told as unseen, in every format', () => {
  write('macro.yaml', 'Transform: [AWS::LanguageExtensions, MyMacro]\nResources:\n  Fn::ForEach::Nodes: [Id, {Ref: Ids}, {"Node${Id}": {Type: AWS::SNS::Topic}}]\n');
  const { stdout, status } = run('macro.yaml', ...ONE_RULE);
  expect(stdout).toMatch(/^no rule looks at what "MyMacro", "Fn::ForEach::Nodes" make of the template\n {2}macro\.yaml\n {2}check what CloudFormation makes of it: aws /);
  expect(status).toBe(0);
  expect(JSON.parse(run('macro.yaml', '--format', 'json').stdout).unexpanded).toEqual([{ file: 'macro.yaml', makers: ['MyMacro', 'Fn::ForEach::Nodes'] }]);
  const [{ invocations }] = JSON.parse(run('macro.yaml', '--format', 'sarif').stdout).runs;
  expect(invocations[0].toolExecutionNotifications.map(({ descriptor }: any) => descriptor.id)).toEqual(['TemplateUnexpanded']);
});

test('a nested stack whose template is elsewhere is told, in every format, and none that was followed', () => {
  const nested = (url: unknown) => ({ Type: 'AWS::CloudFormation::Stack', Properties: { TemplateURL: url } });
  write('parent.json', { Resources: { Far: nested('https://amzn-s3-demo-bucket.s3.amazonaws.com/a.yaml'), Missing: nested('missing.json'), Near: nested('child.json') } });
  write('child.json', { Resources: { Nodes: launchTemplate('efa') } });
  const { stdout, status } = run('parent.json', ...ONE_RULE);
  expect(stdout).toContain('no rule looks into 2 nested stacks whose templates are not given\n  parent.json:6:5  Far\n  parent.json:12:5  Missing\n  check it');
  expect(status).toBe(0);
  const places = ['Far', 'Missing'].map((logicalId) => ({ file: 'parent.json', line: expect.any(Number), column: 5, logicalId, property: 'Properties.TemplateURL' }));
  expect(JSON.parse(run('parent.json', '--format', 'json').stdout).unseen).toEqual(places);
  const [{ invocations }] = JSON.parse(run('parent.json', '--format', 'sarif').stdout).runs;
  expect(invocations[0].executionSuccessful).toBe(true);
  expect(invocations[0].toolExecutionNotifications.map(({ level, message }: any) => [level, message.text])).toEqual(['Far', 'Missing']
    .map((logicalId) => ['note', expect.stringContaining(`${logicalId}: no rule looks into a nested stack whose template is not given`)]));
});

test('as JSON: findings, what was not checked, problems and the rules that are named', () => {
  write('fleet.yaml', BROKEN);
  const { stdout, status } = run('fleet.yaml', 'missing.yaml', '--format', 'json', ...ONE_RULE);
  expect(JSON.parse(stdout)).toEqual({
    files: 1,
    findings: [{
      rule: 'EfaOnlyPrimary',
      severity: 'error',
      file: 'fleet.yaml',
      line: 50,
      column: 13,
      logicalId: 'Nodes',
      property: 'Properties.LaunchTemplateData.NetworkInterfaces.0.InterfaceType',
      value: '"efa-only"',
      message: 'the primary interface cannot be EFA-only',
      mend: MEND,
    }],
    unchecked: [],
    unseen: [],
    unexpanded: [],
    acknowledged: 0,
    problems: [expect.objectContaining({ rule: 'FileMissing', path: 'missing.yaml' })],
    rules: [expect.objectContaining({ id: 'EfaOnlyPrimary', severity: 'error', mend: MEND, source: expect.stringMatching(/^https:/) })],
  });
  expect(status).toBe(2);
});

describe('as SARIF', () => {
  function validate(log: unknown): unknown {
    // the schema is of draft 4, where an id is no $id; its formats are those of addresses and dates.
    const { id, $schema, ...schema } = JSON.parse(readFileSync(require.resolve('@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json'), 'utf8'));
    expect([id, $schema]).toEqual([expect.stringContaining('sarif-2.1.0'), expect.stringContaining('draft-04')]);
    const ajv = new Ajv({ strict: false, allErrors: true, unicodeRegExp: false, formats: { 'uri': (text: string) => URL.canParse(text), 'uri-reference': true, 'date-time': true } });
    const valid = ajv.compile(schema);
    valid(log);
    return valid.errors;
  }

  test('findings, what was not checked and problems follow the schema', () => {
    mkdirSync(join(folder, 'my templates'));
    write('my templates/fleet.yaml', BROKEN);
    const { stdout, status } = run('my templates/fleet.yaml', 'missing.yaml', join(FIXTURES, 'BedrockProfileSourceRegion.fail.json'), '--format', 'sarif');
    const log = JSON.parse(stdout);
    expect(validate(log)).toBeNull();
    const [{ tool: { driver }, results, invocations }] = log.runs;
    const finding = results.find(({ ruleId }: any) => ruleId === 'EfaOnlyPrimary');
    expect(finding).toEqual({
      ruleId: 'EfaOnlyPrimary',
      ruleIndex: expect.any(Number),
      level: 'error',
      message: { text: `the primary interface cannot be EFA-only, got: "efa-only". To mend it, ${MEND}.` },
      locations: [{
        physicalLocation: { artifactLocation: { uri: 'my%20templates/fleet.yaml' }, region: { startLine: 50, startColumn: 13 } },
        logicalLocations: [{
          name: 'Nodes', fullyQualifiedName: 'Nodes.Properties.LaunchTemplateData.NetworkInterfaces.0.InterfaceType', kind: 'resource',
        }],
      }],
    });
    expect(driver.rules[finding.ruleIndex]).toMatchObject({
      id: 'EfaOnlyPrimary', defaultConfiguration: { level: 'error' }, helpUri: expect.stringMatching(/^https:/), help: { text: expect.stringContaining(MEND) },
    });
    expect(results.find(({ ruleId }: any) => ruleId === 'BedrockProfileSourceRegion')).toMatchObject({
      level: 'note',
      message: { text: expect.stringContaining('the region of the stack is not known') },
      locations: [{ physicalLocation: { artifactLocation: { uri: expect.stringMatching(/^file:\/\/\//) } } }],
    });
    expect(invocations).toEqual([{
      executionSuccessful: false,
      toolExecutionNotifications: [expect.objectContaining({ level: 'error', message: { text: expect.stringMatching(/^missing\.yaml: there is no such file/) } })],
    }]);
    expect(status).toBe(2);
  });

  test('a run without findings follows it too', () => {
    write('fleet.yaml', EXAMPLE);
    const { stdout, status } = run('fleet.yaml', '--format', 'sarif');
    const log = JSON.parse(stdout);
    expect(validate(log)).toBeNull();
    expect(log.runs[0].results).toEqual([]);
    expect(log.runs[0].invocations[0].executionSuccessful).toBe(true);
    expect(status).toBe(0);
  });

  test('the validation would tell', () => {
    expect(validate({ version: '2.1.0', runs: [{ results: [{ level: 'fatal' }] }] })).not.toBeNull();
  });
});

describe('wrong input', () => {
  test.each<[string, string | Buffer | object, string, RegExp]>([
    ['broken.json', '{"Resources": {\n  "A": }', '2:8', /^the template is not JSON: expected a value \(mend/],
    ['broken.yaml', 'Resources:\n  A: [\n', '3:1', /^flow sequence in block collection .*\(mend/],
    ['json.yaml', '{"Resources": {', '1:16', /^flow map .*must/],
    ['twice.yaml', 'Resources:\n  A: {Type: x}\n  A: {Type: y}\n', '3:3', /^the key "A" is given twice \(drop or rename/],
    ['twice.json', '{"Resources": {"A": 1, "A": 2}}', '1:24', /^the key "A" is given twice/],
    ['list.json', '[]', '1:1', /^the template is a list \(give a CloudFormation template/],
    ['text.yaml', 'hello', '1:1', /^the template is no map \(give a CloudFormation template/],
    ['nothing.yaml', '# nothing\n', '1:1', /^the template is no map/],
    ['README.md', '# Title\n\nsome: text: more\n', '3:7', /^this is no CloudFormation template: nested mappings .* \(give a CloudFormation template/i],
    ['typo.yaml', 'Resources:\n  A: b: c\n', '2:6', /^nested mappings .* \(mend the text at this place\)/i],
    ['aliases.yaml', ['a0: &a0 x', ...Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i}, `.repeat(9)}]`)].join('\n'), '\\d+:\\d+', /^aliases expand to/],
    ['values.json', { AWSTemplateFormatVersion: '2010-09-09' }, '', /^the file has no Resources \(give/],
    ['empty.yaml', '', '', /^the file is empty \(give/],
    ['binary.json', Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 0, 1]), '', /^the file is not text in UTF-8 \(give/],
    ['latin.yaml', Buffer.from([0x61, 0x3a, 0x20, 0xe9]), '', /^the file is not text in UTF-8 \(give/],
    ['powershell.json', Buffer.from('\ufeff{"Resources": {}}', 'utf16le'), '', /^the file is not text in UTF-8 \(it is UTF-16: save it as UTF-8/],
    ['large.json', Buffer.alloc(50 * 1024 * 1024, 0x20), '', /^the file has more than 1,048,576 bytes \(CloudFormation takes no more: .*nested stacks\)/],
  ])('%s', (name, content, place, message) => {
    write(name, content);
    const { status, stdout, stderr } = run(name);
    const [heading, line, rest] = stderr.split('\n');
    expect(heading).toBe('1 problem in the templates');
    const [, where, sentence] = /^ {2}\[(.*?)\] (.*) \[[A-Z]\w+\]$/.exec(line)!;
    expect(where).toMatch(new RegExp(`^${name.replace('.', '\\.')}${place && `:${place}`}$`));
    expect(sentence).toMatch(message);
    expect([rest, stdout, status]).toEqual(['', '', 2]);
  });

  test('what CloudFormation refuses of a template is a problem at its place, once for a template that is nested twice', () => {
    const nested = { Type: 'AWS::CloudFormation::Stack', Properties: { TemplateURL: 'child.yaml' } };
    write('parent.json', { Resources: { One: nested, Two: nested } });
    write('child.yaml', 'Resources:\n  A:\n    Properties: {}\n');
    expect(run('parent.json', ...ONE_RULE)).toEqual({
      status: 2,
      stdout: 'nothing found in 2 templates by 1 rule; 1 problem with what was given\n',
      stderr: expect.stringMatching(/^1 problem in the templates\n {2}\[child\.yaml:2:3\] Resources\.A: the resource has no Type \(set Type .*\) \[TemplateMalformed\]\n$/),
    });
  });

  test('all problems at once, and what can be read is checked', () => {
    write('fleet.yaml', BROKEN);
    write('broken.json', '{');
    mkdirSync(join(folder, 'src'));
    mkdirSync(join(folder, 'cdk.out'));
    write('cdk.out/manifest.json', {
      artifacts: { Gone: { type: 'aws:cloudformation:stack', properties: { templateFile: 'Gone.template.json' } }, Odd: null, Tree: { type: 'cdk:tree' } },
    });
    mkdirSync(join(folder, 'torn'));
    write('torn/manifest.json', '{"artifacts": {');
    symlinkSync('loop.json', join(folder, 'loop.json'));
    const { status, stdout, stderr } = run('missing.json', 'broken.json', 'src', 'fleet.yaml', 'cdk.out', 'torn', 'loop.json', ...ONE_RULE);
    expect(stdout).toMatch(/^fleet\.yaml:50:13 {2}error[^]*1 error, 0 warnings in 1 template by 1 rule; 6 problems with what was given\n$/);
    expect(stderr).toBe([
      '6 problems in the templates',
      '  [missing.json] there is no such file (give the path of a file that exists) [FileMissing]',
      '  [broken.json:1:2] the template is not JSON: expected a property name in double quotes (mend the text at this place) [TemplateNotJson]',
      '  [src] the directory is no cloud assembly: it has no manifest.json (give the output of "cdk synth", or the template files by name)'
        + ' [AssemblyWithoutManifest]',
      '  [cdk.out/Gone.template.json] there is no such file (give the path of a file that exists) [FileMissing]',
      '  [torn/manifest.json:1:16] the file is not JSON: expected a property name in double quotes (synthesize the app again) [AssemblyNotJson]',
      '  [loop.json] the file cannot be read: ELOOP (give the path of a readable file) [FileNotReadable]',
      '',
    ].join('\n'));
    expect(status).toBe(2);
  });

  test('values of the wrong kind in an assembly are passed over', () => {
    mkdirSync(join(folder, 'odd'));
    write('odd/a.json', { Resources: { Nodes: launchTemplate('efa-only') } });
    const odd = { toString: 1 };
    const metadata = { '/Chat': [{ type: 'aws:cdk:templateFile', data: odd }], '/Chat/Nodes': [{ type: 'aws:cdk:logicalId', data: odd }, null, { type: 7 }] };
    write('odd/manifest.json', { artifacts: { Chat: { type: 'aws:cloudformation:stack', environment: odd, properties: { templateFile: 'a.json' }, metadata } } });
    expect(run('odd', ...ONE_RULE)).toMatchObject({ status: 1, stderr: '' });
    expect(run('odd', '--format', 'sarif', ...ONE_RULE)).toMatchObject({ status: 1, stderr: '' });
  });

  test.each<[string, string, RegExp]>([
    ['a list', '[]', /^ {2}\[odd\/manifest\.json\] the manifest is not a map, so that it names no stack \(.*\) \[AssemblyManifestMalformed\]$/m],
    ['nothing', 'null', /the manifest is not a map/],
    ['without stacks', '{"artifacts": {"Tree": {"type": "cdk:tree"}}}', /the manifest names no stack/],
    ['of artifacts that are a text', '{"artifacts": "abc"}', /"artifacts" of the manifest is not a map/],
    ['of a stack without a template', '{"artifacts": {"Chat": {"type": "aws:cloudformation:stack", "properties": []}}}', /the artifact "Chat" has no templateFile/],
    ['one that nests itself', '{"artifacts": {"Stage": {"type": "cdk:cloud-assembly", "properties": {"directoryName": "."}}}}', /the assembly is nested in itself/],
  ])('the manifest of an assembly is %s', (_, manifest, message) => {
    mkdirSync(join(folder, 'odd'));
    writeFileSync(join(folder, 'odd', 'manifest.json'), manifest);
    const { status, stderr } = run('odd', ...ONE_RULE);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
  });

  test('one part of an assembly that cannot be read leaves the rest', () => {
    mkdirSync(join(folder, 'odd'));
    writeFileSync(join(folder, 'odd', 'fleet.template.json'), JSON.stringify({ Resources: { Nodes: launchTemplate('efa-only') } }));
    const manifest = {
      artifacts: {
        Prod: { type: 'cdk:cloud-assembly', properties: { directoryName: 'assembly-Prod' } },
        Fleet: { type: 'aws:cloudformation:stack', properties: { templateFile: 'fleet.template.json' }, additionalMetadataFile: 'Fleet.metadata.json' },
      },
    };
    writeFileSync(join(folder, 'odd', 'manifest.json'), JSON.stringify(manifest));
    const { status, stdout, stderr } = run('odd', ...ONE_RULE);
    expect(stdout).toContain('EfaOnlyPrimary');
    expect(stderr).toContain('odd/assembly-Prod');
    expect(stderr).toContain('odd/Fleet.metadata.json');
    expect(status).toBe(2);
  });

  test('metadata of an assembly that holds nothing acknowledges nothing', () => {
    mkdirSync(join(folder, 'odd'));
    writeFileSync(join(folder, 'odd', 'fleet.template.json'), JSON.stringify({ Resources: { Nodes: launchTemplate('efa-only') } }));
    const artifact = (metadata: unknown) => ({ type: 'aws:cloudformation:stack', properties: { templateFile: 'fleet.template.json' }, metadata });
    for (const metadata of [null, [], { '/Fleet': [null] }, { '/Fleet': null }]) {
      writeFileSync(join(folder, 'odd', 'manifest.json'), JSON.stringify({ artifacts: { Fleet: artifact(metadata) } }));
      const { status, stderr } = run('odd', ...ONE_RULE);
      expect([status, stderr]).toEqual([1, '']);
    }
  });

  test('a pipe in place of a nested template is not waited for', () => {
    write('parent.json', { Resources: { One: { Type: 'AWS::CloudFormation::Stack', Properties: { TemplateURL: 'pipe' } } } });
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    expect(run('parent.json', ...ONE_RULE)).toMatchObject({ status: 0, stderr: '' });
  });

  test('options that name nothing', () => {
    write('fleet.yaml', BROKEN);
    expect(run('fleet.yaml', '--rule', 'InferenceRules-EfaOnlyPrimry', '--rule', 'Qqqqqqqqqqqqqqqqqqqqq', '--region', 'us-east-2b')).toEqual({
      status: 2,
      stdout: '',
      stderr: [
        '3 problems in the options',
        '  [--rule InferenceRules-EfaOnlyPrimry] there is no such rule (did you mean "EfaOnlyPrimary"?) [RuleUnknown]',
        '  [--rule Qqqqqqqqqqqqqqqqqqqqq] there is no such rule ("cdk-disaggregated-inference rules" lists them) [RuleUnknown]',
        '  [--region us-east-2b] this is no region (give a region such as us-east-2, without a zone) [RegionInvalid]',
        '',
      ].join('\n'),
    });
    expect(run('fleet.yaml', '--format', 'xml')).toMatchObject({ status: 2, stdout: '', stderr: expect.stringContaining('Allowed choices are text, json, sarif') });
    expect(run()).toMatchObject({ status: 2, stdout: '', stderr: "error: missing required argument 'template'\nsee cdk-disaggregated-inference check --help\n" });
  });
});

test('help has examples', () => {
  const { status, stdout } = run('--help');
  expect(stdout).toMatch(/Examples:\n {2}cdk-disaggregated-inference check template\.yaml\n[^]*Exit codes:\n {2}0 .*\n {2}1 .*\n {2}2 /);
  expect(status).toBe(0);
});
