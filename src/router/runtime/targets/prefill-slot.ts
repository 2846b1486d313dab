import { Endpoint } from './endpoint';
import { Target } from './target';
import { Prompt } from '../../../routing';

/**
 * A slot of a prefill engine, which is to read a prompt.
 */
export class PrefillSlot {
  public readonly endpoint: Endpoint;
  /** Blocks of the prompt that the engine was given before. */
  public readonly knownBlocks: number;
  private readonly wasRead: () => void;
  private readonly taken: number;

  /** Takes it; give it back with `release`. */
  constructor(target: Target, endpoint: Endpoint, prompt: Prompt) {
    this.endpoint = endpoint;
    this.knownBlocks = endpoint.prompts.blocksOf(prompt);
    this.wasRead = endpoint.reads(prompt.tokens - endpoint.prompts.cachedTokens(prompt));
    this.taken = target.take(endpoint, prompt);
  }

  /** Gives it back. */
  public release(): void {
    this.wasRead();
    this.endpoint.release(this.taken);
  }
}
