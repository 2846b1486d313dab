import { FieldProblems, Fields, isObject } from './fields';
import { OpenCalls } from './open-calls';

/*
 * What fields ask for together, each of which is right by itself. No engine honours what is noted here: it is refused by some, and left out without a word by
 * others. Fields of another kind than they may be are left to the kinds.
 */

/** Notes what a completion of either kind asks for and cannot have. */
export function checkTogether(body: Fields, problems: FieldProblems): void {
  const { stream, stream_options: options } = body;
  checkLengths(body, problems);
  if (isObject(options) && (stream ?? false) === false && Object.keys(options).length > 0) {
    problems.unexpected('stream_options', 'nothing where stream is not true', options);
  }
}

/** Notes what a chat asks for and cannot have. */
export function checkChatTogether(body: Fields, messages: readonly unknown[], problems: FieldProblems): void {
  checkToolChoice(body, problems);
  checkSettings(body, '', problems);
  checkCalls(messages, problems);
}

/** Notes an answer that is to be longer than it may be: its engine would refuse it once another has read the prompt, as that one is asked for one token. */
export function checkLengths({ min_tokens: least, max_tokens: limit, max_completion_tokens: most = limit }: Fields, problems: FieldProblems): void {
  if (typeof least === 'number' && typeof most === 'number' && least > most) {
    problems.add('min_tokens', `expected at most ${most}, as many as the answer may have, got ${least}`);
  }
}

/**
 * Notes settings of a chat that need others.
 *
 * @param at what the paths of the fields begin with, such as `additionalModelRequestFields.`.
 */
export function checkSettings(fields: Fields, at: string, problems: FieldProblems): void {
  const { top_logprobs: top, logprobs, continue_final_message: continues, add_generation_prompt: begins } = fields;
  if (typeof top === 'number' && top > 0 && (logprobs ?? false) === false) {
    problems.unexpected(`${at}top_logprobs`, '0 where logprobs is not true', top);
  }
  if (continues === true && begins === true) {
    problems.unexpected(`${at}continue_final_message`, 'false where add_generation_prompt is true', continues);
  }
}

/** Notes that a tool is to be called where there is none. */
export function checkAnyTool(tools: readonly unknown[], problems: FieldProblems): void {
  if (tools.length === 0) {
    problems.add('tool_choice', 'there are no tools to choose from');
  }
}

/** Notes the name of a tool that there is none of. */
export function checkToolName(name: unknown, tools: readonly unknown[], path: string, problems: FieldProblems): void {
  if (!tools.some((tool) => isObject(tool) && isObject(tool.function) && tool.function.name === name)) {
    problems.unexpected(path, 'the name of one of the tools', name);
  }
}

/** Notes that a tool is to be called that there is none of. */
function checkToolChoice({ tools, tool_choice: choice }: Fields, problems: FieldProblems): void {
  const name = isObject(choice) && isObject(choice.function) ? choice.function.name : undefined;
  if (choice !== 'required' && typeof name !== 'string') {
    return;
  }
  const list = tools ?? [];
  if (Array.isArray(list)) {
    checkAnyTool(list, problems);
    if (list.length > 0 && name !== undefined) {
      checkToolName(name, list, 'tool_choice.function.name', problems);
    }
  }
}

/** Notes what tools have returned to calls that were not made, and calls to which nothing was returned. A call without an id may be any. */
function checkCalls(messages: readonly unknown[], problems: FieldProblems): void {
  const open = new OpenCalls();
  messages.forEach((message, i) => {
    const { role, tool_calls: calls, tool_call_id: id } = Object(message) as Fields;
    if (role === 'assistant' && Array.isArray(calls)) {
      calls.forEach((call, j) => {
        if (!open.add(Object(call).id || undefined, `messages[${i}].tool_calls[${j}]`)) {
          problems.add(`messages[${i}].tool_calls[${j}].id`, 'a call of this id before it has no message of its tool yet');
        }
      });
    } else if (role === 'tool' && typeof id === 'string' && !open.close(id)) {
      problems.unexpected(`messages[${i}].tool_call_id`, 'the id of a call that an assistant made before, each once', id);
    }
  });
  open.paths.forEach((path) => problems.add(path, 'expected a message of the tool after it, with its id'));
}
