import { Json, MAX_DEPTH, asObject, isObject } from './template-json';
import { Value, isScalar } from './value';

const LOOP = 'Fn::ForEach::';

/** A loop that would make more than this stays as it is. */
const MAX_VALUES = 100_000;

/**
 * A template with the loops of AWS::LanguageExtensions written out, `Fn::ForEach::Name: [identifier, collection, body]`. A loop over
 * what is not known, such as a parameter, stays as it is.
 *
 * @param template the template.
 */
export function expandLoops(template: Json): unknown {
  let made = 0;
  const expand = (value: unknown, names: ReadonlyMap<string, string>, depth: number): unknown => {
    if (typeof value === 'string') {
      return names.size === 0 ? value : written(value, names);
    }
    if (typeof value !== 'object' || value === null || depth > MAX_DEPTH || made > MAX_VALUES) {
      return value;
    }
    made += 1;
    if (Array.isArray(value)) {
      return value.map((item) => expand(item, names, depth + 1));
    }
    const map = value as Json;
    const keys = Object.keys(map);
    if (keys.length === 1 && keys[0] === 'Ref' && typeof map.Ref === 'string' && names.has(map.Ref)) {
      return names.get(map.Ref);
    }
    return Object.fromEntries(keys.flatMap((key): [string, unknown][] => {
      const loop = key.startsWith(LOOP) ? loopOf(expandHead(map[key], names, depth)) : undefined;
      return loop === undefined ? [[written(key, names), expand(map[key], names, depth + 1)]]
        : loop.items.flatMap((item) => Object.entries(asObject(expand(loop.body, new Map([...names, [loop.identifier, item]]), depth + 1))));
    }));
  };
  // the collection may name the item of a loop around it; the body waits for its own item.
  const expandHead = (value: unknown, names: ReadonlyMap<string, string>, depth: number) => (
    Array.isArray(value) ? [value[0], expand(value[1], names, depth + 1), value[2]] : value
  );
  return expand(template, new Map(), 0);
}

function loopOf(value: unknown): { identifier: string; items: string[]; body: Json } | undefined {
  const [identifier, items, body]: unknown[] = Array.isArray(value) ? value : [];
  return typeof identifier === 'string' && Array.isArray(items) && items.every((item) => isScalar(item as Value)) && isObject(body)
    ? { identifier, items: items.map(String), body } : undefined;
}

function written(text: string, names: ReadonlyMap<string, string>): string {
  return text.replace(/([$&])\{([^{}!]+)\}/g, (whole, sign: string, name: string) => {
    const item = names.get(name);
    // "&{name}" leaves out what a logical id may not have.
    return item === undefined ? whole : sign === '&' ? item.replace(/[^A-Za-z0-9]/g, '') : item;
  });
}
