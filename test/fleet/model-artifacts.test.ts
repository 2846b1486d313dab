import { App, CfnParameter, Stack, aws_iam as iam, aws_kms as kms, aws_s3 as s3 } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { ModelArtifacts } from '../../src/fleet';

function setUp() {
  const stack = new Stack(new App(), 'Stack');
  return {
    stack,
    bucket: s3.Bucket.fromBucketName(stack, 'Bucket', 'models'),
    role: new iam.Role(stack, 'Role', { assumedBy: new iam.ServicePrincipal('ecs-tasks.amazonaws.com') }),
  };
}

const statementsOf = (stack: Stack) => Object.values(Template.fromStack(stack).findResources('AWS::IAM::Policy'))[0].Properties.PolicyDocument.Statement;
const arn = (rest: string) => ({ 'Fn::Join': ['', ['arn:', { Ref: 'AWS::Partition' }, `:s3:::${rest}`]] });

test('a prefix is granted, and nothing beside it', () => {
  const { stack, bucket, role } = setUp();
  const artifacts = ModelArtifacts.fromBucket(bucket, 'llama');
  expect(artifacts.grantRead(role).success).toBe(true);
  expect(artifacts.s3Uri).toBe('s3://models/llama/');
  expect(statementsOf(stack)).toEqual([
    { Effect: 'Allow', Action: 's3:ListBucket', Resource: arn('models'), Condition: { StringLike: { 's3:prefix': 'llama/*' } } },
    { Effect: 'Allow', Action: 's3:GetObject', Resource: arn('models/llama/*') },
  ]);
});

test('the whole bucket without a prefix', () => {
  const { stack, bucket, role } = setUp();
  const artifacts = ModelArtifacts.fromBucket(bucket);
  artifacts.grantRead(role);
  expect(artifacts.s3Uri).toBe('s3://models/');
  expect(statementsOf(stack)).toEqual([
    { Effect: 'Allow', Action: 's3:ListBucket', Resource: arn('models') }, { Effect: 'Allow', Action: 's3:GetObject', Resource: arn('models/*') },
  ]);
});

test('the bucket\'s key may be used to decrypt', () => {
  const { stack, role } = setUp();
  const bucket = new s3.Bucket(stack, 'Encrypted', { encryptionKey: new kms.Key(stack, 'Key') });
  ModelArtifacts.fromBucket(bucket, 'llama/').grantRead(role);
  expect(statementsOf(stack)[2]).toEqual({ Effect: 'Allow', Action: 'kms:Decrypt', Resource: { 'Fn::GetAtt': [expect.stringMatching(/^Key/), 'Arn'] } });
});

test('a prefix that is a token is taken as given', () => {
  const { stack, bucket } = setUp();
  const prefix = new CfnParameter(stack, 'Prefix').valueAsString;
  expect(stack.resolve(ModelArtifacts.fromBucket(bucket, prefix).s3Uri)).toEqual({ 'Fn::Join': ['', ['s3://models/', { Ref: 'Prefix' }]] });
});

test('fails for a prefix that starts with a slash', () => {
  const { bucket } = setUp();
  expect(() => ModelArtifacts.fromBucket(bucket, '/llama/'))
    .toThrow('[prefix] keys in S3 do not start with a slash, got: "/llama/" (use "llama/") [ArtifactsPrefix]');
});
