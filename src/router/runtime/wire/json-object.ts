import { CLOSE_LIST, CLOSE_OBJECT, COLON, COMMA, endOfString, OPEN_LIST, OPEN_OBJECT, QUOTE } from './json-bytes';

const BEGINNING = Buffer.from('{');
const BETWEEN = Buffer.from(',');

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
      members.push({ name: nameOf(object.toString('utf8', name.start + 1, name.end - 1)), start: name.start, valueStart, end: at });
      name = undefined;
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
      depth--;
    }
  }
  return members;
}

/** A name as it is meant, of which hardly any has an escape. */
function nameOf(literal: string): string {
  return literal.includes('\\') ? JSON.parse(`"${literal}"`) : literal;
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
  const parts: Buffer[] = [BEGINNING];
  for (const { start, end } of kept) {
    parts.push(object.subarray(start, end), BETWEEN);
  }
  if (added === '' && kept.length > 0) {
    parts.pop();
  }
  parts.push(Buffer.from(`${added}}`));
  return parts;
}

/** The members that changes add, as text between braces. */
export function textOfMembers(changes: MemberChanges): string {
  let text = '';
  for (const [name, value] of Object.entries(changes)) {
    if (value !== undefined) {
      text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${value}`;
    }
  }
  return text;
}
