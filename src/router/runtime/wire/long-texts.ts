import { isUtf8 } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { QUOTE } from './json-bytes';
import { readLiteral } from './json-literal';
import { Body } from '../body';

/** V8 keeps strings that are longer apart, in memory that it asks the system for and gives back each time: most of the work for a long prompt. */
const LONG_BODY_BYTES = 128 * 1024;
/** Bytes of a text that is left where it is. */
const LONG_TEXT_BYTES = 4 * 1024;
/** Bytes to a string, on the average, below which a body is read as it is: to look for each takes longer than is spared. */
const LEAST_BYTES_A_STRING = 128;
/** What pictures and sounds begin with, be it base64 or a URL of it: it is for who reads them to look at. */
const MEDIA = /^[\w+/=:;,.-]{64}$/;
const MEDIA_BYTES = 64;
/** What no caller can know, so that nothing else in a request is taken for a mark. */
const NAME = randomBytes(16).toString('hex');
/** A mark, as a text and within JSON, where it is not as it should be if the JSON is itself a text. */
const MARK = new RegExp(String.raw`\\${NAME}\d+;`, 'g');
const MARK_IN_JSON = new RegExp(String.raw`(?<!\\)\\\\${NAME}\d+;`, 'g');
/** What one within JSON begins and ends with. */
const MARK_BEGINNING = Buffer.from(String.raw`\\${NAME}`);
const MARK_END = ';';

let marks = 0;

/**
 * Reads a body of JSON. Where it is long, what reads it is given marks in place of its long texts; and if that is refused, all of it as it is, so that its
 * caller is told the same as of a short one. Throws what `read` throws.
 */
export function readBody<T>(body: Buffer, read: (json: Buffer | string, longTexts?: LongTexts) => T): T {
  if (body.length >= LONG_BODY_BYTES && isUtf8(body)) {
    try {
      const longTexts = new LongTexts();
      const json = longTexts.cutFrom(body);
      if (json !== undefined) {
        return read(json, longTexts);
      }
    } catch {
      // told below.
    }
  }
  return read(body);
}

/**
 * The long texts of a body, which stay where they are: each has a mark in its place, that no other text of any body has.
 */
export class LongTexts {
  /** Bytes of the body that they were cut from. */
  public bodyBytes = 0;
  /** Texts by their marks: what stands between the quotes, and how many bytes that is of. */
  private readonly texts = new Map<string, { readonly literal: Buffer; readonly bytes: number }>();

  /** A body with marks in place of its long texts; undefined if it has none, or many short ones. Throws SyntaxError or RangeError if it cannot be read so. */
  public cutFrom(body: Buffer): string | undefined {
    this.bodyBytes = body.length;
    const words = new Int32Array(body.buffer, body.byteOffset, Math.floor(body.length / 4));
    let left = body.length / LEAST_BYTES_A_STRING;
    let json = '';
    let end = 0;
    for (let quote = body.indexOf(QUOTE); quote !== -1 && left > 0; left--) {
      const start = quote + 1;
      const literal = readLiteral(body, words, start);
      if (literal.end - start >= LONG_TEXT_BYTES && !MEDIA.test(body.toString('latin1', start, start + MEDIA_BYTES))) {
        // the backslash that a mark begins with is escaped.
        json += `${body.toString('utf8', end, start)}\\${this.mark(body.subarray(start, literal.end), literal.textBytes)}`;
        end = literal.end;
      }
      quote = body.indexOf(QUOTE, literal.end + 1);
    }
    return left > 0 && end > 0 ? json + body.toString('utf8', end) : undefined;
  }

  /** Bytes of a text, with those of the texts that it has marks of. */
  public byteLength(text: string): number {
    let bytes = Buffer.byteLength(text);
    for (const [mark] of text.matchAll(MARK)) {
      bytes += this.texts.get(mark)!.bytes - mark.length;
    }
    return bytes;
  }

  /** JSON, no part of which begins within a mark, with the texts in place of their marks: nothing is copied. */
  public fill(json: Body): Body {
    const filled: Buffer[] = [];
    for (const part of json) {
      let end = 0;
      for (let at = part.indexOf(MARK_BEGINNING); at !== -1; at = part.indexOf(MARK_BEGINNING, end)) {
        filled.push(part.subarray(end, at));
        end = part.indexOf(MARK_END, at) + 1;
        // as a text it has one backslash.
        filled.push(this.texts.get(part.toString('latin1', at + 1, end))!.literal);
      }
      filled.push(part.subarray(end));
    }
    return filled;
  }

  /** Throws Error if JSON has a mark in JSON that is itself a text, where it cannot be filled. */
  public checkMarks(json: string): void {
    if (json.replaceAll(MARK_IN_JSON, '').includes(NAME)) {
      throw new Error('a long text is in JSON that is a text');
    }
  }

  private mark(literal: Buffer, bytes: number): string {
    const mark = `\\${NAME}${marks++};`;
    this.texts.set(mark, { literal, bytes });
    return mark;
  }
}
