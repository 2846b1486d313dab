import { LongTexts } from './long-texts';

/** What a prompt is made of. */
export interface PromptText {
  /** Bytes of text, names of members included: about what a chat template makes of them. */
  readonly bytes: number;
  /** Tokens that are given as such, and those that images and sounds stand for, about. */
  readonly tokens: number;
}

/** Of one picture, or of what else is no text: common encoders make some hundred to some thousand of it. */
const MEDIA_TOKENS = 1024;
/** Members that hold such. */
const MEDIA = new Set(['image_url', 'video_url', 'audio_url', 'input_audio']);
/** Members of a request that chat templates make text of, besides its messages. */
const RENDERED = ['tools', 'documents', 'chat_template_kwargs'];
/** What a model thought, once more by another name. */
const SAID_TWICE = 'reasoning_content';
/** Bytes of a number or of a truth value, about. */
const SCALAR_BYTES = 4;

/**
 * How much there is to read in a request of OpenAI's format.
 *
 * @param request its body.
 * @param longTexts those that it has marks of.
 */
export function promptTextOf(request: { readonly [name: string]: unknown }, longTexts?: LongTexts): PromptText {
  const { messages, prompt } = request;
  const ids = Array.isArray(prompt) ? idsIn(prompt) : 0;
  const left: unknown[] = [ids > 0 ? undefined : prompt, messages, ...RENDERED.map((name) => request[name])];
  let bytes = 0;
  let tokens = ids;
  // no recursion: callers nest as deeply as they like.
  while (left.length > 0) {
    const value = left.pop();
    if (typeof value === 'string') {
      bytes += longTexts?.byteLength(value) ?? Buffer.byteLength(value);
    } else if (typeof value === 'number' || typeof value === 'boolean') {
      bytes += SCALAR_BYTES;
    } else if (Array.isArray(value)) {
      value.forEach((one) => left.push(one));
    } else if (typeof value === 'object' && value !== null) {
      for (const [name, member] of Object.entries(value)) {
        if (MEDIA.has(name)) {
          tokens += MEDIA_TOKENS;
        } else if (name !== SAID_TWICE || member !== (value as { reasoning?: unknown }).reasoning) {
          bytes += longTexts?.byteLength(name) ?? Buffer.byteLength(name);
          left.push(member);
        }
      }
    }
  }
  return { bytes, tokens };
}

/** How many ids of tokens there are in a prompt, or in several. */
function idsIn(prompt: readonly unknown[]): number {
  let ids = 0;
  for (const one of prompt) {
    ids += Array.isArray(one) ? idsIn(one) : typeof one === 'number' ? 1 : 0;
  }
  return ids;
}
