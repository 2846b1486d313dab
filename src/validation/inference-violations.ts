import { PolicyViolatingResource, PolicyViolation } from 'aws-cdk-lib';
import { UNSEEN_PROPERTY } from './acknowledgement';
import { Finding, TemplateProblem, UnexpandedTemplate } from './check-templates';
import { NotChecked, Rule } from './rule';
import { uncheckedText, UNEXPANDED_MEND, unexpandedText, UNSEEN_MEND, unseenText } from './told-texts';

/** Where a violation is, as the report of the CDK takes it: a construct, or a resource of a template file. */
export type ViolationPlace = Omit<PolicyViolatingResource, 'locations'>;

/**
 * A broken rule in the report of a plugin.
 *
 * @param ruleName id in the report.
 * @param finding the broken rule.
 * @param place where.
 */
export function violationOf(ruleName: string, { rule, property, value, message }: Finding, place: ViolationPlace): PolicyViolation {
  return {
    ruleName,
    description: value === undefined ? `${property}: ${message}` : `${property}: ${message}, got: ${value}`,
    fix: rule.mend,
    severity: rule.severity,
    ruleMetadata: metadataOf(rule),
    violatingResources: [{ ...place, locations: [property] }],
  };
}

/**
 * What CloudFormation refuses, as an error in the report of a plugin.
 *
 * @param ruleName id in the report.
 * @param problem what is wrong with a template.
 * @param place where.
 */
export function problemViolationOf(ruleName: string, { path, message, mend }: TemplateProblem, place: ViolationPlace): PolicyViolation {
  return { ruleName, description: `${path}: ${message}`, fix: mend, severity: 'error', violatingResources: [{ ...place, locations: [path] }] };
}

/**
 * A rule that could not be checked, as one information in the report of a plugin.
 *
 * The CDK prints a violation once for each of its resources: an information names the first of its places, and counts them.
 *
 * @param ruleName id in the report.
 * @param rule the rule.
 * @param places where, at least one, each with its place in the report.
 */
export function informationOf(ruleName: string, rule: Rule, places: readonly (Pick<NotChecked, 'property' | 'reason'> & { readonly place: ViolationPlace })[]): PolicyViolation {
  const [{ place, property }] = places;
  return {
    ruleName,
    description: uncheckedText(rule, places),
    severity: 'info',
    ruleMetadata: metadataOf(rule),
    violatingResources: [{ ...place, locations: [property] }],
  };
}

/**
 * Nested stacks that no rule looks into, as one information in the report of a plugin.
 *
 * @param ruleName id in the report.
 * @param places where, at least one.
 */
export function unseenInformationOf(ruleName: string, places: readonly ViolationPlace[]): PolicyViolation {
  return {
    ruleName,
    description: unseenText(places.length),
    fix: UNSEEN_MEND,
    severity: 'info',
    violatingResources: [{ ...places[0], locations: [UNSEEN_PROPERTY] }],
  };
}

/**
 * Templates that macros make more of, as one information in the report of a plugin.
 *
 * @param ruleName id in the report.
 * @param templates the templates, at least one.
 * @param place of the first.
 */
export function unexpandedInformationOf(ruleName: string, templates: readonly UnexpandedTemplate[], place: ViolationPlace): PolicyViolation {
  return {
    ruleName, description: unexpandedText(templates), fix: UNEXPANDED_MEND, severity: 'info', violatingResources: [{ ...place, locations: ['Transform'] }],
  };
}

function metadataOf({ title, why, source }: Rule): { [key: string]: string } {
  return { title, why, source };
}
