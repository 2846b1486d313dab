import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { EksNodeGroupStack } from '../../examples/eks-node-group/eks-node-group-stack';

test('the EKS node group keeps its template', () => {
  const stack = new EksNodeGroupStack(new App(), 'EksNodeGroup');

  expect(Template.fromStack(stack).toJSON()).toMatchSnapshot();
});
