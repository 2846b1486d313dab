import { RouterConfig } from '../../config';
import { functionChoice, functionTool, topPOf } from '../chat-parts';
import { EngineRequest } from '../engine-request';
import { ExactJson } from '../exact-json';
import { checkServed, defined, FieldProblems, Fields, Kind } from '../fields';
import { ABSENT, ANY, BOOLEAN, listOf, number, OBJECT, object, oneOf, tagged, TEXT, UNSUPPORTED, whole } from '../kinds';
import { METADATA, OPENAI_SERVICE_TIERS, REASONING_EFFORTS, SCHEMA } from '../openai-fields';
import { ResponseObject } from './response-object';
import { chatMessages } from './responses-input';
import { ResponsesWire } from './responses-wire';
import { checkAnyTool } from '../together';

/** What refers to something that another service would have stored. */
const STORED: Kind = {
  holds: UNSUPPORTED.holds, tell: (_, path, problems) => problems.add(path, 'nothing is stored here: send the whole conversation in input'),
};
const FORMAT = { type: TEXT, name: ANY, description: ANY, schema: ANY, strict: ANY };
const AUTO = oneOf('auto');
const TOOL_CHOICE = oneOf('auto', 'none', 'required');

/** A request. What may be anything is read further. */
const RESPONSE = object({
  // what is honoured with these values alone.
  background: oneOf(false),
  parallel_tool_calls: BOOLEAN,
  prompt_cache_retention: oneOf('in_memory', '24h'),
  service_tier: oneOf(...OPENAI_SERVICE_TIERS),
  // clients ask for storage unless told not to; answers say that there was none.
  store: BOOLEAN,
  stream: BOOLEAN,
  top_logprobs: oneOf(0),
  truncation: oneOf('disabled'),
  previous_response_id: STORED,
  conversation: STORED,
  prompt: STORED,
  context_management: UNSUPPORTED,
  max_tool_calls: UNSUPPORTED,
  moderation: ABSENT,
  // reasoning, to be given back with what follows, is told in plain text instead, and need not be given back.
  include: listOf(oneOf('reasoning.encrypted_content')),
  // how long a cache keeps what it has read changes no answer.
  prompt_cache_options: object({ mode: ANY, ttl: ANY }),
  // what hides the length of tokens from who sees the packets; given, it must be there.
  stream_options: object({ include_obfuscation: oneOf(false) }),
  // what says something of the caller, and changes nothing here.
  prompt_cache_key: TEXT,
  safety_identifier: TEXT,
  user: TEXT,
  instructions: TEXT,
  max_output_tokens: whole(1),
  temperature: number(0, 2),
  top_p: number(0, 1),
  // the reasoning of open models is told as it is: there is no summary of it.
  reasoning: object({ summary: AUTO, generate_summary: AUTO, context: AUTO, mode: oneOf('standard'), effort: oneOf(...REASONING_EFFORTS) }),
  text: object({
    verbosity: oneOf('medium'),
    format: tagged('type', {
      text: object(FORMAT),
      json_object: object(FORMAT),
      json_schema: object({ type: TEXT, name: TEXT, description: TEXT, schema: SCHEMA, strict: BOOLEAN }, ['name', 'schema']),
    }),
  }),
  model: ANY,
  input: ANY,
  tools: ANY,
  tool_choice: ANY,
  metadata: METADATA,
});
/** A function as a tool. */
const TOOL = object({
  type: TEXT, name: ANY, description: ANY, parameters: OBJECT, strict: ANY, defer_loading: oneOf(false), allowed_callers: listOf(oneOf('direct')),
});

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
  const { max_output_tokens: maxTokens, temperature, top_p: topP, ...asked } = problems.required(given, '', RESPONSE) ?? {};
  const stream = asked.stream === true;
  const instructions = asked.instructions ?? undefined;
  const effort = asked.reasoning?.effort;
  const format = asked.text?.format ?? { type: 'text' };
  const body = {
    model,
    messages: chatMessages(given.input, instructions, images, problems),
    stream,
    ...(stream && { stream_options: { include_usage: true } }),
    ...defined({
      max_tokens: maxTokens,
      temperature,
      top_p: topPOf(topP),
      reasoning_effort: effort,
      response_format: responseFormat(format),
      service_tier: asked.service_tier,
    }),
    ...tools(given, problems),
  };
  problems.throwIfAny();
  const response = new ResponseObject({
    ...defined({ prompt_cache_key: asked.prompt_cache_key, safety_identifier: asked.safety_identifier, user: asked.user }),
    model,
    instructions,
    max_output_tokens: maxTokens,
    metadata: given.metadata ?? {},
    parallel_tool_calls: asked.parallel_tool_calls ?? true,
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

function tools({ tools: given, tool_choice: choice, parallel_tool_calls: parallel }: Fields, problems: FieldProblems): Fields {
  const list = (problems.optional(given, 'tools', listOf(ANY)) ?? []).map((tool, i) => toolAt(tool, `tools[${i}]`, problems));
  const chosen = choiceOf(choice, list, problems);
  return list.length === 0 ? {} : { tools: list, ...defined({ tool_choice: chosen, parallel_tool_calls: parallel }) };
}

function toolAt(tool: unknown, path: string, problems: FieldProblems): Fields {
  const { type, name, description, parameters, strict } = problems.object(tool, path);
  if (type !== 'function') {
    problems.add(`${path}.type`, `${JSON.stringify(type) ?? 'a tool without a type'} is not supported here, "function" is`);
    return { function: {} };
  }
  problems.required(tool, path, TOOL);
  return functionTool({ name, description, parameters, strict }, path, problems);
}

function choiceOf(choice: unknown, list: Fields[], problems: FieldProblems): unknown {
  if (choice === undefined || choice === null || typeof choice === 'string') {
    const chosen = problems.optional(choice, 'tool_choice', TOOL_CHOICE);
    if (chosen === 'required') {
      checkAnyTool(list, problems);
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
