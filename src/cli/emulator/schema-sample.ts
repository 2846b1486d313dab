import { PatternSamples } from './pattern-sample';
import { SampleRoom } from './sample-room';

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

/** Characters that are as much work to write as a part is to be looked at, about. */
const CHARACTERS_PER_STEP = 16;

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
 * Minded are the members of `Schema` above and the formats that are listed; of `oneOf` not that others must not hold. Throws where the schema is none, for a
 * pattern that is more than `PatternSamples` knows, and where there is no end to what it asks for.
 *
 * @param schema what is asked for.
 * @param maxCharacters of its JSON that are needed: what comes after them may be missing, but then there are more than these. Unbounded by default.
 */
export function sampleOf(schema: Schema, maxCharacters?: number): unknown {
  return new Sampler(schema, new SampleRoom(maxCharacters), new PatternSamples()).sample(schema, [], 0);
}

class Sampler {
  /** In which references point. */
  private readonly root: Schema;
  private readonly room: SampleRoom;
  private readonly patterns: PatternSamples;

  constructor(root: Schema, room: SampleRoom, patterns: PatternSamples) {
    this.root = root;
    this.room = room;
    this.patterns = patterns;
  }

  /**
   * The least of a part.
   *
   * @param within references that it is a part of: what needs itself has no least, and is null.
   * @param nth how many others it is to differ from, as far as it can: 0 is the least.
   */
  public sample(schema: Schema, within: readonly string[], nth: number): unknown {
    this.room.look();
    const { $ref: reference, enum: listed, anyOf, oneOf, allOf, type } = schema;
    if (reference !== undefined) {
      this.room.look(within.length + reference.length);
      return within.includes(reference) ? this.value(null) : this.sample(referred(this.root, reference), [...within, reference], nth);
    }
    if (schema.const !== undefined) {
      return this.value(schema.const);
    }
    if (listed !== undefined) {
      return this.value(listed[nth % listed.length]);
    }
    const alternatives = anyOf ?? oneOf;
    if (alternatives !== undefined) {
      const [one, other] = this.chosen(alternatives, (alternative) => alternative.type === 'null', nth);
      return this.sample(one, within, other);
    }
    if (typeof type === 'object') {
      const [one, other] = this.chosen(type, (name) => name === 'null', nth);
      return this.sample(this.merged(schema, { type: one }), within, other);
    }
    return allOf === undefined ? this.leastOf(schema, within, nth) : this.allOf([...allOf, this.merged(schema, { allOf: undefined })], within, nth);
  }

  /** One of some alternatives, null before all others, and how many others it is to differ from. */
  private chosen<T>(alternatives: readonly T[], isNull: (one: T) => boolean, nth: number): [T, number] {
    this.room.look(alternatives.length);
    const ordered = [...alternatives].sort((one, other) => Number(isNull(other)) - Number(isNull(one)));
    const at = Math.min(nth, ordered.length - 1);
    return [ordered[at], nth - at];
  }

  /** What holds for all of some schemas. What one of them tells another may replace, so that it counts when all have told. */
  private allOf(parts: readonly Schema[], within: readonly string[], nth: number): unknown {
    const samples = parts.map((part) => new Sampler(this.root, this.room.aside(), this.patterns).sample(part, within, nth));
    if (typeof samples[0] !== 'object') {
      return this.sample(this.merged(...parts), within, nth);
    }
    return this.value(Object.assign({}, ...samples));
  }

  private leastOf(schema: Schema, within: readonly string[], nth: number): unknown {
    switch (schema.type ?? TELLING.find(([, names]) => names.some((name) => schema[name] !== undefined))?.[0]) {
      case 'null':
        return this.value(null);
      case 'boolean':
        return this.value(nth % 2 === 1);
      case 'integer':
        return this.value(numberOf(schema, Number.isInteger(schema.multipleOf) ? schema.multipleOf : 1, nth));
      case 'number':
        return this.value(numberOf(schema, schema.multipleOf, nth));
      case 'array':
        return this.list(schema, within, nth);
      case 'object':
        return this.object(schema, within, nth);
      default:
        return this.value(this.text(schema, nth));
    }
  }

  private text({ pattern, format, minLength = 0, maxLength }: Schema, nth: number): string {
    if (pattern !== undefined) {
      return this.patterns.textMatching(pattern, { minLength, maxLength }, nth, this.room);
    }
    const text = nth === 0 ? '' : String(nth);
    return FORMATS[format!]?.(nth) ?? 'x'.repeat(Math.min(Math.max(0, minLength - text.length), this.room.left)) + text;
  }

  /** What a list has at least: what comes first, what it has to contain, and the rest. */
  private list(schema: Schema, within: readonly string[], nth: number): unknown[] {
    const { prefixItems = [], items, contains, minContains = 1, minItems = 0, uniqueItems } = schema;
    const contained = contains === undefined ? 0 : minContains;
    const length = Math.max(minItems, contained === 0 ? 0 : prefixItems.length + contained);
    const rest = schemaOf(items);
    const contents = contained === 0 ? rest : this.merged(rest, contains!);
    const list: unknown[] = [];
    for (let at = 0; at < (length === 0 ? nth : length) && this.room.left > 0; at++) {
      // its bracket, or a comma.
      this.room.tell(1);
      const part = prefixItems[at] ?? (at - prefixItems.length < contained ? contents : rest);
      list.push(this.sample(part, within, uniqueItems === true ? nth + at : nth));
    }
    return list;
  }

  private object(schema: Schema, within: readonly string[], nth: number): object {
    const { properties, additionalProperties } = schema;
    const members: [string, unknown][] = [];
    for (const name of this.namesOf(schema)) {
      if (this.room.left === 0) {
        break;
      }
      this.value(name);
      // its brace, or a comma, and the colon.
      this.room.tell(2);
      members.push([name, this.sample(properties?.[name] ?? schemaOf(additionalProperties), within, nth)]);
    }
    return Object.fromEntries(members);
  }

  /** The names that an object has at least, each once. */
  private* namesOf({ required = [], properties = {}, minProperties = 0 }: Schema): Generator<string> {
    const names = new Set<string>();
    for (const name of required) {
      this.room.look();
      if (!names.has(name)) {
        names.add(name);
        yield name;
      }
    }
    const more = names.size < minProperties ? Object.keys(properties) : [];
    this.room.look(more.length);
    for (let at = 0; names.size < minProperties; at++) {
      const name = more[at] ?? `property${at - more.length}`;
      if (!names.has(name)) {
        names.add(name);
        yield name;
      }
    }
  }

  private value(value: unknown): unknown {
    const length = JSON.stringify(value)?.length ?? 0;
    this.room.look(length / CHARACTERS_PER_STEP);
    this.room.tell(length);
    return value;
  }

  private merged(...parts: readonly Schema[]): Schema {
    const all: Schema = Object.assign({}, ...parts);
    this.room.look(parts.length + Object.keys(all).length);
    return all;
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
