import { IncomingHttpHeaders } from 'node:http';
import { nearestNames } from '../../../nearest';
import { RouterConfig } from '../config';
import { BedrockWire } from '../wire/bedrock/bedrock-wire';
import { parseConverse } from '../wire/bedrock/converse-request';
import { ConverseWire } from '../wire/bedrock/converse-wire';
import { CountTokensWire, parseCountTokens } from '../wire/bedrock/count-tokens';
import { InvokeModelWire, parseInvocation } from '../wire/bedrock/invoke-model';
import { CallerWire } from '../wire/caller-wire';
import { EngineRequest } from '../wire/engine-request';
import { checkServed, FieldProblems } from '../wire/fields';
import { checkGuardrail } from '../wire/guardrail';
import { parseOpenAi } from '../wire/openai-request';
import { OPENAI_WIRE, TIERED_OPENAI_WIRE } from '../wire/openai-wire';
import { parseResponses } from '../wire/responses/responses-request';

/** What an engine is asked for a caller, and how the caller is told. */
export interface Call {
  readonly request: EngineRequest;
  readonly wire: CallerWire;
}

/** Something that callers may ask engines for. */
export interface Operation {
  /** As metrics and log name it. */
  readonly name: string;
  /** How a caller is told of an error before its request is understood. */
  readonly wire: CallerWire;
  /**
   * Reads a request. Throws ApiError with everything that is wrong with it.
   *
   * @param body the body.
   * @param config what is served.
   * @param headers its headers.
   */
  read(body: Buffer, config: RouterConfig, headers: IncomingHttpHeaders): Call;
}

const OPENAI_PREFIX = '/openai';
const MODEL_PATH = /^(?:\/openai)?\/v1\/models\/(.+)$/;
/** `/model/{modelId}/{operation}`: the id is one segment of the raw path, in which a slash or a colon is encoded. */
const BEDROCK_PATH = /^\/model\/([^/]+)\/([^/]+)$/;
const BEDROCK_OPERATIONS = ['converse', 'converse-stream', 'invoke', 'invoke-with-response-stream', 'count-tokens'];
/** What Bedrock's paths begin with. */
const BEDROCK_PATHS = /^\/(?:(?:model|guardrail|guardrail-checks)\/|async-invoke(?:\/|$))/;
/** Longer paths are no slips of the pen. */
const MAX_MISTYPED_LENGTH = 512;

const openAi = (name: string, call: (body: Buffer, model: RouterConfig['model']) => Call): Operation => ({
  name,
  wire: OPENAI_WIRE,
  read: (body, { model }, headers) => {
    const problems = new FieldProblems();
    checkGuardrail(headers, problems);
    problems.throwIfAny();
    return call(body, model);
  },
});
const completions = (name: string, path: '/v1/chat/completions' | '/v1/completions'): Operation => (
  openAi(name, (body, model) => {
    const request = parseOpenAi(path, body, model);
    return { request, wire: (request.body.service_tier ?? null) === null ? OPENAI_WIRE : TIERED_OPENAI_WIRE };
  }));
const OPENAI: ReadonlyMap<string, Operation> = new Map([
  ['/v1/chat/completions', completions('chat_completions', '/v1/chat/completions')],
  ['/v1/completions', completions('completions', '/v1/completions')],
  ['/v1/responses', openAi('responses', parseResponses)],
]);
/** Where the names of the model are told, and, below it, each of them alone. */
export const MODELS_PATH = '/v1/models';
const CONVERSE = new ConverseWire();
const COUNT_TOKENS = new CountTokensWire();
const INVOKE = new InvokeModelWire(false);

/** The operation at a path; undefined if there is none. */
export function operationAt(path: string): Operation | undefined {
  const known = OPENAI.get(path.startsWith(OPENAI_PREFIX) ? path.slice(OPENAI_PREFIX.length) : path);
  if (known !== undefined) {
    return known;
  }
  const [, segment, operation] = BEDROCK_PATH.exec(path) ?? [];
  return BEDROCK_OPERATIONS.includes(operation) ? bedrockOperation(decoded(segment), operation) : undefined;
}

/** The path of an operation, with a placeholder for the model that its caller names there. */
export function patternOf(path: string): string {
  return path.replace(BEDROCK_PATH, '/model/{modelId}/$2');
}

/** The model that is asked about at a path below that of all of them; undefined if the path is another. A slash of its name may be encoded or not. */
export function modelAt(path: string): string | undefined {
  const [, name] = MODEL_PATH.exec(path) ?? [];
  return name === undefined ? undefined : decoded(name);
}

/** The path of an operation that may have been meant by one at which there is nothing; undefined if none is near. */
export function pathNear(path: string): string | undefined {
  const [, segment, operation] = BEDROCK_PATH.exec(path) ?? [];
  if (path.length > MAX_MISTYPED_LENGTH) {
    return undefined;
  }
  const near = segment === undefined ? nearestNames(path, [...OPENAI.keys(), MODELS_PATH])[0] : nearestNames(operation, BEDROCK_OPERATIONS)[0];
  return segment === undefined || near === undefined ? near : `/model/${segment}/${near}`;
}

/** Whether a caller at this path speaks to Bedrock, though there may be nothing there. */
export function wireAt(path: string): CallerWire {
  return BEDROCK_PATHS.test(path) ? CONVERSE : OPENAI_WIRE;
}

function bedrockOperation(model: string, operation: string): Operation {
  const name = operation.replaceAll('-', '_');
  const on = (wire: BedrockWire, call: (body: Buffer, images: boolean, headers: IncomingHttpHeaders) => Call): Operation => ({
    name,
    wire,
    read: (body, config, headers) => {
      checkServed(model, config.model.servedNames);
      const { request, wire: answered } = call(body, config.model.images, headers);
      return { request: { bedrock: { operation, bytes: body }, ...request }, wire: answered };
    },
  });
  switch (operation) {
    case 'converse':
    case 'converse-stream':
      return on(CONVERSE, (body, images) => ({ request: parseConverse(body, model, operation === 'converse-stream', images), wire: CONVERSE }));
    case 'count-tokens':
      return on(COUNT_TOKENS, (body, images) => ({ request: parseCountTokens(body, model, images), wire: COUNT_TOKENS }));
    default:
      return on(INVOKE, (body, images, headers) => parseInvocation(body, headers, model, operation === 'invoke-with-response-stream', images));
  }
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
