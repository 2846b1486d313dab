import { createHash } from 'crypto';
import { evaluate } from './conditions';
import { Parameters } from './parameters';
import { BUSY, Scope, environmentOf, keyOfPlace, rootOf, scopesOf } from './scope';
import { SharedValues } from './shared-values';
import { Template } from './template';
import { Json, MAX_DEPTH, asObject, intrinsicOf, isObject } from './template-json';
import { MAX_SIZE, cidrBlocks, partitionOf, split, splitOnce, textOf } from './text-functions';
import { Link, Resource, Unknown, UnknownFacts, Value, asInteger, asList, isOptional, isScalar, own, same, sizeOf, valueAt } from './value';
import { World } from './world';

/** Values that are resolved at most; all beyond are unknown. A template of 50 MB needs about a third of it. */
const MAX_WORK = 10_000_000;

/** Values within one property of a resource or one output. */
const MAX_VALUES = 200_000;

/** Resolves the values of a set of templates in one world. */
export class Resolver {
  /** Every template, in the order of the set; that of a nested stack once for each resource that deploys it. */
  readonly scopes: readonly Scope[];

  /** Every parameter that a value was asked of. */
  public readonly parameters = new Parameters();

  private readonly shared = new SharedValues(this);
  private readonly ids = new Map<Resource, number>();
  private depth = 0;
  private work = 0;
  private limits = 0;

  public constructor(templates: readonly Template[], private readonly world: World) {
    this.scopes = scopesOf(templates, (scope, logicalId, raw) => this.resourceOf(scope, logicalId, raw));
  }

  /** The value with every intrinsic function resolved. Undefined means `AWS::NoValue`: the property is not there. */
  public resolve(value: unknown, scope: Scope): Value | undefined {
    this.work += 1;
    if (this.depth > MAX_DEPTH || this.work > MAX_WORK) {
      return this.limit(this.work > MAX_WORK ? 'more values than are looked at' : `a value nested deeper than ${MAX_DEPTH} levels`);
    }
    this.depth += 1;
    try {
      return this.resolveOne(value, scope);
    } finally {
      this.depth -= 1;
    }
  }

  /** Whether a condition holds; undefined where that is not known. */
  public condition(name: string, scope: Scope): boolean | undefined {
    if (this.depth > MAX_DEPTH) {
      return undefined;
    }
    this.depth += 1;
    const raw = own(scope.template.conditions, name);
    const value = this.once(scope, `condition ${name}`, () => evaluate(raw, scope, this) ?? this.limit(`condition ${JSON.stringify(name)}`));
    this.depth -= 1;
    return typeof value === 'boolean' ? value : undefined;
  }

  /** Whether a resource or an output is there; undefined where that is not known. */
  public isThere(scope: Scope, raw: Json): boolean | undefined {
    const parent = scope.parent && scope.parent.scope.template.resources.get(scope.parent.logicalId);
    const above = scope.parent && parent ? this.isThere(scope.parent.scope, parent) : true;
    const here = raw.Condition === undefined ? true : typeof raw.Condition === 'string' ? this.condition(raw.Condition, scope) : undefined;
    return above === false || here === false ? false : above === undefined || here === undefined ? undefined : true;
  }

  /** The value of an output; undefined where there is none. */
  public output(name: string, scope: Scope): Value | undefined {
    const output = own(scope.template.outputs, name);
    const there = isObject(output) ? this.isThere(scope, output) : false;
    return !isObject(output) || there === false ? undefined : there === undefined ? this.limit(conditionReason(output))
      : this.once(scope, `output ${name}`, () => this.resolve(output.Value, scope));
  }

  private resourceOf(scope: Scope, logicalId: string, raw: Json): Resource {
    const { stack } = scope.template.input;
    const path = asObject(raw.Metadata)['aws:cdk:path'];
    const resource = new Resource(stack, environmentOf(scope).region, keyOfPlace(scope), logicalId, raw.Type as string, typeof path === 'string' ? path : undefined, {
      conditional: () => this.isThere(scope, raw) === undefined ? this.limit(conditionReason(raw)) : undefined,
      read: (attribute) => this.attribute(scope, logicalId, raw, attribute),
    });
    this.ids.set(resource, this.ids.size);
    return resource;
  }

  private attribute(scope: Scope, logicalId: string, raw: Json, name: string): Value | undefined {
    return this.once(scope, `${name} of ${logicalId}`, () => {
      if ('Fn::Transform' in raw) {
        return this.limit('the macro "Fn::Transform"');
      }
      return this.resolve(own(raw, name), scope) ?? (name === 'Properties' ? {} : undefined);
    });
  }

  private resolveOne(value: unknown, scope: Scope): Value | undefined {
    if (typeof value === 'string') {
      return value.includes('{{resolve:') ? this.dynamicReferences(value, scope) : value;
    }
    if (Array.isArray(value)) {
      return value.map((item) => this.resolve(item, scope)).filter((item) => item !== undefined);
    }
    if (!isObject(value)) {
      return isScalar(value as Value) || value === null ? value as Value : undefined;
    }
    const intrinsic = intrinsicOf(value);
    if (intrinsic) {
      return this.intrinsic(intrinsic[0], intrinsic[1], scope);
    }
    const entries = Object.entries(value);
    if (entries.some(([key]) => key === 'Fn::Transform' || key.startsWith('Fn::ForEach'))) {
      return this.limit('a macro or a loop');
    }
    // fromEntries defines properties: a key such as "__proto__" stays an ordinary key.
    return Object.fromEntries(entries.map(([key, item]) => [key, this.resolve(item, scope)] as const)
      .filter((entry): entry is readonly [string, Value] => entry[1] !== undefined));
  }

  private intrinsic(name: string, argument: unknown, scope: Scope): Value | undefined {
    switch (name) {
      case 'Ref':
        return typeof argument === 'string' ? this.reference(argument, 'Ref', scope) : this.limit('"Ref"');
      case 'Fn::GetAtt': {
        const parts = typeof argument === 'string' ? splitOnce(argument, '.') : asList(this.resolve(argument, scope)) ?? [];
        return parts.length > 1 && parts.every((part) => typeof part === 'string')
          ? this.reference(parts[0], parts.slice(1).join('.'), scope) : this.limit('"Fn::GetAtt"');
      }
      case 'Fn::If':
        return this.conditional(argument, scope);
      case 'Fn::Sub':
        return this.substitution(argument, scope);
      case 'Fn::Transform':
        return this.limit('the macro "Fn::Transform"');
    }
    const value = this.resolve(argument, scope);
    const args = Array.isArray(value) ? value : [value];
    const unknown = (facts?: UnknownFacts, ...also: string[]) => this.unknown(`"${name}"`, [name, ...also, ...args.map((item) => this.keyOf(item))], facts);
    const [first, second, third, fourth] = args;
    switch (name) {
      case 'Fn::Join':
        return typeof first !== 'string' || second === undefined ? unknown() : this.joined(first, second, scope, unknown);
      case 'Fn::Split':
        return typeof first === 'string' && first !== '' ? split(first, second) ?? unknown() : unknown();
      case 'Fn::Select': {
        const index = asInteger(first);
        const list = second instanceof Unknown ? second.facts.distinct : undefined;
        return index === undefined ? unknown() : list !== undefined ? unknown({ element: { of: list, index } })
          : Array.isArray(second) ? second[index] ?? unknown() : unknown();
      }
      case 'Fn::FindInMap': {
        const keys = [first, second, third];
        const known = keys.every(isScalar);
        const found = known ? keys.reduce<unknown>((at, key) => own(asObject(at), String(key)), scope.template.mappings) : undefined;
        const isData = (item: unknown) => isScalar(item as Value);
        return isData(found) || (Array.isArray(found) && found.every(isData)) ? this.resolve(found, scope)
          : known && found === undefined ? valueAt(fourth, 'DefaultValue') ?? unknown({}, scope.template.input.stack) : unknown({}, scope.template.input.stack);
      }
      case 'Fn::ImportValue':
        return (typeof first === 'string' ? this.shared.exported(first, scope) : undefined) ?? unknown({}, keyOfPlace(scope));
      case 'Fn::GetAZs': {
        const region = first === '' || first === undefined ? this.reference('AWS::Region', 'Ref', scope) : first;
        const of = this.short(['Fn::GetAZs', this.keyOf(region), keyOfPlace(scope)]);
        return new Unknown('the Availability Zones of the region', of, { distinct: of });
      }
      case 'Fn::Base64':
        return typeof first === 'string' ? Buffer.from(first).toString('base64') : unknown(first === undefined ? {} : { decoded: first });
      case 'Fn::Length':
        return Array.isArray(value) && !value.some((item) => item instanceof Unknown) ? value.length : unknown();
      case 'Fn::ToJsonString':
        return this.json(value) ?? unknown();
      case 'Fn::Cidr': {
        const block = first instanceof Link && first.attribute === 'CidrBlock' ? first.resource.get('CidrBlock') : first;
        return cidrBlocks(block, asInteger(second), asInteger(third)) ?? unknown();
      }
      default:
        return this.limit(`"${name}"`);
    }
  }

  private conditional(argument: unknown, scope: Scope): Value | undefined {
    if (!Array.isArray(argument) || argument.length !== 3) {
      return this.limit('"Fn::If"');
    }
    const [given, ...branches]: unknown[] = argument;
    const name = typeof given === 'string' ? given : '';
    const holds = this.condition(name, scope);
    if (holds !== undefined) {
      return this.resolve(branches[holds ? 0 : 1], scope);
    }
    const [whenTrue, whenFalse] = branches.map((branch) => this.resolve(branch, scope));
    // a condition that changes nothing is no reason not to know.
    return whenTrue !== undefined && whenFalse !== undefined && same(whenTrue, whenFalse) === true ? whenTrue
      : this.unknown(`condition ${JSON.stringify(name)}`, ['Fn::If', scope.template.input.stack, name, this.keyOf(whenTrue), this.keyOf(whenFalse)],
        isOptional(whenTrue) || isOptional(whenFalse) ? { optional: true } : {});
  }

  private reference(name: string, attribute: string, scope: Scope): Value | undefined {
    const resource = scope.resources.get(name);
    if (resource && this.isThere(scope, scope.template.resources.get(name) as Json) !== false) {
      const nested = attribute.startsWith('Outputs.') ? scope.nested.get(name) : undefined;
      if (nested) {
        return this.output(attribute.slice('Outputs.'.length), nested) ?? this.unknown(`"${attribute}" of ${name}`, [nested.template.input.stack, attribute]);
      }
      const parameter = resource.type === 'Custom::CrossRegionExportReader' ? this.shared.ssmParameter(attribute, scope) : undefined;
      return parameter ?? new Link(resource, attribute);
    }
    if (attribute === 'Ref' && own(scope.template.parameters, name) !== undefined) {
      return this.once(scope, `parameter ${name}`, () => this.parameter(name, scope));
    }
    return attribute === 'Ref' && name.startsWith('AWS::') ? this.pseudoParameter(name, scope)
      : this.unknown(`reference ${JSON.stringify(name)}`, ['reference', scope.template.input.stack, name, attribute]);
  }

  private pseudoParameter(name: string, scope: Scope): Value | undefined {
    const { region, account } = environmentOf(scope);
    const { stack } = rootOf(scope).template.input;
    const unknown = (facts?: UnknownFacts) => this.unknown(`reference ${JSON.stringify(name)}`, ['reference', stack, name], { ...facts, pseudoParameter: name });
    switch (name) {
      case 'AWS::NoValue':
        return undefined;
      case 'AWS::AccountId':
        return account ?? unknown();
      case 'AWS::Region': {
        const id = this.parameters.register(stack, name, {});
        const choice = this.world.get(id);
        return region ?? choice?.value ?? unknown({ parameter: id, not: choice?.not });
      }
      case 'AWS::Partition':
      case 'AWS::URLSuffix': {
        const known = this.pseudoParameter('AWS::Region', scope);
        const partition = typeof known === 'string' ? partitionOf(known) : undefined;
        return partition === undefined ? unknown() : name === 'AWS::Partition' ? partition
          : partition === 'aws' || partition === 'aws-us-gov' ? 'amazonaws.com' : partition === 'aws-cn' ? 'amazonaws.com.cn' : unknown();
      }
      default:
        return this.unknown(`reference ${JSON.stringify(name)}`, ['reference', scope.template.input.stack, name], { pseudoParameter: name });
    }
  }

  private parameter(name: string, scope: Scope): Value | undefined {
    const declared = asObject(own(scope.template.parameters, name));
    const type = typeof declared.Type === 'string' ? declared.Type : 'String';
    const isList = /^(CommaDelimitedList$|List<)/.test(type);
    const isSsm = type.startsWith('AWS::SSM::Parameter::Value<');
    const id = this.parameters.register(scope.template.input.stack, name, declared);
    const reason = `parameter ${JSON.stringify(name)}`;
    if (scope.parent) {
      const given = scope.parent.scope.resources.get(scope.parent.logicalId)?.get('Parameters', name);
      // nobody else gives a nested stack its parameters: what the parent leaves out has its default.
      const value = given ?? (isScalar(declared.Default as Value) ? String(declared.Default) : undefined);
      if (value === undefined || isSsm) {
        return this.unknown(reason, [id], { ssmParameter: isSsm && typeof value === 'string' ? value : undefined });
      }
      return isList ? trimmed(split(',', value)) ?? (value instanceof Unknown || Array.isArray(value) ? value : [value]) : value;
    }
    // a default may be overridden at deployment, so it is not taken for the value.
    if (isSsm) {
      return this.unknown(reason, [id], { ssmParameter: typeof declared.Default === 'string' ? declared.Default : undefined });
    }
    const choice = this.world.get(id);
    const allowed = isList ? undefined : this.parameters.allowedValues(id);
    return choice?.value ?? (allowed?.length === 1 ? allowed[0] : undefined)
      ?? this.unknown(reason, [id], isList ? {} : { parameter: id, not: choice?.not });
  }

  private substitution(argument: unknown, scope: Scope): Value | undefined {
    const [text, variables]: unknown[] = Array.isArray(argument) ? argument : [argument];
    if (typeof text !== 'string') {
      return this.limit('"Fn::Sub"');
    }
    const given = new Map<string, Value | undefined>();
    const pieces: Value[] = [];
    let end = 0;
    for (const match of text.matchAll(/\$\{(!?)([^{}]*)\}/g)) {
      pieces.push(text.slice(end, match.index));
      end = match.index + match[0].length;
      const name = match[2].trim();
      if (match[1] === '!') {
        pieces.push(`\${${match[2]}}`);
        continue;
      }
      if (!given.has(name)) {
        const variable = own(asObject(variables), name);
        const [logicalId, attribute] = splitOnce(name, '.');
        given.set(name, variable === undefined ? this.reference(logicalId, attribute ?? 'Ref', scope) : this.resolve(variable, scope));
      }
      pieces.push(given.get(name) ?? this.limit('"Fn::Sub"'));
    }
    pieces.push(text.slice(end));
    return this.text('"Fn::Sub"', pieces.filter((piece) => piece !== ''), scope);
  }

  private joined(delimiter: string, list: Value, scope: Scope, unknown: (facts?: UnknownFacts) => Unknown): Value {
    if (!Array.isArray(list) || list.length === 1) {
      return Array.isArray(list) ? list[0] : unknown({ joined: { delimiter, list } });
    }
    const text = this.text('"Fn::Join"', list.flatMap((item, index) => index === 0 ? [item] : [delimiter, item]), scope);
    return text instanceof Unknown ? new Unknown(text.reason, text.key, { ...text.facts, joined: { delimiter, list } }) : text;
  }

  /** One text of several pieces. A piece alone is what it is. */
  private text(reason: string, pieces: readonly Value[], scope: Scope): Value {
    if (pieces.length === 1 && typeof pieces[0] !== 'string') {
      return pieces[0];
    }
    const text = textOf(pieces);
    if (typeof text === 'string') {
      return text.includes('{{resolve:') ? this.dynamicReferences(text, scope) : text;
    }
    this.work += text?.length ?? MAX_SIZE / 100;
    return text === undefined ? this.limit(`a text longer than ${MAX_SIZE} characters`)
      : this.unknown(reason, ['text', ...text.map((part) => this.keyOf(part))], { parts: text });
  }

  private dynamicReferences(text: string, scope: Scope): Value {
    const pieces: Value[] = [];
    let end = 0;
    for (const match of text.matchAll(/\{\{resolve:([a-z-]+):([^{}]*)\}\}/g)) {
      const [name, version] = splitOnce(match[2], ':');
      const isSsm = match[1] === 'ssm';
      const value = isSsm && version === undefined ? this.shared.ssmParameter(name, scope) : undefined;
      pieces.push(text.slice(end, match.index), value ?? this.unknown(`the dynamic reference ${JSON.stringify(match[0])}`,
        ['dynamic', keyOfPlace(scope), match[0]], isSsm ? { ssmParameter: name } : {}));
      end = match.index + match[0].length;
    }
    if (end === 0) {
      return text;
    }
    pieces.push(text.slice(end));
    const parts = pieces.filter((piece) => piece !== '');
    const whole = parts.length === 1 ? parts[0] : textOf(parts);
    return Array.isArray(whole) ? this.unknown('a dynamic reference', ['text', ...whole.map((part) => this.keyOf(part))], { parts: whole })
      : (whole as Value | undefined) ?? this.limit(`a text longer than ${MAX_SIZE} characters`);
  }

  private json(value: Value | undefined): string | undefined {
    let certain = value !== undefined;
    const text = JSON.stringify(value, (_, item: unknown) => {
      certain &&= !(item instanceof Unknown || item instanceof Link);
      return item instanceof Unknown || item instanceof Link ? null : item;
    });
    return certain && text.length <= MAX_SIZE ? text : undefined;
  }

  /** Resolves something once in a scope. What needs itself is unknown. */
  private once(scope: Scope, key: string, compute: () => Value | undefined): Value | undefined {
    const { resolved } = scope;
    const known = resolved.get(key);
    if (known === BUSY) {
      return this.limit('a reference that leads back to itself');
    }
    if (known !== undefined || resolved.has(key)) {
      return known;
    }
    resolved.set(key, BUSY);
    const before = this.work;
    const value = compute();
    // a value that is used again and again is as large as all of its uses: lists of lists of it would double at each step.
    const size = sizeOf(value, MAX_VALUES);
    this.work = Math.max(this.work, before + size);
    const kept = size < MAX_VALUES ? value : this.limit('a value that is too large');
    resolved.set(key, kept);
    return kept;
  }

  private unknown(reason: string, key: readonly string[], facts?: UnknownFacts): Unknown {
    return new Unknown(reason, this.short(key), facts);
  }

  // equal to nothing else, itself apart; it may be nothing at all.
  private limit(reason: string): Unknown {
    this.limits += 1;
    return new Unknown(reason, `limit ${this.limits}`, { optional: true });
  }

  private keyOf(value: Value | undefined): string {
    if (value instanceof Unknown) {
      return value.key;
    }
    if (value instanceof Link) {
      return JSON.stringify([this.ids.get(value.resource), value.attribute]);
    }
    this.work += 1;
    if (typeof value === 'object' && value !== null && this.work < MAX_WORK) {
      return this.short(Object.entries(value).map(([name, item]) => `${name}:${this.keyOf(item)}`));
    }
    // as CloudFormation, which takes 1 for "1".
    return value === undefined ? 'none' : JSON.stringify(String(value));
  }

  private short(parts: readonly string[]): string {
    const text = JSON.stringify(parts);
    return text.length > 300 ? createHash('sha256').update(text).digest('base64') : text;
  }
}

function conditionReason(raw: Json): string {
  return typeof raw.Condition === 'string' ? `condition ${JSON.stringify(raw.Condition)}` : 'the condition of a nested stack';
}

// CloudFormation trims each member of a list that is given as one text.
function trimmed(list: Value | undefined): Value | undefined {
  return Array.isArray(list) ? list.map((item) => typeof item === 'string' ? item.trim() : item) : list;
}
