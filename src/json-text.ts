/**
 * Text that is not JSON, and where it stops being so.
 */
export class JsonSyntaxError extends Error {
  /** Line of the first character that does not fit, from 1. */
  public readonly line: number;
  /** Column of the first character that does not fit, from 1. */
  public readonly column: number;

  constructor(text: string, offset: number, expected: string) {
    super(`expected ${expected}`);
    this.name = 'JsonSyntaxError';
    const before = text.slice(0, offset);
    this.line = before.split('\n').length;
    this.column = offset - before.lastIndexOf('\n');
  }
}

/**
 * Parses JSON as `JSON.parse` does, but says where it breaks on every version of Node.js.
 *
 * @param text the text.
 * @throws JsonSyntaxError with line and column.
 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Locator(text).locate();
  }
}

/** Levels of nesting that are followed: more would exhaust the stack. */
const MAX_LEVELS = 1000;

/** Walks text that is known not to be JSON up to the first character that does not fit. */
class Locator {
  private offset = 0;
  private depth = 0;

  constructor(private readonly text: string) {}

  public locate(): JsonSyntaxError {
    try {
      this.value();
      this.space();
      return this.broken('the end of the text');
    } catch (error) {
      if (error instanceof JsonSyntaxError) {
        return error;
      }
      throw error;
    }
  }

  private value(): void {
    if (++this.depth > MAX_LEVELS) {
      throw this.broken(`at most ${MAX_LEVELS} levels`);
    }
    this.space();
    if (this.take(/\{/y)) {
      this.list(/\}/y, '"," or "}"', () => {
        this.space();
        this.expect(/"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y, 'a property name in double quotes');
        this.space();
        this.expect(/:/y, '":"');
        this.value();
      });
    } else if (this.take(/\[/y)) {
      this.list(/\]/y, '"," or "]"', () => this.value());
    } else {
      this.expect(
        /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y,
        'a value',
      );
    }
    this.depth--;
  }

  private list(end: RegExp, separator: string, item: () => void): void {
    this.space();
    if (this.take(end)) {
      return;
    }
    do {
      item();
      this.space();
    } while (this.take(/,/y));
    this.expect(end, separator);
  }

  private space(): void {
    this.take(/[ \t\r\n]*/y);
  }

  private take(pattern: RegExp): boolean {
    pattern.lastIndex = this.offset;
    const matched = pattern.exec(this.text);
    if (matched) {
      this.offset = pattern.lastIndex;
    }
    return matched !== null;
  }

  private expect(pattern: RegExp, what: string): void {
    if (!this.take(pattern)) {
      throw this.broken(what);
    }
  }

  private broken(expected: string): JsonSyntaxError {
    return new JsonSyntaxError(this.text, this.offset, expected);
  }
}
