import { Fields, isObject } from './fields';

const MEMBER = /"content"\s*:\s*"/g;
/** What the literal of a text has where it is not the text itself. */
const NOT_PLAIN = /["\\\u0000-\u001f]/;

/**
 * Reads the text of a stream's chunks without parsing each: nearly all differ from the one before in nothing but their text.
 */
export class TextChunks {
  /** What stands before and after the text in an event; empty if nothing was learnt. */
  private before = '';
  private after = '';

  /**
   * The text of events that say the same as the one that was learnt from, but for their text; undefined if they have to be parsed.
   *
   * @param events whole events, of one line of data each.
   */
  public textOf(events: string): string | undefined {
    const { before, after } = this;
    const end = events.length - after.length;
    if (before === '' || end < before.length || !events.startsWith(before) || !events.endsWith(after)) {
      return undefined;
    }
    // had one of them anything else to say, there would be quotes left.
    const text = events.slice(before.length, end).replaceAll(after + before, '');
    return NOT_PLAIN.test(text) ? undefined : text;
  }

  /** Learns from a chunk that was parsed, if all that it says is its text. */
  public learn(data: string, { choices, usage }: Fields): void {
    const [choice, ...others] = Array.isArray(choices) ? choices : [];
    const { delta, finish_reason: finishReason } = isObject(choice) ? choice : {} as Fields;
    const { content, role, ...more } = isObject(delta) ? delta : {} as Fields;
    if (typeof content !== 'string' || content === '' || NOT_PLAIN.test(content) || others.length > 0 || !isNothing(finishReason) || !isNothing(usage)
      || !Object.values(more).every(isNothing)) {
      return;
    }
    const [member, another] = data.matchAll(MEMBER);
    const start = member === undefined ? 0 : member.index + member[0].length;
    // what is spelt otherwise, or could be another's text, is not learnt from.
    if (member !== undefined && another === undefined && data.startsWith(`${content}"`, start)) {
      this.before = `data: ${data.slice(0, start)}`;
      this.after = `${data.slice(start + content.length)}\n\n`;
    }
  }
}

function isNothing(value: unknown): boolean {
  return value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0);
}
