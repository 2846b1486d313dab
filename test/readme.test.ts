import { readFileSync } from 'fs';
import { join } from 'path';
import { App, Stack, aws_ec2 as ec2 } from 'aws-cdk-lib';
import * as ts from 'typescript';
import { RULES } from '../src/validation/rules';
import { EfaInterfaces, EfaPlacementGroup, NeuronInstanceType } from 'cdk-disaggregated-inference';

const ROOT = join(__dirname, '..');

test('every TypeScript example of the README compiles', () => {
  const snippets = [...readFileSync(join(ROOT, 'README.md'), 'utf8').matchAll(/```ts\n(.*?)```/gs)].map((match) => match[1]);
  expect(snippets.length).toBeGreaterThanOrEqual(4);
  const files = new Map(snippets.map((text, i) => [join(ROOT, 'examples', `readme-${i}.ts`), text]));

  const { config } = ts.readConfigFile(join(ROOT, 'examples/tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, join(ROOT, 'examples'));
  // examples may declare what they do not use.
  const host = ts.createCompilerHost({ ...options, noUnusedLocals: false });
  const { getSourceFile, fileExists } = host;
  host.fileExists = (name) => files.has(name) || fileExists(name);
  host.getSourceFile = (name, ...rest) => {
    const text = files.get(name);
    return text === undefined ? getSourceFile(name, ...rest) : ts.createSourceFile(name, text, ts.ScriptTarget.ES2022);
  };
  const program = ts.createProgram([...files.keys()], { ...options, noUnusedLocals: false }, host);
  const diagnostics = [...files.keys()].flatMap((name) => {
    const source = program.getSourceFile(name);
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
  });

  expect(ts.formatDiagnostics(diagnostics, { getCanonicalFileName: (name) => name, getCurrentDirectory: () => ROOT, getNewLine: () => '\n' })).toBe('');
}, 60_000);

test('the README counts the rules', () => {
  expect(readFileSync(join(ROOT, 'README.md'), 'utf8')).toContain(`[${RULES.length} rules](RULES.md)`);
});

test('the README shows an error as it is', () => {
  const app = new App();
  const stack = new Stack(app, 'MyStack');
  const launchTemplate = new ec2.LaunchTemplate(stack, 'Nodes', { instanceType: new ec2.InstanceType('trn2.48xlarge') });
  const efa = new EfaPlacementGroup(stack, 'Efa', { vpc: new ec2.Vpc(stack, 'Vpc') });
  launchTemplate.with(new EfaInterfaces({ efa, instanceType: NeuronInstanceType.TRN2_48XLARGE }));
  (launchTemplate.node.defaultChild as ec2.CfnLaunchTemplate).addPropertyOverride('LaunchTemplateData.NetworkInterfaces.0.InterfaceType', 'efa-only');

  const [, shown] = /```text\n(\[MyStack.*?)```/s.exec(readFileSync(join(ROOT, 'README.md'), 'utf8'))!;
  expect(() => app.synth()).toThrow(shown.replace(/\s+/g, ' ').trim());
});
