import type { UnexpandedTemplate } from './check-templates';
import { NotChecked, Rule } from './rule';

/** Which rule could not be checked and why, in one sentence without a full stop. */
export function uncheckedText({ title }: Rule, places: readonly Pick<NotChecked, 'reason'>[]): string {
  const reasons = [...new Set(places.map(({ reason }) => reason))].join('; ');
  return `could not be checked at ${places.length} place${places.length === 1 ? '' : 's'} (${reasons}): ${title}`;
}

/** What is said of nested stacks whose templates are not given, in one sentence without a full stop. */
export function unseenText(count: number): string {
  return count === 1 ? 'no rule looks into a nested stack whose template is not given'
    : `no rule looks into ${count} nested stacks whose templates are not given`;
}

/** What is said of templates that macros and transforms make more of, in one sentence without a full stop. */
export function unexpandedText(templates: readonly UnexpandedTemplate[]): string {
  const makers = [...new Set(templates.flatMap((template) => template.makers))].map((name) => JSON.stringify(name));
  return `no rule looks at what ${makers.join(', ')} ${makers.length === 1 ? 'makes' : 'make'} of ${templates.length === 1 ? 'the template' : `${templates.length} templates`}`;
}

/** What to do about it. */
export const UNEXPANDED_MEND = 'check what CloudFormation makes of it: aws cloudformation get-template --template-stage Processed';

/** What to do about it. */
export const UNSEEN_MEND = 'check it together with this one: npx cdk-disaggregated-inference check parent.json nested.json';
