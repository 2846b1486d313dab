import { CheckReport, ReportedFinding, ReportedPlace, ReportedUnchecked } from './check-report';
import { UNEXPANDED_MEND, unexpandedText, UNSEEN_MEND, unseenText } from '../validation/told-texts';

/** Codes of terminals for how text looks. */
const STYLES = { bold: 1, dim: 2, red: 31, yellow: 33 };

/** Characters of a value that are shown. */
const MAX_VALUE = 100;

/** Places that are shown of what could not be checked. */
const MAX_PLACES = 3;

/**
 * What `check` found as text: a line that a terminal or an editor can jump to for each finding, its mend below it.
 *
 * @param report what was found.
 * @param colours whether the reader is a terminal that shows them.
 */
export function checkText(report: CheckReport, colours: boolean): string {
  if (report.files === 0) {
    // the problems say it all.
    return '';
  }
  const paint = (style: keyof typeof STYLES, text: string) => colours ? `\u001b[${STYLES[style]}m${text}\u001b[0m` : text;
  const files = [...new Set(report.findings.map(({ file }) => file))];
  const sections = files.map((file) => findings(report.findings.filter((finding) => finding.file === file)));
  if (report.unchecked.length > 0) {
    sections.push([paint('bold', 'not checked everywhere, since a value is known only when deployed'), ...report.unchecked.flatMap(unchecked)].join('\n'));
  }
  if (report.unseen.length > 0) {
    sections.push([paint('bold', unseenText(report.unseen.length)), ...listed(report.unseen, unseen), `  ${paint('dim', UNSEEN_MEND)}`].join('\n'));
  }
  if (report.unexpanded.length > 0) {
    const transformed = listed(report.unexpanded, ({ file }) => shown(file));
    sections.push([paint('bold', shown(unexpandedText(report.unexpanded))), ...transformed, `  ${paint('dim', UNEXPANDED_MEND)}`].join('\n'));
  }
  return [...sections, summary(report)].join('\n\n');

  function findings(ofFile: ReportedFinding[]): string {
    const rows = ofFile.map((finding) => [positionText(finding), finding.rule.severity, finding.rule.id]);
    const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column].length)));
    return ofFile.map((finding, i) => {
      const [position, severity, id] = rows[i].map((cell, column) => cell.padEnd(widths[column]));
      const { rule, message, value } = finding;
      return `${paint('bold', position)}  ${paint(rule.severity === 'error' ? 'red' : 'yellow', severity)}  ${id}  ${shown(message)}${value === undefined ? '' : `, got: ${shorten(value)}`}\n`
        + `  ${paint('dim', `${subject(finding)}:`)} ${rule.mend}`;
    }).join('\n');
  }

  function unchecked({ rule, places }: ReportedUnchecked): string[] {
    const lines = listed(places, (place) => `${positionText(place)}  ${subject(place)}: ${shown(place.reason)}`);
    return [`  ${rule.id}: ${rule.title}`, ...lines.map((line) => `  ${line}`)];
  }

  function unseen(place: ReportedPlace): string {
    return `${positionText(place)}  ${shown(place.logicalId)}`;
  }

  function listed<T>(places: readonly T[], line: (place: T) => string): string[] {
    const more = places.length - MAX_PLACES;
    return [...places.slice(0, MAX_PLACES).map((place) => `  ${line(place)}`), ...more > 0 ? [`  and ${counted(more, 'more place')}`] : []];
  }

  function summary({ findings: all, files: read, rules, unchecked: uncheckedRules, acknowledged, problems }: CheckReport): string {
    const errors = all.filter(({ rule }) => rule.severity === 'error').length;
    const found = all.length === 0 ? 'nothing found' : `${counted(errors, 'error')}, ${counted(all.length - errors, 'warning')}`;
    const style = errors > 0 ? 'red' : all.length > 0 ? 'yellow' : 'bold';
    return `${paint(style, found)} in ${counted(read, 'template')} by ${counted(rules.length, 'rule')}`
      + (uncheckedRules.length > 0 ? `, ${uncheckedRules.length} of them not checked everywhere` : '')
      + (acknowledged > 0 ? `; ${counted(acknowledged, 'finding')} acknowledged` : '')
      + (problems.length > 0 ? `; ${counted(problems.length, 'problem')} with what was given` : '');
  }
}

function positionText({ file, line, column }: ReportedPlace): string {
  return `${shown(file)}:${line}:${column}`;
}

/** A text of a template with what would steer a terminal written out. */
function shown(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function subject({ logicalId, property, constructPath }: ReportedPlace): string {
  return shown(`${logicalId} ${property}${constructPath === undefined ? '' : ` (${constructPath})`}`);
}

function shorten(value: string): string {
  return shown(value.length <= MAX_VALUE ? value : `${value.slice(0, MAX_VALUE)}...`);
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
