import { contentOf, reasoningGiven } from '../chat-parts';
import { isNoInput } from '../completion';
import { FieldProblems, Fields, isNothing, isObject } from '../fields';
import { ANY, listOf, oneOf, TEXT } from '../kinds';
import { dataUrlProblem } from '../media';
import { OpenCalls } from '../open-calls';
import { NO_ARGUMENTS } from './response-object';

const ROLE = oneOf('user', 'assistant', 'system', 'developer');
const DETAIL = oneOf('auto');
const REASONING_TYPE = oneOf('reasoning_text');

/**
 * The messages of a chat that say what the input of a response does.
 *
 * @param input `input`: text, or a list of items.
 * @param instructions `instructions`, which come first.
 * @param images whether the model reads images.
 * @param problems where to note what is wrong.
 */
export function chatMessages(input: unknown, instructions: string | undefined, images: boolean, problems: FieldProblems): Fields[] {
  const chat = new Chat(instructions, images, problems);
  if (typeof input === 'string') {
    chat.add({ role: 'user', content: input }, 'input');
  } else {
    problems.required(input, 'input', listOf(ANY, 1))?.forEach((item, i) => chat.add(problems.object(item, `input[${i}]`), `input[${i}]`));
  }
  chat.end();
  return chat.messages;
}

/**
 * A chat as it is read from items, one after the other.
 */
class Chat {
  private readonly images: boolean;
  private readonly problems: FieldProblems;
  /** What is said before anybody speaks: chat templates read one system message, at the start. */
  private readonly system: string[];
  private readonly turns: Fields[] = [];
  private readonly awaited = new OpenCalls();
  /** What the model thought before what it says or calls next. */
  private thoughts: string[] = [];
  /** Where the last of it is. */
  private thoughtsPath = '';

  constructor(instructions: string | undefined, images: boolean, problems: FieldProblems) {
    this.system = instructions === undefined ? [] : [instructions];
    this.images = images;
    this.problems = problems;
  }

  public get messages(): Fields[] {
    return this.system.length === 0 ? this.turns : [{ role: 'system', content: this.system.join('\n\n') }, ...this.turns];
  }

  public add(item: Fields, path: string): void {
    switch (item.type ?? (item.role === undefined ? undefined : 'message')) {
      case 'message':
        return this.addMessage(item, path);
      case 'function_call':
        return this.addCall(item, path);
      case 'function_call_output':
        return this.addCallOutput(item, path);
      case 'reasoning':
        return this.addReasoning(item, path);
      case 'item_reference':
        return this.problems.add(path, 'nothing is stored here: send the item itself, as the AI SDK does where its providerOptions have openai.store: false');
      default:
        this.problems.add(`${path}.type`, `${JSON.stringify(item.type) ?? 'an item without a type'} is not supported here`);
    }
  }

  /** Notes what the conversation leaves open. */
  public end(): void {
    this.endTurn();
    this.awaited.paths.forEach((path) => this.problems.add(path, 'expected a function_call_output of its call_id after it'));
  }

  /** Notes reasoning that nothing came of: it would be no turn of the model's. */
  private endTurn(): void {
    if (this.thoughts.length > 0) {
      this.problems.add(this.thoughtsPath, 'expected a message of the assistant or a function_call after it');
      this.thoughts = [];
    }
  }

  private addMessage({ role, content }: Fields, path: string): void {
    const speaker = this.problems.required(role ?? '', `${path}.role`, ROLE);
    if (speaker !== 'assistant') {
      this.endTurn();
    }
    switch (speaker) {
      case 'user':
        this.turns.push({ role, content: this.contentAt(content, `${path}.content`, this.images) });
        return;
      case 'assistant':
        this.addSaid(this.contentAt(content, `${path}.content`, false));
        return;
      case 'system':
      case 'developer': {
        const text = this.textAt(content, `${path}.content`);
        if (this.turns.length === 0) {
          this.system.push(text);
        } else {
          this.turns.push({ role: 'system', content: text });
        }
      }
    }
  }

  /** Adds what the model said. Between a call and its output it belongs to the turn of the call: chat templates read outputs right after that. */
  private addSaid(content: unknown): void {
    const last = this.turns.at(-1);
    const before = last?.tool_calls === undefined ? { role: 'assistant' } : this.turns.pop()!;
    const said = isNothing(before.content) ? content : [...partsOf(before.content), ...partsOf(content)];
    this.turns.push({ ...before, ...this.takeThoughts(before), content: said });
  }

  private addCall({ call_id: id, name, arguments: input }: Fields, path: string): void {
    const { problems } = this;
    const text = problems.required(input, `${path}.arguments`, TEXT);
    const isRead = text !== undefined && problems.mayRead(Buffer.from(text), `${path}.arguments`);
    const call = {
      id: problems.required(id, `${path}.call_id`, TEXT),
      type: 'function',
      // models write what is none, and are told so by agents: chat templates take no other, so that it is given back as a text in one.
      function: {
        name: problems.required(name, `${path}.name`, TEXT),
        arguments: !isRead || isJsonObject(text) ? text : isNoInput(text) ? NO_ARGUMENTS : JSON.stringify({ arguments: text }),
      },
    };
    if (TEXT.holds(id) && !this.awaited.add(id, path)) {
      problems.add(`${path}.call_id`, 'a function_call of this id before it has no function_call_output yet');
    }
    // calls belong to the turn in which the model said something, or called other tools.
    const last = this.turns.at(-1);
    const before = last?.role === 'assistant' ? this.turns.pop()! : { role: 'assistant', content: null };
    this.turns.push({ ...before, ...this.takeThoughts(before), tool_calls: [...(before.tool_calls as Fields[] | undefined ?? []), call] });
  }

  private addReasoning({ content, encrypted_content: encrypted }: Fields, path: string): void {
    const { problems } = this;
    if ((encrypted ?? null) !== null) {
      problems.add(`${path}.encrypted_content`, 'this cannot be read here: reasoning is told in plain text, in content');
    }
    const parts = problems.optional(content, `${path}.content`, listOf(ANY)) ?? [];
    parts.forEach((part, i) => {
      const at = `${path}.content[${i}]`;
      const { type, text } = problems.object(part, at);
      problems.required(type ?? '', `${at}.type`, REASONING_TYPE);
      this.thoughts.push(problems.required(text, `${at}.text`, TEXT) ?? '');
    });
    this.thoughtsPath = path;
  }

  /** What the model thought, for a turn in which it may have thought before. */
  private takeThoughts({ reasoning }: Fields): Fields {
    const thoughts = [...(typeof reasoning === 'string' ? [reasoning] : []), ...this.thoughts];
    this.thoughts = [];
    return reasoningGiven(thoughts);
  }

  private addCallOutput({ call_id: id, output }: Fields, path: string): void {
    this.endTurn();
    const called = this.problems.required(id, `${path}.call_id`, TEXT);
    if (called !== undefined && !this.awaited.close(called)) {
      this.problems.unexpected(`${path}.call_id`, 'the id of a function_call before it, each once', id);
    }
    this.turns.push({ role: 'tool', tool_call_id: id, content: this.textAt(output, `${path}.output`) });
  }

  private textAt(content: unknown, path: string): string {
    const read = this.contentAt(content, path, false);
    return typeof read === 'string' ? read : (read as Fields[]).map(({ text }) => text).join('\n\n');
  }

  private contentAt(content: unknown, path: string, images: boolean): unknown {
    if (typeof content === 'string') {
      return content;
    }
    return contentOf((this.problems.required(content, path, listOf(ANY)) ?? []).flatMap((part, i) => {
      const at = `${path}[${i}]`;
      return this.partAt(this.problems.object(part, at), at, images);
    }));
  }

  private partAt(part: Fields, path: string, images: boolean): Fields[] {
    switch (part.type) {
      case 'input_text':
      case 'output_text':
        return [{ type: 'text', text: this.problems.required(part.text, `${path}.text`, TEXT) ?? '' }];
      case 'refusal':
        // the only kind of content that all engines read from an assistant.
        return [{ type: 'text', text: this.problems.required(part.refusal, `${path}.refusal`, TEXT) ?? '' }];
      case 'input_image':
        return this.imageAt(part, path, images);
      default:
        this.problems.add(`${path}.type`, `${JSON.stringify(part.type) ?? 'content without a type'} is not supported here`);
        return [];
    }
  }

  private imageAt({ image_url: url, detail }: Fields, path: string, images: boolean): Fields[] {
    // a URL of the caller's choice is not for engines, which are inside a network, to fetch.
    const problem = images ? dataUrlProblem(url) : undefined;
    if (!images) {
      this.problems.add(path, this.images ? 'an image is for the user to give' : 'the model reads no images');
    } else if (problem !== undefined) {
      this.problems.add(`${path}.image_url`, problem);
    }
    this.problems.optional(detail, `${path}.detail`, DETAIL);
    return [{ type: 'image_url', image_url: { url } }];
  }
}

function partsOf(content: unknown): Fields[] {
  return typeof content === 'string' ? [{ type: 'text', text: content }] : content as Fields[];
}

function isJsonObject(text: string): boolean {
  try {
    return isObject(JSON.parse(text));
  } catch {
    return false;
  }
}
