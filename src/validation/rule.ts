import { Resource, TemplateGraph, Unknown, Value, show, shownText } from './graph/template-graph';

/** An error fails the deployment or leaves the fabric unusable; a warning costs money, performance or availability. */
export type Severity = 'error' | 'warning';

/** What a rule says about one place. */
export type Outcome = Found | NotChecked;

/** Something is certainly wrong. */
export interface Found {
  readonly kind: 'found';
  readonly resource: Resource;
  /** Path of the property, such as `Properties.LaunchTemplateData.NetworkInterfaces.0`. */
  readonly property: string;
  /** The value as JSON text; undefined when something is missing. */
  readonly value?: string;
  /** What is wrong, as one sentence without a full stop. */
  readonly message: string;
}

/** The rule applies, but a value that it needs is not known before deployment. */
export interface NotChecked {
  readonly kind: 'not-checked';
  readonly resource: Resource;
  readonly property: string;
  /** Why the value is not known. */
  readonly reason: string;
}

/** One rule, as data with its check. */
export interface Rule {
  /** Stable id, in PascalCase. */
  readonly id: string;
  readonly family: string;
  readonly severity: Severity;
  /** The rule in one sentence. */
  readonly title: string;
  /** What happens when it is broken. */
  readonly why: string;
  /** What to do about it, as one sentence without a full stop. */
  readonly mend: string;
  /** Where the rule is written down, or where somebody met the failure: an address, or a file of a package as `npm:name@version path`. */
  readonly source: string;
  /** Reads the graph and nothing else. */
  check(graph: TemplateGraph): Iterable<Outcome>;
}

/**
 * @param resource the resource that is wrong.
 * @param property path below `Properties`.
 * @param value the value that is wrong; undefined when it is missing.
 * @param message what is wrong.
 */
export function found(resource: Resource, property: string, value: Value | undefined, message: string): Found {
  return { kind: 'found', resource, property: `Properties.${property}`, value: value === undefined ? undefined : show(value), message: shownText(message) };
}

/**
 * @param resource the resource that could not be checked.
 * @param property path below `Properties`.
 * @param reason why, or the unknown value itself.
 */
export function notChecked(resource: Resource, property: string, reason: Unknown | string): NotChecked {
  return { kind: 'not-checked', resource, property: `Properties.${property}`, reason: reason instanceof Unknown ? reason.reason : reason };
}
