import { CfnResource, PolicyValidationPluginReport, PolicyViolation, Stack } from 'aws-cdk-lib';
// not from the index of cdk-nag: it loads all of its own rules, at every synthesis of every app.
import { NagPack, NagPackProps } from 'cdk-nag/lib/nag-pack';
import { IConstruct } from 'constructs';
import { NESTED_STACK_UNSEEN, packId, REPORT_NAME, TEMPLATE_MALFORMED, TEMPLATE_UNEXPANDED, TemplatePlace } from './acknowledgement';
import { checkStacks } from './check-stacks';
import { Finding } from './check-templates';
import { informationOf, problemViolationOf, unexpandedInformationOf, unseenInformationOf, violationOf, ViolationPlace } from './inference-violations';

/**
 * The rules of `RULES.md`, from EFA interfaces to Bedrock policies, as a pack of cdk-nag, for those who review their apps with cdk-nag already.
 *
 * A rule is acknowledged as cdk-nag does it: `Validations.of(scope).acknowledge({ id: 'InferenceRules-RuleId', reason: '…' })`, and one place
 * of several by `InferenceRules-RuleId[property]` as the report gives it. Constructs of this library, `InferenceRulesPlugin` and the command
 * `check` take the same ids, and this pack theirs: `InferenceRules::RuleId`.
 *
 * As in every pack, a warning fails the synthesis too; use `InferenceRulesPlugin` where it should not. A rule that could not be checked,
 * since a value is not known before deployment, says so once, as an information that never fails.
 *
 * @example
 * Validations.of(app).addPlugins(new InferenceChecks(app));
 */
export class InferenceChecks extends NagPack {
  /** Name of the pack in the report. */
  public readonly name: string = REPORT_NAME;

  private readonly explains: boolean;

  /**
   * @param scope the app.
   * @param props options of every pack.
   */
  constructor(scope?: IConstruct, props?: NagPackProps) {
    super(scope, props);
    this.packName = REPORT_NAME;
    this.explains = props?.verbose ?? false;
  }

  /**
   * Checks all stacks below a construct as one set.
   *
   * @param scope the app, a stage or a stack.
   */
  public validateScope(scope: IConstruct): PolicyValidationPluginReport {
    const { result, constructs } = checkStacks(scope.node.findAll().filter(Stack.isStack));
    const { findings, unchecked, unseen, unexpanded, problems } = constructs.withoutAcknowledged(result);
    const placeOf = (place: TemplatePlace) => ({ constructPath: constructs.of(place).node.path });
    const violations = [
      ...problems.map((problem) => problemViolationOf(packId(TEMPLATE_MALFORMED), problem, placeOf(problem))),
      ...findings.map((finding) => this.violation(finding, result.findings, placeOf(finding.resource))),
    ];
    const informations = [
      ...unchecked.map(({ rule, places }) => (
        informationOf(packId(rule.id), rule, places.map((place) => ({ ...place, place: placeOf(place.resource) }))))),
      ...unexpanded.length > 0 ? [unexpandedInformationOf(packId(TEMPLATE_UNEXPANDED), unexpanded, placeOf(unexpanded[0]))] : [],
      ...unseen.length > 0 ? [unseenInformationOf(packId(NESTED_STACK_UNSEEN), unseen.map(placeOf))] : [],
    ];
    return { success: violations.length === 0, violations: [...violations, ...informations] };
  }

  /**
   * Does nothing: a pack looks at one resource at a time, and these rules at all of them.
   *
   * @param _node the resource.
   */
  protected checkResource(_node: CfnResource): void {}

  private violation(finding: Finding, all: readonly Finding[], place: ViolationPlace): PolicyViolation {
    const { rule, resource, property } = finding;
    // one place of several is told apart by its property, as cdk-nag tells apart the actions of a policy.
    const isOneOfSeveral = all.some((other) => other.resource === resource && other.rule === rule && other.property !== property);
    const violation = violationOf(isOneOfSeveral ? `${packId(rule.id)}[${property}]` : packId(rule.id), finding, place);
    return this.explains ? { ...violation, description: `${violation.description}. ${rule.why}.` } : violation;
  }
}
