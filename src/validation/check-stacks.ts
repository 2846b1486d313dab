import { CfnElement, NestedStack, Stack, Token, Validations } from 'aws-cdk-lib';
import { IConstruct } from 'constructs';
import { checkTemplates, Finding } from './check-templates';
import { Resource, TemplateInput } from './graph/template-graph';
import { Rule } from './rule';

/** Where something is in an app. */
export interface ConstructPlace {
  /** The stack that was given; of a nested stack that was not, the one that it is deployed with. */
  readonly stack: Stack;
  /** The L1 construct; the stack where the resource has none. */
  readonly construct: IConstruct;
}

/** A finding, at the construct that it is about. */
export interface ConstructFinding extends ConstructPlace {
  readonly finding: Finding;
}

/** A rule that could not be checked everywhere, with the constructs where. */
export interface ConstructUnchecked {
  readonly rule: Rule;
  readonly places: readonly (ConstructPlace & { readonly property: string; readonly reason: string })[];
}

/** What the rules say about stacks. */
export interface StacksResult {
  readonly findings: readonly ConstructFinding[];
  readonly unchecked: readonly ConstructUnchecked[];
}

/**
 * Checks stacks whose templates are not written yet, with their nested stacks. References between them must be resolved: at validation they are.
 *
 * @param stacks the stacks, checked as one set.
 */
export function checkStacks(stacks: readonly Stack[]): StacksResult {
  const owners = ownersOf(stacks);
  const byPath = new Map([...owners.keys()].map((stack) => [stack.node.path, stack]));
  const constructs = new Map<Stack, Map<string, IConstruct>>();
  const placeOf = (resource: Resource): ConstructPlace => {
    const stack = byPath.get(resource.stack) as Stack;
    const ofStack = constructs.get(stack) ?? constructsOf(stack);
    constructs.set(stack, ofStack);
    return { stack: owners.get(stack) as Stack, construct: ofStack.get(resource.logicalId) ?? stack };
  };
  const { findings, unchecked } = checkTemplates([...owners.keys()].map(templateOf));
  return {
    findings: findings.map((finding) => ({ ...placeOf(finding.resource), finding })),
    unchecked: unchecked.map(({ rule, places }) => (
      { rule, places: places.map(({ resource, property, reason }) => ({ ...placeOf(resource), property, reason })) })),
  };
}

/**
 * Whether a construct, or one that it lies within, has acknowledged one of some ids.
 *
 * @param construct the construct that a finding is about.
 * @param ids ids as `Validations.of(scope).acknowledge` takes them.
 */
export function isAcknowledged(construct: IConstruct, ...ids: string[]): boolean {
  return construct.node.scopes.some((scope) => scope.node.metadata.some(({ type, data }) => (
    // the CDK puts an id without a namespace, as those of cdk-nag are, into one of its own.
    type === Validations.ACKNOWLEDGED_RULES_METADATA_KEY && ids.some((id) => Object.hasOwn(data ?? {}, id) || Object.hasOwn(data ?? {}, `Annotation::${id}`))
  )));
}

/** How a nested stack is deployed; undefined for any other stack. */
export function parentOf(stack: Stack, nameOf: (parent: Stack) => string): TemplateInput['parent'] {
  const { nestedStackParent: parent, nestedStackResource: resource } = stack;
  return parent && CfnElement.isCfnElement(resource) ? { stack: nameOf(parent), logicalId: parent.resolve(resource.logicalId) as string } : undefined;
}

/** Every stack to look at, with the given one that stands for it. */
function ownersOf(stacks: readonly Stack[]): Map<Stack, Stack> {
  const owners = new Map(stacks.map((stack) => [stack, stack]));
  for (const stack of stacks) {
    for (const nested of stack.node.findAll().filter(NestedStack.isNestedStack)) {
      let root: Stack | undefined = nested;
      while (root && !owners.has(root)) {
        root = root.nestedStackParent;
      }
      if (root) {
        owners.set(nested, owners.get(root) as Stack);
      }
    }
  }
  return owners;
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

// by logical id, not by the "aws:cdk:path" of the template: path metadata may be switched off.
function constructsOf(stack: Stack): Map<string, IConstruct> {
  return new Map(stack.node.findAll()
    .filter((child): child is CfnElement => CfnElement.isCfnElement(child) && child.stack === stack)
    .map((element) => [stack.resolve(element.logicalId) as string, element]));
}
