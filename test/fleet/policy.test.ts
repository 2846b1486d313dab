import { aws_sns as sns } from 'aws-cdk-lib';
import { AwsSolutionsChecks, HIPAASecurityChecks } from 'cdk-nag';
import { fixture } from './fleet-fixture';
import { TrainiumDecodeFleet, TrainiumPrefillFleet } from '../../src/fleet';

const findings = (pack: AwsSolutionsChecks | HIPAASecurityChecks, scope: Parameters<AwsSolutionsChecks['validateScope']>[0]) =>
  pack.validateScope(scope).violations.map((violation) => violation.ruleName).sort();

function fleets() {
  const { app, stack, props } = fixture();
  const notificationTopic = sns.Topic.fromTopicArn(stack, 'Topic', 'arn:aws:sns:us-east-2:111122223333:fleet');
  const prefill = new TrainiumPrefillFleet(stack, 'Prefill', { ...props, notificationTopic });
  new TrainiumDecodeFleet(stack, 'Decode', { ...props, notificationTopic, cluster: prefill.cluster });
  return app;
}

test('cdk-nag\'s AwsSolutions finds the wildcards that ECS and S3 leave no way around, and nothing else', () => {
  expect(findings(new AwsSolutionsChecks(), fleets())).toEqual([
    // ecs:DiscoverPollEndpoint has no resource.
    'AwsSolutions-IAM5[Resource::*]',
    // an instance does not know its id in the cluster before it registers.
    'AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:ecs:us-east-2:<AWS::AccountId>:container-instance/<PrefillCluster88F562B7>/*]',
    // the objects of the model.
    'AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:s3:::models/llama-3.3-70b/*]',
  ]);
});

test('without a topic, AwsSolutions asks for notifications too', () => {
  const { app, stack, props } = fixture();
  new TrainiumPrefillFleet(stack, 'Prefill', props);
  expect(findings(new AwsSolutionsChecks(), app)).toContain('AwsSolutions-AS3');
});
