import { Fields, isNothing, isObject } from './fields';

const DATA = 'data: ';
const BLANK_LINE = '\n\n';
/** Where the text of a chunk begins. A quote within a text is escaped, so a text never looks like it. */
const MEMBER = /"(?:content|text)"\s*:\s*"/g;
/** The literal of a text, but for its quotes. */
const LITERAL = /(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*/y;
/** What the literal of a text has where it is not the text itself, or where it stands for bytes that are no UTF-8, and is longer than they are. */
const NOT_PLAIN = /["\\\u0000-\u001f\ufffd]/;
const REPLACED = '\ufffd';
/** What an event has that others are not read by. */
const NOT_TO_LEARN_FROM = /kv_transfer_params|\ufffd|\r/;
/** Events in a row from which nothing can be learnt after which no more is tried: each costs more than what is to be spared. */
const MOST_LESSONS = 16;

/** Events that say nothing but text. */
export interface Events {
  readonly events: number;
  /** Characters that they take. */
  readonly length: number;
}

/** Events that may say nothing but text. */
interface Alike extends Events {
  /** What is between the beginning of the first one and the end of the last one. */
  readonly told: string;
  /** The same without what is between one and the next. */
  readonly joined: string;
}

/** What they say. */
export interface TextOfEvents extends Events {
  readonly text: string;
}

/**
 * What the chunks of a stream look like, learnt from one of them that says nothing but text: nearly all differ from it in their text alone, so that they are
 * known, or read, without parsing each.
 *
 * Events are given from their `data: ` to their blank line.
 */
export class ChunkForm {
  /** What stands before and after the text in an event; empty if nothing was learnt. */
  private before = '';
  private after = '';
  private vainLessons = 0;

  /** Whether there is nothing to be learnt any more, or nothing that could be. */
  public get isSettled(): boolean {
    return this.before !== '' || this.vainLessons >= MOST_LESSONS;
  }

  /** The first events, as far as they have this form, and are JSON therefore. */
  public match(events: string): Events {
    // one alone is compared faster than looked for.
    const alike = events.length < 2 * (this.before.length + this.after.length) ? undefined : this.alike(events);
    return alike !== undefined && (!NOT_PLAIN.test(alike.joined) || this.textsOf(alike).every(isLiteral)) ? alike : this.matchEach(events);
  }

  private matchEach(events: string): Events {
    let length = 0;
    let matched = 0;
    for (let at = events.indexOf('\n'); at !== -1 && this.fits(events, length, at + BLANK_LINE.length); at = events.indexOf('\n', length)) {
      length = at + BLANK_LINE.length;
      matched++;
    }
    return { events: matched, length };
  }

  private fits(events: string, start: number, end: number): boolean {
    const { before, after } = this;
    const textEnd = end - after.length;
    const textStart = start + before.length;
    // texts are compared faster than looked for.
    return before !== '' && textEnd >= textStart && events.slice(start, textStart) === before && events.slice(textEnd, end) === after
      && textEnd === endOfLiteral(events, textStart);
  }

  /** The text of the first events, as far as they have this form; undefined if they have to be read one by one. */
  public read(events: string): TextOfEvents | undefined {
    const alike = this.alike(events);
    if (alike === undefined) {
      return undefined;
    }
    const text = NOT_PLAIN.test(alike.joined) ? textOf(this.textsOf(alike)) : alike.joined;
    return text === undefined ? undefined : { text, events: alike.events, length: alike.length };
  }

  /** The first events, as far as they may have this form: had one of them anything else to say, there would be quotes left in what is between. */
  private alike(events: string): Alike | undefined {
    const { before, after } = this;
    if (before === '' || !events.startsWith(before)) {
      return undefined;
    }
    const between = after + before;
    const last = events.lastIndexOf(between);
    const end = events.indexOf(after, last === -1 ? before.length : last + between.length);
    if (end === -1) {
      return undefined;
    }
    const told = events.slice(before.length, end);
    const joined = told.replaceAll(between, '');
    return { told, joined, events: 1 + (told.length - joined.length) / between.length, length: end + after.length };
  }

  /** What is between, for each: the literal of its text, but for its quotes, if it says nothing else. */
  private textsOf({ told }: Alike): string[] {
    return told.split(this.after + this.before);
  }

  /** Learns from an event that `read` is to know others by. */
  public learn(event: string): void {
    if (this.vainLessons < MOST_LESSONS && this.read(event) === undefined) {
      this.vainLessons++;
      this.parse(event);
    }
  }

  /** Parses an event, and learns from it if all that it says is its text. Returns whether it is JSON. */
  public parse(event: string): boolean {
    let chunk: unknown;
    try {
      chunk = JSON.parse(event.slice(DATA.length));
    } catch {
      return false;
    }
    const text = NOT_TO_LEARN_FROM.test(event) ? undefined : onlyTextOf(chunk);
    if (text !== undefined && !NOT_PLAIN.test(text)) {
      const [member, another] = event.matchAll(MEMBER);
      const start = member === undefined ? 0 : member.index + member[0].length;
      // what is spelt otherwise, or could be another's text, is not learnt from.
      if (member !== undefined && another === undefined && event.startsWith(`${text}"`, start)) {
        this.before = event.slice(0, start);
        this.after = event.slice(start + text.length);
        this.vainLessons = 0;
      }
    }
    return true;
  }
}

/** The text of literals one after the other, which are given without their quotes; undefined if one is none, or stands for bytes that are no UTF-8. */
function textOf(literals: string[]): string | undefined {
  let text = '';
  for (const literal of literals) {
    try {
      text += NOT_PLAIN.test(literal) ? JSON.parse(`"${literal}"`) : literal;
    } catch {
      return undefined;
    }
    if (literal.includes(REPLACED)) {
      return undefined;
    }
  }
  return text;
}

function isLiteral(text: string): boolean {
  return endOfLiteral(text, 0) === text.length;
}

function endOfLiteral(text: string, start: number): number {
  LITERAL.lastIndex = start;
  LITERAL.test(text);
  return LITERAL.lastIndex;
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
