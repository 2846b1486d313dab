import { assumedBy, att, privateNetwork, ref } from './network';
import { Template } from '../../efa-fleet';

const sub = (text: string) => ({ 'Fn::Sub': text });
const model = (region: string, id: string) => sub(`arn:\${AWS::Partition}:bedrock:${region}::foundation-model/${id}`);
const profile = (id: string) => sub(`arn:\${AWS::Partition}:bedrock:us-east-2:\${AWS::AccountId}:inference-profile/${id}`);
const INVOKE = ['bedrock:InvokeModel', 'bedrock:InvokeModelWithResponseStream'];
const LLAMA = 'meta.llama3-3-70b-instruct-v1:0';
const CLAUDE = 'anthropic.claude-sonnet-4-5-20250929-v1:0';

/** A router on Fargate in private subnets that calls Amazon Bedrock through VPC endpoints, by a regional and a global inference profile. */
export function bedrockCallers(): Template {
  const policy = (name: string, statements: object[]) => ({
    Type: 'AWS::IAM::Policy',
    Properties: { PolicyName: name, Roles: [ref('TaskRole')], PolicyDocument: { Version: '2012-10-17', Statement: statements } },
  });
  return {
    Resources: {
      ...privateNetwork(['bedrock-runtime', 'ecr.api', 'ecr.dkr', 'logs']),
      TaskRole: { Type: 'AWS::IAM::Role', Properties: { AssumeRolePolicyDocument: assumedBy('ecs-tasks.amazonaws.com') } },
      ExecutionRole: {
        Type: 'AWS::IAM::Role',
        Properties: {
          AssumeRolePolicyDocument: assumedBy('ecs-tasks.amazonaws.com'),
          ManagedPolicyArns: ['arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy'],
        },
      },
      Invoke: policy('invoke', [
        { Effect: 'Allow', Action: INVOKE, Resource: [profile(`us.${LLAMA}`)] },
        { Effect: 'Allow', Action: INVOKE, Resource: ['us-east-1', 'us-east-2', 'us-west-2'].map((region) => model(region, LLAMA)) },
      ]),
      GlobalRole: { Type: 'AWS::IAM::Role', Properties: { AssumeRolePolicyDocument: assumedBy('lambda.amazonaws.com') } },
      InvokeGlobal: {
        Type: 'AWS::IAM::Policy',
        Properties: {
          PolicyName: 'invoke-global',
          Roles: [ref('GlobalRole')],
          PolicyDocument: {
            Version: '2012-10-17',
            Statement: [
              { Effect: 'Allow', Action: INVOKE, Resource: [profile(`global.${CLAUDE}`)] },
              { Effect: 'Allow', Action: INVOKE, Resource: [model('us-east-2', CLAUDE), model('', CLAUDE)] },
            ],
          },
        },
      },
      Profile: {
        Type: 'AWS::Bedrock::ApplicationInferenceProfile',
        Properties: { InferenceProfileName: 'chat', ModelSource: { CopyFrom: profile('us.amazon.nova-pro-v1:0') } },
      },
      Router: {
        Type: 'AWS::Bedrock::IntelligentPromptRouter',
        Properties: {
          PromptRouterName: 'chat',
          Models: [
            { ModelArn: 'arn:aws:bedrock:us-east-2::foundation-model/amazon.nova-pro-v1:0' },
            { ModelArn: 'arn:aws:bedrock:us-east-2::foundation-model/amazon.nova-lite-v1:0' },
          ],
          FallbackModel: { ModelArn: 'arn:aws:bedrock:us-east-2::foundation-model/amazon.nova-lite-v1:0' },
          RoutingCriteria: { ResponseQualityDifference: 25 },
        },
      },
      Cluster: { Type: 'AWS::ECS::Cluster', Properties: {} },
      Logs: { Type: 'AWS::Logs::LogGroup', Properties: { RetentionInDays: 30 }, DeletionPolicy: 'Delete', UpdateReplacePolicy: 'Delete' },
      Task: {
        Type: 'AWS::ECS::TaskDefinition',
        Properties: {
          RequiresCompatibilities: ['FARGATE'],
          NetworkMode: 'awsvpc',
          Cpu: '1024',
          Memory: '2048',
          ExecutionRoleArn: att('ExecutionRole', 'Arn'),
          TaskRoleArn: att('TaskRole', 'Arn'),
          ContainerDefinitions: [{
            Name: 'router',
            Image: sub('${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/router:1'),
            LogConfiguration: {
              LogDriver: 'awslogs',
              Options: { 'awslogs-group': ref('Logs'), 'awslogs-region': ref('AWS::Region'), 'awslogs-stream-prefix': 'router' },
            },
          }],
        },
      },
      Service: {
        Type: 'AWS::ECS::Service',
        DependsOn: ['SubnetTable', 'OtherZoneSubnetTable'],
        Properties: {
          Cluster: ref('Cluster'),
          LaunchType: 'FARGATE',
          TaskDefinition: ref('Task'),
          DesiredCount: 2,
          DeploymentConfiguration: { MinimumHealthyPercent: 100, MaximumPercent: 200 },
          NetworkConfiguration: { AwsvpcConfiguration: { AssignPublicIp: 'DISABLED', Subnets: [ref('Subnet'), ref('OtherZoneSubnet')] } },
        },
      },
    },
  } as Template;
}
