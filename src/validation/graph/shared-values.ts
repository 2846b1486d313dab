import { Resolver } from './resolver';
import { Scope, environmentOf } from './scope';
import { asObject, isObject } from './template-json';
import { Value } from './value';

/** A value that one stack leaves for others under a name. */
interface SharedValue {
  readonly region?: string;
  readonly account?: string;
  readonly read: () => Value | undefined;
}

/** What the stacks of a set leave for each other by name, each within its account and region. */
export class SharedValues {
  private exports?: Map<string, SharedValue[]>;
  private parameters?: Map<string, SharedValue[]>;

  public constructor(private readonly resolver: Resolver) {}

  /** The value of an export; undefined where it is not known which one is meant. */
  public exported(name: string, from: Scope): Value | undefined {
    this.exports ??= this.readExports(new Map());
    return meant(this.exports.get(name), from);
  }

  /** The value of an SSM parameter that a stack of the set writes; undefined where it is not known which one is meant. */
  public ssmParameter(name: string, from: Scope): Value | undefined {
    this.parameters ??= this.readParameters(new Map());
    return meant(this.parameters.get(name), from);
  }

  private readExports(result: Map<string, SharedValue[]>): Map<string, SharedValue[]> {
    // a name of an export that is itself imported finds no export yet.
    this.exports = result;
    for (const scope of this.resolver.scopes) {
      for (const [output, raw] of Object.entries(scope.template.outputs)) {
        const name = this.resolver.resolve(asObject(asObject(raw).Export).Name, scope);
        if (typeof name === 'string' && this.resolver.isThere(scope, asObject(raw)) !== false) {
          add(result, name, { ...environmentOf(scope), read: () => this.resolver.output(output, scope) });
        }
      }
    }
    return result;
  }

  private readParameters(result: Map<string, SharedValue[]>): Map<string, SharedValue[]> {
    this.parameters = result;
    for (const scope of this.resolver.scopes) {
      for (const [logicalId, raw] of scope.template.resources) {
        const resource = scope.resources.get(logicalId);
        const properties = asObject(raw.Properties);
        if (!resource || this.resolver.isThere(scope, raw) === false) {
          continue;
        }
        if (raw.Type === 'AWS::SSM::Parameter') {
          const name = this.resolver.resolve(properties.Name, scope);
          if (typeof name === 'string') {
            add(result, name, { ...environmentOf(scope), read: () => resource.get('Value') });
          }
        } else if (raw.Type === 'Custom::CrossRegionExportWriter' && isObject(properties.WriterProps)) {
          const region = properties.WriterProps.region;
          for (const name of Object.keys(asObject(properties.WriterProps.exports))) {
            const place = { ...environmentOf(scope), region: typeof region === 'string' ? region : undefined };
            add(result, name, { ...place, read: () => resource.get('WriterProps', 'exports', name) });
          }
        }
      }
    }
    return result;
  }
}

function add(values: Map<string, SharedValue[]>, name: string, value: SharedValue): void {
  const others = values.get(name);
  if (others) {
    others.push(value);
  } else {
    values.set(name, [value]);
  }
}

// two stacks may leave the same name in different regions or accounts; where it is not known whose is meant, nothing is.
function meant(values: readonly SharedValue[] | undefined, from: Scope): Value | undefined {
  const here = environmentOf(from);
  const agrees = (a: string | undefined, b: string | undefined) => a === undefined || b === undefined || a === b;
  const possible = (values ?? []).filter(({ region, account }) => agrees(region, here.region) && agrees(account, here.account));
  const exact = possible.filter(({ region, account }) => region !== undefined && region === here.region && account === here.account);
  const [value, ...others] = exact.length === 1 ? exact : possible;
  return value && others.length === 0 ? value.read() : undefined;
}
