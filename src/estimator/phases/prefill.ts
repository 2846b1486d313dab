import { Coefficients } from './coefficients';
import { Step, mixedStepSeconds } from './mixed';
import { EngineShape, ModelShape } from './shapes';

/**
 * Query-key pairs of causal attention: `n` new tokens after `cached` ones, each seeing at most `window` tokens.
 */
export function causalPairs(newTokens: number, cachedTokens: number, window: number): number {
  const n = newTokens;
  // tokens whose whole past is still inside the window
  const growing = Math.max(0, Math.min(n, window - cachedTokens));
  const full = n - growing;
  return growing * (cachedTokens + (growing + 1) / 2) + (full > 0 ? full * window : 0);
}

/**
 * FLOPs of attention scores and values for a prompt.
 */
export function prefillAttentionFlops(model: ModelShape, newTokens: number, cachedTokens: number): number {
  return model.fullAttentionFlopsPerPair * causalPairs(newTokens, cachedTokens, model.attendedTokens)
    + model.indexFlopsPerPair * causalPairs(newTokens, cachedTokens, Infinity)
    + model.windowAttentionFlopsPerPair * causalPairs(newTokens, cachedTokens, model.windowAttendedTokens);
}

/**
 * The tokens that a prompt takes after padding: the first bucket that holds it, or the prompt itself without buckets. A prompt beyond the last
 * bucket is read in segments of that bucket, and what is left is padded.
 *
 * Source: https://awsdocs-neuron.readthedocs-hosted.com/en/latest/vllm-neuron/docs/design/vllm/neuron-scheduler.html (chunks of
 * `max_num_batched_tokens`, which the largest bucket equals, each padded by itself).
 */
export function paddedTokens(tokens: number, buckets: readonly number[]): number {
  if (buckets.length === 0) {
    return tokens;
  }
  const last = buckets[buckets.length - 1];
  const whole = tokens > last ? Math.floor(tokens / last) * last : 0;
  const rest = tokens - whole;
  return whole > 0 && rest === 0 ? whole : whole + buckets.find((bucket) => bucket >= rest)!;
}

/**
 * The steps in which one engine reads a prompt of `newTokens` (padded) tokens in segments of `segmentTokens`, each after the ones before; it ends with the last.
 *
 * @param segmentTokens Infinity for an engine that reads any prompt at once.
 */
export function promptSteps(model: ModelShape, newTokens: number, cachedTokens: number, segmentTokens: number): Step[] {
  const steps: Step[] = [];
  let read = 0;
  do {
    const segment = Math.min(newTokens - read, segmentTokens);
    const prompts = read + segment < newTokens ? 0 : 1;
    steps.push(readingStep(segment, prefillAttentionFlops(model, segment, cachedTokens + read), prompts));
    read += segment;
  } while (read < newTokens);
  return steps;
}

/**
 * Seconds that these steps take.
 */
export function promptSeconds(
  model: ModelShape, engine: EngineShape, k: Coefficients, newTokens: number, cachedTokens: number, segmentTokens: number,
): number {
  return promptSteps(model, newTokens, cachedTokens, segmentTokens).reduce((sum, step) => sum + mixedStepSeconds(model, engine, k, step), 0);
}

/**
 * Seconds that one engine takes to read `prompts` prompts of `newTokens` (padded) tokens each, `cachedTokens` of each being there already.
 *
 * The projections run at a share of the peak, attention at a lower share, and every layer adds a floor and a serial part for each token,
 * so utilisation rises with length and saturates. Of a prompt that is all there the last token is read again: the next one follows from it.
 */
export function prefillSeconds(
  model: ModelShape, engine: EngineShape, k: Coefficients, newTokens: number, cachedTokens: number, prompts: number,
): number {
  const attentionFlops = prompts * prefillAttentionFlops(model, newTokens, cachedTokens);
  return mixedStepSeconds(model, engine, k, readingStep(prompts * newTokens, attentionFlops, prompts));
}

function readingStep(newTokens: number, attentionFlops: number, prompts: number): Step {
  return { sequences: 0, kvBytesRead: 0, newTokens: Math.max(prompts, newTokens), attentionFlops, prompts };
}
