import { defined, FieldProblems, Fields } from './fields';
import { BOOLEAN, TEXT } from './kinds';
import { FUNCTION_NAME } from './openai-fields';
import { checkToolName } from './together';

/** Low enough that no other token than the likeliest is left. */
const LEAST_TOP_P = 1e-6;

/** The content of a message: one text alone is a string, which every chat template reads. */
export function contentOf(parts: readonly Fields[]): unknown {
  return parts.length === 1 && parts[0].type === 'text' ? parts[0].text : parts;
}

/** What a model thought before, as it is given it back: vLLM and Cerebras know it by the first name, SGLang by the second. */
export function reasoningGiven(thoughts: readonly string[]): Fields {
  const reasoning = thoughts.join('\n');
  return reasoning === '' ? {} : { reasoning, reasoning_content: reasoning };
}

/** A tool as engines are told of it. */
export function functionTool({ name, description, parameters, strict }: Fields, path: string, problems: FieldProblems): Fields {
  problems.required(name, `${path}.name`, FUNCTION_NAME);
  problems.optional(description, `${path}.description`, TEXT);
  problems.optional(strict, `${path}.strict`, BOOLEAN);
  return { type: 'function', function: defined({ name, description, parameters, strict }) };
}

/** A share of probability as engines take it: 0, which leaves the likeliest token, they refuse. */
export function topPOf<T>(share: T): T | number {
  return share === 0 ? LEAST_TOP_P : share;
}

/** The choice of one tool among those that are given. */
export function functionChoice(name: unknown, tools: readonly Fields[], path: string, problems: FieldProblems): Fields {
  checkToolName(name, tools, path, problems);
  return { type: 'function', function: { name } };
}
