/** Name of the plugin and of the pack in reports, and what the ids of rules begin with. */
export const REPORT_NAME = 'InferenceRules';

/** What is said of a template that CloudFormation refuses before any rule is asked. */
export const TEMPLATE_MALFORMED = 'TemplateMalformed';

/** What is said of a nested stack whose template is not given. */
export const NESTED_STACK_UNSEEN = 'NestedStackUnseen';

/** Id of a rule in the messages of constructs, in the plugin's report and in acknowledgements of both. */
export function qualifiedId(name: string): string {
  return `${REPORT_NAME}::${name}`;
}

/** Id of a rule in the report of cdk-nag, whose ids begin with the name of their pack and a hyphen. */
export function packId(name: string): string {
  return `${REPORT_NAME}-${name}`;
}

/**
 * Whether an acknowledgement is of a rule at a place. Every id that a report shows is taken everywhere: `InferenceRules::X`, `InferenceRules-X`, and with
 * the namespace that reports put before it, `InferenceRules::InferenceRules-X`. A property in brackets after it is that place alone.
 *
 * @param id as `Validations.of(scope).acknowledge` took it.
 * @param name id of the rule by itself.
 * @param property where it is broken, or could not be checked.
 */
export function acknowledges(id: string, name: string, property: string): boolean {
  const given = bareId(id);
  return given === name || given === `${name}[${property}]`;
}

/** Id of a rule without what reports put before it. */
export function bareId(id: string): string {
  // the CDK puts an id without a namespace, as those of cdk-nag are, into one of its own.
  return id.replace(/^annotation::/i, '').replace(/^InferenceRules::/, '').replace(/^InferenceRules-/, '');
}
