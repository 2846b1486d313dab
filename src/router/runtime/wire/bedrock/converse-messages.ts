import { contentOf, reasoningGiven } from '../chat-parts';
import { ExactJson } from '../exact-json';
import { FieldProblems, Fields } from '../fields';
import { ANY, kind, listOf, OBJECT, object, oneOf, TEXT } from '../kinds';
import { IMAGE_FORMATS, imageProblem } from '../media';
import { FUNCTION_NAME } from '../openai-fields';

/** What calls of tools are told apart by. */
export const TOOL_USE_ID = kind<string>('1 to 64 letters, digits, _, ., : or -', (value) => typeof value === 'string' && /^[A-Za-z0-9_.:-]{1,64}$/.test(value));
/** To where a prompt is to be kept in a cache, which engines find out by themselves. */
const CACHE_POINT = object({ type: oneOf('default'), ttl: oneOf('5m', '1h') }, ['type']);
const ROLE = oneOf('user', 'assistant', 'system');
const TOOL_USE_TYPE = oneOf('server_tool_use');
const STATUS = oneOf('success', 'error');
const IMAGE_FORMAT = oneOf(...IMAGE_FORMATS);

/** One thing that is said, or asked. */
interface Block {
  /** The member that is set; undefined if it is not exactly one. */
  readonly kind?: string;
  readonly value?: unknown;
  /** Where the member is. */
  readonly path: string;
}

/**
 * The blocks of a list: of a message, of a system prompt, of tools.
 *
 * @param list the list.
 * @param path of the list.
 * @param problems where to note what is wrong, such as that the list asks for nothing.
 * @param least how many there must be.
 */
export function blocksOf(list: unknown, path: string, problems: FieldProblems, least = 1): Block[] {
  const blocks = (problems.required(list, path, listOf(ANY, least)) ?? []).map((block, i): Block => {
    const [name, value] = problems.member(block, `${path}[${i}]`) ?? [];
    return { kind: name, value, path: `${path}[${i}].${name}` };
  });
  if (least > 0 && blocks.length > 0 && blocks.every((block) => block.kind === 'cachePoint')) {
    problems.add(path, 'expected something besides cachePoint');
  }
  return blocks;
}

/** Notes what is wrong with a block that has no meaning of its own where it stands: all but cache points are refused there. */
export function checkOther({ kind: name, value, path }: Block, what: string, problems: FieldProblems): void {
  if (name === 'cachePoint') {
    problems.required(value, path, CACHE_POINT);
  } else if (name !== undefined) {
    problems.add(path, `this kind of ${what} is not supported here`);
  }
}

/**
 * The messages of a chat that say what the system prompt and the messages of a Converse do.
 *
 * @param request `system` and `messages`.
 * @param at what is before their names where they are.
 * @param images whether the model reads images.
 * @param exact by which they were read.
 * @param problems where to note what is wrong.
 */
export function chatMessages({ system, messages }: Fields, at: string, images: boolean, exact: ExactJson, problems: FieldProblems): Fields[] {
  const conversation = new Conversation(images, exact, problems);
  if (system !== undefined && system !== null) {
    conversation.addSystem(blocksOf(system, `${at}system`, problems, 0));
  }
  problems.required(messages, `${at}messages`, listOf(ANY, 1))?.forEach((message, i) => conversation.add(message, `${at}messages[${i}]`));
  conversation.endTurn();
  return conversation.messages;
}

/**
 * A conversation as it is read, message by message. Bedrock wants the results of all calls of a message in the message after it, and nowhere else.
 */
class Conversation {
  private readonly images: boolean;
  private readonly exact: ExactJson;
  private readonly problems: FieldProblems;
  /** What is said before anybody speaks: chat templates read one system message, at the start. */
  private readonly system: string[] = [];
  private readonly turns: Fields[] = [];
  private hasUser = false;
  /** Where calls of the message before are that have no result yet, by their ids. */
  private readonly awaited = new Map<unknown, string>();

  constructor(images: boolean, exact: ExactJson, problems: FieldProblems) {
    this.images = images;
    this.exact = exact;
    this.problems = problems;
  }

  public get messages(): Fields[] {
    return this.system.length === 0 ? this.turns : [{ role: 'system', content: this.system.join('\n\n') }, ...this.turns];
  }

  public add(message: unknown, path: string): void {
    const { problems, turns } = this;
    const { role, content } = problems.object(message, path, ['role', 'content']);
    problems.required(role ?? undefined, `${path}.role`, ROLE);
    const blocks = blocksOf(content, `${path}.content`, problems);
    switch (role) {
      case 'system':
        this.endTurn();
        this.addSystem(blocks);
        return;
      case 'assistant':
        if (!this.hasUser) {
          problems.add(`${path}.role`, 'a conversation starts with a message of the user');
        }
        turns.push(this.assistantMessage(blocks));
        return;
      default:
        this.hasUser = true;
        turns.push(...this.userMessages(blocks));
    }
  }

  /** Adds what somebody tells the model who is not the user. */
  public addSystem(blocks: Block[]): void {
    const texts: string[] = [];
    for (const block of blocks) {
      if (block.kind === 'text') {
        texts.push(this.problems.required(block.value, block.path, TEXT) ?? '');
      } else {
        checkOther(block, 'content', this.problems);
      }
    }
    if (this.turns.length === 0) {
      this.system.push(...texts);
    } else {
      this.turns.push({ role: 'system', content: texts.join('\n\n') });
    }
  }

  /** Notes the calls that were to have a result by now. */
  public endTurn(): void {
    this.awaited.forEach((path) => this.problems.add(path, 'expected a toolResult of its id in the message after it'));
    this.awaited.clear();
  }

  private userMessages(blocks: Block[]): Fields[] {
    const results: Fields[] = [];
    const parts: Fields[] = [];
    for (const block of blocks) {
      switch (block.kind) {
        case 'text':
          parts.push(this.textPart(block));
          break;
        case 'image':
          parts.push(this.imagePart(block));
          break;
        case 'toolResult':
          results.push(this.toolMessage(block));
          break;
        default:
          checkOther(block, 'content', this.problems);
      }
    }
    this.endTurn();
    return [...results, ...(parts.length === 0 ? [] : [{ role: 'user', content: contentOf(parts) }])];
  }

  private assistantMessage(blocks: Block[]): Fields {
    this.endTurn();
    const parts: Fields[] = [];
    const calls: Fields[] = [];
    const thoughts: string[] = [];
    for (const block of blocks) {
      switch (block.kind) {
        case 'text':
          parts.push(this.textPart(block));
          break;
        case 'toolUse':
          calls.push(this.toolCall(block));
          break;
        case 'reasoningContent':
          thoughts.push(this.reasoningText(block));
          break;
        default:
          checkOther(block, 'content', this.problems);
      }
    }
    const content = parts.length === 0 ? null : contentOf(parts);
    return { role: 'assistant', ...reasoningGiven(thoughts), content, ...(calls.length > 0 && { tool_calls: calls }) };
  }

  private reasoningText({ value, path }: Block): string {
    const { problems } = this;
    const [name, told] = problems.member(value, path) ?? [];
    if (name === 'reasoningText') {
      // a signature is that of a service which hides what its models think.
      const { text, signature } = problems.object(told, `${path}.reasoningText`, ['text', 'signature']);
      problems.optional(signature, `${path}.reasoningText.signature`, TEXT);
      return problems.required(text, `${path}.reasoningText.text`, TEXT) ?? '';
    }
    if (name !== undefined) {
      problems.add(`${path}.${name}`, 'expected reasoningText: nothing else can be read here');
    }
    return '';
  }

  private textPart({ value, path }: Block): Fields {
    return { type: 'text', text: this.problems.required(value, path, TEXT) ?? '' };
  }

  private imagePart({ value, path }: Block): Fields {
    const { problems } = this;
    const { format, source } = problems.object(value, path, ['format', 'source', 'error']);
    const [name, given] = problems.member(source, `${path}.source`) ?? [];
    const bytes = name === 'bytes' ? problems.required(given, `${path}.source.bytes`, TEXT) : undefined;
    if (!this.images) {
      problems.add(path, 'the model reads no images');
    } else if (!IMAGE_FORMAT.holds(format)) {
      IMAGE_FORMAT.tell(format, `${path}.format`, problems);
    } else if (name !== undefined && name !== 'bytes') {
      problems.add(`${path}.source.${name}`, 'give the bytes of the image');
    } else if (bytes !== undefined) {
      const problem = imageProblem(bytes, [format]);
      if (problem !== undefined) {
        problems.add(`${path}.source.bytes`, problem);
      }
    }
    return { type: 'image_url', image_url: { url: `data:image/${format};base64,${bytes}` } };
  }

  private toolCall({ value, path }: Block): Fields {
    const { problems, awaited } = this;
    const { toolUseId: id, name, input, type } = problems.object(value, path, ['toolUseId', 'name', 'input', 'type']);
    problems.required(id, `${path}.toolUseId`, TOOL_USE_ID);
    problems.required(name, `${path}.name`, FUNCTION_NAME);
    problems.optional(type, `${path}.type`, TOOL_USE_TYPE);
    if (awaited.has(id)) {
      problems.add(`${path}.toolUseId`, 'another toolUse of this message has this id');
    } else if (TOOL_USE_ID.holds(id)) {
      awaited.set(id, path);
    }
    const said = problems.required(input, `${path}.input`, OBJECT) ?? {};
    return { id, type: 'function', function: { name, arguments: this.exact.stringify(said) } };
  }

  private toolMessage({ value, path }: Block): Fields {
    const { problems } = this;
    const { toolUseId: id, content, status, type } = problems.object(value, path, ['toolUseId', 'content', 'status', 'type']);
    const isError = problems.optional(status, `${path}.status`, STATUS) === 'error';
    problems.optional(type, `${path}.type`, TEXT);
    problems.required(id, `${path}.toolUseId`, TOOL_USE_ID);
    if (!this.awaited.delete(id) && TOOL_USE_ID.holds(id)) {
      problems.unexpected(`${path}.toolUseId`, 'the id of a toolUse in the message before, each once', id);
    }
    const texts = blocksOf(content, `${path}.content`, problems, isError ? 1 : 0).map((block) => {
      switch (block.kind) {
        case 'text':
          return problems.required(block.value, block.path, TEXT);
        case 'json':
          return this.exact.stringify(problems.required(block.value, block.path, OBJECT) ?? {});
        default:
          checkOther(block, 'content', problems);
          return '';
      }
    });
    // messages of a chat have no place of their own for it.
    return { role: 'tool', tool_call_id: id, content: `${isError ? 'Error: ' : ''}${texts.join('\n')}` };
  }
}
