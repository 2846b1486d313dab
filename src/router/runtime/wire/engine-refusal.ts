import { ApiError } from './api-error';
import { Fields, isObject, MAX_PROBLEMS } from './fields';
import { WholeAnswer } from './whole-answer';

/** `error.code` of OpenAI's for a prompt that is longer than the model reads. */
export const CONTEXT_LENGTH_EXCEEDED = 'context_length_exceeded';
/** How engines say so, which have no code for it; of an answer that would be too long, some speak of the same length. */
const TOO_LONG = /context (?:length|size|window)|maximum model length|reduce the length of/i;
const ANSWER_TOO_LONG = /max_(?:completion_)?tokens.* is too large/i;

/** Whether what an engine tells of its refusal or failure is in the terms of the OpenAI API. */
export function isOpenAiError({ error }: Fields): boolean {
  return isObject(error) && typeof error.message === 'string';
}

/** An engine's refusal or failure in the terms of the OpenAI API, with its status, whichever terms it is told in. */
export function refusalOf(answer: WholeAnswer): ApiError {
  return refusalTold(answer.status, membersOf(answer), answer.headers['retry-after']);
}

/** The same of what an engine tells with a status, as in the midst of a stream. */
export function refusalTold(status: number, members: Fields, retryAfter?: string): ApiError {
  const { error, detail } = members;
  const { message, type, code, param } = isObject(error) ? error : { ...members, message: members.message ?? error };
  const problems = Array.isArray(detail) ? detail.filter(isObject).slice(0, MAX_PROBLEMS) : [];
  const told = [message, detail, problems.map(problemOf).join('; ')].find(isText);
  return new ApiError(
    status,
    isText(type) ? type : status === 429 ? 'rate_limit_error' : status < 500 ? 'invalid_request_error' : 'server_error',
    isText(code) ? code : status === 400 && isText(told) && isTooLong(told) ? CONTEXT_LENGTH_EXCEEDED : 'engine_refused',
    told ?? (status < 500 ? 'the engine refused the request' : `the engine failed with status ${status}`),
    retryAfter === undefined ? {} : { 'retry-after': retryAfter },
    isText(param) ? param : problems.map(fieldOf).find(isText),
  );
}

function isTooLong(told: string): boolean {
  return TOO_LONG.test(told) && !ANSWER_TOO_LONG.test(told);
}

/** What an answer tells; nothing if it is no JSON object, as the pages of a proxy are none. */
export function membersOf({ body }: WholeAnswer): Fields {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

/** One of FastAPI's problems, such as `{"loc": ["body", "messages", 0], "msg": "Field required"}`. */
function problemOf(problem: Fields): string {
  return [fieldOf(problem), problem.msg].filter(isText).join(': ');
}

function fieldOf({ loc }: Fields): string {
  const [first, ...names] = Array.isArray(loc) ? loc as unknown[] : [];
  return (first === 'body' ? names : [first, ...names])
    .reduce<string>((path, name) => (typeof name === 'number' ? `${path}[${name}]` : isText(name) ? `${path}${path && '.'}${name}` : path), '');
}
