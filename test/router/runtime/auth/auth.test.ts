import { generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer, Server } from 'node:http';
import { AddressInfo } from 'node:net';
import { performance } from 'node:perf_hooks';
import { exportJWK, generateKeyPair, JWTPayload, SignJWT } from 'jose';
import OpenAI from 'openai';
import { parseRouterConfig } from '../../../../src/router/runtime';
import { ask, chat, configOf, KEY, MockEngine, routerFor, TestRouter, until, whole, wholly } from '../harness';

const ARN = 'arn:aws:secretsmanager:us-east-2:111122223333:secret:keys-AbCdEf';
const AWS = { AWS_ACCESS_KEY_ID: 'AKID', AWS_SECRET_ACCESS_KEY: 'secret' };
const NAMES = [...Object.keys(AWS), 'AWS_ENDPOINT_URL_SECRETS_MANAGER'];

let engine: MockEngine;
let router: TestRouter;

beforeAll(async () => {
  engine = await MockEngine.start(whole);
});

afterAll(async () => engine.stop());

const start = async (auth: unknown, env: { [name: string]: string } = {}, more: object = {}) => {
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { auth, ...more }, env);
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
    ['a JSON list with names', '[{"name": "chat", "key": "first"}, "second"]'],
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

test.each(['[{"name": "chat"}]', '[{"key": ""}]', '[{"name": 1, "key": "k"}]', '[null]', '[["k"]]', '[]', '{"key": "k"}', '["two words"]', 'schlüssel'])('%s are no API keys', async (KEYS) => {
  await expect(start({ apiKeysEnv: 'KEYS' }, { KEYS })).rejects.toThrow('the API keys are not a list of keys');
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
    ['holds an object', holding('{\n  "apiKey": "s3cret"\n}'), 'the secret holds no keys'],
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

  test('goes on with its keys after a reload, and another begins with those of the environment', async () => {
    const target = { name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url };
    const reload = async (arn: string, refreshSeconds = 3600) => router.reload(parseRouterConfig(JSON.stringify(
      configOf([target], { auth: { apiKeysEnv: 'KEYS', apiKeysSecret: { arn, refreshSeconds } } })), { KEYS: KEY }));
    manager.behaviour = holding('new');
    await until(async () => enters('new'), 'the new key is let in');
    await reload(ARN, 0.05);
    manager.behaviour = holding('["new", "newer"]');
    await until(async () => enters('newer'), 'it is still read');
    await reload(ARN);
    expect([await enters('new'), await enters(KEY)]).toEqual([true, false]);
    await reload(`${ARN}2`);
    expect([await enters('new'), await enters(KEY)]).toEqual([false, true]);
  });
});

describe('JSON Web Tokens', () => {
  const audience = 'https://router.example';
  let server: Server;
  let issuer: string;
  let keysUrl: string;
  let asked: string[] = [];
  let isUp = true;
  let keyPair: Awaited<ReturnType<typeof generateKeyPair>>;
  // jose neither makes a key as short as this nor signs with one.
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });

  beforeAll(async () => {
    keyPair = await generateKeyPair('ES256');
    const keys = [
      { ...await exportJWK(keyPair.publicKey), kid: 'k1', alg: 'ES256' },
      { ...weak.publicKey.export({ format: 'jwk' }), kid: 'weak', alg: 'RS256' },
      { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA', kid: 'broken', alg: 'ES256' },
    ];
    server = createServer((request, response) => {
      asked.push(request.url!);
      const told = request.url === '/keys' ? { keys } : { issuer, jwks_uri: keysUrl };
      response.writeHead(isUp ? 200 : 500, { 'content-type': 'application/json' }).end(isUp ? JSON.stringify(told) : '{}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  beforeEach(() => {
    asked = [];
    isUp = true;
    keysUrl = `${issuer}/keys`;
  });
  afterEach(async () => router.drain());
  afterAll(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const tokenOf = async (
    claims: { iss?: string; aud?: string; exp?: number | string; sub?: unknown } = {}, key: any = keyPair.privateKey, alg = 'ES256', kid = 'k1',
  ) => {
    const { iss = issuer, aud = audience, exp = '1h', ...others } = claims;
    return new SignJWT(others as JWTPayload).setProtectedHeader({ alg, kid }).setIssuer(iss).setAudience(aud).setExpirationTime(exp).sign(key);
  };
  const secondsFromNow = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;

  test('of the issuer let a caller in, whose keys are asked for once', async () => {
    await start({ jwt: { issuer, audience } });
    for (let i = 0; i < 3; i++) {
      expect(await enters(await tokenOf())).toBe(true);
    }
    expect(await enters(await tokenOf({ exp: secondsFromNow(-20) }))).toBe(true);
    expect(asked).toEqual(['/.well-known/openid-configuration', '/keys']);
    expect(router.lines.find(({ msg }) => msg === 'listening').auth).toBe('jwt');
  });

  test('that are wrong in any way do not', async () => {
    await start({ jwt: { issuer, audience, jwksUrl: `${issuer}/keys` } });
    const other = await generateKeyPair('ES256');
    const claims = { iss: issuer, aud: audience, exp: secondsFromNow(600) };
    const partsOf = (header: object) => [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    const unsigned = partsOf({ alg: 'none' });
    const weakly = partsOf({ alg: 'RS256', kid: 'weak' });
    const tokens = [
      'no-token', `${unsigned}.`, await tokenOf({ iss: 'https://other.example' }), await tokenOf({ aud: 'other' }), await tokenOf({ exp: secondsFromNow(-120) }),
      await tokenOf({}, other.privateKey), await tokenOf({}, new TextEncoder().encode('k'.repeat(32)), 'HS256'),
      `${weakly}.${sign('sha256', Buffer.from(weakly), weak.privateKey).toString('base64url')}`, await tokenOf({}, keyPair.privateKey, 'ES256', 'broken'),
      await tokenOf({}, keyPair.privateKey, 'ES256', 'unknown'), await tokenOf({ sub: ['a'] }), await tokenOf({ sub: 7 }), await tokenOf({ sub: null }),
      // for ever
      await new SignJWT({}).setProtectedHeader({ alg: 'ES256', kid: 'k1' }).setIssuer(issuer).setAudience(audience).sign(keyPair.privateKey),
    ];
    expect(await Promise.all(tokens.map(enters))).toEqual(tokens.map(() => false));
    const { status } = await fetch(`${router.url}/v1/models`);
    expect([status, asked]).toEqual([401, ['/keys']]);
  });

  /** A token with these claims besides, and no audience unless they have one. */
  const withoutAudience = async (claims: object) =>
    new SignJWT({ ...claims }).setProtectedHeader({ alg: 'ES256', kid: 'k1' }).setIssuer(issuer).setExpirationTime('1h').sign(keyPair.privateKey);

  test('without an audience let the client in that is the audience, and no other', async () => {
    await start({ jwt: { issuer, audience } });
    const right = [{ client_id: audience, token_use: 'access' }, { client_id: audience }, { azp: audience }, { client_id: audience, azp: 'other' }];
    const wrong = [
      {}, { client_id: 'other', token_use: 'access' }, { azp: 'other' }, { client_id: 'other', azp: audience }, { client_id: [audience] }, { client_id: '' },
      { client_id: audience, token_use: 'id' }, { azp: audience, token_use: 'refresh' },
      // who names an audience means it.
      { client_id: audience, aud: 'other' }, { azp: audience, aud: 'other', token_use: 'access' }, { azp: audience, aud: [] }, { azp: audience, aud: null },
      { client_id: audience, token_use: 'access', sub: 7 },
    ];
    const entered = async (tokens: object[]) => Promise.all(tokens.map(async (claims) => enters(await withoutAudience(claims))));
    expect([await entered(right), await entered(wrong)]).toEqual([right.map(() => true), wrong.map(() => false)]);
  });

  test('without a subject are their client\'s', async () => {
    await start({ jwt: { issuer, audience } }, {}, { rateLimits: { requestsPerMinute: 1 } });
    const claims = [{ client_id: 'a' }, { azp: 'a' }, { client_id: 'b' }, { client_id: 'a', sub: 'joe' }];
    const statuses = [];
    for (const client of claims) {
      statuses.push((await ask(router.url, chat(), { authorization: `Bearer ${await withoutAudience({ ...client, aud: audience })}` })).status);
    }
    expect(statuses).toEqual([200, 429, 200, 200]);
  });

  test('of one subject have its limits together', async () => {
    await start({ jwt: { issuer, audience } }, {}, { rateLimits: { requestsPerMinute: 1 } });
    const tokens = [await tokenOf({ sub: 'a' }), await tokenOf({ sub: 'a', exp: '2h' }), await tokenOf({ sub: 'b' })];
    const statuses = [];
    for (const token of tokens) {
      statuses.push((await ask(router.url, chat(), { authorization: `Bearer ${token}` })).status);
    }
    expect(statuses).toEqual([200, 429, 200]);
  });

  test('are nobody\'s fault while the issuer is down, and are checked once it is up', async () => {
    isUp = false;
    await start({ jwt: { issuer, audience } });
    const { status, headers } = await ask(router.url, chat(), { authorization: `Bearer ${await tokenOf()}` });
    expect([status, headers.get('retry-after')]).toEqual([503, '1']);
    isUp = true;
    expect(await enters(await tokenOf())).toBe(true);
    isUp = false;
    // what is cached is enough to tell that a key is none of them.
    const unknown = await tokenOf({}, keyPair.privateKey, 'ES256', 'unknown');
    expect([await enters(await tokenOf()), await enters(unknown)]).toEqual([true, false]);
    // for a while, after which the issuer may have made another.
    const now = Date.now();
    const clock = jest.spyOn(Date, 'now').mockImplementation(() => now + 60_000);
    const later = await ask(router.url, chat(), { authorization: `Bearer ${unknown}` });
    clock.mockRestore();
    expect(later.status).toBe(503);
  });

  test('are checked for hours while the issuer is down, which is asked now and then', async () => {
    const real = performance.now.bind(performance);
    let minutes = 0;
    const clock = jest.spyOn(performance, 'now').mockImplementation(() => real() + minutes * 60_000);
    const entersTwice = async () => [await enters(await tokenOf()), await enters(await tokenOf())];
    const isAsked = async () => until(() => asked.length > 0, 'the issuer is asked');
    try {
      await start({ jwt: { issuer, audience, jwksUrl: `${issuer}/keys` } });
      expect(await entersTwice()).toEqual([true, true]);
      [isUp, asked, minutes] = [false, [], 15];
      expect(await entersTwice()).toEqual([true, true]);
      await isAsked();
      [asked, minutes] = [[], 16];
      expect(await entersTwice()).toEqual([true, true]);
      await isAsked();
      expect(asked).toEqual(['/keys']);
      await until(() => router.lines.some(({ msg }) => msg.includes('cannot be had')), 'the log tells it');
      minutes = 300;
      expect((await ask(router.url, chat(), { authorization: `Bearer ${await tokenOf()}` })).status).toBe(503);
      isUp = true;
      expect(await entersTwice()).toEqual([true, true]);
    } finally {
      clock.mockRestore();
    }
  });

  test('whose keys the issuer has where the router does not get to: the log says once where that is', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    keysUrl = `http://127.0.0.1:${(other.address() as AddressInfo).port}/keys`;
    await new Promise((resolve) => other.close(resolve));
    await start({ jwt: { issuer, audience } });
    const ask503 = async () => (await ask(router.url, chat(), { authorization: `Bearer ${await tokenOf()}` })).status;
    expect([await ask503(), await ask503()]).toEqual([503, 503]);
    expect(router.lines.filter(({ msg }) => msg.includes('cannot be had'))).toEqual([expect.objectContaining({ level: 40, url: keysUrl, error: 'ECONNREFUSED' })]);
  });
});
