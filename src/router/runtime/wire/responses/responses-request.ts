import { RouterConfig } from '../../config';
import { checkMetadata, functionChoice, functionTool } from '../chat-parts';
import { EngineRequest } from '../engine-request';
import { ExactJson } from '../exact-json';
import { checkServed, defined, FieldProblems, Fields } from '../fields';
import { UNSUPPORTED } from '../kinds';
import { REASONING_EFFORTS, SERVICE_TIERS } from '../openai-fields';
import { ResponseObject } from './response-object';
import { chatMessages } from './responses-input';
import { ResponsesWire } from './responses-wire';

/** Settings that are honoured with these values alone. */
const ONLY: { readonly [name: string]: readonly unknown[] } = {
  background: [false],
  parallel_tool_calls: [true, false],
  prompt_cache_retention: ['in_memory', '24h'],
  service_tier: SERVICE_TIERS,
  // clients ask for storage unless told not to; answers say that there was none.
  store: [true, false],
  stream: [true, false],
  top_logprobs: [0],
  truncation: ['disabled'],
};
/** Texts that say something of the caller, and change nothing here. */
const LABELS = ['prompt_cache_key', 'safety_identifier', 'user'];
/** What is read one by one. */
const READ = [
  'include', 'input', 'instructions', 'max_output_tokens', 'metadata', 'model', 'prompt_cache_options', 'reasoning', 'stream_options', 'temperature',
  'text', 'tool_choice', 'tools', 'top_p',
];
/** What refers to something that another service would have stored. */
const STORED = ['previous_response_id', 'conversation', 'prompt'];
/** What is said in a request and cannot be honoured here. */
const REFUSED = [...STORED, 'context_management', 'max_tool_calls', 'moderation'];
const FIELDS = [...Object.keys(ONLY), ...LABELS, ...READ, ...REFUSED];
/** What of an answer may be asked for besides: reasoning, to be given back with what follows, is told in plain text instead, and need not be given back. */
const INCLUDABLE = ['reasoning.encrypted_content'];
/** The fields of a function as a tool. */
const TOOL = ['type', 'name', 'description', 'parameters', 'strict', 'defer_loading', 'allowed_callers'];

/** A request for a response, and how its caller expects the answer. */
export interface ResponsesCall {
  readonly request: EngineRequest;
  readonly wire: ResponsesWire;
}

/**
 * Translates a request for a response into a chat completion.
 *
 * Throws ApiError with everything that is wrong with it, or that no engine here could honour.
 *
 * @param bytes the body.
 * @param served the model that callers may ask for.
 */
export function parseResponses(bytes: Buffer, { servedNames, images }: RouterConfig['model']): ResponsesCall {
  const exact = new ExactJson();
  const given = exact.object(bytes);
  const { model } = given;
  checkServed(model, servedNames);
  const problems = new FieldProblems();
  problems.known(given, '', FIELDS);
  refuseUnsupported(given, problems);
  const labels = Object.fromEntries(LABELS.map((name) => [name, problems.optionalText(given[name], name)]));
  const instructions = problems.optionalText(given.instructions, 'instructions');
  const stream = given.stream === true;
  const maxTokens = problems.number(given.max_output_tokens, 'max_output_tokens', 1, 2 ** 31 - 1, true);
  const temperature = problems.number(given.temperature, 'temperature', 0, 2);
  const topP = problems.number(given.top_p, 'top_p', 0, 1);
  const effort = effortOf(given.reasoning, problems);
  const format = formatOf(given.text, problems);
  const body = {
    model,
    messages: chatMessages(given.input, instructions, images, problems),
    stream,
    ...(stream && { stream_options: { include_usage: true } }),
    ...defined({
      max_tokens: maxTokens,
      temperature,
      top_p: topP,
      reasoning_effort: effort,
      response_format: responseFormat(format),
      service_tier: given.service_tier,
    }),
    ...tools(given, problems),
  };
  checkMetadata(given.metadata, 'metadata', problems);
  problems.throwIfAny();
  const response = new ResponseObject({
    ...labels,
    model,
    instructions,
    max_output_tokens: maxTokens,
    metadata: given.metadata ?? {},
    parallel_tool_calls: given.parallel_tool_calls ?? true,
    reasoning: { effort: effort ?? null, summary: null },
    temperature,
    text: { format },
    tool_choice: given.tool_choice ?? 'auto',
    tools: given.tools ?? [],
    top_p: topP,
  }, exact);
  const request = { path: '/v1/chat/completions', model, stream, bytes: Buffer.from(exact.stringify(body)), body };
  return { request, wire: new ResponsesWire(response) };
}

function refuseUnsupported(given: Fields, problems: FieldProblems): void {
  for (const name of Object.keys(ONLY)) {
    problems.oneOf(given[name], name, ONLY[name]);
  }
  for (const name of REFUSED) {
    if (!UNSUPPORTED.holds(given[name] ?? {})) {
      problems.add(name, STORED.includes(name) ? 'nothing is stored here: send the whole conversation in input' : 'this is not supported here');
    }
  }
  if (given.include !== undefined && given.include !== null) {
    problems.list(given.include, 'include').forEach((one, i) => problems.oneOf(one ?? '', `include[${i}]`, INCLUDABLE));
  }
  // how long a cache keeps what it has read changes no answer.
  problems.optionalObject(given.prompt_cache_options, 'prompt_cache_options', ['mode', 'ttl']);
  // what hides the length of tokens from who sees the packets; given, it must be there.
  const { include_obfuscation: obfuscation } = problems.optionalObject(given.stream_options, 'stream_options', ['include_obfuscation']);
  problems.oneOf(obfuscation, 'stream_options.include_obfuscation', [false]);
}

function tools({ tools: given, tool_choice: choice, parallel_tool_calls: parallel }: Fields, problems: FieldProblems): Fields {
  const list = given === undefined || given === null ? [] : problems.list(given, 'tools').map((tool, i) => toolAt(tool, `tools[${i}]`, problems));
  const chosen = choiceOf(choice, list, problems);
  return list.length === 0 ? {} : { tools: list, ...defined({ tool_choice: chosen, parallel_tool_calls: parallel }) };
}

function toolAt(tool: unknown, path: string, problems: FieldProblems): Fields {
  const { type, name, description, parameters, strict, defer_loading: deferred, allowed_callers: callers } = problems.object(tool, path);
  if (type !== 'function') {
    problems.add(`${path}.type`, `${JSON.stringify(type) ?? 'a tool without a type'} is not supported here, "function" is`);
    return { function: {} };
  }
  problems.known(tool as Fields, path, TOOL);
  problems.oneOf(deferred, `${path}.defer_loading`, [false]);
  if (callers !== undefined && callers !== null) {
    problems.list(callers, `${path}.allowed_callers`).forEach((caller, i) => problems.oneOf(caller, `${path}.allowed_callers[${i}]`, ['direct']));
  }
  problems.optionalObject(parameters, `${path}.parameters`);
  return functionTool({ name, description, parameters, strict }, path, problems);
}

function choiceOf(choice: unknown, list: Fields[], problems: FieldProblems): unknown {
  if (choice === undefined || choice === null || typeof choice === 'string') {
    const chosen = problems.oneOf(choice, 'tool_choice', ['auto', 'none', 'required']);
    if (chosen === 'required' && list.length === 0) {
      problems.add('tool_choice', 'there are no tools to choose from');
    }
    return chosen;
  }
  const { type, name } = problems.object(choice, 'tool_choice');
  if (type !== 'function') {
    problems.add('tool_choice.type', `${JSON.stringify(type) ?? 'a choice without a type'} is not supported here, "function" is`);
    return undefined;
  }
  return functionChoice(name, list, 'tool_choice.name', problems);
}

/** `text.format`, with its default. */
function formatOf(text: unknown, problems: FieldProblems): Fields {
  const { format, verbosity } = problems.optionalObject(text, 'text', ['format', 'verbosity']);
  problems.oneOf(verbosity, 'text.verbosity', ['medium']);
  if (format === undefined || format === null) {
    return { type: 'text' };
  }
  const given = problems.object(format, 'text.format', ['type', 'name', 'description', 'schema', 'strict']);
  if (problems.oneOf(given.type ?? '', 'text.format.type', ['text', 'json_object', 'json_schema']) === 'json_schema') {
    problems.text(given.name, 'text.format.name');
    problems.optionalText(given.description, 'text.format.description');
    problems.object(given.schema, 'text.format.schema');
    problems.oneOf(given.strict, 'text.format.strict', [true, false]);
  }
  return given;
}

function responseFormat({ type, name, description, schema, strict }: Fields): Fields | undefined {
  switch (type) {
    case 'json_schema':
      return { type, json_schema: defined({ name, description, schema, strict }) };
    case 'json_object':
      return { type };
    default:
      return undefined;
  }
}

function effortOf(reasoning: unknown, problems: FieldProblems): string | undefined {
  const { effort, summary, generate_summary: summaryToo, context, mode } =
    problems.optionalObject(reasoning, 'reasoning', ['effort', 'summary', 'generate_summary', 'context', 'mode']);
  // the reasoning of open models is told as it is: there is no summary of it.
  problems.oneOf(summary, 'reasoning.summary', ['auto']);
  problems.oneOf(summaryToo, 'reasoning.generate_summary', ['auto']);
  problems.oneOf(context, 'reasoning.context', ['auto']);
  problems.oneOf(mode, 'reasoning.mode', ['standard']);
  return problems.oneOf(effort, 'reasoning.effort', REASONING_EFFORTS);
}
