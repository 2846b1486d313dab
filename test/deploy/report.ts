import { Deployment, ReadBack } from './deployment';
import { Limits } from './limits';
import { ExampleStack } from './templates';

/** The paths that are not answered as written, by who made them and type. */
export function lostIn(deployments: Deployment[]): Limits['lost'] {
  const readBack = deployments.flatMap((deployment) => deployment.readBack);
  const lostBy = (by: string) => pathsByType(readBack.filter((read) => read.by === by).map(({ type, differences }) => [type, differences]));
  return { CloudFormation: lostBy('CloudFormation'), API: lostBy('API') };
}

/** The paths that no emulator answers as written, by type; `*` is a resource that none makes. */
export function seenNowhere(stacks: ExampleStack[], deployments: Deployment[]): Record<string, string[]> {
  return pathsByType(stacks.flatMap((stack) => Object.entries(stack.template.Resources).map(([logicalId, { Type }]): [string, string[]] => {
    const reads = deployments.filter((deployment) => deployment.stack === stack)
      .flatMap(({ readBack }) => readBack.filter((read) => read.logicalId === logicalId));
    return [Type, reads.length === 0 ? ['*'] : lostInAll(reads)];
  })));
}

/** A path is lost with all that is below it. */
function lostInAll(reads: ReadBack[]): string[] {
  const isLost = (path: string, { differences }: ReadBack) =>
    differences.some((lost) => path === lost || path.startsWith(`${lost}.`) || path.startsWith(`${lost}[`));
  return reads.flatMap(({ differences }) => differences).filter((path) => reads.every((read) => isLost(path, read)));
}

function pathsByType(found: [type: string, paths: string[]][]): Record<string, string[]> {
  const types = [...new Set(found.filter(([, paths]) => paths.length > 0).map(([type]) => type))].sort();
  const pathsOf = (type: string) => [...new Set(found.filter(([other]) => other === type).flatMap(([, paths]) => paths))].sort();
  return Object.fromEntries(types.map((type) => [type, pathsOf(type)]));
}

/** A table of what was made, read back and compared. */
export function summary(deployments: Deployment[]): string {
  const rows = deployments.map(({ emulator, stack, asked, listed, readBack }) => [
    stack.name,
    emulator,
    Object.keys(stack.template.Resources).length,
    asked.length,
    listed.length,
    readBack.filter(({ by }) => by === 'API').length,
    readBack.length,
    readBack.reduce((sum, { equal }) => sum + equal, 0),
  ]);
  const head = ['stack', 'emulator', 'in the template', 'asked for', 'listed', 'by API', 'read back', 'values equal'];
  return [head, ...rows].map((row) => row.map((cell, column) => String(cell).padEnd(column < 2 ? 16 : 17)).join('')).join('\n') + '\n';
}
