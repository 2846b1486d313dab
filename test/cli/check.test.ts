import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Ajv from 'ajv';
import { BROKEN, EXAMPLE, MEND, ONE_RULE, cli, folder, launchTemplate, run, write } from './check-runs';
import { ROOT } from './cli-process';
import { check } from '../../src/cli/check';

const FIXTURES = join(ROOT, 'test/validation/fixtures');

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

test('help has examples', () => {
  const { status, stdout } = run('--help');
  expect(stdout).toMatch(/Examples:\n {2}cdk-disaggregated-inference check template\.yaml\n[^]*Exit codes:\n {2}0 .*\n {2}1 .*\n {2}2 /);
  expect(status).toBe(0);
});
