import { ApiError, BODY_TIMEOUT, engineFailed, invalid } from '../api-error';
import { AnsweredRequest, CallerStream } from '../caller-wire';
import { EngineRequest } from '../engine-request';
import { WholeAnswer } from '../whole-answer';
import { BedrockWire } from './bedrock-wire';
import { parsePrompt } from './converse-request';
import { parseInvocation } from './invoke-model';
import { ExactJson } from '../exact-json';
import { defined, FieldProblems, Fields } from '../fields';
import { TEXT } from '../kinds';
import { isBase64 } from '../media';

/** Where engines count tokens. */
export const TOKENIZE = '/tokenize';

/** The refusal where no engine counts tokens, in Bedrock's words: agents that see them estimate instead (https://github.com/maximhq/bifrost/pull/2169). */
export const countsNoTokens = () => invalid('invalid_request', 'The provided model doesn\'t support counting tokens.');

/** What `/tokenize` is told of a prompt. */
const COUNTED = [
  'messages', 'tools', 'prompt', 'add_generation_prompt', 'add_special_tokens', 'chat_template_kwargs', 'continue_final_message', 'media_io_kwargs',
  'mm_processor_kwargs',
];
/** What a completion would change its prompt for, and `/tokenize` does not know. */
const UNCOUNTED = [
  'documents', 'images_config', 'max_dynamic_patch', 'min_dynamic_patch', 'reasoning', 'reasoning_effort', 'task', 'truncate_prompt_tokens', 'use_audio_in_video',
];

/** Statuses that Bedrock's other operations have an exception of a model for. */
const MODELS_FAILURES = new Set([408, 424, 502, 504]);

/**
 * Translates a request of CountTokens into one for vLLM's `/tokenize`, which renders the chat template as a completion would.
 *
 * Throws ApiError with everything that is wrong with it.
 */
export function parseCountTokens(bytes: Buffer, model: string, images: boolean): EngineRequest {
  const problems = new FieldProblems();
  const exact = new ExactJson();
  const [kind, value] = problems.member(problems.object(exact.object(bytes), '', ['input']).input, 'input') ?? [];
  let prompt: Fields = {};
  if (kind === 'converse') {
    prompt = counted(parsePrompt(value, images, 'input.converse', exact), 'input.converse.additionalModelRequestFields', problems);
  } else if (kind === 'invokeModel') {
    prompt = promptOf(problems.object(value, 'input.invokeModel', ['body']).body, model, images, exact, problems);
  } else if (kind !== undefined) {
    problems.add(`input.${kind}`, 'expected converse or invokeModel');
  }
  problems.throwIfAny();
  const body = { model, ...prompt };
  return { path: TOKENIZE, model, stream: false, bytes: Buffer.from(exact.stringify(body)), body };
}

/** What the tokens are counted of in a request. */
function counted(request: Fields, path: string, problems: FieldProblems): Fields {
  UNCOUNTED.filter((name) => (request[name] ?? null) !== null).forEach((name) => problems.add(`${path}.${name}`, 'tokens are not counted with this here'));
  return defined(Object.fromEntries(COUNTED.map((name) => [name, request[name]])));
}

/** What a model reads of the body of an InvokeModel, which is in base64, as every blob in JSON. */
function promptOf(base64: unknown, model: string, images: boolean, exact: ExactJson, problems: FieldProblems): Fields {
  const path = 'input.invokeModel.body';
  const text = problems.required(base64, path, TEXT) ?? '';
  if (!isBase64(text)) {
    problems.add(path, 'expected base64');
  }
  const body = Buffer.from(text, 'base64');
  problems.mayRead(body, path);
  problems.throwIfAny();
  try {
    return counted(exact.object(parseInvocation(body, {}, model, false, images).request.bytes), path, problems);
  } catch (e) {
    throw e instanceof ApiError ? invalid(e.code, `${path}: ${e.message}`, path) : e;
  }
}

/**
 * Callers of CountTokens.
 */
export class CountTokensWire extends BedrockWire {
  /** No model works where tokens are counted, so that Bedrock has no exception here for one that fails: whatever does is the service. */
  public error(error: ApiError): WholeAnswer {
    const isModels = MODELS_FAILURES.has(error.status) && error.code !== BODY_TIMEOUT;
    return super.error(isModels ? new ApiError(500, 'server_error', error.code, error.message) : error);
  }

  public stream(): CallerStream {
    throw new Error('tokens are counted in one answer');
  }

  protected translate({ body }: WholeAnswer, _: AnsweredRequest): WholeAnswer {
    let count: unknown;
    try {
      ({ count } = JSON.parse(body.toString('utf8')));
    } catch {
      // told below.
    }
    if (typeof count !== 'number') {
      throw engineFailed('the engine does not count tokens');
    }
    return { status: 200, headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify({ inputTokens: count })) };
  }
}
