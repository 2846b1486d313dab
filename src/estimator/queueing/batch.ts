/** Of a batch, as a share. */
const PRECISION = 1e-9;

/**
 * Sequences in one engine's batch on average: the smallest root of Little's law `B = arrivals x steps x step(1 + B)`.
 *
 * A token sees its own sequence and the B others, hence `1 + B`: right for an idle engine (B -> 0, step(1)) and, as in processor sharing,
 * for steps that grow in proportion to the batch. Not above `slots`, which is also the answer where the load exceeds the engine.
 */
export function meanBatch(arrivalsPerSecond: number, meanSteps: number, slots: number, stepSeconds: (batch: number) => number): number {
  const demand = arrivalsPerSecond * meanSteps;
  const missing = (batch: number) => demand * stepSeconds(Math.min(1 + batch, slots)) - batch;
  let low = 0;
  let high = slots;
  let below = missing(low);
  let above = missing(high);
  if (above >= 0) {
    return slots;
  }
  let rose = false;
  let fell = false;
  // false position, where an end that stays counts half (Illinois)
  for (let i = 0; i < 60 && high - low > PRECISION * high; i++) {
    const middle = low + (high - low) * below / (below - above);
    const value = missing(middle);
    if (Math.abs(value) <= PRECISION * middle) {
      return middle;
    }
    if (value > 0) {
      low = middle;
      below = value;
      above = rose ? above / 2 : above;
    } else {
      high = middle;
      above = value;
      below = fell ? below / 2 : below;
    }
    rose = value > 0;
    fell = !rose;
  }
  return (low + high) / 2;
}

/**
 * Variance of the number of sequences in a batch around its mean: Poisson, wider where a fuller batch is slower.
 *
 * Linear noise approximation of the birth-death process: `B / (1 - elasticity)`, with the elasticity of the step time to the batch.
 * Poisson (M/G/infinity) for a constant step, `B (1 + B)` (processor sharing) for one that grows in proportion.
 */
export function batchVariance(mean: number, stepSeconds: number, nextStepSeconds: number): number {
  const elasticity = Math.min(0.98, Math.max(0, mean * (nextStepSeconds - stepSeconds) / stepSeconds));
  return mean / (1 - elasticity);
}
