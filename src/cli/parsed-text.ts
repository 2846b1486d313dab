/** Where a value begins, and the values in it by key or index. */
export interface Place {
  /** Index of the first character: of the key where there is one, else of the value. */
  readonly offset: number;
  readonly items?: ReadonlyMap<string, Place>;
}

/** A text as a value, with the place of each part of it. */
export interface ParsedText {
  readonly value: unknown;
  readonly place: Place;
}

/** Levels of nesting that are followed: more would exhaust the stack, and no template has them. */
export const MAX_LEVELS = 200;

/** What is to be done about a text that is no template. */
export const TEMPLATE_EXPECTED = 'give a CloudFormation template, which is a map with Resources';

/** A text that cannot be a template, and where it stops being one. */
export class TextRefused extends Error {
  /**
   * @param offset index of the character.
   * @param message what is wrong, as one sentence without a full stop.
   * @param mend what to do about it.
   */
  public constructor(readonly offset: number, message: string, readonly mend: string) {
    super(message);
  }
}

export function tooDeep(offset: number): TextRefused {
  return new TextRefused(offset, `values are nested more than ${MAX_LEVELS} levels deep`, 'flatten the value');
}

export function duplicateKey(offset: number, key: string): TextRefused {
  return new TextRefused(offset, `the key ${JSON.stringify(key)} is given twice`, 'drop or rename one of the two');
}

/**
 * The place of the value at a path, or of the nearest value above it that is there.
 *
 * @param place where the path begins.
 * @param path keys and indices.
 */
export function placeAt(place: Place, path: readonly string[]): Place {
  let current = place;
  for (const step of path) {
    const next = current.items?.get(step);
    if (!next) {
      break;
    }
    current = next;
  }
  return current;
}
