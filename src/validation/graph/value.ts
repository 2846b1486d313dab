/** A value with every intrinsic function replaced by what it certainly is. */
export type Value = string | number | boolean | null | Unknown | Link | Value[] | { readonly [key: string]: Value };

/** What is known of a value that is not known. */
export interface UnknownFacts {
  /** Name of the SSM parameter whose value it is; of a template parameter of an SSM type, the name by default. */
  readonly ssmParameter?: string;
  /** Pieces of a text that is known in part, in order. */
  readonly parts?: readonly Value[];
  /** What a base64 text says. */
  readonly decoded?: Value;
  /** A list that is joined to one text. */
  readonly joined?: { readonly delimiter: string; readonly list: Value };
  /** A list of values that differ from each other, such as the Availability Zones of a region, by its identity. */
  readonly distinct?: string;
  /** Which value of such a list it is. */
  readonly element?: { readonly of: string; readonly index: number };
  /** The pseudo parameter that it is, such as `AWS::AccountId`. */
  readonly pseudoParameter?: string;
  /** True where it may turn out to be nothing: a condition or a macro decides. */
  readonly optional?: boolean;
  /** A parameter of a template that is deployed by hand, by its identity in the set. */
  readonly parameter?: string;
  /** Texts that it certainly is not. */
  readonly not?: readonly string[];
}

/** A value that cannot be known from the templates: a parameter, a condition, a name that another stack exports. */
export class Unknown {
  /**
   * @param reason what makes it unknown, such as `parameter "InstanceType"`.
   * @param key equal keys are certainly equal values; an empty key equals none.
   * @param facts what is known nevertheless.
   */
  public constructor(readonly reason: string, readonly key: string, readonly facts: UnknownFacts = {}) {}
}

/** A reference to a resource of the set. */
export class Link {
  public constructor(readonly resource: Resource, readonly attribute: string) {}
}

/** Where the values of a resource come from. */
export interface ResourceSource {
  /** Why it may not be there, where a condition that is not known decides. */
  conditional(): Unknown | undefined;
  /** An attribute of the resource, such as `Properties`, resolved. */
  read(attribute: string): Value | undefined;
}

/** One resource of one stack. */
export class Resource {
  /**
   * @param stack the stack that it is of.
   * @param region region of the stack, where it is known.
   * @param place equal for resources that are certainly of one account and region: they alone meet by name.
   * @param logicalId its name in the template.
   * @param type its type, such as `AWS::EC2::LaunchTemplate`.
   * @param constructPath path of its construct, where the template has it.
   * @param source where its values come from.
   */
  public constructor(
    readonly stack: string,
    readonly region: string | undefined,
    readonly place: string,
    readonly logicalId: string,
    readonly type: string,
    readonly constructPath: string | undefined,
    private readonly source: ResourceSource,
  ) {}

  /** Why the resource may not be there, where a condition that is not known decides. All of its values are then unknown. */
  public get conditional(): Unknown | undefined {
    return this.source.conditional();
  }

  /**
   * The value at a path below `Properties`. Undefined where nothing is; an `Unknown` where something above it is unknown.
   *
   * @param path names of properties.
   */
  public get(...path: string[]): Value | undefined {
    return this.attribute('Properties', ...path);
  }

  /**
   * The value at a path below an attribute beside `Properties`, such as `DependsOn` (names of resources) or `UpdatePolicy`.
   *
   * @param name the attribute.
   * @param path names below it.
   */
  public attribute(name: string, ...path: string[]): Value | undefined {
    return this.conditional ?? valueAt(this.source.read(name), ...path);
  }
}

/**
 * The value at a path. Undefined where nothing is; an `Unknown` where something above it is unknown.
 *
 * @param value where the path starts.
 * @param path names of properties.
 */
export function valueAt(value: Value | undefined, ...path: string[]): Value | undefined {
  let current = value;
  for (const name of path) {
    if (current instanceof Unknown) {
      return current;
    }
    if (typeof current !== 'object' || current === null || Array.isArray(current) || current instanceof Link) {
      return undefined;
    }
    current = own(current, name);
  }
  return current;
}

/** The value as a whole number; a string of digits counts, as it does in CloudFormation. */
export function asInteger(value: Value | undefined): number | undefined {
  const number = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isInteger(number) ? number : undefined;
}

/** True for `true` and `"true"`, as in CloudFormation. */
export function isTrue(value: Value | undefined): boolean {
  return value === true || (typeof value === 'string' && value.toLowerCase() === 'true');
}

/** True for `false` and `"false"`, as in CloudFormation; what is not known is neither. */
export function isFalse(value: Value | undefined): boolean {
  return value === false || (typeof value === 'string' && value.toLowerCase() === 'false');
}

/** A list as it is, nothing as an empty one, anything else as a list of one: CloudFormation takes one value for a list of it. */
export function several(value: Value | undefined): Value[] {
  return asList(value) ?? [value!];
}

/** Values of which none is certainly the same as another. */
export function distinctValues(values: readonly Value[]): Value[] {
  return values.filter((value, index) => values.findIndex((other) => other === value || same(value, other) === true) === index);
}

/** The resource that a value refers to, if it is of a type. */
export function linked(value: Value | undefined, type: string): Resource | undefined {
  return value instanceof Link && value.resource.type === type ? value.resource : undefined;
}

/** The value as a list: a list as it is, nothing as an empty one, anything else as undefined. */
export function asList(value: Value | undefined): Value[] | undefined {
  return value === undefined ? [] : Array.isArray(value) ? value : undefined;
}

/** Whether a value is nothing or may turn out to be, as by `AWS::NoValue` in one branch of a condition that is not known. */
export function isOptional(value: Value | undefined): boolean {
  return value === undefined || (value instanceof Unknown && value.facts.optional === true);
}

/** The pieces of a text, unknown ones and references among them; undefined where none is known. */
export function textParts(value: Value | undefined): readonly Value[] | undefined {
  return typeof value === 'string' ? [value] : value instanceof Unknown ? value.facts.parts : undefined;
}

/** Name of the SSM parameter that a value is read from; `resolve:ssm:` of a launch template's ImageId counts. */
export function ssmParameterOf(value: Value | undefined): string | undefined {
  if (value instanceof Unknown) {
    return value.facts.ssmParameter;
  }
  return typeof value === 'string' ? /^resolve:ssm:([^:]+)/.exec(value)?.[1] : undefined;
}

/**
 * Whether two values are the same when deployed: true and false are certain, undefined is unknown.
 */
export function same(a: Value, b: Value): boolean | undefined {
  if (a instanceof Link && b instanceof Link) {
    if (a.resource === b.resource) {
      // a group has one id, whether its Ref or its GroupId is asked for.
      return a.attribute === b.attribute || (isIdentity(a) && isIdentity(b)) ? true : undefined;
    }
    return isIdentity(a) && isIdentity(b) && a.resource.type === b.resource.type ? false : undefined;
  }
  if (a instanceof Unknown || b instanceof Unknown) {
    return sameUnknown(a, b);
  }
  if (a instanceof Link || b instanceof Link) {
    return undefined;
  }
  if (isScalar(a) && isScalar(b)) {
    return String(a) === String(b);
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    return sameLists(a, b);
  }
  if (isMap(a) && isMap(b)) {
    const names = [...new Set([...Object.keys(a), ...Object.keys(b)])];
    return every(names.map((name) => sameOptional(own(a, name), own(b, name))));
  }
  // CloudFormation takes one value for a list of one, so that a list and a single value may be the same.
  return a === null || b === null ? a === b : Array.isArray(a) !== Array.isArray(b) ? undefined : false;
}

/** Stands for a piece of a text that is not known before deployment, of any length. */
export const HOLE = '\u0000';

/** A text for people, with what is not known of it between angle brackets. */
export function shownText(text: string): string {
  return text.replaceAll(HOLE, '<unknown>');
}

const SHOWN = 1000;

/** The value as JSON text, references in CloudFormation's words; a very long one is cut. */
export function show(value: Value | undefined): string {
  const text = JSON.stringify(value, (_, item) => {
    if (item instanceof Link) {
      return item.attribute === 'Ref' ? { Ref: item.resource.logicalId } : { 'Fn::GetAtt': [item.resource.logicalId, item.attribute] };
    }
    return item instanceof Unknown ? item.facts.parts?.map(shownPiece).join('') ?? item.reason : typeof item === 'string' ? shownText(item) : item;
  }) ?? 'nothing';
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}

// a text that is known in part, with what is not between angle brackets.
function shownPiece(piece: Value): string {
  return isScalar(piece) ? String(piece) : `<${piece instanceof Unknown ? piece.reason : piece instanceof Link ? piece.resource.logicalId : 'a value'}>`;
}

export function isScalar(value: Value | undefined): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

export function own<T>(object: { readonly [key: string]: T }, key: string): T | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/**
 * Number of values within a value, itself included.
 *
 * @param value the value.
 * @param most where counting ends.
 */
export function sizeOf(value: Value | undefined, most: number): number {
  let size = 0;
  const open: unknown[] = [value];
  while (open.length > 0 && size < most) {
    const item = open.pop();
    size += 1;
    if (typeof item === 'object' && item !== null && !(item instanceof Unknown) && !(item instanceof Link)) {
      for (const inner of Object.values(item)) {
        open.push(inner);
      }
    }
  }
  return size;
}

function isMap(value: Value): value is { readonly [key: string]: Value } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Attributes that stand for the resource itself, as its Ref does, with the end of its type: a subnet has a VpcId too, which is another's. */
const IDENTITIES: { readonly [attribute: string]: RegExp } = {
  Ref: /^AWS::(?!CloudFormation::CustomResource$)/,
  Id: /^AWS::/,
  GroupId: /::SecurityGroup$/,
  GroupName: /::(SecurityGroup|PlacementGroup)$/,
  LaunchTemplateId: /::LaunchTemplate$/,
  SubnetId: /::Subnet$/,
  VpcId: /::VPC$/,
};

/** Whether an attribute is one of those that stand for the resource itself. */
export function isIdentity({ attribute, resource }: Link): boolean {
  return own(IDENTITIES, attribute)?.test(resource.type) === true;
}

function sameUnknown(a: Value, b: Value): boolean | undefined {
  if (a instanceof Unknown && b instanceof Unknown) {
    if (a.key === b.key && a.key !== '') {
      return true;
    }
    const [left, right] = [a.facts.element, b.facts.element];
    return left && right && left.of === right.of && left.index !== right.index ? false : undefined;
  }
  const [unknown, other] = a instanceof Unknown ? [a, b] : [b as Unknown, a];
  return isScalar(other) && unknown.facts.not?.includes(String(other)) ? false : undefined;
}

function sameLists(a: Value[], b: Value[]): boolean | undefined {
  // an element that is not known may turn out to be none at all.
  const certain = ![...a, ...b].some(isOptional);
  if (a.length !== b.length) {
    return certain ? false : undefined;
  }
  const equal = every(a.map((item, index) => same(item, b[index])));
  return equal === true || certain ? equal : undefined;
}

function sameOptional(a: Value | undefined, b: Value | undefined): boolean | undefined {
  if (a === undefined || b === undefined) {
    return isOptional(a) && isOptional(b) ? undefined : false;
  }
  return same(a, b);
}

function every(answers: readonly (boolean | undefined)[]): boolean | undefined {
  return answers.includes(false) ? false : answers.includes(undefined) ? undefined : true;
}
