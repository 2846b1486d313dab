// How long the quick-start takes to synthesize, and how much of that is this library: `npx tsx --tsconfig benchmark/tsconfig.json benchmark/synth.ts`.
import { spawnSync } from 'child_process';
import { performance } from 'perf_hooks';

const RUNS = 5;

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

function wholeProcess(args: string[]): number {
  const started = performance.now();
  const run = spawnSync('npx', ['cdk', 'synth', '--quiet', '--no-notices', ...args], { encoding: 'utf8' });
  if (run.status !== 0) {
    throw new Error(run.stderr);
  }
  return performance.now() - started;
}

async function main(): Promise<void> {
  const whole = Array.from({ length: RUNS }, () => wholeProcess([]));
  const unvalidated = Array.from({ length: RUNS }, () => wholeProcess(['--no-validation']));

  process.env.CDK_VALIDATION = 'false';
  const beforeCdk = performance.now();
  const { App } = await import('aws-cdk-lib');
  await Promise.all(['aws-ec2', 'aws-ecs', 'aws-elasticloadbalancingv2', 'aws-autoscaling', 'aws-servicediscovery', 'aws-s3'].map((name) =>
    import(`aws-cdk-lib/${name}`)));
  const beforeLibrary = performance.now();
  const { QuickStartStack } = await import('../examples/quick-start/quick-start-stack.js');
  const loaded = performance.now();

  const construct: number[] = [];
  const synth: number[] = [];
  for (let run = 0; run < RUNS; run += 1) {
    const start = performance.now();
    const app = new App();
    new QuickStartStack(app, 'QuickStart');
    const built = performance.now();
    app.synth();
    construct.push(built - start);
    synth.push(performance.now() - built);
  }

  const rows: [string, number][] = [
    ['cdk synth, whole process', median(whole)],
    ['cdk synth --no-validation, whole process', median(unvalidated)],
    ['of which: loading aws-cdk-lib', beforeLibrary - beforeCdk],
    ['of which: loading this library and the example', loaded - beforeLibrary],
    ['of which: constructing the service, estimate and plan included', median(construct)],
    ['of which: synthesis, rules included', median(synth)],
  ];
  console.log(`${'step'.padEnd(64)} median of ${RUNS}, ms`);
  for (const [name, milliseconds] of rows) {
    console.log(`${name.padEnd(64)} ${milliseconds.toFixed(0).padStart(8)}`);
  }
}

void main();
