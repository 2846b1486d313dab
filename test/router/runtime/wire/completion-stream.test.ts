import * as fc from 'fast-check';
import { Exchange } from '../../../../src/router/runtime/exchange';
import { OpenAiEngineStream } from '../../../../src/router/runtime/relay/openai-stream';
import { CompletionStream, StreamedCall } from '../../../../src/router/runtime/wire/completion-stream';

/** Notes what it is told. */
class Noted extends CompletionStream {
  public readonly headers = {};
  public told = '';

  public engineError(): void {}

  public take(): Buffer {
    return Buffer.alloc(0);
  }

  protected begin(): void {
    this.told += '<begin>';
  }

  protected text(kind: 'text' | 'reasoning', text: string): void {
    this.told += kind === 'text' ? text : `<${text}>`;
  }

  protected toolCall({ id, name }: StreamedCall, input: string): void {
    this.told += `<${id} ${name} ${input}>`;
  }

  protected stop(reason: string): void {
    this.told += `<stop ${reason}>`;
  }

  protected end(): void {}
}

const chunk = (delta: object, more: object = {}) => JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: null, ...more }] });
// as engines spell JSON that have nothing but ASCII.
const ascii = (json: string) => json.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

const text = fc.oneof({ weight: 4, arbitrary: fc.string({ unit: 'grapheme' }) }, fc.constantFrom('"', '\\', '\n', '","content":"', '"content":"a"', 'data: ', '', '😀'));
const event = fc.oneof(
  { weight: 8, arbitrary: text.map((content) => ({ data: chunk({ content }), told: content })) },
  text.map((content) => ({ data: ascii(chunk({ content })), told: content })),
  text.map((content) => ({ data: chunk({ role: 'assistant', content }), told: content })),
  text.map((content) => ({ data: chunk({ content }, { logprobs: { content: [{ token: content }] } }), told: content })),
  text.map((reasoning) => ({ data: chunk({ reasoning }), told: reasoning === '' ? '' : `<${reasoning}>` })),
  text.map((content) => ({ data: chunk({ content, tool_calls: [{ index: 0, id: 'a', function: { name: 'f', arguments: `.${content}` } }] }), told: `${content}<a f .${content}>` })),
);

/** An engine's stream on its way to one who notes what it is told. */
const streamTo = (noted: Noted) => new OpenAiEngineStream(
  { wire: { stream: () => noted }, begun: () => undefined, elapsedSeconds: () => 1 } as unknown as Exchange, true);

test('law: what is told of events at once is what each of them says, wherever they are cut, and each is counted', () => {
  fc.assert(fc.property(fc.array(fc.array(event, { minLength: 1, maxLength: 6 }), { minLength: 1 }), fc.nat(), (runs, cut) => {
    const noted = new Noted();
    const stream = streamTo(noted);
    const events = [[{ data: chunk({ content: 'begun' }), told: 'begun' }], ...runs];
    for (const run of events) {
      const bytes = Buffer.from(run.map(({ data }) => `data: ${data}\n\n`).join(''));
      stream.read(bytes.subarray(0, cut % bytes.length));
      stream.read(bytes.subarray(cut % bytes.length));
    }
    expect(noted.told).toBe(`<begin>${events.flat().map(({ told }) => told).join('')}`);
    expect(stream.answerTokens).toBe(events.flat().length);
  }));
});

test('members that would be told of, or kept from callers, are seen among events of text', () => {
  const usage = { prompt_tokens: 1, completion_tokens: 7 };
  for (const more of [{ usage }, { kv_transfer_params: {} }, { error: 'it failed' }]) {
    const noted = new Noted();
    const stream = streamTo(noted);
    const plain = `data: ${chunk({ content: 'a' })}\n\n`;
    const other = `data: ${JSON.stringify({ ...JSON.parse(chunk({ content: 'b' })), ...more })}\n\n`;
    stream.read(Buffer.from(plain));
    stream.read(Buffer.from(plain + other + other));
    stream.read(Buffer.from(other + other));
    expect(stream.ended).toBe('error' in more);
    expect(stream.answerTokens).toBe('usage' in more ? 7 : 'error' in more ? 2 : 6);
  }
});

test('the reason to stop is told once, wherever it is among events of text', () => {
  const noted = new Noted();
  const stream = streamTo(noted);
  const run = [chunk({ content: 'a' }), chunk({ content: 'b' }), chunk({}, { finish_reason: 'length' }), chunk({ content: '' }, { finish_reason: 'stop' })];
  stream.read(Buffer.from(`data: ${chunk({ content: 'x' })}\n\n`));
  stream.read(Buffer.from(run.map((data) => `data: ${data}\n\n`).join('')));
  expect(noted.told).toBe('<begin>xab<stop length>');
});
