/** Printable characters, from which those of a class are taken: letters and digits first, as they are read best. */
const ALL = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~';
/** What may follow a part of a pattern: how often it is repeated. */
const REPEATED = /^(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})\??/;
/** No text is longer. */
const MAX_LENGTH = 10_000;

/** How long a text is to be. */
interface Lengths {
  readonly minLength?: number;
  readonly maxLength?: number;
}

/**
 * A short text that a pattern of a JSON schema matches, of letters, digits, classes of characters, groups, alternatives and repetitions. Throws for other patterns,
 * and where none is found that is as long as it is to be.
 *
 * @param pattern a regular expression of ECMAScript, which may match any part of the text.
 * @param lengths how long it is to be.
 * @param nth how many others it is to differ from, as far as it can.
 */
export function textMatching(pattern: string, { minLength = 0, maxLength = Infinity }: Lengths, nth: number): string {
  const matched = expressionOf(pattern);
  let longer = 0;
  do {
    const text = new Text(pattern, nth, longer).whole();
    if (matched.test(text) && text.length >= minLength && text.length <= maxLength) {
      return text;
    }
    longer += Math.max(1, minLength - text.length);
  } while (longer <= Math.min(minLength, MAX_LENGTH));
  throw new Error(`no text is known here that the pattern ${JSON.stringify(pattern)} matches`);
}

/** One text of a pattern, as it is read. */
class Text {
  private readonly pattern: string;
  private at = 0;
  /** What is left to choose by: each class takes its part. */
  private choice: number;
  /** How many more characters than the fewest the first repetition without end has. */
  private longer: number;

  constructor(pattern: string, nth: number, longer: number) {
    this.pattern = pattern;
    this.choice = nth;
    this.longer = longer;
  }

  /** All of it. */
  public whole(): string {
    const text = this.alternatives();
    if (this.at < this.pattern.length) {
      throw this.unknown();
    }
    return text;
  }

  /** The first of the alternatives. */
  private alternatives(): string {
    const text = this.sequence();
    while (this.pattern[this.at] === '|') {
      this.at++;
      const { choice, longer } = this;
      this.sequence();
      [this.choice, this.longer] = [choice, longer];
    }
    return text;
  }

  private sequence(): string {
    let text = '';
    while (this.at < this.pattern.length && !'|)'.includes(this.pattern[this.at])) {
      text += this.repeated();
    }
    return text;
  }

  /** A part of it, as often as it has to be there. */
  private repeated(): string {
    const { at: start, choice, longer } = this;
    const first = this.part();
    const end = this.at;
    const [all = '', sign, least, comma, most] = REPEATED.exec(this.pattern.slice(end)) ?? [];
    if (all === '') {
      return first;
    }
    const fewest = sign === undefined ? Number(least) : sign === '+' ? 1 : 0;
    const isEndless = sign === '*' || sign === '+' || (comma !== undefined && most === '');
    const times = fewest + (isEndless ? longer : 0);
    if (times === 0) {
      // what is not taken chooses nothing.
      [this.choice, this.longer] = [choice, longer];
    } else if (isEndless) {
      this.longer = 0;
    }
    let text = times === 0 ? '' : first;
    for (let time = 1; time < times; time++) {
      this.at = start;
      text += this.part();
      if (text.length > MAX_LENGTH) {
        throw this.unknown();
      }
    }
    this.at = end + all.length;
    return text;
  }

  private part(): string {
    const character = this.pattern[this.at++];
    switch (character) {
      case '^':
      case '$':
        return '';
      case '(':
        return this.group();
      case '[':
        return this.oneOf(this.listed());
      case '.':
        return this.oneOf(ALL);
      case '\\':
        return this.escaped();
      default:
        return character;
    }
  }

  private group(): string {
    const [start] = /^\?(?::|<[A-Za-z]\w*>)/.exec(this.pattern.slice(this.at)) ?? [''];
    if (start === '' && this.pattern[this.at] === '?') {
      throw this.unknown();
    }
    this.at += start.length;
    const text = this.alternatives();
    this.at++;
    return text;
  }

  private escaped(): string {
    const character = this.pattern[this.at++];
    if (/[dDwWsS]/.test(character)) {
      return this.oneOf(charactersOf(`\\${character}`));
    }
    // punctuation stands for itself there.
    if (/\w/.test(character)) {
      throw this.unknown();
    }
    return character;
  }

  /** The characters of a class in brackets. */
  private listed(): string {
    const [all] = /^\^?(?:\\[^]|[^\]])*\]/.exec(this.pattern.slice(this.at))!;
    this.at += all.length;
    return charactersOf(`[${all}`);
  }

  private oneOf(characters: string): string {
    const all = [...characters];
    if (all.length === 0) {
      throw this.unknown();
    }
    const character = all[this.choice % all.length];
    this.choice = Math.floor(this.choice / all.length);
    return character;
  }

  private unknown(): Error {
    return new Error(`the pattern ${JSON.stringify(this.pattern)} asks for more than is known here`);
  }
}

/** A pattern as JSON schemas have it, or, as engines take those too, one that escapes more than it has to. Throws SyntaxError if it is none. */
function expressionOf(pattern: string): RegExp {
  try {
    return new RegExp(pattern, 'u');
  } catch {
    return new RegExp(pattern);
  }
}

/** The characters that a class of them matches. */
function charactersOf(kind: string): string {
  const matched = expressionOf(kind);
  return [...ALL].filter((character) => matched.test(character)).join('');
}
