import { isUtf8 } from 'node:buffer';
import { Fields, isNothing, isObject } from './fields';
import { BACKSLASH, QUOTE } from './json-bytes';
import { HEX_DIGITS } from '../hex-digits';

const DATA = 'data: ';
/** Where the text of a chunk begins. A quote within a text is escaped, so a text never looks like it. */
const MEMBER = /"(?:content|text)"\s*:\s*"/g;
/** What the literal of a text has where it is not the text itself, or where it stands for bytes that are no UTF-8. */
const NOT_PLAIN = /["\\\u0000-\u001f\ufffd]/;
/** What an event has that others are not read by. */
const NOT_TO_LEARN_FROM = /kv_transfer_params|\ufffd|\r/;
/** Events in a row from which nothing can be learnt after which no more is tried: each costs more than what is to be spared. */
const MOST_LESSONS = 16;
const SPACE = 0x20;
/** What may follow a backslash, and, the four digits of a character aside, is all of an escape. */
const ESCAPED = Uint8Array.from({ length: 256 }, (_, byte) => ('"\\/bfnrt'.includes(String.fromCharCode(byte)) ? 1 : 0));
const U = 0x75;
const DIGITS = 4;
/** Bytes of UTF-8 that are not ASCII, and that begin a character. */
const FIRST_NOT_ASCII = 0x80;
const FIRST_BEGINNING = 0xc0;

/** Events that say nothing but text. */
export interface TextOfEvents {
  readonly events: number;
  /** Bytes that they take. */
  readonly length: number;
  /** What they say, if that was asked for. */
  readonly text?: string;
}

const NO_EVENTS: TextOfEvents = { events: 0, length: 0 };
// used again for all that is read, as nothing of it is kept.
const literals = Buffer.allocUnsafeSlow(64 * 1024);

/**
 * What the chunks of a stream look like, learnt from one of them that says nothing but text: nearly all differ from it in their text alone, so that they are
 * known, or read, without parsing each, or even making a string of it.
 *
 * Events are given from their `data: ` to their blank line.
 */
export class ChunkForm {
  /** What stands before and after the text in an event; undefined if nothing was learnt. */
  private before?: Pattern;
  private after?: Pattern;
  private vainLessons = 0;

  /** Whether there is nothing to be learnt any more, or nothing that could be. */
  public get isSettled(): boolean {
    return this.before !== undefined || this.vainLessons >= MOST_LESSONS;
  }

  /**
   * The first events, as far as they have this form, and are JSON therefore.
   *
   * @param bytes events one after the other, and what else there may be.
   * @param readsText whether their text is asked for, which is UTF-8 then.
   */
  public read(bytes: Buffer, readsText: boolean): TextOfEvents {
    const { before, after } = this;
    if (before === undefined || after === undefined) {
      return NO_EVENTS;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const last = bytes.length - after.length;
    let events = 0;
    let length = 0;
    let told = 0;
    let isEscaped = false;
    let isAscii = true;
    while (before.isAt(view, length)) {
      const start = length + before.length;
      let at = start;
      for (; at <= last; at++) {
        const byte = bytes[at];
        if (byte === QUOTE || byte < SPACE) {
          break;
        } else if (byte === BACKSLASH) {
          isEscaped = true;
          at = endOfEscape(bytes, at);
        } else if (byte >= FIRST_NOT_ASCII) {
          isAscii = false;
        }
      }
      if (at > last || !after.isAt(view, at)) {
        break;
      }
      if (readsText) {
        // one that is none begins within a character, and may be the rest of another's.
        if (told + at - start > literals.length || (bytes[start] >= FIRST_NOT_ASCII && bytes[start] < FIRST_BEGINNING)) {
          break;
        }
        for (let from = start; from < at; from++, told++) {
          literals[told] = bytes[from];
        }
      }
      length = at + after.length;
      events++;
    }
    if (!readsText || events === 0) {
      return { events, length };
    }
    if (!isAscii && !isUtf8(literals.subarray(0, told))) {
      return NO_EVENTS;
    }
    const literal = literals.toString(isAscii ? 'latin1' : 'utf8', 0, told);
    return { events, length, text: isEscaped ? JSON.parse(`"${literal}"`) : literal };
  }

  /** Learns from an event that `read` is to know others by. */
  public learn(event: Buffer): void {
    if (this.vainLessons < MOST_LESSONS && this.read(event, false).events === 0) {
      this.vainLessons++;
      this.parse(event);
    }
  }

  /** Parses an event, and learns from it if all that it says is its text. Returns whether it is JSON. */
  public parse(event: Buffer): boolean {
    const json = event.toString('utf8');
    let chunk: unknown;
    try {
      chunk = JSON.parse(json.slice(DATA.length));
    } catch {
      return false;
    }
    const text = NOT_TO_LEARN_FROM.test(json) ? undefined : onlyTextOf(chunk);
    if (text !== undefined && !NOT_PLAIN.test(text)) {
      const [member, another] = json.matchAll(MEMBER);
      const start = member === undefined ? 0 : member.index + member[0].length;
      // what is spelt otherwise, or could be another's text, is not learnt from.
      if (member !== undefined && another === undefined && json.startsWith(`${text}"`, start)) {
        this.before = new Pattern(json.slice(0, start));
        this.after = new Pattern(json.slice(start + text.length));
        this.vainLessons = 0;
      }
    }
    return true;
  }
}

/** Bytes that may stand somewhere, four or more: they are compared four at a time. */
class Pattern {
  public readonly length: number;
  private readonly words: Int32Array;
  private readonly lastWord: number;

  constructor(text: string) {
    const { buffer, byteOffset, length } = Buffer.from(text);
    const view = new DataView(buffer, byteOffset, length);
    this.length = length;
    this.words = Int32Array.from({ length: Math.floor(length / 4) }, (_, i) => view.getInt32(i * 4, true));
    this.lastWord = view.getInt32(length - 4, true);
  }

  public isAt(view: DataView, start: number): boolean {
    const { words, length } = this;
    if (start + length > view.byteLength) {
      return false;
    }
    for (let i = 0, at = start; i < words.length; i++, at += 4) {
      if (view.getInt32(at, true) !== words[i]) {
        return false;
      }
    }
    return view.getInt32(start + length - 4, true) === this.lastWord;
  }
}

/** Where an escape ends that begins at a place: its last byte; beyond all bytes if it is none. */
function endOfEscape(bytes: Buffer, start: number): number {
  const kind = bytes[start + 1];
  if (ESCAPED[kind] === 1) {
    return start + 1;
  }
  const end = start + 1 + DIGITS;
  for (let at = start + 2; kind === U && at <= end && HEX_DIGITS[bytes[at]] >= 0; at++) {
    if (at === end) {
      return end;
    }
  }
  return bytes.length;
}

/** The text of a chunk that says nothing else; undefined if it does, or is none. */
function onlyTextOf(chunk: unknown): string | undefined {
  const { object, choices, usage, error } = isObject(chunk) ? chunk : {} as Fields;
  const [choice, ...others] = Array.isArray(choices) ? choices : [];
  const { delta, text: completed, finish_reason: finishReason } = isObject(choice) ? choice : {} as Fields;
  const { content, role, ...more } = isObject(delta) ? delta : { content: completed } as Fields;
  const isText = typeof content === 'string' && content !== '' && object !== 'error' && others.length === 0
    && [finishReason, usage, error, ...Object.values(more)].every(isNothing);
  return isText ? content : undefined;
}
