import { readFileSync } from 'fs';
import { dirname, join } from 'path';
import { IPolicyValidationContext, IPolicyValidationPlugin, NestedStack, PolicyValidationPluginReport, Stack } from 'aws-cdk-lib';
import { NESTED_STACK_UNSEEN, REPORT_NAME, TEMPLATE_MALFORMED, TEMPLATE_UNEXPANDED, TemplatePlace } from './acknowledgement';
import { parentOf } from './check-stacks';
import { checkTemplates } from './check-templates';
import { TemplateInput } from './graph/template-graph';
import { informationOf, problemViolationOf, unexpandedInformationOf, unseenInformationOf, violationOf, ViolationPlace } from './inference-violations';
import { ResourceConstructs } from './resource-constructs';
import { RULES } from './rules';

/**
 * The rules of `RULES.md`, from EFA interfaces to Bedrock policies, for a whole app, hand-written L1 constructs and included templates as well.
 *
 * Every finding becomes a violation with the construct's path and the mend; an error fails the synthesis. A rule is acknowledged by
 * `Validations.of(scope).acknowledge({ id: 'InferenceRules::RuleId', reason: '…' })`. A rule that could not be checked, since a value is
 * not known before deployment, says so once, as an information that never fails; so do nested stacks whose templates are not in the app.
 * One place of several is acknowledged by `InferenceRules::RuleId[property]`.
 *
 * @example
 * Validations.of(app).addPlugins(new InferenceRulesPlugin());
 */
export class InferenceRulesPlugin implements IPolicyValidationPlugin {
  /** Name of the plugin in the report, and the namespace of its rules. */
  public readonly name: string = REPORT_NAME;

  /** Ids of all rules. */
  public readonly ruleIds?: string[] = RULES.map(({ id }) => id);

  /**
   * Checks all templates of the app as one set.
   *
   * @param context the templates and the app.
   */
  public validate(context: IPolicyValidationContext): PolicyValidationPluginReport {
    const templates = templatesOf(context);
    const constructs = new ResourceConstructs(new Map(templates.map(({ input, stack }) => [input.stack, stack])));
    const { findings, unchecked, unseen, unexpanded, problems } = constructs.withoutAcknowledged(checkTemplates(templates.map(({ input }) => input)));
    return {
      success: problems.length === 0 && findings.every(({ rule }) => rule.severity !== 'error'),
      violations: [
        ...problems.map((problem) => problemViolationOf(TEMPLATE_MALFORMED, problem, placeOf(problem))),
        ...findings.map((finding) => violationOf(finding.rule.id, finding, placeOf(finding.resource))),
        ...unchecked.map(({ rule, places }) => informationOf(rule.id, rule, places.map((place) => ({ ...place, place: placeOf(place.resource) })))),
        ...unexpanded.length > 0 ? [unexpandedInformationOf(TEMPLATE_UNEXPANDED, unexpanded, placeOf(unexpanded[0]))] : [],
        ...unseen.length > 0 ? [unseenInformationOf(NESTED_STACK_UNSEEN, unseen.map(placeOf))] : [],
      ],
    };
  }
}

function templatesOf({ appConstruct, stackTemplates }: IPolicyValidationContext): { readonly input: TemplateInput; readonly stack: Stack }[] {
  const stacks = appConstruct.node.findAll().filter(Stack.isStack);
  const templates: { readonly input: TemplateInput; readonly stack: Stack }[] = [];
  // the path of its template names a stack: it is unique, and what a violation has to carry.
  const paths = new Map<Stack, string>();
  const add = (stack: Stack, path: string, place: Omit<TemplateInput, 'stack' | 'template'>) => {
    paths.set(stack, path);
    templates.push({ stack, input: { stack: path, template: JSON.parse(readFileSync(path, 'utf8')) as unknown, ...place } });
  };
  for (const { stackConstructPath, templatePath, region, accountId: account } of stackTemplates) {
    add(stacks.find(({ node }) => node.path === stackConstructPath) as Stack, templatePath, { region, account });
    // templates of nested stacks lie beside that of their parent, and the context does not list them.
    for (const nested of stacks.filter(NestedStack.isNestedStack).filter((stack) => stack.node.path.startsWith(`${stackConstructPath}/`) && !paths.has(stack))) {
      const parent = parentOf(nested, (stack) => paths.get(stack) ?? '');
      if (parent?.stack) {
        add(nested, join(dirname(templatePath), nested.templateFile), { region, account, parent });
      }
    }
  }
  return templates;
}

function placeOf({ logicalId, stack }: TemplatePlace): ViolationPlace {
  return { resourceLogicalId: logicalId, templatePath: stack };
}
