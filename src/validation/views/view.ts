import { TemplateGraph } from '../graph/template-graph';

/**
 * A view that is made once a graph, since many rules ask for it.
 *
 * @param make makes it.
 */
export function viewOf<T>(make: (graph: TemplateGraph) => T): (graph: TemplateGraph) => T {
  const views = new WeakMap<TemplateGraph, { readonly view: T }>();
  return (graph) => {
    const made = views.get(graph) ?? { view: make(graph) };
    views.set(graph, made);
    return made.view;
  };
}
