import { App, Stack, aws_iam as iam } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { BedrockModel, BedrockTarget } from '../../src/decode';
import { checkTemplates } from '../../src/validation/check-templates';

const INVOKE = ['bedrock:InvokeModel', 'bedrock:InvokeModelWithResponseStream'];
const PROFILE = 'arn:aws:bedrock:us-east-2:123456789012:inference-profile/us.amazon.nova-pro-v1:0';
const GLOBAL_PROFILE = 'arn:aws:bedrock:us-east-2:123456789012:inference-profile/global.amazon.nova-2-lite-v1:0';
const MODEL = 'arn:aws:bedrock:us-east-2::foundation-model/amazon.nova-pro-v1:0';
const ANY_MODEL = 'arn:aws:bedrock:*::foundation-model/*';

const allow = (Action: unknown, Resource: unknown) => ({ Effect: 'Allow', Action, Resource });

function idsOf(template: unknown, region: string | undefined = 'us-east-2'): string[] {
  return [...new Set(checkTemplates([{ stack: 'Stack', region, template }]).findings.map(({ rule }) => rule.id))].sort();
}

/** A role with these statements, and more of its properties. */
function roleWith(statements: unknown, properties: object = {}): { Resources: { [id: string]: unknown } } {
  return {
    Resources: {
      Role: { Type: 'AWS::IAM::Role', Properties: { Policies: [{ PolicyName: 'p', PolicyDocument: { Statement: statements } }], ...properties } },
    },
  };
}

describe('ARNs of models', () => {
  test.each([
    ['a model of no account', MODEL, []],
    ['any account of any model', 'arn:aws:bedrock:*:*:foundation-model/*', []],
    ['an account of a model', 'arn:aws:bedrock:us-east-2:123456789012:foundation-model/amazon.nova-pro-v1:0', ['BedrockModelArnMalformed']],
    ['the account of the stack', { 'Fn::Sub': 'arn:aws:bedrock:${AWS::Region}:${AWS::AccountId}:foundation-model/*' }, ['BedrockModelArnMalformed']],
    ['an account that is a parameter, which may be empty', { 'Fn::Sub': 'arn:aws:bedrock:us-east-2:${Account}:foundation-model/*' }, []],
    ['one colon too few', 'arn:aws:bedrock:us-east-2:foundation-model/amazon.nova-pro-v1:0', ['BedrockModelArnMalformed']],
    ['a profile of no account', ['arn:aws:bedrock:us-east-2::application-inference-profile/abc', MODEL], ['BedrockModelArnMalformed']],
    ['a service that is an endpoint', 'arn:aws:bedrock-runtime:us-east-2::foundation-model/amazon.nova-pro-v1:0', ['BedrockModelArnMalformed']],
    ['a wrong one beside a right one', ['arn:aws:bedrock:us-east-2:123456789012:foundation-model/*', ANY_MODEL], []],
    ['a wrong one beside a right one of another model', [MODEL, 'arn:aws:bedrock:us-east-2:123456789012:foundation-model/x.y'], ['BedrockModelArnMalformed']],
    ['an id without a version', 'arn:aws:bedrock:us-east-2::foundation-model/anthropic.claude-opus-5', []],
    ['everything', '*', []],
    ['every resource of the service', 'arn:aws:bedrock:*', []],
    ['a type that is not looked at', 'arn:aws:bedrock:us-east-2::something-new/x', []],
    ['another service', 'arn:aws:s3:::foundation-model/x', []],
    ['what is no text', [null, 7, {}, []], []],
  ])('%s', (_, resource, expected) => {
    expect(idsOf(roleWith([allow(INVOKE, resource)]))).toEqual(expected);
  });

  test.each(['AWS::IAM::ManagedPolicy', 'AWS::EC2::VPCEndpoint'])('are read in %s too', (Type) => {
    const PolicyDocument = { Statement: allow(INVOKE, 'arn:aws:bedrock:us-east-2:123456789012:foundation-model/x.y') };
    expect(idsOf({ Resources: { Policy: { Type, Properties: { VpcEndpointType: 'Interface', PolicyDocument } } } })).toEqual(['BedrockModelArnMalformed']);
  });
});

test.each([
  ['an action on something else', 'bedrock:ListFoundationModels', ['BedrockModelArnMalformed']],
  ['another name of the action', 'bedrock:invokemodel*', []],
])('a wrong ARN of a model beside %s on everything', (_, action, expected) => {
  const wrong = 'arn:aws:bedrock:us-east-2:123456789012:foundation-model/amazon.nova-pro-v1:0';
  expect(idsOf(roleWith([allow(action, '*'), allow('bedrock:InvokeModel', wrong)]))).toEqual(expected);
});

test('the right action on another model does not excuse a wrong name', () => {
  const other = 'arn:aws:bedrock:us-east-2::foundation-model/amazon.titan-embed-text-v2:0';
  expect(idsOf(roleWith([allow('bedrock:InvokeModel', other), allow('bedrock:Converse', MODEL)]))).toEqual(['BedrockActionUnknown']);
});

describe('names of actions', () => {
  test.each([
    ['Converse alone', ['bedrock:Converse'], ['BedrockActionUnknown']],
    ['Converse beside what authorises it', ['bedrock:Converse', 'bedrock:InvokeModel'], []],
    ['ConverseStream without streams', ['bedrock:ConverseStream', 'bedrock:InvokeModel'], ['BedrockActionUnknown']],
    ['the prefix of the endpoint', 'bedrock-runtime:InvokeModel', ['BedrockActionUnknown']],
    ['a name of mantle under the other prefix', 'bedrock:CreateInference', ['BedrockActionUnknown']],
    ['a stream of the endpoint', 'bedrock-runtime:InvokeModelWith*', ['BedrockActionUnknown']],
    ['a name cut short', ['bedrock:InvokeModel', 'bedrock:InvokeModelWithResponse'], ['BedrockActionUnknown']],
    ['mantle', ['bedrock-mantle:CreateInference', 'bedrock-mantle:CallWithBearerToken'], []],
    ['any case, and wildcards', 'BEDROCK:invokemodel*', []],
    ['a name that is not known here', 'bedrock:SomethingNew', []],
  ])('%s', (_, action, expected) => {
    expect(idsOf(roleWith([allow(action, ANY_MODEL)]))).toEqual(expected);
  });

  test.each([
    ['an unknown managed policy may grant what is missing', { ManagedPolicyArns: ['arn:aws:iam::aws:policy/AmazonBedrockFullAccess'] }, []],
    ['a parameter may be such a policy', { ManagedPolicyArns: [{ Ref: 'PolicyArn' }] }, []],
    ['a policy of AWS without Bedrock does not', { ManagedPolicyArns: ['arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore'] }, ['BedrockActionUnknown']],
  ])('%s', (_, properties, expected) => {
    expect(idsOf(roleWith([allow('bedrock:Converse', MODEL)], properties))).toEqual(expected);
  });

  test('a custom resource that is given the role may attach a policy', () => {
    const template = roleWith([allow('bedrock:Converse', MODEL)]);
    template.Resources.Attach = { Type: 'Custom::AttachPolicies', Properties: { RoleName: { Ref: 'Role' } } };
    expect(idsOf(template)).toEqual([]);
  });

  test('another policy of the role may have the right one', () => {
    const template = roleWith([allow('bedrock:Converse', MODEL)]);
    const PolicyDocument = { Statement: [allow('bedrock:InvokeModel', MODEL)] };
    template.Resources.Other = { Type: 'AWS::IAM::Policy', Properties: { PolicyName: 'q', Roles: [{ Ref: 'Role' }], PolicyDocument } };
    expect(idsOf(template)).toEqual([]);
  });

  test('a policy of an endpoint lets nothing else through', () => {
    const PolicyDocument = { Statement: [{ ...allow('bedrock:Converse', '*'), Principal: '*' }] };
    expect(idsOf({ Resources: { Endpoint: { Type: 'AWS::EC2::VPCEndpoint', Properties: { VpcEndpointType: 'Interface', PolicyDocument } } } }))
      .toEqual(['BedrockActionUnknown']);
  });
});

describe('models of profiles', () => {
  test.each([
    ['no model', [allow(INVOKE, PROFILE)], ['BedrockProfileWithoutModels']],
    ['any model', [allow(INVOKE, [PROFILE, ANY_MODEL])], []],
    ['everything', [allow(INVOKE, PROFILE), allow('bedrock:*', '*')], []],
    ['a model without streams', [allow(INVOKE, PROFILE), allow('bedrock:InvokeModel', ANY_MODEL)], ['BedrockProfileWithoutModels']],
    ['a resource that is not known', [allow(INVOKE, [PROFILE, { Ref: 'ModelArn' }])], []],
    ['an application profile of the template', [allow(INVOKE, { 'Fn::GetAtt': ['Profile', 'InferenceProfileArn'] })], ['BedrockProfileWithoutModels']],
    ['all but one action', [allow(INVOKE, PROFILE), { Effect: 'Allow', NotAction: 'iam:*', Resource: '*' }], []],
    ['one region', [allow(INVOKE, [PROFILE, MODEL])], ['BedrockProfileOneRegion']],
    ['one region of a pseudo parameter', [allow(INVOKE, [PROFILE, { 'Fn::Sub': 'arn:aws:bedrock:${AWS::Region}::foundation-model/*' }])], ['BedrockProfileOneRegion']],
    ['a region that is a parameter', [allow(INVOKE, [PROFILE, { 'Fn::Sub': 'arn:aws:bedrock:${Where}::foundation-model/*' }])], []],
    ['a global profile and models of regions', [allow(INVOKE, [GLOBAL_PROFILE, 'arn:aws:bedrock:us-east-2::foundation-model/amazon.nova-2-lite-v1:0'])], ['BedrockGlobalProfileModels']],
    ['a global profile and any model', [allow(INVOKE, [GLOBAL_PROFILE, ANY_MODEL])], []],
    ['a global profile and the model without a region', [allow(INVOKE, [GLOBAL_PROFILE, MODEL, 'arn:aws:bedrock:::foundation-model/amazon.nova-2-lite-v1:0'])], []],
    ['another model', [allow(INVOKE, [PROFILE, 'arn:aws:bedrock:*::foundation-model/amazon.nova-lite-v1:0'])], ['BedrockProfileWithoutModels']],
    ['a pattern that the model fits', [allow(INVOKE, [PROFILE, 'arn:aws:bedrock:*::foundation-model/amazon.nova-*'])], []],
    ['profiles of a pattern', [allow(INVOKE, ['arn:aws:bedrock:*:123456789012:inference-profile/us.*', 'arn:aws:bedrock:*::foundation-model/amazon.nova-lite-v1:0'])], []],
    ['one region of Japan', [allow(INVOKE, [PROFILE.replace('/us.', '/jp.'), MODEL])], ['BedrockProfileOneRegion']],
    ['one region of GovCloud', [allow(INVOKE, [PROFILE.replace('/us.', '/us-gov.'), MODEL])], ['BedrockProfileOneRegion']],
    ['a denial of what names no model', [
      allow(INVOKE, ANY_MODEL), { Effect: 'Deny', Action: INVOKE, Resource: 'arn:aws:bedrock:us-east-2:123456789012:foundation-model/x.y' },
    ], []],
    ['a model by a variable of the policy', [allow(INVOKE, [PROFILE, 'arn:aws:bedrock:*::foundation-model/${aws:PrincipalTag/model}'])], []],
    ['a profile by a variable of the policy', [allow(INVOKE, [PROFILE.replace('amazon.nova-pro-v1:0', '${aws:PrincipalTag/model}'), 'arn:aws:bedrock:*::foundation-model/amazon.*'])], []],
    ['a profile in a region that is a parameter', [allow(INVOKE, { 'Fn::Sub': PROFILE.replace('us-east-2', '${Where}') })], ['BedrockProfileWithoutModels']],
    ['one region of Canada', [allow(INVOKE, [PROFILE.replace('/us.', '/ca.'), MODEL])], ['BedrockProfileOneRegion']],
    ['a profile that is read only', [allow('bedrock:GetInferenceProfile', PROFILE)], []],
  ])('%s', (_, statements, expected) => {
    const template = roleWith(statements);
    template.Resources.Profile = {
      Type: 'AWS::Bedrock::ApplicationInferenceProfile',
      Properties: { InferenceProfileName: 'chat', ModelSource: { CopyFrom: MODEL } },
    };
    expect(idsOf(template)).toEqual(expected);
  });
});

describe('sources and routers', () => {
  const profileOf = (CopyFrom: unknown) => ({
    Resources: { Profile: { Type: 'AWS::Bedrock::ApplicationInferenceProfile', Properties: { InferenceProfileName: 'chat', ModelSource: { CopyFrom } } } },
  });

  test.each([
    ['the region of the stack', MODEL, 'us-east-2', []],
    ['another region', MODEL, 'us-west-2', ['BedrockProfileSourceRegion']],
    ['a region that is not known', MODEL, undefined, []],
    ['the pseudo parameter', { 'Fn::Sub': 'arn:aws:bedrock:${AWS::Region}::foundation-model/x.y' }, 'us-west-2', []],
  ])('a profile copied from %s', (_, from, region, expected) => {
    expect(idsOf(profileOf(from), region)).toEqual(expected);
  });

  test('a source that is not known is told of', () => {
    const { unchecked } = checkTemplates([{ stack: 'Stack', region: 'us-east-2', template: profileOf({ Ref: 'Source' }) }]);
    expect(unchecked.map(({ rule }) => rule.id)).toEqual(['BedrockProfileSourceRegion']);
  });

  const nova = (size: string) => `arn:aws:bedrock:us-east-2::foundation-model/amazon.nova-${size}-v1:0`;
  const claude = 'arn:aws:bedrock:us-east-2:123456789012:inference-profile/us.anthropic.claude-opus-5';
  test.each([
    ['two models of one provider', [nova('pro'), nova('lite')], nova('lite'), []],
    ['one model', [nova('pro')], nova('pro'), ['BedrockPromptRouterModels']],
    ['the same model twice', [nova('pro'), nova('pro')], nova('pro'), ['BedrockPromptRouterModels']],
    ['two providers', [nova('pro'), claude], claude, ['BedrockPromptRouterModels']],
    ['another fallback', [nova('pro'), nova('lite')], nova('micro'), ['BedrockPromptRouterModels']],
    ['a fallback that is not known', [nova('pro'), nova('lite')], { Ref: 'Fallback' }, []],
    ['models that are not known', [{ Ref: 'First' }, { Ref: 'Second' }], nova('lite'), []],
  ])('a router with %s', (_, models, ModelArn, expected) => {
    const Properties = { PromptRouterName: 'chat', Models: models.map((arn) => ({ ModelArn: arn })), FallbackModel: { ModelArn } };
    expect(idsOf({ Resources: { Router: { Type: 'AWS::Bedrock::IntelligentPromptRouter', Properties } } })).toEqual(expected);
  });
});

describe('what BedrockTarget grants', () => {
  test.each([
    ['a foundation model', BedrockModel.foundationModel('amazon.nova-pro-v1:0')],
    ['a profile', BedrockModel.inferenceProfile({ profileId: 'us.amazon.nova-pro-v1:0', destinationRegions: ['us-east-1', 'us-east-2', 'us-west-2'] })],
    ['an application profile', BedrockModel.applicationInferenceProfile({
      profileArn: 'arn:aws:bedrock:us-east-2:123456789012:application-inference-profile/abc', foundationModelId: 'amazon.nova-pro-v1:0',
    })],
  ])('%s', (_, model) => {
    const stack = new Stack(new App(), 'Stack');
    const role = new iam.Role(stack, 'Role', { assumedBy: new iam.ServicePrincipal('ecs-tasks.amazonaws.com') });
    new BedrockTarget(stack, 'Target', { model }).grantInvoke(role);
    const template = Template.fromStack(stack).toJSON();
    expect([idsOf(template), idsOf(template, undefined)]).toEqual([[], []]);
  });
});

describe('a policy of somebody who may have others', () => {
  test.each([
    ['a name of no action', allow('bedrock:Converse', ANY_MODEL), 'BedrockActionUnknown', 'there is no action bedrock:Converse'],
    ['a profile without its model', allow(INVOKE, PROFILE), 'BedrockProfileWithoutModels', 'the foundation model of the profile'],
  ])('%s is not silently passed over', (_, statement, rule, reason) => {
    for (const attached of [{}, { Users: ['somebody'] }, { Roles: ['elsewhere'] }]) {
      const Resources = { Policy: { Type: 'AWS::IAM::ManagedPolicy', Properties: { PolicyDocument: { Statement: [statement] }, ...attached } } };
      const { findings, unchecked } = checkTemplates([{ stack: 'Stack', region: 'us-east-2', template: { Resources } }]);
      expect(findings).toEqual([]);
      expect(unchecked.filter((one) => one.rule.id === rule).flatMap(({ places }) => places.map((place) => place.reason)))
        .toEqual([expect.stringContaining(reason)]);
    }
  });
});
