/** What a prompt is made of. */
export interface PromptText {
  /** Bytes of text, names of members included: about what a chat template makes of them. */
  readonly bytes: number;
  /** Tokens that are given as such, and those that images stand for, about. */
  readonly tokens: number;
}

/** Of one picture: common encoders make some hundred to some thousand of it. */
const IMAGE_TOKENS = 1024;
/** Bytes of a number or of a truth value, about. */
const SCALAR_BYTES = 4;

/** How much there is to read in a request of OpenAI's format. */
export function promptTextOf({ messages, tools, prompt }: { readonly [name: string]: unknown }): PromptText {
  const ids = Array.isArray(prompt) ? prompt.flat().filter((token) => typeof token === 'number').length : 0;
  const left: unknown[] = [ids > 0 ? undefined : prompt, messages, tools];
  let bytes = 0;
  let tokens = ids;
  // no recursion: callers nest as deeply as they like.
  while (left.length > 0) {
    const value = left.pop();
    if (typeof value === 'string') {
      bytes += Buffer.byteLength(value);
    } else if (typeof value === 'number' || typeof value === 'boolean') {
      bytes += SCALAR_BYTES;
    } else if (Array.isArray(value)) {
      value.forEach((one) => left.push(one));
    } else if (typeof value === 'object' && value !== null) {
      for (const [name, member] of Object.entries(value)) {
        if (name === 'image_url') {
          tokens += IMAGE_TOKENS;
        } else {
          bytes += name.length;
          left.push(member);
        }
      }
    }
  }
  return { bytes, tokens };
}
