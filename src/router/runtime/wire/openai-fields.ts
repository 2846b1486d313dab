import { Fields } from './fields';
import {
  ABSENT, BOOLEAN, either, kind, listOf, Members, number, OBJECT, object, oneOf, openObject, refused, tagged, TEXT, textsByName, UNSUPPORTED, whole,
} from './kinds';

/*
 * The fields of OpenAI's API, https://platform.openai.com/docs/api-reference, and those that engines add to it: vLLM's `ChatCompletionRequest` and
 * `CompletionRequest`, SGLang's, and the Cerebras SDK's. What names the insides of an engine, such as its ranks, peers, adapters or code, is none of
 * a caller's, and is not here.
 */
const NAMES_A_REQUEST = refused('requests are named by the router alone');
const LOADED = refused('no data or code of a caller\'s is loaded');
const TEXTS = either(kind('a string or a list of strings', TEXT.holds), listOf(TEXT));
const TOKEN_IDS = listOf(whole(0));
/** As far as JavaScript tells such numbers apart: engines are sent them as they were written. */
const WHOLE_64_BITS = kind('a whole number of 64 bits, from -2^63 to 2^63-1', (value) => Number.isInteger(value) && Math.abs(value as number) <= 2 ** 63);
const PENALTY = number(-2, 2);
/** What a caller labels its request with, which changes nothing. */
export const METADATA = textsByName(16);
/** What ends an answer. */
export const STOP_SEQUENCE = kind<string>('a string that is not empty', (value) => typeof value === 'string' && value !== '');
const STOP = either(kind('a string that is not empty, or a list of them', STOP_SEQUENCE.holds), listOf(STOP_SEQUENCE, 0, 4));
const BIAS = number(-100, 100);
const LOGIT_BIAS = kind('a number from -100 to 100 for each id of a token', (value) =>
  OBJECT.holds(value) && Object.entries(value as Fields).every(([id, bias]) => /^\d{1,10}$/.test(id) && BIAS.holds(bias)));
/** Text, the ids of one prompt's tokens, or prompts of one of these kinds. */
const PROMPT = kind('a string, the ids of its tokens, or a list of the one or of the other', (prompt) => {
  const isIds = (value: unknown) => Array.isArray(value) && value.length > 0 && TOKEN_IDS.holds(value);
  return TEXT.holds(prompt) || isIds(prompt) || (Array.isArray(prompt) && prompt.length > 0 && (prompt.every(TEXT.holds) || prompt.every(isIds)));
});

/** How much a model may think. */
export const REASONING_EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'];

/** Those of OpenAI's that can be honoured: `scale` is capacity that was bought before, of which there is none here. */
export const OPENAI_SERVICE_TIERS = ['auto', 'default', 'flex', 'priority'];

const SCHEMA_TYPE = oneOf('object', 'array', 'string', 'number', 'integer', 'boolean', 'null');

/** The JSON schema of an answer. */
export const SCHEMA = openObject({ type: either(SCHEMA_TYPE, listOf(SCHEMA_TYPE, 1)) });

const JSON_SCHEMA = object({ name: TEXT, description: TEXT, schema: SCHEMA, strict: BOOLEAN }, ['name', 'schema']);
const RESPONSE_FORMAT = tagged('type', {
  text: object({ type: TEXT }),
  json_object: object({ type: TEXT }),
  json_schema: object({ type: TEXT, json_schema: JSON_SCHEMA }, ['json_schema']),
  structural_tag: OBJECT,
});

/** What both kinds of completions have. */
const COMMON: Members = {
  model: TEXT,
  stream: BOOLEAN,
  // padding that hides the length of tokens from who sees the packets; given, it must be there.
  stream_options: object({ include_usage: BOOLEAN, continuous_usage_stats: BOOLEAN, include_obfuscation: oneOf(false) }),
  max_tokens: whole(1),
  n: whole(1, 128),
  temperature: number(0, 2),
  top_p: number(0, 1),
  frequency_penalty: PENALTY,
  presence_penalty: PENALTY,
  logit_bias: LOGIT_BIAS,
  seed: WHOLE_64_BITS,
  stop: STOP,
  user: TEXT,
  response_format: RESPONSE_FORMAT,
  // of engines.
  add_special_tokens: BOOLEAN,
  allowed_token_ids: TOKEN_IDS,
  bad_words: listOf(TEXT),
  cache_salt: TEXT,
  custom_labels: OBJECT,
  custom_params: OBJECT,
  ebnf: TEXT,
  extra_key: TEXT,
  ignore_eos: BOOLEAN,
  include_stop_str_in_output: BOOLEAN,
  length_penalty: kind('a finite number', Number.isFinite),
  logprob_token_ids: TOKEN_IDS,
  min_completion_tokens: whole(0),
  min_p: number(0, 1),
  min_tokens: whole(0),
  model_parameters: OBJECT,
  ngram_corpus_id: TEXT,
  no_stop_trim: BOOLEAN,
  priority: WHOLE_64_BITS,
  prompt_logprobs: whole(-1),
  regex: TEXT,
  repetition_detection: OBJECT,
  repetition_penalty: kind('a number above 0', (value) => typeof value === 'number' && value > 0),
  request_id: NAMES_A_REQUEST,
  return_cached_tokens_details: BOOLEAN,
  return_token_ids: BOOLEAN,
  return_tokens_as_token_ids: BOOLEAN,
  rid: NAMES_A_REQUEST,
  session_id: TEXT,
  skip_special_tokens: BOOLEAN,
  spaces_between_special_tokens: BOOLEAN,
  stop_regex: TEXTS,
  stop_token_ids: TOKEN_IDS,
  stream_interval: whole(1),
  structured_outputs: OBJECT,
  thinking_token_budget: whole(-1),
  top_k: whole(-1),
  truncate_prompt_tokens: whole(-1),
  truncation_side: oneOf('left', 'right'),
  use_beam_search: BOOLEAN,
  vllm_xargs: OBJECT,
  watermarking: BOOLEAN,
};

/** What tools are called by. */
export const FUNCTION_NAME = kind('1 to 64 letters, digits, _ or -', (value) => typeof value === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(value));
const FUNCTION = object({
  name: FUNCTION_NAME,
  description: TEXT,
  parameters: OBJECT,
  strict: BOOLEAN,
  defer_loading: BOOLEAN,
}, ['name']);
const TOOL = object({ type: oneOf('function'), function: FUNCTION, defer_loading: BOOLEAN }, ['function']);
const TOOL_CHOICE = either(
  kind('"none", "auto", "required" or a function', (value) => value === 'none' || value === 'auto' || value === 'required'),
  object({ type: oneOf('function'), function: object({ name: TEXT }, ['name']) }, ['function']));

const media = (name: string) => openObject({ [name]: either(TEXT, openObject({ url: TEXT })) });
const PART = tagged('type', {
  text: openObject({ text: TEXT }, ['text']),
  refusal: openObject({ refusal: TEXT }, ['refusal']),
  image_url: media('image_url'),
  video_url: media('video_url'),
  audio_url: media('audio_url'),
  input_audio: openObject({ input_audio: openObject({ data: TEXT, format: TEXT }) }),
  // of engines, which are not known here any closer.
  ...Object.fromEntries(['thinking', 'reasoning', 'input_text', 'output_text', 'input_image', 'tool_reference'].map((type) => [type, OBJECT])),
  // tensors, which engines unpickle.
  ...Object.fromEntries(['image_embeds', 'audio_embeds', 'video_embeds', 'prompt_embeds'].map((type) => [type, LOADED])),
});
const CONTENT = either(kind('a string or a list of parts', TEXT.holds), listOf(PART));
const CALL = openObject({
  id: TEXT, type: oneOf('function'), function: openObject({ name: TEXT, arguments: either(TEXT, OBJECT) }, ['name']),
}, ['function']);
const SAID = { content: CONTENT, name: TEXT };
const MESSAGE = tagged('role', {
  system: openObject(SAID, ['content']),
  developer: openObject(SAID, ['content']),
  user: openObject(SAID, ['content']),
  assistant: openObject({
    ...SAID,
    refusal: TEXT,
    reasoning: TEXT,
    reasoning_content: TEXT,
    tool_calls: listOf(CALL),
    // what was said by what is refused as well, and engines leave out.
    audio: UNSUPPORTED,
    function_call: UNSUPPORTED,
  }),
  tool: openObject({ ...SAID, tool_call_id: TEXT }, ['content', 'tool_call_id']),
  function: openObject(SAID),
  // DeepSeek's.
  latest_reminder: openObject(SAID, ['content']),
});

const CHAT: Members = {
  ...COMMON,
  messages: listOf(MESSAGE, 1),
  max_completion_tokens: whole(1),
  logprobs: BOOLEAN,
  top_logprobs: whole(0, 20),
  tools: listOf(TOOL),
  tool_choice: TOOL_CHOICE,
  parallel_tool_calls: BOOLEAN,
  reasoning_effort: oneOf(...REASONING_EFFORTS),
  // what says something of the caller, or of what is to be kept, and changes no answer.
  metadata: OBJECT,
  prediction: OBJECT,
  prompt_cache_key: TEXT,
  prompt_cache_options: OBJECT,
  prompt_cache_retention: TEXT,
  safety_identifier: TEXT,
  service_tier: oneOf(...OPENAI_SERVICE_TIERS),
  store: BOOLEAN,
  // what changes answers, and engines would leave out without a word.
  audio: UNSUPPORTED,
  function_call: UNSUPPORTED,
  functions: UNSUPPORTED,
  modalities: listOf(oneOf('text')),
  moderation: ABSENT,
  verbosity: oneOf('medium'),
  web_search_options: ABSENT,
  // of engines.
  add_generation_prompt: BOOLEAN,
  chat_template: LOADED,
  // some engines take it for the template itself.
  chat_template_kwargs: openObject({ chat_template: LOADED }),
  clear_thinking: BOOLEAN,
  continue_final_message: BOOLEAN,
  disable_reasoning: BOOLEAN,
  documents: listOf(OBJECT),
  echo: BOOLEAN,
  images_config: OBJECT,
  include_reasoning: BOOLEAN,
  max_dynamic_patch: whole(0),
  media_io_kwargs: OBJECT,
  min_dynamic_patch: whole(0),
  mm_processor_kwargs: OBJECT,
  reasoning: OBJECT,
  reasoning_format: TEXT,
  return_meta_info: BOOLEAN,
  return_prompt_text: BOOLEAN,
  return_prompt_token_ids: BOOLEAN,
  separate_reasoning: BOOLEAN,
  stream_reasoning: BOOLEAN,
  task: TEXT,
  use_audio_in_video: BOOLEAN,
};

/** A chat completion. */
export const CHAT_COMPLETION = object(CHAT, ['messages']);

/** What a caller may add to a chat completion that is written here. */
export const CHAT_SETTINGS = object(CHAT);

const TEXT_COMPLETION: Members = {
  ...COMMON,
  prompt: PROMPT,
  best_of: oneOf(1),
  echo: BOOLEAN,
  json_schema: TEXT,
  logprobs: whole(0, 20),
  prompt_embeds: LOADED,
  suffix: TEXT,
};

/** A completion. */
export const COMPLETION = object(TEXT_COMPLETION, ['prompt']);

/** A completion that repeats its prompt, which may be all that is asked: prompts are scored so. */
export const ECHOED_COMPLETION = object({ ...TEXT_COMPLETION, max_tokens: whole(0) }, ['prompt']);

/** Whether a value is a list of nothing. */
export function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}
