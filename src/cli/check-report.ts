import { Problem } from '../problems';
import { TemplateSet } from './template-set';
import { TEMPLATE_MALFORMED, UNSEEN_PROPERTY, withoutAcknowledged } from '../validation/acknowledgement';
import { CheckResult, checkTemplates, TemplateProblem, UnexpandedTemplate } from '../validation/check-templates';
import { Found, Rule } from '../validation/rule';
import { RULES } from '../validation/rules';

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

/** What `check` says, in whichever format. */
export interface CheckReport {
  /** The rules that were asked for. */
  readonly rules: readonly Rule[];
  /** Number of files that were read. */
  readonly files: number;
  /** By file, then by position. */
  readonly findings: ReportedFinding[];
  readonly unchecked: ReportedUnchecked[];
  /** Nested stacks that no rule looks into, since their templates were not given. */
  readonly unseen: ReportedPlace[];
  /** Files that macros, transforms and loops make more of than is seen here. */
  readonly unexpanded: (UnexpandedTemplate & { readonly file: string })[];
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
  const open = withoutAcknowledged(result, (place) => set.acknowledgedAt(place));
  const asked = ({ findings }: CheckResult) => findings.filter(({ rule }) => rules.includes(rule));
  const findings = asked(open).map((finding) => ({ ...placeOf(set, finding), rule: finding.rule, value: finding.value, message: finding.message }));
  return {
    rules,
    files: set.size,
    findings: distinct(findings).sort((a, b) => order.get(a.file)! - order.get(b.file)! || a.line - b.line || a.column - b.column),
    unchecked: open.unchecked
      .filter(({ rule }) => rules.includes(rule))
      .map(({ rule, places }) => ({ rule, places: distinct(places.map((place) => ({ ...placeOf(set, place), reason: place.reason }))) })),
    unseen: distinct(open.unseen.map((resource) => placeOf(set, { resource, property: UNSEEN_PROPERTY }))),
    unexpanded: distinct(open.unexpanded.map(({ stack, makers }) => ({ stack, makers, file: set.fileOf(stack).name }))),
    acknowledged: asked(result).length - findings.length,
    problems: [...set.problems, ...distinct(open.problems.map((problem) => problemOf(set, problem)))],
  };
}

function problemOf(set: TemplateSet, { stack, path, message, mend }: TemplateProblem): Problem {
  const { name } = set.fileOf(stack);
  const { line, column } = set.fileOf(stack).positionOf(path);
  return { rule: TEMPLATE_MALFORMED, path: `${name}:${line}:${column}`, message: path === '' ? message : `${path}: ${message}`, mend };
}

function placeOf(set: TemplateSet, { resource, property }: Pick<Found, 'resource' | 'property'>): ReportedPlace {
  const { logicalId, stack } = resource;
  const file = set.fileOf(stack);
  const constructPath = resource.constructPath ?? set.constructPathOf(stack, logicalId);
  return { file: file.name, ...file.positionOf(`Resources.${logicalId}.${property}`), logicalId, constructPath, property };
}

// a template that is nested twice is checked twice, but mended once.
function distinct<T extends object>(told: T[]): T[] {
  return [...new Map(told.map((one) => [JSON.stringify(one), one])).values()];
}
