import * as fc from 'fast-check';
import { readLiteral } from '../../../../src/router/runtime/wire/json-literal';

/** What is read of a literal that stands at an index of its JSON. */
function read(literal: string, index: number) {
  const json = Buffer.alloc(index + Buffer.byteLength(literal) + 10, ' ');
  json.write(`"${literal}"`, index, 'utf8');
  const { end, textBytes } = readLiteral(json, new Int32Array(json.buffer, json.byteOffset, Math.floor(json.length / 4)), index + 1);
  return { length: end - index - 1, textBytes };
}

/** What is right, by a parser that makes a string of it. */
function parsed(literal: string): number | undefined {
  try {
    const text: string = JSON.parse(`"${literal}"`);
    return /\p{Surrogate}/u.test(text) ? undefined : Buffer.byteLength(text);
  } catch {
    return undefined;
  }
}

const PIECES = [
  'a', ' ', 'plain text', 'é', '漢', '😀', '\\"', '\\\\', '\\/', '\\n', '\\b', '\\u0041', '\\u00e9', '\\u6f22', '\\ud55c', '\\ud83d\\ude00', '\\uD83D\\uDE00',
  '\u007f', '\u0080', 'ÿ',
];

test('the text of a literal is as long as a parser says, wherever the literal begins', () => {
  fc.assert(fc.property(fc.array(fc.constantFrom(...PIECES), { maxLength: 30 }), fc.integer({ min: 0, max: 7 }), (pieces, index) => {
    const literal = pieces.join('');
    expect(read(literal, index)).toEqual({ length: Buffer.byteLength(literal), textBytes: parsed(literal) });
  }), { numRuns: 2000 });
});

test('what a parser refuses is refused', () => {
  const bad = ['\\ud83d', '\\ude00', '\\ude00\\ud83d', '\\', '\\x', '\\u', '\\u12', '\\u12g4', '\\U0041', '\u0000', '\n', '\u001f'];
  const some = fc.array(fc.constantFrom(...PIECES), { maxLength: 12 });
  fc.assert(fc.property(some, fc.constantFrom(...bad), some, (before, wrong, after) => {
    const literal = [...before, wrong, ...after].join('');
    fc.pre(parsed(literal) === undefined);
    let length = 0;
    try {
      ({ length } = read(literal, before.length));
    } catch (e) {
      expect(e).toBeInstanceOf(SyntaxError);
    }
    // a backslash before an escaped quote makes an end of it.
    expect(length).toBeLessThan(Buffer.byteLength(literal));
  }), { numRuns: 2000 });
});

test('a literal that does not end is refused', () => {
  for (let length = 1; length < 12; length++) {
    const json = Buffer.from(`"${'x'.repeat(length)}`);
    const copy = Buffer.from(json.buffer.slice(json.byteOffset, json.byteOffset + json.length));
    expect(() => readLiteral(copy, new Int32Array(copy.buffer, 0, Math.floor(copy.length / 4)), 1)).toThrow(SyntaxError);
  }
});
