import { Resolver } from './resolver';
import { STACK_TYPE } from './scope';
import { Template } from './template';
import { Link, Resource, Value, linked, same } from './value';
import { World } from './world';

// what rules are written against: they import all of it from here.
export type { TemplateInput } from './template';
export type { UnknownFacts, Value } from './value';
export {
  HOLE, Link, Resource, Unknown, asInteger, asList, distinctValues, isFalse, isOptional, isTrue, linked, same, several, show, shownText,
  ssmParameterOf, textParts, valueAt,
} from './value';

/**
 * The one thing that rules read: resources of one or several CloudFormation templates, their references resolved as far as
 * they are certain. What is not certain is an `Unknown`, never a guess. Plain data in, nothing of the CDK.
 *
 * References are followed through exports, nested stacks, SSM parameters and the CDK's references between regions. A resource whose
 * condition does not hold is not there; one whose condition is not known is there, and all of its values are unknown.
 */
export class TemplateGraph {
  /** Every resource, in the order of the templates. */
  readonly resources: readonly Resource[];

  /** Nested stacks whose templates are not in the set. */
  readonly unseenStacks: readonly Resource[];

  /** True when a macro, a loop or a nested stack adds resources that are not seen here, so that nothing can be said to be missing. */
  readonly hasUnseenResources: boolean;

  private readonly referredTo = new Set<Resource>();
  private readonly references = new Map<string, Map<Resource | undefined, Resource[]>>();
  private readonly byType = new Map<string, Resource[]>();

  /**
   * @param templates templates that are deployed together.
   * @param world what their parameters are taken to be.
   */
  public constructor(templates: readonly Template[], world: World) {
    const resolver = new Resolver(templates, world);
    const unseenStacks: Resource[] = [];
    const resources: Resource[] = [];
    for (const scope of resolver.scopes) {
      for (const [logicalId, raw] of scope.template.resources) {
        const resource = scope.resources.get(logicalId) as Resource;
        if (resolver.isThere(scope, raw) === false) {
          continue;
        }
        resources.push(resource);
        if (scope.template.references.has(logicalId)) {
          this.referredTo.add(resource);
        }
        if (resource.type === STACK_TYPE && !scope.nested.has(logicalId)) {
          unseenStacks.push(resource);
        }
        const sameType = this.byType.get(resource.type);
        if (sameType) {
          sameType.push(resource);
        } else {
          this.byType.set(resource.type, [resource]);
        }
      }
    }
    this.resources = resources;
    this.unseenStacks = unseenStacks;
    this.hasUnseenResources = unseenStacks.length > 0 || templates.some(({ hasUnseenResources }) => hasUnseenResources);
  }

  /** Resources of a type, such as `AWS::EC2::LaunchTemplate`, in the order of the templates. */
  public ofType(type: string): readonly Resource[] {
    return this.byType.get(type) ?? [];
  }

  /**
   * The resource of a type that has a name where another one is, which refers to it by that name.
   *
   * @param type the type.
   * @param path path of its name below `Properties`.
   * @param name the name.
   * @param from the resource that refers to it: a name means something else in each account and region.
   */
  public byName(type: string, path: readonly string[], name: Value | undefined, from: Resource): Resource | undefined {
    return name === undefined ? undefined
      : this.ofType(type).find((resource) => resource.place === from.place && sameName(resource.get(...path), name));
  }

  /**
   * Resources of a type by what one of their properties refers to. Those whose property is anything else, or nothing, are under undefined.
   *
   * @param type the type.
   * @param property name of the property.
   * @param targetType type of what is referred to.
   */
  public byReference(type: string, property: string, targetType: string): ReadonlyMap<Resource | undefined, readonly Resource[]> {
    const key = `${type} ${property} ${targetType}`;
    let groups = this.references.get(key);
    if (!groups) {
      groups = new Map();
      for (const resource of this.ofType(type)) {
        const target = linked(resource.get(property), targetType);
        const group = groups.get(target);
        if (group) {
          group.push(resource);
        } else {
          groups.set(target, [resource]);
        }
      }
      this.references.set(key, groups);
    }
    return groups;
  }

  /** Whether anything in the template of a resource refers to it, in a value that is known or not. */
  public isReferredTo(resource: Resource): boolean {
    return this.referredTo.has(resource);
  }
}

// names that are known in part are equal where all of their pieces are.
function sameName(a: Value | undefined, b: Value): boolean {
  return a !== undefined && a !== null && !(a instanceof Link) && same(a, b) === true;
}
