import { checkMetadata, contentOf, functionChoice, functionTool, IMAGE_FORMATS } from '../chat-parts';
import { EngineRequest, reservedMember } from '../engine-request';
import { defined, FieldProblems, Fields, isTooDeep, jsonObject } from '../fields';
import { check, UNSUPPORTED } from '../kinds';
import { CHAT_SETTINGS, checkLengths, REASONING_EFFORTS } from '../openai-fields';

const MAX_STOP_SEQUENCES = 2500;
/** What is said in a request and cannot be honoured here. */
const REFUSED = ['guardrailConfig', 'promptVariables', 'additionalModelResponseFieldPaths'];
/** The fields of a request. */
const FIELDS = [
  'messages', 'system', 'inferenceConfig', 'toolConfig', 'projectIdentifier', 'additionalModelRequestFields', 'requestMetadata', 'performanceConfig',
  'serviceTier', 'outputConfig', ...REFUSED,
];

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
  const problems = new FieldProblems();
  const request = problems.object(jsonObject(bytes), '', FIELDS);
  const messages = [...systemMessages(request.system, problems), ...chatMessages(request.messages, images, problems)];
  const body = {
    model,
    messages,
    stream,
    ...(stream && { stream_options: { include_usage: true } }),
    ...inference(request.inferenceConfig, problems),
    ...tools(request.toolConfig, problems),
    ...outputFormat(request.outputConfig, problems),
    ...extraFields(request.additionalModelRequestFields, problems),
  };
  for (const name of REFUSED) {
    check(UNSUPPORTED, request[name] ?? {}, name, problems);
  }
  checkLengths(body, problems);
  checkMetadata(request.requestMetadata, 'requestMetadata', problems);
  only(request.performanceConfig, 'performanceConfig', 'latency', ['standard'], problems);
  const serviceTier = only(request.serviceTier, 'serviceTier', 'type', ['priority', 'default', 'flex'], problems);
  problems.throwIfAny();
  return { path: '/v1/chat/completions', model, stream, bytes: Buffer.from(JSON.stringify(body)), body, serviceTier };
}

/**
 * Translates messages, system prompt and tools alone, for counting their tokens.
 */
export function parsePrompt(converse: unknown, images: boolean, path: string): Fields {
  const problems = new FieldProblems();
  const request = problems.object(converse, path, ['messages', 'system', 'toolConfig', 'additionalModelRequestFields']);
  const messages = [...systemMessages(request.system, problems), ...chatMessages(request.messages, images, problems)];
  const { tools: toolList } = tools(request.toolConfig, problems) as Fields;
  problems.throwIfAny();
  return { messages, ...(toolList !== undefined && { tools: toolList }) };
}

function systemMessages(system: unknown, problems: FieldProblems): Fields[] {
  if (system === undefined || system === null) {
    return [];
  }
  const texts: string[] = [];
  problems.list(system, 'system').forEach((block, i) => {
    const path = `system[${i}]`;
    const [kind, value] = problems.member(block, path) ?? [];
    if (kind === 'text') {
      texts.push(problems.text(value, `${path}.text`));
    } else if (kind !== undefined && kind !== 'cachePoint') {
      problems.add(`${path}.${kind}`, 'this kind of content is not supported here');
    }
  });
  return texts.length === 0 ? [] : [{ role: 'system', content: texts.join('\n\n') }];
}

function chatMessages(messages: unknown, images: boolean, problems: FieldProblems): Fields[] {
  return problems.list(messages, 'messages', 1).flatMap((given, i) => {
    const path = `messages[${i}]`;
    const { role, content } = problems.object(given, path, ['role', 'content']);
    if (role !== 'user' && role !== 'assistant') {
      problems.add(`${path}.role`, `expected user or assistant, got ${JSON.stringify(role) ?? 'nothing'}`);
    }
    const blocks = problems.list(content, `${path}.content`, 1).map((block, j) => ({ at: `${path}.content[${j}]`, block }));
    return role === 'assistant' ? [assistantMessage(blocks, problems)] : userMessages(blocks, images, problems);
  });
}

interface Block {
  readonly at: string;
  readonly block: unknown;
}

function userMessages(blocks: Block[], images: boolean, problems: FieldProblems): Fields[] {
  const results: Fields[] = [];
  const parts: Fields[] = [];
  for (const { at, block } of blocks) {
    const [kind, value] = problems.member(block, at) ?? [];
    switch (kind) {
      case 'text':
        parts.push({ type: 'text', text: problems.text(value, `${at}.text`) });
        break;
      case 'image':
        parts.push(imagePart(value, `${at}.image`, images, problems));
        break;
      case 'toolResult':
        results.push(toolMessage(value, `${at}.toolResult`, problems));
        break;
      case 'cachePoint':
      case undefined:
        break;
      default:
        problems.add(`${at}.${kind}`, 'this kind of content is not supported here');
    }
  }
  return [...results, ...(parts.length === 0 ? [] : [{ role: 'user', content: contentOf(parts) }])];
}

// what a model thought before is not told to it again: the templates of open models leave it out too
function assistantMessage(blocks: Block[], problems: FieldProblems): Fields {
  const parts: Fields[] = [];
  const calls: Fields[] = [];
  for (const { at, block } of blocks) {
    const [kind, value] = problems.member(block, at) ?? [];
    switch (kind) {
      case 'text':
        parts.push({ type: 'text', text: problems.text(value, `${at}.text`) });
        break;
      case 'toolUse': {
        const { toolUseId, name, input } = problems.object(value, `${at}.toolUse`, ['toolUseId', 'name', 'input', 'type']);
        calls.push({
          id: problems.text(toolUseId, `${at}.toolUse.toolUseId`),
          type: 'function',
          function: { name: problems.text(name, `${at}.toolUse.name`), arguments: JSON.stringify(input ?? {}) },
        });
        break;
      }
      case 'cachePoint':
      case 'reasoningContent':
      case undefined:
        break;
      default:
        problems.add(`${at}.${kind}`, 'this kind of content is not supported here');
    }
  }
  return { role: 'assistant', content: parts.length === 0 ? null : contentOf(parts), ...(calls.length > 0 && { tool_calls: calls }) };
}

function imagePart(image: unknown, path: string, images: boolean, problems: FieldProblems): Fields {
  const { format, source } = problems.object(image, path, ['format', 'source', 'error']);
  const [kind, bytes] = problems.member(source, `${path}.source`) ?? [];
  if (!images) {
    problems.add(path, 'the model reads no images');
  } else if (!IMAGE_FORMATS.includes(format as string)) {
    problems.add(`${path}.format`, `expected one of ${IMAGE_FORMATS.join(', ')}`);
  } else if (kind !== undefined && kind !== 'bytes') {
    problems.add(`${path}.source.${kind}`, 'give the bytes of the image');
  }
  return { type: 'image_url', image_url: { url: `data:image/${format};base64,${kind === 'bytes' ? problems.text(bytes, `${path}.source.bytes`) : ''}` } };
}

function toolMessage(result: unknown, path: string, problems: FieldProblems): Fields {
  const { toolUseId, content, status } = problems.object(result, path, ['toolUseId', 'content', 'status', 'type']);
  problems.oneOf(status, `${path}.status`, ['success', 'error']);
  const texts = problems.list(content, `${path}.content`).map((block, i) => {
    const at = `${path}.content[${i}]`;
    const [kind, value] = problems.member(block, at) ?? [];
    if (kind === 'json') {
      return JSON.stringify(value);
    }
    if (kind !== undefined && kind !== 'text') {
      problems.add(`${at}.${kind}`, 'this kind of content is not supported here');
      return '';
    }
    return kind === undefined ? '' : problems.text(value, `${at}.text`);
  });
  return { role: 'tool', tool_call_id: problems.text(toolUseId, `${path}.toolUseId`), content: texts.join('\n') };
}

function inference(config: unknown, problems: FieldProblems): Fields {
  // Bedrock has no topK here; the AI SDK does.
  const { maxTokens, temperature, topP, topK, stopSequences } =
    problems.optionalObject(config, 'inferenceConfig', ['maxTokens', 'temperature', 'topP', 'topK', 'stopSequences']);
  const stop = stopSequences === undefined || stopSequences === null ? [] : problems.list(stopSequences, 'inferenceConfig.stopSequences');
  stop.forEach((sequence, i) => {
    if (typeof sequence !== 'string' || sequence === '') {
      problems.add(`inferenceConfig.stopSequences[${i}]`, 'expected a string that is not empty');
    }
  });
  if (stop.length > MAX_STOP_SEQUENCES) {
    problems.add('inferenceConfig.stopSequences', `expected at most ${MAX_STOP_SEQUENCES}`);
  }
  return defined({
    max_tokens: problems.number(maxTokens, 'inferenceConfig.maxTokens', 1, 2 ** 31 - 1, true),
    temperature: problems.number(temperature, 'inferenceConfig.temperature', 0, 1),
    top_p: problems.number(topP, 'inferenceConfig.topP', 0, 1),
    top_k: problems.number(topK, 'inferenceConfig.topK', 0, 2 ** 31 - 1, true),
    stop: stop.length === 0 ? undefined : stop,
  });
}

function tools(config: unknown, problems: FieldProblems): Fields {
  if (config === undefined || config === null) {
    return {};
  }
  const { tools: given, toolChoice } = problems.object(config, 'toolConfig', ['tools', 'toolChoice']);
  const list: Fields[] = [];
  problems.list(given, 'toolConfig.tools', 1).forEach((tool, i) => {
    const path = `toolConfig.tools[${i}]`;
    const [kind, value] = problems.member(tool, path) ?? [];
    if (kind === 'toolSpec') {
      list.push(toolOf(value, `${path}.toolSpec`, problems));
    } else if (kind !== undefined && kind !== 'cachePoint') {
      problems.add(`${path}.${kind}`, 'this kind of tool is not supported here');
    }
  });
  return { tools: list, ...choiceOf(toolChoice, list, problems) };
}

function toolOf(spec: unknown, path: string, problems: FieldProblems): Fields {
  const { name, description, inputSchema, strict } = problems.object(spec, path, ['name', 'description', 'inputSchema', 'strict']);
  const parameters = problems.object(problems.object(inputSchema, `${path}.inputSchema`, ['json']).json, `${path}.inputSchema.json`);
  return functionTool({ name, description, parameters, strict }, path, problems);
}

function choiceOf(choice: unknown, list: Fields[], problems: FieldProblems): Fields {
  if (choice === undefined || choice === null) {
    return {};
  }
  const [kind, value] = problems.member(choice, 'toolConfig.toolChoice') ?? [];
  switch (kind) {
    case 'auto':
      return { tool_choice: 'auto' };
    case 'any':
      return { tool_choice: 'required' };
    case 'tool': {
      const { name } = problems.object(value, 'toolConfig.toolChoice.tool', ['name']);
      return { tool_choice: functionChoice(name, list, 'toolConfig.toolChoice.tool.name', problems) };
    }
    default:
      if (kind !== undefined) {
        problems.add(`toolConfig.toolChoice.${kind}`, 'expected auto, any or tool');
      }
      return {};
  }
}

function outputFormat(config: unknown, problems: FieldProblems): Fields {
  const { textFormat, effort } = problems.optionalObject(config, 'outputConfig', ['textFormat', 'effort']);
  const reasoning = defined({ reasoning_effort: problems.oneOf(effort, 'outputConfig.effort', REASONING_EFFORTS) });
  if (textFormat === undefined || textFormat === null) {
    return reasoning;
  }
  const path = 'outputConfig.textFormat';
  const { type, structure } = problems.object(textFormat, path, ['type', 'structure']);
  if (type !== 'json_schema') {
    problems.add(`${path}.type`, `expected json_schema, got ${JSON.stringify(type) ?? 'nothing'}`);
    return reasoning;
  }
  const at = `${path}.structure.jsonSchema`;
  const { schema, name, description } = problems.object(problems.object(structure, `${path}.structure`, ['jsonSchema']).jsonSchema, at, ['schema', 'name', 'description']);
  problems.optionalText(name, `${at}.name`);
  problems.optionalText(description, `${at}.description`);
  try {
    const parsed = problems.object(JSON.parse(problems.text(schema, `${at}.schema`) || '{}'), `${at}.schema`);
    if (isTooDeep(parsed)) {
      problems.add(`${at}.schema`, 'the schema is nested too deeply');
    }
    return { ...reasoning, response_format: { type, json_schema: defined({ name: name ?? 'answer', description, schema: parsed, strict: true }) } };
  } catch {
    problems.add(`${at}.schema`, 'the schema is not JSON');
    return reasoning;
  }
}

function extraFields(fields: unknown, problems: FieldProblems): Fields {
  if (fields === undefined || fields === null) {
    return {};
  }
  const given = problems.object(fields, 'additionalModelRequestFields');
  const reserved = reservedMember(given);
  if (reserved !== undefined) {
    problems.add(`additionalModelRequestFields.${reserved}`, 'this is not for callers to give here');
  } else {
    check(CHAT_SETTINGS, given, 'additionalModelRequestFields', problems);
  }
  return given;
}

function only(given: unknown, path: string, member: string, allowed: string[], problems: FieldProblems): unknown {
  const value = problems.optionalObject(given, path, [member])[member];
  if (value !== undefined && value !== null && !allowed.includes(value as string)) {
    problems.add(`${path}.${member}`, `${JSON.stringify(value)} is not supported here, ${allowed.join(', ')} is`);
  }
  return value;
}
