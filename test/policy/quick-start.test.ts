import { App } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { QuickStartStack } from '../../examples/quick-start/quick-start-stack';

/** What AwsSolutions finds in the quick-start, and why it stays. The README has the same list. */
const REMAINING: { [finding: string]: string } = {
  'AwsSolutions-IAM5[Resource::*]': 'ecs:DiscoverPollEndpoint and ecr:GetAuthorizationToken take no resource',
  'AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:ecs:<AWS::Region>:<AWS::AccountId>:container-instance/<ChatCluster1BD547C2>/*]':
    'an instance does not know the id that ECS will give it',
  'AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:s3:::amzn-s3-demo-bucket/llama-3.3-70b/*]': 'the model is whatever lies under its prefix',
  'AwsSolutions-AS3': 'whom to notify is not known: give notificationTopic',
  'AwsSolutions-SMG4': 'callers hold the API keys: rotating them is a matter between you and them',
  'AwsSolutions-ELB2': 'access logs need a bucket and a concrete region: give router.accessLogsBucket',
};

test('AwsSolutions finds in the quick-start exactly what is documented', () => {
  const app = new App();
  new QuickStartStack(app, 'QuickStart');

  const { violations } = new AwsSolutionsChecks().validateScope(app);

  expect(violations.map((violation) => violation.ruleName).sort()).toEqual(Object.keys(REMAINING).sort());
});
