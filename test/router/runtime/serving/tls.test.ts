import { execFile } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { request } from 'node:https';
import { connect as connectSocket } from 'node:net';
import { dirname, join } from 'node:path';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { localCertificate } from './certificate';
import { parseRouterConfig } from '../../../../src/router/runtime';
import { configOf, COMPLETION, KEY, MockEngine, MODEL, routerFor, sse, streamOf, TestRouter, until, whole } from '../harness';

const ROOT = join(__dirname, '../../../..');
const FILES = localCertificate();
const ca = readFileSync(FILES.certificateFile);
const BODY = JSON.stringify({ model: MODEL, messages: [{ role: 'user', content: 'say hello' }] });
const HEADERS = { 'authorization': `Bearer ${KEY}`, 'content-type': 'application/json' };

let engine: MockEngine;
let router: TestRouter;

beforeEach(async () => {
  engine = await MockEngine.start(whole);
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { tls: FILES });
});

afterEach(async () => {
  await router.drain();
  await engine.stop();
});

afterAll(() => rmSync(dirname(FILES.keyFile), { recursive: true }));

/** A chat completion over HTTP/1.1, with the protocol that was agreed on. */
async function overHttp1(body = BODY): Promise<{ status: number | undefined; text: string; protocol: string | false | null }> {
  return new Promise((resolve, reject) => {
    const path = '/v1/chat/completions';
    // its types leave ALPN out.
    const options = { host: '127.0.0.1', port: router.port, path, method: 'POST', headers: HEADERS, ca, agent: false as const, ALPNProtocols: ['http/1.1'] };
    const asked = request(options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece) => { text += piece; }).on('error', reject)
        .on('end', () => resolve({ status: response.statusCode, text, protocol: (response.socket as TLSSocket).alpnProtocol }));
    });
    asked.on('error', reject).end(body);
  });
}

/** The same over HTTP/2. */
async function overHttp2(body = BODY): Promise<{ status: number | undefined; text: string; protocol: string | undefined }> {
  const session = connectHttp2(`https://127.0.0.1:${router.port}`, { ca });
  try {
    return await new Promise((resolve, reject) => {
      let status: number | undefined;
      let text = '';
      session.on('error', reject);
      session.request({ ':method': 'POST', ':path': '/v1/chat/completions', ...HEADERS }).setEncoding('utf8')
        .on('response', (headers) => { status = headers[':status']; }).on('data', (piece) => { text += piece; }).on('error', reject)
        .on('end', () => resolve({ status, text, protocol: session.alpnProtocol }))
        .end(body);
    });
  } finally {
    session.close();
  }
}

test('callers choose HTTP/2 or HTTP/1.1 by ALPN', async () => {
  expect(await overHttp2()).toEqual({ status: 200, text: JSON.stringify(COMPLETION), protocol: 'h2' });
  const { status, protocol } = await overHttp1();
  expect([status, protocol]).toEqual([200, 'http/1.1']);
});

test('streams end whole over both', async () => {
  engine.behaviour = streamOf(['hel', 'lo'], 5);
  const body = JSON.stringify({ ...JSON.parse(BODY), stream: true });
  for (const { status, text } of [await overHttp2(body), await overHttp1(body)]) {
    expect(status).toBe(200);
    expect(text.match(/"content":"\w+"/g)).toEqual(['"content":"hel"', '"content":"lo"']);
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
  }
});

test.each([['HTTP/2, its default', ''], ['HTTP/1.1', 'requestHandler: new NodeHttpHandler(),']])("AWS' SDK speaks %s", async (_, handler) => {
  const end = sse({ object: 'chat.completion.chunk', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }) + sse('[DONE]');
  engine.behaviour = async (response, received) => (received.body.stream ? streamOf(['hel', 'lo'], 0, end) : whole)(response, received);
  const script = `
    const { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } = require('@aws-sdk/client-bedrock-runtime');
    const { NodeHttpHandler } = require('@smithy/node-http-handler');
    (async () => {
      const client = new BedrockRuntimeClient({
        endpoint: 'https://localhost:${router.port}', region: 'us-east-2', token: { token: '${KEY}' }, authSchemePreference: ['httpBearerAuth'], maxAttempts: 1, ${handler}
      });
      const input = { modelId: '${MODEL}', messages: [{ role: 'user', content: [{ text: 'say hello' }] }] };
      const { output } = await client.send(new ConverseCommand(input));
      let text = output.message.content[0].text + ' ';
      for await (const event of (await client.send(new ConverseStreamCommand(input))).stream) {
        text += event.contentBlockDelta?.delta.text ?? '';
      }
      console.log(text);
      client.destroy();
    })().catch((error) => { console.log(error); process.exit(1); });`;
  // the child trusts the certificate as an operator would have it do.
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: FILES.certificateFile };
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], { cwd: ROOT, env }).catch((error) => error as { stdout: string });
  expect(stdout.trim()).toBe('hello hello');
}, 60_000);

test.each<[string, () => Promise<unknown>]>([
  ['a request without TLS', async () => fetch(`http://127.0.0.1:${router.port}/healthz`)],
  ['an old version of TLS', async () => new Promise((resolve, reject) => {
    connectTls({ port: router.port, host: '127.0.0.1', ca, minVersion: 'TLSv1', maxVersion: 'TLSv1.1' }, () => resolve('connected')).on('error', reject);
  })],
  ['a certificate that nobody trusts', async () => fetch(`https://127.0.0.1:${router.port}/healthz`)],
  ['bytes that are none of it', async () => new Promise((_, reject) => {
    connectSocket(router.port, '127.0.0.1').on('close', () => reject(new Error('closed'))).on('error', () => {}).write(Buffer.alloc(1000, 7));
  })],
])('%s comes to nothing, and others are served', async (_, attempt) => {
  await expect(attempt()).rejects.toThrow();
  expect((await overHttp2()).status).toBe(200);
});

test('a connection that never says a word is let go when the router goes', async () => {
  const socket = connectSocket(router.port, '127.0.0.1');
  const closed = new Promise((resolve) => socket.once('close', resolve).on('error', () => undefined).resume());
  await new Promise((resolve) => socket.once('connect', resolve));
  // whoever came later was seen, so that it was too.
  expect((await overHttp2()).status).toBe(200);
  await router.drain();
  await closed;
}, 8_000);

test('a drain loses no stream and lets idle connections go', async () => {
  engine.behaviour = streamOf(['a', 'b', 'c'], 100);
  const other = router;
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { tls: FILES });
  const idle = connectHttp2(`https://127.0.0.1:${router.port}`, { ca });
  await new Promise((resolve) => idle.once('remoteSettings', resolve));
  const answers = [overHttp1, overHttp2].map(async (over) => over(JSON.stringify({ ...JSON.parse(BODY), stream: true })));
  await until(() => engine.requests.length === 2, 'both requests came to the engine');
  const drained = router.drain();
  router = other;
  expect((await Promise.all(answers)).map(({ text }) => text.endsWith('data: [DONE]\n\n'))).toEqual([true, true]);
  await drained;
  await until(() => idle.closed, 'the idle connection is closed');
});

test.each<[string, object, RegExp]>([
  ['a file that is missing', { ...FILES, keyFile: '/none.pem' }, /\[config\.tls\] the certificate cannot be used: ENOENT.*\[RouterCertificateUnusable\]/],
  ['a file that is none', { ...FILES, certificateFile: __filename }, /the certificate cannot be used: .*PEM/],
  ['no key', { certificateFile: FILES.certificateFile }, /\[config\.tls\] "keyFile" is missing/],
])('%s is refused', (_, tls, message) => {
  expect(() => parseRouterConfig(JSON.stringify(configOf([{ name: 'a', role: 'aggregated', protocol: 'openai', url: 'http://a' }], { tls })), { KEYS: KEY })).toThrow(message);
});

test('a caller that never ends its headers is let go when the router goes down', async () => {
  const socket = connectTls({ host: '127.0.0.1', port: router.port, ca, ALPNProtocols: ['http/1.1'], servername: 'localhost' });
  await new Promise((resolve) => { socket.once('secureConnect', resolve); });
  const closed = new Promise((resolve) => { socket.once('close', resolve); });
  socket.on('error', () => undefined).write('POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n');
  // it has been read by the time that another caller is answered
  expect((await overHttp1()).status).toBe(200);
  await router.drain();
  await closed;
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { tls: FILES });
});
