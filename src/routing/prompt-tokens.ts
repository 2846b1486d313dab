/** How much of what was learnt is kept with each further prompt. */
const KEPT = 1 - 1 / 64;
/**
 * What text can be: a token is at least a byte in common vocabularies, and what has more bytes a token than this, as runs of blanks have, tells nothing of
 * other text.
 */
const LEAST_BYTES = 1;
const MOST_BYTES = 8;
/** Tokens that a template may have. */
const MOST_TEMPLATE = 500;
/** Prompts of so many bytes more are so much less sure to be of the line, as texts differ in proportion to their length. */
const SHORT_BYTES = 200;
/** How sure is what is taken before anything is learnt, as weights: of a template's 30 tokens more or less, and of 0.1 tokens a byte more or less. */
const DOUBT_OF_TOKENS = 0.025;
const TEMPLATE_WEIGHT = (DOUBT_OF_TOKENS / 30) ** 2;
const SLOPE_WEIGHT = (DOUBT_OF_TOKENS / 0.1) ** 2;

/**
 * How long prompts are in tokens, by their bytes: learnt from what engines say of prompts that they have read. The tokens that each prompt has besides its
 * text, by the model's template, are told from those of its text, as prompts are of different lengths: a line of least squares.
 */
export class PromptTokens {
  /** Tokens that each prompt has besides those of its text, and tokens of a byte of text. */
  private template = 0;
  private slope: number;
  private readonly takenSlope: number;
  private weights = 0;
  private bytes = 0;
  private tokens = 0;
  private bytesTimesBytes = 0;
  private bytesTimesTokens = 0;

  /**
   * @param bytesPerToken what is taken until something is learnt.
   */
  constructor(bytesPerToken: number) {
    this.takenSlope = this.slope = 1 / bytesPerToken;
  }

  /** Tokens of a prompt of so many bytes. */
  public estimate(promptBytes: number): number {
    return promptBytes === 0 ? 0 : this.template + this.slope * promptBytes;
  }

  /** An engine has counted a prompt of so many bytes. */
  public learn(promptBytes: number, promptTokens: number): void {
    const isText = Number.isSafeInteger(promptBytes) && promptBytes > 0 && promptBytes <= promptTokens * MOST_BYTES
      && promptTokens <= MOST_TEMPLATE + promptBytes / LEAST_BYTES;
    if (!isText) {
      return;
    }
    const weight = (promptBytes + SHORT_BYTES) ** -2;
    this.weights = KEPT * this.weights + weight;
    this.bytes = KEPT * this.bytes + weight * promptBytes;
    this.tokens = KEPT * this.tokens + weight * promptTokens;
    this.bytesTimesBytes = KEPT * this.bytesTimesBytes + weight * promptBytes ** 2;
    this.bytesTimesTokens = KEPT * this.bytesTimesTokens + weight * promptBytes * promptTokens;
    this.fit();
  }

  private fit(): void {
    const ofTemplate = this.weights + TEMPLATE_WEIGHT;
    const ofSlope = this.bytesTimesBytes + SLOPE_WEIGHT;
    const told = this.bytesTimesTokens + SLOPE_WEIGHT * this.takenSlope;
    const template = (this.tokens * ofSlope - told * this.bytes) / (ofTemplate * ofSlope - this.bytes ** 2);
    this.template = Math.min(MOST_TEMPLATE, Math.max(0, template));
    this.slope = Math.min(1 / LEAST_BYTES, Math.max(1 / MOST_BYTES, (told - this.template * this.bytes) / ofSlope));
  }
}
