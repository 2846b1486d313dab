import { readdirSync, readFileSync } from 'fs';
import { join } from 'path';
import { applyPatch, Operation } from 'fast-json-patch';
import { checkTemplates, CheckResult } from '../../src/validation/check-templates';
import { RULES } from '../../src/validation/rules';

const FIXTURES = join(__dirname, 'fixtures');

function read(name: string): unknown {
  return JSON.parse(readFileSync(join(FIXTURES, name), 'utf8'));
}

function checkTemplate(template: unknown): CheckResult {
  return checkTemplates([{ stack: 'Fleet', region: 'us-east-2', template }]);
}

function check(name: string): CheckResult {
  return checkTemplate(read(name));
}

describe('every rule', () => {
  test.each(RULES.map((rule) => [rule.id, rule] as const))('%s fires on its failing template alone, and not on its passing one', (id) => {
    const failing = check(`${id}.fail.json`);
    expect([...new Set(failing.findings.map(({ rule }) => rule.id))]).toEqual([id]);
    expect(check(`${id}.pass.json`).findings).toEqual([]);
  });

  test.each(RULES.map(({ id }) => id))('%s finds nothing once its mend is applied', (id) => {
    const mended = applyPatch(read(`${id}.fail.json`), read(`${id}.mend.json`) as Operation[], true).newDocument;
    expect(checkTemplate(mended).findings).toEqual([]);
  });

  test.each(RULES.map((rule) => [rule.id, rule] as const))('%s says what is wrong, why and how to mend it', (id, rule) => {
    expect(id).toMatch(/^([A-Z][a-z0-9]+)+$/);
    expect(rule.family).toMatch(/^[a-z]+(-[a-z]+)*$/);
    for (const text of [rule.title, rule.why, rule.mend]) {
      expect(text.length).toBeGreaterThan(5);
      expect(text).not.toMatch(/\.$/);
    }
    expect(rule.source).toMatch(/^(https:\/\/|npm:)/);
    for (const { message, property, resource } of check(`${id}.fail.json`).findings) {
      expect(message).toMatch(/^[^.]/);
      expect(message).not.toMatch(/\.$/);
      expect(property).toMatch(/^Properties\./);
      expect(resource.stack).toBe('Fleet');
    }
  });

  test('has one failing and one passing template and a mend, and every file a rule', () => {
    const expected = RULES.flatMap(({ id }) => ['fail', 'mend', 'pass'].map((kind) => `${id}.${kind}.json`)).sort();
    expect(readdirSync(FIXTURES).sort()).toEqual(expected);
  });
});
