import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ts from 'typescript';
import { FAULTS } from './conformance/faults';
import { conformancePage } from '../projenrc/conformance-page';

const ROOT = join(__dirname, '..');

/** The names of all tests of a file, each after those of the groups around it. */
function testsOf(file: string): string[] {
  const names: string[] = [];
  const visit = (node: ts.Node, groups: string[]): void => {
    const [title] = ts.isCallExpression(node) ? node.arguments : [];
    const kind = ts.isCallExpression(node) ? rootOf(node.expression) : undefined;
    const isNamed = title !== undefined && ts.isStringLiteralLike(title) && (kind === 'describe' || kind === 'test');
    const inside = isNamed ? [...groups, title.text] : groups;
    if (isNamed && kind === 'test') {
      names.push(inside.join(' '));
    }
    ts.forEachChild(node, (child) => visit(child, inside));
  };
  visit(ts.createSourceFile(file, readFileSync(join(ROOT, file), 'utf8'), ts.ScriptTarget.Latest), []);
  return names;
}

/** What is called, as `test` in `test.each([])('name')`. */
function rootOf(expression: ts.Expression): string | undefined {
  return ts.isIdentifier(expression) ? expression.text
    : ts.isCallExpression(expression) || ts.isPropertyAccessExpression(expression) ? rootOf(expression.expression) : undefined;
}

test('docs/CONFORMANCE.md is what `npx projen conformance:page` writes', () => {
  expect(readFileSync(join(ROOT, 'docs/CONFORMANCE.md'), 'utf8')).toBe(conformancePage());
});

test('every test that shows what becomes of a fault is there', () => {
  const shown = FAULTS.flatMap(({ shownBy }) => shownBy);
  expect(shown.filter(({ file, test: name }) => !testsOf(file).includes(name))).toEqual([]);
});
