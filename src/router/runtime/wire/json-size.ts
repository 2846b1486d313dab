import { CLOSE_LIST, CLOSE_OBJECT, COLON, COMMA, endOfString, OPEN_LIST, OPEN_OBJECT, QUOTE } from './json-bytes';

/** Levels of lists and objects in JSON; vLLM's own parser goes as deep. */
const MAX_DEPTH = 200;

/** How much there is in JSON. */
export interface JsonSize {
  /** Values, and names of members; of empty lists and objects each counts for two. */
  readonly values: number;
  /** Why it is too much to be read; undefined if it is not. */
  readonly problem?: string;
}

/**
 * Tells how much there is in JSON, before it is parsed: that takes up to sixty bytes of memory and a microsecond for each value, of which a text has one in two
 * bytes. What is no JSON is counted as if it were.
 *
 * @param json the text, which is looked at as far as it is not too much.
 * @param most values and names that it may have; any number by default.
 */
export function jsonSize(json: Buffer, most = Infinity): JsonSize {
  let values = 1;
  let depth = 0;
  for (let at = 0; at < json.length; at++) {
    switch (json[at]) {
      case QUOTE:
        at = endOfString(json, at) - 1;
        break;
      case OPEN_LIST:
      case OPEN_OBJECT:
        depth++;
        values++;
        break;
      case CLOSE_LIST:
      case CLOSE_OBJECT:
        depth--;
        break;
      case COMMA:
      case COLON:
        values++;
    }
    if (depth > MAX_DEPTH) {
      return { values, problem: `is nested deeper than ${MAX_DEPTH} levels` };
    }
    if (values > most) {
      return { values, problem: `has more than ${most} values and names of them` };
    }
  }
  return { values };
}
