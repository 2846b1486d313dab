import { CfnElement, Stack, Validations } from 'aws-cdk-lib';
import { IConstruct } from 'constructs';
import { TemplatePlace, withoutAcknowledged } from './acknowledgement';
import { CheckResult } from './check-templates';

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
  public of({ stack: name, logicalId }: TemplatePlace): IConstruct {
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
  public withoutAcknowledged(result: CheckResult): CheckResult {
    return withoutAcknowledged(result, (place) => this.of(place).node.scopes.flatMap((scope) => scope.node.metadata
      .flatMap(({ type, data }) => type === Validations.ACKNOWLEDGED_RULES_METADATA_KEY ? Object.keys(data ?? {}) : [])));
  }
}

// by logical id, not by the "aws:cdk:path" of the template: path metadata may be switched off.
function elementsOf(stack: Stack): Map<string, IConstruct> {
  return new Map(stack.node.findAll()
    .filter((child): child is CfnElement => CfnElement.isCfnElement(child) && child.stack === stack)
    .map((element) => [stack.resolve(element.logicalId) as string, element]));
}
