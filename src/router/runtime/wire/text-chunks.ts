import { Fields, isObject } from './fields';

const MEMBER = /"content"\s*:\s*"/g;
/** What the literal of a text has where it is not the text itself, or where it stands for bytes that are no UTF-8, and is longer than they are. */
const NOT_PLAIN = /["\\\u0000-\u001f\ufffd]/;
/** What an event has that others are not read by. */
const NOT_TO_LEARN_FROM = /kv_transfer_params|\ufffd/;
/** Chunks in a row from which nothing can be learnt after which no more is tried: each costs more than what is to be spared. */
const MOST_LESSONS = 16;

/** What events say that say nothing but text. */
export interface TextOfEvents {
  readonly text: string;
  readonly events: number;
  /** Characters that they take. */
  readonly length: number;
}

/**
 * Reads the text of a stream's chunks without parsing each: nearly all differ from the one before in nothing but their text.
 */
export class TextChunks {
  /** What stands before and after the text in an event; empty if nothing was learnt. */
  private before = '';
  private after = '';
  private vainLessons = 0;

  /**
   * The text of the first events, as far as they say the same as the one that was learnt from, but for their text; undefined if they have to be read one by one.
   *
   * @param events whole events, of one line of data each.
   */
  public read(events: string): TextOfEvents | undefined {
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
    const text = told.replaceAll(between, '');
    // had one of them anything else to say, there would be quotes left.
    return NOT_PLAIN.test(text) ? undefined : { text, events: 1 + (told.length - text.length) / between.length, length: end + after.length };
  }

  /** Learns from the data of an event that was passed on, if all that it says is its text. */
  public learn(data: string): void {
    if (this.vainLessons < MOST_LESSONS && this.read(`data: ${data}\n\n`) === undefined) {
      this.vainLessons = this.learnFrom(data) ? 0 : this.vainLessons + 1;
    }
  }

  private learnFrom(data: string): boolean {
    const content = NOT_TO_LEARN_FROM.test(data) ? undefined : onlyTextOf(data);
    if (content === undefined || NOT_PLAIN.test(content)) {
      return false;
    }
    const [member, another] = data.matchAll(MEMBER);
    const start = member === undefined ? 0 : member.index + member[0].length;
    // what is spelt otherwise, or could be another's text, is not learnt from.
    if (member === undefined || another !== undefined || !data.startsWith(`${content}"`, start)) {
      return false;
    }
    this.before = `data: ${data.slice(0, start)}`;
    this.after = `${data.slice(start + content.length)}\n\n`;
    return true;
  }
}

/** The text of a chunk that says nothing else; undefined if it does, or is none. */
function onlyTextOf(data: string): string | undefined {
  let chunk: unknown;
  try {
    chunk = JSON.parse(data);
  } catch {
    return undefined;
  }
  const { object, choices, usage, error } = isObject(chunk) ? chunk : {} as Fields;
  const [choice, ...others] = Array.isArray(choices) ? choices : [];
  const { delta, finish_reason: finishReason } = isObject(choice) ? choice : {} as Fields;
  const { content, role, ...more } = isObject(delta) ? delta : {} as Fields;
  const isText = typeof content === 'string' && content !== '' && object !== 'error' && others.length === 0
    && [finishReason, usage, error, ...Object.values(more)].every(isNothing);
  return isText ? content : undefined;
}

function isNothing(value: unknown): boolean {
  return value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0);
}
