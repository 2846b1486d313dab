import { EngineError, engineFailed } from './api-error';
import { AnsweredRequest } from './caller-wire';
import { Fields, isNothing, isObject } from './fields';
import { WholeAnswer } from './whole-answer';

/** A call of a tool, or a part of one in a stream. */
export interface CallPart {
  /** What tells it from others; engines need not say. */
  readonly index: unknown;
  readonly id: unknown;
  /** Of the tool; in a stream the first part has it. */
  readonly name?: string;
  readonly input: string;
}

/** What a message says, or a part of one in a stream. */
export interface Said {
  readonly reasoning?: string;
  readonly text?: string;
  /** What the model says instead of an answer. */
  readonly refusal?: string;
  readonly calls: readonly CallPart[];
}

/** What a message says, or a part of one in a stream. Throws EngineError for what is none, or what no caller here could be told. */
export function saidIn(message: unknown): Said {
  if (!isObject(message)) {
    throw noChatCompletion();
  }
  const { reasoning, reasoning_content: thought, content, refusal, tool_calls: calls, function_call: call } = message;
  if (!isNothing(call) || !(isNothing(calls) || Array.isArray(calls))) {
    throw noChatCompletion();
  }
  return {
    // engines call it by two names.
    reasoning: textOf(reasoning ?? thought),
    text: textOf(content),
    refusal: textOf(refusal),
    calls: Array.isArray(calls) ? calls.map(callPartOf) : [],
  };
}

/** A call of a tool. */
export interface Call {
  /** Undefined if the engine tells none, or has given it to another call. */
  readonly id?: string;
  readonly name: string;
  /** Empty if there is none. */
  readonly input: string;
}

/** What a model said in the end. */
export interface Message extends Omit<Said, 'calls'> {
  readonly calls: readonly Call[];
}

/** What a model said in a chat completion. Throws EngineError if it is none, or says what no caller here could be told. */
export function messageOf({ choices: [{ message }] }: Completion): Message {
  const { calls, ...said } = saidIn(message);
  const ids = new CallIds();
  return {
    ...said,
    calls: calls.map(({ id, name, input }) => {
      if (name === undefined) {
        throw namelessCall();
      }
      return { id: ids.taken(id), name, input: isNoInput(input) ? '' : input };
    }),
  };
}

/** Whether a call is one without arguments: models write `null` for those of tools that have none. */
export function isNoInput(input: string): boolean {
  return /^\s*(?:null)?\s*$/.test(input);
}

/** The ids of the calls of one answer, by which callers tell them apart. */
export class CallIds {
  private readonly ids = new Set<unknown>();

  /** The id of a call; undefined if the engine tells none, or has given it to another call. */
  public taken(id: unknown): string | undefined {
    if (typeof id !== 'string' || id === '' || this.ids.has(id)) {
      return undefined;
    }
    this.ids.add(id);
    return id;
  }
}

/** What becomes of a call that does not say of what. */
export function namelessCall(): EngineError {
  return engineFailed('the engine calls a tool without a name');
}

function noChatCompletion(): EngineError {
  return engineFailed('the engine answers with something that is no chat completion');
}

function callPartOf(part: unknown): CallPart {
  const { index, id, function: called } = isObject(part) ? part : {} as Fields;
  const { name, arguments: input } = isNothing(called) ? {} as Fields : isObject(called) ? called : { name: called };
  return { index, id, name: textOf(name), input: textOf(input) ?? '' };
}

function textOf(told: unknown): string | undefined {
  if (isNothing(told)) {
    return undefined;
  }
  if (typeof told !== 'string') {
    throw noChatCompletion();
  }
  return told;
}

/** Whether an engine says with the reason for its end that it gave up: vLLM's `abort` and `error`. */
export function isGivenUp(finishReason: unknown): boolean {
  return finishReason === 'abort' || finishReason === 'error';
}

/** What a model stopped at, which vLLM and SGLang call by two names: a stop sequence, or the id of a token. */
export function stoppedAt({ stop_reason: stop, matched_stop: matched }: Fields): unknown {
  return stop ?? matched;
}

/** A completion that the engine ended. */
export interface Completion extends Fields {
  readonly choices: (Fields & { readonly finish_reason: string })[];
}

/** A whole completion of so many choices or more. Throws EngineError if it is none, or was given up. */
export function completionOf({ body }: WholeAnswer, { choices }: Pick<AnsweredRequest, 'choices'>): Completion {
  let completion: unknown;
  try {
    completion = JSON.parse(body.toString('utf8'));
  } catch {
    // told below.
  }
  if (!isObject(completion) || !Array.isArray(completion.choices) || completion.choices.length === 0 || !completion.choices.every(isObject)) {
    throw engineFailed('the engine answers with something that is no completion');
  }
  if (completion.choices.length < choices) {
    throw engineFailed(`the engine answers with ${completion.choices.length} of ${choices} choices`);
  }
  if (completion.choices.some(({ finish_reason: reason }) => typeof reason !== 'string' || isGivenUp(reason))) {
    throw engineFailed('the engine ended its answer before it was whole');
  }
  return completion as unknown as Completion;
}

/** Throws EngineError if an event is no chunk of a completion. */
export function chunkOf(data: string): Fields {
  try {
    const chunk: unknown = JSON.parse(data);
    if (isObject(chunk)) {
      return chunk;
    }
  } catch {
    // told below.
  }
  throw engineFailed('the engine streams something that is no completion');
}
