import { CfnElement, Stack, Validations } from 'aws-cdk-lib';
import { IConstruct } from 'constructs';
import { acknowledges, NESTED_STACK_UNSEEN, TEMPLATE_MALFORMED } from './acknowledgement';
import { CheckResult } from './check-templates';
import { UNSEEN_PROPERTY } from './told-texts';

/** A resource of a template, or the whole of it. */
export interface ResourcePlace {
  /** Name of the template's stack. */
  readonly stack: string;
  readonly logicalId?: string;
}

/** The constructs that the resources of templates come from. */
export class ResourceConstructs {
  private readonly elements = new Map<Stack, ReadonlyMap<string, IConstruct>>();

  /**
   * @param stacks the stacks by the names that their templates have.
   */
  constructor(private readonly stacks: ReadonlyMap<string, Stack>) {}

  /**
   * The L1 construct of a resource; the stack where it has none.
   *
   * @param place the resource.
   */
  public of({ stack: name, logicalId }: ResourcePlace): IConstruct {
    const stack = this.stacks.get(name) as Stack;
    const elements = this.elements.get(stack) ?? elementsOf(stack);
    this.elements.set(stack, elements);
    return (logicalId === undefined ? undefined : elements.get(logicalId)) ?? stack;
  }

  /**
   * What is not acknowledged at its construct, or at one that this lies within.
   *
   * @param result what the rules say.
   */
  public withoutAcknowledged({ findings, unchecked, unseen, problems }: CheckResult): CheckResult {
    const isOpen = (place: ResourcePlace, name: string, property: string) => !isAcknowledged(this.of(place), name, property);
    return {
      findings: findings.filter(({ rule, resource, property }) => isOpen(resource, rule.id, property)),
      unchecked: unchecked
        .map(({ rule, places }) => ({ rule, places: places.filter(({ resource, property }) => isOpen(resource, rule.id, property)) }))
        .filter(({ places }) => places.length > 0),
      unseen: unseen.filter((place) => isOpen(place, NESTED_STACK_UNSEEN, UNSEEN_PROPERTY)),
      problems: problems.filter((problem) => isOpen(problem, TEMPLATE_MALFORMED, problem.path)),
    };
  }
}

function isAcknowledged(construct: IConstruct, name: string, property: string): boolean {
  return construct.node.scopes.some((scope) => scope.node.metadata.some(({ type, data }) => (
    type === Validations.ACKNOWLEDGED_RULES_METADATA_KEY && Object.keys(data ?? {}).some((id) => acknowledges(id, name, property))
  )));
}

// by logical id, not by the "aws:cdk:path" of the template: path metadata may be switched off.
function elementsOf(stack: Stack): Map<string, IConstruct> {
  return new Map(stack.node.findAll()
    .filter((child): child is CfnElement => CfnElement.isCfnElement(child) && child.stack === stack)
    .map((element) => [stack.resolve(element.logicalId) as string, element]));
}
