import { referencesOf } from './references';
import { Json, asObject, intrinsicOf, walk } from './template-json';

/**
 * Resources that wait for each other, so that CloudFormation refuses the template with "Circular dependency between resources": each cycle as the logical
 * ids along it. A resource that refers to itself is a cycle of one.
 *
 * A reference in a branch of a condition, and one from or to a resource with a condition, may not be there when the template is deployed: it is left out.
 *
 * @param template the parsed template, as it reaches CloudFormation.
 * @param most cycles that are looked for: a template may have more of them than can be told.
 */
export function dependencyCycles(template: Json, most: number): string[][] {
  const resources = asObject(template.Resources);
  const ids = new Set(Object.keys(resources).filter((id) => asObject(resources[id]).Condition === undefined));
  const edges = new Map([...ids].map((id) => [id, dependenciesOf(asObject(resources[id])).filter((other) => ids.has(other))]));
  const cycles: string[][] = [];
  const done = new Set<string>();
  // depth first without recursion: a chain of resources may be long.
  for (const start of ids) {
    const path: string[] = [];
    const onPath = new Set<string>();
    const pending: { readonly id: string; next: number }[] = done.has(start) ? [] : [{ id: start, next: 0 }];
    while (pending.length > 0 && cycles.length < most) {
      const top = pending[pending.length - 1];
      if (top.next === 0) {
        path.push(top.id);
        onPath.add(top.id);
      }
      const others = edges.get(top.id)!;
      if (top.next === others.length) {
        done.add(top.id);
        onPath.delete(path.pop()!);
        pending.pop();
        continue;
      }
      const other = others[top.next];
      top.next += 1;
      if (onPath.has(other)) {
        cycles.push(path.slice(path.indexOf(other)));
      } else if (!done.has(other)) {
        pending.push({ id: other, next: 0 });
      }
    }
  }
  return cycles;
}

function dependenciesOf(resource: Json): string[] {
  const found = new Set<string>([resource.DependsOn].flat().filter((id) => typeof id === 'string'));
  walk(resource.Properties, [], (node) => {
    if (intrinsicOf(node)?.[0] === 'Fn::If') {
      return false;
    }
    referencesOf(node).forEach((id) => found.add(id));
    return true;
  });
  return [...found];
}
