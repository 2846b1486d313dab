import { nearestNames } from '../nearest';
import { Problem, Problems } from '../problems';
import { checkJson } from './check-json';
import { CheckReport, checkReport } from './check-report';
import { checkSarif } from './check-sarif';
import { checkText } from './check-text';
import { packageFacts } from './package-facts';
import { TemplateSet } from './template-set';
import { parseReportedId } from '../validation/acknowledgement';
import { RULES } from '../validation/rules';

/** Options of `check`, as they are given on the command line. */
export interface CheckOptions {
  readonly format: 'text' | 'json' | 'sarif';
  readonly rule: string[];
  readonly failOn: 'error' | 'warning';
  readonly region?: string;
}

/** What `check` prints, and how it ends. */
export interface CheckAnswer {
  readonly output: string;
  /** Whether something at or above `failOn` was found. */
  readonly failed: boolean;
  /** What could not be read. */
  readonly problems: Problem[];
}

/**
 * Checks template files.
 *
 * @param paths files, cloud assemblies, or `-` for standard input.
 * @param options as given.
 * @param colours whether the reader is a terminal that shows them.
 * @throws ProblemsError if an option names no rule or no region.
 */
export function check(paths: string[], options: CheckOptions, colours: boolean): CheckAnswer {
  Problems.throwIfAny([...options.rule.flatMap(ruleProblem), ...regionProblem(options.region)]);
  const report = checkReport(new TemplateSet(paths, options.region), options.rule);
  return {
    output: format(report, options, colours),
    failed: report.findings.some(({ rule }) => rule.severity === 'error' || options.failOn === 'warning'),
    problems: report.problems,
  };
}

function format(report: CheckReport, options: CheckOptions, colours: boolean): string {
  return options.format === 'text'
    ? checkText(report, colours)
    : JSON.stringify(options.format === 'json' ? checkJson(report) : checkSarif(report, packageFacts()), undefined, 2);
}

function ruleProblem(id: string): Problem[] {
  const ids = RULES.map((rule) => rule.id);
  if (ids.includes(id)) {
    return [];
  }
  const nearest = nearestNames(parseReportedId(id).name, ids).map((name) => JSON.stringify(name));
  const mend = nearest.length > 0 ? `did you mean ${nearest.join(' or ')}?` : '"cdk-disaggregated-inference rules" lists them';
  return [{ rule: 'RuleUnknown', path: `--rule ${id}`, message: 'there is no such rule', mend }];
}

function regionProblem(region: string | undefined): Problem[] {
  return region === undefined || /^[a-z]{2,}(-[a-z]+)+-\d+$/.test(region) ? []
    : [{ rule: 'RegionInvalid', path: `--region ${region}`, message: 'this is no region', mend: 'give a region such as us-east-2, without a zone' }];
}
