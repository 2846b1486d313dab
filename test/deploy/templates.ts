import { spawnSync } from 'child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'fs';
import { tmpdir } from 'os';
import { join } from 'path';
import { cx_api as cxapi } from 'aws-cdk-lib';
import { Limits } from './limits';

const ROOT = join(__dirname, '../..');

export interface Resource {
  readonly Type: string;
  readonly Properties?: Record<string, unknown>;
  readonly DependsOn?: string | string[];
}

export interface Template {
  readonly Parameters?: Record<string, { readonly Type: string; readonly Default?: string }>;
  readonly Resources: Record<string, Resource>;
  readonly Outputs?: Record<string, unknown>;
}

export interface ExampleStack {
  readonly name: string;
  readonly region: string;
  readonly template: Template;
}

/** The stacks of every folder of examples/ that is an app, each example's in the order in which they deploy. */
export function exampleStacks(): ExampleStack[] {
  const examples = readdirSync(join(ROOT, 'examples')).sort().filter((name) => existsSync(join(ROOT, 'examples', name, 'main.ts')));
  return examples.flatMap((example) => synthesize(example));
}

function synthesize(example: string): ExampleStack[] {
  const outdir = mkdtempSync(join(tmpdir(), 'deploy-test-'));
  try {
    const synth = spawnSync(process.execPath, ['--import', './projenrc/tsx.mjs', `examples/${example}/main.ts`], {
      cwd: ROOT, encoding: 'utf8', env: { ...process.env, CDK_OUTDIR: outdir },
    });
    if (synth.status !== 0) {
      throw new Error(`examples/${example} does not synthesize:\n${synth.stderr}`);
    }
    return new cxapi.CloudAssembly(outdir).stacks.map((stack) => ({
      name: stack.stackName,
      region: stack.environment.region === cxapi.UNKNOWN_REGION ? 'us-east-2' : stack.environment.region,
      template: stack.template,
    }));
  } finally {
    rmSync(outdir, { recursive: true, force: true });
  }
}

type Attribute = [logicalId: string, attribute: string];

/** A template without the resources that an emulator does not make, and what `Ref` and `Fn::GetAtt` of these say instead. */
export class Reduced {
  public readonly template: Template;
  /** The attributes that are read of what is left, each of which is an output, so that the emulator says what they are. */
  public readonly attributes: Attribute[];
  public readonly standIns: Values;

  constructor(full: Template, { removed, madeByApi, added, attributes }: Limits) {
    const typeOf = (logicalId: string) => full.Resources[logicalId].Type;
    const isKept = (logicalId: string) => !(typeOf(logicalId) in removed);
    const ids = Object.keys(full.Resources);
    const read = attributesOf(ids.filter((id) => isKept(id) || madeByApi.includes(typeOf(id))).map((id) => full.Resources[id]));
    // an ARN of nothing, where policies take no other text.
    const standIn = (id: string, name: string) => removed[typeOf(id)].reference === 'name' ? id : `arn:aws:stand-in:us-east-2:123456789012:${name}`;
    this.standIns = {
      refs: Object.fromEntries(ids.filter((id) => !isKept(id)).map((id) => [id, standIn(id, id)])),
      attributes: Object.fromEntries(read.filter(([id]) => !isKept(id)).map((attribute) => [String(attribute), standIn(attribute[0], attribute.join('/'))])),
    };
    this.attributes = read.filter(([id]) => isKept(id));
    const resources = Object.fromEntries(ids.filter(isKept).map((id) => [id, {
      ...full.Resources[id],
      Properties: { ...added[typeOf(id)]?.(id), ...full.Resources[id].Properties },
      DependsOn: [full.Resources[id].DependsOn ?? []].flat().filter(isKept),
    }]));
    const outputs = this.attributes.map((attribute, index) => [outputName(index), { Value: { 'Fn::GetAtt': attribute } }])
      .filter((_, index) => !(`${typeOf(this.attributes[index][0])}.${this.attributes[index][1]}` in attributes));
    this.template = {
      ...full,
      // the values of SSM parameters come from AWS or from `cdk bootstrap`.
      Parameters: Object.fromEntries(Object.entries(full.Parameters ?? {}).map(([name, { Type, Default }]) =>
        [name, Type.startsWith('AWS::SSM::Parameter::Value<') ? { Type: 'String', Default: ssmValue(Type) } : { Type, Default }])),
      Resources: this.withStandIns(resources),
      Outputs: Object.fromEntries(outputs),
    };
  }

  private withStandIns<T>(value: T): T {
    return walk(value, (key, argument) => {
      switch (key) {
        case 'Ref': return this.standIns.refs[argument as string];
        case 'Fn::GetAtt': return this.standIns.attributes[String(argument)];
        default: return undefined;
      }
    }) as T;
  }
}

function ssmValue(type: string): string {
  return type.includes('AWS::EC2::Image::Id') ? 'ami-0123456789abcdef0' : '30';
}

export function outputName(index: number): string {
  return `Attribute${index}`;
}

function attributesOf(resources: Resource[]): Attribute[] {
  const found = new Map<string, Attribute>();
  walk(resources, (key, argument) => {
    if (key === 'Fn::GetAtt') {
      found.set(String(argument), argument as Attribute);
    }
    return undefined;
  });
  return [...found.values()];
}

/** A copy in which every object of one key is what `replace` makes of it, unless that is undefined. */
function walk(value: unknown, replace: (key: string, argument: unknown) => unknown): unknown {
  if (Array.isArray(value)) {
    return value.map((item) => walk(item, replace));
  }
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  const entries = Object.entries(value);
  const replaced = entries.length === 1 ? replace(...entries[0]) : undefined;
  return replaced ?? Object.fromEntries(entries.map(([key, item]) => [key, walk(item, replace)]));
}

/** What the references of a template are in one emulator. */
export interface Values {
  /** By name: parameters, pseudo parameters and resources. */
  readonly refs: Record<string, string>;
  /** By `LogicalId,Attribute`. */
  readonly attributes: Record<string, string>;
}

/** A value of a template as a service gets it. */
export function resolve(value: unknown, values: Values): any {
  const known = (source: Record<string, string>, name: string) => {
    if (source[name] === undefined) {
      throw new Error(`nothing says what ${name} is`);
    }
    return source[name];
  };
  return walk(value, (key, argument) => {
    if (key === 'Ref') {
      return known(values.refs, argument as string);
    }
    if (key === 'Fn::GetAtt') {
      return known(values.attributes, String(argument));
    }
    if (key === 'Fn::Sub') {
      return (argument as string).replace(/\$\{([^}]+)\}/g, (_, name: string) => known(values.refs, name));
    }
    if (!key.startsWith('Fn::')) {
      return undefined;
    }
    const inner = resolve(argument, values);
    switch (key) {
      case 'Fn::Base64': return Buffer.from(inner).toString('base64');
      case 'Fn::Join': return inner[1].join(inner[0]);
      case 'Fn::Split': return inner[1].split(inner[0]);
      case 'Fn::Select': return inner[1][Number(inner[0])];
      default: throw new Error(`${key} is not known here: add it to ${__filename}`);
    }
  });
}
