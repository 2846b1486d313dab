import { CfnResource, PolicyValidationPluginReport, PolicyViolation, Stack } from 'aws-cdk-lib';
// not from the index of cdk-nag: it loads all of its own rules, at every synthesis of every app.
import { NagPack, NagPackProps } from 'cdk-nag/lib/nag-pack';
import { IConstruct } from 'constructs';
import { checkStacks, ConstructFinding, isAcknowledged } from './check-stacks';
import { qualifiedId } from './check-templates';
import { informationOf, violationOf } from './inference-violations';
import { Rule } from './rule';

/**
 * The rules of `RULES.md`, from EFA interfaces to Bedrock policies, as a pack of cdk-nag, for those who review their apps with cdk-nag already.
 *
 * A rule is acknowledged as cdk-nag does it: `Validations.of(scope).acknowledge({ id: 'InferenceRules-RuleId', reason: '…' })`, and one place
 * of several by `InferenceRules-RuleId[property]` as the report gives it. An acknowledgement of `InferenceRules::RuleId`, which constructs
 * of this library and `InferenceRulesPlugin` take, counts here too.
 *
 * As in every pack, a warning fails the synthesis too; use `InferenceRulesPlugin` where it should not. A rule that could not be checked,
 * since a value is not known before deployment, says so once, as an information that never fails.
 *
 * @example
 * Validations.of(app).addPlugins(new InferenceChecks(app));
 */
export class InferenceChecks extends NagPack {
  /** Name of the pack in the report. */
  public readonly name: string = 'InferenceRules';

  private readonly explains: boolean;

  /**
   * @param scope the app.
   * @param props options of every pack.
   */
  constructor(scope?: IConstruct, props?: NagPackProps) {
    super(scope, props);
    this.packName = 'InferenceRules';
    this.explains = props?.verbose ?? false;
  }

  /**
   * Checks all stacks below a construct as one set.
   *
   * @param scope the app, a stage or a stack.
   */
  public validateScope(scope: IConstruct): PolicyValidationPluginReport {
    const { findings, unchecked } = checkStacks(scope.node.findAll().filter(Stack.isStack));
    const violations = findings.flatMap((finding) => this.violation(finding, findings));
    const informations = unchecked.flatMap(({ rule, places }) => {
      const open = places.filter(({ construct }) => !isAcknowledged(construct, qualifiedId(rule), packId(rule)));
      return open.length === 0 ? []
        : [informationOf(packId(rule), rule, open.map((place) => ({ ...place, place: { constructPath: place.construct.node.path } })))];
    });
    return { success: violations.length === 0, violations: [...violations, ...informations] };
  }

  /**
   * Does nothing: a pack looks at one resource at a time, and these rules at all of them.
   *
   * @param _node the resource.
   */
  protected checkResource(_node: CfnResource): void {}

  private violation({ construct, finding }: ConstructFinding, all: readonly ConstructFinding[]): PolicyViolation[] {
    const { rule, property } = finding;
    // one place of several is told apart by its property, as cdk-nag tells apart the actions of a policy.
    const isOneOfSeveral = all.some((other) => other.construct === construct && other.finding.rule === rule && other.finding.property !== property);
    const place = `${packId(rule)}[${property}]`;
    if (isAcknowledged(construct, qualifiedId(rule), packId(rule), place)) {
      return [];
    }
    const violation = violationOf(isOneOfSeveral ? place : packId(rule), finding, { constructPath: construct.node.path });
    return [this.explains ? { ...violation, description: `${violation.description}. ${rule.why}.` } : violation];
  }
}

/** Id of a rule in the report of cdk-nag. */
function packId(rule: Rule): string {
  return `InferenceRules-${rule.id}`;
}
