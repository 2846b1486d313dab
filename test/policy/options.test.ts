import { join } from 'path';
import {
  App, Duration, Stack, aws_certificatemanager as acm, aws_ec2 as ec2, aws_ecr as ecr, aws_ecs as ecs, aws_iam as iam, aws_kms as kms, aws_s3 as s3,
  aws_secretsmanager as secretsmanager, aws_sns as sns, aws_wafv2 as wafv2,
} from 'aws-cdk-lib';
import { AwsSolutionsChecks, HIPAASecurityChecks, NIST80053R5Checks, PCIDSS321Checks } from 'cdk-nag';
import { IConstruct } from 'constructs';
import { QuickStartStack } from '../../examples/quick-start/quick-start-stack';
import {
  Decode, DisaggregatedInference, DisaggregatedInferenceProps, ModelArchitecture, ModelArtifacts, NeuronInstanceType, NeuronVllmEngine,
  PolicyAcknowledgements, Prefill, Purchase, RouterListener, Workload,
} from 'cdk-disaggregated-inference';

const CHOICES = PolicyAcknowledgements.findings().filter(({ option }) => option !== undefined).map(({ rule }) => rule);

/** What the four packs find, each with the path of its resource. */
function findings(scope: IConstruct): string[] {
  return [new AwsSolutionsChecks(), new HIPAASecurityChecks(), new NIST80053R5Checks(), new PCIDSS321Checks()].flatMap((pack) => (
    pack.validateScope(scope).violations.flatMap(({ ruleName, violatingResources }) => violatingResources.map(({ constructPath }) => `${ruleName} ${constructPath}`))
  )).sort();
}

function stackIn(): Stack {
  return new Stack(new App(), 'Stack', { env: { region: 'us-east-2', account: '111122223333' } });
}

function service(
  stack: Stack, artifacts: s3.IBucket, props: Partial<DisaggregatedInferenceProps> = {},
  pool: { engine?: NeuronVllmEngine; notificationTopic?: sns.ITopic } = {},
) {
  const trainium2 = {
    instanceType: NeuronInstanceType.TRN2_48XLARGE,
    purchase: Purchase.capacityBlock({ reservationId: 'cr-0123456789abcdef0', availabilityZone: 'us-east-2b' }),
    ...pool,
  };
  return new DisaggregatedInference(stack, 'Chat', {
    model: ModelArchitecture.LLAMA_3_3_70B,
    workload: Workload.fromTrace(join(__dirname, '../../examples/quick-start/azure-2023-conv.csv')),
    objective: { timeToFirstToken: Duration.millis(900), timePerOutputToken: Duration.millis(30) },
    prefill: Prefill.trainium(trainium2),
    decode: Decode.trainium(trainium2),
    artifacts: ModelArtifacts.fromBucket(artifacts, 'llama-3.3-70b/'),
    ...props,
  });
}

test('with the options that are documented nothing is left but what is unavoidable', () => {
  const stack = stackIn();
  const chat = service(stack, s3.Bucket.fromBucketName(stack, 'Models', 'amzn-s3-demo-bucket'), {
    encryptionKey: kms.Key.fromKeyArn(stack, 'Key', 'arn:aws:kms:us-east-2:111122223333:key/12345678-1234-1234-1234-123456789012'),
    vpc: ec2.Vpc.fromVpcAttributes(stack, 'Vpc', {
      vpcId: 'vpc-0123456789abcdef0',
      availabilityZones: ['us-east-2a', 'us-east-2b'],
      vpcCidrBlock: '10.0.0.0/16',
      privateSubnetIds: ['subnet-0a', 'subnet-0b'],
      privateSubnetRouteTableIds: ['rtb-0a', 'rtb-0b'],
    }),
    router: {
      deletionProtection: true,
      accessLogsBucket: s3.Bucket.fromBucketName(stack, 'AccessLogs', 'amzn-s3-demo-bucket1'),
      apiKeysSecret: secretsmanager.Secret.fromSecretNameV2(stack, 'ApiKeys', 'api-keys'),
      listener: RouterListener.tls(
        acm.Certificate.fromCertificateArn(stack, 'Certificate', 'arn:aws:acm:us-east-2:111122223333:certificate/12345678-1234-1234-1234-123456789012'), 'chat.example.com',
      ),
    },
  }, { notificationTopic: sns.Topic.fromTopicArn(stack, 'Topic', 'arn:aws:sns:us-east-2:111122223333:fleet') });
  new wafv2.CfnWebACLAssociation(stack, 'Firewall', {
    resourceArn: chat.router.loadBalancer.loadBalancerArn, webAclArn: 'arn:aws:wafv2:us-east-2:111122223333:regional/webacl/chat/12345678-1234-1234-1234-123456789012',
  });

  expect(findings(stack)).not.toEqual([]);
  PolicyAcknowledgements.unavoidable(stack);
  expect(findings(stack)).toEqual([]);
});

test('engines from Amazon ECR and models in a bucket of the same app leave nothing else', () => {
  const stack = stackIn();
  const image = ecs.ContainerImage.fromEcrRepository(ecr.Repository.fromRepositoryName(stack, 'Repository', 'engine'));
  const chat = service(stack, new s3.Bucket(stack, 'Models'), {}, { engine: { image } });
  PolicyAcknowledgements.unavoidable(stack);
  PolicyAcknowledgements.choices(stack, ...CHOICES);
  expect(findings(chat)).toEqual([]);
});

test('what users add to resources of this library is still found', () => {
  const stack = new QuickStartStack(new App(), 'Stack');
  const { vpc, efa, router } = stack.chat;
  efa!.securityGroup.addIngressRule(new ec2.SecurityGroup(stack, 'Other', { vpc }), ec2.Port.allTraffic());
  const scan = new iam.PolicyStatement({ actions: ['dynamodb:Scan'], resources: ['*'] });
  router.service.taskDefinition.addToTaskRolePolicy(scan);
  router.service.taskDefinition.addToExecutionRolePolicy(scan);
  PolicyAcknowledgements.unavoidable(stack);
  PolicyAcknowledgements.choices(stack, ...CHOICES);

  const packs = ['HIPAA.Security', 'NIST.800.53.R5', 'PCI.DSS.321'];
  const policies = ['Stack/Chat/Router/ExecutionRole/DefaultPolicy/Resource', 'Stack/Chat/Router/TaskRole/DefaultPolicy/Resource'];
  expect(findings(stack)).toEqual([
    ...policies.map((policy) => `AwsSolutions-IAM5[Resource::*] ${policy}`),
    ...packs.flatMap((pack) => [
      expect.stringMatching(`^${pack}-EC2RestrictedCommonPorts Stack/Chat/Efa/SecurityGroup/from StackOther`),
      ...policies.map((policy) => `${pack}-IAMNoInlinePolicy ${policy}`),
    ]),
  ]);
});
