import { CfnElement, NestedStack, Stack, Token } from 'aws-cdk-lib';
import { checkTemplates, CheckResult } from './check-templates';
import { TemplateInput } from './graph/template-graph';
import { ResourceConstructs } from './resource-constructs';

/** What the rules say about stacks, what is acknowledged included. */
export interface StacksResult {
  readonly result: CheckResult;
  /** The constructs that it is about, which tell what is acknowledged. */
  readonly constructs: ResourceConstructs;
}

/**
 * Checks stacks whose templates are not written yet, with their nested stacks. References between them must be resolved: at validation they are.
 *
 * @param given the stacks, checked as one set.
 */
export function checkStacks(given: readonly Stack[]): StacksResult {
  const nested = given.flatMap((stack) => stack.node.findAll().filter(NestedStack.isNestedStack))
    .filter((stack) => ownerOf(stack, given) !== undefined);
  const stacks = [...new Set([...given, ...nested])];
  return {
    result: checkTemplates(stacks.map(templateOf)),
    constructs: new ResourceConstructs(new Map(stacks.map((stack) => [stack.node.path, stack]))),
  };
}

/**
 * The stack of some that a stack is deployed with: itself, or one that it is nested in.
 *
 * @param stack any stack.
 * @param given the stacks.
 */
export function ownerOf(stack: Stack, given: readonly Stack[]): Stack | undefined {
  let owner: Stack | undefined = stack;
  while (owner && !given.includes(owner)) {
    owner = owner.nestedStackParent;
  }
  return owner;
}

/** How a nested stack is deployed; undefined for any other stack. */
export function parentOf(stack: Stack, nameOf: (parent: Stack) => string): TemplateInput['parent'] {
  const { nestedStackParent: parent, nestedStackResource: resource } = stack;
  return parent && CfnElement.isCfnElement(resource) ? { stack: nameOf(parent), logicalId: parent.resolve(resource.logicalId) as string } : undefined;
}

function templateOf(stack: Stack): TemplateInput {
  // validation runs before templates are written, and nothing public renders one: this is what the synthesizer itself calls.
  const template: unknown = (stack as unknown as { _toCloudFormation(): unknown })._toCloudFormation();
  const known = (text: string) => Token.isUnresolved(text) ? undefined : text;
  return {
    stack: stack.node.path,
    template: stack.resolve(template),
    region: known(stack.region),
    account: known(stack.account),
    parent: parentOf(stack, (parent) => parent.node.path),
  };
}
