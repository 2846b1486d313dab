/**
 * How long `check` takes from start to end: `npx tsx benchmark/check.ts`, after `npm run bundle`.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parse, stringify } from 'yaml';

const RUNS = 11;
const ROOT = join(__dirname, '..');
const BIN = join(ROOT, 'bin', 'cdk-disaggregated-inference.mjs');
const EXAMPLE = join(ROOT, 'examples', 'templates', 'efa-group.yaml');

/** The resources of the example over and over, names and references told apart. */
function repeated(resources: number): unknown {
  const { Resources, ...rest } = parse(readFileSync(EXAMPLE, 'utf8'), {
    customTags: ['Ref', 'GetAtt'].map((name) => ({
      tag: `!${name}`, resolve: (text: string) => name === 'Ref' ? { Ref: text } : { 'Fn::GetAtt': text.split('.') },
    })),
  });
  const names = Object.keys(Resources);
  const copies = Array.from({ length: Math.ceil(resources / names.length) }, (_, i) => names.map((name) => [
    `${name}${i}`,
    JSON.parse(JSON.stringify(Resources[name]), (key, value) => {
      if (key === 'Ref') {
        return names.includes(value) ? `${value}${i}` : value;
      }
      return key === 'Fn::GetAtt' ? [`${value[0]}${i}`, value[1]] : value;
    }),
  ]));
  return { ...rest, Resources: Object.fromEntries(copies.flat()) };
}

function medianMs(args: string[]): number {
  const times = Array.from({ length: RUNS }, () => {
    const start = performance.now();
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    if (status !== 0) {
      throw new Error(stderr || `${args.join(' ')} ended with ${status}`);
    }
    return performance.now() - start;
  });
  return times.sort((a, b) => a - b)[Math.floor(RUNS / 2)];
}

const folder = mkdtempSync(join(tmpdir(), 'check-'));
try {
  const [json, yaml] = [join(folder, 'large.json'), join(folder, 'large.yaml')];
  writeFileSync(json, JSON.stringify(repeated(500), undefined, 1));
  writeFileSync(yaml, stringify(repeated(500)));
  const rows: [string, string[]][] = [
    ['node, doing nothing', ['-e', '0']],
    ['--version', [BIN, '--version']],
    ['check, 6 resources, YAML', [BIN, 'check', EXAMPLE]],
    ['check, 500 resources, JSON', [BIN, 'check', json]],
    ['check, 500 resources, YAML', [BIN, 'check', yaml]],
  ];
  console.log(`${'whole process'.padEnd(32)} median of ${RUNS}, ms`);
  for (const [name, args] of rows) {
    console.log(`${name.padEnd(32)} ${medianMs(args).toFixed(0).padStart(8)}`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
