import { parseJson } from '../json-text';
import { duplicateKey, MAX_LEVELS, ParsedText, Place, tooDeep } from './parsed-text';

/**
 * Parses JSON, with the place of each value.
 *
 * @param text the text.
 * @throws JsonSyntaxError if it is not JSON, TextRefused if a key is given twice or values are nested too deeply.
 */
export function parseJsonText(text: string): ParsedText {
  const value = parseJson(text);
  return { value, place: new Walker(text).walk() };
}

/** Walks text that is known to be JSON. */
class Walker {
  private offset = 0;

  public constructor(private readonly text: string) {}

  public walk(): Place {
    this.space();
    return this.value(this.offset, 0);
  }

  private value(start: number, level: number): Place {
    if (level > MAX_LEVELS) {
      throw tooDeep(start);
    }
    switch (this.text[this.offset]) {
      case '{':
        return { offset: start, items: this.object(level + 1) };
      case '[':
        return { offset: start, items: this.array(level + 1) };
      case '"':
        this.string();
        return { offset: start };
      default:
        this.skip(/[^\s,\]}]*/y);
        return { offset: start };
    }
  }

  private object(level: number): Map<string, Place> {
    const items = new Map<string, Place>();
    this.punctuation();
    while (this.text[this.offset] !== '}') {
      const start = this.offset;
      const key = JSON.parse(this.string());
      if (items.has(key)) {
        throw duplicateKey(start, key);
      }
      this.space();
      this.punctuation();
      items.set(key, this.value(start, level));
      this.separator();
    }
    this.offset++;
    return items;
  }

  private array(level: number): Map<string, Place> {
    const items = new Map<string, Place>();
    this.punctuation();
    while (this.text[this.offset] !== ']') {
      items.set(String(items.size), this.value(this.offset, level));
      this.separator();
    }
    this.offset++;
    return items;
  }

  // an even number of backslashes before the quote escape each other, not the quote.
  private string(): string {
    const start = this.offset;
    let end = start;
    let backslashes: number;
    do {
      end = this.text.indexOf('"', end + 1);
      backslashes = 0;
      while (this.text[end - 1 - backslashes] === '\\') {
        backslashes++;
      }
    } while (backslashes % 2 === 1);
    this.offset = end + 1;
    return this.text.slice(start, this.offset);
  }

  private separator(): void {
    this.space();
    if (this.text[this.offset] === ',') {
      this.punctuation();
    }
  }

  private punctuation(): void {
    this.offset++;
    this.space();
  }

  private space(): void {
    this.skip(/\s*/y);
  }

  private skip(pattern: RegExp): void {
    pattern.lastIndex = this.offset;
    this.offset += pattern.exec(this.text)![0].length;
  }
}
