import { join } from 'path';
import { App } from 'aws-cdk-lib';
import { Templates } from './checkers';
import { EksNodeGroupStack } from '../../examples/eks-node-group/eks-node-group-stack';
import { QuickStartStack } from '../../examples/quick-start/quick-start-stack';
import { TemplateFile } from '../../src/cli/template-file';

/** The templates of all examples. */
export function examples(): Templates {
  const app = new App();
  new QuickStartStack(app, 'QuickStart');
  new EksNodeGroupStack(app, 'EksNodeGroup');
  const written = TemplateFile.read(join(__dirname, '../../examples/templates/efa-group.yaml')).template;
  return new Map([...app.synth().stacks.map(({ id, template }): [string, object] => [id, template]), ['efa-group.yaml', written]]);
}
