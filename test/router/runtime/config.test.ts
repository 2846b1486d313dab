import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { configOf } from './harness';
import { ProblemsError } from '../../../src/problems';
import { loadRouterConfig, parseRouterConfig, ROUTER_CONFIG_SCHEMA, startRouter } from '../../../src/router/runtime';
import { DEFAULT_PREFIX_LOAD_FACTOR } from '../../../src/routing';

const TARGET = { name: 'decode', role: 'decode', protocol: 'openai', url: 'http://10.0.0.1:8000' };
const problemsOf = (config: unknown, env: { [name: string]: string } = { KEYS: 'k' }) => {
  try {
    parseRouterConfig(typeof config === 'string' ? config : JSON.stringify(config), env);
  } catch (e) {
    return (e as ProblemsError).problems;
  }
  return [];
};

test('every default is filled in', () => {
  const config = parseRouterConfig(JSON.stringify({
    schema: ROUTER_CONFIG_SCHEMA, model: { id: 'm', servedNames: ['m'] }, targets: [TARGET], auth: 'none',
  }), {});
  expect(config).toEqual({
    schema: ROUTER_CONFIG_SCHEMA,
    model: { id: 'm', servedNames: ['m'], images: false },
    port: 8080,
    targets: [{ ...TARGET, maxInFlight: 256, prefixLoadFactor: DEFAULT_PREFIX_LOAD_FACTOR }],
    routing: { minPromptTokens: 512, bytesPerToken: 4 },
    limits: {
      maxBodyBytes: 26214400,
      maxBodyValues: 500000,
      maxHeldBytes: 268435456,
      maxHeaderBytes: 16384,
      requestTimeoutSeconds: 900,
      firstByteTimeoutSeconds: 120,
      idleTimeoutSeconds: 60,
      prefillTimeoutSeconds: 60,
      kvLeaseSeconds: 25,
      bodyTimeoutSeconds: 120,
      writeStallSeconds: 30,
      keepAliveSeconds: 75,
    },
    queue: { maxRequests: 1000, maxPromptTokens: 300000, maxBytes: 134217728, maxWaitSeconds: 30 },
    rateLimits: {},
    priorityCallers: [],
    lameduckSeconds: 10,
    drainSeconds: 100,
    auth: 'none',
  });
});

test('editors may be told of the schema, and what is optional has its defaults', () => {
  const config = { ...configOf([TARGET]), $schema: './router-config.v1.schema.json', auth: { jwt: { issuer: 'https://a', audience: 'b' } }, emf: { router: 'r' } };
  expect(parseRouterConfig(JSON.stringify(config), {})).toMatchObject({
    auth: { jwt: { clockSkewSeconds: 60 } }, emf: { namespace: 'DisaggregatedInference', router: 'r', intervalSeconds: 60 },
  });
});

test.each([
  ['http://127.0.0.1:8080', {}], ['http://localhost:8080/base', {}], ['http://[::1]:8080', {}], ['http://router.internal:8080', { host: 'router.internal' }],
])('a target that is the router itself, %s, is refused', (url, more) => {
  const bedrock = { name: 'bedrock', role: 'aggregated', protocol: 'bedrock', region: 'us-east-1', modelName: 'm' };
  const config = { ...configOf([{ ...TARGET, url }, bedrock]), port: 8080, ...more };
  const problems = problemsOf(config, { KEYS: 'k', AWS_ENDPOINT_URL_BEDROCK_RUNTIME: url });
  expect(problems.map(({ rule, path }) => [rule, path])).toEqual([['RouterTargetItself', 'config.targets[0].url'], ['RouterTargetItself', 'config.targets[1].url']]);
  expect(problemsOf({ ...config, port: 8081 }, { KEYS: 'k', AWS_ENDPOINT_URL_BEDROCK_RUNTIME: url })).toEqual([]);
});

test.each([
  ['us-gov-west-1', 'https://bedrock-runtime.us-gov-west-1.amazonaws.com'], ['eusc-de-east-1', 'https://bedrock-runtime.eusc-de-east-1.amazonaws.eu'],
])('Bedrock of %s is at its endpoint there', (region, url) => {
  const target = { name: 'bedrock', role: 'aggregated', protocol: 'bedrock', region, modelName: 'm' };
  expect(parseRouterConfig(JSON.stringify(configOf([target])), { KEYS: 'k' }).targets[0].url).toBe(url);
});

test('callers that are not told apart cannot be named', () => {
  const config = { ...configOf([TARGET]), auth: 'none' };
  expect(problemsOf({ ...config, priorityCallers: ['chat'] }, {}).map(({ rule }) => rule)).toEqual(['RouterPriorityCallersUnknown']);
  expect(problemsOf({ ...config, priorityCallers: ['*'] }, {})).toEqual([]);
});

test('all that the schema refuses is told at once', () => {
  const problems = problemsOf({
    schema: 'v0',
    model: { id: '' },
    port: 99999,
    targets: [{ ...TARGET, role: 'draft', maxInflight: 3 }, { name: 'a b', role: 'decode', protocol: 'openai', srv: 's', url: 'u' }],
    limits: { maxBodyBytes: '1' },
    queue: { maxRequests: -1 },
    rateLimits: { tokensPerMinute: 0 },
    auth: 'None',
  });
  expect(problems.map(({ path, message }) => `${path}: ${message}`).sort()).toEqual([
    'config.auth: the authentication is not understood',
    'config.limits.maxBodyBytes: the value must be integer',
    'config.model.id: the value must NOT have fewer than 1 characters',
    'config.model: "servedNames" is missing',
    'config.port: the value must be <= 65535',
    'config.queue.maxRequests: the value must be >= 0',
    'config.rateLimits.tokensPerMinute: the value must be >= 1',
    'config.schema: the value is not the one allowed',
    'config.targets[0].role: the value is not one of those allowed',
    'config.targets[0]: "maxInflight" is not a setting',
    'config.targets[1].name: the value must match pattern "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"',
    'config.targets[1]: a target is found in exactly one way',
  ]);
  expect(problems.find(({ path }) => path === 'config.targets[0].role')).toMatchObject({
    value: '"draft"',
    mend: 'use one of ["prefill","decode","aggregated"]',
  });
  expect(problems.find(({ path }) => path === 'config.targets[0]')).toMatchObject({ mend: 'remove it, or use "maxInFlight"' });
});

test('all that a schema cannot say is told at once', () => {
  const problems = problemsOf(configOf([
    { ...TARGET, role: 'prefill', apiKeyEnv: 'ENGINE_KEY' },
    { ...TARGET, role: 'prefill', url: 'http://user:pass@host' },
    { ...TARGET, role: 'prefill', name: 'b', url: 'ftp://host' },
    { ...TARGET, role: 'prefill', name: 'c', url: 'https://host/base?x=1' },
    { ...TARGET, role: 'prefill', name: 'd', url: 'https://host/v1' },
  ], { lameduckSeconds: 3, limits: { maxBodyBytes: 2, maxHeldBytes: 1 } }), {});
  expect(JSON.stringify(problems)).not.toContain('pass');
  expect(problems.map(({ rule, path }) => `${rule} ${path}`)).toEqual([
    'RouterTargetKeyMissing config.targets[0].apiKeyEnv',
    'RouterTargetNameTaken config.targets[1].name',
    'RouterTargetUrl config.targets[1].url',
    'RouterTargetUrl config.targets[2].url',
    'RouterTargetUrl config.targets[3].url',
    'RouterTargetUrl config.targets[4].url',
    'RouterNothingAnswers config.targets',
    'RouterBodyTooLong config.limits.maxBodyBytes',
    'RouterApiKeysMissing config.auth.apiKeysEnv',
    'RouterLameduckTooLong config.lameduckSeconds',
  ]);
});

test.each<[object, string[]]>([
  [{}, ['RouterConfigInvalid config.auth: callers prove who they are in exactly one way']],
  [{ apiKeysEnv: 'KEYS', jwt: { issuer: 'https://a', audience: 'b' } }, ['RouterConfigInvalid config.auth: callers prove who they are in exactly one way']],
  [{ apiKeysEnv: 'KEYS', apiKeysSecret: { arn: 'keys' } }, [
    'RouterConfigInvalid config.auth.apiKeysSecret.arn: the value must match pattern "^arn:[^:]+:secretsmanager:[^:]+:[^:]+:secret:.+$"',
  ]],
  [{ jwt: { issuer: 'https://a' } }, ['RouterConfigInvalid config.auth.jwt: "audience" is missing']],
  [{ jwt: { issuer: 'a', audience: 'b', jwksUrl: '/keys' } }, [
    'RouterTokenIssuerUrl config.auth.jwt.issuer: this is no URL of HTTP', 'RouterTokenIssuerUrl config.auth.jwt.jwksUrl: this is no URL of HTTP',
  ]],
  [{ jwt: { issuer: 'https://a', audience: 'b', jwksUrl: 'file:///keys' } }, [
    'RouterTokenIssuerUrl config.auth.jwt.jwksUrl: this is no URL of HTTP',
  ]],
  [{ jwt: { issuer: 'https://a', audience: 'b' } }, []],
])('authentication %j', (auth, expected) => {
  expect(problemsOf(configOf([TARGET], { auth }), { KEYS: 'k' }).map(({ rule, path, message }) => `${rule} ${path}: ${message}`)).toEqual(expected);
});

test('a pair of targets is checked', () => {
  const prefill = { ...TARGET, name: 'prefill', role: 'prefill', kvConnector: 'NixlConnector' };
  const decode = { ...TARGET, kvConnector: 'NixlConnector', prefill: 'prefill' };
  const refusals = (targets: object[], more: object = {}) => problemsOf(configOf(targets, more)).map(({ rule, path, message }) => `${rule} ${path}: ${message}`);
  expect(refusals([decode, prefill])).toEqual([]);
  expect(refusals([{ ...decode, prefill: 'decode' }, { ...decode, name: 'b', prefill: 'nobody' }, { ...decode, name: 'c', role: 'aggregated' }, prefill])).toEqual([
    'RouterTargetPrefill config.targets[0].prefill: there is no target of this name with role "prefill"',
    'RouterTargetPrefill config.targets[1].prefill: there is no target of this name with role "prefill"',
    'RouterTargetPrefill config.targets[2].prefill: a target with role "aggregated" takes no KV cache',
  ]);
  expect(refusals([{ ...decode, kvConnector: undefined }, { ...prefill, kvConnector: undefined }])).toEqual([
    'RouterTargetPrefill config.targets[0].prefill: the targets\' KV connectors differ: null and null',
  ]);
  expect(refusals([decode, { ...prefill, kvConnector: 'NeuronNixlConnector' }])).toEqual([
    'RouterTargetPrefill config.targets[0].prefill: the targets\' KV connectors differ: "NixlConnector" and "NeuronNixlConnector"',
  ]);
  expect(refusals([decode, prefill], { limits: { firstByteTimeoutSeconds: 60 } })).toEqual([
    'RouterPrefillTimeoutTooLong config.limits.prefillTimeoutSeconds: the wait for a prefill engine leaves the decode engine no time to read the prompt itself',
  ]);
});

test('text that is not JSON is refused', () => {
  expect(problemsOf('{\n  "port": 80,\n}')).toMatchObject([{ rule: 'RouterConfigNotJson', path: 'config:3:1' }]);
});

test('keys that are no list of keys are refused without telling them', async () => {
  for (const KEYS of ['["a", 1]', '[]', '["a"', ' \n ']) {
    const started = startRouter(parseRouterConfig(JSON.stringify(configOf([TARGET])), { KEYS }), { KEYS }, pino({ enabled: false }));
    await expect(started).rejects.toThrow(ProblemsError);
    await expect(started).rejects.toThrow(/^\[config\.auth\.apiKeysEnv\] the API keys are not a list of keys \(/);
  }
});

test('it comes from one variable or one file', () => {
  const text = JSON.stringify(configOf([TARGET]));
  const file = join(mkdtempSync(join(tmpdir(), 'router-config-')), 'config.json');
  writeFileSync(file, text);
  expect(loadRouterConfig({ ROUTER_CONFIG: text, KEYS: 'k' })).toEqual(loadRouterConfig({ ROUTER_CONFIG_FILE: file, KEYS: 'k' }));
  expect(() => loadRouterConfig({})).toThrow(/the router has no configuration/);
  expect(() => loadRouterConfig({ ROUTER_CONFIG: text, ROUTER_CONFIG_FILE: file })).toThrow(/two configurations/);
  expect(() => loadRouterConfig({ ROUTER_CONFIG_FILE: '/nowhere.json' })).toThrow(/there is no such file, got: "\/nowhere.json" .*RouterConfigUnreadable/);
});
