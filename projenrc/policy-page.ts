// Prints POLICY.md: what cdk-nag's packs find over constructs of this library, and why it stays. `npx projen policy:page` writes it.
import { PolicyAcknowledgements, PolicyFinding } from '../src';

/** The page as Markdown. */
export function policyPage(): string {
  const findings = PolicyAcknowledgements.findings();
  const table = (header: string, rows: string[]) => [`| rule | packs | resource | why it stays |${header}`, `|---|---|---|---|${header && '---|'}`, ...rows];
  const row = ({ rule, packs, resource, reason, option }: PolicyFinding) => `| ${[rule, packs.join(', '), resource, reason, ...option === undefined ? [] : [option]].join(' | ')} |`;
  return [
    '# What policy packs find',
    '',
    'cdk-nag 3 finds the following over constructs of this library with their defaults, and nothing else: `npx jest test/policy` asserts it over the examples',
    'for AwsSolutions, HIPAA.Security, NIST.800.53.R5 and PCI.DSS.321. Nothing is acknowledged of itself. This page is written by `npx projen policy:page`.',
    '',
    '## What no option satisfies',
    '',
    '`PolicyAcknowledgements.unavoidable(stack)` acknowledges these, with these reasons, at the resources of this library alone.',
    '',
    ...table('', findings.filter(({ option }) => option === undefined).map(row)),
    '',
    '## What an option satisfies',
    '',
    '`PolicyAcknowledgements.choices(stack, \'AS3\', …)` acknowledges those that you name.',
    '',
    ...table(' what satisfies it |', findings.filter(({ option }) => option !== undefined).map(row)),
    '',
  ].join('\n');
}

if (require.main === module) {
  process.stdout.write(policyPage());
}
