import { readTemplate } from '../../src/validation/graph/template';
import { TemplateGraph, TemplateInput } from '../../src/validation/graph/template-graph';
import { UNCHOSEN } from '../../src/validation/graph/world';

/** The graph of templates in which no parameter is chosen. */
export function graphOf(inputs: readonly TemplateInput[]): TemplateGraph {
  return new TemplateGraph(inputs.map(readTemplate), UNCHOSEN);
}
