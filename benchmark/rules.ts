// How long the rules take, as a whole and one by one: `npx tsx --tsconfig benchmark/tsconfig.json benchmark/rules.ts`.
import { performance } from 'perf_hooks';
import { App } from 'aws-cdk-lib';
import { QuickStartStack } from '../examples/quick-start/quick-start-stack';
import { checkTemplates } from '../src/validation/check-templates';
import { readTemplate } from '../src/validation/graph/template';
import { TemplateGraph, TemplateInput } from '../src/validation/graph/template-graph';
import { UNCHOSEN } from '../src/validation/graph/world';
import { RULES } from '../src/validation/rules';
import { efaFleet } from '../test/validation/efa-fleet';

const RUNS = 15;
const MAX_RULES_SHOWN = 10;

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

function milliseconds(action: () => unknown, runs: number = RUNS): number {
  return median(Array.from({ length: runs }, () => {
    const started = performance.now();
    action();
    return performance.now() - started;
  }));
}

/** Copies of a template in one: every logical id gets a number. */
function copies(template: any, count: number): any {
  const ids = Object.keys(template.Resources);
  const text = JSON.stringify(template.Resources);
  const quoted = new RegExp(`"(${ids.join('|')})(?=[".])`, 'g');
  const inText = new RegExp(`\\$\\{(${ids.join('|')})(?=[}.])`, 'g');
  const numbered = Array.from({ length: count }, (_, index) => JSON.parse(text.replace(quoted, `"$1x${index}`).replace(inText, `\${$1x${index}`)));
  return { ...template, Resources: Object.assign({}, ...numbered) };
}

const inputOf = (template: unknown): TemplateInput[] => [{ stack: 'Stack', region: 'us-east-2', template }];
const sizeOf = (inputs: readonly TemplateInput[]) => inputs.reduce((sum, { template }) => sum + Object.keys((template as any).Resources).length, 0);

const app = new App();
new QuickStartStack(app, 'QuickStart');
const quickStart = app.synth().getStackByName('QuickStart').template;
const quickStarts = (resources: number) => inputOf(copies(quickStart, Math.ceil(resources / Object.keys(quickStart.Resources).length)));
const fleets = (resources: number) => inputOf(copies(efaFleet(), Math.ceil(resources / Object.keys(efaFleet().Resources).length)));
const stacks = (count: number) => Array.from({ length: count }, (_, index) => ({ stack: `Stack${index}`, region: 'us-east-2', template: efaFleet() }));

const cases: [string, TemplateInput[]][] = [
  ['quick-start', inputOf(quickStart)],
  ['copies of the quick-start', quickStarts(200)],
  ['copies of the quick-start', quickStarts(1_000)],
  ['copies of the quick-start', quickStarts(10_000)],
  ['EFA fleets', fleets(200)],
  ['EFA fleets', fleets(1_000)],
  ['EFA fleets', fleets(10_000)],
  ['stacks of an EFA fleet', stacks(1_000)],
];

console.log(`${'templates'.padEnd(28)} ${'resources'.padStart(9)} ${'first run, ms'.padStart(14)} ${'all rules, ms'.padStart(14)} ${'us a resource'.padStart(14)}`);
for (const [name, inputs] of cases) {
  const first = milliseconds(() => checkTemplates(inputs), 1);
  const taken = milliseconds(() => checkTemplates(inputs), sizeOf(inputs) > 2_000 ? 3 : RUNS);
  console.log(`${name.padEnd(28)} ${String(sizeOf(inputs)).padStart(9)} ${first.toFixed(1).padStart(14)} ${taken.toFixed(1).padStart(14)} ${(taken * 1000 / sizeOf(inputs)).toFixed(0).padStart(14)}`);
}

for (const [name, inputs] of [cases[3], cases[6]]) {
  // a rule that is first to ask for something pays for it: the order of the rules matters here.
  const graph = new TemplateGraph(inputs.map(readTemplate), UNCHOSEN);
  const costs = RULES.map((rule) => [rule.id, milliseconds(() => [...rule.check(graph)], 1)] as const).sort((a, b) => b[1] - a[1]);
  console.log(`\n${`slowest of ${RULES.length} rules, ${name}`.padEnd(53)} ${'ms'.padStart(14)}`);
  for (const [id, taken] of costs.slice(0, MAX_RULES_SHOWN)) {
    console.log(`${id.padEnd(53)} ${taken.toFixed(1).padStart(14)}`);
  }
}
