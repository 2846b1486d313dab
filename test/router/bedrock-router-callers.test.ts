import {
  App, Duration, Stack, aws_ec2 as ec2, aws_elasticache as elasticache, aws_iam as iam,
  aws_secretsmanager as secretsmanager,
} from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { container, inStack, synth } from './router-stack';
import { configIn } from './template-config';
import { BedrockRouter, RouterValkey } from '../../src/router';
import { parseRouterConfig } from '../../src/router/runtime';

describe('callers with tokens of an issuer', () => {
  const tokenIssuer = { issuerUrl: 'https://login.example.com', audience: 'llm', clockSkew: Duration.seconds(5) };

  test('need no API keys, and there are none', () => {
    const { template, stack, router } = synth(() => ({ tokenIssuer }));
    const { auth } = parseRouterConfig(JSON.stringify(configIn(template)), {});
    expect(auth).toEqual({ jwt: { issuer: 'https://login.example.com', audience: 'llm', clockSkewSeconds: 5 } });
    template.resourceCountIs('AWS::SecretsManager::Secret', 0);
    expect(container(template).Secrets.map(({ Name }: any) => Name)).toEqual(['ROUTER_CONFIG']);
    expect(JSON.stringify(template.findResources('AWS::IAM::ManagedPolicy'))).not.toContain('secretsmanager');
    expect(router.apiKeysSecret).toBeUndefined();
    expect(() => router.grantReadApiKeys(new iam.Role(stack, 'Reader', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') }))).toThrow(
      '[Stack/Router] callers of this router present tokens of an issuer, so it has no API keys (let the caller have a token of the issuer, or leave tokenIssuer out) [RouterApiKeysNone]');
  });

  test('may have the issuer and its keys at ports of their own, which the tasks may reach', () => {
    const { template } = synth(() => ({ tokenIssuer: { ...tokenIssuer, issuerUrl: 'https://login.example.com:8443/realm', jwksUrl: 'https://keys.example.com:9443/' } }));
    const [group] = Object.values(template.findResources('AWS::EC2::SecurityGroup', { Properties: { GroupDescription: 'Tasks of the router' } }));
    expect(group.Properties.SecurityGroupEgress.map(({ FromPort }: any) => FromPort)).toEqual([443, 8443, 9443]);
  });
});

describe('limits that tasks share', () => {
  test('are in a serverless cache, which is opened to the tasks alone', () => {
    const { template } = synth((stack, vpc) => {
      const group = new ec2.SecurityGroup(stack, 'CacheGroup', { vpc });
      const cache = new elasticache.CfnServerlessCache(stack, 'Cache', { engine: 'valkey', serverlessCacheName: 'limits', securityGroupIds: [group.securityGroupId] });
      return {
        requestsPerMinutePerCaller: 60,
        valkey: RouterValkey.serverlessCache(cache, {
          connections: group, username: 'router', passwordSecret: secretsmanager.Secret.fromSecretNameV2(stack, 'Password', 'valkey'),
        }),
      };
    });
    template.hasResourceProperties('AWS::EC2::SecurityGroupIngress', {
      GroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('CacheGroup'), 'GroupId'] },
      SourceSecurityGroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('RouterTaskSecurityGroup'), 'GroupId'] },
      FromPort: 6379,
      ToPort: 6380,
    });
    const { rateLimits } = configIn(template);
    expect(rateLimits).toEqual({
      requestsPerMinute: 60, valkey: { url: 'valkeys://token:token', username: 'router', passwordEnv: 'VALKEY_PASSWORD', cluster: true },
    });
    expect(container(template).Secrets.map(({ Name }: any) => Name)).toContain('VALKEY_PASSWORD');
  });

  test('are at any other server, whose port the tasks may reach', () => {
    const { template } = synth(() => ({ tokensPerMinutePerCaller: 1000, valkey: RouterValkey.server({ host: 'valkey.example', port: 7000 }) }));
    const { rateLimits } = parseRouterConfig(JSON.stringify(configIn(template)), { ROUTER_API_KEYS: 'k' });
    expect(rateLimits.valkey).toEqual({ url: 'valkeys://valkey.example:7000', cluster: false, keyPrefix: 'router:limits:', timeoutSeconds: 0.1 });
    template.hasResourceProperties('AWS::EC2::SecurityGroup', {
      GroupDescription: 'Tasks of the router', SecurityGroupEgress: Match.arrayWith([Match.objectLike({ FromPort: 7000, ToPort: 7000 })]),
    });
  });
});

describe('a user of the router', () => {
  test('is let in, may read the keys, and sees its metrics', () => {
    const { stack, vpc, router } = inStack();
    const client = new ec2.SecurityGroup(stack, 'Client', { vpc, allowAllOutbound: false });
    router.connections.allowDefaultPortFrom(client);
    router.grantReadApiKeys(new iam.Role(stack, 'Reader', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') }));
    const template = Template.fromStack(stack);
    template.hasResourceProperties('AWS::EC2::SecurityGroupIngress', { FromPort: 80, SourceSecurityGroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('Client'), 'GroupId'] } });
    template.hasResourceProperties('AWS::IAM::Policy', {
      PolicyName: Match.stringLikeRegexp('Reader'),
      PolicyDocument: Match.objectLike({ Statement: [Match.objectLike({ Action: ['secretsmanager:GetSecretValue', 'secretsmanager:DescribeSecret'] })] }),
    });
    const metrics = [router.metricRequests(), router.metricResponseTime({ period: Duration.minutes(1) }), router.metricServerErrors()];
    expect(metrics.map((metric) => [metric.namespace, metric.metricName, metric.statistic, metric.period.toSeconds()])).toEqual([
      ['AWS/ApplicationELB', 'RequestCount', 'Sum', 300],
      ['AWS/ApplicationELB', 'TargetResponseTime', 'p95', 60],
      ['DisaggregatedInference', 'ServerErrors', 'Sum', 300],
    ]);
    expect(Object.keys(metrics[0].dimensions!).sort()).toEqual(['LoadBalancer', 'TargetGroup']);
  });

  test('can tell of it what whoever uses it elsewhere has to know', () => {
    const { stack, router } = inStack();
    const { url, loadBalancer: { loadBalancerFullName }, targetGroupFullName, metricsName, metricsNamespace } = router;
    const known = BedrockRouter.fromBedrockRouterAttributes(stack, 'Known', {
      url, securityGroups: router.connections.securityGroups, loadBalancerFullName, targetGroupFullName, metricsName, metricsNamespace,
    });
    expect(stack.resolve(known.metricRequests().dimensions)).toEqual(stack.resolve(router.metricRequests().dimensions));
    expect(known.metricOutputTokens().dimensions).toEqual(router.metricOutputTokens().dimensions);
  });

  test('can use one that exists', () => {
    const stack = new Stack(new App(), 'Stack');
    const attributes = {
      url: 'https://llm.example.com',
      securityGroups: [ec2.SecurityGroup.fromSecurityGroupId(stack, 'Group', 'sg-1')],
      loadBalancerFullName: 'app/a/1',
      targetGroupFullName: 'targetgroup/t/2',
    };
    const router = BedrockRouter.fromBedrockRouterAttributes(stack, 'Router', attributes);
    expect(router.url).toBe('https://llm.example.com');
    expect(router.metricRequests().dimensions).toEqual({ LoadBalancer: 'app/a/1', TargetGroup: 'targetgroup/t/2' });
    router.connections.allowDefaultPortFrom(ec2.Peer.ipv4('10.0.0.0/8'));
    Template.fromStack(stack).hasResourceProperties('AWS::EC2::SecurityGroupIngress', { GroupId: 'sg-1', FromPort: 443, CidrIp: '10.0.0.0/8' });
    expect(() => router.metricThrottles()).toThrow('[Stack/Router] what the tasks of this router tell is not known (give metricsName when importing it) [RouterMetricsUnknown]');
    const told = BedrockRouter.fromBedrockRouterAttributes(stack, 'Told', { ...attributes, metricsName: 'r' }).metricTimeToFirstToken();
    expect([told.namespace, told.statistic, told.dimensions]).toEqual(['DisaggregatedInference', 'p95', { Router: 'r' }]);
    const role = new iam.Role(stack, 'Reader', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') });
    expect(() => router.grantReadApiKeys(role)).toThrow('[Stack/Router] the secret of this router is not known (give apiKeysSecret when importing it) [RouterApiKeysUnknown]');
  });
});
