import { CheckReport, ReportedPlace } from './check-report';
import { ruleJson } from './rules-page';

/**
 * What `check` found, as a value for programs. Rules are named by id; `rules` describes those that are.
 */
export function checkJson(report: CheckReport): object {
  const named = new Set([...report.findings, ...report.unchecked].map(({ rule }) => rule));
  return {
    files: report.files,
    findings: report.findings.map(({ rule, message, value, ...place }) => (
      { rule: rule.id, severity: rule.severity, ...ordered(place), value, message, mend: rule.mend })),
    unchecked: report.unchecked.map(({ rule, places }) => (
      { rule: rule.id, places: places.map(({ reason, ...place }) => ({ ...ordered(place), reason })) })),
    unseen: report.unseen,
    unexpanded: report.unexpanded.map(({ file, makers }) => ({ file, makers })),
    acknowledged: report.acknowledged,
    problems: report.problems,
    rules: report.rules.filter((rule) => named.has(rule)).map(ruleJson),
  };
}

function ordered({ file, line, column, logicalId, constructPath, property }: ReportedPlace): ReportedPlace {
  return { file, line, column, logicalId, constructPath, property };
}
