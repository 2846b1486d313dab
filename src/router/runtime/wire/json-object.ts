const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const OPENING = new Set([0x7b, 0x5b]);
const CLOSING = new Set([0x7d, 0x5d]);

/** Where a member of a JSON object is within the object's text. */
export interface JsonMember {
  readonly name: string;
  /** Where its name begins. */
  readonly start: number;
  /** Where its value begins, white space included. */
  readonly valueStart: number;
  /** Where its value ends, white space included. */
  readonly end: number;
}

/** The text of a member's new value by name; undefined takes the member out. */
export interface MemberChanges {
  readonly [name: string]: string | undefined;
}

/**
 * The members of a JSON object in the order of its text, those of one name included.
 *
 * @param object the text of a JSON object that is known to be one.
 */
export function membersOf(object: Buffer): JsonMember[] {
  const members: JsonMember[] = [];
  let depth = 0;
  let name: { readonly start: number; readonly end: number } | undefined;
  let valueStart = 0;
  for (let at = 0; at < object.length; at++) {
    const byte = object[at];
    if (byte === QUOTE) {
      const end = endOfString(object, at);
      name = name ?? { start: at, end };
      at = end - 1;
    } else if (depth === 1 && byte === COLON) {
      valueStart = at + 1;
    } else if (OPENING.has(byte)) {
      depth++;
    } else if (name !== undefined && depth === 1 && (byte === COMMA || CLOSING.has(byte))) {
      members.push({ name: JSON.parse(object.toString('utf8', name.start, name.end)), start: name.start, valueStart, end: at });
      name = undefined;
    } else if (CLOSING.has(byte)) {
      depth--;
    }
  }
  return members;
}

/**
 * A JSON object with other members. Whatever is not named keeps its very text: numbers that JavaScript would round or spell otherwise, and the order of
 * names, are part of a prompt where a chat template renders them.
 *
 * @param object the text of a JSON object that is known to be one.
 * @param changes the members that are to be others.
 */
export function withMembers(object: Buffer, changes: MemberChanges): Buffer {
  return Buffer.concat(partsWithMembers(object, changes));
}

/** The same in parts, of which those that are kept are not copied. */
export function partsWithMembers(object: Buffer, changes: MemberChanges): Buffer[] {
  const kept: { readonly start: number; end: number }[] = [];
  let isRun = false;
  for (const { name, start, end } of membersOf(object)) {
    const isKept = !Object.hasOwn(changes, name);
    if (isKept && isRun) {
      kept.at(-1)!.end = end;
    } else if (isKept) {
      kept.push({ start, end });
    }
    isRun = isKept;
  }
  const added = textOfMembers(changes);
  const parts = [...kept.map(({ start, end }) => object.subarray(start, end)), ...(added === '' ? [] : [Buffer.from(added)])];
  const comma = Buffer.from(',');
  return [Buffer.from('{'), ...parts.flatMap((part, i) => (i === 0 ? [part] : [comma, part])), Buffer.from('}')];
}

/** The members that changes add, as text between braces. */
export function textOfMembers(changes: MemberChanges): string {
  return Object.entries(changes).filter(([, value]) => value !== undefined).map(([name, value]) => `${JSON.stringify(name)}:${value}`).join();
}

/** Bytes of a string that are looked at one by one: from about as many on a search is faster. */
const SHORT = 32;

/** The index after the quote that closes a string; the end of the text if none does. */
export function endOfString(text: Buffer, start: number): number {
  let at = start + 1;
  while (at < text.length) {
    for (const end = Math.min(text.length, at + SHORT); at < end; at++) {
      if (text[at] === QUOTE) {
        return at + 1;
      }
      if (text[at] === BACKSLASH) {
        at++;
      }
    }
    const quote = text.indexOf(QUOTE, at);
    if (quote === -1) {
      break;
    }
    let backslashes = 0;
    while (text[quote - 1 - backslashes] === BACKSLASH) {
      backslashes++;
    }
    if (backslashes % 2 === 0) {
      return quote + 1;
    }
    at = quote + 1;
  }
  return text.length;
}
