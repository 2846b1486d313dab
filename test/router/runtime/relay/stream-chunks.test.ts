import { Exchange } from '../../../../src/router/runtime/exchange';
import { FrameSplitter } from '../../../../src/router/runtime/relay/event-frames';
import { OpenAiEngineStream } from '../../../../src/router/runtime/relay/openai-stream';
import { ConverseWire } from '../../../../src/router/runtime/wire/bedrock/converse-wire';
import { CallerWire } from '../../../../src/router/runtime/wire/caller-wire';
import { OPENAI_WIRE } from '../../../../src/router/runtime/wire/openai-wire';
import { ask, chat, chunkOf, delta, DONE, MockEngine, MODEL, routerFor, sse, TestRouter, until } from '../harness';

let engine: MockEngine;
let router: TestRouter;
beforeEach(async () => {
  engine = await MockEngine.start(() => {});
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }]);
});
afterEach(async () => {
  await router.drain();
  await engine.stop();
});

/** An engine's stream to a caller who is spoken to in a way. */
function streamTo(wire: CallerWire): OpenAiEngineStream {
  return new OpenAiEngineStream({ wire, begun: () => undefined, elapsedSeconds: () => 1 } as unknown as Exchange, true);
}

/** What a caller gets of a stream whose first event comes alone and whose others come in two pieces. */
async function streamed(rest: Buffer, cut: number): Promise<string> {
  let goOn = () => {};
  const read = new Promise<void>((resolve) => (goOn = resolve));
  engine.behaviour = async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(chunkOf('first')));
    await read;
    response.write(rest.subarray(0, cut));
    await new Promise(setImmediate);
    response.end(rest.subarray(cut));
  };
  const reader = (await ask(router.url, chat({ stream: true, stream_options: { include_usage: true } }))).body!.getReader();
  const decoder = new TextDecoder();
  let text = decoder.decode((await reader.read()).value, { stream: true });
  goOn();
  for (let { value, done } = await reader.read(); !done; { value, done } = await reader.read()) {
    text += decoder.decode(value, { stream: true });
  }
  return text;
}

test('wherever a stream is cut into pieces, callers get its text as it came and nothing that is between the engines', async () => {
  const told = chunkOf(' é');
  const usage = { object: 'chat.completion.chunk', choices: [], usage: { prompt_tokens: 3, completion_tokens: 5 } };
  const events = (secret: object) => [sse(chunkOf('a')), sse(chunkOf('😀b')), sse({ ...told, ...secret }), sse(chunkOf('c')), sse(usage), DONE].join('');
  const rest = Buffer.from(events({ kv_transfer_params: { remote_host: '10.0.0.1' } }));
  for (let cut = 0; cut <= rest.length; cut += 11) {
    expect(await streamed(rest, cut)).toBe(sse(chunkOf('first')) + events({}));
  }
});

test('comments, the names of events, and why a stream ends are no tokens', () => {
  const stream = streamTo(OPENAI_WIRE);
  stream.read(Buffer.from(sse(chunkOf('a'))));
  const rest = sse(chunkOf('b')) + ': ping\n\n'.repeat(9) + `event: message\n${sse(chunkOf('c'))}` + DONE;
  expect(stream.read(Buffer.from(rest)).toString()).toBe(rest);
  expect(stream.answerTokens).toBe(3);
});

test('an error among text that comes at once is told, and what comes before it', async () => {
  const error = sse({ error: { message: 'it failed', type: 'server_error', code: 500 } });
  expect(await streamed(Buffer.from(sse(chunkOf('a')) + error), 0)).toBe(sse(chunkOf('first')) + sse(chunkOf('a')) + error);
});

test('bytes that are no UTF-8 take nothing away of what comes with them', async () => {
  // in what is read as text, and in what all events of a stream begin with.
  for (const events of [[chunkOf('a'), chunkOf('b~')], [{ id: '~', ...chunkOf('a') }, { id: '~', ...chunkOf('b') }]]) {
    const bytes = Buffer.from(events.map(sse).join('') + DONE, 'latin1').map((byte) => (byte === '~'.charCodeAt(0) ? 0xff : byte));
    engine.behaviour = (response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).end(bytes);
    const answer = await (await ask(router.url, { model: MODEL, input: 'a prompt', stream: true }, {}, '/v1/responses')).text();
    expect(answer).toMatch(/event: response\.completed\ndata: .*"text":"ab\ufffd?"/);
  }
});

test.each([
  ['cut within its text', (event: string) => event.replace('"b"', '"b')],
  ['with a quote too few, but for the next', (event: string) => event.replace('"b"', '"b\\"') + event.replace('"b"', '",\\"b"')],
  ['with a text that is none', (event: string) => event.replace('"b"', '"b\\x"')],
  ['with a control character in its text', (event: string) => event.replace('"b"', '"b\u0000"')],
  ['without a bracket', (event: string) => event.replace(']', '')],
  ['of another model, without a bracket', (event: string) => event.replace('{"object"', '{"model":"m","object"').replace(']', '')],
])('a chunk that is no JSON, %s, is not passed on: the stream ends in an error', async (_, damaged) => {
  const broken = damaged(sse(chunkOf('b')));
  for (const wire of [OPENAI_WIRE, new ConverseWire()]) {
    const stream = streamTo(wire);
    stream.read(Buffer.from(sse(chunkOf('a')) + sse(chunkOf('a'))));
    expect(() => stream.read(Buffer.from(sse(chunkOf('c')) + broken + DONE))).toThrow('the engine streams something that is no completion');
  }
});

test('chunks with every kind of text are passed on as they are', () => {
  const stream = streamTo(OPENAI_WIRE);
  stream.read(Buffer.from(sse(chunkOf('a'))));
  const rest = ['b', '', '"', '\\', '\n', 'é😀', '\ud800', '"content":"', '}]}', 'finish_reason":"stop"'].map((text) => sse(chunkOf(text))).join('') + DONE;
  expect(stream.read(Buffer.from(rest)).toString()).toBe(rest);
});

test('the text of chunks that come at once is told as one, whatever it is', () => {
  const texts = ['b', '"', '\\', '\n', '","', 'é😀', '\ud83d', '\ude00', '"content":"', '}]}', 'finish_reason":"stop"', '\ufffd', 'c'];
  const stream = streamTo(new ConverseWire());
  const told = (some: string[]) => new FrameSplitter().push(stream.read(Buffer.from(some.map((text) => sse(chunkOf(text))).join(''))))
    .filter(({ eventType }) => eventType === 'contentBlockDelta').map(({ payload }) => JSON.parse(payload.toString()).delta.text);
  expect(told(['a'])).toEqual(['a']);
  for (let at = 0; at < texts.length; at++) {
    const turned = [...texts.slice(at), ...texts.slice(0, at)];
    expect(told(turned)).toEqual([turned.join('')]);
  }
});

test('a stream is taken whose media type is written in capitals, and whose reason to end is beside the one that another engine had', async () => {
  engine.behaviour = (response) => {
    response.writeHead(200, { 'content-type': 'Text/Event-Stream' });
    response.end(sse(chunkOf('first')) + sse(delta({}, 'stop', { native_finish_reason: null })) + sse('[DONE]'));
  };
  const text = await (await ask(router.url, chat({ stream: true }))).text();
  expect(text).toContain('"finish_reason":"stop","native_finish_reason":null');
  expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
  await router.drain();
  expect(router.lines.find(({ code }) => code !== undefined)).toMatchObject({ code: '200' });
});

test.each(['\r', '\r\n'])('a stream whose lines end with %j is read to its end, in every form, however it is cut', async (end) => {
  const said = (sse(chunkOf('hel')) + sse(chunkOf('lo')) + sse(delta({}, 'stop')) + sse('[DONE]')).replace(/\n/g, end);
  engine.behaviour = async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const piece of said.split(/(?<=\r)/)) {
      response.write(piece);
      await new Promise(setImmediate);
    }
    response.end();
  };
  expect(await (await ask(router.url, chat({ stream: true }))).text()).toBe(said);
  const converse = await ask(router.url, { messages: [{ role: 'user', content: [{ text: 'hi' }] }] }, {}, `/model/${MODEL}/converse-stream`);
  const events = new FrameSplitter().push(Buffer.from(await converse.arrayBuffer()));
  expect(events.map(({ eventType, payload }) => JSON.parse(payload.toString()).delta?.text ?? eventType))
    .toEqual(['messageStart', 'hel', 'lo', 'contentBlockStop', 'messageStop', 'metadata']);
  await until(() => router.lines.filter(({ code }) => code === '200').length === 2, 'both are told to have gone well');
});
