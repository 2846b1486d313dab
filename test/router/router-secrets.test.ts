import { App, Stack, StackProps, aws_ec2 as ec2, aws_ecs as ecs, aws_iam as iam, aws_kms as kms, aws_secretsmanager as secretsmanager } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { EngineEndpoint } from '../../src/decode';
import { BedrockRouter, BedrockRouterProps, RouterValkey } from '../../src/router';

const env = { region: 'eu-west-1', account: '111122223333' };
const KEY_ARN = 'arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';

const routerIn = (stack: Stack, props: Partial<BedrockRouterProps>, vpc: ec2.IVpc = new ec2.Vpc(stack, 'Vpc')) => new BedrockRouter(stack, 'Router', {
  vpc,
  image: ecs.ContainerImage.fromRegistry('router.example/router:1'),
  engines: [EngineEndpoint.openai({ name: 'engine', url: 'http://engine.example:8000' })],
  servedModelNames: ['llama'],
  ...props,
});
const roleIn = (stack: Stack) => new iam.Role(stack, 'Reader', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') });
const stackOf = (app: App, id: string, props?: StackProps) => new Stack(app, id, { env, ...props });

/** That a policy of a role, whose logical id begins so, allows it to decrypt with a key what comes through Secrets Manager. */
const expectDecrypts = (template: Template, type: 'Policy' | 'ManagedPolicy', role: string, key: unknown) => template.hasResourceProperties(`AWS::IAM::${type}`, {
  Roles: [{ Ref: Match.stringLikeRegexp(`^${role}`) }],
  PolicyDocument: {
    Statement: Match.arrayWith([Match.objectLike({
      Action: 'kms:Decrypt', Resource: key, Condition: { StringEquals: { 'kms:ViaService': 'secretsmanager.eu-west-1.amazonaws.com' } },
    })]),
  },
});

describe('whoever reads a secret may use its key', () => {
  test('of generated API keys: those who start tasks, the tasks, and callers', () => {
    const stack = stackOf(new App(), 'Stack');
    const router = routerIn(stack, { encryptionKey: new kms.Key(stack, 'Key') });
    router.grantReadApiKeys(roleIn(stack));
    const template = Template.fromStack(stack);
    const key = { 'Fn::GetAtt': [Match.stringLikeRegexp('^Key'), 'Arn'] };
    expectDecrypts(template, 'ManagedPolicy', 'RouterExecutionRole', key);
    expectDecrypts(template, 'ManagedPolicy', 'RouterTaskRole', key);
    expectDecrypts(template, 'Policy', 'Reader', key);
  });

  test('of keys of engines and of a password, which tasks are started with', () => {
    const stack = stackOf(new App(), 'Stack');
    const secretOf = (id: string, key: string) => new secretsmanager.Secret(stack, id, { encryptionKey: kms.Key.fromKeyArn(stack, `${id}Key`, KEY_ARN + key) });
    routerIn(stack, {
      engines: [EngineEndpoint.openai({ name: 'engine', url: 'https://engine.example', apiKeySecret: secretOf('Engine', '1') })],
      requestsPerMinutePerCaller: 1,
      valkey: RouterValkey.server({ host: 'valkey.example', passwordSecret: secretOf('Password', '2') }),
    });
    const template = Template.fromStack(stack);
    expectDecrypts(template, 'ManagedPolicy', 'RouterExecutionRole', `${KEY_ARN}1`);
    expectDecrypts(template, 'ManagedPolicy', 'RouterExecutionRole', `${KEY_ARN}2`);
  });

  test('of another stack, without making that depend on the stack of the router, or of a caller', () => {
    const app = new App();
    const shared = stackOf(app, 'Shared');
    const encryptionKey = new kms.Key(shared, 'Key');
    const secretOf = (id: string) => new secretsmanager.Secret(shared, id, { encryptionKey });
    const stack = stackOf(app, 'Stack');
    const router = routerIn(stack, {
      engines: [EngineEndpoint.openai({ name: 'engine', url: 'https://engine.example', apiKeySecret: secretOf('Engine') })],
      apiKeysSecret: secretOf('ApiKeys'),
      encryptionKey,
    }, new ec2.Vpc(shared, 'Vpc'));
    const caller = stackOf(app, 'Caller');
    router.grantReadApiKeys(roleIn(caller));
    const template = Template.fromStack(stack);
    const key = { 'Fn::ImportValue': Match.stringLikeRegexp('Key') };
    expectDecrypts(template, 'ManagedPolicy', 'RouterExecutionRole', key);
    expectDecrypts(template, 'ManagedPolicy', 'RouterTaskRole', key);
    expectDecrypts(Template.fromStack(caller), 'Policy', 'Reader', key);
    template.hasResourceProperties('AWS::IAM::ManagedPolicy', {
      Roles: [{ Ref: Match.stringLikeRegexp('^RouterTaskRole') }],
      PolicyDocument: {
        Statement: Match.arrayWith([Match.objectLike({
          Action: ['secretsmanager:GetSecretValue', 'secretsmanager:DescribeSecret'], Resource: { 'Fn::ImportValue': Match.stringLikeRegexp('ApiKeys') },
        })]),
      },
    });
  });

  test('by an alias, which policies take as a condition alone', () => {
    const aliasOf = (alias: (stack: Stack) => kms.IAlias) => {
      const stack = stackOf(new App(), 'Stack');
      routerIn(stack, { encryptionKey: alias(stack) });
      Template.fromStack(stack).hasResourceProperties('AWS::IAM::ManagedPolicy', {
        Roles: [{ Ref: Match.stringLikeRegexp('^RouterTaskRole') }],
        PolicyDocument: {
          Statement: Match.arrayWith([Match.objectLike({
            Action: 'kms:Decrypt',
            Resource: { 'Fn::Join': ['', ['arn:', { Ref: 'AWS::Partition' }, ':kms:eu-west-1:111122223333:key/*']] },
            Condition: {
              'StringEquals': { 'kms:ViaService': 'secretsmanager.eu-west-1.amazonaws.com' }, 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': 'alias/llm' },
            },
          })]),
        },
      });
    };
    aliasOf((stack) => kms.Alias.fromAliasName(stack, 'Alias', 'alias/llm'));
    aliasOf((stack) => new kms.Alias(stack, 'Alias', { aliasName: 'alias/llm', targetKey: kms.Key.fromKeyArn(stack, 'Key', KEY_ARN) }));
  });
});
