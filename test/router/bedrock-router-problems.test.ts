import { CfnParameter, Duration, Lazy, Stack, aws_secretsmanager as secretsmanager } from 'aws-cdk-lib';
import { Annotations, Match } from 'aws-cdk-lib/assertions';
import { CLOUD, cloud, inStack } from './router-stack';
import { BedrockModel, EngineEndpoint, EngineRole } from '../../src/decode';
import { Problem, ProblemsError } from '../../src/problems';
import { RouterValkey } from '../../src/router';

describe('wrong input', () => {
  test('of settings is refused with every problem at once', () => {
    let problems: Problem[] = [];
    try {
      inStack((stack) => ({
        apiKeysSecret: secretsmanager.Secret.fromSecretNameV2(stack, 'Keys', 'keys'),
        tokenIssuer: { issuerUrl: 'http://login.example.com', audience: 'llm', jwksUrl: 'keys' },
        valkey: RouterValkey.server({ host: 'valkey.example' }),
        queue: { maxRequests: 0.5, maxPromptTokens: 0, maxWait: Duration.seconds(0) },
        bedrockRates: { perRequest: Duration.millis(1), perThousandOutputTokens: Duration.millis(1) },
        engines: [EngineEndpoint.cerebras({ name: 'x', modelName: 'm', apiKeySecret: secretsmanager.Secret.fromSecretNameV2(stack, 'Key', 'key'), defaultMaxTokens: 0 })],
      }));
    } catch (e) {
      ({ problems } = e as ProblemsError);
    }
    expect(problems.map(({ rule, path }) => `${rule} ${path}`)).toEqual([
      'RouterEngineMaxTokens Stack/Router.engines[0].defaultMaxTokens',
      'RouterValkeyUnused Stack/Router.valkey',
      'RouterQueue Stack/Router.queue.maxRequests',
      'RouterQueue Stack/Router.queue.maxPromptTokens',
      'RouterQueue Stack/Router.queue.maxWait',
      'RouterAuthTwice Stack/Router.tokenIssuer',
      'RouterTokenIssuer Stack/Router.tokenIssuer.issuerUrl',
      'RouterTokenIssuer Stack/Router.tokenIssuer.jwksUrl',
      'RouterBedrockRates Stack/Router.bedrockRates',
    ]);
  });

  test('a secret that is none, wherever it is; what is only known at deployment is not guessed at', () => {
    const none = (stack: Stack, id: string) => secretsmanager.Secret.fromSecretPartialArn(stack, id, 'arn:aws:ssm:us-east-2:111122223333:parameter/keys');
    let problems: Problem[] = [];
    try {
      inStack((stack) => ({
        apiKeysSecret: none(stack, 'Keys'),
        engines: [cloud({ apiKeySecret: none(stack, 'EngineKey') })],
        requestsPerMinutePerCaller: 1,
        valkey: RouterValkey.server({ host: 'valkey.example', passwordSecret: none(stack, 'Password') }),
      }));
    } catch (e) {
      ({ problems } = e as ProblemsError);
    }
    expect(problems.map(({ rule, path }) => `${rule} ${path}`)).toEqual(
      ['engines[0].apiKeySecret', 'valkey.passwordSecret', 'apiKeysSecret'].map((where) => `RouterSecretArn Stack/Router.${where}`));
    const { stack } = inStack((scope) => ({
      apiKeysSecret: secretsmanager.Secret.fromSecretCompleteArn(scope, 'Keys', new CfnParameter(scope, 'Arn').valueAsString),
    }));
    Annotations.fromStack(stack).hasNoWarning('/Stack/Router', Match.stringLikeRegexp('RouterSecretPartial'));
  });

  test('a secret that is known by its name alone may be one that ECS does not find: a warning says so', () => {
    const { stack } = inStack((scope) => ({ apiKeysSecret: secretsmanager.Secret.fromSecretNameV2(scope, 'Keys', 'keys') }));
    Annotations.fromStack(stack).hasWarning('/Stack/Router', Match.stringLikeRegexp('of "Stack/Keys" its last six characters.*RouterSecretPartial'));
  });

  test('Bedrock in a region that is none', () => {
    const engines = [CLOUD, EngineEndpoint.bedrock({ name: 'fallback', model: BedrockModel.foundationModel('amazon.nova-pro-v1:0') })];
    const routed = (region: string) => () => inStack(() => ({ engines }), { region, account: '111122223333' });
    expect(routed('eusc-de-east-1')).not.toThrow();
    expect(routed('europe')).toThrow('[Stack/Router.engines[1]] the region of the stack is none that Bedrock could be called in, got: "europe"');
  });

  test('a URL that the service would refuse at its start, and names that are there twice or empty', () => {
    const named = (url: string) => () => inStack(() => ({ engines: [cloud({ url })], servedModelNames: ['a', '', 'a'] }));
    for (const url of ['https://engine.example?key=1', 'https://me:secret@engine.example', 'ftp://engine.example', 'engine']) {
      expect(named(url)).toThrow(/RouterEngineUrl/);
      expect(named(url)).toThrow(/RouterModelNames/);
    }
  });

  test('is refused with every problem at once', () => {
    const refused = () => inStack(() => ({
      servedModelNames: undefined,
      engines: [
        EngineEndpoint.openai({ name: 'a b', role: EngineRole.PREFILL }),
        EngineEndpoint.openai({ name: 'x', role: EngineRole.PREFILL, url: 'http://x.example', discoverySrvName: 'x' }),
        EngineEndpoint.openai({ name: 'x', role: EngineRole.PREFILL, discoverySrvName: 's', metricsPath: 'metrics', kvBlockTokens: 0 }),
      ],
      requestTimeout: Duration.hours(2),
      drainTimeout: Duration.minutes(3),
      maxRequestsPerEngine: 0,
      minPromptTokens: -1,
      requestsPerMinutePerCaller: 0,
      tokensPerMinutePerCaller: NaN,
      spec: {
        schema: 'cdk-disaggregated-inference/deployment-spec/v1',
        model: { id: 'llama-3.3-70b' },
        workload: { source: 'steady', requestsPerSecond: 1, lengthClasses: [] },
        decode: { hardware: 'trn2.48xlarge', instances: 1 },
      },
    }));
    let problems: Problem[] = [];
    try {
      refused();
    } catch (e) {
      ({ problems } = e as ProblemsError);
    }
    expect(problems.map(({ rule, path }) => `${rule} ${path}`)).toEqual([
      'WorkloadWithoutClasses Stack/Router.spec.workload.lengthClasses',
      'RouterNothingAnswers Stack/Router.engines',
      'RouterEngineName Stack/Router.engines[0].name',
      'RouterEngineAddress Stack/Router.engines[0]',
      'RouterEnginePort Stack/Router.engines[0].port',
      'RouterEngineAddress Stack/Router.engines[1]',
      'RouterEngineName Stack/Router.engines[2].name',
      'RouterEngineMetrics Stack/Router.engines[2].metricsPath',
      'RouterEngineBlocks Stack/Router.engines[2].kvBlockTokens',
      'RouterEnginePort Stack/Router.engines[2].port',
      'RouterTime Stack/Router.requestTimeout',
      'RouterTime Stack/Router.drainTimeout',
      'RouterMinPromptTokens Stack/Router.minPromptTokens',
      'RouterRateLimit Stack/Router.requestsPerMinutePerCaller',
      'RouterRateLimit Stack/Router.tokensPerMinutePerCaller',
      'RouterMaxRequests Stack/Router.maxRequestsPerEngine',
    ]);
    expect(() => inStack(() => ({ servedModelNames: undefined }))).toThrow('the router does not know which model it serves');
    expect(() => inStack(() => ({ drainTimeout: Duration.seconds(Lazy.number({ produce: () => 10 })) }))).toThrow(
      '[Stack/Router.drainTimeout] the time is not known at synthesis (give a number, not a token) [RouterTime]');
    expect(refused).toThrow('the time is out of bounds, got: 180 (give a whole number of seconds from 1 to 115)');
  });
});
