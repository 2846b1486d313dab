import OpenAI from 'openai';
import { ask, chat, KEY, MockEngine, routerFor, TestRouter, until, whole, wholly } from './harness';

const ARN = 'arn:aws:secretsmanager:us-east-2:111122223333:secret:keys-AbCdEf';
const AWS = { AWS_ACCESS_KEY_ID: 'AKID', AWS_SECRET_ACCESS_KEY: 'secret' };
const NAMES = [...Object.keys(AWS), 'AWS_ENDPOINT_URL_SECRETS_MANAGER'];

let engine: MockEngine;
let router: TestRouter;

beforeAll(async () => {
  engine = await MockEngine.start(whole);
});

afterAll(async () => engine.stop());

const start = async (auth: unknown, env: { [name: string]: string } = {}) => {
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { auth }, env);
};

/** Whether a caller with this key is let in. */
async function enters(key: string): Promise<boolean> {
  const { status } = await ask(router.url, chat(), { authorization: `Bearer ${key}` });
  expect([200, 401]).toContain(status);
  return status === 200;
}

describe('API keys', () => {
  afterEach(async () => router.drain());

  test.each([
    ['one a line', 'first\n second \n'],
    ['a JSON list', '["first", "second"]'],
  ])('are %s, and nothing else lets anybody in', async (_, KEYS) => {
    await start({ apiKeysEnv: 'KEYS' }, { KEYS });
    expect(await Promise.all(['first', 'second', 'third', 'firs'].map(enters))).toEqual([true, true, false, false]);
    for (const authorization of ['first', 'Basic first', 'Bearer ', 'Bearer first second']) {
      expect((await ask(router.url, chat(), { authorization })).status).toBe(401);
    }
    const stranger = new OpenAI({ baseURL: `${router.url}/v1`, apiKey: 'third', maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toThrow(OpenAI.AuthenticationError);
    expect(router.lines.find(({ msg }) => msg === 'listening').auth).toBe('apiKeys');
  });
});

describe('a secret in Secrets Manager', () => {
  let manager: MockEngine;
  const before = Object.fromEntries(NAMES.map((name) => [name, process.env[name]]));
  const holding = (text: string | undefined) => wholly({ ARN, Name: 'keys', SecretString: text });
  const refused = wholly({ __type: 'AccessDeniedException', message: 'User is not authorized' }, 400);

  beforeEach(async () => {
    manager = await MockEngine.start(holding(KEY));
    Object.assign(process.env, AWS, { AWS_ENDPOINT_URL_SECRETS_MANAGER: manager.url });
    await start({ apiKeysEnv: 'KEYS', apiKeysSecret: { arn: ARN, refreshSeconds: 0.05 } });
  });

  afterEach(async () => {
    await router.drain();
    await manager.stop();
    for (const [name, value] of Object.entries(before)) {
      delete process.env[name];
      Object.assign(process.env, value === undefined ? {} : { [name]: value });
    }
  });

  test('has other keys, which are those of the router soon after, without a restart', async () => {
    expect(await enters(KEY)).toBe(true);
    manager.behaviour = holding(`["${KEY}", "new"]`);
    await until(async () => enters('new'), 'the new key is let in');
    expect(await enters(KEY)).toBe(true);
    manager.behaviour = holding('new');
    await until(async () => !await enters(KEY), 'the old key is no longer let in');
    expect(await enters('new')).toBe(true);
    const { headers, body } = manager.requests[0];
    expect([headers['x-amz-target'], body]).toEqual(['secretsmanager.GetSecretValue', { SecretId: ARN }]);
    expect(headers.authorization).toContain('/us-east-2/secretsmanager/aws4_request');
  });

  test.each([
    ['cannot be read', refused, 'AccessDeniedException'],
    ['holds no keys', holding('[]'), 'the secret holds no keys'],
    ['holds no text', holding(undefined), 'the secret holds no keys'],
  ])('that %s leaves the keys as they were, and says so', async (_, behaviour, failure) => {
    manager.behaviour = behaviour;
    await until(() => router.lines.some((line) => line.failure === failure), 'it is logged');
    expect(await enters(KEY)).toBe(true);
    expect(router.lines.find((line) => line.failure === failure)).toMatchObject({ level: 50, msg: expect.stringContaining('those before stay') });
    manager.behaviour = holding('new');
    await until(async () => enters('new'), 'it is read once it can be');
  });

  test('is read no more once the router has gone down', async () => {
    await until(() => manager.requests.length > 0, 'it is read');
    await router.drain();
    const asked = manager.requests.length;
    // a router that runs reads it again and again meanwhile.
    await start({ apiKeysEnv: 'KEYS', apiKeysSecret: { arn: `${ARN}2`, refreshSeconds: 0.05 } });
    const by = (arn: string) => manager.requests.slice(asked).filter(({ body }) => body.SecretId === arn).length;
    await until(() => by(`${ARN}2`) > 4, 'the other is read');
    expect(by(ARN)).toBeLessThanOrEqual(1);
  });
});
