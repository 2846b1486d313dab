import { isAbsolute, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Problem } from '../problems';
import { CheckReport, ReportedPlace } from './check-report';
import { PackageFacts } from './package-facts';
import { NESTED_STACK_UNSEEN, TEMPLATE_UNEXPANDED } from '../validation/acknowledgement';
import { Rule } from '../validation/rule';
import { uncheckedText, UNEXPANDED_MEND, unexpandedText, UNSEEN_MEND, unseenText } from '../validation/told-texts';

/**
 * What `check` found as SARIF 2.1.0, for GitHub code scanning and editors.
 *
 * A rule that could not be checked everywhere is one result of level "note": code scanning shows those, and no notification of a run.
 *
 * @param report what was found.
 * @param facts of this package.
 * @see https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
 */
export function checkSarif(report: CheckReport, facts: PackageFacts): object {
  return {
    $schema: 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json',
    version: '2.1.0',
    runs: [{
      tool: {
        driver: {
          name: 'cdk-disaggregated-inference',
          semanticVersion: facts.version,
          informationUri: facts.homepage,
          rules: report.rules.map(descriptor),
        },
      },
      columnKind: 'utf16CodeUnits',
      invocations: [{
        executionSuccessful: report.problems.length === 0,
        toolExecutionNotifications: [
          ...report.problems.map(notification),
          ...report.unseen.map(unseenNotification),
          ...report.unexpanded.map((one) => ({
            level: 'note', descriptor: { id: TEMPLATE_UNEXPANDED }, message: { text: `${one.file}: ${unexpandedText([one])} (${UNEXPANDED_MEND})` },
          })),
        ],
      }],
      results: [
        ...report.findings.map((finding) => result(report, finding.rule, finding.rule.severity, {
          text: `${finding.message}${finding.value === undefined ? '' : `, got: ${finding.value}`}. To mend it, ${finding.rule.mend}.`,
        }, [finding])),
        ...report.unchecked.map(({ rule, places }) => result(report, rule, 'note', {
          text: `This ${uncheckedText(rule, places)}.`,
        }, places)),
      ],
    }],
  };
}

function descriptor(rule: Rule): object {
  const help = [`To mend it, ${rule.mend}.`, `Why: ${rule.why}.`];
  return {
    id: rule.id,
    name: rule.id,
    shortDescription: { text: `${rule.title}.` },
    fullDescription: { text: `${rule.title}: ${rule.why}.` },
    help: { text: [...help, `Source: ${rule.source}`].join('\n'), markdown: [...help, `Source: ${sourceMarkdown(rule)}`].join('\n\n') },
    // a source may be a file of a package, which has no address.
    helpUri: rule.source.startsWith('https://') ? rule.source : undefined,
    defaultConfiguration: { level: rule.severity },
    properties: { tags: [rule.family] },
  };
}

function sourceMarkdown({ source }: Rule): string {
  return source.startsWith('https://') ? `<${source}>` : `\`${source}\``;
}

function result({ rules }: CheckReport, rule: Rule, level: string, message: object, [first, ...others]: ReportedPlace[]): object {
  return {
    ruleId: rule.id,
    ruleIndex: rules.indexOf(rule),
    level,
    message,
    locations: [location(first)],
    relatedLocations: others.length === 0 ? undefined : others.map((place, id) => ({ id, ...location(place) })),
  };
}

function location(place: ReportedPlace): object {
  const construct = place.constructPath === undefined ? [] : [{ fullyQualifiedName: place.constructPath, kind: 'construct' }];
  return {
    physicalLocation: {
      artifactLocation: { uri: uriOf(place.file) },
      region: { startLine: place.line, startColumn: place.column },
    },
    logicalLocations: [{ name: place.logicalId, fullyQualifiedName: `${place.logicalId}.${place.property}`, kind: 'resource' }, ...construct],
  };
}

function notification(problem: Problem): object {
  return { level: 'error', descriptor: { id: problem.rule }, message: { text: `${problem.path}: ${problem.message} (${problem.mend})` } };
}

function unseenNotification(place: ReportedPlace): object {
  const text = `${place.logicalId}: ${unseenText(1)} (${UNSEEN_MEND})`;
  return { level: 'note', descriptor: { id: NESTED_STACK_UNSEEN }, message: { text }, locations: [location(place)] };
}

/** Half of a character, which no address can hold. */
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

// relative to the working folder, which code scanning takes for the root of the repository.
function uriOf(file: string): string {
  const path = relative('.', resolve(file));
  return isAbsolute(path) || path.startsWith('..') ? pathToFileURL(file).href : path.split(sep).map((part) => encodeURIComponent(part.replace(LONE_SURROGATE, '\ufffd'))).join('/');
}
