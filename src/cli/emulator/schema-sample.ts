import { textMatching } from './pattern-sample';

/** What of a JSON schema is minded. */
interface Schema {
  readonly $ref?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly type?: string | readonly string[];
  readonly properties?: { readonly [name: string]: Schema };
  readonly additionalProperties?: Schema | boolean;
  readonly required?: readonly string[];
  readonly minProperties?: number;
  readonly items?: Schema | boolean;
  readonly prefixItems?: readonly Schema[];
  readonly contains?: Schema;
  readonly minContains?: number;
  readonly minItems?: number;
  readonly uniqueItems?: boolean;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly exclusiveMaximum?: number;
  readonly multipleOf?: number;
}

/** Texts of a format, each another. */
const FORMATS: { readonly [format: string]: (nth: number) => string } = {
  'date': (nth) => dateTime(nth).slice(0, 10),
  'date-time': dateTime,
  'time': (nth) => `${String(nth % 24).padStart(2, '0')}:00:00Z`,
  'duration': (nth) => `P${nth}D`,
  'email': (nth) => `user${nth}@example.com`,
  'hostname': (nth) => `host${nth}.example.com`,
  'ipv4': (nth) => `192.0.2.${nth % 256}`,
  'ipv6': (nth) => `2001:db8::${nth.toString(16)}`,
  'uri': (nth) => `https://example.com/${nth}`,
  'uuid': (nth) => `00000000-0000-4000-8000-${nth.toString(16).padStart(12, '0')}`,
};

/** Members that tell of what type a schema is that does not say so. */
const TELLING: readonly (readonly [string, readonly (keyof Schema)[]])[] = [
  ['object', ['properties', 'required', 'additionalProperties', 'minProperties']],
  ['array', ['items', 'prefixItems', 'contains', 'minItems', 'uniqueItems']],
  ['number', ['minimum', 'exclusiveMinimum', 'maximum', 'exclusiveMaximum', 'multipleOf']],
];

/**
 * The least that a JSON schema asks for: of objects what is required, of values the first of an enumeration, null where it may be, or else "", 0, false, [] and {}.
 * Minded are the members of `Schema` above and the formats that are listed; of `oneOf` not that others must not hold. Throws where the schema is none, or for a
 * pattern that is more than `textMatching` knows.
 *
 * @param schema what is asked for.
 * @param root in which its references point.
 * @param within references that it is a part of: what needs itself has no least, and is null.
 * @param nth how many others it is to differ from, as far as it can: 0 is the least.
 */
export function sampleOf(schema: Schema, root = schema, within: readonly string[] = [], nth = 0): unknown {
  const sample = (part: Schema, other = nth) => sampleOf(part, root, within, other);
  const { $ref: reference } = schema;
  if (reference !== undefined) {
    return within.includes(reference) ? null : sampleOf(referred(root, reference), root, [...within, reference], nth);
  }
  if (schema.const !== undefined) {
    return schema.const;
  }
  if (schema.enum !== undefined) {
    return schema.enum[nth % schema.enum.length];
  }
  const types = Array.isArray(schema.type) ? schema.type.map((type: string): Schema => ({ ...schema, type })) : undefined;
  const alternatives = schema.anyOf ?? schema.oneOf ?? types;
  if (alternatives !== undefined) {
    // null is the least.
    const ordered = [...alternatives].sort((one, other) => Number(other.type === 'null') - Number(one.type === 'null'));
    const at = Math.min(nth, ordered.length - 1);
    return sample(ordered[at], nth - at);
  }
  if (schema.allOf !== undefined) {
    const parts = [...schema.allOf, { ...schema, allOf: undefined }];
    const samples = parts.map((part) => sample(part));
    return typeof samples[0] === 'object' ? Object.assign({}, ...samples) : sample(Object.assign({}, ...parts));
  }
  switch (schema.type ?? TELLING.find(([, names]) => names.some((name) => schema[name] !== undefined))?.[0]) {
    case 'null':
      return null;
    case 'boolean':
      return nth % 2 === 1;
    case 'integer':
      return numberOf(schema, Number.isInteger(schema.multipleOf) ? schema.multipleOf : 1, nth);
    case 'number':
      return numberOf(schema, schema.multipleOf, nth);
    case 'array':
      return listOf(schema, sample, nth);
    case 'object':
      return Object.fromEntries(namesOf(schema)
        .map((name) => [name, sample(schema.properties?.[name] ?? schemaOf(schema.additionalProperties))]));
    default:
      if (schema.pattern !== undefined) {
        return textMatching(schema.pattern, schema, nth);
      }
      return FORMATS[schema.format!]?.(nth) ?? (nth === 0 ? '' : String(nth)).padStart(schema.minLength ?? 0, 'x');
  }
}

/** The number within bounds that is nearest to 0, or one some steps further from it, where there is more room. */
function numberOf(schema: Schema, step: number | undefined, nth: number): number {
  const { minimum = -Infinity, exclusiveMinimum = -Infinity, maximum = Infinity, exclusiveMaximum = Infinity } = schema;
  const high = Math.min(maximum, exclusiveMaximum);
  if (high < -Math.max(minimum, exclusiveMinimum)) {
    const mirrored = { minimum: -maximum, exclusiveMinimum: -exclusiveMaximum, maximum: -minimum, exclusiveMaximum: -exclusiveMinimum };
    return 0 - numberOf(mirrored, step, nth);
  }
  const low = Math.max(minimum, exclusiveMinimum, 0);
  const isOut = low === exclusiveMinimum;
  if (step === undefined) {
    const further = isOut ? nth + 1 : nth;
    return further === 0 || low + further < high ? low + further : low + (high - low) * further / (further + 1);
  }
  const least = Math.ceil(low / step);
  return (least + (isOut && least * step === low ? 1 : 0) + nth) * step;
}

/** What a list has at least: what comes first, what it has to contain, and the rest. */
function listOf(schema: Schema, sample: (part: Schema, nth: number) => unknown, nth: number): unknown[] {
  const { prefixItems = [], items, contains, minContains = 1, minItems = 0, uniqueItems } = schema;
  const contained = contains === undefined ? 0 : minContains;
  const length = Math.max(minItems, contained === 0 ? 0 : prefixItems.length + contained);
  const partAt = (at: number): Schema => {
    const rest = at - prefixItems.length;
    return prefixItems[at] ?? (rest < contained ? { ...schemaOf(items), ...contains } : schemaOf(items));
  };
  return Array.from({ length: length === 0 ? nth : length }, (_, at) => sample(partAt(at), uniqueItems === true ? nth + at : nth));
}

/** The names that an object has at least. */
function namesOf({ required = [], properties = {}, minProperties = 0 }: Schema): string[] {
  const names = new Set(required);
  const more = [...Object.keys(properties), ...Array.from({ length: minProperties }, (_, at) => `property${at}`)];
  for (let at = 0; names.size < minProperties; at++) {
    names.add(more[at]);
  }
  return [...names];
}

/** A schema, where there may be whether there is one. */
function schemaOf(schema: Schema | boolean | undefined): Schema {
  return typeof schema === 'object' ? schema : {};
}

function dateTime(nth: number): string {
  return new Date(Date.UTC(2000, 0, 1 + nth)).toISOString();
}

/** What a reference within a schema, such as `#/$defs/Name`, points at. */
function referred(root: Schema, reference: string): Schema {
  return reference.split('/').slice(1).reduce<any>((at, name) => at[name.replaceAll('~1', '/').replaceAll('~0', '~')], root);
}
