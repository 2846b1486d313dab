import { spawnSync } from 'child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'fs';
import { tmpdir } from 'os';
import { basename, join } from 'path';
import { CloudFormationValidatePlugin, IPolicyValidationContext, IPolicyValidationPlugin } from 'aws-cdk-lib';
import { PreflightEnforcePlugin } from 'cdk-preflight/lib/private/enforce';
import { BUNDLED_RULES } from 'cdk-preflight/lib/rules.generated';
import { applyPatch } from 'fast-json-patch';

const VENV = join(__dirname, '../../.venv/bin');
const FIXTURES = join(__dirname, '../validation/fixtures');

/** Where the templates are deployed, for every checker. */
export const REGION = 'us-east-2';

/** Templates by name. */
export type Templates = Map<string, object>;

/** What another checker says of a template. */
export interface Remark {
  readonly template: string;
  readonly rule: string;
  readonly isError: boolean;
  readonly message: string;
}

/** Another checker, asked about all templates at once. */
export type Checker = (templates: Templates) => Remark[];

/** The templates of the rules: which ones, by rule id. */
export function fixtures(kind: 'pass' | 'fail' | 'mended'): Templates {
  const read = (name: string) => JSON.parse(readFileSync(join(FIXTURES, name), 'utf8'));
  const ids = readdirSync(FIXTURES).filter((name) => name.endsWith('.fail.json')).map((name) => basename(name, '.fail.json'));
  return new Map(ids.map((id) => [
    id,
    kind === 'mended' ? applyPatch(read(`${id}.fail.json`), read(`${id}.mend.json`), true).newDocument : read(`${id}.${kind}.json`),
  ]));
}

/** cfn-lint, as requirements.txt pins it. */
export const cfnLint: Checker = (templates) => inFiles(templates, (paths, nameOf) => {
  const program = join(VENV, 'cfn-lint');
  if (!existsSync(program)) {
    throw new Error('cfn-lint is missing: python3 -m venv .venv && .venv/bin/pip install -r test/conformance/requirements.txt');
  }
  const { stdout, stderr, status } = spawnSync(program, ['--regions', REGION, '--format', 'json', '--', ...paths], { encoding: 'utf8', maxBuffer: 2 ** 28 });
  // its exit codes are a sum of 2 for errors, 4 for warnings, 8 for information.
  if (status === null || status === 1 || status > 14) {
    throw new Error(`cfn-lint failed: ${stderr}`);
  }
  const matches: { Filename: string; Level: string; Message: string; Rule: { Id: string } }[] = JSON.parse(stdout);
  return matches.map((match) => ({ template: nameOf(match.Filename), rule: match.Rule.Id, isError: match.Level === 'Error', message: match.Message }));
});

/** The validator that the CDK runs over every app. */
export const cdkValidator: Checker = (templates) => remarksOf(new CloudFormationValidatePlugin(), templates);

/** All rules of cdk-preflight. */
export const cdkPreflight: Checker = (templates) => remarksOf(new PreflightEnforcePlugin(BUNDLED_RULES, false), templates);

function remarksOf(plugin: IPolicyValidationPlugin, templates: Templates): Remark[] {
  return inFiles(templates, (paths, nameOf) => {
    const stackTemplates = paths.map((templatePath) => (
      { stackConstructPath: nameOf(templatePath), templatePath, accountId: '111122223333', region: REGION }));
    // what a plugin does not read of its context is left out.
    const { violations } = plugin.validate({ stackTemplates, region: REGION, accountId: '111122223333' } as unknown as IPolicyValidationContext);
    return violations.flatMap(({ ruleName, severity, description, violatingResources }) => violatingResources.map(({ templatePath }) => (
      { template: nameOf(templatePath!), rule: ruleName, isError: severity === 'error' || severity === 'fatal', message: description })));
  });
}

function inFiles<T>(templates: Templates, action: (paths: string[], nameOf: (path: string) => string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'conformance-'));
  try {
    const names = [...templates.keys()];
    const paths = names.map((_, index) => join(directory, `${index}.json`));
    names.forEach((name, index) => writeFileSync(paths[index], JSON.stringify(templates.get(name))));
    return action(paths, (path) => names[Number(basename(path, '.json'))]);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
