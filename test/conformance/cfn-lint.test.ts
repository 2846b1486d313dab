import { spawnSync } from 'child_process';
import { existsSync } from 'fs';
import { join } from 'path';
import { App } from 'aws-cdk-lib';
import { QuickStartStack } from '../../examples/quick-start/quick-start-stack';

const CFN_LINT = join(__dirname, '../../.venv/bin/cfn-lint');

/** Warnings that are meant. */
const EXPECTED = [
  'W3005', // a service waits for the whole cluster, because ECS wants its capacity provider associated first; part of that is a Ref already.
  'W3010', // a Capacity Block is in one zone, which is named.
];

test('cfn-lint finds nothing in the quick-start', () => {
  if (!existsSync(CFN_LINT)) {
    throw new Error('cfn-lint is missing: python3 -m venv .venv && .venv/bin/pip install -r test/conformance/requirements.txt');
  }
  const app = new App();
  new QuickStartStack(app, 'QuickStart');
  const template = join(app.synth().directory, 'QuickStart.template.json');

  const lint = spawnSync(CFN_LINT, ['--regions', 'us-east-2', '--ignore-checks', ...EXPECTED, '--format', 'parseable', '--', template], { encoding: 'utf8' });

  expect(lint.stdout.split('\n').filter((line) => line !== '')).toEqual([]);
  expect(lint.status).toBe(0);
}, 120_000);
