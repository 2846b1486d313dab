import { connect, constants } from 'node:http2';
import { gzipSync } from 'node:zlib';
import { ask, chat, errorOf, KEY, MockEngine, MODEL, routerFor, TestRouter, whole } from '../harness';

const CHAT = '/v1/chat/completions';
const CONVERSE = `/model/${MODEL}/converse`;
const INVOKE = `/model/${MODEL}/invoke`;

let engine: MockEngine;
let router: TestRouter;

beforeAll(async () => {
  engine = await MockEngine.start(whole);
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }]);
});

afterAll(async () => {
  await router.drain();
  await engine.stop();
});

beforeEach(() => {
  engine.requests.length = 0;
});

async function send(path: string, body: Buffer, headers: { [name: string]: string } = {}): Promise<Response> {
  return fetch(`${router.url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json', 'authorization': `Bearer ${KEY}`, ...headers }, body });
}

describe('a body that is compressed is refused', () => {
  test('as OpenAI\'s callers know it', async () => {
    const response = await send(CHAT, gzipSync(JSON.stringify(chat())), { 'content-encoding': 'gzip' });
    expect([response.status, (await errorOf(response)).param]).toEqual([415, 'content-encoding']);
    expect(engine.requests).toEqual([]);
  });

  test('as Bedrock\'s do', async () => {
    const response = await send(CONVERSE, gzipSync('{}'), { 'content-encoding': 'gzip' });
    expect([response.status, response.headers.get('x-amzn-errortype')]).toEqual([400, 'ValidationException']);
    expect(await response.json()).toEqual({ message: 'content-encoding: send the body as it is, not compressed' });
  });

  test('but not one that says that it is not', async () => {
    expect((await send(CHAT, Buffer.from(JSON.stringify(chat())), { 'content-encoding': 'identity' })).status).toBe(200);
  });
});

test.each([CHAT, '/v1/completions', '/v1/responses', INVOKE, CONVERSE])('bytes that are no UTF-8 are refused at %s', async (path) => {
  for (const body of [chat(), { messages: [{ role: 'user', content: [{ text: 'a' }] }] }]) {
    const text = JSON.stringify(body);
    const bad = Buffer.concat([Buffer.from(text.slice(0, -2)), Buffer.from([0xff, 0xfe]), Buffer.from(text.slice(-2))]);
    const response = await send(path, bad);
    expect([response.status, await response.text()]).toEqual([400, expect.stringContaining('the body is not UTF-8')]);
  }
  expect(engine.requests).toEqual([]);
});

describe('half a character', () => {
  const HALF = 'half a character is no text';

  test.each<[string, string, string]>([
    [CHAT, `{"model":"${MODEL}","messages":[{"role":"user","content":"a \\ud83d b"}]}`, `messages[0].content: ${HALF}`],
    [CHAT, `{"model":"${MODEL}","messages":[{"role":"user","content":"\\ude00\\uD83D"}],"user":"\\uDFFF"}`, `messages[0].content: ${HALF}`],
    [CHAT, `{"model":"${MODEL}","messages":[{"role":"user","content":"hi"}],"vllm_xargs":{"\\ud800":1}}`, `vllm_xargs: ${HALF}`],
    [INVOKE, '{"\\ud800":1}', `the body: ${HALF}`],
    [INVOKE, '{"prompt":"\\ud800"}', `prompt: ${HALF}`],
    [CONVERSE, '{"messages":[{"role":"user","content":[{"text":"\\ud800"}]}]}', `messages[0].content[0].text: ${HALF}`],
  ])('is refused at %s in %s', async (path, body, message) => {
    const response = await ask(router.url, body, {}, path);
    expect([response.status, await response.text()]).toEqual([400, expect.stringContaining(message)]);
    expect(engine.requests).toEqual([]);
  });

  test('is refused within a long text too, and named', async () => {
    const response = await ask(router.url, `{"model":"${MODEL}","messages":[{"role":"user","content":"${'long '.repeat(50_000)}\\ud800"}]}`);
    expect([response.status, (await errorOf(response)).param]).toEqual([400, 'messages[0].content']);
  });

  test('is none beside the other, nor behind a backslash that is a character of its own, nor is a letter that is written alike', async () => {
    const content = '\\ud83d\\ude00 \\\\ud800 \\uD55C\\ud55c';
    expect((await ask(router.url, `{"model":"${MODEL}","messages":[{"role":"user","content":"${content}"}]}`)).status).toBe(200);
    expect(engine.requests[0].body.messages[0].content).toBe('\u{1F600} \\ud800 \uD55C\uD55C');
  });
});

describe.each(['/healthz', '/health', '/readyz'])('HEAD %s is answered as GET is, without the body', (path) => {
  test('over HTTP/1.1', async () => {
    const got = await (await fetch(`${router.url}${path}`)).text();
    const response = await fetch(`${router.url}${path}`, { method: 'HEAD' });
    expect([response.status, response.headers.get('content-length'), await response.text()]).toEqual([200, String(got.length), '']);
  });

  test('over HTTP/2, after which the connection takes more', async () => {
    const session = connect(router.url);
    const head = async () => new Promise((resolve, reject) => {
      const request = session.request({ [constants.HTTP2_HEADER_METHOD]: 'HEAD', [constants.HTTP2_HEADER_PATH]: path });
      request.on('error', reject).on('response', (headers) => request.on('end', () => resolve(headers[constants.HTTP2_HEADER_STATUS]))).resume();
    });
    expect([await head(), await head()]).toEqual([200, 200]);
    session.destroy();
  });
});

test('what callers may only send says so to HEAD', async () => {
  const response = await fetch(`${router.url}${CHAT}`, { method: 'HEAD' });
  expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST']);
});
