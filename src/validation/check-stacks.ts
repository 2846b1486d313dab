import { CfnElement, Stack, Token } from 'aws-cdk-lib';
import { IConstruct } from 'constructs';
import { checkTemplates, Finding } from './check-templates';
import { TemplateInput } from './template-graph';

/** A finding, at the construct that it is about. */
export interface ConstructFinding {
  readonly stack: Stack;
  /** The L1 construct; the stack where the resource has none. */
  readonly construct: IConstruct;
  readonly finding: Finding;
}

/**
 * Checks stacks whose templates are not written yet. References between them must be resolved: at validation they are.
 *
 * @param stacks the stacks, checked as one set.
 */
export function checkStacks(stacks: readonly Stack[]): ConstructFinding[] {
  const byPath = new Map(stacks.map((stack) => [stack.node.path, stack]));
  return checkTemplates(stacks.map(templateOf)).findings.map((finding) => {
    const stack = byPath.get(finding.resource.stack) as Stack;
    return { stack, construct: constructOf(stack, finding.resource.logicalId), finding };
  });
}

function templateOf(stack: Stack): TemplateInput {
  // validation runs before templates are written, and nothing public renders one: this is what the synthesizer itself calls.
  const template: unknown = (stack as unknown as { _toCloudFormation(): unknown })._toCloudFormation();
  return { stack: stack.node.path, template: stack.resolve(template), region: Token.isUnresolved(stack.region) ? undefined : stack.region };
}

// by logical id, not by the "aws:cdk:path" of the template: path metadata may be switched off.
function constructOf(stack: Stack, logicalId: string): IConstruct {
  return stack.node.findAll().find((child) => (
    CfnElement.isCfnElement(child) && child.stack === stack && stack.resolve(child.logicalId) === logicalId
  )) ?? stack;
}
