import { CheckResult } from './check-templates';

/** Name of the plugin and of the pack in reports, and what the ids of rules begin with. */
export const REPORT_NAME = 'InferenceRules';

/** What is said of a template that CloudFormation refuses before any rule is asked. */
export const TEMPLATE_MALFORMED = 'TemplateMalformed';

/** What is said of a nested stack whose template is not given. */
export const NESTED_STACK_UNSEEN = 'NestedStackUnseen';

/** What is said of a template that a macro or a transform makes more of. */
export const TEMPLATE_UNEXPANDED = 'TemplateUnexpanded';

/** Where a nested stack names its template. */
export const UNSEEN_PROPERTY = 'Properties.TemplateURL';

/** A resource of a template, or the whole of it. */
export interface TemplatePlace {
  /** Name of the template's stack. */
  readonly stack: string;
  readonly logicalId?: string;
  /** Path of its construct, where the template has it. */
  readonly constructPath?: string;
}

/** Id of a rule in the messages of constructs, in the plugin's report and in acknowledgements of both. */
export function qualifiedId(name: string): string {
  return `${REPORT_NAME}::${name}`;
}

/** Id of a rule in the report of cdk-nag, whose ids begin with the name of their pack and a hyphen. */
export function packId(name: string): string {
  return `${REPORT_NAME}-${name}`;
}

/** What an id of a report names: a rule by its own id, at one place or at all. */
export interface ReportedId {
  readonly name: string;
  /** Path of the property that alone is meant, such as `Properties.LaunchTemplateData.InstanceType`. */
  readonly property?: string;
}

/**
 * Reads an id of a report. Every one is taken everywhere: `X`, `InferenceRules::X`, `InferenceRules-X`, and with the namespace that reports put before it,
 * `InferenceRules::InferenceRules-X`. A property in brackets after it is that place alone.
 *
 * @param id as `Validations.of(scope).acknowledge` or the command line took it.
 */
export function parseReportedId(id: string): ReportedId {
  // the CDK puts an id without a namespace, as those of cdk-nag are, into one of its own.
  const bare = [/^annotation::/i, new RegExp(`^${REPORT_NAME}::`), new RegExp(`^${REPORT_NAME}-`)].reduce((rest, prefix) => rest.replace(prefix, ''), id);
  const [, name, property] = /^([^[]*)\[(.*)\]$/s.exec(bare) ?? [];
  return name === undefined ? { name: bare } : { name, property };
}

/**
 * What is not acknowledged.
 *
 * @param result what the rules say.
 * @param acknowledged ids that are acknowledged at a place, or at something that this lies within.
 */
export function withoutAcknowledged(result: CheckResult, acknowledged: (place: TemplatePlace) => Iterable<string>): CheckResult {
  const ids = new Map<string, ReportedId[]>();
  const isOpen = (place: TemplatePlace, name: string, property: string) => {
    const key = JSON.stringify([place.stack, place.logicalId]);
    const ofPlace = ids.get(key) ?? [...acknowledged(place)].map(parseReportedId);
    ids.set(key, ofPlace);
    return !ofPlace.some((id) => id.name === name && (id.property ?? property) === property);
  };
  return {
    findings: result.findings.filter(({ rule, resource, property }) => isOpen(resource, rule.id, property)),
    unchecked: result.unchecked
      .map(({ rule, places }) => ({ rule, places: places.filter(({ resource, property }) => isOpen(resource, rule.id, property)) }))
      .filter(({ places }) => places.length > 0),
    unseen: result.unseen.filter((resource) => isOpen(resource, NESTED_STACK_UNSEEN, UNSEEN_PROPERTY)),
    unexpanded: result.unexpanded.filter((template) => isOpen(template, TEMPLATE_UNEXPANDED, 'Transform')),
    problems: result.problems.filter((problem) => isOpen(problem, TEMPLATE_MALFORMED, problem.path)),
  };
}
