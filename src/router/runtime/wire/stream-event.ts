import { ApiError, isTheCallers, TOO_BUSY } from './api-error';
import { chunkOf, isGivenUp } from './completion';
import { isOpenAiError, refusalTold } from './engine-refusal';
import { Fields, isNothing, isObject } from './fields';
import { KV_PARAMS } from './kv-members';
import { Usage, usageOf } from './usage';

/** What one event of a streamed answer says, and what it tells of usage. */
export interface StreamEventMeaning extends Usage {
  readonly kind: 'chunk' | 'usage' | 'done' | 'error';
  /** Whether it holds a part of the answer: engines begin with a role, which they tell even if they then cannot answer, and end with a reason. */
  readonly isPart?: true;
  /** Whether it ends the answer, or a choice of it, and whether the engine gave that up. */
  readonly end?: 'reached' | 'given_up';
  /** What the event would be as an answer of its own, if it tells of an error, and whether it is told in the terms of the OpenAI API. */
  readonly error?: ApiError;
  readonly isOpenAiError?: boolean;
}

/** Where an event says why its choice ends. A quote within generated text is escaped, so text never looks like it. */
const FINISH_REASON = 'finish_reason":';
const REASONS_TO_END = /"finish_reason":\s*"([^"]+)"/g;

/**
 * Reads the `data` of an event. Nearly all are chunks of text, which are not read by this: see `isChunkOfText`.
 *
 * Throws EngineError if it is no JSON.
 */
export function readStreamEvent(data: string): StreamEventMeaning {
  if (data === '[DONE]') {
    return { kind: 'done' };
  }
  const reasons = [...data.matchAll(REASONS_TO_END)];
  const end = reasons.length === 0 ? undefined : reasons.some(([, reason]) => isGivenUp(reason)) ? 'given_up' : 'reached';
  const event = chunkOf(data);
  const { object, error, usage, choices } = event;
  if ((error ?? null) !== null || object === 'error') {
    return errorTold(event);
  }
  const told = Array.isArray(choices) ? choices : [];
  const kind = isObject(usage) && told.length === 0 ? 'usage' : 'chunk';
  return { kind, isPart: told.some(isPartOfAnswer) ? true : undefined, end, ...(isObject(usage) && usageOf(usage)) };
}

/** Whether an event is a chunk, on one line, that is not the last of its choice. What ends with a line feed at `end` is looked at, which another has to follow. */
export function isChunkOfText(events: string, start: number, end: number): boolean {
  const reason = events.lastIndexOf(FINISH_REASON, end);
  return events.startsWith('data: {', start) && events.startsWith('}\n\n', end - 1)
    // engines that pass others on tell of these too, as `native_finish_reason`
    && reason > start && events[reason - 1] === '"' && events.startsWith('null', reason + FINISH_REASON.length);
}

/** Reads the `data` of an event whose name says that it tells of an error, be it JSON or not. */
export function readErrorEvent(data: string): StreamEventMeaning {
  try {
    return errorTold(chunkOf(data));
  } catch {
    return errorTold({ message: data });
  }
}

/** Whether what an event says instead of an answer is the caller's to know: a refusal, or that the engine has too much to do. */
export function isRefusal({ status }: ApiError): boolean {
  return isTheCallers(status) || TOO_BUSY.has(status);
}

/** Cerebras has the status beside the error, vLLM and SGLang have it for its code. */
function errorTold(event: Fields): StreamEventMeaning {
  const { error, code, status_code: beside } = event;
  const told = [beside, isObject(error) ? error.code : code].find((status) => Number.isInteger(status)) as number | undefined;
  const status = told !== undefined && told >= 400 && told < 600 ? told : 500;
  return { kind: 'error', error: refusalTold(status, event, status === 429 ? '1' : undefined), isOpenAiError: isOpenAiError(event) };
}

/**
 * What `readStreamEvent` reads, what is between the engines, and lines that do not end with a line feed alone. Searches are fast for what begins with a letter
 * that events have few of, which a quote is not.
 */
const TOLD_BESIDE_TEXT = ['DONE]', 'rror"', KV_PARAMS, '\r'];
const USAGE = 'usage"';
/** What some engines say in every chunk while there is no usage to tell. */
const NO_USAGE = /: ?null/y;

/** Where events, from one on, may first say something besides text. */
export function moreThanText(events: string, start: number): number {
  let first = usageAt(events, start);
  for (const told of TOLD_BESIDE_TEXT) {
    const at = events.indexOf(told, start);
    if (at !== -1 && at < first) {
      first = at;
    }
  }
  return first;
}

/** Where events first tell usage; their length if they do not. */
function usageAt(events: string, start: number): number {
  for (let at = events.indexOf(USAGE, start); at !== -1; at = events.indexOf(USAGE, NO_USAGE.lastIndex)) {
    NO_USAGE.lastIndex = at + USAGE.length;
    if (!NO_USAGE.test(events)) {
      return at;
    }
  }
  return events.length;
}

function isPartOfAnswer(choice: unknown): boolean {
  const { text, delta } = isObject(choice) ? choice : {} as Fields;
  return !isNothing(text) || (isObject(delta) && Object.entries(delta).some(([name, value]) => name !== 'role' && !isNothing(value)));
}
