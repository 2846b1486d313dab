import { Stack, aws_iam as iam, aws_kms as kms } from 'aws-cdk-lib';
import { Construct } from 'constructs';

/**
 * Lets Amazon EC2 Auto Scaling use the key. Nothing happens for a key that is imported.
 *
 * @see https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html
 */
export function grantKey(scope: Construct, key: kms.IKey): void {
  const stack = Stack.of(scope);
  const use = ['kms:Encrypt', 'kms:Decrypt', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:DescribeKey'];
  // the service-linked role comes into being with the account's first group: as a principal it would make the key's policy invalid until then.
  const autoScaling = {
    StringEquals: {
      'aws:PrincipalArn': stack.formatArn({
        service: 'iam', region: '', resource: 'role', resourceName: 'aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling',
      }),
    },
  };
  key.addToResourcePolicy(new iam.PolicyStatement({
    principals: [new iam.AnyPrincipal()], actions: use, resources: ['*'], conditions: autoScaling,
  }));
  key.addToResourcePolicy(new iam.PolicyStatement({
    principals: [new iam.AnyPrincipal()],
    actions: ['kms:CreateGrant'],
    resources: ['*'],
    conditions: { ...autoScaling, Bool: { 'kms:GrantIsForAWSResource': 'true' } },
  }));
}
