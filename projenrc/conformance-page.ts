// Prints docs/CONFORMANCE.md: which client was answered what over which path, and what becomes of faults. `npx projen conformance:page` writes it, once every cell
// was asked for and is as it says.
import { FAULTS } from '../test/conformance/faults';
import { CELLS, CLIENTS } from '../test/conformance/matrix/cells';
import { PATHS } from '../test/conformance/matrix/paths';

/** The page as Markdown. */
export function conformancePage(): string {
  const rows = new Map<string, string[]>();
  for (const { client, operation, refusal } of CELLS) {
    const row = `${client.name} | ${operation}`;
    rows.set(row, [...rows.get(row) ?? [], refusal === undefined ? '✓' : `\`${refusal}\``]);
  }
  return [
    '# Conformance',
    '',
    'Clients as they come from their registries, at the versions of `package.json` and `test/conformance/requirements.txt`, ask a router over each of its paths. ✓ is an',
    'answer whose text, stop reason and token counts are right, for which engines did what the path says and nothing else: a KV cache was handed on once, no decode engine',
    'read a prompt, a hosted model was asked once. What a path does not have is refused, with the error that is named. Each cell is a test of that name:',
    '`npm run test:conformance -- -t boto3.+ConverseStream.+NIXL`. This page is written by `npx projen conformance:page`, which runs them all first.',
    '',
    ...PATHS.map(({ name, about }) => `- **${name}**: ${about}`),
    '',
    ...CLIENTS.filter(({ readsNoTokensOf }) => readsNoTokensOf !== undefined)
      .map(({ name, readsNoTokensOf }) => `${name} itself reads no token counts of ${readsNoTokensOf}: they are not looked at there.`),
    'These engines are servers that behave as the real ones do, faults included; `npm run test:engines` runs the SDKs of AWS and OpenAI over real engines of vLLM.',
    '',
    ...table(['client', 'operation', ...PATHS.map(({ name }) => name)], [...rows].map(([row, cells]) => [row, ...cells])),
    '',
    '## Faults',
    '',
    'What goes wrong, what the caller gets, and the tests that show it. Those of `test/engines` have real engines of vLLM; the others real processes or real sockets.',
    '',
    ...table(['fault', 'what the caller gets', 'shown by'],
      FAULTS.map(({ fault, caller, shownBy }) => [fault, caller, shownBy.map(({ file, test }) => `\`${file}\`: ${test}`).join('<br>')])),
    '',
  ].join('\n');
}

function table(header: string[], rows: string[][]): string[] {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  return [line(header), `|${header.map(() => '---|').join('')}`, ...rows.map(line)];
}

if (require.main === module) {
  process.stdout.write(conformancePage());
}
