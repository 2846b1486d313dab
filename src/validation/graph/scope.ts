import { Template } from './template';
import { Json } from './template-json';
import { Resource, Value } from './value';

/** A template as it is deployed, with all that is known of it. */
export interface Scope {
  readonly template: Template;
  /** Where it is deployed from; undefined for a stack of its own. */
  readonly parent?: { readonly scope: Scope; readonly logicalId: string };
  /** Every resource of the template, whatever its condition. */
  readonly resources: Map<string, Resource>;
  /** Nested stacks, by the logical id of the resource that deploys them. */
  readonly nested: Map<string, Scope>;
  /** What was resolved before: parameters, outputs, conditions and attributes of resources, by name. */
  readonly resolved: Map<string, Value | undefined | typeof BUSY>;
}

/** Stands where a value is being resolved, so that a value which needs itself is noticed. */
export const BUSY = Symbol('busy');

export const STACK_TYPE = 'AWS::CloudFormation::Stack';

/** The stack that is deployed by hand, which a nested stack belongs to. */
export function rootOf(scope: Scope): Scope {
  return scope.parent ? rootOf(scope.parent.scope) : scope;
}

/** A nested stack lies so deep at most; one that is said to lie deeper, or within itself, is taken for a stack of its own. */
const MAX_NESTED = 10;

/**
 * Every template as it is deployed, in the order of the templates.
 *
 * @param templates the set.
 * @param resourceOf makes a resource of a scope.
 */
export function scopesOf(templates: readonly Template[], resourceOf: (scope: Scope, logicalId: string, raw: Json) => Resource): Scope[] {
  const byStack = new Map(templates.map((template) => [template.input.stack, template]));
  const parentOf = ({ input: { parent } }: Template) => {
    const template = parent && byStack.get(parent.stack);
    return template?.resources.get(parent!.logicalId)?.Type === STACK_TYPE ? template : undefined;
  };
  const scopes = new Map<Template, Scope>();
  const scopeOf = (template: Template): Scope => {
    const known = scopes.get(template);
    if (known) {
      return known;
    }
    let nesting = 0;
    for (let above = parentOf(template); above && nesting <= MAX_NESTED; above = parentOf(above)) {
      nesting += 1;
    }
    const above = nesting <= MAX_NESTED ? parentOf(template) : undefined;
    const parent = above && { scope: scopeOf(above), logicalId: template.input.parent!.logicalId };
    const scope: Scope = { template, parent, resources: new Map(), nested: new Map(), resolved: new Map() };
    scopes.set(template, scope);
    parent?.scope.nested.set(parent.logicalId, scope);
    for (const [logicalId, raw] of template.resources) {
      scope.resources.set(logicalId, resourceOf(scope, logicalId, raw));
    }
    return scope;
  };
  return templates.map(scopeOf);
}

/** Region and account that a template is deployed to, as far as they are known: a nested stack is deployed with its root. */
export function environmentOf(scope: Scope): { readonly region?: string; readonly account?: string } {
  const { region, account } = rootOf(scope).template.input;
  return { region, account };
}

/**
 * Where a scope is deployed. Stacks of one region and account see the same exports, SSM parameters and zones; where these are not known,
 * only a stack and those within it do.
 */
export function keyOfPlace(scope: Scope): string {
  const { region, account } = environmentOf(scope);
  return region !== undefined && account !== undefined ? `${account} ${region}` : rootOf(scope).template.input.stack;
}
