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
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minItems?: number;
  readonly minLength?: number;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
}

/**
 * The least that a JSON schema asks for: of objects what is required, of values the first of an enumeration, null where it may be, or else "", 0, false, [] and {}.
 * Patterns and formats are not minded. Throws where the schema is none.
 *
 * @param schema what is asked for.
 * @param root in which its references point.
 * @param within references that it is a part of: what needs itself has no least, and is null.
 */
export function sampleOf(schema: Schema, root = schema, within: readonly string[] = []): unknown {
  const sample = (part: Schema) => sampleOf(part, root, within);
  const { $ref: reference } = schema;
  if (reference !== undefined) {
    return within.includes(reference) ? null : sampleOf(referred(root, reference), root, [...within, reference]);
  }
  if (schema.const !== undefined) {
    return schema.const;
  }
  if (schema.enum !== undefined) {
    return schema.enum[0];
  }
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives !== undefined) {
    return sample(alternatives.find(({ type }) => type === 'null') ?? alternatives[0]);
  }
  if (schema.allOf !== undefined) {
    const parts = [...schema.allOf, { ...schema, allOf: undefined }].map(sample);
    return typeof parts[0] === 'object' ? Object.assign({}, ...parts) : parts[0];
  }
  switch (typeIn(schema)) {
    case 'null':
      return null;
    case 'boolean':
      return false;
    case 'integer':
    case 'number': {
      const { exclusiveMinimum, minimum = exclusiveMinimum === undefined ? 0 : exclusiveMinimum + 1, maximum = Infinity } = schema;
      return Math.min(Math.max(0, minimum), maximum);
    }
    case 'array':
      return Array.from({ length: schema.minItems ?? 0 }, () => sample(schema.items ?? {}));
    case 'object':
      return Object.fromEntries((schema.required ?? []).map((name) => [name, sample(schema.properties?.[name] ?? {})]));
    default:
      return 'x'.repeat(schema.minLength ?? 0);
  }
}

function typeIn({ type, properties, items }: Schema): string {
  if (type === undefined) {
    return properties !== undefined ? 'object' : items !== undefined ? 'array' : 'string';
  }
  return typeof type === 'string' ? type : type.includes('null') ? 'null' : type[0];
}

/** What a reference within a schema, such as `#/$defs/Name`, points at. */
function referred(root: Schema, reference: string): Schema {
  return reference.split('/').slice(1).reduce<any>((at, name) => at[name.replaceAll('~1', '/').replaceAll('~0', '~')], root);
}
