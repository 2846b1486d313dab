import { blocksOf, chatMessages, checkOther } from './converse-messages';
import { SERVICE_TIERS } from '../../../../routing';
import { functionChoice, functionTool, topPOf } from '../chat-parts';
import { EngineRequest, reservedMember } from '../engine-request';
import { ExactJson } from '../exact-json';
import { defined, FieldProblems, Fields, isNothing } from '../fields';
import { listOf, number, OBJECT, object, oneOf, TEXT, UNSUPPORTED, whole } from '../kinds';
import { LongTexts, readBody } from '../long-texts';
import { CHAT_SETTINGS, METADATA, REASONING_EFFORTS, SCHEMA, STOP_SEQUENCE } from '../openai-fields';
import { checkLengths, checkSettings } from '../together';

const SHARE = number(0, 1);
/** Bedrock has no topK here; the AI SDK does. */
const INFERENCE = object({ maxTokens: whole(1), temperature: SHARE, topP: SHARE, topK: whole(0), stopSequences: listOf(STOP_SEQUENCE, 0, 2500) });
const JSON_SCHEMA = object({ schema: TEXT, name: TEXT, description: TEXT }, ['schema']);
const TEXT_FORMAT = object({ type: oneOf('json_schema'), structure: object({ jsonSchema: JSON_SCHEMA }, ['jsonSchema']) }, ['type', 'structure']);
const OUTPUT = object({ textFormat: TEXT_FORMAT, effort: oneOf(...REASONING_EFFORTS) });
const TIER = object({ type: oneOf(...SERVICE_TIERS) });
const PERFORMANCE = object({ latency: oneOf('standard') });
/** What is said in a request and cannot be honoured here. */
const REFUSED = ['guardrailConfig', 'promptVariables', 'additionalModelResponseFieldPaths'];
/** What engines would tell beside an answer, and Converse has no place for. */
const UNTOLD = ['logprobs', 'top_logprobs', 'prompt_logprobs', 'return_token_ids'];
/** The fields of a request. */
const FIELDS = [
  'messages', 'system', 'inferenceConfig', 'toolConfig', 'projectIdentifier', 'additionalModelRequestFields', 'requestMetadata', 'performanceConfig',
  'serviceTier', 'outputConfig', ...REFUSED,
];
/** What a caller says in fields of Converse's own, by the names that engines know it by. */
const OWN_FIELDS: { readonly [name: string]: string } = {
  temperature: 'inferenceConfig.temperature',
  top_p: 'inferenceConfig.topP',
  top_k: 'inferenceConfig.topK',
  stop: 'inferenceConfig.stopSequences',
  reasoning_effort: 'outputConfig.effort',
  service_tier: 'serviceTier.type',
};

/**
 * Translates a request of Converse or ConverseStream into a chat completion.
 *
 * Throws ApiError with everything that is wrong with it, or that no engine here could honour.
 *
 * @param bytes the body.
 * @param model the model that the path names.
 * @param stream whether the answer is to be a stream.
 * @param images whether the model reads images.
 */
export function parseConverse(bytes: Buffer, model: string, stream: boolean, images: boolean): EngineRequest {
  return readBody(bytes, (json, longTexts) => translated(json, longTexts, model, stream, images));
}

function translated(given: Buffer | string, longTexts: LongTexts | undefined, model: string, stream: boolean, images: boolean): EngineRequest {
  const problems = new FieldProblems();
  const exact = new ExactJson();
  const request = problems.object(exact.object(given), '', FIELDS);
  const messages = chatMessages(request, '', images, exact, problems);
  const last = messages.at(-1);
  if (last?.role === 'assistant' && last.tool_calls === undefined) {
    // engines would begin a new turn, where a caller may have meant that its words are gone on with.
    problems.add('messages', 'the last message of a conversation is the user\'s');
  }
  const own: Fields = Object.assign(
    inference(request.inferenceConfig, problems),
    tools(request.toolConfig, 'toolConfig', problems),
    outputFormat(request.outputConfig, exact, problems),
  );
  const { type: serviceTier } = problems.optional(request.serviceTier, 'serviceTier', TIER) ?? {};
  const extra = extraFields(request.additionalModelRequestFields, 'additionalModelRequestFields', { service_tier: serviceTier, ...own }, problems);
  const body = {
    model,
    messages,
    stream,
    ...(stream && { stream_options: { include_usage: true } }),
    ...extra,
    ...defined({ top_p: topPOf(extra.top_p) }),
    ...own,
  };
  for (const name of REFUSED) {
    problems.optional(request[name], name, UNSUPPORTED);
  }
  checkLengths(body, problems);
  problems.optional(request.requestMetadata, 'requestMetadata', METADATA);
  problems.optional(request.performanceConfig, 'performanceConfig', PERFORMANCE);
  problems.throwIfAny();
  const json = exact.stringify(body);
  longTexts?.checkMarks(json);
  return { path: '/v1/chat/completions', model, stream, bytes: Buffer.from(json), body, longTexts, serviceTier };
}

/**
 * Translates what the tokens of a prompt are counted of: messages, system prompt, tools and additional fields.
 */
export function parsePrompt(converse: unknown, images: boolean, path: string, exact: ExactJson): Fields {
  const problems = new FieldProblems();
  const request = problems.object(converse, path, ['messages', 'system', 'toolConfig', 'additionalModelRequestFields']);
  const messages = chatMessages(request, `${path}.`, images, exact, problems);
  const { tools: toolList } = tools(request.toolConfig, `${path}.toolConfig`, problems) as Fields;
  const extra = extraFields(request.additionalModelRequestFields, `${path}.additionalModelRequestFields`, {}, problems);
  problems.throwIfAny();
  return { ...extra, messages, tools: toolList };
}

function inference(config: unknown, problems: FieldProblems): Fields {
  const { maxTokens, temperature, topP, topK, stopSequences: stop } = problems.optional(config, 'inferenceConfig', INFERENCE) ?? {};
  return defined({ max_tokens: maxTokens, temperature, top_p: topPOf(topP), top_k: topK, stop: isNothing(stop) ? undefined : stop });
}

function tools(config: unknown, path: string, problems: FieldProblems): Fields {
  if (config === undefined || config === null) {
    return {};
  }
  const { tools: given, toolChoice } = problems.object(config, path, ['tools', 'toolChoice']);
  const list: Fields[] = [];
  const names = new Set<unknown>();
  for (const block of blocksOf(given, `${path}.tools`, problems)) {
    if (block.kind === 'toolSpec') {
      const tool = toolOf(block.value, block.path, problems);
      const { name } = tool.function as Fields;
      if (names.has(name)) {
        problems.add(`${block.path}.name`, 'another tool has this name');
      }
      names.add(name);
      list.push(tool);
    } else {
      checkOther(block, 'tool', problems);
    }
  }
  return { tools: list, ...choiceOf(toolChoice, `${path}.toolChoice`, list, problems) };
}

function toolOf(spec: unknown, path: string, problems: FieldProblems): Fields {
  const { name, description, inputSchema, strict } = problems.object(spec, path, ['name', 'description', 'inputSchema', 'strict']);
  const parameters = problems.required(problems.object(inputSchema, `${path}.inputSchema`, ['json']).json, `${path}.inputSchema.json`, OBJECT);
  return functionTool({ name, description, parameters, strict }, path, problems);
}

function choiceOf(choice: unknown, path: string, list: Fields[], problems: FieldProblems): Fields {
  if (choice === undefined || choice === null) {
    return {};
  }
  const [kind, value] = problems.member(choice, path) ?? [];
  switch (kind) {
    case 'auto':
      return { tool_choice: 'auto' };
    case 'any':
      return { tool_choice: 'required' };
    case 'tool': {
      const { name } = problems.object(value, `${path}.tool`, ['name']);
      return { tool_choice: functionChoice(name, list, `${path}.tool.name`, problems) };
    }
    default:
      if (kind !== undefined) {
        problems.add(`${path}.${kind}`, 'expected auto, any or tool');
      }
      return {};
  }
}

function outputFormat(config: unknown, exact: ExactJson, problems: FieldProblems): Fields {
  const { textFormat, effort } = problems.optional(config, 'outputConfig', OUTPUT) ?? {};
  const reasoning = defined({ reasoning_effort: effort });
  if (!textFormat?.structure?.jsonSchema) {
    return reasoning;
  }
  const path = 'outputConfig.textFormat.structure.jsonSchema.schema';
  const { type, structure: { jsonSchema: { schema, name, description } } } = textFormat;
  try {
    const text = Buffer.from(schema || '{}');
    const parsed = problems.mayRead(text, path) ? problems.required(exact.parse(text), path, SCHEMA) : undefined;
    return { ...reasoning, response_format: { type, json_schema: defined({ name: name ?? 'answer', description, schema: parsed, strict: true }) } };
  } catch {
    problems.add(path, 'the schema is not JSON');
    return reasoning;
  }
}

/** What a caller asks of engines that Converse has no fields for, beside what it says in those: Bedrock refuses what is said in both. */
function extraFields(fields: unknown, path: string, own: Fields, problems: FieldProblems): Fields {
  if (fields === undefined || fields === null) {
    return {};
  }
  const given = problems.object(fields, path);
  const reserved = reservedMember(given);
  if (reserved !== undefined) {
    problems.add(`${path}.${reserved}`, 'this is not for callers to give here');
  } else {
    problems.required(given, path, CHAT_SETTINGS);
    checkSettings(given, `${path}.`, problems);
  }
  UNTOLD.filter((name) => Boolean(given[name])).forEach((name) => problems.add(`${path}.${name}`, 'what this asks for is not told here'));
  for (const [name, field] of Object.entries(OWN_FIELDS)) {
    if ((given[name] ?? null) !== null && (own[name] ?? null) !== null) {
      problems.add(`${path}.${name}`, `this conflicts with ${field}: give one of them`);
    }
  }
  return given;
}
