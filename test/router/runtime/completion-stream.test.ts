import * as fc from 'fast-check';
import { CompletionStream } from '../../../src/router/runtime/wire/completion-stream';

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

  protected toolCall(call: object): void {
    this.told += `<${JSON.stringify(call)}>`;
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
  text.map((content) => ({ data: chunk({ content, tool_calls: [{ index: 0 }] }), told: `${content}<{"index":0}>` })),
);

test('law: what is told of events at once is what each of them says', () => {
  fc.assert(fc.property(fc.array(fc.array(event, { minLength: 1, maxLength: 6 }), { minLength: 1 }), (runs) => {
    const noted = new Noted();
    runs.forEach((run) => noted.texts(Buffer.from(run.map(({ data }) => `data: ${data}\n\n`).join(''))));
    expect(noted.told).toBe(`<begin>${runs.flat().map(({ told }) => told).join('')}`);
  }));
});

test('the reason to stop is told once, wherever it is among events of text', () => {
  const noted = new Noted();
  const run = [chunk({ content: 'a' }), chunk({ content: 'b' }), chunk({}, { finish_reason: 'length' }), chunk({ content: '' }, { finish_reason: 'stop' })];
  noted.texts(Buffer.from(`data: ${chunk({ content: 'x' })}\n\n`));
  noted.texts(Buffer.from(run.map((data) => `data: ${data}\n\n`).join('')));
  expect(noted.told).toBe('<begin>xab<stop length>');
});
