import { App, Validations } from 'aws-cdk-lib';
import { EksNodeGroupStack } from './eks-node-group-stack';
import { InferenceRulesPlugin } from 'cdk-disaggregated-inference';

const app = new App();
Validations.of(app).addPlugins(new InferenceRulesPlugin());
new EksNodeGroupStack(app, 'EksNodeGroup');
