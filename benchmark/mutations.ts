/**
 * Which checker sees which mistake: `npx tsx benchmark/mutations.ts <path of checkov 3.3>`, after what test/conformance/requirements.txt says.
 *
 * A mistake is what tells the failing template of a rule from its mended one. A checker sees it if it finds something in the failing
 * template that it does not find in the mended one. The rules here see all of them by construction, so that the table tells what the
 * others see, and not how good the rules are at mistakes that nobody thought of.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { CfnInclude } from 'aws-cdk-lib/cloudformation-include';
import { AwsSolutionsChecks, HIPAASecurityChecks, NIST80053R5Checks, PCIDSS321Checks } from 'cdk-nag';
import { checkTemplates } from '../src/validation/check-templates';
import { Checker, REGION, Remark, Templates, cdkPreflight, cdkValidator, cfnLint, fixtures } from '../test/conformance/checkers';

const CHECKOV = process.argv[2];

const remark = (template: string, rule: string, message: string): Remark => ({ template, rule, message, isError: true });

const ours: Checker = (templates) => [...templates].flatMap(([name, template]) => (
  checkTemplates([{ stack: name, region: REGION, template }]).findings.map(({ rule, message }) => remark(name, rule.id, message))));

const nag: Checker = (templates) => inFiles(templates, (directory) => {
  const app = new App();
  const names = [...templates.keys()];
  names.forEach((_, index) => {
    new CfnInclude(new Stack(app, `S${index}`, { env: { region: REGION } }), 'Template', { templateFile: join(directory, `${index}.json`) });
  });
  return [new AwsSolutionsChecks(), new HIPAASecurityChecks(), new NIST80053R5Checks(), new PCIDSS321Checks()].flatMap((pack) => (
    pack.validateScope(app).violations.flatMap(({ ruleName, violatingResources }) => violatingResources.map(({ constructPath }) => {
      const [stack, ...path] = constructPath!.split('/');
      return remark(names[Number(stack.slice(1))], ruleName, path.join('/'));
    }))));
});

const checkov: Checker = (templates) => inFiles(templates, (directory) => {
  const { stdout, stderr } = spawnSync(
    CHECKOV, ['--directory', directory, '--framework', 'cloudformation', '--output', 'json', '--quiet', '--compact'], { encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (!stdout) {
    throw new Error(`checkov failed: ${stderr}`);
  }
  const names = [...templates.keys()];
  const failed: { check_id: string; file_path: string; resource: string }[] = JSON.parse(stdout).results.failed_checks;
  return failed.map((check) => remark(names[Number(basename(check.file_path, '.json'))], check.check_id, check.resource));
});

function inFiles<T>(templates: Templates, action: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'mutations-'));
  try {
    [...templates.values()].forEach((template, index) => writeFileSync(join(directory, `${index}.json`), JSON.stringify(template)));
    return action(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** What it finds in the failing templates and not in the mended ones, by mistake. */
function seenBy(checker: Checker): Map<string, Set<string>> {
  const mistakes = fixtures('fail');
  const remarks = checker(new Map([
    ...[...mistakes].map(([id, template]): [string, object] => [`${id} fail`, template]),
    ...[...fixtures('mended')].map(([id, template]): [string, object] => [`${id} mended`, template]),
  ]));
  const counts = new Map<string, number>();
  for (const { template, rule } of remarks) {
    const key = `${template} ${rule}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return new Map([...mistakes.keys()].map((id) => [id, new Set(remarks
    .filter(({ template, rule }) => template === `${id} fail` && counts.get(`${id} fail ${rule}`)! > (counts.get(`${id} mended ${rule}`) ?? 0))
    .map(({ rule }) => rule))]));
}

if (!CHECKOV) {
  throw new Error('give the path of checkov: python3 -m venv <directory> && <directory>/bin/pip install checkov==3.3.0');
}
const CHECKERS: [string, Checker][] = [
  ['ours', ours], ['CDK validator', cdkValidator], ['cdk-preflight', cdkPreflight], ['cdk-nag, 4 packs', nag], ['cfn-lint', cfnLint], ['checkov', checkov],
];
const columns = CHECKERS.map(([name, checker]) => ({ name, seen: seenBy(checker) }));
const mistakes = [...fixtures('fail').keys()];
const row = (cells: string[]) => console.log(`| ${cells.join(' | ')} |`);
row(['mistake', ...columns.map(({ name }) => name)]);
row(['---', ...columns.map(() => '---')]);
for (const id of mistakes) {
  row([id, ...columns.map(({ name, seen }) => name === 'ours' ? (seen.get(id)!.size > 0 ? 'yes' : '') : [...seen.get(id)!].join(', '))]);
}
row([`**${mistakes.length}**`, ...columns.map(({ seen }) => `**${[...seen.values()].filter(({ size }) => size > 0).length}**`)]);
