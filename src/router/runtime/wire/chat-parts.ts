import { defined, FieldProblems, Fields } from './fields';

/** Formats of images that engines read. */
export const IMAGE_FORMATS = ['png', 'jpeg', 'gif', 'webp'];
const TOOL_NAME = /^[A-Za-z0-9_-]{1,64}$/;

/** The content of a message: one text alone is a string, which every chat template reads. */
export function contentOf(parts: readonly Fields[]): unknown {
  return parts.length === 1 && parts[0].type === 'text' ? parts[0].text : parts;
}

/** A tool as engines are told of it. */
export function functionTool({ name, description, parameters, strict }: Fields, path: string, problems: FieldProblems): Fields {
  if (!TOOL_NAME.test(problems.text(name, `${path}.name`)) && typeof name === 'string') {
    problems.add(`${path}.name`, 'expected 1 to 64 letters, digits, _ or -');
  }
  problems.optionalText(description, `${path}.description`);
  problems.oneOf(strict, `${path}.strict`, [true, false]);
  return { type: 'function', function: defined({ name, description, parameters, strict }) };
}

/** The choice of one tool among those that are given. */
export function functionChoice(name: unknown, tools: readonly Fields[], path: string, problems: FieldProblems): Fields {
  if (!tools.some((tool) => (tool.function as Fields).name === name)) {
    problems.add(path, 'there is no tool of this name');
  }
  return { type: 'function', function: { name } };
}
