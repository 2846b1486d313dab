import { PolicyViolatingResource, PolicyViolation } from 'aws-cdk-lib';
import { Finding } from './check-templates';
import { NotChecked, Rule } from './rule';

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
    description: uncheckedText(places),
    severity: 'info',
    ruleMetadata: metadataOf(rule),
    violatingResources: [{ ...place, locations: [property] }],
  };
}

/** Why a rule could not be checked, in one sentence without a full stop. */
export function uncheckedText(places: readonly Pick<NotChecked, 'reason'>[]): string {
  const reasons = [...new Set(places.map(({ reason }) => reason))].join('; ');
  return `could not be checked at ${places.length} place${places.length === 1 ? '' : 's'}: ${reasons}`;
}

function metadataOf({ title, why, source }: Rule): { [key: string]: string } {
  return { title, why, source };
}
