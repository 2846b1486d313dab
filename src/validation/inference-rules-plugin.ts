import { readFileSync } from 'fs';
import { dirname, join } from 'path';
import {
  IPolicyValidationContext, IPolicyValidationPlugin, NestedStack, PolicyValidationPluginReport, PolicyViolation,
} from 'aws-cdk-lib';
import { parentOf } from './check-stacks';
import { checkTemplates, Unseen } from './check-templates';
import { Resource, TemplateInput } from './graph/template-graph';
import { informationOf, violationOf, ViolationPlace } from './inference-violations';
import { RULES } from './rules';

/**
 * The rules of `RULES.md`, from EFA interfaces to Bedrock policies, for a whole app, hand-written L1 constructs and included templates as well.
 *
 * Every finding becomes a violation with the construct's path and the mend; an error fails the synthesis. A rule is acknowledged by
 * `Validations.of(scope).acknowledge({ id: 'InferenceRules::RuleId', reason: '…' })`. A rule that could not be checked, since a value is
 * not known before deployment, says so once, as an information that never fails; so do nested stacks whose templates are not in the app.
 *
 * @example
 * Validations.of(app).addPlugins(new InferenceRulesPlugin());
 */
export class InferenceRulesPlugin implements IPolicyValidationPlugin {
  /** Name of the plugin in the report, and the namespace of its rules. */
  public readonly name: string = 'InferenceRules';

  /** Ids of all rules. */
  public readonly ruleIds?: string[] = RULES.map(({ id }) => id);

  /**
   * Checks all templates of the app as one set.
   *
   * @param context the templates and the app.
   */
  public validate(context: IPolicyValidationContext): PolicyValidationPluginReport {
    const result = checkTemplates(templatesOf(context));
    return {
      success: result.findings.every(({ rule }) => rule.severity !== 'error'),
      violations: [
        ...result.findings.map((finding) => violationOf(finding.rule.id, finding, placeOf(finding.resource))),
        ...result.unchecked.map(({ rule, places }) => (
          informationOf(rule.id, rule, places.map((place) => ({ ...place, place: placeOf(place.resource) }))))),
        ...result.unseen.length > 0 ? [unseenInformation(result.unseen)] : [],
      ],
    };
  }
}

function templatesOf(context: IPolicyValidationContext): TemplateInput[] {
  const nested = context.appConstruct.node.findAll().filter(NestedStack.isNestedStack);
  const templates: TemplateInput[] = [];
  // the path of its template names a stack: it is unique, and what a violation has to carry.
  const paths = new Map<string, string>();
  const add = (path: string, constructPath: string, place: Omit<TemplateInput, 'stack' | 'template'>) => {
    paths.set(constructPath, path);
    templates.push({ stack: path, template: JSON.parse(readFileSync(path, 'utf8')) as unknown, ...place });
  };
  for (const { stackConstructPath, templatePath, region, accountId: account } of context.stackTemplates) {
    add(templatePath, stackConstructPath, { region, account });
    // templates of nested stacks lie beside that of their parent, and the context does not list them.
    for (const stack of nested.filter(({ node }) => node.path.startsWith(`${stackConstructPath}/`) && !paths.has(node.path))) {
      const parent = parentOf(stack, ({ node }) => paths.get(node.path) ?? '');
      if (parent?.stack) {
        add(join(dirname(templatePath), stack.templateFile), stack.node.path, { region, account, parent });
      }
    }
  }
  return templates;
}

function placeOf({ logicalId, stack }: Pick<Resource, 'logicalId' | 'stack'>): ViolationPlace {
  return { resourceLogicalId: logicalId, templatePath: stack };
}

function unseenInformation([first, ...others]: readonly Unseen[]): PolicyViolation {
  return {
    ruleName: 'NestedStackUnseen',
    description: `${others.length === 0 ? 'the template of a nested stack is' : `the templates of ${others.length + 1} nested stacks are`} not in the app: no rule looks in`,
    fix: 'check the template by the command "check"',
    severity: 'info',
    violatingResources: [{ ...placeOf(first), locations: ['Properties.TemplateURL'] }],
  };
}
