import { Annotations, Stack, Stage } from 'aws-cdk-lib';
import { IConstruct } from 'constructs';
import { NESTED_STACK_UNSEEN, qualifiedId, TEMPLATE_MALFORMED, TEMPLATE_UNEXPANDED } from './acknowledgement';
import { checkStacks, ownerOf } from './check-stacks';
import { Finding } from './check-templates';
import { uncheckedText, UNEXPANDED_MEND, unexpandedText, UNSEEN_MEND, unseenText } from './told-texts';
import { Problems } from '../problems';

/**
 * The rules of `RULES.md`, from EFA interfaces to Bedrock policies, applied to the stacks of an app before their templates are written.
 */
export class InferenceRules {
  /**
   * Checks the stack of a construct and its nested stacks at every synthesis. Constructs of this library call it of themselves; call it for a stack
   * that is written by hand. A second call for the same stack does nothing.
   *
   * A broken rule of severity error fails the synthesis, all of them at once. A broken rule of severity warning is shown as a warning
   * of the construct, and a rule that could not be checked, since a value is not known before deployment, once as an information.
   * All are silenced by `Validations.of(scope).acknowledge({ id: 'InferenceRules::RuleId', reason: '…' })`.
   *
   * @param scope a construct of the stack.
   */
  public static checkOnSynth(scope: IConstruct): void {
    const stack = Stack.of(scope);
    const root = Stage.of(stack) ?? stack;
    const { stacks } = checksOf(root);
    if (!stacks.has(stack)) {
      stacks.set(stack, []);
      stack.node.addValidation({ validate: () => stacks.get(stack) ?? [] });
    }
  }

  private constructor() {}
}

/** Messages of each checked stack of an app or stage, renewed at every synthesis. */
interface Checks {
  readonly stacks: Map<Stack, string[]>;
}

// a registered symbol: two copies of this library in one app then share one list, and check each stack once.
const CHECKS = Symbol.for('cdk-disaggregated-inference.InferenceRules');

function checksOf(root: IConstruct & { [CHECKS]?: Checks }): Checks {
  if (!root[CHECKS]) {
    const checks: Checks = { stacks: new Map() };
    Object.defineProperty(root, CHECKS, { value: checks });
    // validation goes from the root down: here all stacks are checked as one set, since references go from stack to stack;
    // each stack then reports what is its own.
    root.node.addValidation({
      validate: () => {
        renew(checks.stacks);
        return [];
      },
    });
  }
  return root[CHECKS] as Checks;
}

function renew(messages: Map<Stack, string[]>): void {
  const stacks = [...messages.keys()];
  for (const stack of stacks) {
    messages.set(stack, []);
  }
  const { result, constructs } = checkStacks(stacks);
  const { findings, unchecked, unseen, unexpanded, problems } = constructs.withoutAcknowledged(result);
  const refuse = (construct: IConstruct, message: string) => messages.get(ownerOf(Stack.of(construct), stacks) as Stack)?.push(message);
  for (const { stack, logicalId, path, message, mend } of problems) {
    const construct = constructs.of({ stack, logicalId });
    refuse(construct, Problems.format([{ rule: qualifiedId(TEMPLATE_MALFORMED), path: construct.node.path, message: `${path}: ${message}`, mend }]));
  }
  for (const finding of findings) {
    const construct = constructs.of(finding.resource);
    if (finding.rule.severity === 'error') {
      refuse(construct, messageOf(construct, finding));
    } else {
      Annotations.of(construct).addWarningV2(qualifiedId(finding.rule.id), messageOf(construct, finding));
    }
  }
  for (const { rule, places } of unchecked) {
    Annotations.of(constructs.of(places[0].resource)).addInfoV2(qualifiedId(rule.id), uncheckedText(rule, places));
  }
  if (unexpanded.length > 0) {
    Annotations.of(constructs.of(unexpanded[0])).addInfoV2(qualifiedId(TEMPLATE_UNEXPANDED), `${unexpandedText(unexpanded)} (${UNEXPANDED_MEND})`);
  }
  if (unseen.length > 0) {
    Annotations.of(constructs.of(unseen[0])).addInfoV2(qualifiedId(NESTED_STACK_UNSEEN), `${unseenText(unseen.length)} (${UNSEEN_MEND})`);
  }
}

function messageOf(construct: IConstruct, { rule, property, value, message }: Finding): string {
  return Problems.format([{ rule: qualifiedId(rule.id), path: construct.node.path, value, message: `${property}: ${message}`, mend: rule.mend }]);
}
