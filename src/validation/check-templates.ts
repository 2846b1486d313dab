import { Found, NotChecked, Rule } from './rule';
import { RULES } from './rules';
import { TemplateGraph, TemplateInput } from './template-graph';

/** A rule that is broken at one place. */
export interface Finding extends Found {
  readonly rule: Rule;
}

/** A rule that could not be checked everywhere, once a rule. */
export interface Unchecked {
  readonly rule: Rule;
  /** Every place of it, at least one. */
  readonly places: readonly NotChecked[];
}

/** What the rules say about a set of templates. */
export interface CheckResult {
  readonly findings: readonly Finding[];
  readonly unchecked: readonly Unchecked[];
}

/** Acknowledgement id of a rule, as `Validations.of(scope).acknowledge` takes it. */
export function qualifiedId(rule: Rule): string {
  return `InferenceRules::${rule.id}`;
}

/**
 * Checks CloudFormation templates that are deployed together. Imports nothing of the CDK, so that it runs on template files alone.
 *
 * @param templates the templates; references between them are followed.
 */
export function checkTemplates(templates: readonly TemplateInput[]): CheckResult {
  const graph = new TemplateGraph(templates);
  const findings: Finding[] = [];
  const unchecked: Unchecked[] = [];
  for (const rule of RULES) {
    const places: NotChecked[] = [];
    for (const outcome of rule.check(graph)) {
      if (outcome.kind === 'found') {
        findings.push({ ...outcome, rule });
      } else {
        places.push(outcome);
      }
    }
    if (places.length > 0) {
      unchecked.push({ rule, places });
    }
  }
  return { findings, unchecked };
}
