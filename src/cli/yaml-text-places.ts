import { Composer, CST, isAlias, isMap, isScalar, isSeq, Lexer, Node, Parser, Scalar } from 'yaml';
import { duplicateKey, MAX_LEVELS, ParsedText, Place, TEMPLATE_EXPECTED, TextRefused, tooDeep } from './parsed-text';

/** Values that a text may have once its aliases are followed: more than a large template has without any. */
const MAX_VALUES = 200_000;
/** What a text has that was meant to be a template. */
const SECTION = /(^|[{,])\s*["']?(Resources|Transform|Fn::Transform|AWSTemplateFormatVersion)["']?\s*:/m;

/**
 * Parses YAML as CloudFormation does, with the place of each value. Short forms such as `!Ref` become the functions that they stand for.
 *
 * @param text the text.
 * @throws TextRefused if it is not YAML, or what no template has: duplicate keys, deep nesting, aliases that expand without bound.
 */
export function parseYamlText(text: string): ParsedText {
  // scalars are resolved below, as CloudFormation does: the parser leaves them as text.
  const composer = new Composer({ schema: 'failsafe', uniqueKeys: false });
  const [document, second] = [...composer.compose(tokensOf(text), true, text.length)];
  const [error] = document.errors;
  if (error) {
    if (error.code === 'RESOURCE_EXHAUSTION') {
      throw tooDeep(error.pos[0]);
    }
    const message = sentence(error.message);
    throw SECTION.test(text) ? new TextRefused(error.pos[0], message, 'mend the text at this place')
      : new TextRefused(error.pos[0], `this is no CloudFormation template: ${message}`, TEMPLATE_EXPECTED);
  }
  if (second) {
    throw new TextRefused(second.range[0], 'there is a second document', 'give each template a file of its own');
  }
  return document.contents ? new Reader().read(document.contents, document.contents.range[0], 0) : { value: null, place: { offset: 0 } };
}

function tokensOf(text: string): CST.Token[] {
  const parser = new Parser();
  const tokens: CST.Token[] = [];
  for (const lexeme of new Lexer().lex(text)) {
    tokens.push(...parser.next(lexeme));
    // composing is recursive, and what the parser holds open is how deep that will go; there are up to two tokens to a level.
    if (parser.stack.length > 2 * MAX_LEVELS) {
      throw tooDeep(parser.offset);
    }
  }
  tokens.push(...parser.end());
  return tokens;
}

/** Turns the nodes of a document into values. */
class Reader {
  private readonly anchors = new Map<string, Node>();
  private readonly open = new Set<Node>();
  private values = 0;

  public read(node: Node, start: number, level: number): ParsedText {
    if (level > MAX_LEVELS) {
      throw tooDeep(start);
    }
    if (++this.values > MAX_VALUES) {
      throw new TextRefused(start, `aliases expand to more than ${MAX_VALUES} values`, 'write the values out, or use fewer aliases');
    }
    if (isAlias(node)) {
      const target = this.anchors.get(node.source);
      if (!target || this.open.has(target)) {
        const message = target ? 'is inside of what it stands for' : 'has no anchor before it';
        throw new TextRefused(start, `the alias "*${node.source}" ${message}`, 'write the value out');
      }
      return this.read(target, start, level + 1);
    }
    const { anchor } = node as { anchor?: string };
    if (anchor) {
      this.anchors.set(anchor, node);
    }
    this.open.add(node);
    const name = functionName(node.tag);
    const content = this.content(node, start, level + (name === undefined ? 0 : 1), name !== undefined);
    this.open.delete(node);
    return name === undefined ? content : { value: { [name]: content.value }, place: { offset: start, items: new Map([[name, content.place]]) } };
  }

  private content(node: Node, start: number, level: number, isArgument: boolean): ParsedText {
    if (isMap(node)) {
      const items = new Map<string, Place>();
      const entries = new Map<string, unknown>();
      const merged: ParsedText[] = [];
      for (const { key, value } of node.items) {
        const keyStart = (key as Node).range?.[0] ?? start;
        if (!isScalar<string>(key)) {
          throw new TextRefused(keyStart, 'a key is not a string', 'write the key as a string');
        }
        const item = value ? this.read(value as Node, keyStart, level + 1) : { value: null, place: { offset: keyStart } };
        if (key.value === '<<' && key.type === Scalar.PLAIN) {
          merged.push(item);
        } else if (entries.has(key.value)) {
          throw duplicateKey(keyStart, key.value);
        } else {
          entries.set(key.value, item.value);
          items.set(key.value, item.place);
        }
      }
      merged.forEach((item) => merge(item, entries, items));
      // fromEntries defines properties: a key such as "__proto__" stays an ordinary key.
      return { value: Object.fromEntries(entries), place: { offset: start, items } };
    }
    if (isSeq(node)) {
      const read = node.items.map((item) => this.read(item as Node, (item as Node).range?.[0] ?? start, level + 1));
      return { value: read.map(({ value }) => value), place: { offset: start, items: new Map(read.map(({ place }, i) => [String(i), place])) } };
    }
    const { value, type, tag } = node as Scalar<string>;
    return { value: type === Scalar.PLAIN && !isArgument && tag === undefined ? plainValue(value) : value, place: { offset: start } };
  }
}

// what a map has of its own goes before what it merges.
function merge(item: ParsedText, entries: Map<string, unknown>, items: Map<string, Place>): void {
  const sources = Array.isArray(item.value)
    ? item.value.map((value, i) => ({ value, place: item.place.items?.get(String(i)) ?? item.place }))
    : [item];
  for (const source of sources) {
    if (typeof source.value !== 'object' || source.value === null) {
      throw new TextRefused(item.place.offset, 'what "<<" merges is not a map', 'merge the alias of a map, or drop "<<"');
    }
    for (const [key, value] of Object.entries(source.value)) {
      if (!entries.has(key)) {
        entries.set(key, value);
        items.set(key, source.place.items?.get(key) ?? source.place);
      }
    }
  }
}

/** `!Sub` stands for `Fn::Sub`. */
function functionName(tag: string | undefined): string | undefined {
  const name = tag === undefined ? undefined : /^!([A-Za-z].*)$/.exec(tag)?.[1];
  return name === undefined || name === 'Ref' || name === 'Condition' ? name : `Fn::${name}`;
}

// YAML 1.1 as CloudFormation reads it. A number that does not come back as it was written, such as an account id with a leading zero, stays text.
function plainValue(text: string): unknown {
  if (/^(?:~|null|Null|NULL|)$/.test(text)) {
    return null;
  }
  if (/^(?:yes|Yes|YES|true|True|TRUE|on|On|ON)$/.test(text)) {
    return true;
  }
  if (/^(?:no|No|NO|false|False|FALSE|off|Off|OFF)$/.test(text)) {
    return false;
  }
  return /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(text) && String(Number(text)) === text ? Number(text) : text;
}

function sentence(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1).replace(/\.$/, '');
}
