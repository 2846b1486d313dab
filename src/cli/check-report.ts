import { Problem } from '../problems';
import { TemplateFile } from './template-file';
import { TemplateSet } from './template-set';
import { acknowledges, NESTED_STACK_UNSEEN, TEMPLATE_MALFORMED } from '../validation/acknowledgement';
import { checkTemplates, TemplateProblem } from '../validation/check-templates';
import { Found, NotChecked, Rule } from '../validation/rule';
import { RULES } from '../validation/rules';
import { UNSEEN_PROPERTY } from '../validation/told-texts';

/** A place in a template, as it is printed. */
export interface ReportedPlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly logicalId: string;
  readonly constructPath?: string;
  readonly property: string;
}

/** A rule that is broken at one place. */
export interface ReportedFinding extends ReportedPlace {
  readonly rule: Rule;
  readonly value?: string;
  readonly message: string;
}

/** A rule that could not be checked everywhere. */
export interface ReportedUnchecked {
  readonly rule: Rule;
  readonly places: (ReportedPlace & { readonly reason: string })[];
}

/** A nested stack that no rule looks into, since its template was not given. */
export type ReportedUnseen = Omit<ReportedPlace, 'constructPath'>;

/** What `check` says, in whichever format. */
export interface CheckReport {
  /** The rules that were asked for. */
  readonly rules: readonly Rule[];
  /** Number of files that were read. */
  readonly files: number;
  /** By file, then by position. */
  readonly findings: ReportedFinding[];
  readonly unchecked: ReportedUnchecked[];
  readonly unseen: ReportedUnseen[];
  /** Number of findings that the app acknowledges. */
  readonly acknowledged: number;
  /** What could not be read. */
  readonly problems: Problem[];
}

/**
 * Checks templates.
 *
 * @param set the templates.
 * @param ids of the rules to report; all if empty.
 */
export function checkReport(set: TemplateSet, ids: readonly string[]): CheckReport {
  const rules = RULES.filter(({ id }) => ids.length === 0 || ids.includes(id));
  const result = checkTemplates(set.inputs);
  const names = [...new Set(set.inputs.map(({ stack }) => set.fileOf(stack).name))];
  const order = new Map(names.map((name, i) => [name, i]));
  const asked = result.findings.filter(({ rule }) => rules.includes(rule));
  const isOpen = ({ rule, resource, property }: (Found | NotChecked) & { readonly rule: Rule }) => !isAcknowledged(set, rule.id, property, resource);
  const findings = asked
    .filter(isOpen)
    .map((finding) => ({ ...placeOf(set, finding), rule: finding.rule, value: finding.value, message: finding.message }));
  const unchecked = result.unchecked
    .filter(({ rule }) => rules.includes(rule))
    .map(({ rule, places }) => ({ rule, places: places.filter((place) => isOpen({ ...place, rule })) }))
    .filter(({ places }) => places.length > 0)
    .map(({ rule, places }) => ({ rule, places: distinct(places.map((place) => ({ ...placeOf(set, place), reason: place.reason }))) }));
  const unseen = result.unseen
    .filter((place) => !isAcknowledged(set, NESTED_STACK_UNSEEN, UNSEEN_PROPERTY, place))
    .map(({ stack, logicalId }) => unseenPlace(set.fileOf(stack), logicalId));
  const problems = result.problems
    .filter((problem) => !isAcknowledged(set, TEMPLATE_MALFORMED, problem.path, problem))
    .map((problem) => problemOf(set, problem));
  return {
    rules,
    files: set.size,
    findings: distinct(findings).sort((a, b) => order.get(a.file)! - order.get(b.file)! || a.line - b.line || a.column - b.column),
    unchecked,
    unseen: distinct(unseen),
    acknowledged: asked.length - findings.length,
    problems: [...set.problems, ...distinct(problems)],
  };
}

interface AcknowledgedPlace {
  readonly stack: string;
  readonly logicalId?: string;
  readonly constructPath?: string;
}

// by any of the ids that constructs, plugin and pack take; a resource without a path is of no construct that could acknowledge.
function isAcknowledged(set: TemplateSet, name: string, property: string, place: AcknowledgedPlace): boolean {
  const path = place.constructPath ?? (place.logicalId === undefined ? undefined : set.constructPathOf(place.stack, place.logicalId)) ?? '';
  return set.acknowledgements.some(({ id, constructPath }) => acknowledges(id, name, property) && `${path}/`.startsWith(`${constructPath}/`));
}

function problemOf(set: TemplateSet, { stack, path, message, mend }: TemplateProblem): Problem {
  const { name } = set.fileOf(stack);
  const { line, column } = set.fileOf(stack).positionOf(path);
  return { rule: TEMPLATE_MALFORMED, path: `${name}:${line}:${column}`, message: path === '' ? message : `${path}: ${message}`, mend };
}

function placeOf(set: TemplateSet, { resource, property }: Found | NotChecked): ReportedPlace {
  const { logicalId, constructPath, stack } = resource;
  const file = set.fileOf(stack);
  return { file: file.name, ...file.positionOf(`Resources.${logicalId}.${property}`), logicalId, constructPath, property };
}

function unseenPlace(file: TemplateFile, logicalId: string): ReportedUnseen {
  return { file: file.name, ...file.positionOf(`Resources.${logicalId}.${UNSEEN_PROPERTY}`), logicalId, property: UNSEEN_PROPERTY };
}

// a template that is nested twice is checked twice, but mended once.
function distinct<T extends object>(told: T[]): T[] {
  return [...new Map(told.map((one) => [JSON.stringify(one), one])).values()];
}
