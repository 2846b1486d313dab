import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BROKEN, ONE_RULE, folder, launchTemplate, run, write } from './check-runs';

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
