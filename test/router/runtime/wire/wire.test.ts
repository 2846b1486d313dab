import * as fc from 'fast-check';
import { SseEventTooLong, SseSplitter } from '../../../../src/router/runtime/wire/sse';
import { readErrorEvent, readStreamEvent } from '../../../../src/router/runtime/wire/stream-event';

const lineEnd = fc.constantFrom('\n', '\r\n', '\r');
const line = fc.tuple(fc.constantFrom('data: ', 'data:', ': ', 'event: ', 'id: '), fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => text.replace(/[\r\n]/g, '')));
const event = fc.tuple(fc.array(line, { minLength: 1, maxLength: 4 }), lineEnd);

describe('SSE', () => {
  test('law: however a stream is cut into chunks, the same events come out and no byte is lost', () => {
    fc.assert(fc.property(fc.array(event, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1 }), (events, sizes) => {
      const texts = events.map(([lines, end]) => lines.map(([field, value]) => field + value + end).join('') + end);
      const bytes = Buffer.from(texts.join(''));
      const splitter = new SseSplitter(10_000);
      const out = [];
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const size = sizes[i % sizes.length];
        out.push(...splitter.push(bytes.subarray(at, at + size)));
        at += size;
      }
      expect(out.map(({ bytes: own }) => own.toString())).toEqual(texts);
      expect(out.map(({ data }) => data)).toEqual(events.map(([lines]) => {
        const data = lines.filter(([field]) => field.startsWith('data')).map(([field, value]) => (field === 'data:' ? value.replace(/^ /, '') : value));
        return data.length === 0 ? undefined : data.join('\n');
      }));
    }));
  });

  test.each(['\n', '\r\n', '\r'])('an event is there with its last byte where lines end with %j, however it was cut', (end) => {
    const text = `data: a${end}data: b${end}${end}`;
    for (let cut = 1; cut < text.length; cut++) {
      const splitter = new SseSplitter(100);
      expect(splitter.push(Buffer.from(text.slice(0, cut)))).toEqual([]);
      expect(splitter.push(Buffer.from(text.slice(cut)))).toEqual([{ bytes: Buffer.from(text), data: 'a\nb' }]);
      expect(splitter.isBetweenEvents).toBe(true);
    }
  });

  test('an event may be as long as allowed and no longer', () => {
    const splitter = new SseSplitter(10);
    expect(splitter.push(Buffer.from('data: 1234'))).toEqual([]);
    expect(() => splitter.push(Buffer.from('5'))).toThrow(SseEventTooLong);
  });
});

describe('an event of a streamed answer', () => {
  test.each<[string, object]>([
    ['[DONE]', { kind: 'done' }],
    ['{"choices":[]}', { kind: 'chunk' }],
    ['{"choices":[],"usage":{"completion_tokens":7}}', { kind: 'usage', completionTokens: 7 }],
    ['{"choices":[],"usage":{"completion_tokens":-5,"prompt_tokens":1e300,"prompt_tokens_details":{"cached_tokens":0.5}}}', { kind: 'usage' }],
    ['{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"completion_tokens":7}}', { kind: 'chunk', end: 'reached', completionTokens: 7 }],
    ['{"choices":[{"delta":{"role":"assistant","content":""}}]}', { kind: 'chunk' }],
    ['{"choices":[{"delta":{"tool_calls":[],"content":null}},{"text":""}]}', { kind: 'chunk' }],
    ['{"choices":[{"delta":{}},{"text":"a"}]}', { kind: 'chunk', isPart: true }],
    ['{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}', { kind: 'chunk', isPart: true }],
    ['{"choices":[],"usage":null,"error":null}', { kind: 'chunk' }],
    ['{"choices":[{"delta":{"content":"\\"error\\": {}"}}]}', { kind: 'chunk', isPart: true }],
    ['{"choices":[{"delta":{},"finish_reason":"stop"}]}', { kind: 'chunk', end: 'reached' }],
    ['{"choices":[{"delta":{},"finish_reason": "abort"}]}', { kind: 'chunk', end: 'given_up' }],
    ['{"choices":[{"delta":{"content":"\\"finish_reason\\":\\"abort\\""},"finish_reason":null}]}', { kind: 'chunk', isPart: true }],
  ])('%s', (data, meaning) => {
    expect(readStreamEvent(data)).toEqual(meaning);
  });

  test.each<[string, object, boolean]>([
    ['{"error":{"message":"x","code":500}}', { status: 500, message: 'x' }, true],
    ['{"status_code":429,"error":{"message":"x","code":"quota"}}', { status: 429, code: 'quota', headers: { 'retry-after': '1' } }, true],
    ['{"error":{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}}', { status: 400, type: 'BadRequestError', message: 'too long' }, true],
    ['{"object":"error","message":"so","type":"InternalServerError","param":null,"code":503}', { status: 503, message: 'so' }, false],
    ['{"error":"it failed"}', { status: 500, message: 'it failed' }, false],
    ['{"error":{"message":"x","code":1301}}', { status: 500 }, true],
  ])('that is an error: %s', (data, error, isOpenAiError) => {
    expect(readStreamEvent(data)).toMatchObject({ kind: 'error', error, isOpenAiError });
  });

  test.each([['{"message":"boom","code":400}', 400], ['boom', 500]])('that is an error by its name: %s', (data, status) => {
    expect(readErrorEvent(data)).toMatchObject({ kind: 'error', error: { status, message: 'boom' }, isOpenAiError: false });
  });

  test.each(['not JSON', '{"cut', '[]', 'not "error" JSON'])('is none if it is %s', (data) => {
    expect(() => readStreamEvent(data)).toThrow('the engine streams something that is no completion');
  });

  test('law: no text that an engine generates is taken for an error or an end', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (content) => {
      expect(readStreamEvent(JSON.stringify({ choices: [{ delta: { content } }] })).kind).toBe('chunk');
    }));
  });
});
