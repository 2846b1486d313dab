import { CfnResource, PolicyValidationPluginReport, Stack } from 'aws-cdk-lib';
// not from the index of cdk-nag: it loads all of its own rules, at every synthesis of every app.
import { NagPack, NagPackProps } from 'cdk-nag/lib/nag-pack';
import { NagMessageLevel, NagRuleCompliance } from 'cdk-nag/lib/nag-rules';
import { IConstruct } from 'constructs';
import { checkStacks, ConstructFinding, isAcknowledged } from './check-stacks';
import { qualifiedId } from './check-templates';
import { Rule } from './rule';

/**
 * The rules of `RULES.md`, from EFA interfaces to Bedrock policies, as a pack of cdk-nag, for those who review their apps with cdk-nag already.
 *
 * A rule is acknowledged as cdk-nag does it: `Validations.of(scope).acknowledge({ id: 'InferenceRules-RuleId', reason: '…' })`, and one place
 * of several by `InferenceRules-RuleId[property]` as the report gives it. An acknowledgement of `InferenceRules::RuleId`, which constructs
 * of this library and `InferenceRulesPlugin` take, counts here too.
 *
 * As in every pack, a warning fails the synthesis too; use `InferenceRulesPlugin` where it should not, and where you want to know
 * which rules could not be checked: a pack has no way to say so.
 *
 * @example
 * Validations.of(app).addPlugins(new InferenceChecks(app));
 */
export class InferenceChecks extends NagPack {
  /** Name of the pack in the report. */
  public readonly name: string = 'InferenceRules';

  private findings = new Map<IConstruct, ConstructFinding[]>();

  /**
   * @param scope the app.
   * @param props options of every pack.
   */
  constructor(scope?: IConstruct, props?: NagPackProps) {
    super(scope, props);
    this.packName = 'InferenceRules';
  }

  /**
   * Checks all stacks below a construct as one set.
   *
   * @param scope the app, a stage or a stack.
   */
  public validateScope(scope: IConstruct): PolicyValidationPluginReport {
    // a pack looks at one resource at a time, and these rules at all of them: they run first, and are reported resource by resource.
    this.findings = new Map();
    for (const finding of checkStacks(scope.node.findAll().filter(Stack.isStack))) {
      this.findings.set(finding.construct, [...this.findings.get(finding.construct) ?? [], finding]);
    }
    return super.validateScope(scope);
  }

  protected checkResource(node: CfnResource): void {
    const ofRule = new Map<Rule, string[]>();
    for (const { finding: { rule, property } } of this.findings.get(node) ?? []) {
      ofRule.set(rule, [...ofRule.get(rule) ?? [], property]);
    }
    for (const [rule, properties] of ofRule) {
      const places = [...new Set(properties)].filter((property) => !isAcknowledged(node, qualifiedId(rule), packId(rule), `${packId(rule)}[${property}]`));
      if (places.length === 0) {
        continue;
      }
      this.applyRule({
        ruleSuffixOverride: rule.id,
        info: `${rule.title}. To mend it, ${rule.mend}.`,
        explanation: `${rule.why}.`,
        level: rule.severity === 'error' ? NagMessageLevel.ERROR : NagMessageLevel.WARN,
        node,
        // one place of several is told apart by its property, as cdk-nag tells apart the actions of a policy.
        rule: () => properties.length === 1 ? NagRuleCompliance.NON_COMPLIANT : places,
      });
    }
  }
}

/** Id of a rule in the report of cdk-nag. */
function packId(rule: Rule): string {
  return `InferenceRules-${rule.id}`;
}
