import { randomBytes } from 'node:crypto';
import { Fields, jsonObject } from './fields';
import { endOfString, QUOTE } from './json-bytes';

const [BEGINS, GOES_ON] = [2, 1];
/** What each byte may do in a number. */
const IN_NUMBER = Uint8Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  return '-0123456789'.includes(character) ? BEGINS : '+.eE'.includes(character) ? GOES_ON : 0;
});
/** What no caller and no engine can know: a text that begins with it stands for the number that follows it. */
const NAME = randomBytes(16).toString('hex');
const MARKS = new RegExp(`"${NAME}([^"]*)"`, 'g');
/** Where an object or a list has the texts of its numbers, by their names: copies of its members take them along. */
const TEXTS = Symbol('texts of numbers');

interface Holder {
  [TEXTS]?: Map<string, string>;
}

/**
 * JSON that is read and written again with every number as it was: JavaScript rounds those of 64 bits, as ids are, and writes 10.0 as 10. Whoever reads the
 * values finds the rounded numbers.
 */
export class ExactJson {
  private hasTexts = false;

  /** Reads a body that is to be a JSON object. Throws ApiError if it is not. */
  public object(json: Buffer | string): Fields {
    const object = jsonObject(json);
    return this.exactly(typeof json === 'string' ? Buffer.from(json) : json) as Fields | undefined ?? object;
  }

  /** Reads JSON. Throws SyntaxError if it is none. */
  public parse(json: Buffer): unknown {
    const value: unknown = JSON.parse(json.toString('utf8'));
    return this.exactly(json) ?? value;
  }

  /** Writes a value, in which there may be some of what was read. */
  public stringify(value: unknown): string {
    return this.hasTexts ? JSON.stringify(value, markNumber).replace(MARKS, '$1') : JSON.stringify(value);
  }

  /** What was read, with the texts of its numbers; undefined if they are written as they were anyway. */
  private exactly(json: Buffer): unknown {
    const marked = withMarks(json);
    this.hasTexts ||= marked !== undefined;
    return marked === undefined ? undefined : JSON.parse(marked, takeNumber);
  }
}

/** JSON with marks in place of the numbers that JavaScript writes otherwise; undefined if there are none. */
function withMarks(json: Buffer): string | undefined {
  let marked = '';
  let end = 0;
  for (let at = 0; at < json.length; at++) {
    if (json[at] === QUOTE) {
      at = endOfString(json, at) - 1;
    } else if (IN_NUMBER[json[at]] === BEGINS) {
      const start = at;
      while (IN_NUMBER[json[at + 1]] >= GOES_ON) {
        at++;
      }
      const text = json.toString('latin1', start, at + 1);
      if (String(Number(text)) !== text) {
        marked += `${json.toString('utf8', end, start)}"${NAME}${text}"`;
        end = at + 1;
      }
    }
  }
  return end === 0 ? undefined : marked + json.toString('utf8', end);
}

/** The number that a mark stands for; its holder notes the text. */
function takeNumber(this: Holder, name: string, value: unknown): unknown {
  if (typeof value !== 'string' || !value.startsWith(NAME)) {
    return value;
  }
  const text = value.slice(NAME.length);
  (this[TEXTS] ??= new Map()).set(name, text);
  return Number(text);
}

/** The mark of a number whose text its holder knows. */
function markNumber(this: Holder, name: string, value: unknown): unknown {
  const text = this[TEXTS]?.get(name);
  return text !== undefined && Object.is(Number(text), value) ? NAME + text : value;
}
