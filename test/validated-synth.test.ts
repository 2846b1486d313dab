delete process.env.CDK_VALIDATION;

import { readFileSync } from 'fs';
import { join } from 'path';
import { App, Validations } from 'aws-cdk-lib';
import { QuickStartStack } from '../examples/quick-start/quick-start-stack';
import { InferenceRulesPlugin } from 'cdk-disaggregated-inference';

test('neither CDK\'s own validator nor the rules of this library find anything in the quick-start', () => {
  const app = new App({ context: { '@aws-cdk/core:validateAgainstDefaultRules': true } });
  Validations.of(app).addPlugins(new InferenceRulesPlugin());
  new QuickStartStack(app, 'QuickStart');

  const { directory } = app.synth();

  const { pluginReports } = JSON.parse(readFileSync(join(directory, 'validation-report.json'), 'utf8'));
  expect(pluginReports.flatMap((report: { violations?: { severity: string }[] }) => report.violations ?? [])).toEqual([]);
}, 60_000);
