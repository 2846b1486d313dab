/**
 * Text that is not JSON, and where it stops being so.
 */
export class JsonSyntaxError extends Error {
  /** Line of the first character that does not fit, from 1. */
  public readonly line: number;
  /** Column of the first character that does not fit, from 1. */
  public readonly column: number;
  /** What is there, without telling which letter or digit: the text may be a secret. */
  public readonly got: string;

  constructor(text: string, offset: number, expected: string) {
    super(`expected ${expected}`);
    this.name = 'JsonSyntaxError';
    const before = text.slice(0, offset);
    let line = 1;
    // no list of lines: there may be as many as characters.
    for (let at = before.indexOf('\n'); at !== -1; at = before.indexOf('\n', at + 1)) {
      line++;
    }
    this.line = line;
    this.column = offset - before.lastIndexOf('\n');
    this.got = kindOf(text.charAt(offset));
  }
}

function kindOf(character: string): string {
  if (character === '') {
    return 'the end of the text';
  }
  if (character < ' ') {
    return character === '\n' ? 'a line break' : 'a control character';
  }
  return /\w/.test(character) ? 'a letter or digit' : character < '\u007f' ? JSON.stringify(character) : 'a character beyond ASCII';
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
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const [QUOTE, BACKSLASH] = ['"', '\\'].map((character) => character.charCodeAt(0));
const [SPACE, TAB, CARRIAGE_RETURN, LINE_FEED] = [' ', '\t', '\r', '\n'].map((character) => character.charCodeAt(0));

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
    if (this.take('{')) {
      this.list('}', () => {
        this.expect(this.string(), 'a property name in double quotes');
        this.expect(this.take(':'), '":"');
        this.value();
      });
    } else if (this.take('[')) {
      this.list(']', () => this.value());
    } else {
      this.expect(this.string() || this.match(SCALAR), 'a value');
    }
    this.depth--;
  }

  private list(end: string, item: () => void): void {
    if (this.take(end)) {
      return;
    }
    do {
      item();
    } while (this.take(','));
    this.expect(this.take(end), `"," or "${end}"`);
  }

  /** Takes a string, if there is one. */
  private string(): boolean {
    if (!this.take('"')) {
      return false;
    }
    // no pattern for all of it: where it is long, that would fill the stack.
    for (let code = this.code; code >= 0x20 && code !== QUOTE; code = this.code) {
      if (code !== BACKSLASH) {
        this.offset++;
      } else if (!this.match(ESCAPE)) {
        break;
      }
    }
    const end = this.text.charAt(this.offset);
    this.expect(end === '"', end === '\\' ? 'an escape sequence of JSON' : 'the end of a string, without control characters in it');
    this.offset++;
    return true;
  }

  /** The next character; NaN at the end. */
  private get code(): number {
    return this.text.charCodeAt(this.offset);
  }

  /** Takes a character, if it comes next after white space. */
  private take(character: string): boolean {
    this.space();
    if (this.code !== character.charCodeAt(0)) {
      return false;
    }
    this.offset++;
    return true;
  }

  private match(pattern: RegExp): boolean {
    pattern.lastIndex = this.offset;
    const isThere = pattern.test(this.text);
    if (isThere) {
      this.offset = pattern.lastIndex;
    }
    return isThere;
  }

  private space(): void {
    let code = this.code;
    while (code === SPACE || code === LINE_FEED || code === CARRIAGE_RETURN || code === TAB) {
      code = this.text.charCodeAt(++this.offset);
    }
  }

  private expect(isThere: boolean, what: string): void {
    if (!isThere) {
      throw this.broken(what);
    }
  }

  private broken(expected: string): JsonSyntaxError {
    return new JsonSyntaxError(this.text, this.offset, expected);
  }
}
