import { readFileSync } from 'fs';
import { join } from 'path';
import { App } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { maskAssetHashes } from './asset-hashes';
import { QuickStartStack } from '../../examples/quick-start/quick-start-stack';
import { Estimates } from 'cdk-disaggregated-inference';

describe('the quick-start', () => {
  const app = new App();
  const stack = new QuickStartStack(app, 'QuickStart');
  const assembly = app.synth();
  const template = Template.fromStack(stack);

  test('keeps its template', () => {
    expect(maskAssetHashes(template.toJSON())).toMatchSnapshot();
  });

  test('holds its objective', () => {
    const estimate = Estimates.fromStack(stack).of(stack.chat);
    expect(estimate.objectives.map((objective) => [objective.metric, objective.verdict]))
      .toEqual([['ttftSeconds', expect.stringMatching(/held$/)], ['tpotSeconds', expect.stringMatching(/held$/)]]);
    expect(estimate.ttftSeconds.p95.value).toBeLessThan(0.9);
    expect(estimate.tpotSeconds.p95.value).toBeLessThan(0.03);
  });

  test('says what the README says', () => {
    const [{ entry }] = Annotations.fromStack(stack).findInfo('/QuickStart/Chat', Match.stringLikeRegexp('output tokens'));
    const line = String(entry.data).replace(/ \[ack: .*\]$/, '');
    const readme = readFileSync(join(__dirname, '../../README.md'), 'utf8').replace(/\s+/g, ' ');
    expect(readme).toContain(line);
    expect(readme).toContain(`are $${Math.round(Estimates.fromStack(stack).of(stack.chat).usdPerHour!)} an hour`);
  });

  test('writes its estimate beside the template', () => {
    const file = JSON.parse(readFileSync(join(assembly.directory, 'QuickStart.inference-estimate.json'), 'utf8'));
    expect(Object.keys(file.services)).toEqual(['QuickStart/Chat']);
    expect(file.services['QuickStart/Chat'].estimate.serving).toBe('disaggregated');
  });

  test('is equal byte for byte when it is synthesized again', () => {
    const again = new App();
    new QuickStartStack(again, 'QuickStart');
    const directory = again.synth().directory;
    for (const file of ['QuickStart.template.json', 'QuickStart.inference-estimate.json', 'QuickStart.assets.json']) {
      expect(readFileSync(join(directory, file), 'utf8')).toEqual(readFileSync(join(assembly.directory, file), 'utf8'));
    }
  });
});
