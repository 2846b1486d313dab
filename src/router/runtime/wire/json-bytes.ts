/* What JSON is made of, byte by byte. */
export const QUOTE = 0x22;
export const BACKSLASH = 0x5c;
export const COLON = 0x3a;
export const COMMA = 0x2c;
export const OPEN_LIST = 0x5b;
export const CLOSE_LIST = 0x5d;
export const OPEN_OBJECT = 0x7b;
export const CLOSE_OBJECT = 0x7d;

/** Bytes of a string that are looked at one by one: from about as many on a search is faster. */
const SHORT = 32;

/** The index after the quote that closes a string; the end of the text if none does. */
export function endOfString(text: Buffer, start: number): number {
  let at = start + 1;
  while (at < text.length) {
    for (const end = Math.min(text.length, at + SHORT); at < end; at++) {
      if (text[at] === QUOTE) {
        return at + 1;
      }
      if (text[at] === BACKSLASH) {
        at++;
      }
    }
    const quote = text.indexOf(QUOTE, at);
    if (quote === -1) {
      break;
    }
    let backslashes = 0;
    while (text[quote - 1 - backslashes] === BACKSLASH) {
      backslashes++;
    }
    if (backslashes % 2 === 0) {
      return quote + 1;
    }
    at = quote + 1;
  }
  return text.length;
}
