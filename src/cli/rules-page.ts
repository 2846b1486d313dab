import { table } from './text-table';
import { Rule } from '../validation/rule';
import { RULES } from '../validation/rules';

/** A rule as a value for programs. */
export function ruleJson({ id, family, severity, title, why, mend, source }: Rule): object {
  return { id, family, severity, title, why, mend, source };
}

/** Every rule as a value for programs. */
export function rulesJson(): object[] {
  return RULES.map(ruleJson);
}

/** Every rule as a table for a terminal. */
export function rulesText(): string {
  const rows = RULES.map(({ family, id, severity, title }) => [family, id, severity, title]);
  return `${table([['family', 'rule', 'severity', 'title'], ...rows], Infinity)}\n\n${counts(RULES)}`;
}

/** Every rule as a page of Markdown. */
export function rulesMarkdown(): string {
  const families = [...new Set(RULES.map(({ family }) => family))]
    .map((family) => ({ family, rules: RULES.filter((rule) => rule.family === family) }));
  return [
    '# Rules',
    `${counts(RULES)}. An error fails a deployment, or leaves the fabric or the service dead; a warning costs money, performance or availability.`,
    '<!-- written by `cdk-disaggregated-inference rules --format markdown`: change the rules in src/validation/rules, not this page -->',
    families.map(({ family, rules }) => `- [${family}](#${family}): ${counts(rules)}`).join('\n'),
    ...families.flatMap(({ family, rules }) => [`## ${family}`, ...rules.flatMap(markdownOf)]),
  ].join('\n\n');
}

function markdownOf({ id, severity, title, why, mend, source }: Rule): string[] {
  return [
    `### ${id}`,
    `**${severity}**: ${escape(title)}.`,
    [`- Why: ${escape(why)}`, `- To mend it, ${escape(mend)}`, `- Source: ${source.startsWith('https://') ? `<${source}>` : `\`${source}\``}`].join('\n'),
  ];
}

function counts(rules: readonly Rule[]): string {
  const errors = rules.filter(({ severity }) => severity === 'error').length;
  const parts = [[rules.length, 'rule'], [errors, 'error'], [rules.length - errors, 'warning']] as const;
  const [all, ...bySeverity] = parts.filter(([count]) => count > 0).map(([count, noun]) => `${count} ${noun}${count === 1 ? '' : 's'}`);
  return `${all} (${bySeverity.join(', ')})`;
}

// texts name properties and values, in which Markdown would see emphasis and tags.
function escape(text: string): string {
  return text.replace(/[\\*_<>|`[\]]/g, '\\$&');
}
