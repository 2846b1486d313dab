import { Asked } from './emulated-text';
import { invalid } from '../../router/runtime/wire/api-error';

/**
 * Tokens that an answer may have. Throws ApiError, in the words of vLLM 0.32, if the context has no room for what is asked; an answer that only would not fit in
 * what the prompt leaves is cut there.
 *
 * @param asked the request.
 * @param inputTokens of its prompt.
 * @param contextTokens that both may have together.
 */
export function roomOf(asked: Asked, inputTokens: number, contextTokens: number): number {
  const name = (asked.max_completion_tokens ?? null) === null ? 'max_tokens' : 'max_completion_tokens';
  const limit = asked[name] ?? 0;
  if (limit > contextTokens) {
    throw refusal(`${name}=${limit} cannot be greater than max_model_len=${contextTokens}. Please request fewer output tokens.`, name, limit);
  }
  if (inputTokens > contextTokens) {
    // it reads no further than this.
    const least = contextTokens + 1;
    throw refusal(`This model's maximum context length is ${contextTokens} tokens. However, your prompt contains at least ${least} input tokens, which exceeds `
      + 'this limit even without any output tokens. Please reduce the length of the input prompt.', 'input_tokens', least);
  }
  if (inputTokens === contextTokens) {
    throw invalid('invalid_request', `The decoder prompt (length ${inputTokens}) plus the number of requested output tokens (at least 1) is longer than the maximum `
      + `model length of ${contextTokens}. Make sure that \`max_model_len\` is no smaller than the number of text tokens (prompt + requested output tokens).`);
  }
  return contextTokens - inputTokens;
}

function refusal(message: string, parameter: string, value: number) {
  return invalid('invalid_request', `${message} (parameter=${parameter}, value=${value})`, parameter);
}
