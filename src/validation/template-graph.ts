/**
 * The one thing that rules read: resources of one or several CloudFormation templates, their references resolved as far as
 * they are certain. What is not certain is an `Unknown`, never a guess. Plain data in, nothing of the CDK.
 */

/** A template, and which stack it is of. */
export interface TemplateInput {
  /** Name of the stack: a construct path or a file name. It only has to be unique in the set. */
  readonly stack: string;
  /** The parsed template. Anything may be in it: what is malformed becomes unknown. */
  readonly template: unknown;
  /** Region that the stack is deployed to, such as `us-east-2`; without it, the region is unknown. */
  readonly region?: string;
}

/** A value with every intrinsic function replaced by what it certainly is. */
export type Value = string | number | boolean | null | Unknown | Link | Value[] | { readonly [key: string]: Value };

/** A value that cannot be known from the templates: a parameter, a condition, a name that another stack exports. */
export class Unknown {
  /**
   * @param reason what makes it unknown, such as `parameter "InstanceType"`.
   * @param key equal keys are certainly equal values.
   */
  public constructor(readonly reason: string, readonly key: string) {}
}

/** A reference to a resource of the set. */
export class Link {
  public constructor(readonly resource: Resource, readonly attribute: string) {}
}

/** One resource of one stack. */
export class Resource {
  private resolved?: Value;

  public constructor(
    readonly stack: string,
    readonly region: string | undefined,
    readonly logicalId: string,
    readonly type: string,
    readonly constructPath: string | undefined,
    private readonly resolveProperties: () => Value,
  ) {}

  /**
   * The value at a path below `Properties`. Undefined where nothing is; an `Unknown` where something above it is unknown.
   *
   * @param path names of properties.
   */
  public get(...path: string[]): Value | undefined {
    this.resolved ??= this.resolveProperties();
    return valueAt(this.resolved, ...path);
  }
}

type Json = { readonly [key: string]: unknown };

interface LoadedTemplate {
  readonly input: TemplateInput;
  readonly parameters: Json;
  readonly mappings: Json;
  readonly resources: Map<string, Resource>;
}

interface StackExport {
  readonly template: LoadedTemplate;
  readonly value: unknown;
}

export class TemplateGraph {
  /** Every resource, in the order of the templates. */
  readonly resources: Resource[] = [];

  /** True when a macro or a loop adds resources that are not seen here, so that nothing can be said to be missing. */
  readonly hasUnseenResources: boolean;

  private readonly byType = new Map<string, Resource[]>();
  private readonly exports = new Map<string, StackExport | undefined>();

  public constructor(inputs: readonly TemplateInput[]) {
    let unseen = false;
    const loaded = inputs.map((input) => {
      const template = asObject(input.template);
      const result: LoadedTemplate = {
        input,
        parameters: asObject(template.Parameters),
        mappings: asObject(template.Mappings),
        resources: new Map(),
      };
      for (const [logicalId, raw] of Object.entries(asObject(template.Resources))) {
        const resource = asObject(raw);
        if (logicalId.startsWith('Fn::') || typeof resource.Type !== 'string') {
          unseen ||= logicalId.startsWith('Fn::');
          continue;
        }
        const path = asObject(resource.Metadata)['aws:cdk:path'];
        this.add(result, new Resource(input.stack, input.region, logicalId, resource.Type, typeof path === 'string' ? path : undefined,
          () => this.resolve(resource.Properties, result, new Set()) ?? {}));
      }
      return { result, outputs: asObject(template.Outputs) };
    });
    this.hasUnseenResources = unseen;
    // names of exports may refer to resources, so they are resolved once every resource is known.
    for (const { result, outputs } of loaded) {
      for (const raw of Object.values(outputs)) {
        const output = asObject(raw);
        const name = this.resolve(asObject(output.Export).Name, result, new Set());
        if (typeof name === 'string') {
          // two stacks of different regions may export the same name: which one an import means is then unknown.
          this.exports.set(name, this.exports.has(name) ? undefined : { template: result, value: output.Value });
        }
      }
    }
  }

  /** Resources of a type, such as `AWS::EC2::LaunchTemplate`, in the order of the templates. */
  public ofType(type: string): readonly Resource[] {
    return this.byType.get(type) ?? [];
  }

  private add(template: LoadedTemplate, resource: Resource): void {
    template.resources.set(resource.logicalId, resource);
    this.resources.push(resource);
    const sameType = this.byType.get(resource.type);
    if (sameType) {
      sameType.push(resource);
    } else {
      this.byType.set(resource.type, [resource]);
    }
  }

  /** Undefined means `AWS::NoValue`: the property is not there. `active` holds the names of the imports being followed. */
  private resolve(value: unknown, template: LoadedTemplate, active: ReadonlySet<string>): Value | undefined {
    if (Array.isArray(value)) {
      return value.map((item) => this.resolve(item, template, active)).filter((item) => item !== undefined);
    }
    if (typeof value !== 'object' || value === null) {
      return value === undefined ? undefined : value as string | number | boolean | null;
    }
    const keys = Object.keys(value);
    if (keys.length === 1 && (keys[0] === 'Ref' || keys[0].startsWith('Fn::'))) {
      return this.resolveIntrinsic(keys[0], (value as Json)[keys[0]], template, active);
    }
    if (keys.includes('Fn::Transform')) {
      return unknown('the macro "Fn::Transform"', template, value);
    }
    // fromEntries defines properties: a key such as "__proto__" stays an ordinary key.
    return Object.fromEntries(Object.entries(value)
      .map(([key, item]) => [key, this.resolve(item, template, active)] as const)
      .filter((entry): entry is readonly [string, Value] => entry[1] !== undefined));
  }

  private resolveIntrinsic(name: string, argument: unknown, template: LoadedTemplate, active: ReadonlySet<string>): Value | undefined {
    const notKnown = () => unknown(`"${name}"`, template, { [name]: argument });
    const args = () => {
      const resolved = this.resolve(argument, template, active);
      return Array.isArray(resolved) ? resolved : [];
    };
    switch (name) {
      case 'Ref':
        return typeof argument === 'string' ? this.resolveName(argument, 'Ref', template) : notKnown();
      case 'Fn::GetAtt': {
        const parts = typeof argument === 'string' ? splitOnce(argument, '.') : args();
        const [logicalId, attribute] = parts;
        const resource = typeof logicalId === 'string' ? template.resources.get(logicalId) : undefined;
        return resource && typeof attribute === 'string' ? new Link(resource, attribute) : notKnown();
      }
      case 'Fn::Sub':
        return this.resolveSub(argument, template, active) ?? notKnown();
      case 'Fn::Join': {
        const [delimiter, parts] = args();
        if (typeof delimiter !== 'string' || !Array.isArray(parts)) {
          return notKnown();
        }
        if (parts.length === 1) {
          return parts[0];
        }
        return parts.every(isScalar) ? parts.join(delimiter) : notKnown();
      }
      case 'Fn::Split': {
        const [delimiter, text] = args();
        return typeof delimiter === 'string' && typeof text === 'string' ? text.split(delimiter) : notKnown();
      }
      case 'Fn::Select': {
        const [index, list] = args();
        return Array.isArray(list) && isScalar(index) ? list[Number(index)] ?? notKnown() : notKnown();
      }
      case 'Fn::If': {
        if (!Array.isArray(argument) || argument.length !== 3) {
          return notKnown();
        }
        const [, whenTrue, whenFalse] = argument.map((branch) => this.resolve(branch, template, active));
        // a condition that changes nothing is no reason not to know.
        return whenTrue !== undefined && whenFalse !== undefined && same(whenTrue, whenFalse) === true ? whenTrue
          : unknown(`condition ${JSON.stringify(argument[0])}`, template, { [name]: argument });
      }
      case 'Fn::FindInMap': {
        const [map, first, second] = args();
        if (![map, first, second].every(isScalar)) {
          return notKnown();
        }
        const found = own(asObject(own(asObject(own(template.mappings, String(map))), String(first))), String(second));
        return found === undefined ? notKnown() : this.resolve(found, template, active);
      }
      case 'Fn::ImportValue': {
        const exportName = this.resolve(argument, template, active);
        const exported = typeof exportName === 'string' && !active.has(exportName) ? this.exports.get(exportName) : undefined;
        return exported ? this.resolve(exported.value, exported.template, new Set([...active, exportName as string])) ?? notKnown() : notKnown();
      }
      default:
        return notKnown();
    }
  }

  private resolveName(name: string, attribute: string, template: LoadedTemplate): Value | undefined {
    if (name === 'AWS::NoValue') {
      return undefined;
    }
    if (name === 'AWS::Region' && template.input.region !== undefined) {
      return template.input.region;
    }
    const resource = template.resources.get(name);
    if (resource) {
      return new Link(resource, attribute);
    }
    // a parameter's default may be overridden at deployment, so it is not taken for its value.
    const kind = own(template.parameters, name) === undefined ? 'reference' : 'parameter';
    return unknown(`${kind} ${JSON.stringify(name)}`, template, { Ref: name });
  }

  private resolveSub(argument: unknown, template: LoadedTemplate, active: ReadonlySet<string>): Value | undefined {
    const [text, variables] = Array.isArray(argument) ? argument : [argument, {}];
    if (typeof text !== 'string') {
      return undefined;
    }
    const parts: Value[] = [];
    let end = 0;
    for (const match of text.matchAll(/\$\{(!?)([^}]*)\}/g)) {
      if (match.index > end) {
        parts.push(text.slice(end, match.index));
      }
      end = match.index + match[0].length;
      if (match[1] === '!') {
        parts.push(`\${${match[2]}}`);
        continue;
      }
      const name = match[2].trim();
      const given = own(asObject(variables), name);
      const [logicalId, attribute] = splitOnce(name, '.');
      const part = given !== undefined ? this.resolve(given, template, active) : this.resolveName(logicalId, attribute ?? 'Ref', template);
      if (part === undefined) {
        return undefined;
      }
      parts.push(part);
    }
    if (end < text.length) {
      parts.push(text.slice(end));
    }
    if (parts.length === 1) {
      return parts[0];
    }
    return parts.every(isScalar) ? parts.join('') : undefined;
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

/** The value as a list: a list as it is, nothing as an empty one, anything else as undefined. */
export function asList(value: Value | undefined): Value[] | undefined {
  return value === undefined ? [] : Array.isArray(value) ? value : undefined;
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
  if (a instanceof Unknown && b instanceof Unknown) {
    return a.key === b.key ? true : differentSelections(a.key, b.key) ? false : undefined;
  }
  if (a instanceof Unknown || b instanceof Unknown || a instanceof Link || b instanceof Link) {
    return undefined;
  }
  if (isScalar(a) && isScalar(b)) {
    return String(a) === String(b);
  }
  return show(a) === show(b);
}

/** The value as JSON text, references in CloudFormation's words. */
export function show(value: Value | undefined): string {
  return JSON.stringify(value, (_, item) => {
    if (item instanceof Link) {
      return item.attribute === 'Ref' ? { Ref: item.resource.logicalId } : { 'Fn::GetAtt': [item.resource.logicalId, item.attribute] };
    }
    return item instanceof Unknown ? item.reason : item;
  }) ?? 'nothing';
}

function isIdentity(link: Link): boolean {
  return ['Ref', 'GroupId', 'SubnetId', 'LaunchTemplateId', 'Id', 'VpcId', 'GroupName'].includes(link.attribute);
}

// two elements of one list of Availability Zones are two zones, though neither is known by name.
function differentSelections(a: string, b: string): boolean {
  const select = /^(.*\{"Fn::Select":\[)"?\d+"?(,\{"Fn::GetAZs":.*)$/;
  const [left, right] = [select.exec(a), select.exec(b)];
  return left !== null && right !== null && left[1] === right[1] && left[2] === right[2];
}

function unknown(reason: string, template: LoadedTemplate, value: unknown): Unknown {
  return new Unknown(reason, `${template.input.stack} ${JSON.stringify(value)}`);
}

function isScalar(value: Value | undefined): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

function asObject(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value as Json : {};
}

function own<T>(object: { readonly [key: string]: T }, key: string): T | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
