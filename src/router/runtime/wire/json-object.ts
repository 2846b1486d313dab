import { CLOSE_LIST, CLOSE_OBJECT, COLON, COMMA, endOfString, OPEN_LIST, OPEN_OBJECT, QUOTE } from './json-bytes';

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
    } else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
      depth++;
    } else if (name !== undefined && depth === 1 && (byte === COMMA || byte === CLOSE_OBJECT)) {
      members.push({ name: JSON.parse(object.toString('utf8', name.start, name.end)), start: name.start, valueStart, end: at });
      name = undefined;
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
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
