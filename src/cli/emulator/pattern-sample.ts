import { SampleRoom } from './sample-room';

/** Printable characters, from which those of a class are taken: letters and digits first, as they are read best. */
const ALL: readonly string[] = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~'];
/** What may follow a part of a pattern: how often it is repeated. */
const REPEATED = /(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})\??/y;
/** How a group begins that is taken as any other. */
const GROUP = /\?(?::|<[A-Za-z]\w*>)/y;
/** A class in brackets, after the first. */
const CLASS = /\^?(?:\\[^]|[^\\\]])*\]/y;
/** No text is longer. */
const MAX_LENGTH = 10_000;

/** How long a text is to be. */
interface Lengths {
  readonly minLength?: number;
  readonly maxLength?: number;
}

/** A part of a pattern: one of some characters, a place, or a group. */
interface Part {
  readonly characters?: readonly string[];
  readonly place?: '^' | '$';
  /** The first of the alternatives. */
  readonly group?: readonly Part[];
  /** How often it is there. */
  readonly fewest: number;
  readonly isEndless: boolean;
}

/** Short texts that patterns of a JSON schema match. They do as they are made: to try whether they do may take for ever with a pattern of anybody's. */
export class PatternSamples {
  private readonly known = new Map<string, readonly Part[]>();

  /**
   * One of letters, digits, classes of characters, groups, alternatives and repetitions. Throws for patterns of more than these, and where none is found that is as
   * long as it is to be.
   *
   * @param pattern a regular expression of ECMAScript, which may match any part of the text.
   * @param lengths how long it is to be.
   * @param nth how many others it is to differ from, as far as it can.
   * @param room counts the work.
   */
  public textMatching(pattern: string, { minLength = 0, maxLength = Infinity }: Lengths, nth: number, room: SampleRoom): string {
    const parts = this.known.get(pattern) ?? this.read(pattern, room);
    let longer = 0;
    let text: string;
    do {
      text = new Writer(pattern, room, nth, longer).whole(parts);
      if (text.length >= minLength && text.length <= maxLength) {
        return text;
      }
      longer += minLength - text.length;
    } while (text.length < minLength && longer <= Math.min(minLength, MAX_LENGTH));
    throw new Error(`no text is known here that the pattern ${JSON.stringify(pattern)} matches`);
  }

  private read(pattern: string, room: SampleRoom): readonly Part[] {
    if (pattern.length > MAX_LENGTH) {
      throw new Error('a pattern is longer than any that is known here');
    }
    expressionOf(pattern);
    const parts = new Reader(pattern, room).whole();
    this.known.set(pattern, parts);
    return parts;
  }
}

/** Reads a pattern. */
class Reader {
  private readonly pattern: string;
  private readonly room: SampleRoom;
  private at = 0;

  constructor(pattern: string, room: SampleRoom) {
    this.pattern = pattern;
    this.room = room;
  }

  /** All of it. */
  public whole(): readonly Part[] {
    const parts = this.alternatives();
    if (this.at < this.pattern.length) {
      throw unknown(this.pattern);
    }
    return parts;
  }

  /** The first of the alternatives. */
  private alternatives(): readonly Part[] {
    const first = this.sequence();
    while (this.pattern[this.at] === '|') {
      this.at++;
      this.sequence();
    }
    return first;
  }

  private sequence(): readonly Part[] {
    const parts: Part[] = [];
    while (this.at < this.pattern.length && !'|)'.includes(this.pattern[this.at])) {
      const part = this.part();
      const [all = '', sign, least, comma, most] = this.read(REPEATED);
      const fewest = least !== undefined ? Number(least) : all === '' || sign === '+' ? 1 : 0;
      parts.push({ ...part, fewest, isEndless: sign === '*' || sign === '+' || (comma !== undefined && most === '') });
    }
    return parts;
  }

  private part(): Omit<Part, 'fewest' | 'isEndless'> {
    const character = String.fromCodePoint(this.pattern.codePointAt(this.at)!);
    this.at += character.length;
    switch (character) {
      case '^':
      case '$':
        return { place: character };
      case '(':
        return { group: this.group() };
      case '[':
        return { characters: this.charactersOf(`[${this.read(CLASS)[0]}`) };
      case '.':
        return { characters: ALL };
      case '\\':
        return { characters: this.escaped() };
      default:
        return { characters: [character] };
    }
  }

  private group(): readonly Part[] {
    if (this.read(GROUP)[0] === undefined && this.pattern[this.at] === '?') {
      throw unknown(this.pattern);
    }
    const parts = this.alternatives();
    this.at++;
    return parts;
  }

  private escaped(): readonly string[] {
    const character = this.pattern[this.at++];
    if (/[dDwWsS]/.test(character)) {
      return this.charactersOf(`\\${character}`);
    }
    // punctuation stands for itself there.
    if (/\w/.test(character)) {
      throw unknown(this.pattern);
    }
    return [character];
  }

  /** The characters that a class of them matches. */
  private charactersOf(kind: string): readonly string[] {
    this.room.look(ALL.length);
    const matched = expressionOf(kind);
    return ALL.filter((character) => matched.test(character));
  }

  /** Reads what is there, if it is as it is to be. */
  private read(expression: RegExp): readonly (string | undefined)[] {
    expression.lastIndex = this.at;
    const found = expression.exec(this.pattern) ?? [];
    this.at += found[0]?.length ?? 0;
    return found;
  }
}

/** Writes one text of a pattern. */
class Writer {
  private readonly pattern: string;
  private readonly room: SampleRoom;
  /** What is left to choose by: each class takes its part. */
  private choice: number;
  /** How many more times than the fewest the first repetition without end is there. */
  private longer: number;
  private text = '';
  /** Whether nothing may come any more. */
  private isEnded = false;

  constructor(pattern: string, room: SampleRoom, nth: number, longer: number) {
    this.pattern = pattern;
    this.room = room;
    this.choice = nth;
    this.longer = longer;
  }

  /** All of it. */
  public whole(parts: readonly Part[]): string {
    this.write(parts);
    return this.text;
  }

  private write(parts: readonly Part[]): void {
    for (const part of parts) {
      const times = part.fewest + (part.isEndless ? this.longer : 0);
      this.longer = part.isEndless ? 0 : this.longer;
      for (let time = 0; time < times; time++) {
        this.room.look();
        this.once(part);
      }
    }
  }

  private once({ characters, place, group }: Part): void {
    if (group !== undefined) {
      this.write(group);
    } else if (characters !== undefined) {
      this.text += this.oneOf(characters);
    } else if (place === '^' && this.text !== '') {
      throw unknown(this.pattern);
    } else {
      this.isEnded ||= place === '$';
    }
  }

  private oneOf(characters: readonly string[]): string {
    if (characters.length === 0 || this.isEnded || this.text.length >= MAX_LENGTH) {
      throw unknown(this.pattern);
    }
    const character = characters[this.choice % characters.length];
    this.choice = Math.floor(this.choice / characters.length);
    return character;
  }
}

function unknown(pattern: string): Error {
  return new Error(`the pattern ${JSON.stringify(pattern)} asks for more than is known here`);
}

/** A pattern as JSON schemas have it, or, as engines take those too, one that escapes more than it has to. Throws SyntaxError if it is none. */
function expressionOf(pattern: string): RegExp {
  try {
    return new RegExp(pattern, 'u');
  } catch {
    return new RegExp(pattern);
  }
}
