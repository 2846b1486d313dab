import * as fc from 'fast-check';
import { parseJsonText } from '../../src/cli/json-text-places';
import { ParsedText, Place, placeAt, TextRefused } from '../../src/cli/parsed-text';
import { parseYamlText } from '../../src/cli/yaml-text-places';

/** The text from the place of a value on. */
function at(text: string, { place }: ParsedText, ...path: string[]): string {
  return text.slice(placeAt(place, path).offset);
}

function refusal(parse: () => unknown): TextRefused {
  try {
    parse();
  } catch (error) {
    if (error instanceof TextRefused) {
      return error;
    }
    throw error;
  }
  throw new Error('the text was not refused');
}

const SHORT_FORMS = `
Resources:
  A:
    Type: AWS::EC2::Instance
    Properties:
      Ref: !Ref B
      Att: !GetAtt A.B
      If: !If [C, !Sub "\${X}", yes]
      Join: !Join
        - ','
        - [a, b]
      Data: !Base64
        Fn::Sub: |
          hello
Conditions:
  C: !Not [!Condition D]
`;

test('short forms of YAML are the functions that they stand for', () => {
  expect(parseYamlText(SHORT_FORMS).value).toEqual({
    Resources: {
      A: {
        Type: 'AWS::EC2::Instance',
        Properties: {
          Ref: { Ref: 'B' },
          Att: { 'Fn::GetAtt': 'A.B' },
          If: { 'Fn::If': ['C', { 'Fn::Sub': '${X}' }, true] },
          Join: { 'Fn::Join': [',', ['a', 'b']] },
          Data: { 'Fn::Base64': { 'Fn::Sub': 'hello\n' } },
        },
      },
    },
    Conditions: { C: { 'Fn::Not': [{ Condition: 'D' }] } },
  });
});

test.each([
  ['5', 5], ['-1', -1], ['0', 0], ['1.5', 1.5],
  ['yes', true], ['True', true], ['on', true], ['No', false], ['off', false],
  ['~', null], ['', null], ['"yes"', 'yes'], ["'5'", '5'], ['!!str 5', '5'],
  // text that a number would not give back.
  ['012345678901', '012345678901'], ['1.50', '1.50'], ['22:22', '22:22'], ['2010-09-09', '2010-09-09'], ['123456789012345678901', '123456789012345678901'], ['.inf', '.inf'],
])('the YAML scalar %s', (text, value) => {
  expect(parseYamlText(`a: ${text}`).value).toEqual({ a: value });
});

test('anchors, aliases and merges', () => {
  const text = 'a: &a { x: 1, y: 2 }\nb: *a\nc: { <<: *a, y: 3 }\nd: { <<: [*a, { z: 4 }] }\n';
  const parsed = parseYamlText(text);
  expect(parsed.value).toEqual({ a: { x: 1, y: 2 }, b: { x: 1, y: 2 }, c: { y: 3, x: 1 }, d: { x: 1, y: 2, z: 4 } });
  expect(at(text, parsed, 'b')).toMatch(/^b: \*a/);
  expect(at(text, parsed, 'c', 'x')).toMatch(/^x: 1/);
});

test('places are those of keys and of items, and of what is nearest where nothing is', () => {
  const text = SHORT_FORMS;
  const parsed = parseYamlText(text);
  expect(at(text, parsed, 'Resources', 'A', 'Properties', 'Join', 'Fn::Join', '1', '0')).toMatch(/^a, b/);
  expect(at(text, parsed, 'Resources', 'A', 'Properties', 'If', '0', 'x')).toMatch(/^If: /);
  expect(at(text, parsed, 'Resources', 'B')).toMatch(/^Resources:/);
});

/** Every place of a text, with its path. */
function* places(place: Place, path: string[] = []): Generator<[string[], number]> {
  yield [path, place.offset];
  for (const [key, item] of place.items ?? []) {
    yield* places(item, [...path, key]);
  }
}

test('JSON has the same places read as JSON and as YAML, whatever is in it', () => {
  // whole numbers, since a float such as 1e-7 is written otherwise in YAML; no "<<", which YAML merges.
  const value = fc.letrec((tie) => ({
    any: fc.oneof({ depthSize: 'small' }, fc.string(), fc.integer(), fc.boolean(), fc.constant(null), tie('list'), tie('map')),
    list: fc.array(tie('any'), { maxLength: 4 }),
    map: fc.dictionary(fc.string({ unit: 'grapheme' }), tie('any'), { maxKeys: 4 }),
  })).map;
  fc.assert(fc.property(value, fc.nat({ max: 2 }), (any, indent) => {
    const text = ` ${JSON.stringify(any, undefined, indent)}\n`;
    const [json, yaml] = [parseJsonText(text), parseYamlText(text)];
    expect(json.value).toEqual(any);
    expect(yaml.value).toEqual(any);
    expect([...places(json.place)]).toEqual([...places(yaml.place)]);
  }), { numRuns: 200 });
});

test.each([
  ['a: 1\nb:\n  c: 1\n  c: 2', 17, /the key "c" is given twice/],
  ['a: [', 4, /flow sequence/],
  ['a: *x', 0, /"\*x" has no anchor before it/],
  ['a: &a [*a]', 7, /"\*a" is inside of what it stands for/],
  ['[a]: 1', 0, /a key is not a string/],
  ['a: 1\n---\nb: 2', 5, /a second document/],
  ['a: { <<: 5 }', 5, /what "<<" merges is not a map/],
  ['\ta: 1', 0, /tabs/],
])('YAML that is no template, %j', (text, offset, message) => {
  const error = refusal(() => parseYamlText(text));
  expect([error.offset, error.message]).toEqual([offset, expect.stringMatching(message)]);
  expect(error.mend).not.toBe('');
});

test.each([
  ['brackets', '['.repeat(1_000_000)],
  ['braces', '{a: '.repeat(250_000)],
  ['dashes', '- '.repeat(500_000)],
  ['question marks', '? '.repeat(500_000)],
  ['indentation', Array.from({ length: 1400 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')],
])('%s without end are refused', (_, text) => {
  expect(refusal(() => parseYamlText(text)).message).toMatch(/nested more than 200 levels/);
});

test('a text with a character changed is YAML still, or refused at a place inside of it', () => {
  const text = `${SHORT_FORMS}\nx: &x { a: 1 }\ny: [*x, { <<: *x }]\n`;
  fc.assert(fc.property(fc.nat({ max: text.length - 1 }), fc.constantFrom(...'[]{}:,-?&*!|>\'"%@` \t\n#~0\\'), fc.boolean(), (i, character, keep) => {
    const changed = text.slice(0, i) + character + text.slice(keep ? i : i + 1);
    try {
      expect(JSON.stringify(parseYamlText(changed).value).length).toBeGreaterThan(2);
    } catch (error) {
      expect(error).toBeInstanceOf(TextRefused);
      expect((error as TextRefused).offset).toBeLessThanOrEqual(changed.length);
    }
  }), { numRuns: 1000 });
});

test('aliases that expand without bound are refused', () => {
  const lines = Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array.from({ length: 9 }, () => `*a${i}`).join(', ')}]`);
  expect(refusal(() => parseYamlText(['a0: &a0 x', ...lines].join('\n'))).message).toMatch(/aliases expand to more than 200000 values/);
});

test('JSON that JSON.parse takes and CloudFormation does not', () => {
  const twice = '{"a": {"b\\u0022": 1,\n "b\\"": 2}}';
  expect(refusal(() => parseJsonText(twice))).toMatchObject({ offset: twice.lastIndexOf('"b'), message: 'the key "b\\"" is given twice' });
  expect(refusal(() => parseJsonText('['.repeat(100_000) + ']'.repeat(100_000))).message).toMatch(/nested more than 200 levels/);
});

test('a key "__proto__" is a key', () => {
  for (const parsed of [parseJsonText('{"__proto__": {"a": 1}}'), parseYamlText('__proto__: { a: 1 }')]) {
    expect(Object.keys(parsed.value as object)).toEqual(['__proto__']);
    expect((parsed.value as { a?: number }).a).toBeUndefined();
  }
});
