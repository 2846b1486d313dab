/** A map of a parsed template, before anything is resolved. */
export type Json = { readonly [key: string]: unknown };

/** Values that lie deeper are not looked at: no property of CloudFormation does, and recursion has its limit. */
export const MAX_DEPTH = 200;

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value if it is a map, an empty map otherwise. */
export function asObject(value: unknown): Json {
  return isObject(value) ? value : {};
}

/** Name and argument of an intrinsic function; undefined for any other value. */
export function intrinsicOf(value: unknown): [string, unknown] | undefined {
  if (!isObject(value)) {
    return undefined;
  }
  const keys = Object.keys(value);
  return keys.length === 1 && (keys[0] === 'Ref' || keys[0].startsWith('Fn::')) ? [keys[0], value[keys[0]]] : undefined;
}

/**
 * Calls a function for every map and list of a value, the outer ones first.
 *
 * @param value where it starts.
 * @param path where that is; it is changed during the walk.
 * @param visit called with each map and list, and its path; where it returns false, what is in it is left out.
 */
export function walk(value: unknown, path: string[], visit: (node: object, path: readonly string[]) => boolean | void): void {
  if (typeof value !== 'object' || value === null || path.length > MAX_DEPTH || visit(value, path) === false) {
    return;
  }
  for (const [key, item] of Object.entries(value)) {
    path.push(key);
    walk(item, path, visit);
    path.pop();
  }
}
