import { kvBytes, kvReadBytes } from './phases/shapes';
import { tokensPerStep } from './phases/speculation';
import { Plant } from './plant';

/** Of a step: more than rounding leaves of whole steps. */
const ROUNDING = 1e-9;

/**
 * What the requests of a plant are, whatever their rate: sums over their classes.
 */
export class RequestMoments {
  /** Tokens that a step writes of a sequence. */
  public readonly pace: number;
  /** Mean tokens of an answer. */
  public readonly meanOutputTokens: number;
  /** Mean of what decode steps write of it, tokens of drafts beyond its end included: in aggregated serving the first one comes with the prompt. */
  public readonly decodedTokens: number;
  /** The same of each class. */
  public readonly decoded: Float64Array;
  /** Squared coefficient of variation of these. */
  public readonly decodedScv: number;
  /** Mean tokens after the first. */
  public readonly laterTokens: number;
  /** Root of their mean square. */
  public readonly laterSpread: number;
  /** How many lengths answers have. */
  public readonly answerLengths: number;
  /** Share of the requests that have tokens after the first. */
  public readonly severalTokens: number;
  /** Mean tokens of a prompt as it is read. */
  public readonly paddedTokens: number;
  /** KV bytes of the prompt of each class, all copies. */
  public readonly promptKvBytes: Float64Array;
  /** Their mean. */
  public readonly meanPromptKvBytes: number;
  /** Their squared coefficient of variation. */
  public readonly promptKvScv: number;
  /** Mean of each up to their mean, over that. */
  public readonly shorterKvShare: number;
  /** KV bytes that a step reads of a sequence at the mean context, one copy. */
  public readonly meanKvBytes: number;
  /** Standard deviation of these over the classes. */
  public readonly kvSpreadBytes: number;

  /**
   * @param plant whose requests.
   */
  constructor({ classes, model, decode, prefill }: Plant) {
    const { weights, inputTokens, outputTokens, paddedTokens } = classes;
    this.pace = decode.speculation === undefined ? 1 : tokensPerStep(decode.speculation);
    this.decoded = new Float64Array(weights.length);
    this.promptKvBytes = inputTokens.map((input) => kvBytes(model, input) * decode.kvCopies);
    const contextKvBytes = inputTokens.map((input, i) => kvReadBytes(model, input + outputTokens[i] / 2));
    // steps are whole, so that the last one may write more than is left
    const whole = (tokens: number) => this.pace === 1 ? tokens : Math.ceil(tokens / this.pace - ROUNDING) * this.pace;
    const ofPrompt = prefill === undefined ? 1 : 0;
    let output = 0;
    let generated = 0;
    let decoded = 0;
    let decodedSquares = 0;
    let context = 0;
    let prompt = 0;
    let later = 0;
    let laterSquares = 0;
    let several = 0;
    let read = 0;
    weights.forEach((weight, i) => {
      const written = whole(outputTokens[i]);
      const own = whole(outputTokens[i] - ofPrompt);
      const after = Math.max(0, written - this.pace);
      this.decoded[i] = own;
      output += weight * outputTokens[i];
      generated += weight * written;
      decoded += weight * own;
      decodedSquares += weight * own * own;
      read += weight * paddedTokens[i];
      // a step meets a sequence in proportion to the tokens that it generates
      context += weight * written * contextKvBytes[i];
      later += weight * after;
      laterSquares += weight * after * after;
      prompt += weight * this.promptKvBytes[i];
      several += outputTokens[i] > 1 ? weight : 0;
    });
    this.meanOutputTokens = output;
    this.decodedTokens = decoded;
    this.decodedScv = decoded > 0 ? decodedSquares / (decoded * decoded) - 1 : 0;
    this.laterTokens = later;
    this.laterSpread = Math.sqrt(laterSquares);
    this.answerLengths = new Set(outputTokens).size;
    this.severalTokens = several;
    this.paddedTokens = read;
    this.meanPromptKvBytes = prompt;
    const ofPrompts = (of: (share: number) => number) => weights.reduce((sum, weight, i) => sum + weight * of(this.promptKvBytes[i] / prompt), 0);
    this.promptKvScv = Math.max(0, ofPrompts((share) => share * share) - 1);
    this.shorterKvShare = ofPrompts((share) => Math.min(1, share));
    this.meanKvBytes = context / generated;
    this.kvSpreadBytes = Math.sqrt(weights.reduce((sum, weight, i) => sum + weight * (contextKvBytes[i] - this.meanKvBytes) ** 2, 0));
  }
}
