import { Annotations, Stack, Stage } from 'aws-cdk-lib';
import { IConstruct } from 'constructs';
import { checkStacks, isAcknowledged } from './check-stacks';
import { Finding, qualifiedId } from './check-templates';
import { uncheckedText } from './inference-violations';
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
  for (const stack of messages.keys()) {
    messages.set(stack, []);
  }
  const { findings, unchecked } = checkStacks([...messages.keys()]);
  for (const { stack, construct, finding } of findings) {
    const id = qualifiedId(finding.rule);
    if (isAcknowledged(construct, id)) {
      continue;
    }
    if (finding.rule.severity === 'error') {
      messages.get(stack)?.push(messageOf(construct, finding));
    } else {
      Annotations.of(construct).addWarningV2(id, messageOf(construct, finding));
    }
  }
  for (const { rule, places } of unchecked) {
    const open = places.filter(({ construct }) => !isAcknowledged(construct, qualifiedId(rule)));
    if (open.length > 0) {
      Annotations.of(open[0].construct).addInfoV2(qualifiedId(rule), `${rule.title}: this ${uncheckedText(open)}`);
    }
  }
}

function messageOf(construct: IConstruct, { rule, property, value, message }: Finding): string {
  return Problems.format([{ rule: qualifiedId(rule), path: construct.node.path, value, message: `${property}: ${message}`, mend: rule.mend }]);
}
