import * as fc from 'fast-check';
import { JsonSyntaxError, parseJson } from '../src/json-text';

const syntaxErrorOf = (text: string): JsonSyntaxError => {
  try {
    parseJson(text);
  } catch (e) {
    if (e instanceof JsonSyntaxError) {
      return e;
    }
    throw e;
  }
  throw new Error(`this is JSON: ${text}`);
};

test.each([
  ['', 1, 1, 'a value', 'the end of the text'],
  ['{"a": 1,\n "b" 2}', 2, 6, '":"', 'a letter or digit'],
  ['[1 2]', 1, 4, '"," or "]"', 'a letter or digit'],
  ['[1, ]', 1, 5, 'a value', '"]"'],
  ['{} {}', 1, 4, 'the end of the text', '"{"'],
  ['"a\tb"', 1, 3, 'the end of a string, without control characters in it', 'a control character'],
  ['“a”', 1, 1, 'a value', 'a character beyond ASCII'],
])('%j is no JSON, and it is told where and why', (text, line, column, expected, got) => {
  expect(syntaxErrorOf(text)).toMatchObject({ line, column, message: `expected ${expected}`, got });
});

test.each([['a text', '"a', 10_000_002], ['escapes', '"\\n', 20_000_002], ['lists', '[[', 1001], ['numbers', '[1,', 20_000_002]])('megabytes of %s that do not end are told, too', (_, begun, at) => {
  expect(syntaxErrorOf(begun + begun.slice(1).repeat(9_999_999))).toMatchObject({ line: 1, column: at });
});

test('megabytes of line breaks are counted', () => {
  expect(syntaxErrorOf(`${'\n'.repeat(10_000_000)}x`)).toMatchObject({ line: 10_000_001, column: 1 });
});

test('whatever becomes of JSON, it is read as JSON.parse reads it, or refused at a place that it has', () => {
  fc.assert(fc.property(fc.json(), fc.nat(), fc.constantFrom('', '"', '\\', ',', '}', ']', ':', '0', '.', 'e', '-', 'x', '\n', ' ', '\u0001', 'é'), (json, at, other) => {
    const text = json.slice(0, at % json.length) + other + json.slice(at % json.length + 1);
    let expected: unknown;
    try {
      expected = JSON.parse(text);
    } catch {
      const { line, column } = syntaxErrorOf(text);
      expect(text.split('\n')[line - 1].length).toBeGreaterThanOrEqual(column - 1);
      return;
    }
    expect(parseJson(text)).toEqual(expected);
  }), { numRuns: 2000 });
});
