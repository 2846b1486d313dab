/** Weight of the newest prompt. */
const WEIGHT = 0.05;
/** What text can be: a token is at least a byte in common vocabularies, and long runs of blanks are one token. */
const LEAST_BYTES = 1;
const MOST_BYTES = 16;

/**
 * How long prompts are in tokens, by their bytes: learnt from what engines say of prompts that they have read.
 */
export class PromptTokens {
  private bytes: number;

  /**
   * @param bytesPerToken what is taken until something is learnt.
   */
  constructor(bytesPerToken: number) {
    this.bytes = bytesPerToken;
  }

  /** Bytes of text in a token, as far as is known. */
  public get bytesPerToken(): number {
    return this.bytes;
  }

  /** Tokens of a prompt of so many bytes. */
  public estimate(promptBytes: number): number {
    return promptBytes / this.bytes;
  }

  /** An engine has counted a prompt of so many bytes. */
  public learn(promptBytes: number, promptTokens: number): void {
    const told = promptBytes / promptTokens;
    if (told >= LEAST_BYTES && told <= MOST_BYTES) {
      this.bytes += WEIGHT * (told - this.bytes);
    }
  }
}
