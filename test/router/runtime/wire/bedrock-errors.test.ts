import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as bedrock from '@aws-sdk/client-bedrock-runtime';
import { ApiError } from '../../../../src/router/runtime/wire/api-error';
import { ConverseWire } from '../../../../src/router/runtime/wire/bedrock/converse-wire';
import { InvokeModelWire } from '../../../../src/router/runtime/wire/bedrock/invoke-model';
import { broken, KEY, MockEngine, MODEL, routerFor, TestRouter, wholly } from '../harness';

const TYPES = join(__dirname, '../../../../node_modules/@aws-sdk/client-bedrock-runtime/dist-types/commands');
const ASKED = { modelId: MODEL, messages: [{ role: 'user' as const, content: [{ text: 'hello' }] }] };
const INVOKED = { modelId: MODEL, body: JSON.stringify({ messages: [{ role: 'user', content: 'hello' }] }) };
const OPERATIONS: [string, object][] = [
  ['Converse', ASKED], ['ConverseStream', ASKED], ['InvokeModel', INVOKED], ['InvokeModelWithResponseStream', INVOKED],
  ['CountTokens', { modelId: MODEL, input: { converse: { messages: ASKED.messages } } }],
];
/** The statuses of Bedrock's service model. */
const STATUSES: { readonly [name: string]: number } = {
  ValidationException: 400,
  AccessDeniedException: 403,
  ResourceNotFoundException: 404,
  ModelTimeoutException: 408,
  ModelErrorException: 424,
  ModelStreamErrorException: 424,
  ThrottlingException: 429,
  InternalServerException: 500,
  ServiceUnavailableException: 503,
};
/** The members of the streams of both operations that have one. */
const IN_STREAMS = ['internalServerException', 'modelStreamErrorException', 'validationException', 'throttlingException', 'serviceUnavailableException'];

let engine: MockEngine;
let router: TestRouter;
const clients: bedrock.BedrockRuntimeClient[] = [];

beforeAll(async () => {
  engine = await MockEngine.start(broken);
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { limits: { firstByteTimeoutSeconds: 0.2 } });
});
afterAll(async () => {
  clients.forEach((client) => client.destroy());
  await router.drain();
  await engine.stop();
});

function sdk(token = KEY): bedrock.BedrockRuntimeClient {
  const client = new bedrock.BedrockRuntimeClient({
    endpoint: router.url, region: 'us-east-2', token: { token }, authSchemePreference: ['httpBearerAuth'], maxAttempts: 1,
  });
  clients.push(client);
  return client;
}

/** What the SDK declares that an operation throws. */
const thrownBy = (operation: string) =>
  [...readFileSync(join(TYPES, `${operation}Command.d.ts`), 'utf8').matchAll(/@throws \{@link (\w+Exception)\} \((?:client|server) fault\)/g)].map(([, name]) => name);

describe.each(OPERATIONS)('%s fails with an exception that it has in AWS\' SDK, and with its status', (operation, input) => {
  const send = async (client: bedrock.BedrockRuntimeClient, more: object = {}) => {
    const Command = (bedrock as any)[`${operation}Command`];
    return client.send(new Command({ ...input, ...more }) as bedrock.ConverseCommand);
  };
  const expectModelled = async (asked: Promise<unknown>) => {
    const error = await asked.then(() => undefined, (e: Error) => e) as bedrock.BedrockRuntimeServiceException;
    expect(thrownBy(operation)).toContain(error?.name);
    expect(error).toBeInstanceOf((bedrock as any)[error.name]);
    expect(error.$metadata.httpStatusCode).toBe(STATUSES[error.name]);
  };

  test.each([204, 302, 400, 401, 403, 404, 408, 409, 413, 415, 422, 424, 429, 500, 501, 502, 503, 504])('where the engine answers %d', async (status) => {
    engine.behaviour = wholly({ error: { message: 'so it is' } }, status);
    await expectModelled(send(sdk()));
  });

  test('where the engine breaks off, answers nonsense, or nothing', async () => {
    engine.behaviour = broken;
    await expectModelled(send(sdk()));
    engine.behaviour = wholly({ nonsense: true });
    if (!operation.includes('Stream')) {
      await expectModelled(send(sdk()));
    }
    engine.behaviour = () => undefined;
    if (operation.includes('Stream')) {
      await expectModelled(send(sdk()));
    }
  });

  test('where the router refuses it', async () => {
    await expectModelled(send(sdk('wrong')));
    await expectModelled(send(sdk(), { modelId: 'another' }));
    await expectModelled(send(sdk(), operation.startsWith('Invoke') ? { body: '{' } : { messages: [], input: { converse: { messages: [] } } }));
  });
});

test('a stream that has begun fails with an exception that it has', () => {
  const told = Array.from({ length: 200 }, (_, i) => 400 + i)
    .map((status) => new ConverseWire().streamFailure(new ApiError(status, 'server_error', 'engine_failed', 'so it is')).bytes.toString('latin1'));
  expect(told.filter((bytes) => !IN_STREAMS.some((name) => bytes.includes(`:exception-type\x07\x00${String.fromCharCode(name.length)}${name}`)))).toEqual([]);
});

test('an InvokeModel whose stream takes too long fails with the exception that ConverseStream has not', () => {
  const { bytes } = new InvokeModelWire(false).streamFailure(new ApiError(504, 'server_error', 'idle_timeout', 'so it is'));
  expect(bytes.toString('latin1')).toContain(':exception-type\x07\x00\x15modelTimeoutException');
});

test('a body that does not come is told by the name by which SDKs try again, which is common to AWS\' services', async () => {
  const { headers, status } = new ConverseWire().error(new ApiError(408, 'invalid_request_error', 'body_timeout', 'so it is'));
  expect([status, headers['x-amzn-errortype']]).toEqual([408, 'RequestTimeoutException']);
});
