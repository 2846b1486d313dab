import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CliProcess, ROOT } from './cli-process';
import { RULES } from '../../src/validation/rules';

let cli: CliProcess;

beforeAll(() => {
  cli = new CliProcess();
});

test('as JSON, every rule with all that is told of it', () => {
  const { status, stdout } = cli.run(['rules', '--format', 'json']);
  expect(JSON.parse(stdout)).toEqual(RULES.map(({ check, ...told }) => told));
  expect(status).toBe(0);
});

test('as text, a line a rule and their count', () => {
  const { status, stdout } = cli.run(['rules']);
  const lines = stdout.split('\n');
  expect(lines).toHaveLength(RULES.length + 4);
  RULES.forEach((rule, i) => expect(lines[i + 1].split(/ {2,}/)).toEqual([rule.family, rule.id, rule.severity, rule.title]));
  expect(lines.slice(-3)).toEqual(['', expect.stringMatching(new RegExp(`^${RULES.length} rules \\(\\d+ errors, \\d+ warnings\\)$`)), '']);
  expect(status).toBe(0);
});

test('RULES.md is what `npx projen rules:page` writes', () => {
  const { stdout } = cli.run(['rules', '--format', 'markdown']);
  expect(stdout.match(/^### \w+$/gm)).toEqual(expect.arrayContaining(RULES.map(({ id }) => `### ${id}`)));
  expect(readFileSync(join(ROOT, 'RULES.md'), 'utf8')).toBe(stdout);
});
