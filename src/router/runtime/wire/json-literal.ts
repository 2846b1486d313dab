/* eslint-disable no-bitwise -- four bytes at a time are looked at */
import { BACKSLASH, QUOTE } from './json-bytes';
import { HEX_DIGITS } from '../hex-digits';

const LETTER_U = 0x75;
/** Below which are the control characters. */
const SPACE = 0x20;
/** What may stand behind a backslash, but for a `u` with four hexadecimal digits. */
const ESCAPED = new Set(Buffer.from('"\\/bfnrt'));
const ESCAPE_BYTES = 2;
const UNICODE_ESCAPE_BYTES = 6;
const HIGH_SURROGATES = 0xd800;
const LOW_SURROGATES = 0xdc00;
const SURROGATES_END = 0xe000;

/** The literal of a text within JSON. */
export interface JsonLiteral {
  /** Where it ends, which is where its last quote is. */
  readonly end: number;
  /** Bytes of the text, as UTF-8. */
  readonly textBytes: number;
}

/**
 * Reads the literal of a text, four bytes at a time: no string is made of it. Throws SyntaxError if it is none, or has half a character.
 *
 * @param json what it is in, UTF-8.
 * @param words the same in words of four bytes.
 * @param start where it begins, after its first quote.
 */
export function readLiteral(json: Buffer, words: Int32Array, start: number): JsonLiteral {
  let at = start;
  let textBytes = 0;
  for (;;) {
    const plain = at;
    if (at % 4 === 0) {
      at = 4 * endOfPlain(words, at / 4);
    }
    const byte = at < json.length ? json[at] : 0;
    textBytes += at - plain;
    if (byte === QUOTE) {
      return { end: at, textBytes };
    }
    if (byte === BACKSLASH && json[at + 1] === LETTER_U) {
      const code = codeAt(json, at + ESCAPE_BYTES);
      at += UNICODE_ESCAPE_BYTES;
      if (code < HIGH_SURROGATES || code >= SURROGATES_END) {
        textBytes += code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
      } else if (code < LOW_SURROGATES && isLowSurrogate(json, at)) {
        textBytes += 4;
        at += UNICODE_ESCAPE_BYTES;
      } else {
        throw new SyntaxError('a literal has half a character');
      }
    } else if (byte === BACKSLASH && ESCAPED.has(json[at + 1])) {
      textBytes++;
      at += ESCAPE_BYTES;
    } else if (byte === BACKSLASH || byte < SPACE) {
      throw new SyntaxError('a literal has what none may have');
    } else {
      textBytes++;
      at++;
    }
  }
}

/** The first word, from one on, in which there is a quote, a backslash or a control character. */
function endOfPlain(words: Int32Array, start: number): number {
  let at = start;
  while (at < words.length) {
    const word = words[at];
    // the first bit of a byte gets set where the byte is less than what is taken from it; of characters that are not ASCII it was set before.
    const control = word - 0x20202020;
    const quote = (word ^ 0x22222222) - 0x01010101;
    const backslash = (word ^ 0x5c5c5c5c) - 0x01010101;
    if ((control | quote | backslash) & ~word & 0x80808080) {
      break;
    }
    at++;
  }
  return at;
}

/** Whether the second half of a character is escaped at a place. */
function isLowSurrogate(json: Buffer, at: number): boolean {
  const code = json[at] === BACKSLASH && json[at + 1] === LETTER_U ? codeAt(json, at + ESCAPE_BYTES) : 0;
  return code >= LOW_SURROGATES && code < SURROGATES_END;
}

/** The number of four hexadecimal digits. Throws SyntaxError if they are none. */
function codeAt(json: Buffer, start: number): number {
  let code = 0;
  for (let at = start; at < start + 4; at++) {
    const digit = at < json.length ? HEX_DIGITS[json[at]] : -1;
    if (digit === -1) {
      throw new SyntaxError('a literal has an escape that is none');
    }
    code = code * 16 + digit;
  }
  return code;
}
