import { CfnResource, PolicyValidationPluginReport, Stack } from 'aws-cdk-lib';
// not from the index of cdk-nag: it loads all of its own rules, at every synthesis of every app.
import { NagPack, NagPackProps } from 'cdk-nag/lib/nag-pack';
import { NagMessageLevel, NagRuleCompliance } from 'cdk-nag/lib/nag-rules';
import { IConstruct } from 'constructs';
import { checkStacks, ConstructFinding } from './check-stacks';

/**
 * The rules of EC2, EFA and Capacity Blocks as a pack of cdk-nag, for those who review their apps with cdk-nag already.
 *
 * A rule is acknowledged as cdk-nag does it: `Validations.of(scope).acknowledge({ id: 'InferenceRules-RuleId', reason: '…' })`.
 * As in every pack, a warning fails the synthesis too; use `InferenceRulesPlugin` where it should not.
 *
 * @example
 * Validations.of(app).addPlugins(new InferenceChecks(app));
 */
export class InferenceChecks extends NagPack {
  /** Name of the pack in the report. */
  public readonly name: string = 'InferenceRules';

  private findings: ConstructFinding[] = [];

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
    this.findings = checkStacks(scope.node.findAll().filter(Stack.isStack));
    return super.validateScope(scope);
  }

  protected checkResource(node: CfnResource): void {
    const rules = new Set(this.findings.filter(({ construct }) => construct === node).map(({ finding }) => finding.rule));
    for (const rule of rules) {
      this.applyRule({
        ruleSuffixOverride: rule.id,
        info: `${rule.title}. To mend it, ${rule.mend}.`,
        explanation: `${rule.why}.`,
        level: rule.severity === 'error' ? NagMessageLevel.ERROR : NagMessageLevel.WARN,
        node,
        rule: () => NagRuleCompliance.NON_COMPLIANT,
      });
    }
  }
}
