import { LengthClass } from './workload-spec';

/** Lengths of one request. */
export interface Lengths {
  readonly inputTokens: number;
  readonly cachedInputTokens: number;
  readonly outputTokens: number;
}

/**
 * Probabilities at which lengths are cut into strata. They lie closely on both sides of the median, p90, p95 and p99, so that these stay
 * where they are: a quantile of the classes falls into the stratum of the same quantile of the requests.
 */
export const INPUT_CUTS = [0.25, 0.46, 0.54, 0.75, 0.895, 0.905, 0.945, 0.955, 0.988, 0.992];
export const OUTPUT_CUTS = [0.46, 0.54, 0.75, 0.895, 0.905, 0.945, 0.955, 0.988, 0.992, 0.998];

/** Most classes that requests are reduced to; one more than the cuts on either side. */
const MAX_CLASSES = (INPUT_CUTS.length + 1) * (OUTPUT_CUTS.length + 1);

/**
 * Reduces requests to weighted classes: one for each pair of lengths if these are few, else one for each pair of strata, with the mean
 * lengths of its requests. Mean lengths over all requests are kept exactly.
 */
export function reduceToClasses(requests: Lengths[]): LengthClass[] {
  const exact = group(requests, (r) => `${r.inputTokens} ${r.cachedInputTokens} ${r.outputTokens}`, MAX_CLASSES);
  if (exact) {
    return toClasses(exact, requests.length);
  }
  const inputs = cutValues(requests.map((r) => r.inputTokens), INPUT_CUTS);
  const outputs = cutValues(requests.map((r) => r.outputTokens), OUTPUT_CUTS);
  const strata = group(requests, (r) => stratum(inputs, r.inputTokens) * 1000 + stratum(outputs, r.outputTokens), MAX_CLASSES)!;
  return toClasses(strata, requests.length);
}

interface Sums {
  count: number;
  input: number;
  cached: number;
  output: number;
}

/** Sums by key, or undefined if there are more than `max` keys. */
function group(requests: Lengths[], key: (request: Lengths) => string | number, max: number): Sums[] | undefined {
  const groups = new Map<string | number, Sums>();
  for (const request of requests) {
    const k = key(request);
    let sums = groups.get(k);
    if (!sums) {
      if (groups.size === max) {
        return undefined;
      }
      sums = { count: 0, input: 0, cached: 0, output: 0 };
      groups.set(k, sums);
    }
    sums.count++;
    sums.input += request.inputTokens;
    sums.cached += request.cachedInputTokens;
    sums.output += request.outputTokens;
  }
  return [...groups.values()];
}

function toClasses(groups: Sums[], total: number): LengthClass[] {
  return groups
    .map((sums) => ({
      weight: sums.count / total,
      inputTokens: sums.input / sums.count,
      ...(sums.cached > 0 ? { cachedInputTokens: sums.cached / sums.count } : {}),
      outputTokens: sums.output / sums.count,
    }))
    .sort((a, b) => a.inputTokens - b.inputTokens || a.outputTokens - b.outputTokens);
}

function cutValues(values: number[], cuts: number[]): number[] {
  const sorted = Float64Array.from(values).sort();
  return cuts.map((cut) => sorted[Math.floor(cut * sorted.length)]);
}

/** Number of cuts that are not above the value. */
function stratum(cuts: number[], value: number): number {
  let index = 0;
  while (index < cuts.length && cuts[index] <= value) {
    index++;
  }
  return index;
}
