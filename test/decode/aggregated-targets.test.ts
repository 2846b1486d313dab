import { App, CfnParameter, Stack, aws_iam as iam, aws_secretsmanager as secretsmanager } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { BedrockModel, BedrockTarget, CerebrasCloudTarget } from '../../src/decode';

function setUp() {
  const stack = new Stack(new App(), 'Stack', { env: { region: 'us-east-2', account: '111122223333' } });
  return { stack, role: new iam.Role(stack, 'Role', { assumedBy: new iam.ServicePrincipal('ecs-tasks.amazonaws.com') }) };
}

const statementsOf = (stack: Stack) => Object.values(Template.fromStack(stack).findResources('AWS::IAM::Policy'))[0].Properties.PolicyDocument.Statement;
const arn = (rest: string) => ({ 'Fn::Join': ['', ['arn:', { Ref: 'AWS::Partition' }, `:bedrock:${rest}`]] });
const Action = ['bedrock:InvokeModel', 'bedrock:InvokeModelWithResponseStream', 'bedrock:CountTokens'];

describe('BedrockTarget', () => {
  test('a foundation model is granted in the stack\'s region alone', () => {
    const { stack, role } = setUp();
    const target = new BedrockTarget(stack, 'Fallback', { model: BedrockModel.foundationModel('amazon.nova-pro-v1:0') });
    target.grantInvoke(role);
    expect(target.endpoint).toEqual({
      name: 'Fallback', role: 'aggregated', protocol: 'bedrock', modelName: 'amazon.nova-pro-v1:0', bedrockModel: expect.any(BedrockModel),
    });
    expect(statementsOf(stack)).toEqual([{ Effect: 'Allow', Action, Resource: arn('us-east-2::foundation-model/amazon.nova-pro-v1:0') }]);
  });

  test('an inference profile is granted with the foundation model of every destination, through the profile only', () => {
    const { stack, role } = setUp();
    new BedrockTarget(stack, 'Fallback', {
      model: BedrockModel.inferenceProfile({ profileId: 'us.meta.llama3-3-70b-instruct-v1:0', destinationRegions: ['us-east-1', 'us-east-2', 'us-west-2'] }),
    }).grantInvoke(role);
    const profile = arn('us-east-2:111122223333:inference-profile/us.meta.llama3-3-70b-instruct-v1:0');
    expect(statementsOf(stack)).toEqual([
      { Effect: 'Allow', Action, Resource: profile },
      {
        Effect: 'Allow',
        Action,
        Resource: ['us-east-1', 'us-east-2', 'us-west-2'].map((region) => arn(`${region}::foundation-model/meta.llama3-3-70b-instruct-v1:0`)),
        Condition: { StringEquals: { 'bedrock:InferenceProfileArn': profile } },
      },
    ]);
  });

  test('a global inference profile is granted with the model without a region too', () => {
    const { stack, role } = setUp();
    new BedrockTarget(stack, 'Fallback', {
      model: BedrockModel.inferenceProfile({ profileId: 'global.amazon.nova-2-lite-v1:0', destinationRegions: ['us-east-2'] }),
    }).grantInvoke(role);
    expect(statementsOf(stack)[1].Resource).toEqual([
      arn('us-east-2::foundation-model/amazon.nova-2-lite-v1:0'),
      arn('::foundation-model/amazon.nova-2-lite-v1:0'),
    ]);
  });

  test('an application inference profile', () => {
    const { stack, role } = setUp();
    const profileArn = 'arn:aws:bedrock:us-east-2:111122223333:application-inference-profile/abc';
    new BedrockTarget(stack, 'Fallback', {
      model: BedrockModel.applicationInferenceProfile({ profileArn, foundationModelId: 'amazon.nova-pro-v1:0' }),
    }).grantInvoke(role);
    expect(statementsOf(stack)).toEqual([
      { Effect: 'Allow', Action, Resource: profileArn },
      {
        Effect: 'Allow',
        Action,
        Resource: arn('us-east-2::foundation-model/amazon.nova-pro-v1:0'),
        Condition: { StringEquals: { 'bedrock:InferenceProfileArn': profileArn } },
      },
    ]);
  });

  test('fails for ids of another kind, naming what to use', () => {
    expect(() => BedrockModel.foundationModel('us.amazon.nova-pro-v1:0')).toThrow('use BedrockModel.inferenceProfile');
    expect(() => BedrockModel.foundationModel('arn:aws:bedrock:us-east-1::foundation-model/x.y')).toThrow('[BedrockModelId]');
    expect(() => BedrockModel.inferenceProfile({ profileId: 'amazon.nova-pro-v1:0', destinationRegions: [] })).toThrow(
      /\[BedrockProfileId\]\n.*\[BedrockDestinationRegions\]/);
  });

  test('ids that are tokens are taken as given', () => {
    const { stack } = setUp();
    const id = new CfnParameter(stack, 'Model').valueAsString;
    expect(BedrockModel.foundationModel(id).invocationId).toBe(id);
    expect(() => BedrockModel.inferenceProfile({ profileId: id, destinationRegions: ['us-east-2'] })).toThrow('give foundationModelId');
  });
});

describe('CerebrasCloudTarget', () => {
  test('is aggregated, and its key may be read by who is granted', () => {
    const { stack, role } = setUp();
    const apiKey = new secretsmanager.Secret(stack, 'Key');
    const target = new CerebrasCloudTarget(stack, 'Cerebras', { apiKey, modelId: 'llama-3.3-70b' });
    target.grantInvoke(role);
    expect(target.endpoint).toMatchObject({ role: 'aggregated', protocol: 'cerebras', modelName: 'llama-3.3-70b', url: 'https://api.cerebras.ai' });
    expect(target.endpoint.apiKeySecret).toBe(apiKey);
    Template.fromStack(stack).hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: { Statement: [Match.objectLike({ Resource: { Ref: Match.stringLikeRegexp('^Key') } })] },
    });
  });

  test('fails with every problem at once', () => {
    const { stack } = setUp();
    const apiKey = new secretsmanager.Secret(stack, 'Key');
    expect(() => new CerebrasCloudTarget(stack, 'Cerebras', { apiKey, modelId: '', baseUrl: 'api.cerebras.ai' }))
      .toThrow(/\[EndpointUrl\]\n.*\[ModelIdEmpty\]/);
  });
});
