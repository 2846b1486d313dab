import { sampleOf } from './schema-sample';
import { invalid } from '../../router/runtime/wire/api-error';
import { Fields } from '../../router/runtime/wire/fields';

/** What answers are made of. */
const WORDS = ['the', 'cache', 'crosses', 'the', 'fabric', 'while', 'a', 'wafer', 'writes', 'and', 'nobody', 'waits'];
/** Characters of English text in a token, about. */
export const CHARACTERS_PER_TOKEN = 4;

interface Tool {
  readonly name: string;
  readonly parameters?: Fields;
}

/** What of a request says what its answer is to be. */
export interface Asked {
  readonly prompt?: unknown;
  readonly echo?: boolean;
  readonly stop?: string | readonly string[];
  readonly max_tokens?: number | null;
  readonly max_completion_tokens?: number | null;
  readonly tools?: readonly { readonly function: Tool }[];
  readonly tool_choice?: unknown;
  readonly response_format?: { readonly type?: string; readonly json_schema?: { readonly schema?: Fields } };
}

/** What an answer says. */
export interface EmulatedText {
  /** What is repeated of each prompt. */
  readonly before: readonly string[];
  /** Tokens that are written. */
  readonly tokens: number;
  /** Each of them, of a text or of the arguments of a tool. */
  readonly tokenAt: (at: number) => string;
  readonly end: 'stop' | 'length' | 'tool_calls';
  /** The sequence that ends it. */
  readonly stop?: string;
  /** Name of the tool that is called. */
  readonly tool?: string;
}

/**
 * What is answered: a call of the tool that has to be called, JSON as its schema has it, or else words, as many as there may be. Throws ApiError for a schema that is none.
 *
 * @param asked the request.
 * @param meanTokens words, where nobody bounds them.
 * @param roomTokens what the prompt leaves of the context, where every answer ends.
 */
export function emulatedText(asked: Asked, meanTokens: number, roomTokens: number): EmulatedText {
  const { prompt, echo } = asked;
  const given = asked.max_completion_tokens ?? asked.max_tokens ?? undefined;
  const before = promptsOf(prompt).map((one) => (echo === true && one !== undefined ? String(one) : ''));
  const tool = toolOf(asked);
  const schema = tool === undefined ? schemaOf(asked) : tool.parameters ?? {};
  if (schema === undefined) {
    const tokens = Math.min(given ?? meanTokens, roomTokens);
    const end = given === undefined && tokens === meanTokens ? 'stop' : 'length';
    return { before, tokens, tokenAt: wordAt, end, ...stopOf(wordAt, tokens, asked) };
  }
  const most = Math.min(given ?? roomTokens, roomTokens);
  const json = jsonOf(schema, most * CHARACTERS_PER_TOKEN);
  const tokenAt = (at: number) => json.slice(at * CHARACTERS_PER_TOKEN, (at + 1) * CHARACTERS_PER_TOKEN);
  const needed = Math.ceil(json.length / CHARACTERS_PER_TOKEN);
  const tokens = Math.min(needed, most);
  const end = tokens < needed ? 'length' : tool === undefined ? 'stop' : 'tool_calls';
  return { before, tokens, tokenAt, end, tool: tool?.name, ...(tool === undefined && stopOf(tokenAt, tokens, asked)) };
}

/** The prompts of a completion, each a text or ids of tokens. */
export function promptsOf(prompt: unknown): readonly unknown[] {
  return Array.isArray(prompt) && typeof prompt[0] !== 'number' ? prompt : [prompt];
}

function wordAt(at: number): string {
  return `${at === 0 ? '' : ' '}${WORDS[at % WORDS.length]}`;
}

/** The tool that has to be called: the one that is named, or the first if it may be any; undefined if none has to. */
function toolOf({ tools, tool_choice: choice }: Asked): Tool | undefined {
  const { function: named } = Object(choice) as { function?: Tool };
  return choice === 'required' ? tools?.[0]?.function : named && (tools?.find((tool) => tool.function.name === named.name)?.function ?? named);
}

/** The schema of the JSON that is to be answered; undefined if none is. */
function schemaOf({ response_format: format }: Asked): Fields | undefined {
  return format?.type === 'json_object' || format?.type === 'json_schema' ? format.json_schema?.schema ?? {} : undefined;
}

/** The least that a schema asks for; where that is longer than may be told, it is cut after that. */
function jsonOf(schema: Fields, maxCharacters: number): string {
  try {
    return JSON.stringify(sampleOf({ type: 'object', ...schema }, maxCharacters));
  } catch (e) {
    throw invalid('invalid_schema', `the schema cannot be answered: ${(e as Error).message}`);
  }
}

/** How an answer ends in which a stop sequence occurs; undefined if none does. */
function stopOf(tokenAt: (at: number) => string, tokens: number, { stop }: Asked): Partial<EmulatedText> | undefined {
  const sequences = [stop ?? []].flat();
  // words come again and again: what is not among these is not in the rest, and JSON is read to its end.
  const most = tokenAt === wordAt ? WORDS.length + 1 + Math.max(0, ...sequences.map(({ length }) => length)) : tokens;
  const read = Array.from({ length: Math.min(tokens, most) }, (_, at) => tokenAt(at));
  const text = read.join('');
  const [first] = sequences.map((sequence) => ({ sequence, at: text.indexOf(sequence) })).filter(({ at }) => at !== -1).sort((a, b) => a.at - b.at);
  if (first === undefined) {
    return undefined;
  }
  const told: string[] = [];
  // the token that completes the sequence is the last.
  for (let start = 0; start < first.at + first.sequence.length; start += read[told.length - 1].length) {
    told.push(read[told.length].slice(0, Math.max(0, first.at - start)));
  }
  return { tokens: told.length, tokenAt: (at) => told[at], end: 'stop', stop: first.sequence };
}
