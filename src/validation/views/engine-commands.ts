import { partialText } from './partial-text';
import { shellCommands } from './shell-words';
import { Resource, Unknown, Value, asList, valueAt } from '../graph/template-graph';

/** A vLLM server that a template starts. */
export interface EngineCommand {
  readonly resource: Resource;
  /** Path of the command below `Properties`. */
  readonly property: string;
  /** The model's path or name. */
  readonly model?: Value;
  /** The names that requests use, else the model. */
  readonly servedNames: Value[];
  /** Environment variables of the container. */
  readonly environment: ReadonlyMap<string, Value>;
  readonly kvTransfer?: KvTransfer;
  /**
   * Value of an option; undefined when it is not given. The last one counts.
   *
   * @param name the option's long name, such as `--block-size`.
   */
  option(name: string): Value | undefined;
}

/** What `--kv-transfer-config` says, or that it says nothing that can be read. */
export interface KvTransfer {
  readonly text: Value;
  /** The parsed object; undefined when it is not known or no JSON object. */
  readonly config?: { readonly [key: string]: unknown };
}

const KV_TRANSFER = '--kv-transfer-config';

/** What the image vllm/vllm-openai runs; its arguments follow. */
const IMAGE_ENTRY_POINT = ['vllm', 'serve'];

const ALIASES: { readonly [short: string]: string } = { '-tp': '--tensor-parallel-size', '-pp': '--pipeline-parallel-size', '-q': '--quantization' };

/**
 * The vLLM server that a container starts; undefined when it is not known to start one.
 *
 * @param resource the task definition.
 * @param container the container as it is given.
 * @param property path of its command below `Properties`.
 */
export function engineCommandOf(resource: Resource, container: Value, property: string): EngineCommand | undefined {
  const environment = new Map((asList(valueAt(container, 'Environment')) ?? []).flatMap((variable) => {
    const [name, value] = [valueAt(variable, 'Name'), valueAt(variable, 'Value')];
    return typeof name === 'string' && value !== undefined ? [[name, value] as const] : [];
  }));
  const [entryPoint, command] = ['EntryPoint', 'Command'].map((name) => asList(valueAt(container, name)) ?? []);
  const words = entryPoint.length === 0 && /(^|\/)vllm\/vllm-openai([:@]|$)/.test(partialText(valueAt(container, 'Image')) ?? '')
    ? [...IMAGE_ENTRY_POINT, ...command] : [...entryPoint, ...command];
  // what follows a script are its arguments, which it may run: exec "$@".
  for (const simple of isShell(words) ? [...shellCommands(words[2]), words.slice(3)] : [words]) {
    const engine = engineOf(simple, { resource, property, environment });
    if (engine) {
      return engine;
    }
  }
  return undefined;
}

function isShell(words: readonly Value[]): words is [string, string, string] {
  const [shell, option, script] = words;
  return typeof shell === 'string' && /(^|\/)(ba|da)?sh$/.test(shell) && typeof option === 'string' && /^-[a-z]*c$/.test(option) && typeof script === 'string';
}

function engineOf(words: Value[], place: Pick<EngineCommand, 'resource' | 'property' | 'environment'>): EngineCommand | undefined {
  const serve = words.findIndex((word, index) => word === 'serve' && typeof words[index - 1] === 'string' && /(^|\/)vllm$/.test(words[index - 1] as string));
  const module = words.findIndex((word, index) => word === 'vllm.entrypoints.openai.api_server' && words[index - 1] === '-m');
  if (serve === -1 && module === -1) {
    return undefined;
  }
  const options = new Map<string, Value[]>();
  const positional: Value[] = [];
  let values = positional;
  for (const word of words.slice(Math.max(serve, module) + 1)) {
    if (typeof word === 'string' && /^--?[a-z]/.test(word)) {
      const [name, value] = splitOption(word);
      values = value === undefined ? [] : [value];
      options.set(name, values);
    } else {
      values.push(word);
    }
  }
  const option = (name: string) => options.get(name)?.[0];
  const model = option('--model') ?? positional[0];
  return {
    ...place,
    model,
    servedNames: options.get('--served-model-name') ?? (model === undefined ? [] : [model]),
    kvTransfer: kvTransferOf(options),
    option,
  };
}

function splitOption(word: string): [string, string | undefined] {
  const [, given, value] = /^(-[^=]*)(?:=(.*))?$/s.exec(word) as RegExpExecArray;
  // vLLM takes underscores for hyphens.
  const name = given.replace(/_/g, '-');
  return [ALIASES[name] ?? name, value];
}

function kvTransferOf(options: ReadonlyMap<string, Value[]>): KvTransfer | undefined {
  const fields = [...options].filter(([name]) => name.startsWith(`${KV_TRANSFER}.`))
    .map(([name, [value]]) => [name.slice(KV_TRANSFER.length + 1).replace(/-/g, '_'), value] as const);
  if (fields.length === 0) {
    return options.has(KV_TRANSFER) ? parsed(options.get(KV_TRANSFER)![0]) : undefined;
  }
  // vLLM takes each field as an option of its own too.
  const isWhole = !options.has(KV_TRANSFER) && fields.every(([name, value]) => !name.includes('.') && typeof value === 'string');
  return parsed(isWhole ? JSON.stringify(Object.fromEntries(fields)) : new Unknown('a configuration in several options', ''));
}

function parsed(text: Value | undefined): KvTransfer {
  if (typeof text !== 'string') {
    return { text: text ?? new Unknown('an option without a value', 'none') };
  }
  try {
    const config: unknown = JSON.parse(text);
    return { text, config: typeof config === 'object' && config !== null && !Array.isArray(config) ? config as KvTransfer['config'] : undefined };
  } catch {
    return { text };
  }
}
