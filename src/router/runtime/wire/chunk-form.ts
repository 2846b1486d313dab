/** Where the text of a chunk begins. A quote within a text is escaped, so a text never looks like it. */
const MEMBER = /"(?:content|text)"\s*:\s*"/;
/** The literal of a text, but for its quotes. */
const LITERAL = /(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*/y;

/**
 * Knows chunks that are JSON without parsing each: nearly all of a stream differ from the one before in nothing but their text.
 */
export class ChunkForm {
  /** What stands before and after the text in the event that was parsed last; empty if it has none. */
  private before = '';
  private after = '';

  /**
   * Whether an event is like the one that was parsed last, but for its text.
   *
   * @param events in which it is.
   * @param start where it begins.
   * @param end after its last character, the blank line not included.
   */
  public fits(events: string, start: number, end: number): boolean {
    const { before, after } = this;
    const textEnd = end - after.length;
    const textStart = start + before.length;
    // texts are compared faster than looked for.
    return before !== '' && textEnd >= textStart && events.slice(start, textStart) === before && events.slice(textEnd, end) === after
      && textEnd === endOfLiteral(events, textStart);
  }

  /** Parses an event, to know others like it. Returns whether its data is JSON. */
  public parse(events: string, start: number, end: number): boolean {
    const event = events.slice(start, end);
    try {
      JSON.parse(event.slice(event.indexOf('{')));
    } catch {
      return false;
    }
    const member = MEMBER.exec(event);
    const textStart = member === null ? 0 : member.index + member[0].length;
    this.before = event.slice(0, textStart);
    this.after = event.slice(endOfLiteral(event, textStart));
    return true;
  }
}

function endOfLiteral(text: string, start: number): number {
  LITERAL.lastIndex = start;
  LITERAL.test(text);
  return LITERAL.lastIndex;
}
